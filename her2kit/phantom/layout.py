"""Lay out the tissue of a slide on a 2 um grid: what lies where, before any cell.

Every epithelium is described by its depth (distance to its border with the stroma) and by a height: where the
depth exceeds the height there is a lumen or necrosis. So nests are epithelium of any depth, and ducts, glands
and papillae are the same thing with a height. Growth patterns come from level sets of smooth noise; roundish
things (in-situ ducts, lobules, lymphoid clusters, vessels) are scattered discs with a noisy outline. Nothing
here draws pixels of the slide.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from her2kit.phantom.noise import field
from her2kit.phantom.plan import Plan

GRID_UM = 2.0
GLASS, STROMA, LUMEN, NECROSIS, FAT, IMMUNE, VESSEL = 0, 1, 2, 3, 4, 5, 6
INVASIVE, IN_SITU, NORMAL = 10, 11, 12
SOLID_UM = 1000.0
"""The height of an epithelium without a lumen."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Maps of one slide, all of shape (ny, nx), one pixel per ``GRID_UM``."""

    kind: np.ndarray
    """uint8, one of the codes of this module."""
    owner: np.ndarray
    """uint8, INVASIVE, IN_SITU, NORMAL or 0: whose epithelium, its lumina and necrosis included."""
    depth: np.ndarray
    """float32, um to the nearest border of epithelium, positive inside it."""
    height: np.ndarray
    """float32, um, thickness of the epithelium; ``SOLID_UM`` where it has no lumen."""
    edge: np.ndarray
    """float32, um to the edge of the tissue, positive inside."""
    loose: np.ndarray
    """float32, about -2 to 2: dense collagen to oedematous stroma."""
    immune: np.ndarray
    """float32, 0 to 1: how many lymphocytes lie in the stroma."""
    dab: np.ndarray
    """float32, slow factor on DAB, around 1."""
    hematoxylin: np.ndarray
    """float32, slow factor on hematoxylin, around 1."""
    latent: np.ndarray
    """float32, the field that cells of a like stain share."""


def lay_out(plan: Plan, rng: np.random.Generator) -> Layout:
    """Return the maps of the slide that ``plan`` describes."""
    width, height_um = plan.size_um
    shape = (int(np.ceil(height_um / GRID_UM)) + 2, int(np.ceil(width / GRID_UM)) + 2)
    size = min(width, height_um)
    tissue, edge = _tissue(plan, shape, size, rng)
    kind = np.where(tissue, STROMA, GLASS).astype(np.uint8)
    room = tissue.sum()
    zone = field(shape, max(0.35 * size, 60) / GRID_UM, rng)
    invasive = _share_above(zone, tissue, plan.mix.invasive * room)
    fat = _share_above(
        -zone + 0.4 * field(shape, 120 / GRID_UM, rng), tissue & ~invasive, plan.mix.fat * room
    )
    kind[fat] = FAT
    epithelium = np.zeros(shape, np.uint8)
    tall = np.full(shape, SOLID_UM, np.float32)
    inner = np.full(shape, LUMEN, np.uint8)
    _grow(plan, invasive & (edge > 6), epithelium, tall, rng, size)
    free = tissue & (edge > 12)
    for disc in _scatter(free & ~invasive, plan.mix.in_situ * room, (55, 150), size, rng):
        _paint_in_situ(disc, epithelium, tall, inner, kind, rng)
    for disc in _scatter(
        free & (kind == STROMA) & (epithelium == 0), plan.mix.normal * room, (60, 130), size, rng
    ):
        _paint_normal(disc, epithelium, tall, rng)
    stroma = (epithelium == 0) & (kind == STROMA) & (edge > 12)
    for disc in _scatter(stroma, plan.mix.vessels * room, (7, 26), size, rng):
        epithelium[disc.window][disc.inside] = 0
        kind[disc.window][disc.inside] = VESSEL
    lymphoid = _scatter(tissue & (edge > 12) & (kind == STROMA), plan.mix.immune * room, (30, 90), size, rng)
    for disc in lymphoid:
        part = disc.inside & (epithelium[disc.window] == 0) & (kind[disc.window] == STROMA)
        kind[disc.window][part] = IMMUNE
    necrotic = _share_above(field(shape, 90 / GRID_UM, rng) + 0.3 * zone, invasive, plan.mix.necrosis * room)
    inside = epithelium > 0
    depth = _signed_distance(inside)
    dead = necrotic & (depth > 12)
    tall[dead] = np.minimum(tall[dead], 14.0)
    inner[dead] = NECROSIS
    tall = np.asarray(cv2.GaussianBlur(tall, (0, 0), 1.0), np.float32)
    kind[inside] = epithelium[inside]
    open_space = inside & (depth > tall)
    kind[open_space] = inner[open_space]
    return Layout(
        kind=kind,
        owner=epithelium,
        depth=depth,
        height=tall,
        edge=edge,
        loose=field(shape, 140 / GRID_UM, rng) + rng.normal(0.4, 0.6),
        immune=_logistic(1.8 * field(shape, 120 / GRID_UM, rng) - 2.0),
        dab=np.exp(0.10 * field(shape, max(300, 0.4 * size) / GRID_UM, rng)).astype(np.float32),
        hematoxylin=np.exp(0.10 * field(shape, max(300, 0.4 * size) / GRID_UM, rng)).astype(np.float32),
        latent=_latent(plan, shape, rng, epithelium == INVASIVE),
    )


