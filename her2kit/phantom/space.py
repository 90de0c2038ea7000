"""Where a point of the slide lies: smooth lookups in the layout, uneven borders, distances to cells.

Small helpers that the shapes of cells and every painting kernel share, so that outlines and pictures agree.
"""

import numpy as np

from her2kit.phantom.layout import GRID_UM
from her2kit.phantom.noise import F, jit, small, value_noise

BIN_UM = 12.0
"""Side of the squares in which cells look for their neighbours."""
_WARP_UM, _WARP_STEP_UM = 1.3, 5.0
"""How far and at which scale cell borders meander."""


@small
def bilinear(values, x, y):
    """Return ``values`` of a layout map at a place in um."""
    fx = min(max(x / F(GRID_UM) - F(0.5), F(0)), F(values.shape[1] - 1.001))
    fy = min(max(y / F(GRID_UM) - F(0.5), F(0)), F(values.shape[0] - 1.001))
    ix, iy = np.int32(fx), np.int32(fy)
    u, v = fx - ix, fy - iy
    top = values[iy, ix] + (values[iy, ix + 1] - values[iy, ix]) * u
    bottom = values[iy + 1, ix] + (values[iy + 1, ix + 1] - values[iy + 1, ix]) * u
    return top + (bottom - top) * v


@small
def depth_at(depth_map, x, y, seed):
    """Return the depth in um with the roughness that borders of epithelium have below the layout's grid."""
    depth = bilinear(depth_map, x, y)
    if abs(depth) < 6:
        depth += F(1.1) * value_noise(x / 8, y / 8, seed + 13)
        depth += F(0.6) * value_noise(x / F(2.6), y / F(2.6), seed + 14)
    return depth


@small
def rough_tall(tall_map, x, y, seed):
    """Return the height of the epithelium in um, with an uneven lumen side."""
    tall = bilinear(tall_map, x, y)
    if tall < 80:
        tall += F(1.2) * value_noise(x / 7, y / 7, seed + 15)
        tall += F(0.6) * value_noise(x / 2, y / 2, seed + 16)
    return tall


@small
def warp(x, y, seed):
    """Return the offset in um that makes cell borders meander at this place."""
    s = F(1.0 / _WARP_STEP_UM)
    return (
        F(_WARP_UM) * value_noise(x * s, y * s, seed + 11),
        F(_WARP_UM) * value_noise(x * s, y * s, seed + 12),
    )


@small
def relative_distance(px, py, x, y, ax, ay, along, across):
    """Return how far a point is from a cell's centre, in units of the cell's own ellipse."""
    dx, dy = px - x, py - y
    u = (dx * ax + dy * ay) / along
    v = (dy * ax - dx * ay) / across
    return np.sqrt(u * u + v * v)


@jit
def fibre_phase(depth_map, x, y, seed):
    """Return the coordinate across the fibres: they follow its isolines and wrap around epithelium."""
    base = F(0.45) * x + F(0.9) * y
    bent = base + F(75) * value_noise(x / 130, y / 130, seed + 21)
    bent += F(16) * value_noise(x / 42, y / 42, seed + 22)
    near = max(bilinear(depth_map, x, y), F(-30.0))
    return bent * F(0.75) + F(1.5) * near
