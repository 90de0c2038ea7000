"""Nuclei by classical image processing: no weights, no training, a handful of settings in um and OD.

A pixel is nucleus where the nuclear signal exceeds the mean of its darker-than-average surroundings by a
share of the local contrast, and by a floor that is fitted once a slide. Touching nuclei are split at
seeds, the peaks of the smoothed distance to the edge. It does not say what kind of cell a nucleus belongs
to (`kind`), nor whether its membrane is stained (`membrane`).

Everything is local: a cell depends only on what lies within `HALO_UM`, and is bitwise the same however
the slide was cut into tiles. So all sums are integer, no threshold is fitted to a tile, ties break by
position and growth is bounded.

References
----------
Ridler TW, Calvard S. Picture thresholding using an iterative selection method. IEEE Trans SMC
1978;8:630-632 (two class means, here once and in a window). Otsu N. A threshold selection method from
gray-level histograms. IEEE Trans SMC 1979;9:62-66. Where no source is named, the value was measured on
labelled Ki67 pictures and real HER2 cores; `benchmarks/nuclei.py` prints how well it carries over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
import pandas as pd

from her2kit.cells import growing
from her2kit.stain.separation import StainMaps

HALO_UM = 40.0
"""How far from a nucleus's centre anything can change it, in um: growth of a rival 2 x 7, window 6, holes
6, edge distance 4, smoothing 2 x 2.3, opening 1.5, suppression 2, ring 1.5."""

COLUMNS = (
    "x_px",
    "y_px",
    "area_um2",
    "axis_ratio",
    "hematoxylin_od",
    "dab_od",
    "ring_dab_od",
    "confidence",
)


@dataclass(frozen=True, slots=True)
class NucleusSettings:
    """What tells nuclei from the rest, for one kind of marker."""

    dab_share: float
    """Share of the DAB OD that is taken off the hematoxylin OD; ignored for a nuclear marker."""
    smooth_um: float
    """Standard deviation of the Gaussian on the signal."""
    contrast_share: float
    """Share of the distance between the local class means, 0..1, at which nucleus begins."""
    open_um: float
    """Radius of the opening that removes threads and specks."""
    floor_share: float = 0.3
    """The slide's least contrast as a share of its Otsu threshold of contrast."""
    least_od: float = 0.015
    """And at least this OD: nuclear hematoxylin has 5th percentile .04, glass noise .015."""
    window_um: float = 12.0
    """Side of the window of the class means, about three cells."""


SETTINGS = {
    "membrane": NucleusSettings(dab_share=0.25, smooth_um=0.75, contrast_share=0.5, open_um=0.75),
    "nuclear": NucleusSettings(dab_share=0.0, smooth_um=0.35, contrast_share=0.2, open_um=0.5),
}
"""A membrane marker shows nuclei by hematoxylin alone, between brown membranes; DAB-stained nuclei of a
nuclear marker are found by the red OD."""

_LEVELS_PER_OD = 300.0  # resolution .003 OD, below the noise (.5 grey levels on glass) after smoothing
_SOFTNESS_OD = (
    0.7  # a nearly black nucleus (OD 1) counts as .41; unsaturated or hard-capped signals lost .05 F1
)
_LOWEST_OD = {"membrane": -0.02, "nuclear": -0.1}  # DAB membranes are far negative: they count as background
_HOLE_UM2, _HOLE_SIDE_UM = 15.0, 6.0  # vesicular nuclei are rings
_EDGE_UM = 4.0  # cap of the distance to the edge
_SEED_SMOOTH_UM = 0.75
_SEED_APART_UM = 2.0  # centres of neighbours are about 7.5 um apart
_SEED_DEPTH_UM = 1.0  # least smoothed distance to the edge
_REACH_UM = 7.0  # growth from a seed
_AREA_UM2 = (12.0, 220.0)  # quartiles are about 30 and 60, 95th percentile 70-130
_MAX_SPREAD = 4.0  # area over that of the largest disc inside; an ellipse of axis ratio 1 : 4 has 4
_RING_UM = 1.5
_OWN_STAIN_OD = 0.10  # nuclear DAB in unstained cells: 95th percentile .05


