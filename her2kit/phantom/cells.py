"""Place the cells of a slide and give each its shape, from the layout alone. Stain comes later.

Centres are thrown one by one (dart throwing; Cook 1986) with a spacing that follows the tissue; in columnar
epithelium the spacing is an ellipse across the epithelium. A point of epithelium belongs to the cell whose
ellipse it is least far from in relative terms (a multiplicatively weighted Voronoi diagram; Okabe et al.
2000), so neighbours share their membrane. Outlines are cast as rays from the nucleus, and nuclei are moulded
to stay inside them.
"""

from dataclasses import dataclass

import numpy as np

from her2kit.phantom.layout import GRID_UM, Layout
from her2kit.phantom.noise import jit, small, unit, value_noise
from her2kit.phantom.plan import Plan

RAYS = 32
"""Vertices of a cell's outline."""
NUCLEUS_RAYS = 24
EPITHELIAL, LYMPHOCYTE, FIBROBLAST, MACROPHAGE = 0, 1, 2, 3
_PITCH_UM = 2.2
_BIN_UM = 12.0
_WARP_UM, _WARP_STEP_UM = 1.1, 6.0
"""How far and at which scale cell borders meander."""


@dataclass(frozen=True, slots=True)
class Cells:
    """All cells of a slide, one row each; lengths in um, angles in radians."""

    x: np.ndarray
    """float32 (n,), centre of the cell's ellipse."""
    y: np.ndarray
    axis: np.ndarray
    """float32 (n, 2), unit vector of the long axis; in columnar cells it points to the lumen."""
    half: np.ndarray
    """float32 (n, 2), half extents along and across the axis."""
    what: np.ndarray
    """uint8 (n,), EPITHELIAL, LYMPHOCYTE, FIBROBLAST or MACROPHAGE."""
    kind: np.ndarray
    """uint8 (n,), code of the layout at the centre."""
    nucleus: np.ndarray
    """float32 (n, 2), centre of the nucleus."""
    profile: np.ndarray
    """float32 (n, NUCLEUS_RAYS), radius of the nucleus by angle."""
    radius: np.ndarray
    """float32 (n, RAYS), radius of the cell by angle, from the nucleus centre."""

    def __len__(self) -> int:
        return len(self.x)


def place_cells(plan: Plan, layout: Layout, *, seed: int) -> Cells:
    """Return the cells of the slide, in an order that does not depend on anything but the plan."""
    width, height = plan.size_um
    nx, ny = int(width / _PITCH_UM), int(height / _PITCH_UM)
    order = np.argsort(_hashes(nx * ny, seed), kind="stable")
    maps = (layout.kind, layout.depth, layout.height, layout.immune)
    found = _throw(order, nx, ny, maps, np.float32(plan.cell_spacing_um), seed, width, height)
    x, y, axis, half, what, kind = found
    # Rows from top to bottom in bands: neighbours on the slide are neighbours in memory.
    rows = np.lexsort((x, (y / 64).astype(int)))
    x, y, axis, half, what, kind = (a[rows] for a in (x, y, axis, half, what, kind))
    bins = _bin(x, y, width, height)
    shape_maps = (layout.depth, layout.height)
    median = np.float32(plan.nucleus_um2)
    nucleus, profile, radius = _shapes(x, y, axis, half, what, kind, bins, shape_maps, median, seed)
    return Cells(x, y, axis, half, what, kind, nucleus, profile, radius)


@jit
def _hashes(n, seed):
    out = np.empty(n, np.float32)
    for i in range(n):
        out[i] = unit(i, 77, seed)
    return out


@small
def bilinear(values, x, y):
    """Return ``values`` of a layout map at a place in um."""
    fx = min(
        max(x / np.float32(GRID_UM) - np.float32(0.5), np.float32(0)), np.float32(values.shape[1] - 1.001)
    )
    fy = min(
        max(y / np.float32(GRID_UM) - np.float32(0.5), np.float32(0)), np.float32(values.shape[0] - 1.001)
    )
    ix, iy = np.int32(fx), np.int32(fy)
    u, v = fx - ix, fy - iy
    top = values[iy, ix] + (values[iy, ix + 1] - values[iy, ix]) * u
    bottom = values[iy + 1, ix] + (values[iy + 1, ix + 1] - values[iy + 1, ix]) * u
    return top + (bottom - top) * v


@small
def warp(x, y, seed):
    """Return the offset in um that makes cell borders meander at this place."""
    s = np.float32(1.0 / _WARP_STEP_UM)
    return (
        np.float32(_WARP_UM) * value_noise(x * s, y * s, seed + 11),
        np.float32(_WARP_UM) * value_noise(x * s, y * s, seed + 12),
    )


