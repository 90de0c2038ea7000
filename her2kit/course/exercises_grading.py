"""Checks of notebook 06's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import pandas as pd

from her2kit.course.grading_lab import grade
from her2kit.course.judging import RIGHT, judged, number, whole, word


@judged(word, "Give one of '0', '1+', '2+', '3+', in quotes.")
def check_tile_grade(shares: Mapping[str, float], *, answer: str) -> str:
    """Return whether ``answer`` is the class of a tile with these shares, see `grading_lab.grade`."""
    if answer not in ("0", "1+", "2+", "3+"):
        return f"{answer!r} is no class: give one of '0', '1+', '2+', '3+'."
    right = grade(shares)
    if answer == right:
        return RIGHT
    if answer > right:
        return "Too high: is the share *more* than 10 %? And does the membrane close?"
    return "Too low: the rules are tried from the top, and a stronger cell counts for the weaker rule, too."


@judged(whole, "Runs are whole: give a whole number.")
def check_runs(grid: Mapping[str, Sequence[Any]], *, seeds: int, answer: int) -> str:
    """Return whether ``answer`` is how many runs a full grid has, each with so many seeds."""
    sizes = [len(values) for values in grid.values()]
    if answer == prod(sizes) * seeds:
        return RIGHT
    if answer == prod(sizes):
        return "Nearly: and each of them once for every seed."
    if answer in (sum(sizes), sum(sizes) * seeds):
        return "Not yet: you added. Each value of one factor meets every value of the others."
    return "Not yet: how many values has each factor, and how many ways are there to pick one of each?"


@judged(number, "Give a number from 0 to 1.")
def check_calibration(bins: pd.DataFrame, *, answer: float) -> str:
    """Return whether ``answer`` is the expected calibration error of these bins, to two digits.

    Parameters
    ----------
    bins
        ``confidence``, ``accuracy`` and ``n``.
    """
    gaps = (bins["confidence"] - bins["accuracy"]).abs()
    if abs(answer - (gaps * bins["n"]).sum() / bins["n"].sum()) <= 0.005:
        return RIGHT
    if abs(answer - gaps.mean()) <= 0.005:
        return "Nearly: a bin with many tiles counts more than one with few."
    signed = ((bins["confidence"] - bins["accuracy"]) * bins["n"]).sum() / bins["n"].sum()
    if abs(answer - signed) <= 0.005:
        return "Nearly: too sure in one bin does not make up for too modest in another."
    return "Not yet: the gap of each bin, without its sign, weighted by the bin's tiles."
