"""Paint what lies between the cells: stroma, lumina, fat, necrosis, vessels, glass. Amounts of stain, no
colours.

One kernel, pixel by pixel, from the layout's maps and from noise that hangs on the place. Fibres are noise
that is long along the isolines of a bent phase and short across them; fat is a jittered Voronoi diagram with
thin walls (Worley 1996). Red blood cells and dust are grey discs thrown on a hashed lattice.
"""

import numpy as np

from her2kit.phantom.layout import GRID_UM
from her2kit.phantom.noise import F, jit, small, unit, value_noise
from her2kit.phantom.space import bilinear, depth_at, fibre_phase, rough_tall

H, D, E, G = 0, 1, 2, 3
"""Planes of the amounts: hematoxylin, DAB, eosin, grey."""


@small
def step(x, low, high):
    """Return 0 below ``low``, 1 above ``high``, smooth in between."""
    t = min(max((x - low) / (high - low), F(0)), F(1))
    return t * t * (F(3) - F(2) * t)


@jit
def paint_ground(amounts, x0_um, y0_um, mpp, maps, eosin, dull, seed):
    """Fill ``amounts``, float32 (4, h, w), for the box whose corner lies at (x0_um, y0_um).

    ``maps`` are the layout's kind, depth, height, edge and loose; ``eosin`` scales the pink of H&E, 0 in IHC.
    ``dull`` is the share of the stroma's hematoxylin that is grey instead: collagen refracts.
    """
    kind_map, depth_map, tall_map, edge_map, loose_map = maps
    soft = F(max(0.35, 0.7 * mpp))
    for row in range(amounts.shape[1]):
        y = F(y0_um + (row + 0.5) * mpp)
        for col in range(amounts.shape[2]):
            x = F(x0_um + (col + 0.5) * mpp)
            edge = bilinear(edge_map, x, y)
            h = d = e = g = F(0)
            if edge < 12:
                edge += F(1.6) * value_noise(x / 5, y / 5, seed + 41)
                edge += F(0.8) * value_noise(x / 1.7, y / 1.7, seed + 42)
            if edge < -4:
                amounts[0, row, col] = amounts[1, row, col] = amounts[2, row, col] = amounts[3, row, col] = 0
                continue
            wx = x + F(2.2) * value_noise(x / 7, y / 7, seed + 43)
            wy = y + F(2.2) * value_noise(x / 7, y / 7, seed + 44)
            ky = min(max(int(wy / GRID_UM), 0), kind_map.shape[0] - 1)
            kx = min(max(int(wx / GRID_UM), 0), kind_map.shape[1] - 1)
            kind = kind_map[ky, kx]
            depth = depth_at(depth_map, x, y, seed)
            if kind >= 10 or depth > 0:
                # Epithelium paints itself; under and beside it lies what its side of the border holds.
                tall = rough_tall(tall_map, x, y, seed)
                if depth <= 0:
                    kind = 1
                elif depth >= tall and kind >= 10:
                    kind = 2
            if kind == 1 or kind == 5 or kind == 0:
                h, d, g = _stroma(depth_map, loose_map, x, y, depth, soft, seed)
                e = eosin * F(3.0) * h
                g += F(1.2) * dull * h
                h *= 1 - dull
            elif kind == 2 or kind == 6:
                stuff = value_noise(x / 22, y / 22, seed + 52) + F(0.5) * value_noise(x / 8, y / 8, seed + 53)
                grain = F(0.6) * value_noise(x / 1.3, y / 1.3, seed + 54)
                grain += F(0.4) * value_noise(x / 3.5, y / 3.5, seed + 55)
                if kind == 2:
                    mesh = 1 - abs(value_noise(x / F(2.6), y / F(2.6), seed + 109)) * F(2.4)
                    debris = step(stuff, F(0.55), F(0.80)) * max(
                        step(grain, F(0.1), F(0.5)), step(mesh, F(0.3), F(0.8))
                    )
                    h, g = F(0.05) * debris, F(0.05) * debris
                    e = eosin * F(0.10) * debris
            elif kind == 3:
                ghost = F(0.5) + F(0.5) * value_noise(x / 6, y / 6, seed + 56)
                grain = F(0.6) * value_noise(x / 1.2, y / 1.2, seed + 57)
                grain += F(0.5) * value_noise(x / 3, y / 3, seed + 58)
                hole = step(
                    value_noise(x / 8, y / 8, seed + 59) + grain * F(0.3),
                    F(0.45),
                    F(0.6),
                )
                dust = step(grain, F(0.45), F(0.65))
                h = (F(0.05) + F(0.05) * ghost + F(0.03) * grain + F(0.13) * dust) * (1 - hole)
                d = F(0.03) * ghost * (1 - hole)
                g = F(0.05) * dust * (1 - hole)
                e = eosin * F(0.30) * (1 - hole)
            elif kind == 4:
                wall = _fat_wall(x, y, seed)
                line = 1 - step(wall, F(0.15), F(0.4) + soft)
                h = F(0.085) * line * (1 + F(0.4) * value_noise(x / 2, y / 2, seed + 60))
                d = F(0.02) * line
                g = F(0.03) * line
                e = eosin * F(0.22) * line
            if edge < 4:
                inside = step(edge, F(-0.5) * soft, F(1.0) * soft)
                rim = np.exp(-((edge - 1) * (edge - 1)) / F(2.5))
                rim *= max(F(0), value_noise(x / 9, y / 9, seed + 61))
                h *= inside
                d = d * inside + F(0.06) * rim * inside
                e *= inside
                g = g * inside + F(0.14) * rim * inside
            amounts[0, row, col], amounts[1, row, col] = h, d
            amounts[2, row, col], amounts[3, row, col] = e, g


