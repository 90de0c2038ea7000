"""Paint epithelium, nuclei and lone cells: cytoplasm, the membranes that neighbours share, vesicular nuclei.

Kernels over one block. ``own`` finds for each pixel the nearest and the second nearest cell; the distance to
the membrane between them is (d2 - d1) / |grad d1 - grad d2|, exact to first order. A membrane holds the stain
of both sides; along it the stain is granular. Amounts of stain, no colours.
"""

import numpy as np

from her2kit.phantom.ground import step
from her2kit.phantom.noise import F, jit, small, unit, value_noise
from her2kit.phantom.space import depth_at, rough_tall, warp

_REACH = 2.2
"""A point further than this from every cell, in units of the cell, belongs to none."""


@jit
def own(near, shape_x, shape_y, x0_um, y0_um, mpp, maps, x, y, axis, half, seed):
    """Return the nearest and second nearest cell and their relative distances, each (h, w); -1 where none is.

    ``near`` lists the epithelial cells that can reach the block, in ascending order.
    """
    depth_map, tall_map = maps
    first, second = np.full((shape_y, shape_x), -1, np.int32), np.full((shape_y, shape_x), -1, np.int32)
    d1, d2 = np.full((shape_y, shape_x), 9.0, np.float32), np.full((shape_y, shape_x), 9.0, np.float32)
    inside = np.zeros((shape_y, shape_x), np.bool_)
    qx, qy = np.empty((shape_y, shape_x), np.float32), np.empty((shape_y, shape_x), np.float32)
    for row in range(shape_y):
        py = F(y0_um + (row + 0.5) * mpp)
        for col in range(shape_x):
            px = F(x0_um + (col + 0.5) * mpp)
            depth = depth_at(depth_map, px, py, seed)
            if depth > -1.5 and depth < rough_tall(tall_map, px, py, seed) + 1.5:
                inside[row, col] = True
                wx, wy = warp(px, py, seed)
                qx[row, col], qy[row, col] = px + wx, py + wy
    for i in near:
        a = F(1.0) / half[i, 0]
        b = F(1.0) / half[i, 1]
        ax, ay, cx, cy = axis[i, 0], axis[i, 1], x[i], y[i]
        reach_x = F(_REACH) * np.sqrt((half[i, 0] * ax) ** 2 + (half[i, 1] * ay) ** 2) + F(1.2)
        reach_y = F(_REACH) * np.sqrt((half[i, 0] * ay) ** 2 + (half[i, 1] * ax) ** 2) + F(1.2)
        for row in range(
            max(0, int((cy - reach_y - y0_um) / mpp)), min(shape_y, int((cy + reach_y - y0_um) / mpp) + 1)
        ):
            for col in range(
                max(0, int((cx - reach_x - x0_um) / mpp)), min(shape_x, int((cx + reach_x - x0_um) / mpp) + 1)
            ):
                if inside[row, col]:
                    dx, dy = qx[row, col] - cx, qy[row, col] - cy
                    u, v = (dx * ax + dy * ay) * a, (dy * ax - dx * ay) * b
                    d = u * u + v * v
                    if d < d2[row, col] and d < _REACH * _REACH:
                        if d < d1[row, col]:
                            d2[row, col], second[row, col] = d1[row, col], first[row, col]
                            d1[row, col], first[row, col] = d, i
                        else:
                            d2[row, col], second[row, col] = d, i
    return first, second


@small
def _pull(px, py, i, x, y, axis, half):
    """Return relative distance and its gradient per um."""
    dx, dy = px - x[i], py - y[i]
    ax, ay = axis[i, 0], axis[i, 1]
    u, v = (dx * ax + dy * ay) / half[i, 0], (dy * ax - dx * ay) / half[i, 1]
    d = np.sqrt(u * u + v * v) + F(1e-6)
    gu, gv = u / (d * half[i, 0]), v / (d * half[i, 1])
    return d, gu * ax - gv * ay, gu * ay + gv * ax


@small
def around(values, i, dx, dy):
    """Return row ``i`` of a table by angle, interpolated at the direction (dx, dy)."""
    n = values.shape[1]
    f = np.arctan2(dy, dx) * F(n / (2 * np.pi))
    if f < 0:
        f += n
    k = int(f)
    u = F(f - k)
    a, b = values[i, k % n], values[i, (k + 1) % n]
    return a + (b - a) * u


