"""Checks of notebook 05's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

import math

import numpy as np

from her2kit.course.judging import RIGHT, judged, number, whole


@judged(number, "Give a number from 0 to 1.")
def check_dice(truth: np.ndarray, predicted: np.ndarray, *, answer: float) -> str:
    """Return whether ``answer`` is the Dice coefficient of two bool arrays, to a hundredth."""
    both, either = (truth & predicted).sum(), (truth | predicted).sum()
    dice = 2 * both / (truth.sum() + predicted.sum())
    if abs(answer - dice) < 0.01:
        return RIGHT
    if abs(answer - both / either) < 0.01:
        return "That is the IoU. Dice counts the overlap twice, against the sum of both areas."
    if abs(answer - (truth == predicted).mean()) < 0.01:
        return "That is the accuracy: it counts the empty squares, too. Dice does not."
    return "Not yet: count the squares of the truth, of the prediction, and those of both."


@judged(number, "Give a number of pairs.")
def check_pairs(*, side_px: int, token_px: int, shrink: int, answer: float) -> str:
    """Return whether ``answer`` is how many pairs a stage compares.

    Parameters
    ----------
    side_px, token_px
        Side of the picture, and from one token to the next.
    shrink
        By how much keys are thinned out, along each side.
    """
    tokens = (side_px // token_px) ** 2
    if math.isclose(answer, tokens * tokens / shrink**2, rel_tol=0.01):
        return RIGHT
    if math.isclose(answer, tokens**2, rel_tol=0.01):
        return "That is all with all. How many keys are left after thinning out?"
    if math.isclose(answer, tokens**2 / shrink, rel_tol=0.01):
        return "Nearly: keys are thinned out along both sides."
    return "Not yet: how many tokens are there in all, and with how many keys is each compared?"


@judged(whole, "Pixels are whole: give a whole number.")
def check_kept(truth: np.ndarray, *, unannotated: int, answer: int) -> str:
    """Return whether ``answer`` is how many pixels of a mask count in a figure."""
    kept = int((truth != unannotated).sum())
    if answer == kept:
        return RIGHT
    if answer == truth.size:
        return "Those are all pixels. Which of them did somebody look at?"
    if answer == truth.size - kept:
        return "Those are the pixels that do not count."
    return "Not yet: read the mask as class ids first, whichever way it was written."
