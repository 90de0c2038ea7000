"""Cells of slides with a planted share of stained ones, scattered or in patches, for `benchmarks.cohort`.

Positions and stain alone; nothing is drawn. The constants of `scoring.spatial_error` were chosen on "fields";
the other kinds of patches were not looked at then.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import betaincinv, ndtr, ndtri

STEP_UM = 20.0


def nests(rng: np.random.Generator, n: int, side_um: float) -> np.ndarray:
    """Return n cells in tumour nests some 100 um wide that fill half of a square; float (n, 2) in um."""
    inside = _smooth(rng, side_um, 60.0) > 0
    found: list[np.ndarray] = []
    while sum(map(len, found)) < n:
        xy = rng.uniform(0, side_um, (2 * n, 2))
        found.append(xy[_at(inside, xy)])
    return np.concatenate(found)[:n]


def scattered(rng: np.random.Generator, xy: np.ndarray, share: float, side_um: float) -> np.ndarray:
    """Return bool (n,): every cell by itself."""
    return rng.random(len(xy)) < share


def fields(rng: np.random.Generator, xy: np.ndarray, share: float, side_um: float) -> np.ndarray:
    """Stain follows a smooth random field, 60 to 150 um, with a random part of each cell's own."""
    place = _at(_smooth(rng, side_um, rng.uniform(60, 150) / np.sqrt(2)), xy)
    return np.sqrt(0.6) * place + np.sqrt(0.4) * rng.normal(size=len(xy)) > ndtri(1 - share)


def clones(rng: np.random.Generator, xy: np.ndarray, share: float, side_um: float) -> np.ndarray:
    """Territories with straight borders, some 200 um wide, each with a share of its own (beta)."""
    from scipy.spatial import KDTree

    seeds = rng.uniform(0, side_um, (max(4, round((side_um / 200) ** 2)), 2))
    own = betaincinv(share * 3, (1 - share) * 3, rng.random(len(seeds)))
    return rng.random(len(xy)) < own[KDTree(seeds).query(xy)[1]]


def spots(rng: np.random.Generator, xy: np.ndarray, share: float, side_um: float) -> np.ndarray:
    """Round spots of 100 um radius by chance, full of stain; a quarter of the share lies between them."""
    from scipy.spatial import KDTree

    radius, inside, background = 100.0, 0.8, share / 4
    covered = (share - background) / (inside - background)
    rate = -np.log(1 - covered) / (np.pi * radius**2)
    wide = side_um + 2 * radius
    centres = rng.uniform(-radius, side_um + radius, (rng.poisson(rate * wide**2), 2))
    near = np.full(len(xy), np.inf) if not len(centres) else KDTree(centres).query(xy)[0]
    return rng.random(len(xy)) < np.where(near < radius, inside, background)


def bands(rng: np.random.Generator, xy: np.ndarray, share: float, side_um: float) -> np.ndarray:
    """Two scales at once, one stretched fourfold: streaks of 50 by 200 um on a drift of 150 um."""
    streaks = _at(_smooth(rng, side_um, 50.0, stretch=4.0), xy)
    place = np.sqrt(0.5) * streaks + np.sqrt(0.5) * _at(_smooth(rng, side_um, 150.0), xy)
    return rng.random(len(xy)) < ndtr((np.sqrt(0.5) * place - ndtri(1 - share)) / np.sqrt(0.5))


KINDS: dict[str, Callable[[np.random.Generator, np.ndarray, float, float], np.ndarray]] = {
    "scattered": scattered,
    "fields": fields,
    "clones": clones,
    "spots": spots,
    "bands": bands,
}
"""By name. All but the first are clustered."""


def _smooth(rng: np.random.Generator, side_um: float, sigma_um: float, *, stretch: float = 1.0) -> np.ndarray:
    """Return a Gaussian random field of unit variance on a lattice of `STEP_UM`."""
    sigma = np.array([sigma_um, sigma_um * stretch]) / STEP_UM
    m, pad = int(np.ceil(side_um / STEP_UM)) + 1, int(np.ceil(4 * sigma.max()))
    impulse = np.zeros((m + pad, m + pad))
    impulse[0, 0] = 1.0
    energy = np.sqrt((gaussian_filter(impulse, sigma, mode="wrap") ** 2).sum())
    field = gaussian_filter(rng.normal(size=impulse.shape), sigma, mode="wrap") / energy
    return field[:m, :m]


def _at(field: np.ndarray, xy: np.ndarray) -> np.ndarray:
    place = (xy / STEP_UM).astype(int)
    return field[place[:, 1], place[:, 0]]
