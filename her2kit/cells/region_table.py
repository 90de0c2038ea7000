"""Measurements of labelled regions: place, size, shape, stain inside and in a ring around.

Sums are taken in raster order from each region's own seed, so they are bitwise the same however the picture
was cut. It decides nothing.
"""

import numba
import numpy as np
import pandas as pd

from her2kit.stain.separation import StainMaps

RING_UM = 1.5
"""Width of the ring. Neighbouring centres are about 7.5 um apart, so this is about the gap between nuclei
of 3.3 um radius and a bit of membrane."""


def measure_regions(
    maps: StainMaps,
    levels: np.ndarray,
    labels: np.ndarray,
    seeds: np.ndarray,
    *,
    mpp: float,
) -> pd.DataFrame:
    """Measure every region, and the ring of 1.5 um around it as far as it is free.

    Parameters
    ----------
    maps
        Stain maps of the picture.
    levels
        uint8 (h, w), the signal by which the regions were found.
    labels
        int32 (h, w), 0 background, i + 1 region i.
    seeds
        int32 (n, 2), (y, x) of a pixel of each region.
    mpp
        Micrometres per pixel.

    Returns
    -------
    pandas.DataFrame
        n rows, float64: `x_px`, `y_px` (centroid, the centre of the first pixel at 0.5), `area_um2`,
        `axis_ratio` (minor over major of the ellipse with the same moments, 0..1), `fill` (area over that
        ellipse's, 0..1), `hematoxylin_od`, `dab_od` (means), `ring_dab_od` (NaN without a ring),
        `contrast` (mean level less the ring's, in levels), `blue_over_red` (OD_B / OD_R of the means).
    """
    n = len(seeds)
    shape = _shape_sums(labels, seeds)
    pixels = np.maximum(shape[:, 0], 1).astype(np.float64)
    dx, dy = shape[:, 1] / pixels, shape[:, 2] / pixels
    xx = shape[:, 3] / pixels - dx * dx + 1 / 12
    yy = shape[:, 4] / pixels - dy * dy + 1 / 12
    xy = shape[:, 5] / pixels - dx * dy
    root = np.sqrt((xx - yy) ** 2 / 4 + xy * xy)
    middle = (xx + yy) / 2
    fill = np.minimum(pixels / (4 * np.pi * np.sqrt(np.maximum(xx * yy - xy * xy, 1e-9))), 1.0)
    planes = (maps.hematoxylin, maps.dab, maps.red, maps.blue, levels)
    inside = _plane_sums(labels, n, *planes)
    around = _ring_sums(labels, n, max(1, round(RING_UM / mpp)), *planes)
    ring_pixels = np.where(around[:, 5] > 0, around[:, 5], np.nan)
    contrast = np.nan_to_num(inside[:, 4] / pixels - around[:, 4] / ring_pixels)
    # Centroids in steps of 1/256 px, so that adding a tile's origin stays exact.
    values = {
        "x_px": seeds[:, 1] + 0.5 + np.rint(dx * 256) / 256,
        "y_px": seeds[:, 0] + 0.5 + np.rint(dy * 256) / 256,
        "area_um2": shape[:, 0] * mpp**2,
        "axis_ratio": np.sqrt(np.maximum(middle - root, 0) / (middle + root)),
        "hematoxylin_od": inside[:, 0] / pixels,
        "dab_od": inside[:, 1] / pixels,
        "ring_dab_od": around[:, 1] / ring_pixels,
        "fill": fill,
        "contrast": contrast,
        "blue_over_red": inside[:, 3] / np.maximum(inside[:, 2], 1e-6),
    }
    return pd.DataFrame({name: np.asarray(v, dtype=np.float64) for name, v in values.items()})


@numba.njit(cache=True, nogil=True)
def _shape_sums(labels, seeds):  # pragma: no cover - compiled
    """Return int64 (n, 6): pixels, sums of dx, dy, dx dx, dy dy, dx dy from each region's seed."""
    sums = np.zeros((len(seeds), 6), np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            i = labels[y, x] - 1
            if i < 0:
                continue
            dy = y - seeds[i, 0]
            dx = x - seeds[i, 1]
            sums[i, 0] += 1
            sums[i, 1] += dx
            sums[i, 2] += dy
            sums[i, 3] += dx * dx
            sums[i, 4] += dy * dy
            sums[i, 5] += dx * dy
    return sums


@numba.njit(cache=True, nogil=True)
def _plane_sums(labels, n, a, b, c, d, e):  # pragma: no cover - compiled
    """Return float64 (n, 6): sums of five planes by region, each in raster order, and the pixels."""
    sums = np.zeros((n, 6), np.float64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            i = labels[y, x] - 1
            if i >= 0:
                sums[i, 0] += a[y, x]
                sums[i, 1] += b[y, x]
                sums[i, 2] += c[y, x]
                sums[i, 3] += d[y, x]
                sums[i, 4] += e[y, x]
                sums[i, 5] += 1
    return sums


@numba.njit(cache=True, nogil=True)
def _ring_sums(labels, n, reach, a, b, c, d, e):  # pragma: no cover - compiled
    """Return float64 (n, 6): sums of five planes along short rays, and the pixels on them.

    From each edge pixel of a region a ray goes out along its row or column for `reach` pixels, or until
    it meets a region. A pixel on two rays counts twice.
    """
    height, width = labels.shape
    sums = np.zeros((n, 6), np.float64)
    for y in range(height):
        for x in range(width):
            i = labels[y, x] - 1
            if i < 0:
                continue
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                yy = y + dy
                xx = x + dx
                for _ in range(reach):
                    if yy < 0 or xx < 0 or yy >= height or xx >= width or labels[yy, xx] > 0:
                        break
                    sums[i, 0] += a[yy, xx]
                    sums[i, 1] += b[yy, xx]
                    sums[i, 2] += c[yy, xx]
                    sums[i, 3] += d[yy, xx]
                    sums[i, 4] += e[yy, xx]
                    sums[i, 5] += 1
                    yy += dy
                    xx += dx
    return sums
