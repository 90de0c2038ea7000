"""Give every cell its stain: which membranes, how strong, how wide, how complete.

The plan's shares become integer counts (largest remainder), and cells are ranked by a field that neighbours
share, so that like cells lie together. Widths by grade are from Scheel et al. 2018 (0.64, 1.00, 2.14 um full
width at half maximum); optical densities are the phantom's own, set from real HER2 cores. Draws nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from her2kit.phantom.arcs import plant_arcs
from her2kit.phantom.cells import Cells
from her2kit.phantom.layout import GRID_UM, IN_SITU, INVASIVE, NORMAL, Layout
from her2kit.phantom.plan import PAIRS, Fractions, Plan
from her2kit.phantom.shapes import EPITHELIAL, LYMPHOCYTE, MACROPHAGE

BANDS: dict[str, tuple[float, float, float]] = {
    "none": (0.0, 0.0, 0.0),
    "faint": (0.13, 0.162, 0.19),
    "weak": (0.21, 0.235, 0.27),
    "moderate": (0.30, 0.34, 0.41),
    "intense": (0.50, 0.57, 0.86),
}
"""Optical density of DAB along the membrane as seen through usual optics: low, middle, high of each word."""
WIDTHS: dict[str, tuple[float, float]] = {
    "none": (0.64, 0.0),
    "faint": (0.64, 0.10),
    "weak": (0.90, 0.15),
    "moderate": (1.10, 0.20),
    "intense": (2.14, 0.40),
}
"""Full width at half maximum in um, mean and s.d. (Scheel et al. 2018)."""
_BLUR_UM, _SHARPEN, _SHARPEN_UM = 0.26, 1.8, 0.5
"""Usual optics; a site's own differ a little, and ``dab_od`` of the truth is read from the site's picture."""
_GREYING = 0.25
"""Share of the sharpening that reads as DAB: luminance is half of its density, and grey reads half as DAB."""
_CROWD = 1.28
"""Granules and the far side of the membrane raise the crest by about this factor; measured on phantoms."""
_FWHM = 2.3548


@dataclass(frozen=True, slots=True)
class CellStain:
    """What is planted in each cell, one row each."""

    pair: np.ndarray
    """uint8, index into ``PAIRS``; 0 where the membrane is not stained."""
    od: np.ndarray
    """float32, DAB at the crest of the membrane before the optics."""
    sigma: np.ndarray
    """float32, um, standard deviation of the membrane's cross profile."""
    arcs: np.ndarray
    """float32 (n, RAYS), 1 where the membrane is stained, by angle from the nucleus."""
    completeness: np.ndarray
    """float32, share of the angles, seen from the nucleus, at which the membrane is stained."""
    cytoplasm: np.ndarray
    """float32, mean DAB of the cytoplasm."""
    nuclear: np.ndarray
    """float32, DAB of the nucleus: out-of-focus stain above it, or a nuclear marker."""
    hematoxylin: np.ndarray
    """float32, how dark the nucleus is, around 1."""
    positive: np.ndarray
    """bool, PD-L1 or Ki67 positive."""


def stain_cells(plan: Plan, layout: Layout, cells: Cells, rng: np.random.Generator) -> CellStain:
    """Return the planted stain of every cell."""
    n = len(cells)
    latent = _latent(plan, layout, cells, rng)
    pair = np.zeros(n, np.uint8)
    level = rng.random(n).astype(np.float32)
    positive = np.zeros(n, bool)
    tumour = (cells.what == EPITHELIAL) & (cells.kind == INVASIVE)
    if plan.stain == "her2":
        planned = {INVASIVE: plan.fractions, IN_SITU: plan.in_situ_fractions, NORMAL: plan.normal_fractions}
        for kind, fractions in planned.items():
            rows = np.flatnonzero((cells.what == EPITHELIAL) & (cells.kind == kind))
            ranked = rows[np.argsort(latent[rows], kind="stable")]
            counts = integer_counts(fractions, len(rows))
            start = 0
            for index, count in enumerate(counts):
                part = ranked[start : start + count]
                pair[part] = index
                level[part] = 0.55 * (np.arange(count) + 0.5) / max(count, 1) + 0.45 * level[part]
                start += count
    else:
        share_immune = plan.positive[1] if plan.stain == "pdl1" else 0.04
        for rows, share in (
            (np.flatnonzero(tumour), plan.positive[0]),
            (np.flatnonzero((cells.what == LYMPHOCYTE) | (cells.what == MACROPHAGE)), share_immune),
        ):
            if plan.stain == "he":
                continue
            ranked = rows[np.argsort(-latent[rows], kind="stable")]
            positive[ranked[: round(share * len(rows))]] = True
        if plan.stain == "pdl1":
            words = [
                "incomplete faint",
                "incomplete weak",
                "complete weak",
                "complete moderate",
                "complete intense",
            ]
            choice = rng.choice(
                [PAIRS.index(tuple(w.split())) for w in words], n, p=[0.2, 0.25, 0.25, 0.2, 0.1]
            )
            pair[positive] = choice[positive]
    arcs, pair = plant_arcs(cells, pair, basolateral=plan.basolateral, rng=rng)
    seen, sigma = _crest(pair, level, rng)
    seen *= np.float32(plan.dab_gain)
    cytoplasm = _cytoplasm(plan, cells, _shared(cells, seen), rng)
    nuclear = np.float32(0.10) * np.clip(seen - 0.3, 0, None) * rng.uniform(0.3, 1.6, n).astype(np.float32)
    if plan.stain == "ki67":
        nuclear[positive] = plan.dab_gain * rng.uniform(0.3, 0.95, int(positive.sum()))
    od = seen / _crest_factor(sigma)
    return CellStain(
        pair=pair,
        od=od.astype(np.float32),
        sigma=sigma,
        arcs=arcs,
        completeness=arcs.mean(axis=1),
        cytoplasm=cytoplasm,
        nuclear=nuclear.astype(np.float32),
        hematoxylin=_nuclear_h(plan, cells, rng),
        positive=positive,
    )


