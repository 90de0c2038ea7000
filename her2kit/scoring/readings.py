"""What readers called each slide: a CSV in, long or wide, checked; one table out. Compares nothing.

Long: a line for each reading, columns ``slide_id, reader, score`` and, if there, ``h_score``. Wide: a line
for each slide, ``slide_id`` and a column for each reader. A score left empty is a slide that was not read.
"""

import difflib
import math
import os
import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pandas as pd

from her2kit.errors import ManifestError
from her2kit.manifest import read_lines

SCORES = ("0", "1+", "2+", "3+")
COLUMNS = ("slide_id", "reader", "score", "h_score")
_BESIDE = ("patient_id", "path", "skill", "comment")
"""Columns of a wide file that are no readers."""
_SPELLINGS = {s: s for s in SCORES} | {s[0]: s for s in SCORES[1:]}


def read_readings(path: str | os.PathLike, *, slides: Iterable[str] | None = None) -> pd.DataFrame:
    """Read readers' scores.

    Parameters
    ----------
    path
        A CSV in UTF-8 with commas and a header.
    slides
        Every slide there is; a reading of another one is an error, since its name is most likely misspelt.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a reading, in the file's order; ``score`` one of `SCORES`, ``h_score`` float64 in
        0..300, nan where it was not given. Slides that a reader left out have no row.

    Raises
    ------
    ManifestError
        If a score or H-score is not known, a reader has two spellings or read a slide twice, or a slide is
        not among `slides`; one line with the file, the line and what to do.
    """
    path = Path(path)
    header, lines = read_lines(path, needed="slide_id")
    long = "reader" in header
    if long and "score" not in header:
        raise ManifestError(f"{path} has a column reader, but no column score; add it")
    readers = [h for h in header if h and h != "slide_id" and h not in _BESIDE]
    if not long and not readers:
        raise ManifestError(
            f"{path} names no reader; give each a column, or add the columns reader and score"
        )
    found, where = [], []
    for number, row in lines:
        given = [(row["reader"], row["score"], row.get("h_score", ""))] if long else [
            (reader, row[reader], "") for reader in readers
        ]  # fmt: skip
        for reader, score, h_score in given:
            here = f"{path}, line {number}"
            if not row["slide_id"] or not reader:
                raise ManifestError(
                    f"{here}: {'reader' if row['slide_id'] else 'slide_id'} is empty; fill it in"
                )
            if not score and not h_score:
                continue
            found.append((row["slide_id"], reader, _score(here, reader, score), _h_score(here, h_score)))
            where.append(number)
    if not found:
        raise ManifestError(f"{path} holds no reading; fill in scores such as {', '.join(SCORES)}")
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype=object).astype({"h_score": "float64"})
    _check_slides(path, table, where, slides)
    _check_spellings(path, table, where)
    _check_twice(path, table, where)
    return table


def score_of(text: str) -> str | None:
    """Return the score that a text means: 2 and "2 +" mean 2+; None if it means none."""
    return _SPELLINGS.get(text.replace(" ", ""))


def _score(here: str, reader: str, text: str) -> str | None:
    if not text:
        return None
    score = score_of(text)
    if score is None:
        raise ManifestError(
            f"{here}: {reader} called it {text!r}; use {', '.join(SCORES)}, or leave it empty"
        )
    return score


def _h_score(here: str, text: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 300:
        raise ManifestError(f"{here}: h_score={text!r} is no H-score; use a number from 0 to 300")
    return value


def _check_slides(path: Path, table: pd.DataFrame, where: list[int], slides: Iterable[str] | None) -> None:
    if slides is None:
        return
    known = list(slides)
    strange = [(n, s) for n, s in zip(where, table["slide_id"], strict=True) if s not in set(known)]
    if strange:
        number, name = strange[0]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "correct it, or add the slide to the manifest"
        more = f" ({len({s for _, s in strange})} such slides)" if len({s for _, s in strange}) > 1 else ""
        raise ManifestError(f"{path}, line {number}: slide_id {name!r} is not in the manifest{more}; {hint}")


def _check_spellings(path: Path, table: pd.DataFrame, where: list[int]) -> None:
    """Raise if one reader seems to have two names, which would make two half readers of one."""
    first = {reader: n for n, reader in reversed(list(zip(where, table["reader"], strict=True)))}
    read = table.groupby("reader", sort=False)["slide_id"].agg(set)
    for one, two in combinations(read.index, 2):
        same = _bare(one) == _bare(two)
        if not same and not (_one_letter_apart(_bare(one), _bare(two)) and not read[one] & read[two]):
            continue
        remedy = "use one spelling" + ("" if same else ", or names that differ more if they are two people")
        raise ManifestError(
            f"{path}, line {first[two]}: reader {two!r} looks like {one!r} (line {first[one]}); {remedy}"
        )


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _one_letter_apart(one: str, two: str) -> bool:
    """Return whether two names of 5 or more differ by one letter added, left out, changed or swapped.

    Not at the end, and not by a digit: "reader A" and "reader B", "reader 1" and "reader 2" are two people.
    """
    if min(len(one), len(two)) < 5 or abs(len(one) - len(two)) > 1 or one[-2:] != two[-2:]:
        return False
    matcher = difflib.SequenceMatcher(None, one, two, autojunk=False)
    edits = [(one[a:b], two[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]
    if any(c.isdigit() for pair in edits for c in "".join(pair)):
        return False
    swapped = sorted(one) == sorted(two) and len(edits) == 2
    return swapped or (len(edits) == 1 and max(len(side) for side in edits[0]) <= 1)


def _check_twice(path: Path, table: pd.DataFrame, where: list[int]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, slide, reader in zip(where, table["slide_id"], table["reader"], strict=True):
        if (slide, reader) in seen:
            raise ManifestError(
                f"{path}, line {number}: {reader} read {slide} in line {seen[slide, reader]} too; keep one"
            )
        seen[slide, reader] = number
