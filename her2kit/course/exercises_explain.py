"""Checks of notebook 07's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

import math
from types import EllipsisType
from typing import TypeGuard

import pandas as pd

from her2kit.course.exercises import OPEN, RIGHT
from her2kit.course.verdict import judged

_CLOSE = 0.03


@judged
def check_times_chance(*, share: float, area: float, answer: float | EllipsisType) -> str:
    """Return whether ``answer`` says how many times chance a share of the attention is.

    Parameters
    ----------
    share, area
        Of the attention and of the tile, 0 to 1.
    """
    if isinstance(answer, EllipsisType):
        return OPEN
    if not _is_number(answer):
        return "Give a number."
    if abs(answer - share / area) <= _CLOSE * share / area:
        return RIGHT
    if abs(answer - (share - area)) <= _CLOSE:
        return "That is the difference. How many times does one go into the other?"
    if abs(answer - area / share) <= _CLOSE:
        return "The other way round: chance stands below the line."
    return "Not yet: chance gives a part as much attention as its share of the tile."


@judged
def check_places(*, side_px: int, stride: int, answer: int | EllipsisType) -> str:
    """Return whether ``answer`` is the number of places in the whole map of a square tile at a stride."""
    if isinstance(answer, EllipsisType):
        return OPEN
    if isinstance(answer, bool) or not isinstance(answer, int):
        return "Places are whole: give a whole number."
    side = math.ceil(side_px / stride)
    if answer == side**2:
        return RIGHT
    if answer == side:
        return "That is one side. How many places has the whole map?"
    return "Not yet: one place every stride pixels, in both directions."


@judged
def check_trustworthy(table: pd.DataFrame, *, bound: float, answer: list[str] | EllipsisType) -> str:
    """Return whether ``answer`` names the methods that stay below a bound at every step of the cascade.

    Parameters
    ----------
    table
        As `her2kit.learning.explain_checks.weight_randomisation` gives it.
    """
    if isinstance(answer, EllipsisType):
        return OPEN
    means = table.groupby(["method", "depth"])["correlation"].mean().groupby("method").max()
    unknown = [name for name in answer if name not in means.index]
    if unknown:
        return f"{unknown[0]!r} is no method of the table; use {', '.join(means.index)}."
    wrong = [name for name in means.index if (means[name] <= bound) != (name in answer)]
    if not wrong:
        return RIGHT
    if wrong[0] in answer:
        return f"Not yet: look at the highest point of {wrong[0]} to the right of `trained`."
    return f"Not yet: why did you leave out {wrong[0]}?"


@judged
def check_counterfactual(*, answer: str | EllipsisType) -> str:
    """Return whether ``answer`` names the experiment that proves what a map only suggests."""
    if isinstance(answer, EllipsisType):
        return OPEN
    if answer not in ("another map", "take the mark away", "more tiles with the mark"):
        return "Give one of the three, in quotes."
    if answer == "take the mark away":
        return RIGHT
    return "Not yet: what changes the input, and nothing else?"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
