"""Paint what lies between the cells: stroma, lumina, fat, necrosis, vessels, glass. Amounts of stain, no
colours.

One kernel, pixel by pixel, from the layout's maps and from noise that hangs on the place. Fibres are noise
that is long along the isolines of a bent phase and short across them; fat is a jittered Voronoi diagram with
thin walls (Worley 1996). Red blood cells and dust are grey discs thrown on a hashed lattice.
"""

import numpy as np

from her2kit.phantom.cells import bilinear, fibre_phase
from her2kit.phantom.layout import GRID_UM
from her2kit.phantom.noise import jit, small, unit, value_noise

H, D, E, G = 0, 1, 2, 3
"""Planes of the amounts: hematoxylin, DAB, eosin, grey."""


@small
def step(x, low, high):
    """Return 0 below ``low``, 1 above ``high``, smooth in between."""
    t = min(max((x - low) / (high - low), np.float32(0)), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)


@jit
def paint_ground(amounts, x0_um, y0_um, mpp, maps, eosin, seed):
    """Fill ``amounts``, float32 (4, h, w), for the box whose corner lies at (x0_um, y0_um).

    ``maps`` are the layout's kind, depth, height, edge and loose; ``eosin`` scales the pink of H&E, 0 in IHC.
    """
    kind_map, depth_map, tall_map, edge_map, loose_map = maps
    soft = np.float32(max(0.35, 0.7 * mpp))
    for row in range(amounts.shape[1]):
        y = np.float32(y0_um + (row + 0.5) * mpp)
        for col in range(amounts.shape[2]):
            x = np.float32(x0_um + (col + 0.5) * mpp)
            edge = bilinear(edge_map, x, y)
            h = d = e = g = np.float32(0)
            if edge < 12:
                edge += np.float32(1.6) * value_noise(x / 5, y / 5, seed + 41)
                edge += np.float32(0.8) * value_noise(x / 1.7, y / 1.7, seed + 42)
            if edge < -4:
                amounts[0, row, col] = amounts[1, row, col] = amounts[2, row, col] = amounts[3, row, col] = 0
                continue
            wx = x + np.float32(2.2) * value_noise(x / 7, y / 7, seed + 43)
            wy = y + np.float32(2.2) * value_noise(x / 7, y / 7, seed + 44)
            ky = min(max(int(wy / GRID_UM), 0), kind_map.shape[0] - 1)
            kx = min(max(int(wx / GRID_UM), 0), kind_map.shape[1] - 1)
            kind = kind_map[ky, kx]
            depth = bilinear(depth_map, x, y)
            if kind >= 10 or depth > 0:
                # Epithelium paints itself; under and beside it lies what its side of the border holds.
                tall = bilinear(tall_map, x, y)
                if depth <= 0:
                    kind = 1
                elif depth >= tall and kind >= 10:
                    kind = 2
            if kind == 1 or kind == 5 or kind == 0:
                phase = fibre_phase(depth_map, x, y, seed)
                along = np.float32(0.9) * x - np.float32(0.45) * y
                fine = np.float32(0.6) * value_noise(phase / np.float32(1.5), along / 19, seed + 45)
                fine += np.float32(0.4) * value_noise(phase / np.float32(0.75), along / 8, seed + 46)
                bundle = value_noise(phase / 9, along / 45, seed + 47)
                loose = bilinear(loose_map, x, y)
                hole = np.float32(0.75) * value_noise(phase / 6, along / 14, seed + 48)
                hole += np.float32(0.55) * value_noise(x / 5, y / 5, seed + 49)
                hole += np.float32(0.30) * value_noise(x / 2, y / 2, seed + 50)
                gap = step(
                    hole + np.float32(0.42) * loose,
                    np.float32(0.50),
                    np.float32(0.50) + soft * np.float32(0.3),
                )
                cleft = value_noise(x / 30, y / 30, seed + 51) + np.float32(0.3) * loose
                if depth > -3.0 and depth < 0.3 and cleft > 0.25:
                    gap = max(gap, step(depth, np.float32(-2.6), np.float32(-1.6)))
                body = np.float32(0.085) + np.float32(0.045) * fine + np.float32(0.025) * bundle
                body *= np.float32(1.0) - np.float32(0.22) * min(
                    max(loose, np.float32(-1.2)), np.float32(1.6)
                )
                body = max(body, np.float32(0.012)) * (1 - gap)
                h = body
                d = np.float32(0.02) * (1 - gap) * (1 + fine)
                e = eosin * np.float32(3.2) * body
                if kind == 5:
                    h = h * np.float32(0.7) + np.float32(0.03) * (1 - gap)
            elif kind == 2 or kind == 6:
                stuff = value_noise(x / 22, y / 22, seed + 52) + np.float32(0.5) * value_noise(
                    x / 8, y / 8, seed + 53
                )
                grain = np.float32(0.6) * value_noise(x / 1.3, y / 1.3, seed + 54)
                grain += np.float32(0.4) * value_noise(x / 3.5, y / 3.5, seed + 55)
                if kind == 2:
                    debris = step(stuff, np.float32(0.45), np.float32(0.75)) * step(
                        grain, np.float32(0.0), np.float32(0.5)
                    )
                    h, g = np.float32(0.05) * debris, np.float32(0.05) * debris
                    e = eosin * np.float32(0.10) * debris
            elif kind == 3:
                ghost = np.float32(0.5) + np.float32(0.5) * value_noise(x / 6, y / 6, seed + 56)
                grain = np.float32(0.6) * value_noise(x / 1.2, y / 1.2, seed + 57)
                grain += np.float32(0.5) * value_noise(x / 3, y / 3, seed + 58)
                hole = step(
                    value_noise(x / 8, y / 8, seed + 59) + grain * np.float32(0.3),
                    np.float32(0.45),
                    np.float32(0.6),
                )
                dust = step(grain, np.float32(0.45), np.float32(0.65))
                h = (
                    np.float32(0.05)
                    + np.float32(0.05) * ghost
                    + np.float32(0.03) * grain
                    + np.float32(0.13) * dust
                ) * (1 - hole)
                d = np.float32(0.03) * ghost * (1 - hole)
                g = np.float32(0.05) * dust * (1 - hole)
                e = eosin * np.float32(0.30) * (1 - hole)
            elif kind == 4:
                wall = _fat_wall(x, y, seed)
                line = 1 - step(wall, np.float32(0.5), np.float32(0.5) + soft + np.float32(0.5))
                h = np.float32(0.085) * line * (1 + np.float32(0.4) * value_noise(x / 2, y / 2, seed + 60))
                d = np.float32(0.02) * line
                g = np.float32(0.03) * line
                e = eosin * np.float32(0.22) * line
            if edge < 4:
                inside = step(edge, np.float32(-0.5) * soft, np.float32(1.0) * soft)
                rim = np.exp(-((edge - 1) * (edge - 1)) / np.float32(2.5))
                rim *= max(np.float32(0), value_noise(x / 9, y / 9, seed + 61))
                h *= inside
                d = d * inside + np.float32(0.06) * rim * inside
                e *= inside
                g = g * inside + np.float32(0.14) * rim * inside
            amounts[0, row, col], amounts[1, row, col] = h, d
            amounts[2, row, col], amounts[3, row, col] = e, g


