"""Checks of the notebooks' exercises: an open answer is reported, a wrong one gets a hint, not the answer."""

from collections.abc import Mapping

from her2kit.course.judging import RIGHT, by_name, judged, number, whole, word
from her2kit.course.verdict import Verdict
from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import GUIDELINES, Policies
from her2kit.scoring.rules import decide

SCORES = ("0", "1+", "2+", "3+")


@judged(whole, "Cells are whole: give a whole number.")
def check_smallest_over_tenth(n: int, answer: int) -> str:
    """Return whether ``answer`` is the smallest number of cells that is more than 10 % of ``n``."""
    if 10 * answer <= n:
        return f"Not yet: is {answer} of {n} more than 10 %, or at most 10 %?"
    if 10 * (answer - 1) > n:
        return "That is enough, but is it the smallest number? Try one less."
    return RIGHT


@judged(word, "Give one of '0', '1+', '2+', '3+', in quotes.")
def check_rule(*, n: int, ci: int, cw: int, im: int, faint: int, answer: str) -> str:
    """Return whether ``answer`` is the breast score of these counts.

    Parameters
    ----------
    n
        Evaluable invasive tumour cells.
    ci, cw, im, faint
        Complete and intense; complete, weak or moderate; incomplete, moderate or intense; incomplete and
        faint.
    """
    if answer not in SCORES:
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


@judged(number, "Not yet: give a number of micrometres.")
def check_tile_um(*, tile_px: int, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is the side in micrometres that ``tile_px`` pixels of ``mpp`` show."""
    if _near(answer, tile_px * mpp):
        return RIGHT
    if _near(answer, tile_px / mpp):
        return "Not yet: you divided. Each pixel shows mpp micrometres; how many do all of them show?"
    return "Not yet: one pixel shows mpp micrometres. How many micrometres lie side by side in the tile?"


@judged(number, "Not yet: give a number of pixels.")
def check_pixels_across(*, width_um: float, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is how many pixels of ``mpp`` a line of ``width_um`` covers across."""
    if _near(answer, width_um / mpp):
        return RIGHT
    if _near(answer, width_um * mpp):
        return "Not yet: you multiplied. A larger mpp means fewer pixels across the same line."
    return "Not yet: how often does one pixel fit into the width of the line? Do not round to whole pixels."


@judged(by_name, "Give a score for each field, by its letter.")
def check_reading(planted: Mapping[str, str | None], answers: Mapping[str, str]) -> str:
    """Return which fields were read as planted by name, without saying what was planted.

    Parameters
    ----------
    planted
        Field to its score.
    answers
        Field to the reader's score, ``...`` where it is open.
    """
    missing = [name for name in planted if answers.get(name, ...) is ...]
    if missing:
        words = f"Still open: {', '.join(missing)}. Replace ... by a score and run the cell again."
        return Verdict(words, "open")
    strange = [name for name in planted if answers[name] not in SCORES]
    if strange:
        return f"No score: {', '.join(strange)}. Give one of {', '.join(SCORES)}, in quotes."
    wrong = [name for name in planted if answers[name] != planted[name]]
    if not wrong:
        return RIGHT
    return (
        f"{len(planted) - len(wrong)} of {len(planted)} as planted. Look again at {', '.join(wrong)}: "
        "is there a line, does it close, and in how many cells?"
    )


def _near(answer: float, right: float) -> bool:
    return abs(answer / right - 1) < 0.01
