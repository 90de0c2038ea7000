"""What ran when: one line an event, added as it happens, so that it tells of what was killed, too.

``log.csv`` lies beside ``runs.csv``. Events: ``started``, ``done``, ``failed``, and ``kept`` for a run that
was done before. Lines are never changed, so that a sweep that was killed and resumed shows both halves.
"""

import csv
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2kit.course.regression import flatten

if TYPE_CHECKING:
    from her2kit.course.plan import Run

LOG = "log.csv"
COLUMNS = ("time", "event", "run", "seconds", "parameters", "result")


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunLog:
    """Add events to ``folder/log.csv``; None for a folder writes nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._path = None if folder is None else folder / LOG

    def add(
        self, event: str, run: "Run", *, seconds: float | None = None, results: dict[str, Any] | None = None
    ) -> None:
        """Add one line; ``result`` holds the first of the notebook's results, its key figure."""
        if self._path is None:
            return
        first = next(iter(flatten(results or {}).items()), None)
        row = [
            now(), event, run.name, "" if seconds is None else seconds,
            json.dumps(dict(run.parameters), ensure_ascii=False),
            "" if first is None else f"{first[0]}={first[1]}",
        ]  # fmt: skip
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        if not self._path.exists():
            csv.writer(text).writerow(COLUMNS)
        csv.writer(text).writerow(row)
        # One write at the end of the file: lines of several threads and processes do not mix.
        place = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, text.getvalue().encode())
        finally:
            os.close(place)


def read_log(folder: Path) -> list[dict[str, str]]:
    """Return the events of ``folder/log.csv`` in order; none where there is no log."""
    path = folder / LOG
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
