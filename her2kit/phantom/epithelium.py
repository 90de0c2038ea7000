"""Paint epithelium, nuclei and lone cells: cytoplasm, the membranes that neighbours share, vesicular nuclei.

Kernels over one block. ``own`` finds for each pixel the nearest and the second nearest cell; the distance to
the membrane between them is (d2 - d1) / |grad d1 - grad d2|, exact to first order. A membrane holds the stain
of both sides; along it the stain is granular. Amounts of stain, no colours.
"""

import numpy as np

from her2kit.phantom.cells import bilinear, warp
from her2kit.phantom.ground import step
from her2kit.phantom.noise import jit, small, unit, value_noise

_REACH = 1.75
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
        py = np.float32(y0_um + (row + 0.5) * mpp)
        for col in range(shape_x):
            px = np.float32(x0_um + (col + 0.5) * mpp)
            depth = bilinear(depth_map, px, py)
            if depth > -1.5 and depth < bilinear(tall_map, px, py) + 1.5:
                inside[row, col] = True
                wx, wy = warp(px, py, seed)
                qx[row, col], qy[row, col] = px + wx, py + wy
    for i in near:
        a = np.float32(1.0) / half[i, 0]
        b = np.float32(1.0) / half[i, 1]
        ax, ay, cx, cy = axis[i, 0], axis[i, 1], x[i], y[i]
        reach_x = np.float32(_REACH) * np.sqrt((half[i, 0] * ax) ** 2 + (half[i, 1] * ay) ** 2) + np.float32(
            1.2
        )
        reach_y = np.float32(_REACH) * np.sqrt((half[i, 0] * ay) ** 2 + (half[i, 1] * ax) ** 2) + np.float32(
            1.2
        )
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
    d = np.sqrt(u * u + v * v) + np.float32(1e-6)
    gu, gv = u / (d * half[i, 0]), v / (d * half[i, 1])
    return d, gu * ax - gv * ay, gu * ay + gv * ax


@small
def around(values, i, dx, dy):
    """Return row ``i`` of a table by angle, interpolated at the direction (dx, dy)."""
    n = values.shape[1]
    f = np.arctan2(dy, dx) * np.float32(n / (2 * np.pi))
    if f < 0:
        f += n
    k = int(f)
    u = np.float32(f - k)
    a, b = values[i, k % n], values[i, (k + 1) % n]
    return a + (b - a) * u