@dataclass(frozen=True, slots=True)
class NucleusFit:
    """What is fitted once a slide, so that nuclei do not depend on tiles."""

    marker: str
    """``membrane`` or ``nuclear``."""
    floor_od: float
    """Least contrast of a nucleus over its surroundings, OD."""
    settings: NucleusSettings

    def __post_init__(self) -> None:
        if self.marker not in SETTINGS:
            raise ValueError(f"marker is {self.marker!r}; use 'membrane' or 'nuclear'")
        if not 0 < self.floor_od < 3:
            raise ValueError(f"floor_od is {self.floor_od}; pass an OD between 0 and 3")


@dataclass(frozen=True, slots=True)
class Nuclei:
    """The nuclei of one picture."""

    labels: np.ndarray
    """int32 (h, w), 0 background, i + 1 the pixels of row i of `table`."""
    table: pd.DataFrame
    """One row a nucleus, in raster order of the seeds. Columns: x_px, y_px (centroid in picture pixels,
    the centre of the first pixel at 0.5), area_um2, axis_ratio (minor over major, 0..1), hematoxylin_od
    and dab_od (means inside), ring_dab_od (mean in the 1.5 um around, outside all nuclei; NaN where there
    is no such pixel), confidence (0..1, contrast against the ring over twice the slide's floor)."""
    rejected: pd.DataFrame
    """Same columns and a `reason`: what looked like a nucleus by signal and size but is not counted.
    ``stained``: more DAB than its ring (a DAB-stained nucleus or a membrane piece; many of them mean a
    nuclear stain), ``strand``: ragged or thread-like."""
    mpp: float
    """Micrometres per pixel of `labels`."""


def fit_nuclei(
    maps: Sequence[StainMaps],
    *,
    mpp: float,
    marker: str = "membrane",
    settings: NucleusSettings | None = None,
) -> NucleusFit:
    """Fit the least contrast of a nucleus on sample fields of a slide's tissue.

    Parameters
    ----------
    maps
        Stain maps of fields spread over the tissue.
    mpp
        Micrometres per pixel of the maps.
    marker
        ``membrane`` (hematoxylin less a share of DAB) or ``nuclear`` (red OD: stained nuclei count too).
    settings
        Other than the marker's own `SETTINGS`.

    Returns
    -------
    NucleusFit
        With the Otsu threshold of the fields' contrast times `floor_share`, at least `least_od`.

    Raises
    ------
    ValueError
        If `marker` is unknown or `mpp` is not in 0.05..2.
    """
    _check_mpp(mpp)
    if marker not in SETTINGS:
        raise ValueError(f"marker is {marker!r}; use 'membrane' or 'nuclear'")
    chosen = settings or SETTINGS[marker]
    histogram = np.zeros(256, dtype=np.int64)
    for m in maps:
        _, excess = _foreground(_levels(m, marker, chosen), mpp, chosen, 0.0)
        histogram += np.bincount(np.clip(np.rint(excess), 0, 255).astype(np.uint8).ravel(), minlength=256)
    threshold = _otsu(histogram) / _LEVELS_PER_OD
    return NucleusFit(marker, max(chosen.least_od, chosen.floor_share * threshold), chosen)


