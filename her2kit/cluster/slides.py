"""Score many slides at a time. Files, records and ``cohort.csv`` are those of one slide after the other.

A task is a slide. Its tiles stay threads of one process: a slide is fitted once before its tiles, and its
cells are sorted, graded and written once after them. Tiles on other computers would carry that fit and those
cells over the network to shorten one slide, while the others of a cohort keep every core busy anyway.
"""

import functools
import shutil
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from her2kit.cluster.spread import spread, wanted_by
from her2kit.cluster.workers import Workers, default_workers, local_workers, running_workers
from her2kit.cohort import Job, Record, failed_record, score_cohort, score_job
from her2kit.errors import ClusterError

PART = ".part-*"
"""What `exchange.whole.whole_files` leaves of a process that was killed."""
GIVEN_UP = (
    "the worker that took it died, each time, at last with no other slide beside it; if its memory was too "
    "small, pass fewer --workers or --threads"
)


def score_slides(
    jobs: Sequence[Job],
    out: Path,
    *,
    resume: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
) -> list[str]:
    """Score every job into ``out``, as `cohort.score_cohort` does; return the slides that failed.

    Parameters
    ----------
    workers
        Slides at a time, each in a process of its own; default: half the cores. 1 works in this process and
        needs no Dask.
    threads
        Tiles of a slide at a time; default: the cores, shared by the workers; 1 with ``scheduler``.
    scheduler
        Address of a running Dask cluster that does the work instead.

    Raises
    ------
    ClusterError
        If Dask is missing, the scheduler does not answer or its workers cannot do the work.
    """
    if scheduler is not None:
        with running_workers(scheduler, threads=threads) as crew:
            return score_on(crew, jobs, out, resume=resume)
    count = 1 if len(jobs) == 1 else min(default_workers() if workers is None else workers, len(jobs))
    if count <= 1:
        return score_cohort(jobs, out, resume=resume)
    with local_workers(count, threads=threads) as crew:
        return score_on(crew, jobs, out, resume=resume)


def score_on(workers: Workers, jobs: Sequence[Job], out: Path, *, resume: bool = False) -> list[str]:
    """Score every job on workers at hand; see `score_slides`."""
    before = set(out.glob(PART))
    try:
        return score_cohort(jobs, out, resume=resume, each=functools.partial(_each, workers))
    finally:
        for part in set(out.glob(PART)) - before:  # of a worker that was killed while it wrote
            shutil.rmtree(part, ignore_errors=True)


def _each(workers: Workers, jobs: Sequence[Job], out: Path, resume: bool) -> Generator[tuple[int, Record]]:
    """Yield the records as they come, with a bar over the slides or, elsewhere, plain lines."""
    from tqdm import tqdm

    bar = tqdm(total=len(jobs), desc="slides", unit="slide", leave=False, disable=not sys.stderr.isatty())
    ended = 0

    def waiting(words: str) -> None:
        if bar.disable:
            print(f"[{ended}/{len(jobs)}] {words or 'slides done'}", file=sys.stderr, flush=True)
        else:
            bar.set_description(words or "slides")

    items = [replace(job, settings=replace(job.settings, workers=workers.threads)) for job in jobs]
    work = functools.partial(_score, out, resume)
    with bar:
        for place, record in spread(workers, work, items, folder=out, waiting=waiting):
            ended += 1
            bar.update()
            bar.clear()
            yield place, record or failed_record(jobs[place], GIVEN_UP)


def _score(out: Path, resume: bool, job: Job) -> Record:
    """Score one slide, on a worker; stop where nobody waits for it any more."""
    wanted = wanted_by()

    def progress(*_: object) -> None:
        if not wanted():
            raise ClusterError("nobody waits for it")

    return score_job(job, out, resume=resume, progress=progress)
