"""Steps of the classical nucleus detector: signal levels, local two-class threshold, small holes.

Pointwise, or on integer sums over a window, so bitwise independent of where a picture was cut. Which signal
and which threshold is up to `classical`.

References
----------
Ridler TW, Calvard S. Picture thresholding using an iterative selection method. IEEE Trans SMC
1978;8:630-632.
"""

from math import ceil

import cv2
import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def to_levels(plane, minus, share, lowest, softness, per_od):  # pragma: no cover - compiled
    """Return uint8 levels of ``plane - share * minus``, cut off below `lowest` and compressed towards the
    top.

    ``v = max(plane - share * minus, lowest) - lowest`` becomes ``per_od * v / (1 + v / softness)``, rounded.
    The compression keeps a few nearly black nuclei from setting the scale of a whole window.
    """
    height, width = plane.shape
    levels = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            v = plane[y, x] - share * minus[y, x] - lowest
            v = max(v, np.float32(0.0))
            v = per_od * v / (np.float32(1.0) + v / softness) + np.float32(0.5)
            levels[y, x] = np.uint8(min(v, np.float32(255.0)))
    return levels


def blur(levels: np.ndarray, sigma_px: float) -> np.ndarray:
    """Smooth uint8 levels by a Gaussian (fixed-point in OpenCV, so the same wherever the picture was cut)."""
    side = 2 * ceil(3 * sigma_px) + 1
    return cv2.GaussianBlur(levels, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101)


def two_class_mask(
    levels: np.ndarray, *, sigma_px: float, radius_px: int, share: float, least: float
) -> np.ndarray:
    """Return uint8 (h, w), 1 where smoothed levels stand out from the lower class of their window.

    The window's mean parts it in two classes. A pixel stands out where it exceeds the lower class's mean by
    `least` levels and by `share` of the distance between the two means.
    """
    smooth = blur(levels, sigma_px)
    n = (2 * radius_px + 1) ** 2
    total = _window_sum(smooth, radius_px)
    upper, is_upper = _split_by_mean(smooth, total, n)
    upper_total, upper_n = _window_sum(upper, radius_px), _window_sum(is_upper, radius_px)
    return _above_local_threshold(
        smooth, total, n, upper_total, upper_n, np.float32(share), np.float32(least)
    )


def _window_sum(plane: np.ndarray, radius: int) -> np.ndarray:
    side = 2 * radius + 1
    return cv2.boxFilter(plane, cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT_101)


@numba.njit(cache=True, nogil=True)
def _split_by_mean(levels, window_sum, n):  # pragma: no cover - compiled
    """Return uint8 (h, w): levels above their window's mean (whose sum and pixel count are given), else
    0; and 0/1."""
    height, width = levels.shape
    upper = np.zeros((height, width), np.uint8)
    is_upper = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            if np.int32(levels[y, x]) * n > window_sum[y, x]:
                upper[y, x] = levels[y, x]
                is_upper[y, x] = 1
    return upper, is_upper


@numba.njit(cache=True, nogil=True)
def _above_local_threshold(
    levels, all_sum, n, upper_sum, upper_n, share, least
):  # pragma: no cover - compiled
    """Return uint8 (h, w), 1 where a level exceeds the lower class's mean by enough, and those excesses.

    Enough is the larger of `least` and `share` of the distance between the means of the window's two
    classes. The excess over the lower mean is float32 (h, w), in levels.
    """
    height, width = levels.shape
    mask = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            k = upper_n[y, x]
            low = np.float32(all_sum[y, x] - upper_sum[y, x]) / np.float32(max(n - k, 1))
            high = np.float32(upper_sum[y, x]) / np.float32(max(k, 1))
            over = np.float32(levels[y, x]) - low
            if over > least and over > share * (high - low):
                mask[y, x] = 1
    return mask


@numba.njit(cache=True, nogil=True)
def fill_holes(mask, regions, n, max_pixels, max_side):  # pragma: no cover - compiled
    """Return a copy of a 0/1 mask with small holes filled.

    `regions` numbers the connected zero pixels from 1 to n - 1, as OpenCV does. Holes with more pixels,
    with a longer side or at the picture's border stay.
    """
    height, width = mask.shape
    pixels = np.zeros(n, np.int64)
    box = np.empty((n, 4), np.int32)  # top, bottom, left, right
    box[:, 0] = height
    box[:, 1] = -1
    box[:, 2] = width
    box[:, 3] = -1
    for y in range(height):
        for x in range(width):
            i = regions[y, x]
            if i > 0:
                pixels[i] += 1
                if pixels[i] <= max_pixels + 1:  # a larger one stays anyhow
                    box[i, 0] = min(box[i, 0], y)
                    box[i, 1] = max(box[i, 1], y)
                    box[i, 2] = min(box[i, 2], x)
                    box[i, 3] = max(box[i, 3], x)
    fill = np.zeros(n, np.uint8)
    for i in range(1, n):
        top, bottom, left, right = box[i]
        inside = top > 0 and left > 0 and bottom < height - 1 and right < width - 1
        narrow = bottom - top < max_side and right - left < max_side
        fill[i] = inside and narrow and pixels[i] <= max_pixels
    filled = mask.copy()
    for y in range(height):
        for x in range(width):
            if fill[regions[y, x]]:
                filled[y, x] = 1
    return filled
