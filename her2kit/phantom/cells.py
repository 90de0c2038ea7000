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
from her2kit.phantom.noise import F, jit, unit, value_noise
from her2kit.phantom.plan import Plan
from her2kit.phantom.shapes import EPITHELIAL, FIBROBLAST, LYMPHOCYTE, MACROPHAGE, cell_shapes
from her2kit.phantom.space import BIN_UM, bilinear, fibre_phase, relative_distance

_PITCH_UM = 2.2


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
    beside: np.ndarray
    """int32 (n, RAYS), the cell beyond each vertex of an epithelial cell; -1 where there is none."""

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
    nucleus, profile, radius, beside = cell_shapes(
        x, y, axis, half, what, kind, bins, shape_maps, median, seed
    )
    return Cells(x, y, axis, half, what, kind, nucleus, profile, radius, beside)


@jit
def _hashes(n, seed):
    out = np.empty(n, np.float32)
    for i in range(n):
        out[i] = unit(i, 77, seed)
    return out


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
    bx, by = int(width / BIN_UM) + 1, int(height_um / BIN_UM) + 1
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
                along = F(2.3) + F(1.4) * lot2
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
        gx, gy = int(x / BIN_UM), int(y / BIN_UM)
        reach = int((max(keep_along, keep_across) if not filling else F(36)) / BIN_UM) + 1
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
def _bin(x, y, width, height):
    """Return ``start`` and ``members``: the cells of each square bin, in one flat list."""
    bx, by = int(width / BIN_UM) + 1, int(height / BIN_UM) + 1
    start = np.zeros(by * bx + 1, np.int32)
    for i in range(len(x)):
        start[int(y[i] / BIN_UM) * bx + int(x[i] / BIN_UM) + 1] += 1
    start = np.cumsum(start).astype(np.int32)
    fill = start[:-1].copy()
    members = np.empty(len(x), np.int32)
    for i in range(len(x)):
        b = int(y[i] / BIN_UM) * bx + int(x[i] / BIN_UM)
        members[fill[b]] = i
        fill[b] += 1
    return start, members, bx, by
