"""Rays from each nucleus outwards: where along a ray the membrane stain has its ridge, if it has one.

This module samples and finds ridges; it does not count them (`cells.membrane`) and gives no class. A ridge is
a local maximum of DAB that stands out on both sides, is more DAB than hematoxylin, is brown and not grey, and
is reached before another nucleus. Everything is measured from the nucleus's own pixels, on OD that nobody
smoothed, so a ray's bytes do not depend on the tile. Values without another source were measured on real
HER2 cores (gastro-oesophageal, about 0.25 um/px).

References
----------
Scheel AH et al. Physical background of visual scoring of HER2 (microscope's magnification rule).
Diagn Pathol 2018 (PMC5848460).
"""

from typing import NamedTuple

import numba
import numpy as np

from her2kit.cells.territory import GRID

N_RAYS = 48
STEP_UM = 0.25
"""Distance of samples along a ray, bilinear between pixels."""
MAX_NUCLEUS_UM = 8.0
"""From its centre a nucleus is followed so far: a disc of 200 um2; the 95th percentile of areas is 70-130."""
REACH_UM = 6.0
"""A cell ends at most so far from its nucleus."""
BEYOND_UM = 1.0
"""Ridges are sought so far past the border with the next cell: borders between nuclei are known no better."""
INSIDE_UM = 0.5
"""And from so far inside the nucleus: in tight cells it abuts on the membrane."""
LOOK_UM = 2.5
"""A ridge must fall off within this distance on each side: a 3+ membrane is 2.14 um wide (Scheel 2018)."""
FLANK_UM = 1.0
"""Cytoplasm is read so far from a ridge: half a 3+ membrane's width."""
BEHIND_UM = 1.5
"""What lies behind a ridge is read from here to LOOK_UM: clear of a 3+ membrane and its blur."""
BLANK_OD = 0.08
"""DAB below which a ray finds nothing: cytoplasm and stroma of unstained cores reach .06. Cells need more
(`cells.grade`)."""
PROMINENCE_OD = 0.035
"""A ridge stands out by this on both sides; pixel noise of tissue is about .015."""
PROMINENCE_SHARE = 0.2
"""And by this share of its height: granules of stained cytoplasm stand out less."""
FAINT_OD = 0.20
"""Ridges below this may lie on blue cytoplasm: they pass if what they add to it is brown."""
DAB_OVER_H = 0.8
"""A ridge has at least so much DAB per hematoxylin."""
BROWN = 1.3
"""OD_B / OD_R from which it is DAB: membranes 1.75-2.0; blood, dust, ink, brown-black pigment 1.02-1.21."""

NONE, OWN, BEYOND, UNSEEN = 0, 1, 2, 3
"""State of a ray: no ridge; a ridge on the cell's own ground; one past the border; not to be sampled."""

_N_NUCLEUS = round(MAX_NUCLEUS_UM / STEP_UM)
_N_REACH = round(REACH_UM / STEP_UM)
_N_BEYOND = round(BEYOND_UM / STEP_UM)
_N_INSIDE = round(INSIDE_UM / STEP_UM)
_N_LOOK = round(LOOK_UM / STEP_UM)
_N_BEHIND = round(BEHIND_UM / STEP_UM)
_N_FLANK = round(FLANK_UM / STEP_UM)
_N_MAX = _N_NUCLEUS + _N_REACH + _N_BEYOND + _N_LOOK + 2


class Rays(NamedTuple):
    """One row a cell, one column a ray (ray k points at angle 2 pi k / 48 from x towards y)."""

    state: np.ndarray
    """uint8: NONE, OWN, BEYOND or UNSEEN (another nucleus leaves no room, or the ray leaves the slide)."""
    outside: np.ndarray
    """bool, the ray leaves the slide before the cell ends."""
    nucleus_px: np.ndarray
    """float32, distance of the nucleus's edge from its centre."""
    border_px: np.ndarray
    """float32, distance of the territory's edge."""
    ridge_px: np.ndarray
    """float32, distance of the ridge; NaN without one, as the next two."""
    outer_od: np.ndarray
    """float32, mean DAB behind the ridge, 1.5 to 2.5 um from it."""
    width_px: np.ndarray
    """float32, width at half of the height above the valley."""
    peak_od: np.ndarray
    """float32, DAB on the ridge; without one DAB at the border."""
    cytoplasm_sum: np.ndarray
    """float32, sum of DAB over samples between nucleus and ridge (or border), 1 um short of it."""
    cytoplasm_n: np.ndarray
    """int32, how many."""


