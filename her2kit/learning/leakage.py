"""Refuse a split that leaks: a picture, a copy of it, a slide or a patient stands in two parts.

A model that is tested on what it has seen looks better than it is. Slides and patients are compared by name,
pictures by hashes of what they show (``near_duplicates``). A leak is refused, however small; what it buys is
the subject of ``leakage_lab``.
"""

import itertools

import numpy as np
import pandas as pd

from her2kit.errors import LeakageError, ManifestError
from her2kit.learning.near_duplicates import MOST_BITS, find_pairs

LEAKS = ("kind", "name", "row", "part", "other_row", "other_part", "bits")
"""Columns of a table of leaks: what stands in two parts, its name, one of its rows in each, and how many bits
of their hashes differ (only for ``copy``)."""
CHECKED = ("check", "units", "leaks")
"""Columns of what was checked; ``units`` is 0 where nothing could be: no such names, or no hashes."""
PICTURE = ("path", "tile_id")
"""What names a picture: its file, and its place in it where there are several."""
_SHOWN = 3
"""Leaks of each kind that the message names."""


def find_leaks(
    table: pd.DataFrame, *, hashes: np.ndarray | None = None, most: int = MOST_BITS, turned: bool = True
) -> pd.DataFrame:
    """Return what stands in two parts of a split.

    Parameters
    ----------
    table
        With ``split``, and ``path``, ``slide_id`` or ``patient_id``. Rows without a part are in none.
    hashes
        uint64 (n, 4), `near_duplicates.hash_files` of the rows' pictures; None leaves the pictures unread.
    most, turned
        See `near_duplicates.find_pairs`.

    Returns
    -------
    DataFrame
        Columns `LEAKS`: ``kind`` is ``picture``, ``slide_id``, ``patient_id`` or ``copy``; rows are named by
        the index of ``table``. A slide with rows in three parts has two lines.

    Raises
    ------
    ManifestError
        If no row has a part, nothing names slides, patients or pictures, or some rows do and others do not.
    """
    return _look(table, hashes, most, turned)[0]


def check_split(
    table: pd.DataFrame, *, hashes: np.ndarray | None = None, most: int = MOST_BITS, turned: bool = True
) -> pd.DataFrame:
    """Refuse a split that leaks; the arguments are those of `find_leaks`.

    Returns
    -------
    DataFrame
        Columns `CHECKED`, one line a check: what was looked at, and what was not.

    Raises
    ------
    LeakageError
        If anything stands in two parts: it names rows, and holds the table of leaks as ``leaks``.
    ManifestError
        As `find_leaks`.
    """
    leaks, checked = _look(table, hashes, most, turned)
    if len(leaks):
        raise LeakageError(_words(leaks), leaks)
    return checked


def _look(table, hashes, most, turned) -> tuple[pd.DataFrame, pd.DataFrame]:
    if "split" not in table:
        raise ManifestError("the table has no column split; make one with her2kit.learning.splits.split")
    given = (table["split"].notna() & (table["split"] != "")).to_numpy(bool)
    if not given.any():
        raise ManifestError("split is empty in every row; make one with her2kit.learning.splits.split")
    if hashes is not None and len(hashes) != len(table):
        raise ValueError(f"hashes has {len(hashes)} rows, the table {len(table)}; hash each row's picture")
    rows, number, part = table.index[given], np.flatnonzero(given), table["split"][given].astype(str)
    part_of, parts = pd.factorize(part, sort=True)
    found, checked = [], []
    for kind in ("picture", "slide_id", "patient_id"):
        names = _names(table[given], kind)
        if names is None:
            checked.append((kind, 0, 0))
            continue
        units, pairs = _in_two_parts(names, part_of)
        checked.append((kind, units, len(pairs)))
        for a, b in pairs:
            found.append((kind, names[a], rows[a], parts[part_of[a]], rows[b], parts[part_of[b]], 0))
    if not any(units for _, units, _ in checked):
        raise ManifestError("the table names no slide, patient or picture; give slide_id or patient_id")
    units, copies = 0, _NO_PAIRS
    if hashes is not None:
        units = int(hashes[number].any(axis=1).sum())
        copies = find_pairs(hashes[number], apart=part_of, most=most, turned=turned)
    checked.append(("copy", units, len(copies)))
    for a, b, bits in zip(*(copies[name] for name in ("first", "second", "bits")), strict=True):
        found.append(("copy", None, rows[a], parts[part_of[a]], rows[b], parts[part_of[b]], bits))
    return pd.DataFrame(found, columns=list(LEAKS)), pd.DataFrame(checked, columns=list(CHECKED))


_NO_PAIRS = pd.DataFrame({name: np.empty(0, np.int64) for name in ("first", "second", "bits")})


def _names(table: pd.DataFrame, kind: str) -> np.ndarray | None:
    """Return the name of each row's unit, or None where the table names none."""
    columns = [name for name in (PICTURE if kind == "picture" else (kind,)) if name in table]
    if not columns or columns[0] == "tile_id":
        return None
    empty = (table[columns[0]].isna() | (table[columns[0]] == "")).to_numpy(bool)
    if empty.all():
        return None
    if empty.any():
        raise ManifestError(
            f"{columns[0]} is empty in row {table.index[empty][0]} and filled in others, so nobody can tell "
            "whether it leaks; fill it in"
        )
    named = [table[name].astype(str) for name in columns]
    return (named[0] if len(named) == 1 else named[0].str.cat(named[1:], sep=" ")).to_numpy(object)


def _in_two_parts(names: np.ndarray, part_of: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of units, and for each in several parts a row in the first and one in each other."""
    unit_of, units = pd.factorize(names)
    both = unit_of * (int(part_of.max()) + 1) + part_of
    _, first = np.unique(both, return_index=True)  # by unit, then part
    same = np.flatnonzero(unit_of[first][1:] == unit_of[first][:-1]) + 1
    heads = np.searchsorted(unit_of[first], unit_of[first][same])
    return len(units), np.column_stack([first[heads], first[same]])


def _words(leaks: pd.DataFrame) -> str:
    """Return one line that names leaks of each kind and says what to do."""
    said = []
    for kind, group in leaks.groupby("kind", sort=False):
        rows = [
            f"{'' if leak.name is None else repr(leak.name) + ' '}in {leak.part} (row {leak.row}) and "
            f"{leak.other_part} (row {leak.other_row})"
            for leak in itertools.islice(group.itertuples(index=False), _SHOWN)
        ]
        more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
        said.append(f"{_CALLED[kind]} {', '.join(rows)}{more}")
    advice = next(words for kind, words in _ADVICE.items() if (leaks["kind"] == kind).any())
    return f"the split leaks: {'; '.join(said)}; {advice}"


_CALLED = {
    "picture": "picture",
    "slide_id": "slide",
    "patient_id": "patient",
    "copy": "nearly the same picture",
}
_ADVICE = {
    "patient_id": "split(table, unit='patient_id') keeps patients whole",
    "slide_id": "split(table, unit='slide_id') keeps slides whole",
    "picture": "name each picture once",
    "copy": "remove one of each two, or give both the same slide_id and split by it",
}