@jit
def paint_epithelium(
    amounts, membrane, first, second, x0_um, y0_um, mpp, maps, cells, stain, eosin, body, seed
):
    """Paint cytoplasm and membranes in place; ``membrane`` gets the DAB of membranes alone.

    ``body`` is the hematoxylin of cytoplasm.
    """
    depth_map, tall_map = maps
    x, y, axis, half, nucleus, kind = cells
    od, sigma, arcs, cytoplasm = stain
    soft = np.float32(max(0.35, 0.7 * mpp))
    for row in range(first.shape[0]):
        py = np.float32(y0_um + (row + 0.5) * mpp)
        for col in range(first.shape[1]):
            i = first[row, col]
            if i < 0:
                continue
            px = np.float32(x0_um + (col + 0.5) * mpp)
            depth, tall = bilinear(depth_map, px, py), bilinear(tall_map, px, py)
            border = min(depth, tall - depth)
            cover = step(border, -soft, soft)
            wx, wy = warp(px, py, seed)
            qx, qy = px + wx, py + wy
            di, gix, giy = _pull(qx, qy, i, x, y, axis, half)
            cover *= 1 - step(di, np.float32(1.55), np.float32(1.72))
            j = second[row, col]
            gap = np.float32(9)
            if j >= 0:
                dj, gjx, gjy = _pull(qx, qy, j, x, y, axis, half)
                slope = np.sqrt((gjx - gix) ** 2 + (gjy - giy) ** 2)
                gap = (dj - di) / max(slope, np.float32(0.05))
            grain = np.float32(0.62) * value_noise(px / np.float32(0.9), py / np.float32(0.9), seed + 91)
            grain += np.float32(0.38) * value_noise(px / np.float32(2.4), py / np.float32(2.4), seed + 92)
            stain_line = np.float32(0)
            if gap < 3.5 or border < 3.5:
                dots = max(np.float32(0.25), np.float32(1.0) + np.float32(0.55) * grain)
                side = np.float32(0)
                if od[i] > 0:
                    part = around(arcs, i, px - nucleus[i, 0], py - nucleus[i, 1]) * od[i]
                    s = sigma[i]
                    shared = np.exp(-(((gap - np.float32(0.12)) / s) ** 2) / 2) if j >= 0 else np.float32(0)
                    side = (part * shared) ** 3
                    free = np.exp(-(((border - np.float32(0.35)) / (s * np.float32(0.8))) ** 2) / 2)
                    stain_line = part * free * np.float32(0.85)
                if j >= 0 and od[j] > 0 and gap < 3.5:
                    part = around(arcs, j, px - nucleus[j, 0], py - nucleus[j, 1]) * od[j]
                    side += (part * np.exp(-(((gap + np.float32(0.12)) / sigma[j]) ** 2) / 2)) ** 3
                stain_line = max(stain_line, (np.float32(0.5) * side) ** np.float32(1 / 3)) * dots
            texture = np.float32(1.0) + np.float32(0.55) * grain
            c = cytoplasm[i] * max(
                np.float32(0.15), texture + np.float32(0.25) * value_noise(px / 6, py / 6, seed + 93)
            )
            h = body * (np.float32(1.0) + np.float32(0.6) * grain)
            if kind[i] == 12:
                foam = step(
                    value_noise(px / np.float32(2.2), py / np.float32(2.2), seed + 94),
                    np.float32(0.1),
                    np.float32(0.5),
                )
                h *= 1 - np.float32(0.6) * foam
            # A thin pale seam where two unstained cells meet.
            seam = np.exp(-((gap / np.float32(0.35)) ** 2))
            h *= 1 - np.float32(0.35) * seam
            for plane in range(4):
                amounts[plane, row, col] *= 1 - cover
            stain_line *= cover
            membrane[row, col] = stain_line
            amounts[0, row, col] += cover * h
            amounts[1, row, col] += cover * c + stain_line
            amounts[2, row, col] += cover * eosin * np.float32(0.16) * texture * (1 - np.float32(0.4) * seam)


@jit
def paint_lone(amounts, membrane, near, x0_um, y0_um, mpp, cells, radius, stain, eosin, body, seed):
    """Paint the bodies of lone cells, with a stained rim where they are positive."""
    nucleus = cells[4]
    od, sigma, arcs, cytoplasm = stain
    for i in near:
        far = np.float32(0)
        for k in range(radius.shape[1]):
            far = max(far, radius[i, k])
        reach = int((far + 2) / mpp) + 1
        cy, cx = int((nucleus[i, 1] - y0_um) / mpp), int((nucleus[i, 0] - x0_um) / mpp)
        for row in range(max(0, cy - reach), min(amounts.shape[1], cy + reach + 1)):
            dy = np.float32(y0_um + (row + 0.5) * mpp) - nucleus[i, 1]
            for col in range(max(0, cx - reach), min(amounts.shape[2], cx + reach + 1)):
                dx = np.float32(x0_um + (col + 0.5) * mpp) - nucleus[i, 0]
                rim = around(radius, i, dx, dy) - np.sqrt(dx * dx + dy * dy)
                if rim < -2.5:
                    continue
                cover = step(rim, np.float32(-0.4), np.float32(0.4))
                grain = value_noise(
                    (nucleus[i, 0] + dx) / np.float32(0.9), (nucleus[i, 1] + dy) / np.float32(0.9), seed + 91
                )
                h = body * np.float32(0.9) * (1 + np.float32(0.5) * grain)
                amounts[0, row, col] = max(amounts[0, row, col], cover * h)
                amounts[2, row, col] = max(amounts[2, row, col], cover * eosin * np.float32(0.14))
                if od[i] > 0:
                    part = (
                        around(arcs, i, dx, dy)
                        * od[i]
                        * np.exp(-(((rim - np.float32(0.3)) / sigma[i]) ** 2) / 2)
                    )
                    part *= 1 + np.float32(0.5) * grain
                    amounts[1, row, col] = max(amounts[1, row, col], part + cover * cytoplasm[i])
                    membrane[row, col] = max(membrane[row, col], part)


