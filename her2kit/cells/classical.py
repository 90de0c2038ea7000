"""Nuclei by classical image processing: no weights, no training, a handful of settings in um and OD.

A pixel is nucleus where the nuclear signal exceeds the mean of the weaker half of its surroundings by a
share of the local contrast, and by a floor. Touching nuclei are split at seeds, the peaks of the smoothed
distance to the edge. It does not say what kind of cell a nucleus belongs to (`kind`), nor whether its
membrane is stained (`membrane`).

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

import cv2
import numpy as np
import pandas as pd

from her2kit.cells import growing, local_threshold
from her2kit.cells.region_table import measure_regions
from her2kit.stain.separation import StainMaps

HALO_UM = 48.0
"""How far from a nucleus's centre anything can change it, in um: centre to seed 7, to its ring's end 8.5,
from there to the seed of another region 7, suppression 2, edge distance 3.5, holes 6, opening 2, window 6,
the two Gaussians 2.25 each: 46.5 in all."""

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
    floor_od: float = 0.015
    """Least OD of a nuclear pixel above the window's lower class. Nuclear hematoxylin has 5th percentile
    .04, glass noise is .015 before smoothing; a floor fitted to the picture gave no better counts."""
    window_um: float = 12.0
    """Side of the window of the class means, about three cells."""


SETTINGS = {
    "membrane": NucleusSettings(dab_share=0.25, smooth_um=0.75, contrast_share=0.45, open_um=1.0),
    "nuclear": NucleusSettings(dab_share=0.0, smooth_um=0.35, contrast_share=0.25, open_um=0.5),
}
"""A membrane marker shows nuclei by hematoxylin alone, between brown membranes; DAB-stained nuclei of a
nuclear marker are found by the red OD."""

_LEVELS_PER_OD = 300.0  # resolution .003 OD, below the noise (.5 grey levels on glass) after smoothing
_SOFTNESS_OD = 0.7  # a nearly black nucleus (OD 1) counts as .41; a signal not compressed lost .05 F1
_LOWEST_OD = {"membrane": -0.02, "nuclear": -0.05}  # DAB membranes are far negative: they count as background
_HOLE_UM2, _HOLE_SIDE_UM = 15.0, 6.0  # vesicular nuclei are rings
_EDGE_UM = 3.5  # cap of the distance to the edge
_SEED_SMOOTH_UM = 0.75
_SEED_APART_UM = 2.0  # centres of neighbours are about 7.5 um apart
_SEED_DEPTH_UM = 1.0  # least smoothed distance to the edge
_REACH_UM = 7.0  # growth from a seed
AREA_UM2 = (12.0, 220.0)  # quartiles are about 30 and 60, 95th percentile 70-130
_LEAST_FILL = 0.78  # area over that of the ellipse with the same moments: 1 for an ellipse, .95 for a box
_OWN_STAIN_OD = 0.10  # nuclear DAB in unstained cells: 95th percentile .05
_GREY_RATIO = 0.95  # OD_B / OD_R: hematoxylin about .6, red blood cells 1.02, dust 1.06
_BROWN_RATIO = 1.12  # the same of DAB over hematoxylin: 1.1-1.8
_FAINT = 0.4  # of the slide's median contrast: cytoplasm, mucus, brush borders
_NO_CONTRAST_OD = 0.06  # where a slide's sample shows no nuclei: the median of six HER2 cores


@dataclass(frozen=True, slots=True)
class NucleusFit:
    """What is fitted once a slide, so that nuclei do not depend on tiles."""

    marker: str
    """``membrane`` or ``nuclear``."""
    contrast_od: float
    """Median contrast of the slide's nuclei against their ring, in compressed OD."""
    settings: NucleusSettings

    def __post_init__(self) -> None:
        if self.marker not in SETTINGS:
            raise ValueError(f"marker is {self.marker!r}; use 'membrane' or 'nuclear'")
        if not 0 < self.contrast_od < 3:
            raise ValueError(f"contrast_od is {self.contrast_od}; pass an OD between 0 and 3")


@dataclass(frozen=True, slots=True)
class Nuclei:
    """The nuclei of one picture."""

    labels: np.ndarray
    """int32 (h, w), 0 background, i + 1 the pixels of row i of `table`."""
    table: pd.DataFrame
    """One row a nucleus, in raster order of the seeds; `COLUMNS`, float64: x_px, y_px (centroid in
    picture pixels, the centre of the first pixel at 0.5), area_um2, axis_ratio (minor over major, 0..1),
    hematoxylin_od and dab_od (means inside), ring_dab_od (mean in the 1.5 um around, outside all nuclei;
    NaN where there is no such pixel), confidence (0..1: contrast against the ring, times how well an
    ellipse fits; no probability)."""
    rejected: pd.DataFrame
    """Same columns and a `reason`: what has a nucleus's signal and size but is not counted. ``stained``:
    more DAB than its ring (a DAB-stained nucleus or a membrane piece; many of them mean a nuclear stain),
    ``grey``: neither blue nor brown (blood, dust, pigment, debris), ``faint``, ``ragged``."""
    mpp: float
    """Micrometres per pixel of `labels`."""


