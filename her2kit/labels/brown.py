"""R1's brown-pixel rule: how much of the box around a cell is brown.

R1 resets a positive label to 0 where its box holds under 5 % brown pixels. The colour is a fixed box in HSV,
the same for every laboratory; that is its weakness, and why it is one signal among others (`suspects`).
"""

import cv2
import numpy as np
import pandas as pd

from her2kit.slides.slide import Slide

HUE, LEAST_SATURATION, MOST_VALUE = (8, 35), 50, 220
"""Brown in HSV as OpenCV counts it: hue 0..179, saturation and value 0..255. R1's numbers."""
DARK_VALUE, DARK_RED_OVER_BLUE = 90, 5
"""Dark brown: value at most this, and red above blue by at least this. R1's numbers."""
BOX_UM = 8.0
"""Side of R1's box: 32 px of 0.25 um."""
LEAST_SHARE = 0.05
"""Share of brown pixels below which R1 doubts a positive label."""
_TILE_PX = 1024


def is_brown(pixels: np.ndarray) -> np.ndarray:
    """Return which pixels of a picture, uint8 (h, w, 3) RGB, are brown by R1's rule: bool (h, w)."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; give uint8 (h, w, 3) RGB")
    hue, saturation, value = (cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., k] for k in range(3))
    brown = (hue >= HUE[0]) & (hue <= HUE[1]) & (saturation >= LEAST_SATURATION) & (value <= MOST_VALUE)
    redder = pixels[..., 0].astype(np.int16) - pixels[..., 2] >= DARK_RED_OVER_BLUE
    return brown | ((value <= DARK_VALUE) & redder)


def brown_share(
    slide: Slide, cells: pd.DataFrame, *, mpp: float = 0.25, box_um: float = BOX_UM
) -> np.ndarray:
    """Return the share of brown pixels in the box around each cell, float64 (n,), 0..1.

    Parameters
    ----------
    cells
        With `x_px0` and `y_px0`. A box that reaches over the slide's border counts its part on the slide.
    mpp
        At which pixels are looked at; R1 reads 40x. A slide coarser than that is read at its own.
    box_um
        Side of the box.

    Raises
    ------
    MppError
        If the slide has no mpp.
    ValueError
        If a cell lies outside the slide.
    """
    mpp = max(mpp, slide.mpp or mpp)
    scale = slide.scale_at(mpp)
    x, y = (cells[name].to_numpy(np.float64) for name in ("x_px0", "y_px0"))
    outside = ~((x >= 0) & (y >= 0) & (x <= slide.width_px0) & (y <= slide.height_px0))
    if outside.any():
        k = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"cell {k} lies at ({x[k]:g}, {y[k]:g}), outside the slide of {slide.width_px0} x "
            f"{slide.height_px0} px; give the cells of this slide, in level-0 pixels"
        )
    half = box_um / mpp / 2
    out = np.zeros(len(cells))
    size = _TILE_PX * scale
    margin = int(np.ceil(half)) + 1
    column, row = (x // size).astype(int), (y // size).astype(int)
    for c, r in sorted(set(zip(column.tolist(), row.tolist(), strict=True))):
        here = np.flatnonzero((column == c) & (row == r))
        left, top = c * size - margin * scale, r * size - margin * scale
        side = _TILE_PX + 2 * margin
        tile = slide.read(round(left), round(top), side, side, mpp=mpp)
        total = cv2.integral(is_brown(tile.pixels).astype(np.uint8))
        edges = []
        for place, corner, end in ((x, tile.x_px0, slide.width_px0), (y, tile.y_px0, slide.height_px0)):
            low = np.maximum(place[here] / scale - half, 0)
            high = np.minimum(place[here] / scale + half, end / scale)
            edges += [np.clip(np.rint(v - corner / scale).astype(int), 0, side) for v in (low, high)]
        x0, x1, y0, y1 = edges
        brown = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
        out[here] = brown / np.maximum((x1 - x0) * (y1 - y0), 1)
    return out
