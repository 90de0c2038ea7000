"""Who does the work: processes of this computer, or a Dask cluster that runs already.

Processes of this computer share its cores and its memory evenly. They listen on 127.0.0.1 alone, take work
only from whoever holds the certificates made for this run, serve no page, and are gone when the block ends;
one that is killed, or grows beyond its memory, is replaced. A cluster that runs already is used as it is
(docs/cluster.md). How work is handed out is `her2kit.cluster.spread`.
"""

import asyncio
import contextlib
import logging
import math
import os
import queue
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from her2kit.cluster.threads import cores, thread_limits
from her2kit.errors import ClusterError

ANSWER_S = 5.0
"""So long a scheduler may take to answer; on a network that works it takes milliseconds."""
PATIENCE_S = 300.0
"""A process of this computer that has not been replaced after so long will not be; on a busy computer it took
more than a minute."""
DEATHS = 2
"""One death more under a task ends it; Dask's own 3 are for clusters whose nodes come and go."""
BYTES_EACH = 3e9
"""Memory that a worker should have: a 20,000 x 20,000 px slide may peak at half of it."""
_LOCAL = {
    # All that a worker holds is the slide at work: nothing could be spilled, and one that pauses until its
    # memory shrinks may wait for ever. At 95 % of its share it is still ended.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that wait for work."""

    client: Any
    """The ``distributed.Client`` that reaches them."""
    place: str
    """Where they are, in words."""
    threads: int
    """Cores that one task may use."""
    patience_s: float = math.inf
    """So long it may have no worker; one that runs already may get some from a queue, in hours."""

    def count(self) -> int:
        """Return how many tasks they take at a time, now."""
        return sum(self.client.nthreads().values())


def default_workers() -> int:
    """Return how many processes suit this computer: half its cores, each with memory; 1 without Dask."""
    if cores() // 2 <= 1 or find_spec("distributed") is None:
        return 1
    from distributed.system import MEMORY_LIMIT

    return max(1, min(cores() // 2, int(MEMORY_LIMIT / BYTES_EACH)))


@contextlib.contextmanager
def local_workers(count: int, *, threads: int | None = None) -> Iterator[Workers]:
    """Start ``count`` processes here, one task each at a time, and end them when the block ends.

    Parameters
    ----------
    threads
        Cores for each; default: this computer's, evenly.

    Raises
    ------
    ClusterError
        If Dask is not installed or the processes cannot be started.
    ValueError
        If ``count`` or ``threads`` is below 1.
    """
    if count < 1 or (threads is not None and threads < 1):
        raise ValueError(f"count={count}, threads={threads}; use 1 or more of each")
    _need_dask(f"{count} workers need")
    import dask
    import distributed

    threads = threads or max(1, cores() // count)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="her2kit-", ignore_cleanup_errors=True)
        )
        stack.enter_context(_environment(thread_limits(threads)))
        stack.enter_context(dask.config.set(_LOCAL))
        try:
            with _interrupts_wait():
                cluster = distributed.LocalCluster(
                    n_workers=count, threads_per_worker=1, security=True, local_directory=scratch,
                    dashboard_address=None, silence_logs=logging.CRITICAL,
                    scheduler_kwargs={"allowed_failures": DEATHS, "dashboard_address": "127.0.0.1:0"},
                )  # fmt: skip
                stack.callback(_close, cluster)
                client = distributed.Client(cluster, set_as_default=False)
                stack.callback(_close, client)
        except (OSError, RuntimeError) as error:
            words = " ".join(str(error).split())
            raise ClusterError(
                f"{count} workers could not be started here ({words}); pass --workers 1"
            ) from error
        yield Workers(client, "this computer", threads, PATIENCE_S)


@contextlib.contextmanager
def running_workers(address: str, *, threads: int | None = None) -> Iterator[Workers]:
    """Reach the workers of a cluster that runs already; they stay when the block ends.

    Parameters
    ----------
    address
        Of its scheduler, such as ``tcp://node7:8786``.
    threads
        Cores for each task; default 1, since Dask takes a thread of a worker for a core.

    Raises
    ------
    ClusterError
        If Dask is not installed or no scheduler answers within ``ANSWER_S`` seconds.
    """
    _need_dask("--scheduler needs")
    import distributed
    from distributed.utils import silence_logging_cmgr

    with contextlib.ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
        try:
            _knock(address)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries on the client alone, line by line
                client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
        except Exception as error:  # what stands at a wrong address may answer anything
            silent = isinstance(error, TimeoutError)
            words = f"nothing came in {ANSWER_S:g} s" if silent else " ".join(str(error).split()).rstrip(".")
            raise ClusterError(
                f"--scheduler {address}: no Dask scheduler answers there ({words}); give the address that "
                "'dask scheduler' prints, such as tcp://node7:8786"
            ) from error
        stack.callback(_close, client)
        yield Workers(client, address, threads or 1)


def _knock(address: str) -> None:
    """Ask the scheduler who it is; raise what goes wrong, a TimeoutError after ``ANSWER_S`` seconds.

    A Client of a place that takes connections and says nothing would wait for ever.
    """
    from distributed import Security, rpc

    async def ask() -> None:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
            await asyncio.wait_for(scheduler.identity(n_workers=0), ANSWER_S)

    def run() -> None:
        try:
            asyncio.run(ask())
            answer.put(None)
        except Exception as error:
            answer.put(error)

    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    threading.Thread(target=run, daemon=True).start()  # a caller in a notebook has a loop of its own
    try:
        error = answer.get(timeout=ANSWER_S + 1)
    except queue.Empty:
        error = TimeoutError()
    if error is not None:
        raise error


def _need_dask(who: str) -> None:
    for name in ("dask", "distributed", "cryptography"):
        if find_spec(name) is None:
            raise ClusterError(
                f"{who} {name}, which is not installed; pip install -c constraints.txt '.[cluster]'"
            )


@contextlib.contextmanager
def _environment(limits: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started within, also for one that replaces another."""
    names = [*limits, "MALLOC_TRIM_THRESHOLD_"]  # the last is set by Dask
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C wait until the block ends; processes and threads started within never see it.

    Ctrl-C on a terminal goes to all processes: the workers leave it to this one, which ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # whichever thread starts it has its signals unblocked by it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close(what: Any) -> None:
    """Close a client or a cluster; that its other end is gone already is no error."""
    with _interrupts_wait(), contextlib.suppress(Exception):
        what.close(timeout=10)
