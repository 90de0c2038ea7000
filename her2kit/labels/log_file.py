"""The SQLite file of a reader's log: its tables, its version, and what goes wrong with it in one line.

Triggers refuse changed and removed rows and rows in a closed round. Each row carries a seal: the hash of the
row and of the seal before it, so that a row changed behind the triggers' back is found on reading.

The rollback journal is kept instead of a write-ahead log: between two decisions the log is then one whole
file, which can be copied and lies safely on a network drive (https://www.sqlite.org/wal.html, section 1).
With ``synchronous=EXTRA`` a commit also survives a loss of power.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from her2kit.errors import ReviewError

SCHEMA = 1
SUFFIX = ".sqlite"
_OURS = int.from_bytes(b"H2RL", "big")  # application_id: told from SQLite files of other programs
_WAIT_S = 10.0  # for another process that writes into the same log
_MAKE = """
CREATE TABLE about (
  log_id TEXT NOT NULL, reader TEXT NOT NULL, review_id TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE decisions (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, round TEXT NOT NULL,
  slide_id TEXT NOT NULL, cell_id TEXT NOT NULL, action TEXT NOT NULL CHECK (action IN ('decide', 'undo')),
  before TEXT, after TEXT, reason TEXT NOT NULL,
  undoes INTEGER UNIQUE REFERENCES decisions (number), seal TEXT NOT NULL);
CREATE INDEX of_cell ON decisions (round, slide_id, cell_id);
CREATE TABLE closed (round TEXT PRIMARY KEY, time TEXT NOT NULL, last INTEGER NOT NULL);
CREATE TRIGGER no_change BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
CREATE TRIGGER no_removal BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
CREATE TRIGGER still_open BEFORE INSERT ON decisions WHEN NEW.round IN (SELECT round FROM closed)
  BEGIN SELECT RAISE(ABORT, 'the round is closed'); END;
"""


def make_file(path: str | os.PathLike, *, reader: str, review_id: str, time: str) -> sqlite3.Connection:
    """Make an empty log, whole or not at all.

    Raises
    ------
    ReviewError
        If something is there already, or the place cannot be written to.
    """
    path = _checked(path)
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise ReviewError(f"{path}: is there already; open it, or give the log another place")
    db = _connect(path, "rwc")
    with _closed_on_error(db), in_words(path):
        db.execute("BEGIN IMMEDIATE")
        for statement in _statements(_MAKE):
            db.execute(statement)
        db.execute("INSERT INTO about VALUES (?, ?, ?, ?)", (str(uuid.uuid4()), reader, review_id, time))
        db.execute(f"PRAGMA application_id = {_OURS}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    return db


def open_file(path: str | os.PathLike) -> sqlite3.Connection:
    """Open a log that is there.

    Raises
    ------
    ReviewError
        If it is missing, no log, or of another version.
    """
    path = _checked(path)
    if not path.is_file():
        raise ReviewError(f"{path}: no such log; correct the path")
    db = _connect(path, "rw")
    with _closed_on_error(db):
        with in_words(path):
            ours = db.execute("PRAGMA application_id").fetchone()[0] == _OURS
            (schema,) = db.execute("PRAGMA user_version").fetchone()
        if not ours:
            raise ReviewError(f"{path}: is no review log; name the {SUFFIX} file of a reader")
        if schema != SCHEMA:
            raise ReviewError(
                f"{path}: is a log of version {schema}, and this her2kit reads version {SCHEMA}; "
                "use the her2kit that wrote it"
            )
    return db


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Say what SQLite could not do in one line, as a `ReviewError`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            remedy = "the place cannot be written to; put the review where you may write"
        elif name.startswith("SQLITE_FULL"):
            remedy = "the disk is full; make room. What was acknowledged is kept"
        elif name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            remedy = "is no review log, or a damaged one; name the .sqlite file of a reader"
        elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            remedy = "another program writes into it; close that, then try again"
        else:
            remedy = "nothing was added; try again"
        raise ReviewError(f"{path}: {error}: {remedy}") from error


def seal_of(before: str, row: Sequence[object]) -> str:
    """Return the seal of a row: the SHA-256 of it and of the seal before it, the log's id for the first."""
    return hashlib.sha256(f"{before}\n{json.dumps(row, ensure_ascii=False)}".encode()).hexdigest()


def _checked(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ReviewError(f"{path}: a log ends in {SUFFIX}; correct the path")
    if not path.parent.is_dir():
        raise ReviewError(f"{path}: no folder {path.parent}; make it, or correct the path")
    return path


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    with in_words(path):
        db = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_WAIT_S,
            check_same_thread=False,
        )  # fmt: skip
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA foreign_keys = ON")
        return db


@contextlib.contextmanager
def _closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        db.close()
        raise


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script, so that they can share one transaction."""
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""
