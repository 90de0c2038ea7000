"""How much HER2 each cell's membrane shows: completeness by angle, DAB OD, width, contrast to cytoplasm.

Takes stain maps and nuclei, gives one row a nucleus. It measures on raw OD and gives no class
(`cells.grade` does). Nothing is fitted to the picture, and a cell's numbers depend on the pixels within
`HALO_UM` of its centre alone, bitwise, so not on the tiling.

Whose wall is it? A ridge on the cell's own ground counts, unless this cell's cytoplasm is blank and what
lies behind the ridge is stained. A ridge just past the border with the next cell is shared: it counts too
where this cell is stained on the evidence of its own ground. Otherwise stroma cells and lymphocytes beside
stained glands would look stained.
"""

from typing import TYPE_CHECKING

import numba
import numpy as np
import pandas as pd

from her2kit.cells import rays as ray
from her2kit.cells.rays import BEYOND, NONE, OWN, UNSEEN, Rays, cast, direction_table, new_rays
from her2kit.cells.table import Reason
from her2kit.cells.territory import GRID, centres, territories
from her2kit.stain.separation import StainMaps

if TYPE_CHECKING:
    from her2kit.cells.classical import Nuclei

HALO_UM = ray.MAX_NUCLEUS_UM + 2 * ray.REACH_UM + 1.0
"""Support of a cell's row around its nucleus's centre: the nucleus, the cell's ground, the nuclei that bound
that ground, and a pixel's breadth. Rays end within it."""

SHARED_SHARE = 0.1
"""Share of the perimeter with ridges on its own ground from which a cell also has those just past it."""
_MAX_OUTSIDE = 0.1  # share of the rays that may leave the slide
_MIN_SEEN = 0.5  # share of the rays that must be sampled
_MAIN_SHARE = 0.75
"""`dab_od` is the mean of the strongest three quarters of the ridges: the ends of an arc are blurred and thin
stretches of a wall say little. On real cores its 5 / 50 / 95th percentiles, about .16 / .30 / .56 in 2+ and
.33 / .65 / 1.06 in 3+, are those that the cut-offs of `cells.grade` were found with."""
_JOIN_RAYS = 12  # gaps between ridges up to a quarter turn are joined in the outline (not in completeness)
_BLANK_CYTOPLASM_OD = 0.05
"""Cytoplasm below this is blank: stroma of unstained cores 0 / .03 / .06, stained cells .05 and more."""
_CYTOPLASM_STEP_OD = 0.06
"""A ridge with so much more DAB behind it than in a blank cell belongs to the cell behind it."""
_MIN_SAMPLES = 12  # of cytoplasm; fewer than .5 % of real cells have less
MIN_CYTOPLASM_OD = 0.02  # noise of DAB in unstained cytoplasm; keeps the ratio finite
_MIN_RADIUS_PX = 1.5  # keeps the 48 points of an outline in angular order on the 1/16 px grid

COLUMNS = {
    "dab_od": "float32",
    "completeness": "float32",
    "width_um": "float32",
    "membrane_ratio": "float32",
    "cytoplasm_dab_od": "float32",
    "evaluable": "bool",
    "reason": "str",
    "outline": "object",
    "nucleus_outline": "object",
}


