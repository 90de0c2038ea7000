"""Hand items out to workers, one task each, and take the results back as they come.

A worker that dies costs a retry. Dask counts a death against everything that was on that worker, also what
only waited there; so an item under which too many workers died is tried once more alone, after the others,
and is given up only when its workers die again. Work must bear to be done twice: a worker that is cut off
may still be at it.
"""

import contextlib
import os
import pickle
import queue
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit import __version__
from her2kit.cluster.workers import Workers
from her2kit.errors import ClusterError, WorkersLost

QUIET_S = 15.0
"""After so long without a result the caller is told."""
RESUME = "what is finished is kept, --resume goes on from there"


def spread(
    workers: Workers,
    work: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    folder: Path,
    waiting: Callable[[str], None],
) -> Iterator[tuple[int, Any]]:
    """Yield (place in ``items``, ``work(item)``) in the order in which they end.

    Parameters
    ----------
    work
        A function of a module, or a ``functools.partial`` of one. None as its result says that the item was
        given up: each worker that took it died.
    folder
        Where ``work`` writes; it exists, and the workers must see it.
    waiting
        Called now and then while nothing ends, with what the work waits for, or "" where it goes on.

    Raises
    ------
    ClusterError
        If the workers lack her2kit or have another version, do not see the folder, or the connection is lost.

    Notes
    -----
    Leaving the loop early takes back what has not ended.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    done: queue.SimpleQueue[int] = queue.SimpleQueue()
    running: dict[int, Any] = {}
    suspects: list[int] = []
    tried_alone: set[int] = set()
    none, lost = 0, f"lost the connection to {workers.place}; {RESUME}"

    with tempfile.NamedTemporaryFile(dir=folder, prefix=".her2kit-") as mark:
        here = (__version__, os.getcwd(), os.path.abspath(mark.name))

        def hand_out(places: Sequence[int]) -> None:
            calls = [pickle.dumps(_Call((*here, pickle.dumps((work, items[place]))))) for place in places]
            futures = workers.client.map(pickle.loads, calls, pure=False)
            for place, future in zip(places, futures, strict=True):
                running[place] = future
                future.add_done_callback(lambda _, place=place: done.put(place))

        try:
            hand_out(range(len(items)))
            while running or suspects:
                if not running:
                    tried_alone.add(suspects[0])
                    hand_out([suspects.pop(0)])
                try:
                    place = done.get(timeout=QUIET_S)
                except queue.Empty:
                    try:
                        none = 0 if workers.count() else none + 1
                    except OSError as error:
                        raise WorkersLost(lost) from error
                    if none * QUIET_S > workers.patience_s:
                        raise WorkersLost(f"all workers of {workers.place} ended; {RESUME}") from None
                    waiting(f"{workers.place} has no worker yet; waiting for one" if none else "")
                    continue
                none = 0
                try:
                    result = running[place].result()
                except KilledWorker:
                    result = None
                except (CancelledError, CommClosedError) as error:
                    raise WorkersLost(lost) from error
                except ClusterError:
                    raise
                except Exception as error:  # the task could not even begin
                    words = " ".join(f"{type(error).__name__}: {error}".split())
                    raise ClusterError(
                        f"the workers of {workers.place} cannot run her2kit {__version__} ({words}); install "
                        f"the same version on them; {RESUME}"
                    ) from error
                del running[place]
                if result is None and place not in tried_alone:
                    suspects.append(place)
                else:
                    yield place, result
        finally:
            with contextlib.suppress(Exception):  # the connection may be what ended the loop
                workers.client.cancel(list(running.values()), force=True)


def wanted_by() -> Callable[[], bool]:
    """Return, within a task, a function for any thread that says whether its result is still waited for."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return wanted


@dataclass(frozen=True, slots=True)
class _Call:
    """What becomes ``_on_worker(*arguments)`` where it is unpickled.

    The task that Dask sees is ``pickle.loads``, which every worker knows. A worker that is sent a function it
    cannot import loses its connection and ends; this way the task fails and says why.
    """

    arguments: tuple[str, str, str, bytes]

    def __reduce__(self) -> tuple[Any, ...]:
        return _on_worker, self.arguments


def _on_worker(version: str, cwd: str, mark: str, task: bytes) -> Any:
    """Do one task, a pickled (work, item), on a worker that is fit for it.

    Paths stay as the user gave them, since records keep them; so the worker goes where the user is.
    """
    host = socket.gethostname()
    if version != __version__:
        raise ClusterError(
            f"her2kit is {version} here and {__version__} on the worker {host}; install the same on both; "
            f"{RESUME}"
        )
    if not os.path.exists(mark):
        raise ClusterError(
            f"the worker {host} does not see {os.path.dirname(mark)}; give --out a folder that all workers "
            "share, under the same name"
        )
    try:
        if os.getcwd() != cwd:
            os.chdir(cwd)
    except OSError as error:
        raise ClusterError(
            f"the worker {host} does not see {cwd} ({error.strerror}); call from a folder that all workers "
            "share"
        ) from error
    work, item = pickle.loads(task)
    return work(item)
