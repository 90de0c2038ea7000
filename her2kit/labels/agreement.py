"""How well readers, and rounds, agree on cells: shares and kappas of `scoring.agreement`, pair by pair.

Two questions, two figures. Over all six labels: the share of equal labels and Cohen's kappa without
weights, since "not tumour" has no place in the order of classes. Over cells that both graded: kappa with
linear weights and its interval, in which cells of one tile count as a cluster. Kappas depend on how common
each class is.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES
from her2kit.labels.assignment import KEY
from her2kit.labels.merge import ROUNDS, merge_labels
from her2kit.labels.review_log import LABELS
from her2kit.scoring.agreement import codes, compare, confusion, kappa

COLUMNS = (
    "first", "second", "round", "n", "agreement", "kappa", "n_graded", "kappa_linear", "kappa_low",
    "kappa_high",
)  # fmt: skip


def reader_agreement(
    readings: pd.DataFrame, cells: pd.DataFrame, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how every two readers agree on the cells that both read in a round: `COLUMNS`.

    Parameters
    ----------
    readings : DataFrame
        As `merge.readings_of` returns them.
    cells : DataFrame
        ``slide_id``, ``cell_id`` and, if there, ``tile_id``.
    draws, seed
        Of the bootstrap over tiles that gives kappa's interval.

    Returns
    -------
    DataFrame
        One row a round and pair of readers with common cells: ``n`` cells that both read, ``agreement`` 0..1
        and ``kappa`` over `LABELS`; ``n_graded`` of them that both called one of 0 to 3+, and over these
        ``kappa_linear`` with its 95 % interval; nan where a figure is not defined.
    """
    rows = []
    for name in ROUNDS:
        part = readings[readings["round"] == name]
        wide = part.pivot(index=KEY, columns="reader", values="label")
        for a, b in combinations(sorted(wide.columns), 2):
            rows.append(_row(a, b, name, wide[a], wide[b], cells, draws, seed))
    return _table(rows)


def round_agreement(
    readings: pd.DataFrame, cells: pd.DataFrame, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how the labels of every two rounds agree, each round's by majority; see `reader_agreement`.

    ``round`` is the later of the two.
    """
    by = {}
    for name in ROUNDS:
        if (readings["round"] == name).any():
            by[name] = merge_labels(readings, cells, rule="majority", rounds=[name]).set_index(KEY)["label"]
    return _table([_row(a, b, b, by[a], by[b], cells, draws, seed) for a, b in combinations(by, 2)])


def _row(
    first: str, second: str, name: str, a: pd.Series, b: pd.Series, cells: pd.DataFrame, draws: int, seed: int
) -> dict[str, object]:
    both = a.notna() & b.notna()
    a, b = a[both], b[both]
    k = len(LABELS)
    table = confusion(
        codes(a.to_numpy(object), categories=LABELS), codes(b.to_numpy(object), categories=LABELS), k=k
    )
    n = int(table.sum())
    row = {"first": first, "second": second, "round": name, "n": n,
           "agreement": float(np.trace(table)) / n if n else np.nan, "kappa": kappa(table)}  # fmt: skip
    graded = a.isin(CLASSES) & b.isin(CLASSES)
    x, y = (codes(v[graded].to_numpy(object), categories=CLASSES) for v in (a, b))
    row |= {"n_graded": len(x), "kappa_linear": np.nan, "kappa_low": np.nan, "kappa_high": np.nan}
    if len(x):
        found = compare(x, y, _clusters(a[graded].index, cells), draws=draws, seed=seed)["kappa linear"]
        row |= {"kappa_linear": found.estimate, "kappa_low": found.low, "kappa_high": found.high}
    return row


def _clusters(keys: pd.MultiIndex, cells: pd.DataFrame) -> np.ndarray:
    """Return the tile of each cell, or its slide where cells have no tiles, as numbers."""
    names = ["slide_id", *(["tile_id"] if "tile_id" in cells else [])]
    number = cells.groupby(names, sort=True, dropna=False).ngroup().to_numpy()
    return number[pd.MultiIndex.from_frame(cells[KEY]).get_indexer(keys)]


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else pd.DataFrame(columns=list(COLUMNS))