def measure_membranes(
    maps: StainMaps,
    nuclei: "Nuclei",
    *,
    mpp: float,
    slide_box_px: tuple[float, float, float, float] | None = None,
) -> pd.DataFrame:
    """Measure the membrane of each nucleus's cell.

    Parameters
    ----------
    maps
        Stain maps of the picture, raw OD.
    nuclei
        The nuclei of the same picture; only `labels` and the number of rows are read.
    mpp
        Micrometres per pixel, > 0; made for 0.2 to 0.5.
    slide_box_px
        Left, top, right and bottom of the slide in pixels of this picture: what lies outside is padding. By
        default all of the picture is slide. Cells that reach over it are not evaluable (``edge``).

    Returns
    -------
    DataFrame
        Row i is nucleus i + 1. `dab_od`: OD along the stained part of the membrane, or at the cell's border
        where nothing is stained. `completeness`: share of the sampled rays with a ridge, 0..1. `width_um`: at
        half height, as blurred as the picture is; NaN without a ridge. `membrane_ratio`: `dab_od` over
        `cytoplasm_dab_od`; 1 to 1.5 where stain is in the cytoplasm alone, both NaN in cells without room
        for cytoplasm. `evaluable` and `reason`: ``edge`` (see above), ``overlap`` (other nuclei hide more
        than half of the perimeter) or null; blur and folds are not judged here. `outline` (48 points) and
        `nucleus_outline` (24): float32 (n, 2), pixels of this picture, the first pixel's centre at 0.5,
        simple polygons.

    Raises
    ------
    ValueError
        If `mpp` is not positive or the sizes of maps and labels differ.
    """
    if not mpp > 0:
        raise ValueError(f"mpp is {mpp!r}; pass micrometres per pixel, as 0.25")
    if nuclei.labels.shape != maps.shape:
        raise ValueError(
            f"labels has shape {nuclei.labels.shape}, maps {maps.shape}; pass maps and nuclei of one picture"
        )
    height, width = nuclei.labels.shape
    box = (0, 0, width, height) if slide_box_px is None else slide_box_px
    n = len(nuclei.table)
    ground = territories(nuclei.labels, mpp=mpp, reach_um=ray.REACH_UM)
    centre = centres(nuclei.labels, n)
    found = new_rays(n)
    box_px = np.array([np.ceil(box[0]), np.ceil(box[1]), np.floor(box[2]), np.floor(box[3])], np.int64)
    planes = (maps.dab, maps.hematoxylin, maps.red, maps.blue)
    cast(planes, nuclei.labels, ground, centre, direction_table(), float(mpp), box_px, found)
    cytoplasm = _cytoplasm(found)
    counted = _count(_own_stain(found, cytoplasm))
    return _table(found, counted, cytoplasm, centre, mpp)


def _own_stain(found: Rays, cytoplasm: np.ndarray) -> np.ndarray:
    """Return `state` without the ridges that are the wall of the cell behind them.

    Blank cytoplasm on this side and stained cytoplasm on the other: the wall of a stained cell that an
    unstained one looks at.
    """
    step = found.outer_od - cytoplasm[:, None]
    foreign = (cytoplasm[:, None] < _BLANK_CYTOPLASM_OD) & (step > _CYTOPLASM_STEP_OD)
    return np.where(foreign & (found.state != UNSEEN), NONE, found.state).astype(np.uint8)


def _count(state: np.ndarray) -> np.ndarray:
    """Return which rays count, bool (n, rays): ridges on own ground, with enough of them those past it."""
    own = state == OWN
    n_own = own.sum(axis=1)
    fit = (n_own > 0) & (n_own >= SHARED_SHARE * (state != UNSEEN).sum(axis=1))
    return own | ((state == BEYOND) & fit[:, None])


def _percentiles(values: np.ndarray, chosen: np.ndarray, q: float) -> np.ndarray:
    """Row-wise percentile (0..100, linear) of the chosen values; NaN for rows without any."""
    kept = np.sort(np.where(chosen, values, np.inf).astype(np.float64), axis=1)
    k = chosen.sum(axis=1)
    place = (np.maximum(k, 1) - 1) * (q / 100.0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(k, 1) - 1)
    row = np.arange(len(kept))
    a, b = kept[row, low], kept[row, high]
    with np.errstate(invalid="ignore"):
        out = a + (b - a) * (place - low)
    return np.where(k > 0, out, np.nan)


def _mean_of_upper(values: np.ndarray, chosen: np.ndarray, share: float) -> np.ndarray:
    """Row-wise mean of the highest `share` of the chosen values; 0 for rows without any."""
    falling = -np.sort(np.where(chosen, -values, 0.0).astype(np.float64), axis=1)
    k = np.ceil(chosen.sum(axis=1) * share).astype(np.int64)
    total = np.cumsum(falling, axis=1)[np.arange(len(k)), np.maximum(k, 1) - 1]
    return np.where(k > 0, total / np.maximum(k, 1), 0.0)


