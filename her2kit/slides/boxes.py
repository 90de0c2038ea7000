"""Cut a box out of a picture in memory; what lies outside is white and transparent. Reads no files."""

import numpy as np


def cut_box(
    rgb: np.ndarray, alpha: np.ndarray | None, x: int, y: int, w: int, h: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a copy of a box as RGB, and its alpha unless all of it is opaque.

    Parameters
    ----------
    rgb
        uint8 (height, width, 3), over white.
    alpha
        uint8 (height, width), or None where all is opaque.
    x, y, w, h
        The box in pixels; it may lie partly or wholly outside.
    """
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    inside = np.s_[y0:y1, x0:x1]
    if (x0, y0, x1, y1) == (x, y, x + w, y + h):
        opaque = alpha is None or alpha[inside].min() == 255
        return rgb[inside].copy(), None if alpha is None or opaque else alpha[inside].copy()
    out, out_alpha = np.full((h, w, 3), 255, np.uint8), np.zeros((h, w), np.uint8)
    if x0 < x1 and y0 < y1:
        place = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
        out[place] = rgb[inside]
        out_alpha[place] = 255 if alpha is None else alpha[inside]
    return out, out_alpha