def find_nuclei(maps: StainMaps, fit: NucleusFit, *, mpp: float) -> Nuclei:
    """Find the nuclei of a picture.

    Parameters
    ----------
    maps
        Stain maps of the picture; nuclei nearer than `HALO_UM` to its border may be cut or differ.
    fit
        The slide's, from `fit_nuclei`.
    mpp
        Micrometres per pixel of the maps, 0.05..2; all sizes are in um.

    Returns
    -------
    Nuclei
        Empty table with its columns where there are none.

    Raises
    ------
    ValueError
        If `mpp` is not in 0.05..2.
    """
    _check_mpp(mpp)
    levels = _levels(maps, fit.marker, fit.settings)
    mask, _ = _foreground(levels, mpp, fit.settings, fit.floor_od * _LEVELS_PER_OD)
    mask = _clean(mask, mpp, fit.settings)
    labels, seeds, depth = _split(mask, mpp)
    shape = growing.shape_sums(labels, seeds)
    table = _measure(maps, levels, labels, seeds, shape, mpp, fit)
    area = table["area_um2"].to_numpy()
    sized = (area >= _AREA_UM2[0]) & (area <= _AREA_UM2[1])
    reason = np.full(len(table), "", dtype=object)
    if fit.marker == "membrane":
        own = table["dab_od"].to_numpy()
        ring = np.nan_to_num(table["ring_dab_od"].to_numpy())
        reason[(own > ring) & (own > _OWN_STAIN_OD)] = "stained"
    reason[area > _MAX_SPREAD * np.pi * depth**2] = "strand"
    keep = sized & (reason == "")
    dropped = sized & (reason != "")
    number = np.zeros(len(table) + 1, dtype=np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    rejected = table[dropped].reset_index(drop=True)
    rejected["reason"] = reason[dropped].astype(str)
    return Nuclei(number[labels], table[keep].reset_index(drop=True), rejected, mpp)


def _check_mpp(mpp: float) -> None:
    if not 0.05 <= mpp <= 2:
        raise ValueError(f"mpp is {mpp}; nuclei need 0.05..2 um per pixel (0.25 is usual at 40x)")


def _levels(maps: StainMaps, marker: str, settings: NucleusSettings) -> np.ndarray:
    """Nuclear signal as uint8 levels."""
    plane = maps.red if marker == "nuclear" else maps.hematoxylin
    return growing.to_levels(
        plane,
        maps.dab,
        np.float32(settings.dab_share),
        np.float32(_LOWEST_OD[marker]),
        np.float32(_SOFTNESS_OD),
        np.float32(_LEVELS_PER_OD),
    )


def _blur(plane: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian of uint8 levels (fixed-point in OpenCV, so the same wherever the picture was cut)."""
    side = 2 * ceil(3 * sigma_px) + 1
    return cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101)


def _window_sum(plane: np.ndarray, radius: int) -> np.ndarray:
    side = 2 * radius + 1
    return cv2.boxFilter(plane, cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT_101)


def _foreground(
    levels: np.ndarray, mpp: float, settings: NucleusSettings, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Local two-class threshold: uint8 mask, and the excess over the lower class's mean in levels."""
    smooth = _blur(levels, settings.smooth_um / mpp)
    radius = round(settings.window_um / 2 / mpp)
    n = (2 * radius + 1) ** 2
    total = _window_sum(smooth, radius)
    upper, is_upper = growing.split_by_mean(smooth, total, n)
    return growing.above_local_threshold(
        smooth,
        total,
        n,
        _window_sum(upper, radius),
        _window_sum(is_upper, radius),
        np.float32(settings.contrast_share),
        np.float32(floor),
    )


def _clean(mask: np.ndarray, mpp: float, settings: NucleusSettings) -> np.ndarray:
    """Open by a disc and fill small holes."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(settings.open_um / mpp))
    _, regions, boxes, _ = cv2.connectedComponentsWithStats(1 - opened, connectivity=4)
    boxes[0] = 0  # OpenCV's label 0 is the mask itself here
    return growing.fill_holes(opened, regions, boxes, int(_HOLE_UM2 / mpp**2), int(_HOLE_SIDE_UM / mpp))


def _disc(radius_px: float) -> np.ndarray:
    """Disc as a uint8 kernel; at least one pixel."""
    reach = int(radius_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (y * y + x * x <= radius_px * radius_px + 1e-6).astype(np.uint8)


def _split(mask: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeds at the peaks of the smoothed distance to the edge; labels, seeds and each seed's depth in
    um."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    per_px = 255.0 * mpp / _EDGE_UM
    capped = np.minimum(np.rint(distance * np.float32(per_px)), 255).astype(np.uint8)
    score = np.where(mask > 0, _blur(capped, _SEED_SMOOTH_UM / mpp), 0).astype(np.int32)
    seeds = growing.local_maxima(score, round(_SEED_DEPTH_UM / mpp * per_px), _SEED_APART_UM / mpp)
    one_each = np.arange(len(seeds) + 1, dtype=np.int64)
    labels = growing.grow(mask, seeds, one_each, min(255, round(_REACH_UM / mpp * growing.STEP)))
    depth = distance[seeds[:, 0], seeds[:, 1]].astype(np.float64) * mpp
    return labels, seeds, depth


def _measure(
    maps: StainMaps,
    levels: np.ndarray,
    labels: np.ndarray,
    seeds: np.ndarray,
    shape: np.ndarray,
    mpp: float,
    fit: NucleusFit,
) -> pd.DataFrame:
    """Measure every labelled region, counted or not."""
    n = len(seeds)
    pixels = np.maximum(shape[:, 0], 1).astype(np.float64)
    dx, dy = shape[:, 1] / pixels, shape[:, 2] / pixels
    xx = shape[:, 3] / pixels - dx * dx + 1 / 12
    yy = shape[:, 4] / pixels - dy * dy + 1 / 12
    xy = shape[:, 5] / pixels - dx * dy
    root = np.sqrt((xx - yy) ** 2 / 4 + xy * xy)
    middle = (xx + yy) / 2
    sources, first = growing.outer_edges(labels, n)
    free = (labels == 0).astype(np.uint8)
    ring = growing.grow(free, sources, first, min(255, round(_RING_UM / mpp * growing.STEP) + 1))
    ring[labels > 0] = 0
    ring_pixels = np.bincount(ring.ravel(), minlength=n + 1)[1:].astype(np.float64)
    ring_pixels[ring_pixels == 0] = np.nan
    signal = levels.astype(np.float32)
    contrast = (
        growing.plane_sums(labels, n, signal) / pixels - growing.plane_sums(ring, n, signal) / ring_pixels
    )
    confidence = np.clip(contrast / (2 * fit.floor_od * _LEVELS_PER_OD), 0, 1)
    # Centroids in steps of 1/256 px, so that adding a tile's origin stays exact.
    values = {
        "x_px": seeds[:, 1] + 0.5 + np.rint(dx * 256) / 256,
        "y_px": seeds[:, 0] + 0.5 + np.rint(dy * 256) / 256,
        "area_um2": shape[:, 0] * mpp**2,
        "axis_ratio": np.sqrt(np.maximum(middle - root, 0) / (middle + root)),
        "hematoxylin_od": growing.plane_sums(labels, n, maps.hematoxylin) / pixels,
        "dab_od": growing.plane_sums(labels, n, maps.dab) / pixels,
        "ring_dab_od": growing.plane_sums(ring, n, maps.dab) / ring_pixels,
        "confidence": np.nan_to_num(confidence),
    }
    return pd.DataFrame({name: np.asarray(values[name], dtype=np.float64) for name in COLUMNS})


def _otsu(histogram: np.ndarray) -> int:
    """Otsu's threshold of a histogram: the last bin of the lower class; 0 where there is one class only."""
    weight = np.cumsum(histogram, dtype=np.float64)
    moment = np.cumsum(histogram * np.arange(len(histogram), dtype=np.float64))
    rest = weight[-1] - weight
    inside = (weight > 0) & (rest > 0)
    if not inside.any():
        return 0
    between = np.full(len(histogram), -1.0)
    mean_gap = moment[inside] / weight[inside] - (moment[-1] - moment[inside]) / rest[inside]
    between[inside] = weight[inside] * rest[inside] * mean_gap**2
    return int(np.argmax(between))
