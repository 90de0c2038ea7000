"""What leakage buys: one small model, tested by two splits, then asked about slides that nobody touched.

Slides are dealt into development and new ones, by patient. The development tiles are split twice, tile by
tile and by slide; each split trains a model of its own and promises an accuracy. Both models then meet the
new slides, and deliver what they deliver. The model is a random forest on colour and texture, the label of a
tile that of its slide, as in HER2-IHC-40x and BCI. No deep network: the lesson does not need one.

References
----------
Breiman L. Random forests. Mach Learn 2001;45:5-32. Bussola N et al. AI slipping on tiles: data leakage in
digital pathology. ICPR 2021 workshops, LNCS 12661:167-182.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2kit.learning.splits import split
from her2kit.statistics import Interval, clustered_bootstrap_many

NEW, TESTED = 0.4, 0.2
"""Shares: of the patients that stay new, and of the development tiles or slides that each split tests on."""
TREES = 200
WAYS = {"tile": "row", "slide": "slide_id"}
"""Name of a split to the unit that it keeps whole."""


def one_deal(tiles: pd.DataFrame, features: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Deal the slides once, train by both splits, and return every prediction.

    Parameters
    ----------
    tiles
        With ``path``, ``tile_id``, ``slide_id``, ``patient_id`` and ``label``.
    features
        One row a tile, in the same order.

    Returns
    -------
    DataFrame
        ``seed``, ``way`` (of `WAYS`), ``asked`` (``promised`` on held-out tiles, ``delivered`` on new
        slides), ``slide_id``, ``patient_id``, ``label``, ``said``.

    Raises
    ------
    ValueError
        If the tables differ in length, or there are too few slides for a part.
    """
    if len(tiles) != len(features):
        raise ValueError(f"features has {len(features)} rows for {len(tiles)} tiles; give one each")
    tiles, features = tiles.reset_index(drop=True), features.reset_index(drop=True)
    dealt = split(tiles, unit="patient_id", parts={"development": 1 - NEW, "new": NEW}, seed=seed)
    development, new = (tiles[dealt == name] for name in ("development", "new"))
    found = []
    for way, unit in WAYS.items():
        part = split(development, unit=unit, parts={"train": 1 - TESTED, "test": TESTED}, seed=seed)
        train, test = (development[part == name] for name in ("train", "test"))
        model = small_model(seed=seed).fit(features.loc[train.index], train["label"])
        for asked, rows in (("promised", test), ("delivered", new)):
            said = model.predict(features.loc[rows.index])
            kept = rows[["slide_id", "patient_id", "label"]]
            found.append(kept.assign(seed=seed, way=way, asked=asked, said=said))
    columns = ["seed", "way", "asked", "slide_id", "patient_id", "label", "said"]
    return pd.concat(found, ignore_index=True)[columns]


def many_deals(tiles: pd.DataFrame, features: pd.DataFrame, *, seeds: Sequence[int]) -> pd.DataFrame:
    """Return the predictions of `one_deal` for each seed."""
    return pd.concat([one_deal(tiles, features, seed=seed) for seed in seeds], ignore_index=True)


def small_model(*, seed: int = 0):
    """Return the model that all notebooks use where a network is not the point: a random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=seed, n_jobs=1)


def what_it_buys(predictions: pd.DataFrame, *, draws: int = 2000, seed: int = 0) -> dict[str, Interval]:
    """Return what each split promised and delivered, and the gap between them, with 95 % intervals.

    Whole patients are drawn, with everything that was predicted about them in any role and any deal.

    Parameters
    ----------
    predictions
        Of `many_deals`.

    Returns
    -------
    dict
        For each way ``<way> promised``, ``<way> delivered``, ``<way> gap`` (promised less delivered), as
        accuracy over tiles, 0 to 1.
    """
    right = (predictions["label"] == predictions["said"]).to_numpy(float)
    role = {
        (way, asked): ((predictions["way"] == way) & (predictions["asked"] == asked)).to_numpy()
        for way in WAYS
        for asked in ("promised", "delivered")
    }

    def accuracies(rows: np.ndarray) -> dict[str, float]:
        found: dict[str, float] = {}
        for way in WAYS:
            for asked in ("promised", "delivered"):
                here = role[way, asked][rows]
                found[f"{way} {asked}"] = right[rows][here].mean() if here.any() else float("nan")
            found[f"{way} gap"] = found[f"{way} promised"] - found[f"{way} delivered"]
        return found

    return clustered_bootstrap_many(accuracies, predictions["patient_id"].to_numpy(), draws=draws, seed=seed)