def integer_counts(fractions: Fractions, n: int) -> np.ndarray:
    """Return how many of ``n`` cells get each pair, int (len(PAIRS),), by largest remainders."""
    exact = np.array([fractions.get(pair, 0.0) for pair in PAIRS]) * n
    counts = np.floor(exact + 1e-9).astype(int)
    rest = n - counts.sum()
    if rest > 0:
        counts[np.argsort(-(exact - counts), kind="stable")[:rest]] += 1
    return counts


def _latent(plan: Plan, layout: Layout, cells: Cells, rng) -> np.ndarray:
    ix = np.clip((cells.nucleus[:, 0] / GRID_UM).astype(int), 0, layout.latent.shape[1] - 1)
    iy = np.clip((cells.nucleus[:, 1] / GRID_UM).astype(int), 0, layout.latent.shape[0] - 1)
    shared = layout.latent[iy, ix]
    spread = shared.std() + 1e-6 if not plan.hot_spot else 1.0
    own = rng.standard_normal(len(cells))
    share = plan.clustering
    return share * shared / spread + (1 - share) * own


def _crest_factor(sigma: np.ndarray) -> np.ndarray:
    """Return how high the crest of a line of this width stands after the usual optics, against before."""
    wide = _BLUR_UM**2 + _SHARPEN_UM**2
    soft, softer = sigma / np.sqrt(sigma**2 + _BLUR_UM**2), sigma / np.sqrt(sigma**2 + wide)
    return _CROWD * (soft + _GREYING * _SHARPEN * (soft - softer))


def _crest(pair: np.ndarray, level: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the seen optical density and the profile's s.d. of each cell."""
    bands = np.array([BANDS[word] for _, word in PAIRS], np.float32)[pair]
    low, middle, high = bands.T
    below = low + (middle - low) * 2 * level
    seen = np.where(level < 0.5, below, middle + (high - middle) * np.maximum(2 * level - 1, 0) ** 1.5)
    widths = np.array([WIDTHS[word] for _, word in PAIRS], np.float32)[pair]
    fwhm = widths[:, 0] + widths[:, 1] * np.clip(rng.standard_normal(len(pair)), -2, 2)
    return seen.astype(np.float32), (fwhm / _FWHM).astype(np.float32)


def _shared(cells: Cells, seen: np.ndarray) -> np.ndarray:
    """Return the stain of each epithelial cell, a third its own, the rest that of its neighbours."""
    out = seen.copy()
    rows = np.flatnonzero(cells.what == EPITHELIAL)
    if len(rows) > 1:
        tree = cKDTree(cells.nucleus[rows])
        _, near = tree.query(cells.nucleus[rows], k=min(21, len(rows)))
        out[rows] = 0.3 * seen[rows] + 0.7 * seen[rows][near[:, 1:]].mean(axis=1)
    return out


def _cytoplasm(plan: Plan, cells: Cells, seen: np.ndarray, rng) -> np.ndarray:
    n = len(cells)
    own = seen * (0.40 - 0.15 * np.minimum(seen, 1)) * rng.uniform(0.6, 1.5, n)
    own += rng.uniform(0, 0.015, n)
    if plan.cytoplasm_dab is not None:
        tumour = (cells.what == EPITHELIAL) & (cells.kind == INVASIVE)
        own = np.where(tumour, plan.cytoplasm_dab * plan.dab_gain * rng.uniform(0.6, 1.4, n), own)
    return own.astype(np.float32)


def _nuclear_h(plan: Plan, cells: Cells, rng) -> np.ndarray:
    spread = np.exp(0.26 * rng.standard_normal(len(cells)))
    dark = np.choose(cells.what, [1.0, 1.35, 1.0, 1.0]) * np.where(cells.kind == NORMAL, 1.15, 1.0)
    pyknotic = (rng.random(len(cells)) < 0.015) & (cells.what == EPITHELIAL)
    return (spread * dark * np.where(pyknotic, 2.4, 1.0) * plan.hematoxylin_gain).astype(np.float32)


def perimeter_share(radius: np.ndarray, arcs: np.ndarray) -> np.ndarray:
    """Return the share of each outline's length that is stained, float32 (n,)."""
    angle = 2 * np.pi * np.arange(radius.shape[1]) / radius.shape[1]
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    edge = np.hypot(np.roll(x, -1, 1) - x, np.roll(y, -1, 1) - y)
    weight = edge + np.roll(edge, 1, 1)
    return ((arcs * weight).sum(axis=1) / weight.sum(axis=1)).astype(np.float32)
