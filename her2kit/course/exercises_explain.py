"""Checks of notebook 07's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

import math

import pandas as pd

from her2kit.course.judging import RIGHT, judged, list_of, number, whole, word

_CLOSE = 0.03


@judged(number, "Give a number.")
def check_times_chance(*, share: float, area: float, answer: float) -> str:
    """Return whether ``answer`` says how many times chance a share of the attention is.

    Parameters
    ----------
    share, area
        Of the attention and of the tile, 0 to 1.
    """
    if abs(answer - share / area) <= _CLOSE * share / area:
        return RIGHT
    if abs(answer - (share - area)) <= _CLOSE:
        return "That is the difference. How many times does one go into the other?"
    if abs(answer - area / share) <= _CLOSE:
        return "The other way round: chance stands below the line."
    return "Not yet: chance gives a part as much attention as its share of the tile."


@judged(whole, "Places are whole: give a whole number.")
def check_places(*, side_px: int, stride: int, answer: int) -> str:
    """Return whether ``answer`` is the number of places in the whole map of a square tile at a stride."""
    side = math.ceil(side_px / stride)
    if answer == side**2:
        return RIGHT
    if answer == side:
        return "That is one side. How many places has the whole map?"
    return "Not yet: one place every stride pixels, in both directions."


@judged(list_of(word), "Give a list of methods: names in quotes, in square brackets.")
def check_trustworthy(table: pd.DataFrame, *, bound: float, answer: list[str]) -> str:
    """Return whether ``answer`` names the methods that stay below a bound at every step of the cascade.

    Parameters
    ----------
    table
        As `her2kit.learning.explain_checks.weight_randomisation` gives it.
    """
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
