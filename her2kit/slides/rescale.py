"""One field of view at two sites: how many pixels show it, and what is lost by magnifying or by averaging.

R4 read 256 px at level 4 of a scanner of 0.221 um/px: 905 um. On one of 0.389 um/px the same call shows
1,593 um; the same field is 145 px of its level 4, to be magnified, or 290 px of its level 3, to be averaged.
``Slide.read`` always averages; here both are done side by side to be compared.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.slides.resample import Taps, area_taps, linear_taps, resample
from her2kit.slides.slide import Slide


def field_um(tile_px: float, *, mpp: float, level: int = 0, downsample: float = 2.0) -> float:
    """Return how many micrometres ``tile_px`` pixels of a level span.

    Parameters
    ----------
    mpp
        Micrometres per pixel of level 0.
    downsample
        Factor from one level to the next.
    """
    return tile_px * _level_mpp(mpp, level, downsample)


def field_px(um: float, *, mpp: float, level: int = 0, downsample: float = 2.0) -> float:
    """Return how many pixels of a level span ``um`` micrometres: the inverse of ``field_um``."""
    return um / _level_mpp(mpp, level, downsample)


def _level_mpp(mpp: float, level: int, downsample: float) -> float:
    if not (0 < mpp < math.inf and level >= 0 and downsample >= 1):
        raise ValueError(
            f"mpp={mpp}, level={level}, downsample={downsample}; give mpp > 0, level >= 0, downsample >= 1"
        )
    return mpp * downsample**level


@dataclass(frozen=True, slots=True)
class TwoWays:
    """One field at one mpp, made in three ways; each uint8 (h, w, 3), RGB, pixel upon pixel."""

    mpp: float
    """Micrometres per pixel of all three."""
    finer_mpp: float
    """Of the level that was averaged."""
    coarser_mpp: float
    """Of the level that was magnified."""
    best: np.ndarray
    """Averaged from level 0."""
    averaged: np.ndarray
    """Averaged from the next finer level."""
    magnified: np.ndarray
    """Interpolated linearly from the next coarser level."""


def rescale_two_ways(slide: Slide, x_px0: float, y_px0: float, *, mpp: float, tile_px: int = 256) -> TwoWays:
    """Read a field at ``mpp`` from the finer and from the coarser of the levels around it.

    Levels halve; one that the file lacks is averaged from what it has.

    Parameters
    ----------
    x_px0, y_px0
        Level-0 position of the field's corner; moved up and left to a pixel's corner of the coarser level.
    mpp
        Micrometres per pixel of the result, coarser than the slide's own.

    Raises
    ------
    MppError
        If the slide has no mpp.
    ValueError
        If ``mpp`` is finer than the slide's own, or ``tile_px`` < 1.
    """
    scale = slide.scale_at(mpp)
    if not (tile_px >= 1 and math.isfinite(x_px0) and math.isfinite(y_px0)):
        raise ValueError(
            f"x_px0={x_px0}, y_px0={y_px0}, tile_px={tile_px}; give a place, and 1 px or more (256 in R4)"
        )
    own = float(slide.mpp or math.nan)
    finer = 2.0 ** math.floor(math.log2(scale) + 1e-9)
    coarser = 2 * finer
    left, top = (math.floor(place / coarser) * coarser for place in (x_px0, y_px0))

    def read(level: float, taps: Taps) -> np.ndarray:
        start, n = taps.start * level, taps.stop - taps.start
        tile = slide.read(left + start, top + start, n, n, mpp=own * level)
        return resample(tile.pixels, taps, taps)

    up = linear_taps(0, 0.0, tile_px, scale / coarser, math.ceil(tile_px * scale / coarser))
    return TwoWays(
        mpp=own * scale,
        finer_mpp=own * finer,
        coarser_mpp=own * coarser,
        best=read(1.0, area_taps(0, 0.0, tile_px, scale)),
        averaged=read(finer, area_taps(0, 0.0, tile_px, scale / finer)),
        magnified=read(coarser, up),
    )


def power_spectrum(pixels: np.ndarray, *, mpp: float, bins: int = 32) -> pd.DataFrame:
    """Return how much of a picture's contrast lies in which detail.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.
    mpp
        Micrometres per pixel.
    bins
        Bands of equal width, up to the finest detail that the pixels can hold.

    Returns
    -------
    ``cycles_per_um``, the middle of each band, up to 1 / (2 mpp); ``power``, the mean squared amplitude in
    that band of the mean of the three channels, grey levels squared. A Hann window hides the borders.
    """
    if pixels.ndim != 3 or not 0 < mpp < math.inf or bins < 1:
        raise ValueError(
            f"pixels has shape {pixels.shape}, mpp={mpp}, bins={bins}; give (h, w, 3), and both above 0"
        )
    grey = np.asarray(pixels, np.float64).mean(axis=2)
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    amplitude = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    across, down = (np.fft.fftfreq(n, mpp) for n in (grey.shape[1], grey.shape[0]))
    frequency = np.hypot(*np.meshgrid(across, down))
    edges = np.linspace(0, 0.5 / mpp, bins + 1)
    band = np.digitize(frequency.ravel(), edges) - 1
    inside = band < bins
    total = np.bincount(band[inside], amplitude.ravel()[inside], bins)
    count = np.bincount(band[inside], minlength=bins)
    return pd.DataFrame(
        {"cycles_per_um": (edges[:-1] + edges[1:]) / 2, "power": total / np.maximum(count, 1)}
    )


def psnr_db(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in decibels; infinite where the two are the same.

    Parameters
    ----------
    pixels, reference
        uint8 of one shape.
    """
    if pixels.shape != reference.shape:
        raise ValueError(f"pixels has shape {pixels.shape}, reference {reference.shape}; give one shape")
    error = np.mean((np.asarray(pixels, float) - reference) ** 2)
    return math.inf if error == 0 else float(10 * np.log10(255**2 / error))
