"""Parts of a phantom for the eye: which cells a field shows, how stain runs across their membranes.

Everything here uses planted outlines and planted words: for looking, never for scoring.
"""

import cv2
import numpy as np
import pandas as pd

from her2kit.phantom.plan import PAIRS
from her2kit.phantom.rule import planted_score
from her2kit.slides.slide import Tile

REACH_UM, STEP_UM = 4.0, 0.1
"""How far a profile goes to either side of the outline, and how finely."""


def cells_in(cells: pd.DataFrame, tile: Tile, *, slide_mpp: float) -> pd.DataFrame:
    """Return the cells whose centre lies in a tile; ``slide_mpp`` is that of level 0."""
    height, width = (side * tile.mpp / slide_mpp for side in tile.pixels.shape[:2])
    x, y = cells["x_px0"] - tile.x_px0, cells["y_px0"] - tile.y_px0
    return cells[(x >= 0) & (x < width) & (y >= 0) & (y < height)]


def planted_reading(cells: pd.DataFrame) -> str | None:
    """Return the breast score that the phantom's rule gives to its invasive cells; None without any."""
    invasive = cells[cells["compartment"] == "invasive"]
    pairs = list(zip(invasive["completeness_word"], invasive["intensity"], strict=True))
    return planted_score({pair: pairs.count(pair) for pair in PAIRS}, "breast-asco-cap-2018")["score"]


def membrane_profile(
    dab: np.ndarray, cells: pd.DataFrame, tile: Tile, *, slide_mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean DAB across the outlines of cells, from inside to outside.

    Parameters
    ----------
    dab
        float (h, w): optical density of DAB of ``tile``.
    cells
        With ``outline`` in level-0 pixels; points whose profile leaves the tile are left out.
    slide_mpp
        Micrometres per level-0 pixel.

    Returns
    -------
    float (n,), float (n,)
        Distance from the outline in um, negative inside the cell, and the mean OD there.

    Raises
    ------
    ValueError
        If no outline lies in the tile.
    """
    away = np.arange(-REACH_UM, REACH_UM + STEP_UM / 2, STEP_UM)
    last = np.array(dab.shape[::-1]) - 0.5
    lines = [np.empty((0, len(away), 2))]
    for outline in cells["outline"]:
        ring = (np.asarray(outline, float) - [tile.x_px0, tile.y_px0]) * (slide_mpp / tile.mpp)
        outward = ring - ring.mean(axis=0)
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
        line = ring[:, None] + outward[:, None] * (away / tile.mpp)[None, :, None]
        lines.append(line[((line >= 0.5) & (line <= last)).all(axis=(1, 2))])
    points = (np.concatenate(lines) - 0.5).astype(np.float32)  # pixel centres lie at + 0.5
    if not len(points):
        raise ValueError(f"none of {len(cells)} outlines lies in the tile; give cells of this tile")
    total = np.zeros(len(away))
    for i in range(0, len(points), 30_000):  # cv2.remap takes at most 32,767 rows
        x, y = (np.ascontiguousarray(points[i : i + 30_000, :, axis]) for axis in (0, 1))
        total += cv2.remap(dab.astype(np.float32), x, y, cv2.INTER_LINEAR).sum(axis=0)
    return away, total / len(points)
