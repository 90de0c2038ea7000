"""From amounts of stain to pixels: Beer-Lambert, optical blur, slow drift, noise, the scanner's sharpening.

Stains add in optical density, and light passes: I = I0 * 10 ** -OD (Beer-Lambert). Blur works on light. Noise
comes before the sharpening, as in a scanner, so that sharpened noise is correlated. JPEG is the pyramid
writer's.
"""

import cv2
import numpy as np

from her2kit.phantom.noise import F, jit, unit, value_noise
from her2kit.phantom.site import Site

_BLOTCH_PX = 8
"""Spacing of the coarse noise: the real scanner's glass has most of its colour noise at 5 to 20 px."""
_BLOTCH = np.array([[0.33, 0.33, 0.33], [0.30, 0.05, 0.0], [0.05, 0.30, 0.0], [0.0, 0.0, 0.95]], np.float32)
"""Columns red, green, blue: what they share (at half the spacing), and what each has of its own."""

GREY = np.array([0.575, 0.577, 0.580], np.float32)
"""OD of what is grey: red blood cells, dust, ink."""


def to_light(amounts: np.ndarray, site: Site, *, stain: str) -> np.ndarray:
    """Return light, float32 (h, w, 3) in grey levels, for amounts (4, h, w) of H, DAB, eosin, grey."""
    vectors = np.vstack([site.vectors(stain), GREY])
    return _beer_lambert(amounts, vectors, np.array(site.white, np.float32))


@jit
def _beer_lambert(amounts, vectors, white):
    _, rows, cols = amounts.shape
    out = np.empty((rows, cols, 3), np.float32)
    for row in range(rows):
        for col in range(cols):
            a, b = amounts[0, row, col], amounts[1, row, col]
            c, d = amounts[2, row, col], amounts[3, row, col]
            for k in range(3):
                od = a * vectors[0, k] + b * vectors[1, k] + c * vectors[2, k] + d * vectors[3, k]
                out[row, col, k] = white[k] * np.exp(np.float32(-2.302585) * od)
    return out


def blur(light: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return ``light`` blurred by a Gaussian; the kernel ends at 4 standard deviations."""
    if sigma_px < 0.05:
        return light
    side = 2 * int(np.ceil(4 * sigma_px)) + 1
    return cv2.GaussianBlur(light, (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101)


def margin_px(site: Site, mpp: float) -> int:
    """Return how many pixels beyond a block its pixels depend on."""
    return int(np.ceil(4 * site.blur_um / mpp)) + int(np.ceil(4 * site.sharpen_um / mpp)) + 4


def sharpen(light: np.ndarray, site: Site, mpp: float) -> np.ndarray:
    """Return ``light`` after the scanner's unsharp mask; beside dark edges it exceeds white.

    As in cameras the mask works on luminance and leaves colour as it is: sharpened membranes are darker, not
    browner. It works on the ratio of luminance to its blur, so that dark lines deepen but never reach black.
    """
    if site.sharpen == 0:
        return light
    luminance = cv2.cvtColor(light, cv2.COLOR_RGB2GRAY)
    return _unsharp(light, luminance, blur(luminance, site.sharpen_um / mpp), np.float32(site.sharpen))


@jit
def _unsharp(light, luminance, soft, amount):
    out = np.empty_like(light)
    for row in range(light.shape[0]):
        for col in range(light.shape[1]):
            ratio = luminance[row, col] / max(soft[row, col], F(1e-3))
            factor = 1 + amount * (ratio - 1) if ratio > 1 else ratio / (ratio + amount * (1 - ratio))
            for k in range(3):
                out[row, col, k] = light[row, col, k] * factor
    return out


def expose(light: np.ndarray, site: Site, *, mpp: float, x0_px: int, y0_px: int, seed: int) -> np.ndarray:
    """Return pixels, uint8 (h, w, 3), from sharpened light: drift, noise, rounding.

    ``x0_px`` and ``y0_px`` place the block on the slide: noise hangs on the place. The noise went through the
    same sharpening, so it is correlated.
    """
    white = np.array(site.white, np.float32)
    noise = _noise(light.shape[0], light.shape[1], np.float32(site.noise), x0_px, y0_px, seed)
    if site.sharpen > 0:
        noise += np.float32(site.sharpen) * (noise - blur(noise, site.sharpen_um / mpp))
    if site.blotch > 0:
        rows, cols = light.shape[:2]
        noise += site.blotch * _blotches(rows, cols, x0_px, y0_px, seed + 20)
    _develop(light, noise, white, np.float32(site.drift), np.float32(mpp), x0_px, y0_px, seed)
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


@jit
def _noise(rows, cols, sigma, x0, y0, seed):
    """Return white noise (rows, cols, 3) of s.d. ``sigma``, most of it the same in all channels."""
    out = np.empty((rows, cols, 3), np.float32)
    # A sum of three uniforms has s.d. 0.5.
    shared_part, own_part = F(1.7) * sigma, F(1.0) * sigma
    half = F(1.5)
    for row in range(rows):
        for col in range(cols):
            px, py = x0 + col, y0 + row
            shared = unit(px, py, seed + 1) + unit(px, py, seed + 2) + unit(px, py, seed + 3) - half
            for k in range(3):
                own = (
                    unit(px, py, seed + 4 + k)
                    + unit(px, py, seed + 8 + k)
                    + unit(px, py, seed + 12 + k)
                    - half
                )
                out[row, col, k] = shared_part * shared + own_part * own
    return out


def _blotches(rows: int, cols: int, x0: int, y0: int, seed: int) -> np.ndarray:
    """Return coarse coloured noise (rows, cols, 3) that hangs on the place; its blue has s.d. about 1."""
    parts = []
    for channels, step in (((0,), _BLOTCH_PX // 2), ((1, 2, 3), _BLOTCH_PX)):
        left, top = x0 // step - 1, y0 // step - 1
        lattice = _lattice(rows // step + 4, cols // step + 4, left, top, len(channels), seed + step)
        matrix = np.array([[1 / step, 0, x0 / step - left], [0, 1 / step, y0 / step - top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        wide = cv2.warpAffine(lattice, matrix, (cols, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        parts.append(wide.reshape(rows, cols, len(channels)))
    return np.concatenate(parts, axis=2) @ _BLOTCH


@jit
def _lattice(rows, cols, left, top, channels, seed):
    """Return hashed numbers of s.d. 1.5, so that after interpolation it is about 1."""
    out = np.empty((rows, cols, channels), np.float32)
    for row in range(rows):
        for col in range(cols):
            for k in range(channels):
                total = unit(left + col, top + row, seed + 31 * k)
                total += unit(left + col, top + row, seed + 31 * k + 7)
                out[row, col, k] = F(3.7) * (total - F(1))
    return out


@jit
def _develop(light, noise, white, drift, mpp, x0, y0, seed):
    """Add light and its drift to the noise, in place; noise is stronger in tissue."""
    gain = drift * F(2.3) / white[1]  # value noise has s.d. 0.43
    for row in range(light.shape[0]):
        for col in range(light.shape[1]):
            px, py = F((x0 + col) * mpp), F((y0 + row) * mpp)
            slow = F(1) + gain * value_noise(px / 260, py / 260, seed + 16)
            tissue = F(1) + F(1.2) * min(F(1), max(F(0), 6 * (1 - light[row, col, 0] / white[0])))
            for k in range(3):
                noise[row, col, k] = light[row, col, k] * slow + noise[row, col, k] * tissue
