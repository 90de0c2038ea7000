"""Run notebooks headless: several at a time, each in its own process, one failure never stopping the rest.

A run's folder holds the executed notebook, the same as one HTML file, ``results.json`` and ``run.json`` (see
``records``). A folder without a ``run.json`` is not ours and is never emptied.
"""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.course.notebooks import read_notebook
from her2kit.course.plan import Run, run_parameters
from her2kit.course.processes import Processes
from her2kit.course.progress import Progress
from her2kit.course.records import RECORD, is_done, read_record, read_results, write_record
from her2kit.course.run_log import RunLog, now


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
        return self.run.folder / f"{self.run.notebook.stem}.html"


def run_notebooks(
    runs: Sequence[Run],
    *,
    workers: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
    log_folder: Path | None = None,
) -> list[Outcome]:
    """Run each of ``runs`` and return how each ended, in the same order.

    An interruption ends what is running; its ``run.json`` goes on saying so, and ``resume`` takes it up
    again.

    Parameters
    ----------
    workers
        Notebooks at a time; the cores are shared between them.
    resume
        Keep runs that are done with the same code, values and version.
    progress
        Told about each cell and each end; silent where None.
    log_folder
        Where ``log.csv`` tells what ran when; None keeps no log.

    Raises
    ------
    ValueError
        If ``workers`` is below 1, or a folder that would be emptied holds something else than a run.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; use 1 or more")
    for run in runs:
        if run.folder.is_dir() and _strange(run.folder) and read_record(run.folder) is None:
            raise ValueError(f"{run.folder} holds something that is not a run; give another --out")
    progress = progress or Progress(quiet=True)
    progress.begin({run.name: len(read_notebook(run.notebook).cells) for run in runs})
    processes, log = Processes(workers), RunLog(log_folder)

    def one(run: Run) -> Outcome:
        outcome = finished(run) if resume else None
        if outcome is None:
            log.add("started", run)
            outcome = _run(run, processes, progress)
            log.add(outcome.status, run, seconds=outcome.seconds, results=outcome.results)
        else:
            log.add("kept", run, results=outcome.results)
        progress.end(outcome)
        return outcome

    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        return list(pool.map(one, runs))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.stop()
        raise
    finally:
        pool.shutdown(wait=True)
        progress.close()


def finished(run: Run) -> Outcome | None:
    """Return the outcome of an earlier run that is done with the same code, values and version, else None."""
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


def _run(run: Run, processes: Processes, progress: Progress) -> Outcome:
    """Run one notebook in a process of its own and write its folder."""
    from her2kit.course.offline_html import write_page

    begun, started = time.monotonic(), now()
    write_record(run, status="running", started=started, seconds=0.0, failure=None)
    _empty(run.folder)
    executed = run.folder / run.notebook.name
    failure = processes.execute(
        run.notebook, executed, run_parameters(run), lambda done: progress.cells(run.name, done)
    )
    if executed.is_file():
        write_page(executed, executed.with_suffix(".html"))
    status, seconds = "failed" if failure else "done", round(time.monotonic() - begun, 1)
    write_record(run, status=status, started=started, seconds=seconds, failure=failure)
    return Outcome(run, status, seconds, failure, read_results(run.folder))
