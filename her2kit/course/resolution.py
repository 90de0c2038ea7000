"""What magnification takes away: coarser copies of a slide, and stain along planted outlines at any mpp.

Outlines are planted ones: the stain along them says what the pixels still hold, not what a method finds.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.matching import match_points
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import Tile, open_slide

PERCENTILE = 75
"""Of the stain along an outline: a quarter of the way round must be at least as strong."""


def coarse_copy(path: str | os.PathLike, out: str | os.PathLike, *, mpp: float) -> Path:
    """Write a small slide as a coarser scanner would give it, averaged by area; return its path."""
    with open_slide(path) as slide:
        scale = slide.scale_at(mpp)
        width, height = (max(1, round(px0 / scale)) for px0 in (slide.width_px0, slide.height_px0))
        tile = slide.read(0, 0, width, height, mpp=mpp)
    write_pyramid(out, tile.pixels, mpp=tile.mpp)
    return Path(out)


def stain_along_outlines(dab: np.ndarray, cells: pd.DataFrame, tile: Tile, *, slide_mpp: float) -> np.ndarray:
    """Return how strong the stain is along the outline of each cell.

    Parameters
    ----------
    dab
        float (h, w): optical density of DAB of ``tile``.
    cells
        With ``outline`` in level-0 pixels.
    slide_mpp
        Micrometres per level-0 pixel.

    Returns
    -------
    float (n,): the 75th percentile of the OD along each outline.
    """
    plane = np.ascontiguousarray(dab, np.float32)
    values = []
    for outline in cells["outline"]:
        ring = (np.asarray(outline, float) - [tile.x_px0, tile.y_px0]) * (slide_mpp / tile.mpp) - 0.5
        x, y = (np.ascontiguousarray(ring[:, axis : axis + 1], np.float32) for axis in (0, 1))
        line = cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values.append(np.percentile(line, PERCENTILE))
    return np.array(values, float)


def stained_share(
    planted: pd.DataFrame, found: pd.DataFrame, *, planted_mpp: float, mpp: float
) -> pd.DataFrame:
    """Pair planted with found cells within 4 um and tell which of both are stained.

    Parameters
    ----------
    planted, found
        Cell tables; ``planted_mpp`` and ``mpp`` are micrometres per level-0 pixel of each.

    Returns
    -------
    One row a pair that has a class on both sides: ``planted`` and ``found``, bool, True from 1+ on.
    """
    here, there = (
        table[["x_px0", "y_px0"]].to_numpy(float) * um for table, um in ((planted, planted_mpp), (found, mpp))
    )
    pairs = match_points(here, there, max_distance=4.0)
    classes = pd.DataFrame(
        {
            "planted": planted["cell_class"].to_numpy(object)[pairs.truth_index],
            "found": found["cell_class"].to_numpy(object)[pairs.found_index],
        }
    ).dropna()
    return classes != "0"


def balanced_accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Return the mean of sensitivity and specificity of two bool arrays; nan if one kind is missing."""
    truth, said = np.asarray(truth, bool), np.asarray(said, bool)
    if truth.all() or not truth.any():
        return float("nan")
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def best_cut_off(truth: np.ndarray, values: np.ndarray) -> float:
    """Return the value above which calling a cell stained gives the best balanced accuracy."""
    candidates = np.unique(np.quantile(values, np.linspace(0.01, 0.99, 99)))
    return float(max(candidates, key=lambda cut: balanced_accuracy(truth, values > cut)))
