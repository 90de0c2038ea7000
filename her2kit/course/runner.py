"""Run notebooks headless: several at a time, each in a process of its own, one failure never stopping the
rest.

A run's folder holds the executed notebook, the same as one HTML file, ``results.json`` and ``run.json``: what
was run, with which values, and its status: running, done or failed. Only ``done`` is kept by ``resume``. A
folder without a ``run.json`` is not ours and is never emptied.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit import __version__
from her2kit.course.execute import MARK
from her2kit.course.notebooks import code_stamp, read_notebook
from her2kit.course.plan import Run, run_parameters
from her2kit.course.progress import Progress
from her2kit.course.results import RESULTS
from her2kit.exchange.whole import whole_file

RECORD = "run.json"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
"""What bounds the threads of BLAS, OpenMP (torch too), numba, polars and OpenCV in a child process."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended; what ``run.json`` holds."""

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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_limits(workers: int) -> dict[str, str]:
    """Return environment variables that share the cores out: threads that wait for each other cost much."""
    return {name: str(max(1, cores() // workers)) for name in THREAD_VARIABLES}


def run_notebooks(
    runs: Sequence[Run], *, workers: int = 1, resume: bool = False, progress: Progress | None = None
) -> list[Outcome]:
    """Run each of ``runs`` and return how each ended, in the same order.

    Parameters
    ----------
    workers
        Notebooks at a time; the cores are shared between them.
    resume
        Keep runs that are done with the same code, values and version.
    progress
        Told about each cell and each end; silent where None.

    Raises
    ------
    ValueError
        If ``workers`` is below 1, or a folder that would be emptied holds something else than a run.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; use 1 or more")
    for run in runs:
        if run.folder.is_dir() and any(run.folder.iterdir()) and read_record(run.folder) is None:
            raise ValueError(f"{run.folder} holds something that is not a run; give another --out")
    progress = progress or Progress(quiet=True)
    processes: set[subprocess.Popen] = set()
    progress.begin({run.name: len(read_notebook(run.notebook).cells) for run in runs})

    def one(run: Run) -> Outcome:
        outcome = finished(run) if resume else None
        outcome = outcome or _run(run, workers, processes, lambda n: progress.cells(run.name, n))
        progress.end(outcome)
        return outcome

    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        return list(pool.map(one, runs))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(processes):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True)
        progress.close()


def finished(run: Run) -> Outcome | None:
    """Return the outcome of an earlier run that is done with the same code, values and version, else None."""
    record = read_record(run.folder)
    if (
        record is None
        or record["status"] != "done"
        or not (run.folder / f"{run.notebook.stem}.html").is_file()
    ):
        return None
    if any(record.get(name) != value for name, value in _identity(run).items()):
        return None
    return Outcome(run, "done", record["seconds"], None, read_results(run.folder), resumed=True)


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a run's folder, or None where it has none or an unreadable one."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"status", "notebook", "seconds"} <= set(record) else None


def read_results(folder: Path) -> dict[str, Any] | None:
    """Return ``results.json`` of a run's folder, or None where the notebook wrote none."""
    path = folder / RESULTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _identity(run: Run) -> dict[str, Any]:
    """Return what makes two runs the same run."""
    return {
        "notebook": run.notebook.stem,
        "variant": run.variant,
        "parameters": json.loads(json.dumps(dict(run.parameters))),
        "code_sha256": code_stamp(read_notebook(run.notebook)),
        "her2kit": __version__,
    }


def _run(run: Run, workers: int, processes: set[subprocess.Popen], tell: Callable[[int], None]) -> Outcome:
    """Run one notebook in a process of its own and write its folder."""
    from her2kit.course.offline_html import write_page

    started = time.monotonic()
    shutil.rmtree(run.folder, ignore_errors=True)
    _write_record(run, status="running", seconds=0.0, failure=None)
    executed = run.folder / run.notebook.name
    failure = _in_process(run, executed, thread_limits(workers), processes, tell)
    results = read_results(run.folder)
    if executed.is_file():
        write_page(executed, executed.with_suffix(".html"))
    outcome = Outcome(
        run, "failed" if failure else "done", round(time.monotonic() - started, 1), failure, results
    )
    _write_record(run, status=outcome.status, seconds=outcome.seconds, failure=failure)
    return outcome


def _write_record(run: Run, **end: Any) -> None:
    record = _identity(run) | {"tier": run.tier} | end
    with whole_file(run.folder / RECORD) as part:
        part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _in_process(
    run: Run,
    target: Path,
    limits: dict[str, str],
    processes: set[subprocess.Popen],
    tell: Callable[[int], None],
) -> dict[str, Any] | None:
    """Execute ``run`` in a child process; return what failed, or None."""
    job = {"source": str(run.notebook), "target": str(target), "parameters": run_parameters(run)}
    last: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        job_file, noise_file = Path(scratch, "job.json"), Path(scratch, "stderr")
        job_file.write_text(json.dumps(job), encoding="utf-8")
        with (
            noise_file.open("w") as noise,
            subprocess.Popen(
                [sys.executable, "-m", "her2kit.course.execute", str(job_file)],
                stdout=subprocess.PIPE, stderr=noise, text=True, encoding="utf-8", errors="replace",
                env={**os.environ, **limits, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONWARNINGS": "ignore"},
            ) as process,
        ):  # fmt: skip
            processes.add(process)
            for line in process.stdout or ():
                if line.startswith(MARK):
                    last = json.loads(line.removeprefix(MARK))
                    if "cells" in last:
                        tell(last["cells"])
        processes.discard(process)
        if "outcome" in last:
            return last["failure"]
        lines = [x for x in noise_file.read_text(errors="replace").splitlines() if x.strip()]
    return {
        "cell": "no cell",
        "error": lines[-1] if lines else f"the process ended with status {process.returncode}",
        "lines": lines[-8:],
    }