@jit
def paint_epithelium(
    amounts, membrane, first, second, x0_um, y0_um, mpp, maps, cells, stain, eosin, body, dull, seed
):
    """Paint cytoplasm and membranes in place; ``membrane`` gets the DAB of membranes alone.

    ``body`` is the hematoxylin of cytoplasm; the share ``dull`` of it is grey instead.
    """
    depth_map, tall_map = maps
    x, y, axis, half, nucleus, kind = cells
    od, sigma, arcs, cytoplasm = stain
    soft = F(max(0.35, 0.7 * mpp))
    for row in range(first.shape[0]):
        py = F(y0_um + (row + 0.5) * mpp)
        for col in range(first.shape[1]):
            i = first[row, col]
            if i < 0:
                continue
            px = F(x0_um + (col + 0.5) * mpp)
            depth, tall = depth_at(depth_map, px, py, seed), rough_tall(tall_map, px, py, seed)
            border = min(depth, tall - depth)
            cover = step(border, -soft, soft)
            wx, wy = warp(px, py, seed)
            qx, qy = px + wx, py + wy
            di, gix, giy = _pull(qx, qy, i, x, y, axis, half)
            cover *= 1 - step(di, F(2.0), F(2.15))
            j = second[row, col]
            gap = F(9)
            if j >= 0:
                dj, gjx, gjy = _pull(qx, qy, j, x, y, axis, half)
                slope = np.sqrt((gjx - gix) ** 2 + (gjy - giy) ** 2)
                gap = (dj - di) / max(slope, F(0.05))
            grain = F(0.62) * value_noise(px / F(0.9), py / F(0.9), seed + 91)
            grain += F(0.38) * value_noise(px / F(2.4), py / F(2.4), seed + 92)
            stain_line = smear = F(0)
            if gap < 3.5 or border < 3.5:
                dots = F(1.0) + F(0.30) * grain
                dots += F(0.32) * value_noise(px / F(3.6), py / F(3.6), seed + 98)
                side = F(0)
                if od[i] > 0:
                    part = around(arcs, i, px - nucleus[i, 0], py - nucleus[i, 1]) * od[i]
                    s = sigma[i]
                    shared = np.exp(-(((gap - F(0.12)) / s) ** 2) / 2) if j >= 0 else F(0)
                    side = (part * shared) ** 3
                    free = np.exp(-(((border - F(0.35)) / (s * F(0.8))) ** 2) / 2)
                    stain_line = part * free * F(0.75)
                    # An obliquely cut membrane smears into the cell on one side.
                    slant = step(value_noise(px / 14, py / 14, seed + 99), F(0.0), F(0.7))
                    smear = F(0.18) * part * slant * np.exp(-gap / F(1.3))
                if j >= 0 and od[j] > 0 and gap < 3.5:
                    part = around(arcs, j, px - nucleus[j, 0], py - nucleus[j, 1]) * od[j]
                    side += (part * np.exp(-(((gap + F(0.12)) / sigma[j]) ** 2) / 2)) ** 3
                stain_line = max(stain_line, (F(0.5) * side) ** F(1 / 3)) * dots
            texture = F(1.0) + F(0.32) * grain
            c = (
                cytoplasm[i]
                * max(F(0.12), F(1.0) + F(0.22) * grain + F(0.42) * value_noise(px / 5, py / 5, seed + 93))
                + smear
            )
            h = body * max(F(0.1), F(1.0) + F(0.95) * grain)
            if kind[i] == 12:
                foam = step(
                    value_noise(px / F(2.2), py / F(2.2), seed + 94),
                    F(0.1),
                    F(0.5),
                )
                h *= F(1.4) - F(0.9) * foam
            # A thin pale seam where two unstained cells meet.
            seam = np.exp(-((gap / F(0.35)) ** 2))
            h *= 1 - F(0.35) * seam
            for plane in range(4):
                amounts[plane, row, col] *= 1 - cover
            stain_line *= cover
            membrane[row, col] = stain_line
            amounts[0, row, col] += cover * h * (1 - dull)
            amounts[1, row, col] += cover * c + stain_line
            amounts[3, row, col] += cover * h * dull
            amounts[2, row, col] += cover * eosin * F(0.16) * texture * (1 - F(0.4) * seam)


