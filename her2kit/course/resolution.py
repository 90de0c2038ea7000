"""What magnification takes away: coarser copies of a slide, and stain along planted outlines at any mpp.

Outlines are planted ones: the stain along them says what the pixels still hold, not what a method finds.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.matching import match_points
from her2kit.course.data import CourseSlide
from her2kit.pipeline import score_slide
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import Tile, open_slide
from her2kit.slides.white_point import find_white_point
from her2kit.stain.separation import RUIFROK_JOHNSTON, separate

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


def outlines_given(slides: Sequence[CourseSlide], sizes: Sequence[float]) -> pd.DataFrame:
    """Read small phantoms at several mpp and return the stain along each planted outline.

    Returns
    -------
    One row a cell and mpp: ``slide`` (its number), ``mpp``, ``stained`` (planted 1+ or more), ``od``.
    """
    parts = []
    for number, case in enumerate(slides):
        cells = _counted(case)
        stained = (cells["cell_class"] != "0").to_numpy()
        with open_slide(case.path) as slide:
            glass, own = find_white_point(slide).rgb, float(slide.mpp or 0)
            for um in sizes:
                width, height = (round(px0 * own / um) for px0 in (slide.width_px0, slide.height_px0))
                tile = slide.read(0, 0, width, height, mpp=um)
                dab = separate(tile.pixels, glass, RUIFROK_JOHNSTON).dab
                od = stain_along_outlines(dab, cells, tile, slide_mpp=own)
                parts.append(pd.DataFrame({"slide": number, "mpp": um, "stained": stained, "od": od}))
    return pd.concat(parts, ignore_index=True)


def outlines_found(slides: Sequence[CourseSlide], sizes: Sequence[float]) -> pd.DataFrame:
    """Score coarser copies of small phantoms, and hold the cells that were found against the planted ones.

    Returns
    -------
    Index ``mpp``; ``sensitivity`` and ``specificity`` of 1+ or more against 0 over the cells found, and the
    mean of both as ``balanced_accuracy``; nan where a slide was not scored.
    """
    rows = {}
    for um in sizes:
        pairs = [_found_at(case, um) for case in slides]
        known = [part for part in pairs if part is not None]
        both = pd.concat(known) if len(known) == len(pairs) else pd.DataFrame({"planted": [], "found": []})
        planted, found = (both[name].to_numpy(bool) for name in ("planted", "found"))
        share = [found[planted].mean(), (~found[~planted]).mean()] if planted.any() else [np.nan, np.nan]
        rows[um] = [*share, float(np.mean(share))]
    names = ["sensitivity", "specificity", "balanced_accuracy"]
    return pd.DataFrame(rows, index=names).T.rename_axis("mpp")


def _found_at(case: CourseSlide, mpp: float) -> pd.DataFrame | None:
    with tempfile.TemporaryDirectory() as folder:
        report = score_slide(coarse_copy(case.path, Path(folder) / "coarse.tif", mpp=mpp))
    if report.record["status"] != "scored":
        return None
    with open_slide(case.path) as slide:
        own = float(slide.mpp or 0)
    return stained_share(_counted(case), report.cells, planted_mpp=own, mpp=report.record["slide"]["mpp"])


def _counted(case: CourseSlide) -> pd.DataFrame:
    cells = case.planted_cells()
    return cells[(cells["compartment"] == "invasive") & cells["evaluable"]]


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
