"""The phantom's own PD-L1 scores from planted cells and tissue. Shares nothing with ``her2kit.scoring``.

Written a second time from the definitions (22C3 manuals for TPS and CPS; Liu et al., Diagn Pathol 2023;18:48
for TAP), on rasters of 1 um.
"""

from typing import Any

import cv2
import numpy as np
import pandas as pd
import shapely

FIELD_UM = 550
"""Radius of a 20x field: an immune cell counts where a tumour cell lies in the same field."""
BESIDE_UM = 100
"""Stroma and immune cells up to here from a nest are the tumour's."""


def planted_pdl1(table: pd.DataFrame, raster: np.ndarray, *, mpp: float) -> dict[str, Any]:
    """Return TPS, CPS and TAP in percent, None where there is nothing to divide by, with their counts.

    Parameters
    ----------
    table
        Planted cells: ``x_px0``, ``y_px0``, ``outline``, ``compartment``, ``cell_type``, ``intensity``.
    raster
        uint8, classes as `phantom.regions.CLASSES`, 1 um pixels.
    mpp
        Micrometres per level-0 pixel.
    """
    stained = (table["intensity"] != "none").to_numpy()
    tumour = (table["compartment"] == "invasive").to_numpy()
    column, row = (
        np.clip(np.rint(table[name].to_numpy() * mpp).astype(int), 0, side - 1)
        for name, side in (("x_px0", raster.shape[1]), ("y_px0", raster.shape[0]))
    )
    no_tumour_cell = np.ones(raster.shape, np.uint8)
    no_tumour_cell[row[tumour], column[tumour]] = 0
    reached = cv2.distanceTransform(no_tumour_cell, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= FIELD_UM
    immune = table["cell_type"].isin(["lymphocyte", "macrophage"]).to_numpy()
    beside = immune & stained & reached[row, column]
    n, lit = int(tumour.sum()), int((tumour & stained).sum())
    area = _tumour_area(raster)
    covered = _covered(table["outline"][(tumour & stained) | beside], mpp, area)
    return {
        "tps": 100 * lit / n if n else None,
        "cps": min(100 * (lit + int(beside.sum())) / n, 100.0) if n else None,
        "tap": 100 * covered / int(area.sum()) if area.any() else None,
        "n_tumour": n,
        "n_positive_tumour": lit,
        "n_positive_immune": int(beside.sum()),
        "tumour_area_um2": int(area.sum()),
    }


def _tumour_area(raster: np.ndarray) -> np.ndarray:
    nests = raster == 1
    if not nests.any():
        return nests
    away = cv2.distanceTransform((~nests).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return nests | (((raster == 2) | (raster == 3)) & (away <= BESIDE_UM))


def _covered(outlines: pd.Series, mpp: float, area: np.ndarray) -> int:
    """Return how many um2 of ``area`` lie in a cell."""
    covered = np.zeros_like(area)
    for outline in outlines:
        ring = np.asarray(outline, float) * mpp
        x0, y0 = np.maximum(np.floor(ring.min(axis=0)).astype(int), 0)
        x1, y1 = np.ceil(ring.max(axis=0)).astype(int)
        part = covered[y0:y1, x0:x1]
        y, x = np.mgrid[: part.shape[0], : part.shape[1]]
        part |= shapely.contains_xy(shapely.Polygon(ring).buffer(0), x + x0 + 0.5, y + y0 + 0.5)
    return int((covered & area).sum())
