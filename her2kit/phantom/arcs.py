"""Decide which part of each membrane is stained, so that two cells that share a membrane agree about it.

Cells are taken in order, complete ones first. Where a neighbour has decided, a cell follows; with what is
left it comes as near to its wanted completeness as it can. What it ends up with is what is planted.
"""

import numpy as np

from her2kit.phantom.cells import Cells
from her2kit.phantom.noise import F, jit
from her2kit.phantom.plan import PAIRS
from her2kit.phantom.shapes import RAYS

COMPLETE_FROM = 0.8
"""A membrane that is stained over at least this share of the angles is complete."""
_IS_COMPLETE = np.array([completeness == "complete" for completeness, _ in PAIRS])
_OTHER = np.array(
    [PAIRS.index(({"complete": "incomplete", "incomplete": "complete"}.get(c, c), i)) for c, i in PAIRS]
)


def plant_arcs(
    cells: Cells, pair: np.ndarray, *, basolateral: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stained part of each membrane, float32 (n, RAYS), and the pairs that came of it, uint8 (n,).

    Parameters
    ----------
    pair
        Wanted pair of each cell, as an index into ``PAIRS``.
    basolateral
        Gaps lie towards the lumen instead of anywhere.
    """
    n = len(cells)
    complete = _IS_COMPLETE[pair]
    wanted = np.where(complete, 1 - 0.15 * rng.beta(1.2, 1.6, n), rng.uniform(0.22, 0.60, n))
    parts = np.where(complete, 0, rng.integers(1, 3, n))
    starts = rng.integers(0, RAYS, (n, 2))
    if basolateral:
        away = np.arctan2(-cells.axis[:, 1], -cells.axis[:, 0]) / (2 * np.pi) * RAYS
        starts[:, 0] = np.rint(away).astype(int) % RAYS
        parts[:] = np.minimum(parts, 1)
    stained = np.flatnonzero(pair)
    order = np.concatenate([stained[complete[stained]], stained[~complete[stained]]])
    arcs = np.full((n, RAYS), -1, np.int8)
    arcs[pair == 0] = 0
    total = np.rint(wanted * RAYS).astype(np.int32)
    _plant(arcs, order, total, parts, starts, pair > 0, cells.beside, cells.nucleus, cells.radius)
    share = (arcs > 0).mean(axis=1)
    changed = (pair > 0) & ((share >= COMPLETE_FROM) != complete)
    return (arcs > 0).astype(np.float32), np.where(changed, _OTHER[pair], pair).astype(np.uint8)


@jit
def _plant(arcs, order, total, parts, starts, stained, beside, nucleus, radius):
    n_rays = arcs.shape[1]
    score = np.empty(n_rays, np.float32)
    for i in order:
        ones = 0
        for k in range(n_rays):
            j = beside[i, k]
            score[k] = F(0)
            if j >= 0 and stained[j]:
                t = F(2 * np.pi * k / n_rays)
                dx = nucleus[i, 0] + radius[i, k] * np.cos(t) - nucleus[j, 0]
                dy = nucleus[i, 1] + radius[i, k] * np.sin(t) - nucleus[j, 1]
                there = int(np.rint(np.arctan2(dy, dx) * n_rays / (2 * np.pi))) % n_rays
                if arcs[j, there] >= 0:
                    arcs[i, k] = arcs[j, there]
                    ones += arcs[i, k]
            if arcs[i, k] < 0:
                # Nearest to a start first; towards unstained cells last, in incomplete membranes.
                best = F(n_rays)
                for part in range(max(parts[i], 1)):
                    d = abs(k - starts[i, part])
                    best = min(best, F(min(d, n_rays - d)))
                score[k] = best + (F(n_rays) if parts[i] > 0 and j >= 0 and not stained[j] else F(0))
        for _ in range(n_rays):
            pick = -1
            for k in range(n_rays):
                if arcs[i, k] < 0 and (pick < 0 or score[k] < score[pick]):
                    pick = k
            if pick < 0:
                break
            arcs[i, pick] = 1 if ones < total[i] else 0
            ones += arcs[i, pick]