def new_rays(n: int) -> Rays:
    """Return arrays for `n` cells."""
    dtypes = [np.uint8, np.bool_, *[np.float32] * 7, np.int32]
    return Rays(*(np.zeros((n, N_RAYS), d) for d in dtypes))


def direction_table() -> np.ndarray:
    """Return float64 (48, 2): cosine and sine of each ray's angle."""
    angle = 2 * np.pi * np.arange(N_RAYS) / N_RAYS
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@numba.njit(cache=True, nogil=True)
def cast(planes, labels, ground, centre, directions, mpp, box, rays):  # pragma: no cover - compiled
    """Fill `rays`.

    `planes`: DAB, hematoxylin, red, blue; `ground`: territories; `centre`: int64 (n, 2) on the 1/16 px grid;
    `box` (left, top, right, bottom): pixels that belong to the slide.
    """
    dab, hematoxylin, red, blue = planes
    height, width = dab.shape
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    step = STEP_UM / mpp
    profile = np.empty(_N_MAX)
    at = np.empty((_N_MAX, 2), np.int64)
    part = np.empty((_N_MAX, 2))
    for i in range(centre.shape[0]):
        cx, cy = centre[i, 0] // GRID, centre[i, 1] // GRID
        fx, fy = (centre[i, 0] % GRID) / GRID - 0.5, (centre[i, 1] % GRID) / GRID - 0.5
        for k in range(N_RAYS):
            # Follow the ray: end of the nucleus, border of the ground, start of another nucleus.
            nucleus, border, stop, seen = 0, -1, -1, 0
            for j in range(_N_MAX):
                ux = fx + j * step * directions[k, 0]
                uy = fy + j * step * directions[k, 1]
                x0, y0 = np.floor(ux), np.floor(uy)
                wx, wy = ux - x0, uy - y0
                x, y = cx + np.int64(x0), cy + np.int64(y0)
                if x < left or y < top or x + 1 >= right or y + 1 >= bottom:
                    break
                at[j, 0], at[j, 1], part[j, 0], part[j, 1] = x, y, wx, wy
                profile[j] = _between(dab, x, y, wx, wy)
                seen = j + 1
                x += wx >= 0.5
                y += wy >= 0.5
                label = labels[y, x]
                if border < 0:
                    if label == i + 1:
                        nucleus = min(j, _N_NUCLEUS)
                    elif (ground[y, x] != i + 1 and j > 0) or j >= nucleus + _N_REACH:
                        border = j
                if stop < 0 and label != 0 and label != i + 1:
                    stop = j
                if border >= 0 and j >= border + _N_BEYOND + _N_LOOK:
                    break
            rays.outside[i, k] = border < 0
            if border < 0:
                border = max(seen - 1, 0)
            rays.nucleus_px[i, k] = nucleus * step
            rays.border_px[i, k] = border * step
            rays.ridge_px[i, k] = np.nan
            rays.outer_od[i, k] = np.nan
            rays.width_px[i, k] = np.nan
            if seen > 0:
                rays.peak_od[i, k] = profile[border]
            if rays.outside[i, k]:
                rays.state[i, k] = UNSEEN
                continue
            last = border + _N_BEYOND
            if stop >= 0:
                last = min(last, stop + _N_INSIDE)
            ridge = _highest(profile, max(1, nucleus - _N_INSIDE), min(last, seen - 2))
            end = border
            if ridge >= 0:
                a = _valley(profile, ridge, max(ridge - _N_LOOK, 0), -1)
                z = _valley(profile, ridge, min(ridge + _N_LOOK, seen - 1), 1)
                peak = profile[ridge]
                base = max(profile[a], profile[z])
                stands_out = peak - base >= max(PROMINENCE_OD, PROMINENCE_SHARE * peak)
                if stands_out and _is_dab(hematoxylin, red, blue, at, part, peak, ridge, a, z):
                    rays.state[i, k] = BEYOND if ridge >= border else OWN
                    rays.ridge_px[i, k] = ridge * step
                    rays.peak_od[i, k] = peak
                    rays.outer_od[i, k] = _mean(profile, ridge + _N_BEHIND, min(ridge + _N_LOOK + 1, seen))
                    rays.width_px[i, k] = _width(profile, ridge, seen, 0.5 * (peak + base)) * step
                    end = min(end, ridge)
            if rays.state[i, k] == NONE and stop >= 0 and stop - nucleus <= _N_INSIDE:
                rays.state[i, k] = UNSEEN  # two nuclei touch or overlap: no wall can be seen between them
            for j in range(nucleus + 1, end - _N_FLANK):
                rays.cytoplasm_sum[i, k] += profile[j]
                rays.cytoplasm_n[i, k] += 1


