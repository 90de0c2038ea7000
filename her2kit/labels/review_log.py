"""A reader's log: each decision is a row that is only ever added, on disk before it is acknowledged.

One SQLite file a reader (`labels.log_file`). `decide` and `undo` return once the row is committed and
flushed, so that a process killed at any moment loses nothing that it acknowledged. An undo is a row of its
own. Knows nothing of slides, nor of who is to read which cell.
"""

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR
from her2kit.errors import ReviewError
from her2kit.labels.log_file import in_words, make_file, open_file, seal_of

NOT_TUMOUR = "not tumour"
CANNOT_LABEL = "cannot be labelled"
LABELS = (*CLASSES, NOT_TUMOUR, CANNOT_LABEL)
"""What a reader may say of a cell."""
LABEL_COLOURS = CLASS_COLOURS | {NOT_TUMOUR: "#5F8D77", CANNOT_LABEL: NOT_EVALUABLE_COLOUR}
MAX_REASON = 500
"""Characters."""
_NAME = re.compile(r"\w[\w .@-]{0,39}")
_STANDING = """FROM decisions WHERE action = 'decide' AND round = ?
  AND number NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reader says of one cell."""

    slide_id: str
    cell_id: str
    label: str
    """One of `LABELS`."""
    given: str | None = None
    """The label that the round came with; logged as ``before`` of the cell's first decision."""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"label={self.label!r} is not known; use one of {', '.join(LABELS)}")
        if self.given is not None and self.given not in LABELS:
            raise ValueError(f"given={self.given!r} is not known; use one of {', '.join(LABELS)}, or None")
        if len(self.reason) > MAX_REASON:
            raise ValueError(f"reason has {len(self.reason)} characters; use at most {MAX_REASON}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a log."""

    number: int
    """Its place in the log, from 1."""
    time: str
    """UTC, ISO 8601."""
    round: str
    slide_id: str
    cell_id: str
    action: str
    """``decide`` or ``undo``."""
    before: str | None
    """Label before it; None: there was none."""
    after: str | None
    """Label after it; None after an undo: the cell is undecided again."""
    reason: str
    undoes: int | None
    """Number of the entry that an undo takes back."""


COLUMNS = tuple(field.name for field in fields(Entry))


class ReviewLog:
    """One reader's log, open for reading and for adding rows. Use it as a context manager, or close it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self.path, self._db, self._clock = path, connection, clock
        self._lock = threading.RLock()  # JupyterLab answers a widget in a thread of its own
        with in_words(self.path):
            row = self._db.execute("SELECT log_id, reader, review_id FROM about").fetchone()
        self.log_id, self.reader, self.review_id = row

    @classmethod
    def create(
        cls,
        path: str | os.PathLike,
        *,
        reader: str,
        review_id: str,
        clock: Callable[[], datetime] | None = None,
    ) -> Self:
        """Make a new log; its folder must exist.

        Raises
        ------
        ReviewError
            If something is there already, or the place cannot be written to.
        """
        clock = clock or _now
        db = make_file(path, reader=check_reader(reader), review_id=review_id, time=_stamp(clock()))
        return cls(Path(path), db, clock)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        *,
        reader: str | None = None,
        review_id: str | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> Self:
        """Open a log that is there.

        Parameters
        ----------
        reader, review_id
            Whose log of which review it must be; None takes any.

        Raises
        ------
        ReviewError
            If it is missing, no log, of another version, or of another reader or review.
        """
        log = cls(Path(path), open_file(path), clock or _now)
        words = None
        if reader is not None and log.reader != reader:
            words = f"is the log of {log.reader}, not of {reader}; give that reader's own"
        elif review_id is not None and log.review_id != review_id:
            words = "belongs to another review (its cells are others); give a log of this one"
        if words:
            log.close()
            raise ReviewError(f"{path}: {words}")
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()

    def decide(self, round_name: str, decision: Decision) -> Entry:
        """Add a decision; it is on disk when this returns.

        Raises
        ------
        ReviewError
            If the round is closed or the log cannot be written to; nothing is added then.
        """
        return self.decide_all(round_name, [decision])[0]

    def decide_all(self, round_name: str, decisions: Iterable[Decision]) -> list[Entry]:
        """Add decisions, all or none of them."""
        with self._adding(round_name):
            return [
                self._add(round_name, d.slide_id, d.cell_id, "decide", self._before(round_name, d), d.label,
                          " ".join(d.reason.split()), None)
                for d in decisions
            ]  # fmt: skip

    def undo(self, round_name: str) -> Entry | None:
        """Take back the last decision that stands, by a new entry; None where none stands."""
        with self._adding(round_name):
            row = self._db.execute(
                f"SELECT number, slide_id, cell_id, after {_STANDING} ORDER BY number DESC LIMIT 1",
                (round_name,),
            ).fetchone()
            if row is None:
                return None
            number, slide_id, cell_id, label = row
            earlier = self._standing(round_name, slide_id, cell_id, "AND number < ?", number)
            return self._add(round_name, slide_id, cell_id, "undo", label, earlier, "", number)

    def close_round(self, round_name: str) -> None:
        """Refuse every further entry in a round; a second call does nothing."""
        with self._writing():
            (last,) = self._db.execute("SELECT COALESCE(MAX(number), 0) FROM decisions").fetchone()
            self._db.execute(
                "INSERT OR IGNORE INTO closed VALUES (?, ?, ?)", (round_name, _stamp(self._clock()), last)
            )

    def standing(self, round_name: str) -> dict[tuple[str, str], str]:
        """Return the label of each decided cell: (slide_id, cell_id) to label, the latest decided last."""
        with self._lock, in_words(self.path):
            rows = self._db.execute(
                f"SELECT slide_id, cell_id, after {_STANDING} ORDER BY number", (round_name,)
            ).fetchall()
        found: dict[tuple[str, str], str] = {}
        for slide_id, cell_id, label in rows:
            found.pop((slide_id, cell_id), None)
            found[slide_id, cell_id] = label
        return found

    def entries(self) -> pd.DataFrame:
        """Return every row with its reader: `COLUMNS`, ``reader``, ``log_id``.

        Raises
        ------
        ReviewError
            If a row was changed after it was written.
        """
        names = ", ".join(COLUMNS)
        with self._lock, in_words(self.path):
            rows = self._db.execute(f"SELECT {names}, seal FROM decisions ORDER BY number").fetchall()
        seal = self.log_id
        for row in rows:
            seal = seal_of(seal, row[:-1])
            if seal != row[-1]:
                raise ReviewError(
                    f"{self.path}: entry {row[0]} was changed after it was written; take a copy of the log "
                    "from before"
                )
        table = pd.DataFrame([row[:-1] for row in rows], columns=list(COLUMNS)).astype(object)
        table = table.where(table.notna(), None).astype({"number": "int64"})
        return table.assign(reader=self.reader, log_id=self.log_id)

    def _before(self, round_name: str, decision: Decision) -> str | None:
        found = self._standing(round_name, decision.slide_id, decision.cell_id)
        return decision.given if found is None else found

    def _standing(self, *where: object) -> str | None:
        round_name, slide_id, cell_id, *rest = where
        more, values = (rest[0], rest[1:]) if rest else ("", [])
        row = self._db.execute(
            f"SELECT after {_STANDING} AND slide_id = ? AND cell_id = ? {more} ORDER BY number DESC LIMIT 1",
            (round_name, slide_id, cell_id, *values),
        ).fetchone()
        return row[0] if row else None

    def _add(self, *values: object) -> Entry:
        number, before = self._db.execute(
            "SELECT COALESCE(MAX(number), 0) + 1, (SELECT seal FROM decisions ORDER BY number DESC LIMIT 1) "
            "FROM decisions"
        ).fetchone()
        entry = Entry(number, _stamp(self._clock()), *values)  # type: ignore[arg-type]
        row = astuple(entry)
        marks = ", ".join("?" * (len(row) + 1))
        self._db.execute(
            f"INSERT INTO decisions ({', '.join(COLUMNS)}, seal) VALUES ({marks})",
            (*row, seal_of(before or self.log_id, row)),
        )
        return entry

    @contextlib.contextmanager
    def _adding(self, round_name: str) -> Iterator[None]:
        with self._writing():
            if self._db.execute("SELECT 1 FROM closed WHERE round = ?", (round_name,)).fetchone():
                raise ReviewError(f"{self.path}: the {round_name} round is closed; decide in the next round")
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, in_words(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def check_reader(name: str) -> str:
    """Return a reader's id without spare spaces.

    Raises
    ------
    ValueError
        If it is empty, longer than 40 characters, or cannot be part of a file's name.
    """
    name = " ".join(name.split())
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise ValueError(f"reader {name!r} cannot be an id; use 1 to 40 letters, digits, spaces, . _ @ or -")
    return name


def _now() -> datetime:
    return datetime.now(UTC)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
