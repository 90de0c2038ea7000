"""How much of a map lies on membranes, nuclei, stroma, glass or a mark, against what chance would put there.

Chance is the share of the tile that the part covers: a map that is the same everywhere has just that. Only
where the truth is known can this be asked, so it takes masks from wherever they come: a phantom, or
somebody's drawing. Tiles of one slide resemble each other, so intervals draw whole slides.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from her2kit.learning.explain import Maps
from her2kit.statistics import clustered_bootstrap


def attention_shares(
    maps: Maps, parts: Mapping[str, np.ndarray], *, within: np.ndarray | None = None
) -> pd.DataFrame:
    """Return what share of each tile's evidence lies on each part.

    Parameters
    ----------
    parts
        Name to mask, bool (n, h, w), as large as the tiles.
    within
        bool (n, h, w): ask only about these pixels, such as the tumour's. A map that finds the tumour finds
        its membranes along with it; this tells whether it finds the membranes in the tumour.

    Returns
    -------
    DataFrame
        One row a tile and part: ``tile``, ``part``, ``share`` (nan where the map is all zero) and
        ``chance``, the part's share of the pixels; both 0 to 1.

    Raises
    ------
    ValueError
        If a mask is of another shape.
    """
    evidence = maps.evidence().astype(np.float64)
    inside = np.ones(evidence.shape, bool) if within is None else within
    whole, pixels = (evidence * inside).sum(axis=(1, 2)), np.maximum(inside.sum(axis=(1, 2)), 1)
    tables = []
    for name, mask in parts.items():
        if mask.shape != evidence.shape or mask.dtype != np.bool_:
            raise ValueError(f"part {name!r} is {mask.dtype} {mask.shape}; give bool {evidence.shape}")
        mask = mask & inside
        on = (evidence * mask).sum(axis=(1, 2))
        share = np.divide(on, whole, out=np.full(len(on), np.nan), where=whole > 0)
        tables.append(
            pd.DataFrame(
                {
                    "tile": np.arange(len(on)),
                    "part": name,
                    "share": share,
                    "chance": mask.sum(axis=(1, 2)) / pixels,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def against_chance(
    shares: pd.DataFrame, clusters: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return for each part how many times as much attention it gets as chance would give it.

    Parameters
    ----------
    shares
        As `attention_shares` gives them. Tiles without the part, or with an empty map, do not count.
    clusters
        (n,), the slide of each tile.

    Returns
    -------
    DataFrame
        Index ``part``; ``share`` and ``chance`` (means over tiles), ``times`` (one over the other) with the
        ends ``low`` and ``high`` of its 95 % interval, and ``tiles``.
    """
    slides, rows = np.asarray(clusters), {}
    for name, part in shares.groupby("part", sort=False):
        there = part[(part["chance"] > 0) & part["share"].notna()]
        if there.empty:
            rows[name] = [np.nan] * 5 + [0]
            continue
        share, chance = there["share"].to_numpy(), there["chance"].to_numpy()
        found = clustered_bootstrap(
            lambda k, share=share, chance=chance: share[k].mean() / chance[k].mean(),  # type: ignore[misc]
            slides[there["tile"]],
            draws=draws,
            seed=seed,
        )
        rows[name] = [share.mean(), chance.mean(), found.estimate, found.low, found.high, len(there)]
    columns = ["share", "chance", "times", "low", "high", "tiles"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("part")
    return table.astype({"tiles": int})
