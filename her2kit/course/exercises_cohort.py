"""Checks of notebook 11's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

from collections.abc import Sequence

import numpy as np

from her2kit.course.judging import RIGHT, judged, number, word
from her2kit.scoring.agreement import kappa

MATRIX = ((20, 4, 0, 0), (3, 15, 5, 0), (0, 4, 18, 2), (0, 0, 1, 28))
"""Slides by reference (rows 0, 1+, 2+, 3+) and reader (columns)."""


@judged(number, "Give a number from -1 to 1.")
def check_quadratic_kappa(matrix: Sequence[Sequence[int]], *, answer: float, within: float = 0.005) -> str:
    """Return whether ``answer`` is the quadratic kappa of a cross table."""
    table = np.array(matrix)
    if abs(answer - kappa(table, weights="quadratic")) <= within:
        return RIGHT
    if abs(answer - kappa(table)) <= within:
        return "That is Cohen's unweighted kappa: here a slip from 0 to 3+ must cost more than one to 1+."
    if abs(answer - kappa(table, weights="linear")) <= within:
        return "That is the linear kappa: a slip over two categories costs four, not two."
    if abs(answer - np.trace(table) / table.sum()) <= within:
        return "That is the share of equal scores: what part of it would chance give?"
    return "Not yet: 1 minus the squared distances seen, over those that the margins would give by chance."


@judged(number, "Give a number from 0 to 1.")
def check_positive_agreement(matrix: Sequence[Sequence[int]], *, cut: int, answer: float) -> str:
    """Return whether ``answer`` is the positive agreement: what the reference calls `cut` or more, found.

    Parameters
    ----------
    cut
        Place of a score among 0, 1+, 2+, 3+.
    """
    table = np.array(matrix)
    if abs(answer - table[cut:, cut:].sum() / table[cut:].sum()) < 0.005:
        return RIGHT
    if abs(answer - table[cut:, cut:].sum() / table[:, cut:].sum()) < 0.005:
        return "You divided by what the reader called so. The reference stands below the line."
    if abs(answer - table[:cut, :cut].sum() / table[:cut].sum()) < 0.005:
        return "That is the negative agreement: of the slides that the reference calls less."
    return (
        "Not yet: take the rows of the reference from the cut on. How many of them are beyond it by column?"
    )


@judged(number, "Give a number of cells.")
def check_effective_cells(*, cells: int, design_effect: float, answer: float) -> str:
    """Return whether ``answer`` is how many independent cells so many cells are worth."""
    if abs(answer / (cells / design_effect) - 1) < 0.02:
        return RIGHT
    if abs(answer / (cells * design_effect) - 1) < 0.02:
        return "You multiplied: neighbours that are alike make the cells tell less, not more."
    return "Not yet: the design effect is the variance of the share over that of as many independent cells."


@judged(word, "Give 'ultralow' or 'not resolved', in quotes.")
def check_ultralow(*, stained: int, cells: int, limit: float, answer: str) -> str:
    """Return whether ``answer`` says what a score of 0 with so many stained cells may be called.

    Parameters
    ----------
    limit
        Limit of detection, as a share of the cells.
    answer
        ``ultralow`` or ``not resolved``.
    """
    if answer not in ("ultralow", "not resolved"):
        return f"{answer!r} is neither: answer 'ultralow' or 'not resolved'."
    if (answer == "ultralow") == (stained > limit * cells):
        return RIGHT
    return "Not yet: how many of the cells may look stained on a slide without any HER2?"