@jit
def _stroma(depth_map, loose_map, x, y, depth, soft, seed):
    """Return hematoxylin, DAB and grey of stroma: wavy strands, webs and holes, denser or looser by place."""
    x += F(1.3) * value_noise(x / 6, y / 6, seed + 101)
    y += F(1.3) * value_noise(x / 6, y / 6, seed + 102)
    phase = fibre_phase(depth_map, x, y, seed)
    along = F(0.9) * x - F(0.45) * y
    loose = bilinear(loose_map, x, y) + F(0.5) * value_noise(x / 28, y / 28, seed + 103)
    # Strands are the zero lines of noise; a web of finer ones runs between them.
    strand = 1 - abs(value_noise(phase / F(4.2), along / 24, seed + 45)) * F(2.6)
    thread = 1 - abs(value_noise(phase / F(1.9), along / 15, seed + 46)) * F(2.2)
    web = 1 - abs(value_noise(x / F(4.5), y / F(4.5), seed + 47)) * F(3.4)
    grain = value_noise(x / F(0.8), y / F(0.8), seed + 104)
    broken = F(0.55) + F(0.75) * value_noise(x / 9, y / 9, seed + 106)
    lines = max(max(strand, F(0.8) * thread) * broken, F(0.75) * web)
    lines = min(max(lines, F(0.0)), F(1.0))
    fine = value_noise(phase / F(1.1), along / 10, seed + 50)
    hole = F(0.7) * value_noise(phase / 7, along / 13, seed + 48)
    hole += F(0.6) * value_noise(x / F(5.5), y / F(5.5), seed + 49)
    hole_bias = F(0.25) * value_noise(x / 20, y / 20, seed + 108) + F(0.12) * loose
    gap = step(hole + F(0.34) * loose, F(0.06), F(0.22))
    speck = value_noise(x / F(1.7), y / F(1.7), seed + 107)
    dense = F(0.056) + F(0.032) * fine + F(0.118) * lines + F(0.010) * grain + F(0.018) * speck
    # Small bright clefts between the fibres.
    split = fine - F(0.5) * speck + hole_bias
    dense *= 1 - F(0.85) * step(split, F(0.30), F(0.60))
    dense *= F(1.0) - F(0.20) * min(max(loose, F(-1.5)), F(1.5))
    bare = F(0.11) * step(lines, F(0.45), F(0.80)) * (1 + F(0.5) * grain)
    # Gaps are seldom empty: a trace of ground substance lies in them.
    trace = F(0.012) * (1 + speck + F(0.8) * grain)
    h = dense * (1 - gap) + max(bare, trace) * gap
    cleft = value_noise(x / 34, y / 34, seed + 51) + F(0.25) * loose
    if depth > -3.0 and depth < 0.3 and cleft > 0.42:
        h *= 1 - step(depth, F(-2.6), F(-1.6)) * step(cleft, F(0.42), F(0.55))
    h = max(h, F(0.0))
    # Refractile edges: dark on one side, brighter than white on the other, where the tissue is loose.
    glint = F(0.35) + F(0.25) * loose + F(0.7) * value_noise(x / 25, y / 25, seed + 105)
    glint = min(max(glint, F(0.0)), F(1.0))
    edge = step(lines, F(0.55), F(0.9)) * F(0.065) - step(split, F(0.3), F(0.6)) * F(0.042)
    edge -= gap * (1 - step(lines, F(0.1), F(0.45))) * F(0.040) * (1 + grain)
    return h, F(0.03) * h, glint * edge


@jit
def _fat_wall(x, y, seed):
    """Return the distance in um to the wall between fat cells, which are about 50 um wide."""
    s = F(50.0)
    bx = x + F(9) * value_noise(x / 30, y / 30, seed + 62)
    by = y + F(9) * value_noise(x / 30, y / 30, seed + 63)
    cx, cy = int(np.floor(bx / s)), int(np.floor(by / s))
    first = second = F(1e9)
    for jy in range(cy - 1, cy + 2):
        for jx in range(cx - 1, cx + 2):
            qx = (jx + F(0.15) + F(0.7) * unit(jx, jy, seed + 64)) * s
            qy = (jy + F(0.15) + F(0.7) * unit(jx, jy, seed + 65)) * s
            r = np.sqrt((qx - bx) * (qx - bx) + (qy - by) * (qy - by))
            if r < first:
                second = first
                first = r
            elif r < second:
                second = r
    return F(0.5) * (second - first)