@small
def relative_distance(px, py, x, y, ax, ay, along, across):
    """Return how far a point is from a cell's centre, in units of the cell's own ellipse."""
    dx, dy = px - x, py - y
    u = (dx * ax + dy * ay) / along
    v = (dy * ax - dx * ay) / across
    return np.sqrt(u * u + v * v)


@jit
def _gradient(depth, x, y):
    e = np.float32(4.0)
    gx = bilinear(depth, x + e, y) - bilinear(depth, x - e, y)
    gy = bilinear(depth, x, y + e) - bilinear(depth, x, y - e)
    n = np.sqrt(gx * gx + gy * gy)
    if n < 1e-3:
        return np.float32(1), np.float32(0), n
    return gx / n, gy / n, n / (2 * e)


@jit
def _throw(order, nx, ny, maps, spacing, seed, width, height_um):
    kind_map, depth_map, tall_map, immune_map = maps
    bx, by = int(width / _BIN_UM) + 1, int(height_um / _BIN_UM) + 1
    head = np.full((by, bx), -1, np.int32)
    room = nx * ny // 3 + 16
    following = np.empty(room, np.int32)
    xs, ys = np.empty(room, np.float32), np.empty(room, np.float32)
    axes, halves = np.empty((room, 2), np.float32), np.empty((room, 2), np.float32)
    whats, kinds = np.empty(room, np.uint8), np.empty(room, np.uint8)
    n = 0
    for turn in range(2 * len(order)):
        # The second round fills what columnar and border cells have left: closed glands, thin cords.
        filling = turn >= len(order)
        o = order[turn % len(order)]
        cy, cx = o // nx, o % nx
        x = np.float32((cx + unit(cx, cy, seed + 1)) * _PITCH_UM)
        y = np.float32((cy + unit(cx, cy, seed + 2)) * _PITCH_UM)
        ky = min(int(y / GRID_UM), kind_map.shape[0] - 1)
        kx = min(int(x / GRID_UM), kind_map.shape[1] - 1)
        kind = kind_map[ky, kx]
        lot, lot2 = unit(cx, cy, seed + 3), unit(cx, cy, seed + 4)
        depth = bilinear(depth_map, x, y)
        ax, ay = np.float32(1), np.float32(0)
        what = EPITHELIAL
        if kind >= 10:
            tall = bilinear(tall_map, x, y)
            s = spacing if kind == 10 else (spacing * np.float32(1.04) if kind == 11 else np.float32(7.6))
            s *= (
                np.float32(0.85)
                + np.float32(0.4) * lot * lot
                + np.float32(0.12) * value_noise(x / 45, y / 45, seed + 5)
            )
            ax, ay, slope = _gradient(depth_map, x, y)
            if filling:
                if depth < 2.5 or depth > tall - 3:
                    continue
                along = across = np.float32(0.5) * s
                keep_along = keep_across = np.float32(0.9) * s
            elif tall < 80:
                if abs(depth - np.float32(0.5) * tall) > np.float32(0.1) * tall or slope < 0.45:
                    continue
                s *= np.float32(0.86)
                along, across = np.float32(0.54) * tall, np.float32(0.5) * s
                keep_along, keep_across = np.float32(0.8) * tall, s
            else:
                if depth < np.float32(0.4) * s:
                    continue
                # The outer row stands on the border; inside, axes turn slowly.
                if depth > s or slope < 0.5:
                    angle = np.float32(3.1) * value_noise(x / 50, y / 50, seed + 6) + np.float32(1.2) * lot2
                    ax, ay = np.cos(angle), np.sin(angle)
                stretch = np.float32(1.0) + np.float32(0.3) * unit(cx, cy, seed + 7)
                along, across = np.float32(0.56) * s * stretch, np.float32(0.56) * s / stretch
                keep_along, keep_across = s * (np.float32(0.6) + np.float32(0.4) * stretch), s
        elif (kind == 1 or kind == 5) and not filling:
            if depth > -2.5:
                continue
            many = bilinear(immune_map, x, y) if kind == 1 else np.float32(0.95)
            if lot < many * np.float32(0.8):
                what = LYMPHOCYTE
                along = np.float32(3.1) + np.float32(0.7) * lot2
                across = along
                keep_along = np.float32(6.4) if kind == 5 else np.float32(7.0) + 26 * (1 - many) * lot2
                keep_across = keep_along
            elif lot2 < 0.03:
                what = MACROPHAGE
                along = across = np.float32(5.5)
                keep_along = keep_across = np.float32(14)
            else:
                what = FIBROBLAST
                ax, ay, _ = _fibre(depth_map, x, y, seed)
                along, across = np.float32(6.0) + 4 * lot2, np.float32(2.0)
                keep_along, keep_across = np.float32(36) - 14 * lot, np.float32(18) - 9 * lot
        else:
            continue
        gx, gy = int(x / _BIN_UM), int(y / _BIN_UM)
        reach = int((max(keep_along, keep_across) if not filling else np.float32(36)) / _BIN_UM) + 1
        free = True
        for jy in range(max(0, gy - reach), min(by, gy + reach + 1)):
            for jx in range(max(0, gx - reach), min(bx, gx + reach + 1)):
                j = head[jy, jx]
                while j >= 0 and free:
                    same = whats[j] == what
                    k0 = keep_along if same else np.float32(6.5)
                    k1 = keep_across if same else np.float32(6.5)
                    if relative_distance(xs[j], ys[j], x, y, ax, ay, k0, k1) < 1:
                        free = False
                    if filling and free:
                        d = relative_distance(
                            x, y, xs[j], ys[j], axes[j, 0], axes[j, 1], halves[j, 0], halves[j, 1]
                        )
                        free = d >= np.float32(1.5)
                    j = following[j]
                if not free:
                    break
            if not free:
                break
        if not free or n >= room:
            continue
        xs[n], ys[n], whats[n], kinds[n] = x, y, what, kind
        axes[n, 0], axes[n, 1] = ax, ay
        halves[n, 0], halves[n, 1] = along, across
        following[n] = head[gy, gx]
        head[gy, gx] = n
        n += 1
    return (
        xs[:n].copy(),
        ys[:n].copy(),
        axes[:n].copy(),
        halves[:n].copy(),
        whats[:n].copy(),
        kinds[:n].copy(),
    )


