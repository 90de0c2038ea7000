"""Checks of notebook 12's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

import numpy as np

from her2kit.course.judging import RIGHT, judged, number, whole
from her2kit.regions.map_features import major_axis


@judged(whole, "Levels are whole numbers from 0.")
def check_level(*, slide_mpp: float, mpp: float, answer: int) -> str:
    """Return whether ``answer`` is the coarsest level, each half as fine as the last, not above ``mpp``."""
    if answer < 0:
        return "Levels are whole numbers from 0."
    right = int(np.floor(np.log2(mpp / slide_mpp) + 1e-9))
    if answer == right:
        return RIGHT
    if answer > right:
        return "Not yet: that level has larger pixels than wanted. It would have to be magnified."
    return "That is fine enough, but a coarser level is, too, and has fewer pixels to read."


@judged(number, "Give a number of pixels.")
def check_tolerance_px(*, axis_um: float, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is what 5 % of an axis is in pixels."""
    right = 0.05 * axis_um / mpp
    if abs(answer / right - 1) < 0.03:
        return RIGHT
    if abs(answer / (0.05 * axis_um) - 1) < 0.03:
        return "Those are micrometres. How many pixels are they?"
    return "Not yet: take a twentieth of the axis, and ask how often a pixel fits into it."


@judged(number, "Give a number of micrometres.")
def check_axis(tumour: np.ndarray, *, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is the longest diameter in um of the largest part of a bool array, to 3 %."""
    right = major_axis(tumour, um_per_px=mpp).length_um
    if abs(answer / right - 1) < 0.03:
        return RIGHT
    ys, xs = np.nonzero(tumour)
    whole = (np.hypot(xs[:, None] - xs, ys[:, None] - ys).max() + 1) * mpp
    if abs(answer / whole - 1) < 0.03:
        return "Not yet: that runs from one part to another. Measure the largest part alone."
    if abs(answer / (right / mpp) - 1) < 0.03:
        return "Those are pixels. How many micrometres are they?"
    return "Not yet: which part is the largest, and which two of its pixels lie farthest apart?"


@judged(number, "Give a number from 0 to 1.")
def check_total(*, auc: float, within: int, tumours: int, answer: float) -> str:
    """Return whether ``answer`` is R4's total."""
    if not 0 <= answer <= 1:
        return "Give a number from 0 to 1."
    share = within / tumours
    if abs(answer - (auc + share) / 2) < 0.005:
        return RIGHT
    if abs(answer - auc * share) < 0.005:
        return "Not yet: the total is the mean of the two, not their product."
    return "Not yet: the share is of tumour slides; then take the mean of it and the AUC."
