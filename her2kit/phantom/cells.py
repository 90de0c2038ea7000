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
from her2kit.phantom.noise import F, jit, small, unit, value_noise
from her2kit.phantom.plan import Plan

RAYS = 32
"""Vertices of a cell's outline."""
NUCLEUS_RAYS = 24
EPITHELIAL, LYMPHOCYTE, FIBROBLAST, MACROPHAGE = 0, 1, 2, 3
_PITCH_UM = 2.2
_BIN_UM = 12.0
_WARP_UM, _WARP_STEP_UM = 1.3, 5.0
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
    found = _throw(order, nx, ny, maps, F(plan.cell_spacing_um), seed, width, height)
    x, y, axis, half, what, kind = found
    # Rows from top to bottom in bands: neighbours on the slide are neighbours in memory.
    rows = np.lexsort((x, (y / 64).astype(int)))
    x, y, axis, half, what, kind = (a[rows] for a in (x, y, axis, half, what, kind))
    bins = _bin(x, y, width, height)
    shape_maps = (layout.depth, layout.height)
    median = F(plan.nucleus_um2)
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
def _gradient(depth, x, y):
    e = F(4.0)
    gx = bilinear(depth, x + e, y) - bilinear(depth, x - e, y)
    gy = bilinear(depth, x, y + e) - bilinear(depth, x, y - e)
    n = np.sqrt(gx * gx + gy * gy)
    if n < 1e-3:
        return F(1), F(0), n
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
        x = F((cx + unit(cx, cy, seed + 1)) * _PITCH_UM)
        y = F((cy + unit(cx, cy, seed + 2)) * _PITCH_UM)
        ky = min(int(y / GRID_UM), kind_map.shape[0] - 1)
        kx = min(int(x / GRID_UM), kind_map.shape[1] - 1)
        kind = kind_map[ky, kx]
        lot, lot2 = unit(cx, cy, seed + 3), unit(cx, cy, seed + 4)
        depth = bilinear(depth_map, x, y)
        ax, ay = F(1), F(0)
        what = EPITHELIAL
        if kind >= 10:
            tall = bilinear(tall_map, x, y)
            s = spacing if kind == 10 else (spacing * F(1.04) if kind == 11 else F(7.6))
            s *= F(0.85) + F(0.4) * lot * lot + F(0.12) * value_noise(x / 45, y / 45, seed + 5)
            ax, ay, slope = _gradient(depth_map, x, y)
            if filling:
                if depth < 2.5 or depth > tall - 3:
                    continue
                along = across = F(0.5) * s
                keep_along = keep_across = F(0.9) * s
            elif tall < 80:
                if abs(depth - F(0.5) * tall) > F(0.1) * tall or slope < 0.45:
                    continue
                s *= F(0.64)
                along, across = F(0.54) * tall, F(0.5) * s
                keep_along, keep_across = F(0.8) * tall, s
            else:
                if depth < F(0.4) * s:
                    continue
                # The outer row stands on the border; inside, axes turn slowly.
                if depth > s or slope < 0.5:
                    angle = F(3.1) * value_noise(x / 50, y / 50, seed + 6) + F(1.2) * lot2
                    ax, ay = np.cos(angle), np.sin(angle)
                stretch = F(1.0) + F(0.3) * unit(cx, cy, seed + 7)
                along, across = F(0.56) * s * stretch, F(0.56) * s / stretch
                keep_along, keep_across = s * (F(0.6) + F(0.4) * stretch), s
        elif (kind == 1 or kind == 5) and not filling:
            if depth > -2.5:
                continue
            many = bilinear(immune_map, x, y) if kind == 1 else F(0.95)
            if lot < many * F(0.8):
                what = LYMPHOCYTE
                along = F(2.7) + F(1.0) * lot2
                across = along
                keep_along = F(6.4) if kind == 5 else F(7.0) + 26 * (1 - many) * lot2
                keep_across = keep_along
            elif lot2 < 0.03:
                what = MACROPHAGE
                along = across = F(5.5)
                keep_along = keep_across = F(14)
            else:
                what = FIBROBLAST
                ax, ay, _ = _fibre(depth_map, x, y, seed)
                along, across = F(4.5) + 6 * lot2, F(1.3) + F(1.2) * lot
                keep_along, keep_across = F(44) - 20 * lot, F(22) - 11 * lot
        else:
            continue
        gx, gy = int(x / _BIN_UM), int(y / _BIN_UM)
        reach = int((max(keep_along, keep_across) if not filling else F(36)) / _BIN_UM) + 1
        free = True
        for jy in range(max(0, gy - reach), min(by, gy + reach + 1)):
            for jx in range(max(0, gx - reach), min(bx, gx + reach + 1)):
                j = head[jy, jx]
                while j >= 0 and free:
                    same = whats[j] == what
                    k0 = keep_along if same else F(6.5)
                    k1 = keep_across if same else F(6.5)
                    if relative_distance(xs[j], ys[j], x, y, ax, ay, k0, k1) < 1:
                        free = False
                    if filling and free:
                        d = relative_distance(
                            x, y, xs[j], ys[j], axes[j, 0], axes[j, 1], halves[j, 0], halves[j, 1]
                        )
                        free = d >= F(1.5)
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
    e = F(3.0)
    gx = fibre_phase(depth_map, x + e, y, seed) - fibre_phase(depth_map, x - e, y, seed)
    gy = fibre_phase(depth_map, x, y + e, seed) - fibre_phase(depth_map, x, y - e, seed)
    n = np.sqrt(gx * gx + gy * gy) + F(1e-6)
    return -gy / n, gx / n, n