@jit
def _fibre(depth_map, x, y, seed):
    """Return the direction of the stroma's fibres: along the isolines of ``fibre_phase``."""
    e = np.float32(3.0)
    gx = fibre_phase(depth_map, x + e, y, seed) - fibre_phase(depth_map, x - e, y, seed)
    gy = fibre_phase(depth_map, x, y + e, seed) - fibre_phase(depth_map, x, y - e, seed)
    n = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
    return -gy / n, gx / n, n


@jit
def fibre_phase(depth_map, x, y, seed):
    """Return the coordinate across the fibres: they follow its isolines and wrap around epithelium."""
    base = np.float32(0.45) * x + np.float32(0.9) * y
    bent = base + np.float32(75) * value_noise(x / 130, y / 130, seed + 21)
    bent += np.float32(16) * value_noise(x / 42, y / 42, seed + 22)
    near = max(bilinear(depth_map, x, y), np.float32(-30.0))
    return bent * np.float32(0.75) + np.float32(1.5) * near


@jit
def _bin(x, y, width, height):
    """Return ``start`` and ``members``: the cells of each square bin, in one flat list."""
    bx, by = int(width / _BIN_UM) + 1, int(height / _BIN_UM) + 1
    start = np.zeros(by * bx + 1, np.int32)
    for i in range(len(x)):
        start[int(y[i] / _BIN_UM) * bx + int(x[i] / _BIN_UM) + 1] += 1
    start = np.cumsum(start).astype(np.int32)
    fill = start[:-1].copy()
    members = np.empty(len(x), np.int32)
    for i in range(len(x)):
        b = int(y[i] / _BIN_UM) * bx + int(x[i] / _BIN_UM)
        members[fill[b]] = i
        fill[b] += 1
    return start, members, bx, by