@jit
def paint_lone(amounts, membrane, near, x0_um, y0_um, mpp, cells, radius, stain, eosin, body, seed):
    """Paint the bodies of lone cells, with a stained rim where they are positive."""
    nucleus = cells[4]
    od, sigma, arcs, cytoplasm = stain
    for i in near:
        far = F(0)
        for k in range(radius.shape[1]):
            far = max(far, radius[i, k])
        reach = int((far + 2) / mpp) + 1
        cy, cx = int((nucleus[i, 1] - y0_um) / mpp), int((nucleus[i, 0] - x0_um) / mpp)
        for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
            dy = F(y0_um + (row + 0.5) * mpp) - nucleus[i, 1]
            for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
                dx = F(x0_um + (col + 0.5) * mpp) - nucleus[i, 0]
                rim = around(radius, i, dx, dy) - np.sqrt(dx * dx + dy * dy)
                if rim < -2.5:
                    continue
                cover = step(rim, F(-0.4), F(0.4))
                grain = value_noise((nucleus[i, 0] + dx) / F(0.9), (nucleus[i, 1] + dy) / F(0.9), seed + 91)
                h = body * F(0.9) * (1 + F(0.5) * grain)
                amounts[0, row, col] = max(amounts[0, row, col], cover * h)
                amounts[2, row, col] = max(amounts[2, row, col], cover * eosin * F(0.14))
                if od[i] > 0:
                    part = around(arcs, i, dx, dy) * od[i] * np.exp(-(((rim - F(0.3)) / sigma[i]) ** 2) / 2)
                    part *= 1 + F(0.5) * grain
                    amounts[1, row, col] = max(amounts[1, row, col], part + cover * cytoplasm[i])
                    membrane[row, col] = max(membrane[row, col], part)


@jit
def paint_nuclei(amounts, near, x0_um, y0_um, mpp, nucleus, profile, what, stain, strength, seed):
    """Paint nuclei in place: a rim of chromatin, clumps, nucleoli. ``strength`` is the usual hematoxylin."""
    dark, nuclear = stain
    for i in near:
        mean = F(0)
        far = F(0)
        for k in range(profile.shape[1]):
            mean += profile[i, k]
            far = max(far, profile[i, k])
        mean /= profile.shape[1]
        reach = int((far + 1) / mpp) + 1
        vesicular = what[i] == 0 or what[i] == 3
        # Very dark nuclei are dense, not ring-shaped.
        dense = F(0.35) + F(0.65) * unit(i, 12, seed + 95) if not vesicular else step(dark[i], F(1.5), F(2.2))
        ring = F(0.3) + F(0.6) * unit(i, 11, seed + 95)
        n_dots = 0 if dense > 0.5 else 1 + int(F(2.2) * unit(i, 1, seed + 95))
        cx, cy = nucleus[i, 0], nucleus[i, 1]
        col0, row0 = int((cx - x0_um) / mpp), int((cy - y0_um) / mpp)
        for row in range(max(0, row0 - reach), min(amounts.shape[1], row0 + reach + 1)):
            py = F(y0_um + (row + 0.5) * mpp)
            for col in range(max(0, col0 - reach), min(amounts.shape[2], col0 + reach + 1)):
                px = F(x0_um + (col + 0.5) * mpp)
                dx, dy = px - cx, py - cy
                r = np.sqrt(dx * dx + dy * dy)
                inside = around(profile, i, dx, dy) - r
                if inside < -0.6:
                    continue
                cover = step(inside, F(-0.3), F(0.35))
                clump = F(0.6) * value_noise(px / F(1.0) + i, py / F(1.0), seed + 96)
                clump += F(0.4) * value_noise(px / F(2.2), py / F(2.2) + i, seed + 97)
                rim = np.exp(-(((inside - F(0.35)) / F(0.45)) ** 2))
                open_ = F(0.62) + ring * rim + F(0.50) * clump
                closed = F(1.0) + F(0.12) * rim + F(0.48) * clump
                h = open_ * (1 - dense) + closed * dense
                for k in range(n_dots):
                    off = mean * F(0.5) * unit(i, 2 + k, seed + 95)
                    turn = F(6.2832) * unit(i, 5 + k, seed + 95)
                    size = F(0.45) + F(0.5) * unit(i, 8 + k, seed + 95)
                    ex, ey = dx - off * np.cos(turn), dy - off * np.sin(turn)
                    h += F(1.0) * np.exp(-(ex * ex + ey * ey) / (size * size))
                # Half of the structure is refraction: rims and clumps are greyer than the nucleus.
                g = F(0.45) * (h - F(0.9)) * strength * dark[i]
                h = (F(0.45) + F(0.55) * h) * strength * dark[i]
                body = amounts[0, row, col] * (1 - F(0.6) * cover)
                amounts[0, row, col] = max(body + cover * h, amounts[0, row, col])
                amounts[1, row, col] = amounts[1, row, col] * (1 - F(0.90) * cover) + cover * nuclear[i] * (
                    1 + F(0.35) * clump
                )
                amounts[2, row, col] *= 1 - F(0.7) * cover
                amounts[3, row, col] += cover * (g - F(0.6) * max(amounts[3, row, col], F(0)))