@jit
def fibre_phase(depth_map, x, y, seed):
    """Return the coordinate across the fibres: they follow its isolines and wrap around epithelium."""
    base = F(0.45) * x + F(0.9) * y
    bent = base + F(75) * value_noise(x / 130, y / 130, seed + 21)
    bent += F(16) * value_noise(x / 42, y / 42, seed + 22)
    near = max(bilinear(depth_map, x, y), F(-30.0))
    return bent * F(0.75) + F(1.5) * near


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
        gx, gy = int(cx / _BIN_UM), int(cy / _BIN_UM)
        reach = int(2.2 * half[i, 0] / _BIN_UM) + 1
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
        if not _owns(i, mx, my, near, m, x, y, axis, half, depth_map, tall_map, seed):
            mx, my = cx, cy
        nucleus[i, 0], nucleus[i, 1] = mx, my
        for k in range(RAYS):
            t = F(2 * np.pi * k / RAYS)
            ux, uy = np.cos(t), np.sin(t)
            far = F(0.8)
            step = F(0.8)
            while far < 45 and _owns(
                i, mx + ux * far, my + uy * far, near, m, x, y, axis, half, depth_map, tall_map, seed
            ):
                far += step
            low, high = far - step, far
            for _ in range(4):
                mid = F(0.5) * (low + high)
                if _owns(
                    i, mx + ux * mid, my + uy * mid, near, m, x, y, axis, half, depth_map, tall_map, seed
                ):
                    low = mid
                else:
                    high = mid
            radius[i, k] = max(low, F(0.8))
        turn = F(0.5) * (lot[6] - F(0.5))
        tx, ty = ax * np.cos(turn) - ay * np.sin(turn), ay * np.cos(turn) + ax * np.sin(turn)
        across = np.sqrt(area * ratio / F(np.pi))
        _lobed(profile[i], tx, ty, across / ratio, across, lot, F(0.07))
        _mould(profile[i], radius[i])
    return nucleus, profile, radius


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
def _owns(i, px, py, near, m, x, y, axis, half, depth_map, tall_map, seed):
    """Say whether the point belongs to cell ``i``: inside the epithelium and nearest to it."""
    depth = depth_at(depth_map, px, py, seed)
    if depth <= 0 or depth >= rough_tall(tall_map, px, py, seed):
        return False
    wx, wy = warp(px, py, seed)
    qx, qy = px + wx, py + wy
    own = relative_distance(qx, qy, x[i], y[i], axis[i, 0], axis[i, 1], half[i, 0], half[i, 1])
    if own > 2.15:
        return False
    for k in range(m):
        j = near[k]
        d = relative_distance(qx, qy, x[j], y[j], axis[j, 0], axis[j, 1], half[j, 0], half[j, 1])
        if d < own or (d == own and j < i):
            return False
    return True
