"""Checks of notebook 04's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from her2kit.course.judging import OPEN, RIGHT, by_name, judged, number

_SHARE = 0.005


@judged(number, "F1 lies between 0 and 1: give a number.")
def check_f1(confusion: pd.DataFrame, *, name: str, answer: float) -> str:
    """Return whether ``answer`` is the F1 of a class, to two digits.

    Parameters
    ----------
    confusion
        Counts, truth down, prediction across.
    name
        The class.
    """
    if not 0 <= answer <= 1:
        return "F1 lies between 0 and 1: give a number."
    hit, true, said = confusion.loc[name, name], confusion.loc[name].sum(), confusion[name].sum()
    if abs(answer - 2 * hit / max(1, true + said)) <= _SHARE:
        return RIGHT
    recall, precision = hit / max(1, true), hit / max(1, said)
    if min(abs(answer - recall), abs(answer - precision)) <= _SHARE:
        return "Not yet: that is recall or precision alone. F1 needs the row and the column."
    if abs(answer - (recall + precision) / 2) <= _SHARE:
        return "Nearly: F1 is the harmonic mean of precision and recall, not the plain one."
    return "Not yet: twice the hits, over all tiles in the row and all in the column."


@judged(number, "Give a number of square millimetres.")
def check_area_mm2(*, tiles: int, side_px: int, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is the area, in mm2, of square tiles of ``side_px`` pixels."""
    right = tiles * (side_px * mpp) ** 2 / 1e6
    if abs(answer / right - 1) < 0.01:
        return RIGHT
    if any(abs(answer / (right * k) - 1) < 0.01 for k in (1e6, 1e3)):
        return "Nearly: a square millimetre has a million square micrometres."
    return "Not yet: how many um is one side, how many um2 one tile, how many mm2 all of them?"


@judged(by_name, "Give TPS and CPS, each by its name.")
def check_pdl1(
    *, tumour: int, positive_tumour: int, positive_immune: int, answer: Mapping[str, float]
) -> str:
    """Return whether ``answer`` holds TPS and CPS of these counts of cells."""
    given: dict[str, Any] = {name: answer.get(name, ...) for name in ("TPS", "CPS")}
    if any(value is ... for value in given.values()):
        return OPEN
    both = positive_tumour + positive_immune
    right = {"TPS": 100 * positive_tumour / tumour, "CPS": min(100.0, 100 * both / tumour)}
    wrong = [n for n, v in given.items() if not number(v) or abs(v - right[n]) > 0.1]
    if not wrong:
        return RIGHT
    if wrong == ["CPS"] and number(given["CPS"]) and given["CPS"] > 100:
        return "CPS: the sum may exceed the tumour cells; what is the largest value that CPS can take?"
    if wrong == ["CPS"]:
        return "CPS: immune cells are added above the line. What stands below it?"
    return f"Not yet: {wrong[0]} is a percentage of the viable tumour cells."
