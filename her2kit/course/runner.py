"""Run notebooks headless: several at a time, each in its own process, one failure never stopping the rest.

The processes are those of this computer, or of the workers of a Dask cluster, which must see the same files.
A run's folder holds the executed notebook, the same as one HTML file, ``results.json`` and ``run.json`` (see
``records``). A folder without a ``run.json`` is not ours and is never emptied.
"""

import contextlib
import functools
import shutil
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.cluster.spread import spread, wanted_by
from her2kit.cluster.threads import cores
from her2kit.cluster.workers import running_workers
from her2kit.course.endings import cannot_write, need_room
from her2kit.course.notebooks import read_notebook
from her2kit.course.plan import Run, run_parameters
from her2kit.course.processes import Processes
from her2kit.course.progress import Progress
from her2kit.course.records import RECORD, is_done, read_record, read_results, write_record
from her2kit.course.run_log import RunLog, now

Pages = Mapping[str, Path]
"""Page of each notebook of a call, by name: links between notebooks lead from page to page."""


def page_of(run: Run) -> Path:
    """Return where the executed notebook goes as HTML."""
    return run.folder / f"{run.notebook.stem}.html"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended."""

    run: Run
    status: str
    """``done`` or ``failed``."""
    seconds: float
    failure: dict[str, Any] | None = None
    """Where it failed: cell, error, lines (see ``execute``)."""
    results: dict[str, Any] | None = None
    resumed: bool = False

    @property
    def page(self) -> Path:
        """Return the executed notebook as HTML."""
        return page_of(self.run)


def run_notebooks(
    runs: Sequence[Run],
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
    log_folder: Path | None = None,
    scheduler: str | None = None,
) -> list[Outcome]:
    """Run each of ``runs`` and return how each ended, in the same order.

    An interruption ends what is running; its ``run.json`` goes on saying so, and ``resume`` takes it up
    again.

    Parameters
    ----------
    workers
        Notebooks at a time; the cores are shared between them.
    resume
        Keep runs that are done with the same notebook, values and package.
    progress
        Told about each cell and each end; silent where None.
    log_folder
        Where ``log.csv`` tells what ran when; None keeps no log.
    scheduler
        Address of a running Dask cluster whose workers run the notebooks, one core each, instead of
        ``workers`` processes here. They must see the notebooks and the runs' folders.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or its workers cannot run notebooks.
    ValueError
        If ``workers`` is below 1, a folder that would be emptied holds something else than a run, or one
        cannot be written.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; use 1 or more")
    for run in runs:
        if run.folder.is_dir() and _strange(run.folder) and read_record(run.folder) is None:
            raise ValueError(f"{run.folder} holds something that is not a run; give another --out")
    for run in runs:
        need_room(run.folder.parent)
    progress = progress or Progress(quiet=True)
    progress.begin({run.name: len(read_notebook(run.notebook).cells) for run in runs})
    log, left, outcomes = RunLog(log_folder), [], {}
    pages = {run.notebook.stem: page_of(run) for run in runs}
    for run in runs:
        outcome = finished(run) if resume else None
        if outcome is None:
            left.append(run)
        else:
            log.add("kept", run, results=outcome.results)
            progress.end(outcome)
            outcomes[run.folder] = outcome
    try:
        doing = (
            _here(left, workers, pages, log, progress)
            if scheduler is None
            else _there(left, scheduler, pages, log)
        )
        with contextlib.closing(doing):
            for outcome in doing:
                progress.end(outcome)
                outcomes[outcome.run.folder] = outcome
    finally:
        progress.close()
    return [outcomes[run.folder] for run in runs]


def _here(
    runs: Sequence[Run], workers: int, pages: Pages, log: RunLog, progress: Progress
) -> Generator[Outcome]:
    """Run notebooks in processes of this computer; yield how each ended, as they end."""
    processes = Processes(workers)
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for ended in as_completed([pool.submit(_run, run, processes, pages, log, progress) for run in runs]):
            yield ended.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.stop()
        raise
    finally:
        pool.shutdown(wait=True)


def _there(runs: Sequence[Run], scheduler: str, pages: Pages, log: RunLog) -> Generator[Outcome]:
    """Run notebooks on the workers of a cluster; yield how each ended, as they end."""
    if not runs:
        return
    folder = log.folder or runs[0].folder.parent
    folder.mkdir(parents=True, exist_ok=True)

    def waiting(words: str) -> None:
        if words:
            print(f"her2kit: {words}", file=sys.stderr, flush=True)

    with running_workers(scheduler) as workers:
        work = functools.partial(_run_on_worker, pages, log)
        for place, outcome in spread(workers, work, runs, folder=folder, waiting=waiting):
            yield outcome or _given_up(runs[place], log)


def _run_on_worker(pages: Pages, log: RunLog, run: Run) -> Outcome:
    """Run one notebook on a worker; end it where nobody waits for it any more."""
    processes, wanted, over = Processes(cores()), wanted_by(), threading.Event()  # Dask counts a core a task

    def watch() -> None:
        while not over.wait(1.0):
            if not wanted():
                processes.stop()

    threading.Thread(target=watch, daemon=True).start()
    try:
        return _run(run, processes, pages, log, Progress(quiet=True))
    finally:
        over.set()


def _given_up(run: Run, log: RunLog) -> Outcome:
    """Record a run under which each worker died."""
    failure = {"cell": "no cell", "error": "the worker that ran it died, each time", "lines": []}
    write_record(run, status="failed", started=now(), seconds=0.0, failure=failure)
    log.add("failed", run, seconds=0.0)
    return Outcome(run, "failed", 0.0, failure)


def finished(run: Run) -> Outcome | None:
    """Return the outcome of an earlier run of the same notebook, values and package, if it is done."""
    record = read_record(run.folder)
    if record is None or not is_done(run):
        return None
    return Outcome(run, "done", record["seconds"], None, read_results(run.folder), resumed=True)


def _strange(folder: Path) -> bool:
    """Return whether a folder holds anything but the record that a killed run was about to write."""
    return any(not path.name.startswith(f".{Path(RECORD).stem}-") for path in folder.iterdir())


def _empty(folder: Path) -> None:
    """Remove what an earlier run left; its record is there at every moment, so that a killed one is known."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != RECORD:
            path.unlink(missing_ok=True)


def _run(run: Run, processes: Processes, pages: Pages, log: RunLog, progress: Progress) -> Outcome:
    """Run one notebook in a process of its own and write its folder."""
    from her2kit.course.offline_html import write_page

    begun, started = time.monotonic(), now()
    executed = run.folder / run.notebook.name
    try:
        log.add("started", run)
        write_record(run, status="running", started=started, seconds=0.0, failure=None)
        _empty(run.folder)
        failure = processes.execute(
            run.notebook, executed, run_parameters(run), lambda done: progress.cells(run.name, done)
        )
        if executed.is_file():
            write_page(executed, page_of(run), home=run.notebook.parent, pages=pages)
        status, seconds = "failed" if failure else "done", round(time.monotonic() - begun, 1)
        write_record(run, status=status, started=started, seconds=seconds, failure=failure)
        outcome = Outcome(run, status, seconds, failure, read_results(run.folder))
        log.add(status, run, seconds=seconds, results=outcome.results)
        return outcome
    except OSError as error:  # such as a full disk; the other runs may still fit
        failure = {"cell": "no cell", "error": cannot_write(error, run.folder), "lines": []}
        return Outcome(run, "failed", round(time.monotonic() - begun, 1), failure)