@jit
def _shapes(x, y, axis, half, what, kind, bins, maps, nucleus_um2, seed):
    depth_map, tall_map = maps
    start, members, bx, by = bins
    n = len(x)
    nucleus = np.empty((n, 2), np.float32)
    profile = np.empty((n, NUCLEUS_RAYS), np.float32)
    radius = np.empty((n, RAYS), np.float32)
    near = np.empty(160, np.int32)
    for i in range(n):
        lot = [unit(i, k, seed + 31) for k in range(12)]
        normal = np.float32(1.7) * (lot[0] + lot[1] + lot[2] + lot[3] - 2)
        ax, ay = axis[i, 0], axis[i, 1]
        cx, cy = x[i], y[i]
        if what[i] != EPITHELIAL:
            # Lone cells: their own ellipse is the cell.
            thin = np.float32(0.92) if what[i] == LYMPHOCYTE else np.float32(0.75)
            along, across = (
                half[i, 0] * thin,
                half[i, 1] * (thin if what[i] != MACROPHAGE else np.float32(0.45)),
            )
            if what[i] == MACROPHAGE:
                along *= np.float32(0.75)
            nucleus[i, 0], nucleus[i, 1] = cx, cy
            _lobed(profile[i], ax, ay, along, across, lot, np.float32(0.10))
            for k in range(RAYS):
                t = np.float32(2 * np.pi * k / RAYS)
                radius[i, k] = (
                    _ellipse(np.cos(t), np.sin(t), ax, ay, half[i, 0] * 1.08, half[i, 1] * 1.08) + 0.25
                )
            continue
        m = 0
        gx, gy = int(cx / _BIN_UM), int(cy / _BIN_UM)
        reach = int(2.2 * half[i, 0] / _BIN_UM) + 1
        limit = np.float32(2.2) * half[i, 0] + 4
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
        area = nucleus_um2 * np.exp(np.float32(0.42) * normal)
        if kind[i] == 12:
            area = np.float32(26) * np.exp(np.float32(0.18) * normal)
        ratio = np.float32(0.58) + np.float32(0.36) * lot[4]
        if columnar:
            shift = (np.float32(0.32) + np.float32(0.22) * lot[5] - np.float32(0.5)) * tall
            ratio -= np.float32(0.12)
        else:
            shift = (lot[5] - np.float32(0.5)) * np.float32(0.3) * half[i, 0]
        mx, my = cx + ax * shift, cy + ay * shift
        if not _owns(i, mx, my, near, m, x, y, axis, half, depth_map, tall_map, seed):
            mx, my = cx, cy
        nucleus[i, 0], nucleus[i, 1] = mx, my
        for k in range(RAYS):
            t = np.float32(2 * np.pi * k / RAYS)
            ux, uy = np.cos(t), np.sin(t)
            far = np.float32(0.8)
            step = np.float32(0.8)
            while far < 45 and _owns(
                i, mx + ux * far, my + uy * far, near, m, x, y, axis, half, depth_map, tall_map, seed
            ):
                far += step
            low, high = far - step, far
            for _ in range(4):
                mid = np.float32(0.5) * (low + high)
                if _owns(
                    i, mx + ux * mid, my + uy * mid, near, m, x, y, axis, half, depth_map, tall_map, seed
                ):
                    low = mid
                else:
                    high = mid
            radius[i, k] = max(low, np.float32(0.8))
        turn = np.float32(0.5) * (lot[6] - np.float32(0.5))
        tx, ty = ax * np.cos(turn) - ay * np.sin(turn), ay * np.cos(turn) + ax * np.sin(turn)
        across = np.sqrt(area * ratio / np.float32(np.pi))
        _lobed(profile[i], tx, ty, across / ratio, across, lot, np.float32(0.07))
        _mould(profile[i], radius[i])
    return nucleus, profile, radius


@jit
def _ellipse(ux, uy, ax, ay, along, across):
    u, v = (ux * ax + uy * ay) / along, (uy * ax - ux * ay) / across
    return np.float32(1) / np.sqrt(u * u + v * v)


@jit
def _lobed(profile, ax, ay, along, across, lot, rough):
    for k in range(len(profile)):
        t = np.float32(2 * np.pi * k / len(profile))
        lobe = rough * (lot[7] - 0.3) * np.cos(2 * t + 6.3 * lot[8]) + rough * lot[9] * np.cos(
            3 * t + 6.3 * lot[10]
        )
        lobe += np.float32(0.5) * rough * np.cos(5 * t + 6.3 * lot[11])
        profile[k] = _ellipse(np.cos(t), np.sin(t), ax, ay, along, across) * (1 + lobe)


@jit
def _mould(profile, radius):
    """Keep the nucleus at least 0.7 um inside its cell, then smooth it."""
    m, n = len(profile), len(radius)
    tight = np.empty(m, np.float32)
    for k in range(m):
        f = np.float32(k) * n / m
        a = int(f)
        cell = radius[a % n] + (radius[(a + 1) % n] - radius[a % n]) * (f - a)
        tight[k] = min(profile[k], max(np.float32(0.9) * cell - np.float32(0.5), np.float32(1.2)))
    for k in range(m):
        soft = (tight[k - 1] + 2 * tight[k] + tight[(k + 1) % m]) / 4
        profile[k] = min(soft, tight[k] * np.float32(1.04))


@jit
def _owns(i, px, py, near, m, x, y, axis, half, depth_map, tall_map, seed):
    """Say whether the point belongs to cell ``i``: inside the epithelium and nearest to it."""
    depth = bilinear(depth_map, px, py)
    if depth <= 0 or depth >= bilinear(tall_map, px, py):
        return False
    wx, wy = warp(px, py, seed)
    qx, qy = px + wx, py + wy
    own = relative_distance(qx, qy, x[i], y[i], axis[i, 0], axis[i, 1], half[i, 0], half[i, 1])
    if own > 1.75:
        return False
    for k in range(m):
        j = near[k]
        d = relative_distance(qx, qy, x[j], y[j], axis[j, 0], axis[j, 1], half[j, 0], half[j, 1])
        if d < own or (d == own and j < i):
            return False
    return True
