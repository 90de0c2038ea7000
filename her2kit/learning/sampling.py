"""As many tumour tiles as normal ones: what a classifier is trained on where tumour is rare or fills slides.

A tile counts as tumour from a share of its area on, and as normal up to another; what lies between has no
clean label and is left out. Cuts and reads nothing: see ``slides.tiles.mask_share`` for the shares.
"""

import numpy as np
import pandas as pd


def balanced_sample(
    table: pd.DataFrame,
    tumour_share: np.ndarray,
    *,
    tumour_from: float = 0.5,
    normal_to: float = 0.0,
    per_label: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw tumour and normal tiles 1 : 1.

    Parameters
    ----------
    table
        Tiles of one slide or of several, with ``slide_id`` and ``tile_id``.
    tumour_share
        Share of each tile that is tumour, float (n,), 0 to 1.
    tumour_from, normal_to
        Least share of a tumour tile, and largest of a normal one.
    per_label
        At most so many of each; None takes as many as the rarer label has.
    seed
        Of the draw. What is drawn does not depend on the order of the rows.

    Returns
    -------
    Rows of the table, in its order, with the columns ``tumour_share`` and ``label`` ("tumour", "normal").
    Empty where one of the two labels has no tile.

    Raises
    ------
    ValueError
        If the table lacks a column, the shares do not fit it, or an argument is out of range.
    """
    missing = [name for name in ("slide_id", "tile_id") if name not in table]
    if missing:
        raise ValueError(f"table lacks the column {missing[0]!r}; give the table of a tile_grid")
    share = np.asarray(tumour_share, float)
    if share.shape != (len(table),) or not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"tumour_share has shape {share.shape}; give {len(table)} shares from 0 to 1")
    if not 0 <= normal_to < tumour_from <= 1:
        raise ValueError(
            f"normal_to={normal_to}, tumour_from={tumour_from}; give 0 <= normal_to < tumour_from <= 1"
        )
    if per_label is not None and per_label < 1:
        raise ValueError(f"per_label={per_label}; use 1 or more, or None for all")
    label = np.select([share >= tumour_from, share <= normal_to], ["tumour", "normal"], "")
    in_order = np.lexsort([table["tile_id"].astype(str), table["slide_id"].astype(str)])
    candidates = [in_order[label[in_order] == name] for name in ("tumour", "normal")]
    n = min(len(rows) for rows in candidates)
    n = n if per_label is None else min(n, per_label)
    rng = np.random.default_rng(seed)
    chosen = np.sort(np.concatenate([rng.choice(rows, n, replace=False) for rows in candidates]))
    return table.iloc[chosen].assign(tumour_share=share[chosen], label=label[chosen])
