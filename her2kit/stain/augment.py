"""Vary the amount of each stain in a picture, so that a model learns not to rely on it. For training alone.

The two amounts are scaled and shifted by random factors; what neither stain explains stays, and so does
glass. Never part of scoring, and not for a model that grades HER2: it would learn to ignore what it should
measure.

References
----------
Tellez D et al. Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to train
distilled stain-invariant convolutional networks. IEEE Trans Med Imaging 2018;37:2126-2136.
"""

import math

import numba
import numpy as np

from her2kit.stain.basis import StainBasis
from her2kit.stain.optical_density import check_rgb, od_table

_FADE_OD_SUM = 0.15
"""From here down to OD 0 the change fades out, so that glass keeps its colour."""


def jitter(
    pixels: np.ndarray,
    *,
    basis: StainBasis,
    rng: np.random.Generator,
    scale: float = 0.2,
    shift: float = 0.02,
) -> np.ndarray:
    """Return the picture with other amounts of its two stains.

    Parameters
    ----------
    pixels
        uint8 (..., 3), RGB, raw.
    basis
        The slide's, by Macenko or Vahadane.
    rng
        Four numbers are drawn from it at each call.
    scale
        Each amount is multiplied by a factor uniform in 1 - scale .. 1 + scale; 0 to 1 (Tellez et al.: 0.05
        light, 0.2 strong).
    shift
        And an OD uniform in -shift .. +shift is added, 0 to 1.

    Returns
    -------
    uint8 (..., 3)

    Raises
    ------
    ValueError
        If `pixels` is not uint8 RGB, `basis` has no vectors, or `scale` or `shift` is out of range.
    """
    check_rgb(pixels)
    if not basis.vectors:
        raise ValueError(f"basis is fitted by {basis.method}; fit it by 'macenko' or 'vahadane'")
    for name, value in (("scale", scale), ("shift", shift)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}={value}; use 0 to 1")
    vectors = np.array(basis.vectors)
    factor, offset = rng.uniform(-scale, scale, 2), rng.uniform(-shift, shift, 2)
    turn = vectors.T @ np.diag(factor) @ np.linalg.pinv(vectors.T)  # change of OD per OD, (3, 3)
    od = od_table(basis.white)
    to_change = np.ascontiguousarray(turn.T[:, None, :] * od[:, :, None], dtype=np.float32)
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    out = np.empty_like(flat)
    _change(flat, od, to_change, (offset @ vectors).astype(np.float32), out)
    return out.reshape(pixels.shape)


@numba.njit(cache=True, nogil=True)
def _change(pixels, od, to_change, offset, out):  # pragma: no cover - compiled
    per_od = np.float32(-math.log(10.0))
    fade = np.float32(1 / _FADE_OD_SUM)
    for i in range(pixels.shape[0]):
        r, g, b = pixels[i, 0], pixels[i, 1], pixels[i, 2]
        weight = min(max((od[0, r] + od[1, g] + od[2, b]) * fade, np.float32(0)), np.float32(1)) * per_od
        for c in range(3):
            change = offset[c] + to_change[0, r, c] + to_change[1, g, c] + to_change[2, b, c]
            grey = pixels[i, c] * math.exp(weight * change) + np.float32(0.5)
            out[i, c] = np.uint8(min(grey, np.float32(255)))