@numba.njit(cache=True, nogil=True)
def _between(plane, x, y, wx, wy):  # pragma: no cover - compiled
    """Bilinear value."""
    upper = plane[y, x] * (1.0 - wx) + plane[y, x + 1] * wx
    lower = plane[y + 1, x] * (1.0 - wx) + plane[y + 1, x + 1] * wx
    return upper * (1.0 - wy) + lower * wy


@numba.njit(cache=True, nogil=True)
def _highest(profile, first, last):  # pragma: no cover - compiled
    """Return the highest local maximum of `first` to `last` that reaches BLANK_OD, or -1."""
    ridge = -1
    top = BLANK_OD
    for j in range(first, last + 1):
        v = profile[j]
        if v >= top and v >= profile[j - 1] and v > profile[j + 1] and (ridge < 0 or v > top):
            top = v
            ridge = j
    return ridge


@numba.njit(cache=True, nogil=True)
def _valley(profile, ridge, end, way):  # pragma: no cover - compiled
    """Return where the profile is lowest between the ridge and `end`, going `way` (-1 or 1)."""
    lowest = ridge
    for j in range(ridge, end + way, way):
        if profile[j] < profile[lowest]:
            lowest = j
    return lowest


@numba.njit(cache=True, nogil=True)
def _mean(profile, first, end):  # pragma: no cover - compiled
    total = 0.0
    for j in range(first, end):
        total += profile[j]
    return total / (end - first) if end > first else np.nan


@numba.njit(cache=True, nogil=True)
def _is_dab(hematoxylin, red, blue, at, part, peak, ridge, a, z):  # pragma: no cover - compiled
    """Whether the ridge is DAB: more than hematoxylin, and brown; faint ones in what they add."""
    x, y, wx, wy = at[ridge, 0], at[ridge, 1], part[ridge, 0], part[ridge, 1]
    if peak < DAB_OVER_H * _between(hematoxylin, x, y, wx, wy):
        return False
    r = _between(red, x, y, wx, wy)
    b = _between(blue, x, y, wx, wy)
    if b >= BROWN * r:
        return True
    if peak >= FAINT_OD:
        return False
    for j in (a, z):
        r -= 0.5 * _between(red, at[j, 0], at[j, 1], part[j, 0], part[j, 1])
        b -= 0.5 * _between(blue, at[j, 0], at[j, 1], part[j, 0], part[j, 1])
    return b >= BROWN * r


@numba.njit(cache=True, nogil=True)
def _width(profile, ridge, seen, half):  # pragma: no cover - compiled
    """Distance in steps between the two places where the profile falls to `half`."""
    a = ridge
    while a > 0 and profile[a] > half:
        a -= 1
    z = ridge
    while z < seen - 1 and profile[z] > half:
        z += 1
    rise = max(profile[a + 1] - profile[a], 1e-6)
    fall = max(profile[z - 1] - profile[z], 1e-6)
    return (z - (half - profile[z]) / fall) - (a + (half - profile[a]) / rise)