@jit
def paint_nuclei(amounts, near, x0_um, y0_um, mpp, nucleus, profile, what, stain, strength, seed):
    """Paint nuclei in place: a rim of chromatin, clumps, nucleoli. ``strength`` is the usual hematoxylin."""
    dark, nuclear = stain
    for i in near:
        mean = np.float32(0)
        far = np.float32(0)
        for k in range(profile.shape[1]):
            mean += profile[i, k]
            far = max(far, profile[i, k])
        mean /= profile.shape[1]
        reach = int((far + 1) / mpp) + 1
        vesicular = what[i] == 0 or what[i] == 3
        # Very dark nuclei are dense, not ring-shaped.
        dense = np.float32(1) if not vesicular else step(dark[i], np.float32(1.5), np.float32(2.2))
        n_dots = 0 if dense > 0.5 else 1 + int(np.float32(2.2) * unit(i, 1, seed + 95))
        cx, cy = nucleus[i, 0], nucleus[i, 1]
        col0, row0 = int((cx - x0_um) / mpp), int((cy - y0_um) / mpp)
        for row in range(max(0, row0 - reach), min(amounts.shape[1], row0 + reach + 1)):
            py = np.float32(y0_um + (row + 0.5) * mpp)
            for col in range(max(0, col0 - reach), min(amounts.shape[2], col0 + reach + 1)):
                px = np.float32(x0_um + (col + 0.5) * mpp)
                dx, dy = px - cx, py - cy
                r = np.sqrt(dx * dx + dy * dy)
                inside = around(profile, i, dx, dy) - r
                if inside < -0.6:
                    continue
                cover = step(inside, np.float32(-0.3), np.float32(0.35))
                clump = np.float32(0.6) * value_noise(
                    px / np.float32(1.0) + i, py / np.float32(1.0), seed + 96
                )
                clump += np.float32(0.4) * value_noise(
                    px / np.float32(2.2), py / np.float32(2.2) + i, seed + 97
                )
                rim = np.exp(-(((inside - np.float32(0.35)) / np.float32(0.45)) ** 2))
                open_ = np.float32(0.55) + np.float32(0.75) * rim + np.float32(0.42) * clump
                closed = np.float32(1.0) + np.float32(0.2) * rim + np.float32(0.28) * clump
                h = open_ * (1 - dense) + closed * dense
                for k in range(n_dots):
                    off = mean * np.float32(0.5) * unit(i, 2 + k, seed + 95)
                    turn = np.float32(6.2832) * unit(i, 5 + k, seed + 95)
                    size = np.float32(0.55) + np.float32(0.5) * unit(i, 8 + k, seed + 95)
                    ex, ey = dx - off * np.cos(turn), dy - off * np.sin(turn)
                    h += np.float32(1.0) * np.exp(-(ex * ex + ey * ey) / (size * size))
                h *= strength * dark[i]
                body = amounts[0, row, col] * (1 - np.float32(0.6) * cover)
                amounts[0, row, col] = max(body + cover * h, amounts[0, row, col])
                amounts[1, row, col] = amounts[1, row, col] * (
                    1 - np.float32(0.75) * cover
                ) + cover * nuclear[i] * (1 + np.float32(0.35) * clump)
                amounts[2, row, col] *= 1 - np.float32(0.7) * cover
