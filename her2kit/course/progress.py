"""How far the notebooks are: one bar over all cells on a terminal, one plain line a notebook elsewhere."""

import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from her2kit.course.runner import Outcome


class Progress:
    """Told by the runner, from several threads, about each cell and each notebook's end.

    Parameters
    ----------
    quiet
        Say nothing at all.
    stream
        Where to; stderr by default, so that stdout holds results alone.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._lock = threading.Lock()
        self._cells: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._ended = 0
        self._bar: Any = None

    def begin(self, cells: Mapping[str, int]) -> None:
        """Start with the number of cells of each run."""
        self._cells, self._done = dict(cells), dict.fromkeys(cells, 0)
        if not self._quiet and self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=sum(cells.values()), unit="cell", desc="notebooks", file=self._stream, leave=False
            )

    def cells(self, name: str, done: int) -> None:
        """Note that ``done`` cells of run ``name`` have run."""
        with self._lock:
            step = min(done, self._cells.get(name, done)) - self._done.get(name, 0)
            self._done[name] = self._done.get(name, 0) + max(step, 0)
            if self._bar is not None and step > 0:
                self._bar.set_description(name, refresh=False)
                self._bar.update(step)

    def end(self, outcome: "Outcome") -> None:
        """Note that a run has ended, and say how."""
        name = outcome.run.name
        self.cells(name, self._cells.get(name, 0))
        with self._lock:
            self._ended += 1
            line = f"[{self._ended}/{len(self._cells)}] {name}: {_words(outcome)}"
            if self._bar is not None:
                self._bar.write(line, file=self._stream)
            elif not self._quiet:
                print(line, file=self._stream, flush=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _words(outcome: "Outcome") -> str:
    if outcome.resumed:
        return "done before"
    if outcome.failure is None:
        return f"done in {outcome.seconds:.0f} s"
    return "\n    ".join([f"failed {failure_words(outcome.failure)}", *outcome.failure["lines"]])


def failure_words(failure: Mapping[str, Any]) -> str:
    """Return where and how a run failed, one line."""
    where = "before or after its cells" if failure["cell"] == "no cell" else f"in {failure['cell']}"
    return f"{where}: {failure['error']}"
