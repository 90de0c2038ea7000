"""Inference on a picture of any size: overlapping windows, blended so that no seam shows."""

from collections.abc import Callable

import numpy as np


def blended(
    run: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, *, window_px: int, overlap: float = 0.5
) -> np.ndarray:
    """Return probabilities of each pixel from overlapping windows, weighted by how far from their border.

    Parameters
    ----------
    run
        From uint8 (n, window_px, window_px, 3) to probabilities (n, classes, window_px, window_px).
    picture
        uint8 (h, w, 3) of any size; white is put around it where it is smaller than a window.
    overlap
        Share of a window that it has in common with the next, 0 to below 1.

    Returns
    -------
    float32 (classes, h, w); each pixel's sum to 1.
    """
    check_window(window_px)
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap={overlap}; use a share from 0 to below 1 (0.5 is usual)")
    if picture.ndim != 3 or not picture.size:
        raise ValueError(f"picture is {picture.shape}; give (h, w, 3) with at least one pixel")
    height, width = picture.shape[:2]
    beyond = [(0, max(0, window_px - n)) for n in (height, width)]
    padded = np.pad(picture, [*beyond, (0, 0)], constant_values=255)
    step = max(1, round(window_px * (1 - overlap)))
    tops, lefts = (
        [*range(0, n - window_px, step), n - window_px] for n in (padded.shape[0], padded.shape[1])
    )
    edge = np.minimum(np.arange(window_px) + 1, window_px - np.arange(window_px)).astype(np.float32)
    weight = np.minimum.outer(edge, edge)
    total = np.zeros(padded.shape[:2], np.float32)
    out = np.empty(0, np.float32)
    for top in tops:  # one row of windows at a time
        views = [padded[top : top + window_px, left : left + window_px] for left in lefts]
        for left, found in zip(lefts, run(np.stack(views)), strict=True):
            out = np.zeros((len(found), *total.shape), np.float32) if not out.size else out
            place = (slice(top, top + window_px), slice(left, left + window_px))
            out[(slice(None), *place)] += found * weight
            total[place] += weight
    out /= total
    return np.ascontiguousarray(out[:, :height, :width])


def check_window(window_px: int) -> None:
    """Refuse a window that the networks' five halvings do not divide."""
    if window_px < 32 or window_px % 32:
        raise ValueError(f"window_px={window_px}; use a multiple of 32 (512 is usual)")