def _cytoplasm(found: Rays) -> np.ndarray:
    """Mean DAB between nucleus and membrane; NaN in cells so tight that there is hardly anything between."""
    n = found.cytoplasm_n.sum(axis=1)
    total = found.cytoplasm_sum.sum(axis=1, dtype=np.float64)
    return np.where(n >= _MIN_SAMPLES, total / np.maximum(n, 1), np.nan)


def _table(
    found: Rays, counted: np.ndarray, cytoplasm: np.ndarray, centre: np.ndarray, mpp: float
) -> pd.DataFrame:
    seen = found.state != UNSEEN
    n_seen = seen.sum(axis=1)
    n_counted = counted.sum(axis=1)
    dab = _mean_of_upper(found.peak_od, counted, _MAIN_SHARE)
    border = _percentiles(found.peak_od, seen & ~counted, 50.0)
    dab = np.where(n_counted > 0, dab, border)
    edge = found.outside.mean(axis=1) > _MAX_OUTSIDE
    overlap = n_seen < _MIN_SEEN * ray.N_RAYS
    reason = np.select([edge, overlap], [str(Reason.EDGE), str(Reason.OVERLAP)], default="")
    out = pd.DataFrame(
        {
            "dab_od": dab,
            "completeness": n_counted / np.maximum(n_seen, 1),
            "width_um": _percentiles(found.width_px, counted, 50.0) * mpp,
            "membrane_ratio": dab / np.maximum(cytoplasm, MIN_CYTOPLASM_OD),
            "cytoplasm_dab_od": cytoplasm,
            "evaluable": reason == "",
            "reason": pd.Series(reason, dtype="str").where(reason != "", None),
        }
    )
    cell = np.maximum(_cell_radius(found.ridge_px, found.border_px, counted), _MIN_RADIUS_PX)
    nucleus = np.clip(found.nucleus_px + 0.5, _MIN_RADIUS_PX, cell)[:, ::2]
    out["outline"] = _outlines(cell, centre, direction_table())
    out["nucleus_outline"] = _outlines(nucleus, centre, direction_table()[::2])
    return out.astype(COLUMNS)


@numba.njit(cache=True, nogil=True)
def _cell_radius(ridge, border, counted):  # pragma: no cover - compiled
    """Distance of the cell's outline along each ray: ridges, joined over gaps, else the border; smoothed."""
    n, m = ridge.shape
    out = np.empty((n, m), np.float32)
    rough = np.empty(m, np.float32)
    for i in range(n):
        for k in range(m):
            if counted[i, k]:
                rough[k] = ridge[i, k]
                continue
            rough[k] = border[i, k]
            before = 1
            while before < _JOIN_RAYS and not counted[i, (k - before) % m]:
                before += 1
            after = 1
            while after < _JOIN_RAYS and not counted[i, (k + after) % m]:
                after += 1
            if before + after <= _JOIN_RAYS:
                a = ridge[i, (k - before) % m]
                b = ridge[i, (k + after) % m]
                rough[k] = min(rough[k], (a * after + b * before) / (before + after))
        for k in range(m):
            out[i, k] = _middle_of_five(
                rough[k - 2], rough[k - 1], rough[k], rough[(k + 1) % m], rough[(k + 2) % m]
            )
    return out


@numba.njit(cache=True, nogil=True)
def _middle_of_five(a, b, c, d, e):  # pragma: no cover - compiled
    """Median, by six comparisons."""
    a, b = min(a, b), max(a, b)
    d, e = min(d, e), max(d, e)
    low, high = max(a, d), min(b, e)  # the extremes of both pairs cannot be the median
    return max(min(low, high), min(max(low, high), c))


def _outlines(radius: np.ndarray, centre: np.ndarray, directions: np.ndarray) -> pd.Series:
    points = centre[:, None, :] / GRID + np.round(radius[:, :, None] * directions * GRID) / GRID
    return pd.Series(list(points.astype(np.float32)), dtype=object)
