"""Child processes that execute one notebook each, share the cores, and can all be stopped at once."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from her2kit.cluster.threads import cores, thread_limits
from her2kit.course.endings import how_it_ended
from her2kit.course.execute import LAST_LINES, MARK


class Stopped(Exception):
    """The call was interrupted; what was running is not to be recorded as failed."""


class Processes:
    """Execute notebooks in child processes, from several threads, each with its share of the cores.

    Parameters
    ----------
    workers
        How many run at a time. Threads that wait for each other cost several-fold, so each child gets
        cores / workers of them.
    """

    def __init__(self, workers: int) -> None:
        limits = thread_limits(cores() // workers)
        self._environment = {**os.environ, **limits, "JUPYTER_PREFER_ENV_PATH": "1"}
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """End all children, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def execute(
        self, source: Path, target: Path, parameters: dict[str, Any], tell: Callable[[int], None]
    ) -> dict[str, Any] | None:
        """Execute ``source`` into ``target``; return what failed (see ``course.execute``), or None.

        Parameters
        ----------
        tell
            Called with the number of cells done, after each.

        Raises
        ------
        Stopped
            If ``stop`` was called before or meanwhile.
        """
        job = {"source": str(source), "target": str(target), "parameters": parameters}
        with tempfile.TemporaryDirectory() as scratch:
            job_file, noise_file = Path(scratch, "job.json"), Path(scratch, "stderr")
            job_file.write_text(json.dumps(job), encoding="utf-8")
            with noise_file.open("w") as noise:
                process = self._start(job_file, noise)
                last = _listen(process, tell)
                with self._lock:
                    self._running.discard(process)
            if self._stopped:
                raise Stopped
            if "outcome" in last:
                return last["failure"]
            lines = [x for x in noise_file.read_text(errors="replace").splitlines() if x.strip()]
        end = how_it_ended("the notebook's process", process.returncode)
        error = lines[-1] if lines and process.returncode >= 0 else end
        return {"cell": "no cell", "error": error, "lines": lines[-LAST_LINES:]}

    def _start(self, job_file: Path, noise: Any) -> subprocess.Popen:
        with self._lock:
            if self._stopped:
                raise Stopped
            # Warnings of papermill itself say nothing about a notebook; the kernel shows its own.
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "her2kit.course.execute", str(job_file)],
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=self._environment,
            )
            self._running.add(process)
            return process


def _listen(process: subprocess.Popen, tell: Callable[[int], None]) -> dict[str, Any]:
    """Pass on how far the child is until it ends; return the last thing it said."""
    last: dict[str, Any] = {}
    with process:
        for line in process.stdout or ():
            if line.startswith(MARK):
                last = json.loads(line.removeprefix(MARK))
                if "cells" in last:
                    tell(last["cells"])
    return last