@jit
def _fat_wall(x, y, seed):
    """Return the distance in um to the wall between fat cells, which are about 50 um wide."""
    s = np.float32(50.0)
    bx = x + np.float32(5) * value_noise(x / 25, y / 25, seed + 62)
    by = y + np.float32(5) * value_noise(x / 25, y / 25, seed + 63)
    cx, cy = int(np.floor(bx / s)), int(np.floor(by / s))
    first = second = np.float32(1e9)
    for jy in range(cy - 1, cy + 2):
        for jx in range(cx - 1, cx + 2):
            qx = (jx + np.float32(0.15) + np.float32(0.7) * unit(jx, jy, seed + 64)) * s
            qy = (jy + np.float32(0.15) + np.float32(0.7) * unit(jx, jy, seed + 65)) * s
            r = np.sqrt((qx - bx) * (qx - bx) + (qy - by) * (qy - by))
            if r < first:
                second = first
                first = r
            elif r < second:
                second = r
    return np.float32(0.5) * (second - first)


@jit
def paint_grey(amounts, x0_um, y0_um, mpp, maps, eosin, seed):
    """Add red blood cells (packed in vessels, stray in stroma) and dust, in place."""
    kind_map, depth_map = maps[0], maps[1]
    pitch = np.float32(6.4)
    rows, cols = amounts.shape[1], amounts.shape[2]
    for gy in range(int(y0_um / pitch) - 2, int((y0_um + rows * mpp) / pitch) + 3):
        for gx in range(int(x0_um / pitch) - 2, int((x0_um + cols * mpp) / pitch) + 3):
            x = (gx + unit(gx, gy, seed + 71)) * pitch
            y = (gy + unit(gx, gy, seed + 72)) * pitch
            ky, kx = int(y / GRID_UM), int(x / GRID_UM)
            if x < 0 or y < 0 or ky >= kind_map.shape[0] or kx >= kind_map.shape[1]:
                continue
            lot = unit(gx, gy, seed + 73)
            kind = kind_map[ky, kx]
            chance = np.float32(0)
            if kind == 6:
                chance = np.float32(0.3) + np.float32(0.6) * step(
                    value_noise(x / 60, y / 60, seed + 74), np.float32(-0.2), np.float32(0.3)
                )
            elif kind == 1 and bilinear(depth_map, x, y) < -4:
                chance = np.float32(0.006) + np.float32(0.30) * step(
                    value_noise(x / 70, y / 70, seed + 75), np.float32(0.62), np.float32(0.9)
                )
            elif kind == 0:
                if lot < 0.0006:
                    _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed)
                continue
            elif kind == 2 and lot < 0.004:
                _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed)
                continue
            if lot < chance:
                _red_cell(amounts, x, y, x0_um, y0_um, mpp, eosin, gx, gy, seed)


