"""Three measures of how even a stain is: entropy within and between regions, Moran's I, contiguity of cells.

References
----------
Moran PAP. Biometrika 1950;37:17-23. Shannon CE. Bell Syst Tech J 1948;27:379-423. Lin J. IEEE Trans Inf
Theory 1991;37:145-151 (entropy between regions: the Jensen-Shannon divergence).
"""

from typing import Any

import numpy as np
import pandas as pd

from her2kit.scoring.clusters import cluster_sizes
from her2kit.scoring.counts import complete_intense
from her2kit.scoring.guideline import Guideline, Policies

SHUFFLES = 999
"""Random orders of the values that Moran's I is held against."""


def entropies(shares: np.ndarray, weight: np.ndarray) -> tuple[float | None, float | None]:
    """Return the entropy of all regions together, in bits, and the share of it that lies between them.

    Parameters
    ----------
    shares
        float (k, classes), each row sums to 1.
    weight
        float (k,), cells of each region.

    Returns
    -------
    tuple of float
        Both None without regions.
    """
    if not len(shares):
        return None, None

    def bits(p: np.ndarray) -> np.ndarray:
        return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=-1)

    weight = weight / weight.sum()
    whole = float(bits(weight @ shares))
    within = float(weight @ bits(shares))
    return whole, (min(max(0.0, (whole - within) / whole), 1.0) if whole > 0 else 0.0)


def morans_i(places: np.ndarray, values: np.ndarray) -> tuple[float | None, float | None]:
    """Return Moran's I of squares over their neighbours, corners included, and its one-sided p.

    Parameters
    ----------
    places
        float (k, 2), column and row of each square, whole numbers but for rounding.
    values
        float (k,).

    Returns
    -------
    tuple of float
        Both None for fewer than 4 squares, without neighbours, or where all values are equal. p is the share
        of random orders with an I at least as large.
    """
    if len(values) < 4 or np.allclose(values, values[0]):
        return None, None
    z = values - values.mean()
    at = [(x, y) for x, y in np.round(places).astype(np.int64).tolist()]
    number = {place: i for i, place in enumerate(at)}
    steps = ((1, 0), (0, 1), (1, 1), (1, -1))
    pairs = np.array(
        [
            (i, number[x + dx, y + dy])
            for i, (x, y) in enumerate(at)
            for dx, dy in steps
            if (x + dx, y + dy) in number
        ]
    ).reshape(-1, 2)
    if not len(pairs):
        return None, None
    rng = np.random.default_rng(0)
    tried = np.stack([z, *(rng.permutation(z) for _ in range(SHUFFLES))])
    found = (tried[:, pairs[:, 0]] * tried[:, pairs[:, 1]]).mean(axis=1) / (z**2).mean()
    return float(found[0]), float(np.mean(found >= found[0] - 1e-12))


def contiguity(table: pd.DataFrame, guideline: Guideline, policies: Policies, mpp: float) -> dict[str, Any]:
    """Return how the strongest cells (complete and intense, or 3+) of a graded table lie together.

    Returns
    -------
    dict
        ``cells``, ``largest_group``, the shares ``in_largest`` and ``alone`` (None without cells), and
        ``neighbour_um``.
    """
    strong = (
        complete_intense(table, complete_at=policies.complete_at)
        if guideline.organ == "breast"
        else (table["cell_class"] == "3+").to_numpy(bool)
    )
    xy_um = table.loc[strong, ["x_px0", "y_px0"]].to_numpy(np.float64) * mpp
    sizes = cluster_sizes(xy_um, neighbour_um=policies.neighbour_um)
    return {
        "cells": int(strong.sum()),
        "largest_group": int(sizes.max()) if len(sizes) else 0,
        "in_largest": float(sizes.max() / sizes.sum()) if len(sizes) else None,
        "alone": float(np.sum(sizes[sizes == 1]) / sizes.sum()) if len(sizes) else None,
        "neighbour_um": policies.neighbour_um,
    }
