"""Checks of notebook 08's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from her2kit.course.judging import RIGHT, judged, list_of, number, word
from her2kit.labels.autolabel import patch_rule
from her2kit.labels.ranking import expected_gain


@judged(list_of(word, lambda one: one is None), "Give a list: for each cell its label, or None.")
def check_rule_of_patches(cells: Sequence[tuple[str, str]], *, answer: Sequence[str | None]) -> str:
    """Return whether ``answer`` holds the labels that R1's rule gives to cells of (patch class, call)."""
    if len(answer) != len(cells):
        return f"Give one label a cell: {len(cells)} in all, None for a cell without a label."
    patch, call = (pd.Series(list(words)) for words in zip(*cells, strict=True))
    right = patch_rule(call, patch).tolist()
    wrong = [k for k, label in enumerate(answer) if label != right[k]]
    if not wrong:
        return RIGHT
    k = wrong[0]
    return f"Not yet: look at cell {k + 1}, called {cells[k][1]} in a patch of class {cells[k][0]}."


@judged(number, "Give a number.")
def check_greatest_lift(*, rate: float, share: float, answer: float) -> str:
    """Return whether ``answer`` is the greatest lift of any order when ``rate`` of the labels are wrong."""
    greatest = 1 / max(rate, share)
    if abs(answer / greatest - 1) < 0.02:
        return RIGHT
    if answer > greatest:
        return "Too high: at best every reviewed label is wrong, or every wrong label is reviewed."
    return "Too low: how many wrong labels could the reviewed part hold, and how many does chance put there?"


@judged(word, "Give the name of a cell, in quotes.")
def check_first_to_review(
    posterior: Mapping[str, Sequence[float]], given: Mapping[str, int], *, answer: str
) -> str:
    """Return whether ``answer`` names the cell whose review by a perfect reader is expected to gain most."""
    if answer not in posterior:
        return f"There is no cell {answer!r}: give one of {', '.join(posterior)}."
    names = list(posterior)
    gain = expected_gain(np.array([given[n] for n in names]), np.array([posterior[n] for n in names]))
    if answer == names[int(gain.argmax())]:
        return RIGHT
    return "Not yet: what is the chance that its label is wrong? Unsure is not the same as probably wrong."