def fit_nuclei(
    maps: Sequence[StainMaps],
    *,
    mpp: float,
    marker: str = "membrane",
    settings: NucleusSettings | None = None,
) -> NucleusFit:
    """Measure how strongly nuclei stand out on sample fields of a slide's tissue.

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
        With the median contrast of the nuclei found in the fields, .06 where there are none.

    Raises
    ------
    ValueError
        If `marker` is unknown or `mpp` is not in 0.05..2.
    """
    _check_mpp(mpp)
    if marker not in SETTINGS:
        raise ValueError(f"marker is {marker!r}; use 'membrane' or 'nuclear'")
    chosen = settings or SETTINGS[marker]
    contrast = []
    for m in maps:
        _, table = _regions(m, marker, chosen, mpp)
        right = table["area_um2"].between(*AREA_UM2) & (table["fill"] >= _LEAST_FILL)
        contrast.append(table.loc[right, "contrast"].to_numpy())
    found = np.concatenate(contrast) if contrast else np.empty(0)
    median = float(np.median(found)) if len(found) else _NO_CONTRAST_OD
    return NucleusFit(marker, max(median, chosen.floor_od), chosen)


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
    labels, table = _regions(maps, fit.marker, fit.settings, mpp)
    relative = table["contrast"] / fit.contrast_od
    table["confidence"] = np.clip(relative, 0, 1) * table["fill"]
    sized = table["area_um2"].between(*AREA_UM2).to_numpy()
    reason = reasons(table, relative, fit.marker)
    table = table[list(COLUMNS)]
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


def _regions(
    maps: StainMaps, marker: str, settings: NucleusSettings, mpp: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Label and measure all that may be a nucleus; contrast in OD."""
    levels, mask = nuclear_mask(maps, marker, settings, mpp=mpp)
    labels, seeds = _split(mask, mpp)
    table = measure_regions(maps, levels, labels, seeds, mpp=mpp)
    table["contrast"] /= _LEVELS_PER_OD
    return labels, table


def nuclear_mask(
    maps: StainMaps, marker: str, settings: NucleusSettings, *, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nuclear signal, uint8 levels (h, w), and where it is nucleus, uint8 (h, w), 1 or 0."""
    levels = _levels(maps, marker, settings)
    mask = local_threshold.two_class_mask(
        levels,
        sigma_px=settings.smooth_um / mpp,
        radius_px=round(settings.window_um / 2 / mpp),
        share=settings.contrast_share,
        least=settings.floor_od * _LEVELS_PER_OD,
    )
    return levels, _clean(mask, mpp, settings)


def _levels(maps: StainMaps, marker: str, settings: NucleusSettings) -> np.ndarray:
    """Nuclear signal as uint8 levels."""
    plane = maps.red if marker == "nuclear" else maps.hematoxylin
    return local_threshold.to_levels(
        plane,
        maps.dab,
        np.float32(settings.dab_share),
        np.float32(_LOWEST_OD[marker]),
        np.float32(_SOFTNESS_OD),
        np.float32(_LEVELS_PER_OD),
    )


def _clean(mask: np.ndarray, mpp: float, settings: NucleusSettings) -> np.ndarray:
    """Open by a disc and fill small holes."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(settings.open_um / mpp))
    n, regions = cv2.connectedComponents(1 - opened, connectivity=4, ltype=cv2.CV_32S)
    return local_threshold.fill_holes(opened, regions, n, int(_HOLE_UM2 / mpp**2), int(_HOLE_SIDE_UM / mpp))


def _disc(radius_px: float) -> np.ndarray:
    """Disc as a uint8 kernel; at least one pixel."""
    reach = int(radius_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (y * y + x * x <= radius_px * radius_px + 1e-6).astype(np.uint8)


def _split(mask: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels grown from seeds at the peaks of the smoothed distance to the edge, and the seeds."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    per_px = 255.0 * mpp / _EDGE_UM
    capped = np.minimum(np.rint(distance * np.float32(per_px)), 255).astype(np.uint8)
    score = np.where(mask > 0, local_threshold.blur(capped, _SEED_SMOOTH_UM / mpp), 0).astype(np.int32)
    seeds = growing.local_maxima(score, round(_SEED_DEPTH_UM / mpp * per_px), _SEED_APART_UM / mpp)
    labels = growing.grow(mask, seeds, min(255, max(8, round(_REACH_UM / mpp * growing.STEP))))
    return labels, seeds


def reasons(table: pd.DataFrame, relative: pd.Series, marker: str) -> np.ndarray:
    """Why a region is no nucleus to count: one word a row, empty where it is one."""
    reason = np.full(len(table), "", dtype=object)
    reason[table["fill"] < _LEAST_FILL] = "ragged"
    if marker == "membrane":
        reason[relative < _FAINT] = "faint"
        ratio = table["blue_over_red"]
        more_inside = table["dab_od"] > table["ring_dab_od"].fillna(0.0)
        reason[more_inside & (ratio > _GREY_RATIO)] = "grey"
        reason[more_inside & (ratio > _BROWN_RATIO) & (table["dab_od"] > _OWN_STAIN_OD)] = "stained"
    return reason