@jit
def grain(amounts, x0_um, y0_um, mpp, seed):
    """Make tissue uneven at 0.5 to 1.5 um, in place: section thickness, background stain, refraction.

    Glass stays as it is.
    """
    for row in range(amounts.shape[1]):
        y = F(y0_um + (row + 0.5) * mpp)
        for col in range(amounts.shape[2]):
            x = F(x0_um + (col + 0.5) * mpp)
            h, d = amounts[0, row, col], amounts[1, row, col]
            tissue = min(F(1), (h + d + amounts[2, row, col] + abs(amounts[3, row, col])) * 25)
            if tissue < F(0.02):
                continue
            fine = value_noise(x / F(0.55), y / F(0.55), seed + 121)
            wide = value_noise(x / F(1.15), y / F(1.15), seed + 122)
            other = value_noise(x / F(0.8), y / F(0.8), seed + 123)
            thick = F(1) + F(0.26) * fine + F(0.20) * wide
            amounts[0, row, col] = h * thick + tissue * F(0.008) * other
            amounts[1, row, col] = d * (F(1) + F(0.25) * (thick - 1)) + tissue * F(0.007) * max(
                other - wide, F(-0.6)
            )
            amounts[3, row, col] += (
                tissue * F(0.042) * (F(0.9) * fine + F(0.6) * value_noise(x / F(0.9), y / F(0.9), seed + 124))
            )


@jit
def paint_grey(amounts, x0_um, y0_um, mpp, maps, eosin, seed):
    """Add red blood cells (packed in vessels, stray in stroma) and dust, in place."""
    kind_map, depth_map = maps[0], maps[1]
    pitch = F(6.4)
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
            chance = F(0)
            if kind == 6:
                chance = F(0.45) + F(0.5) * step(value_noise(x / 60, y / 60, seed + 74), F(-0.2), F(0.3))
            elif kind == 1 and bilinear(depth_map, x, y) < -4:
                chance = F(0.006) + F(0.30) * step(value_noise(x / 70, y / 70, seed + 75), F(0.62), F(0.9))
            elif kind == 0:
                if lot < 0.0006:
                    _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed)
                continue
            elif kind == 2 and lot < 0.0008:
                _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed)
                continue
            if lot < chance:
                _red_cell(amounts, x, y, x0_um, y0_um, mpp, eosin, gx, gy, seed)


@jit
def _red_cell(amounts, x, y, x0_um, y0_um, mpp, eosin, gx, gy, seed):
    radius = F(2.3) + F(0.9) * unit(gx, gy, seed + 81)
    turn = F(6.2832) * unit(gx, gy, seed + 82)
    squeeze = F(0.35) + F(0.65) * np.sqrt(unit(gx, gy, seed + 83))
    dark = F(0.10) + F(0.22) * unit(gx, gy, seed + 84)
    ux, uy = np.cos(turn), np.sin(turn)
    reach = int(radius * 1.3 / mpp) + 2
    cy, cx = int((y - y0_um) / mpp), int((x - x0_um) / mpp)
    for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
        for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
            dx = F(x0_um + (col + 0.5) * mpp) - x
            dy = F(y0_um + (row + 0.5) * mpp) - y
            a, b = (dx * ux + dy * uy) / radius, (dy * ux - dx * uy) / (radius * squeeze)
            u = np.sqrt(a * a + b * b) * (
                1 + F(0.08) * value_noise(dx / 2 + gx * 9, dy / 2 + gy * 9, seed + 85)
            )
            inside = 1 - step(u, F(0.92), F(1.08))
            if inside > 0:
                rim = np.exp(-(((u - F(0.85)) / F(0.16)) ** 2))
                side = F(0.55) + F(0.45) * a
                for plane in range(3):
                    amounts[plane, row, col] *= 1 - F(0.85) * inside
                if eosin > 0:
                    amounts[2, row, col] += F(0.5) * inside * eosin
                    amounts[3, row, col] = amounts[3, row, col] * (1 - inside) + F(0.08) * inside
                else:
                    g = F(0.07) + dark * rim * side * 2
                    amounts[3, row, col] = max(amounts[3, row, col] * (1 - inside), g * inside)


@jit
def _dust(amounts, x, y, x0_um, y0_um, mpp, gx, gy, seed):
    radius = F(1.0) + F(4.0) * unit(gx, gy, seed + 86) ** 2
    dark = F(0.15) + F(0.5) * unit(gx, gy, seed + 87)
    reach = int(radius * 1.6 / mpp) + 2
    cy, cx = int((y - y0_um) / mpp), int((x - x0_um) / mpp)
    for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
        for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
            dx = F(x0_um + (col + 0.5) * mpp) - x
            dy = F(y0_um + (row + 0.5) * mpp) - y
            u = np.sqrt(dx * dx + dy * dy) / radius
            u *= 1 + F(0.45) * value_noise(dx / 2 + gx * 9, dy / 2 + gy * 9, seed + 88)
            amounts[3, row, col] = max(amounts[3, row, col], dark * (1 - step(u, F(0.6), F(1.1))))
