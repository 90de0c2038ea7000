"""Checks of notebook 09's exercises: as in ``exercises``, a wrong answer gets a hint, not the answer."""

from her2kit.course.judging import RIGHT, judged, number, pair


@judged(number, "Give a number of pixels.")
def check_box_px(*, box_um: float, mpp: float, answer: float) -> str:
    """Return whether ``answer`` is the side in pixels of a box of ``box_um`` at ``mpp``."""
    if abs(answer - box_um / mpp) < 0.01:
        return RIGHT
    if abs(answer - box_um * mpp) < 0.01:
        return "Turned over: mpp is micrometres per pixel. Finer pixels need more of them."
    return "Not yet: how many pixels of that size lie side by side in the box?"


@judged(number, "Give a number of pixels.")
def check_side(*, side_px: int, stride: int, answer: int) -> str:
    """Return whether ``answer`` is the nearest side that is a multiple of the stride."""
    if answer % stride:
        return f"{answer} px cannot be halved five times: it is no multiple of {stride}."
    if answer == round(side_px / stride) * stride:
        return RIGHT
    return "That is a multiple, but not the nearest one."


@judged(pair, "Give two numbers in brackets: DQ and PQ.")
def check_quality(
    *, n_true: int, n_found: int, n_hits: int, n_right: int, answer: tuple[float, float]
) -> str:
    """Return whether ``answer`` holds DQ and PQ, each to a hundredth.

    Parameters
    ----------
    n_true, n_found, n_hits, n_right
        True cells, found ones, pairs of both, and pairs whose classes agree.
    """
    dq = 2 * n_hits / (n_true + n_found)
    pq = dq * n_right / n_hits
    if abs(answer[0] - dq) < 0.01 and abs(answer[1] - pq) < 0.01:
        return RIGHT
    if abs(answer[0] - dq) < 0.01:
        return "DQ is right. PQ is DQ times the share of the pairs whose classes agree."
    if abs(answer[0] - n_hits / n_true) < 0.01:
        return "The first one is the recall. DQ is the F1: it counts the false points, too."
    return "Not yet: DQ is twice the hits over true and found cells together."
