"""Random numbers that depend on a place, not on an order: the same seed gives the same slide, block by block.

``unit`` hashes integer coordinates to [0, 1) (an integer finaliser after Murmur3, Appleby 2008).
``value_noise`` interpolates hashed lattice points (Perlin 1985, in its value form). ``field`` makes large
smooth arrays for the layout. Nothing here knows about tissue.
"""

import cv2
import numba as nb
import numpy as np

jit = nb.njit(nogil=True, cache=True, fastmath=True)
"""Compile a kernel: without the interpreter's lock, kept on disk."""
small = nb.njit(nogil=True, cache=True, fastmath=True, forceinline=True)
"""Compile a helper into whatever calls it."""
F = np.float32
"""Constants in kernels: a bare 0.5 would turn the arithmetic into float64."""


@small
def unit(x, y, seed):
    """Return a hashed number in [0, 1) for integer ``x``, ``y`` and ``seed``."""
    # numba widens uint32 products to 64 bits: each step is cut back.
    h = np.uint32(np.uint32(x) * np.uint32(0x9E3779B1))
    h = np.uint32((h ^ (h >> np.uint32(15))) + np.uint32(np.uint32(y) * np.uint32(0x85EBCA77)))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE3D))
    h = np.uint32(h + np.uint32(np.uint32(seed) * np.uint32(0x27D4EB2F)))
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D))
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    return np.float32(np.uint32(h >> np.uint32(8))) * np.float32(1.0 / 16777216.0)


@small
def value_noise(x, y, seed):
    """Return smooth noise in [-1, 1], with one lattice point a unit of ``x`` and ``y``."""
    fx, fy = np.floor(x), np.floor(y)
    ix, iy = np.int32(fx), np.int32(fy)
    u, v = np.float32(x - fx), np.float32(y - fy)
    u = u * u * (np.float32(3) - np.float32(2) * u)
    v = v * v * (np.float32(3) - np.float32(2) * v)
    a, b = unit(ix, iy, seed), unit(ix + 1, iy, seed)
    c, d = unit(ix, iy + 1, seed), unit(ix + 1, iy + 1, seed)
    top, bottom = a + (b - a) * u, c + (d - c) * u
    return np.float32(2) * (top + (bottom - top) * v) - np.float32(1)


def field(shape: tuple[int, int], wavelength: float, rng: np.random.Generator) -> np.ndarray:
    """Return smooth Gaussian noise of mean 0 and s.d. about 1, float32 ``shape``, two octaves.

    Parameters
    ----------
    wavelength
        Distance between lattice points of the coarse octave, in array pixels; the fine one has half of it.
    """
    out = np.zeros(shape, np.float32)
    for step, share in ((wavelength, 0.85), (wavelength / 2, 0.5)):
        ny, nx = int(shape[0] / step) + 5, int(shape[1] / step) + 5
        coarse = rng.standard_normal((ny, nx)).astype(np.float32)
        shift_y, shift_x = rng.uniform(1, 2, 2)
        # An affine map, not a resize: the wavelength stays the same whatever the shape.
        matrix = np.array([[1 / step, 0, shift_x], [0, 1 / step, shift_y]], np.float32)
        out += share * cv2.warpAffine(
            coarse,
            matrix,
            shape[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
    return out * np.float32(1.35)
