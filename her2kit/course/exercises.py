"""Checks of the notebooks' exercises: an open answer is reported, a wrong one gets a hint, not the answer."""

from types import EllipsisType

from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import GUIDELINES, Policies
from her2kit.scoring.rules import decide

OPEN = "Still open: replace ... by your answer and run the cell again."
RIGHT = "Right."


def check_smallest_over_tenth(n: int, answer: int | EllipsisType) -> str:
    """Return whether ``answer`` is the smallest number of cells that is more than 10 % of ``n``."""
    if isinstance(answer, EllipsisType):
        return OPEN
    if isinstance(answer, bool) or not isinstance(answer, int):
        return "Cells are whole: give a whole number."
    if 10 * answer <= n:
        return f"Not yet: is {answer} of {n} more than 10 %, or at most 10 %?"
    if 10 * (answer - 1) > n:
        return "That is enough, but is it the smallest number? Try one less."
    return RIGHT


def check_rule(*, n: int, ci: int, cw: int, im: int, faint: int, answer: str | EllipsisType) -> str:
    """Return whether ``answer`` is the breast score of these counts.

    Parameters
    ----------
    n
        Evaluable invasive tumour cells.
    ci, cw, im, faint
        Complete and intense; complete, weak or moderate; incomplete, moderate or intense; incomplete and
        faint.
    """
    if isinstance(answer, EllipsisType):
        return OPEN
    if answer not in ("0", "1+", "2+", "3+"):
        return f"{answer!r} is no score: give one of '0', '1+', '2+', '3+'."
    counts = Counts(n - ci - cw - im - faint, faint, cw + im, ci, ci=ci, cw=cw, im=im)
    verdict = decide(counts, GUIDELINES["breast-asco-cap-2018"].rules, Policies())
    if answer == verdict.score:
        return RIGHT
    if answer > verdict.score:
        return "Too high: count again which cells a rule takes together, and hold them against 10 % of all."
    return (
        "Too low: rules are tried from the top, each counts cumulatively, and the first that fires decides."
    )
