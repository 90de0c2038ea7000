"""Bring glass to white, so that slides from scanners of different brightness compare. Turns no stain.

Staintools and R4 scale the lightness of each tile until its brightest twentieth saturates: a tile without
glass then comes out paler than its neighbour. Here the slide's white point is the measure, one for all tiles.
"""

import cv2
import numpy as np

from her2kit.stain.normalised import NormalisedTile
from her2kit.stain.optical_density import check_rgb, od_table


def standardise(pixels: np.ndarray, white: tuple[float, float, float]) -> NormalisedTile:
    """Return the picture with each channel scaled so that `white` becomes 255; brighter is cut off.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, raw.
    white
        The slide's own grey level of glass in R, G, B, each in 1..255.

    Raises
    ------
    ValueError
        If `pixels` is no uint8 RGB picture, or `white` is not three grey levels.
    """
    check_rgb(pixels)
    if pixels.ndim != 3:
        raise ValueError(f"pixels has shape {pixels.shape}; pass a picture with shape (h, w, 3)")
    od_table(white)  # checks it
    grey = np.arange(256)[:, None] * (255 / np.asarray(white, float))
    table = np.minimum(np.rint(grey), 255).astype(np.uint8)
    return NormalisedTile(cv2.LUT(np.ascontiguousarray(pixels), table[None]), "normalised")
