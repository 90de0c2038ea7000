"""Many slides on two local workers: how much faster than on one, and what a killed worker costs.

Writes ``reports/bench/cluster.json``. Each worker has one thread. Runs of one and of two workers take turns
and the best of each counts, so that what else the computer does weighs on both alike. It needs two cores.
"""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.claims import Claim, write_claims
from her2kit.cluster.slides import score_on
from her2kit.cluster.threads import cores
from her2kit.cluster.workers import Workers, local_workers
from her2kit.cohort import Job, jobs_of, score_cohort
from her2kit.exchange.parquet import read_table
from her2kit.phantom.cohort import make_cohort

SLIDES, SIZE_PX = 16, 1024
TURNS = 2
KILLS = 2


def main() -> None:
    """Draw the slides once, score them on one worker, on two, and on two that are killed."""
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_cohort(folder / "cohort", slides=SLIDES, seed=2026, size_px=SIZE_PX)
        jobs = jobs_of([], Path(manifest), {"workers": 1})
        took: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(TURNS):
            for count in took:
                took[count].append(timed(jobs, folder / f"{count}-{turn}", count))
                print(
                    f"  {count} worker(s): {took[count][-1]:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True
                )
        one = folder / "one-by-one"
        one.mkdir()
        score_cohort(jobs, one)
        killed = folder / "killed"
        deaths = score_while_killing(jobs, killed)
        cells, same = compared(jobs, one, killed)
        left = len(list(killed.glob(".*")))
    ratio = min(took[1]) / min(took[2])
    per_slide = min(took[1]) / SLIDES
    write_claims(
        "cluster",
        [
            Claim(f"{SLIDES} slides, one thread each: one worker / two workers", ratio, "times", ">= 1.7"),
            Claim(f"a slide of {SIZE_PX} px on one worker", per_slide, "s", None),
            Claim("workers killed during the run", deaths, "", f">= {KILLS}"),
            Claim("cells of the run without killing", cells, "", ">= 1"),
            Claim("after killing: each slide, cell and table as without", same, "", "is true"),
            Claim("after killing: files half written", left, "", "<= 0"),
        ],
    )


def timed(jobs: list[Job], out: Path, count: int) -> float:
    """Return the seconds that ``count`` workers take once they have scored a first slide each."""
    out.mkdir()
    with local_workers(count, threads=1) as workers:
        warm(workers, jobs, out.with_name(f"{out.name}-warm"))
        began = time.perf_counter()
        score_on(workers, jobs, out)
        return time.perf_counter() - began


def warm(workers: Workers, jobs: list[Job], out: Path) -> None:
    """Let each worker score something, so that libraries and compiled kernels are loaded."""
    out.mkdir()
    score_on(workers, jobs[: 2 * workers.count()], out)


def score_while_killing(jobs: list[Job], out: Path) -> int:
    """Score on two workers and kill one after a quarter, one after half of the slides; return the deaths."""
    out.mkdir()
    deaths, over = 0, threading.Event()
    with local_workers(2, threads=1) as workers:

        def kill() -> None:
            nonlocal deaths
            while deaths < KILLS and not over.wait(0.05):
                if len(list(out.glob("*/score.json"))) >= (deaths + 1) * SLIDES / 4:
                    pids = worker_pids()
                    if pids:
                        os.kill(pids[-1], signal.SIGKILL)
                        deaths += 1

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            score_on(workers, jobs, out)
        finally:
            over.set()
            killer.join()
    return deaths


def worker_pids() -> list[int]:
    """Return the processes that work for this one; asking them by Dask would wait for the dead."""
    import psutil

    return [p.pid for p in psutil.Process().children() if any("spawn_main" in word for word in p.cmdline())]


def compared(jobs: list[Job], one: Path, other: Path) -> tuple[int, bool]:
    """Return how many cells one run found, and whether the other has the same, file by file."""
    cells, same = 0, (one / "cohort.csv").read_bytes() == (other / "cohort.csv").read_bytes()
    for job in jobs:
        table = read_table(one / job.slide_id / "cells.parquet")
        twin = read_table(other / job.slide_id / "cells.parquet")
        same &= twin["cell_id"].is_unique and table["cell_id"].tolist() == twin["cell_id"].tolist()
        for file in (one / job.slide_id).iterdir():
            same &= file.read_bytes() == (other / job.slide_id / file.name).read_bytes()
        cells += len(table)
    folders = {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    return cells, bool(same and folders)


if __name__ == "__main__":
    main()