def _tissue(plan: Plan, shape, size, rng) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) * np.float32(GRID_UM)
    width, height = plan.size_um
    margin = float(np.clip(0.07 * size, 8, 250))
    rough = field(shape, max(0.25 * size, 40) / GRID_UM, rng) * margin * 0.35 + field(shape, 14, rng) * 2.5
    if plan.specimen == "core":
        edge = 0.45 * size - np.hypot(x - width / 2, y - height / 2) + 0.4 * rough
    elif plan.specimen == "biopsy":
        strips = max(1, min(3, int(width // 500)))
        half = float(np.clip(0.32 * width / strips, 20, 420))
        bend = field((shape[0], 1), max(0.5 * size, 60) / GRID_UM, rng) * 0.2 * half
        centres = (np.arange(strips) + 0.5) * width / strips
        edge = half - np.min([np.abs(x - c - bend) for c in centres], axis=0) + 0.4 * rough
        edge = np.minimum(edge, np.minimum(y, height - y) - 0.5 * margin + 0.4 * rough)
    else:
        edge = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) - margin + rough
        edge = np.minimum(edge, np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) - 4)
    tissue = edge > 0
    return tissue, _signed_distance(tissue)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return the smoothed signed distance to the border of ``mask`` in um, float32."""
    padded = np.pad(mask, 1).astype(np.uint8)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    outside = cv2.distanceTransform(1 - np.pad(mask, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[
        1:-1, 1:-1
    ]
    far = 400 / GRID_UM  # a mask without border lies at the largest float from it
    signed = np.clip(np.where(mask, inside - 0.5, 0.5 - outside), -far, far) * np.float32(GRID_UM)
    return cv2.GaussianBlur(signed.astype(np.float32), (0, 0), 1.2)


def _share_above(values: np.ndarray, where: np.ndarray, n_px: float) -> np.ndarray:
    """Return the ``n_px`` pixels of ``where`` with the highest values, as a mask."""
    found = values[where]
    n = int(min(n_px, found.size))
    if n == 0:
        return np.zeros_like(where)
    if n == found.size:
        return where.copy()
    cut = np.partition(found, found.size - n)[found.size - n]
    return where & (values >= cut)


def _logistic(values: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-values))).astype(np.float32)


def _latent(plan: Plan, shape, rng, invasive: np.ndarray) -> np.ndarray:
    noise = field(shape, plan.heterogeneity_um / GRID_UM, rng)
    if not plan.hot_spot or not invasive.any():
        return noise
    ys, xs = np.nonzero(invasive)
    pick = rng.integers(len(ys))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    away = np.hypot(y - ys[pick], x - xs[pick]) / np.float32(0.25 * max(shape))
    return (0.35 * noise - 4 * away).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Disc:
    """A roundish thing: its window into the maps, its mask there, its distance from the rim in um."""

    window: tuple[slice, slice]
    inside: np.ndarray
    rim: np.ndarray
    radius: float


def _scatter(free: np.ndarray, n_px: float, radii: tuple[float, float], size: float, rng) -> list[_Disc]:
    """Return discs with noisy outlines that lie in ``free`` and add up to about ``n_px`` pixels."""
    free = free.copy()
    ys, xs = np.nonzero(free)
    discs: list[_Disc] = []
    if n_px < 20 or len(ys) == 0:
        return discs
    low, high = min(radii[0], 0.12 * size), min(radii[1], 0.16 * size)
    total = 0
    for _ in range(int(60 + 12 * n_px / (np.pi * (low / GRID_UM) ** 2))):
        if total >= n_px:
            break
        pick = rng.integers(len(ys))
        radius = rng.uniform(low, high)
        reach = int(1.6 * radius / GRID_UM) + 2
        y0, y1 = max(0, ys[pick] - reach), min(free.shape[0], ys[pick] + reach + 1)
        x0, x1 = max(0, xs[pick] - reach), min(free.shape[1], xs[pick] + reach + 1)
        gy, gx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.65, 1.0)
        dx, dy = (gx - xs[pick]) * GRID_UM, (gy - ys[pick]) * GRID_UM
        u, v = dx * np.cos(turn) + dy * np.sin(turn), (dy * np.cos(turn) - dx * np.sin(turn)) / squeeze
        rim = radius - np.hypot(u, v) + 0.13 * radius * field(gx.shape, max(radius, 6) / GRID_UM, rng)
        inside = rim > 0
        window = (slice(y0, y1), slice(x0, x1))
        if not inside.any() or free[window][inside].mean() < 0.97:
            continue
        inside &= free[window]
        halo = cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        free[window][halo] = False
        total += int(inside.sum())
        discs.append(_Disc(window, inside, rim.astype(np.float32), radius))
    return discs


def _grow(plan: Plan, zone: np.ndarray, epithelium, tall, rng, size) -> None:
    """Paint the invasive epithelium of each growth pattern into its part of ``zone``."""
    if not zone.any():
        return
    votes = [field(zone.shape, max(0.4 * size, 80) / GRID_UM, rng) for _ in plan.patterns]
    winner = np.argmax(votes, axis=0)
    for index, pattern in enumerate(plan.patterns):
        part = zone & (winner == index)
        if not part.any():
            continue
        mask, thickness = _PATTERN[pattern](zone.shape, part, rng)
        mask &= part
        epithelium[mask] = INVASIVE
        tall[mask] = thickness[mask] if isinstance(thickness, np.ndarray) else thickness
    _tidy(epithelium)


def _tidy(epithelium: np.ndarray) -> None:
    """Drop islands below 250 um2 and fill holes below 120 um2."""
    for value, least in ((1, 250.0), (0, 120.0)):
        picture = ((epithelium > 0) == bool(value)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(picture, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] * GRID_UM**2 < least
        small[0] = False
        if count > 1 and small.any():
            epithelium[small[labels]] = 0 if value else INVASIVE


def _ridge(shape, wavelength_um, rng) -> np.ndarray:
    """Return the distance, um, to the zero lines of smooth noise (first order, so widths stay even)."""
    noise = field(shape, wavelength_um / GRID_UM, rng)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
    gy, gx = np.gradient(noise)
    slope = np.hypot(gx, gy) / GRID_UM
    return np.abs(noise) / np.maximum(slope, 0.35 * np.median(slope))


def _nests(shape, part, rng):
    noise = field(shape, rng.uniform(48, 75) / GRID_UM, rng) + 0.25 * field(shape, 22 / GRID_UM, rng)
    return _share_above(noise, part, rng.uniform(0.5, 0.62) * part.sum()), SOLID_UM


def _solid(shape, part, rng):
    noise = field(shape, 150 / GRID_UM, rng) + 0.25 * field(shape, 40 / GRID_UM, rng)
    return _share_above(noise, part, 0.82 * part.sum()), SOLID_UM


def _cords(shape, part, rng):
    width = 9 + 4 * field(shape, 60 / GRID_UM, rng)
    return (_ridge(shape, rng.uniform(45, 60), rng) < np.clip(width, 5, 18)) & part, SOLID_UM


def _ducts(shape, part, rng):
    mask = np.zeros(shape, bool)
    for disc in _scatter(part, 0.5 * part.sum(), (20, 46), 1e9, rng):
        mask[disc.window] |= disc.inside
    return mask, np.clip(14 + 2.5 * field(shape, 80 / GRID_UM, rng), 10, 20).astype(np.float32)


def _glands(shape, part, rng):
    noise = field(shape, rng.uniform(75, 105) / GRID_UM, rng) + 0.25 * field(shape, 40 / GRID_UM, rng)
    mask = _share_above(noise, part, rng.uniform(0.66, 0.78) * part.sum())
    return mask, np.clip(25 + 4 * field(shape, 120 / GRID_UM, rng), 17, 36).astype(np.float32)


def _papillary(shape, part, rng):
    width = np.clip(5 + 3 * field(shape, 90 / GRID_UM, rng), 2.5, 14)
    mask = (_ridge(shape, rng.uniform(85, 115), rng) > width) & part
    return mask, np.clip(30 + 5 * field(shape, 150 / GRID_UM, rng), 20, 42).astype(np.float32)


_PATTERN = {
    "nests": _nests,
    "solid": _solid,
    "cords": _cords,
    "ducts": _ducts,
    "glands": _glands,
    "papillary": _papillary,
}


def _paint_in_situ(disc: _Disc, epithelium, tall, inner, kind, rng) -> None:
    """Paint a duct filled by carcinoma in situ: solid, cribriform or with comedo necrosis."""
    window, mask = disc.window, disc.inside.copy()
    style = rng.choice(["solid", "cribriform", "comedo"])
    if style == "cribriform":
        holes = _scatter(disc.rim > 16, 0.16 * mask.sum(), (8, 17), 1e9, rng)
        for hole in holes:
            epithelium[window][hole.window][hole.inside] = 0
            mask[hole.window] &= ~hole.inside
            kind[window][hole.window][hole.inside] = LUMEN
    epithelium[window][mask] = IN_SITU
    tall[window][mask] = max(24.0, 0.55 * disc.radius) if style == "comedo" else SOLID_UM
    inner[window][mask] = NECROSIS


def _paint_normal(disc: _Disc, epithelium, tall, rng) -> None:
    """Paint a lobule: a group of small glands with a lumen, each of one row of cells."""
    window = disc.window
    for acinus in _scatter(disc.inside, 0.55 * disc.inside.sum(), (13, 26), 1e9, rng):
        epithelium[window][acinus.window][acinus.inside] = NORMAL
        tall[window][acinus.window][acinus.inside] = rng.uniform(9, 12)
