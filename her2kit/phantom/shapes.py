"""Give cells their outlines and nuclei: rays from the nucleus to where another cell or no epithelium begins.

Nuclei are lobed ellipses, moulded so that they stay inside their cell. The neighbour beyond each vertex is
kept: two cells that share a membrane must agree on its stain.
"""

import numpy as np

from her2kit.phantom.noise import F, jit, unit
from her2kit.phantom.space import BIN_UM, bilinear, depth_at, relative_distance, rough_tall, warp

RAYS = 32
"""Vertices of a cell's outline."""
NUCLEUS_RAYS = 24
EPITHELIAL, LYMPHOCYTE, FIBROBLAST, MACROPHAGE = 0, 1, 2, 3


@jit
def cell_shapes(x, y, axis, half, what, kind, bins, maps, nucleus_um2, seed):
    """Return nucleus centres, nucleus radii, cell radii and the neighbour beyond each vertex."""
    tall_map = maps[1]
    start, members, bx, by = bins
    n = len(x)
    nucleus = np.empty((n, 2), np.float32)
    profile = np.empty((n, NUCLEUS_RAYS), np.float32)
    radius = np.empty((n, RAYS), np.float32)
    beside = np.full((n, RAYS), -1, np.int32)
    near = np.empty(160, np.int32)
    for i in range(n):
        lot = [unit(i, k, seed + 31) for k in range(12)]
        normal = F(1.7) * (lot[0] + lot[1] + lot[2] + lot[3] - 2)
        ax, ay = axis[i, 0], axis[i, 1]
        cx, cy = x[i], y[i]
        if what[i] != EPITHELIAL:
            # Lone cells: their own ellipse is the cell.
            thin = F(0.92) if what[i] == LYMPHOCYTE else F(0.75)
            along, across = (
                half[i, 0] * thin,
                half[i, 1] * (thin if what[i] != MACROPHAGE else F(0.45)),
            )
            if what[i] == MACROPHAGE:
                along *= F(0.75)
            nucleus[i, 0], nucleus[i, 1] = cx, cy
            _lobed(
                profile[i],
                ax,
                ay,
                along,
                across * (F(0.82) + F(0.18) * lot[6]),
                lot,
                F(0.06),
            )
            for k in range(RAYS):
                t = F(2 * np.pi * k / RAYS)
                radius[i, k] = (
                    _ellipse(np.cos(t), np.sin(t), ax, ay, half[i, 0] * 1.08, half[i, 1] * 1.08) + 0.25
                )
            continue
        m = 0
        gx, gy = int(cx / BIN_UM), int(cy / BIN_UM)
        reach = int(2.2 * half[i, 0] / BIN_UM) + 1
        limit = F(2.2) * half[i, 0] + 4
        for jy in range(max(0, gy - reach), min(by, gy + reach + 1)):
            for jx in range(max(0, gx - reach), min(bx, gx + reach + 1)):
                for q in range(start[jy * bx + jx], start[jy * bx + jx + 1]):
                    j = members[q]
                    if j == i or what[j] != EPITHELIAL or m >= 160:
                        continue
                    if np.hypot(x[j] - cx, y[j] - cy) < limit + half[j, 0]:
                        near[m] = j
                        m += 1
        tall = bilinear(tall_map, cx, cy)
        columnar = tall < 80
        area = nucleus_um2 * np.exp(F(0.45) * normal)
        if kind[i] == 12:
            area = F(26) * np.exp(F(0.18) * normal)
        ratio = F(0.58) + F(0.36) * lot[4]
        if columnar:
            shift = (F(0.32) + F(0.22) * lot[5] - F(0.5)) * tall
            ratio -= F(0.20)
        else:
            shift = (lot[5] - F(0.5)) * F(0.3) * half[i, 0]
        mx, my = cx + ax * shift, cy + ay * shift
        if _owner(i, mx, my, near, m, x, y, axis, half, maps, seed) != i:
            mx, my = cx, cy
        nucleus[i, 0], nucleus[i, 1] = mx, my
        for k in range(RAYS):
            t = F(2 * np.pi * k / RAYS)
            ux, uy = np.cos(t), np.sin(t)
            step = F(0.8)
            far = step
            while far < 45:
                if _owner(i, mx + ux * far, my + uy * far, near, m, x, y, axis, half, maps, seed) != i:
                    break
                far += step
            low, high = far - step, far
            for _ in range(4):
                mid = F(0.5) * (low + high)
                if _owner(i, mx + ux * mid, my + uy * mid, near, m, x, y, axis, half, maps, seed) == i:
                    low = mid
                else:
                    high = mid
            other = _owner(i, mx + ux * high, my + uy * high, near, m, x, y, axis, half, maps, seed)
            beside[i, k] = other if other != i else -1
            radius[i, k] = max(low, F(0.8))
        turn = F(0.5) * (lot[6] - F(0.5))
        tx, ty = ax * np.cos(turn) - ay * np.sin(turn), ay * np.cos(turn) + ax * np.sin(turn)
        across = np.sqrt(area * ratio / F(np.pi))
        _lobed(profile[i], tx, ty, across / ratio, across, lot, F(0.07))
        _mould(profile[i], radius[i])
    return nucleus, profile, radius, beside


@jit
def _ellipse(ux, uy, ax, ay, along, across):
    u, v = (ux * ax + uy * ay) / along, (uy * ax - ux * ay) / across
    return F(1) / np.sqrt(u * u + v * v)


@jit
def _lobed(profile, ax, ay, along, across, lot, rough):
    for k in range(len(profile)):
        t = F(2 * np.pi * k / len(profile))
        lobe = rough * (lot[7] - 0.3) * np.cos(2 * t + 6.3 * lot[8]) + rough * lot[9] * np.cos(
            3 * t + 6.3 * lot[10]
        )
        lobe += F(0.2) * rough * np.cos(5 * t + 6.3 * lot[11])
        profile[k] = _ellipse(np.cos(t), np.sin(t), ax, ay, along, across) * (1 + lobe)


@jit
def _mould(profile, radius):
    """Keep the nucleus about 0.6 um inside its cell, then smooth it."""
    m, n = len(profile), len(radius)
    tight = np.empty(m, np.float32)
    for k in range(m):
        f = F(k) * n / m
        a = int(f)
        cell = radius[a % n] + (radius[(a + 1) % n] - radius[a % n]) * (f - a)
        tight[k] = min(profile[k], max(F(0.94) * cell - F(0.35), F(1.2)))
    for k in range(m):
        soft = (tight[k - 1] + 2 * tight[k] + tight[(k + 1) % m]) / 4
        profile[k] = min(soft, tight[k] * F(1.04))


@jit
def _owner(i, px, py, near, m, x, y, axis, half, maps, seed):
    """Return the cell that the point belongs to, of ``i`` and its neighbours; -1 outside the epithelium."""
    depth_map, tall_map = maps
    depth = depth_at(depth_map, px, py, seed)
    if depth <= 0 or depth >= rough_tall(tall_map, px, py, seed):
        return -1
    wx, wy = warp(px, py, seed)
    qx, qy = px + wx, py + wy
    best = i
    least = relative_distance(qx, qy, x[i], y[i], axis[i, 0], axis[i, 1], half[i, 0], half[i, 1])
    for k in range(m):
        j = near[k]
        d = relative_distance(qx, qy, x[j], y[j], axis[j, 0], axis[j, 1], half[j, 0], half[j, 1])
        if d < least or (d == least and j < best):
            best, least = j, d
    return best if least <= F(2.15) else -1