@jit
def _red_cell(amounts, x, y, x0_um, y0_um, mpp, eosin, gx, gy, seed):
    radius = np.float32(2.3) + np.float32(0.9) * unit(gx, gy, seed + 81)
    turn = np.float32(6.2832) * unit(gx, gy, seed + 82)
    squeeze = np.float32(0.35) + np.float32(0.65) * np.sqrt(unit(gx, gy, seed + 83))
    dark = np.float32(0.10) + np.float32(0.22) * unit(gx, gy, seed + 84)
    ux, uy = np.cos(turn), np.sin(turn)
    reach = int(radius * 1.3 / mpp) + 2
    cy, cx = int((y - y0_um) / mpp), int((x - x0_um) / mpp)
    for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
        for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
            dx = np.float32(x0_um + (col + 0.5) * mpp) - x
            dy = np.float32(y0_um + (row + 0.5) * mpp) - y
            a, b = (dx * ux + dy * uy) / radius, (dy * ux - dx * uy) / (radius * squeeze)
            u = np.sqrt(a * a + b * b) * (
                1 + np.float32(0.08) * value_noise(dx / 2 + gx * 9, dy / 2 + gy * 9, seed + 85)
            )
            inside = 1 - step(u, np.float32(0.92), np.float32(1.08))
            if inside > 0:
                rim = np.exp(-(((u - np.float32(0.85)) / np.float32(0.16)) ** 2))
                side = np.float32(0.55) + np.float32(0.45) * a
                for plane in range(3):
                    amounts[plane, row, col] *= 1 - np.float32(0.85) * inside
                if eosin > 0:
                    amounts[2, row, col] += np.float32(0.5) * inside * eosin
                    amounts[3, row, col] = amounts[3, row, col] * (1 - inside) + np.float32(0.08) * inside
                else:
                    g = np.float32(0.07) + dark * rim * side * 2
                    amounts[3, row, col] = max(amounts[3, row, col] * (1 - inside), g * inside)


@jit
def _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed):
    radius = np.float32(1.0) + np.float32(4.0) * unit(gx, gy, seed + 86) ** 2
    dark = np.float32(0.15) + np.float32(0.5) * unit(gx, gy, seed + 87)
    reach = int(radius * 1.6 / mpp) + 2
    cy, cx = int((y - y0_um) / mpp), int((x - x0_um) / mpp)
    for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
        for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
            dx = np.float32(x0_um + (col + 0.5) * mpp) - x
            dy = np.float32(y0_um + (row + 0.5) * mpp) - y
            u = np.sqrt(dx * dx + dy * dy) / radius
            u *= 1 + np.float32(0.45) * value_noise(dx / 2 + gx * 9, dy / 2 + gy * 9, seed + 88)
            amounts[3, row, col] = max(
                amounts[3, row, col], dark * (1 - step(u, np.float32(0.6), np.float32(1.1)))
            )
