"""A small model of cells: the class by what was measured of the cell and its colours. No network.

It stands in for a detector wherever labels are the lesson: to doubt labels it must not have seen
(`out_of_fold`), and to show what a training gains from a review. Places, slides and patches are no features:
a model that knows the patch knows the label.

References
----------
Geurts P, Ernst D, Wehenkel L. Extremely randomized trees. Mach Learn 2006;63:3-42.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES

FEATURES = (
    "dab_od", "completeness", "width_um", "membrane_ratio", "cytoplasm_dab_od", "nuclear_dab_od",
    "hematoxylin_od", "area_um2", "axis_ratio",
)  # fmt: skip
COLOURS = ("brown_share",)
"""Further features, used where the table has them."""
TREES, LEAF = 200, 10


def cell_features(cells: pd.DataFrame) -> np.ndarray:
    """Return what the model sees of each cell, float64 (n, features); nan where it was not measured.

    Raises
    ------
    ValueError
        If a column of `FEATURES` is missing.
    """
    missing = [name for name in FEATURES if name not in cells]
    if missing:
        raise ValueError(f"cells has no column {missing[0]!r}; pass the table of find_cells")
    names = [*FEATURES, *(name for name in COLOURS if name in cells)]
    values = cells[names].to_numpy(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def cell_model(*, seed: int = 0, trees: int = TREES):
    """Return an untrained model: extremely randomised trees with leaves of `LEAF` cells or more."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(trees, min_samples_leaf=LEAF, random_state=seed, n_jobs=1)


def class_codes(labels: Sequence[str] | pd.Series, *, name: str = "labels") -> np.ndarray:
    """Return each label's place in `CLASSES`, int64 (n,).

    Raises
    ------
    ValueError
        If a label is none of them; the message names its row.
    """
    codes = pd.Index(CLASSES).get_indexer(pd.Index(labels, dtype=object)).astype(np.int64)
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise ValueError(
            f"{name} holds {list(labels)[row]!r} in row {row}; use one of {', '.join(CLASSES)}, and "
            "leave out cells without a label"
        )
    return codes


def probabilities_of(model, features: np.ndarray) -> np.ndarray:
    """Return a model's probabilities in the order of `CLASSES`, (n, 4); 0 for a class it never saw."""
    out = np.zeros((len(features), len(CLASSES)))
    if len(features):
        out[:, np.asarray(model.classes_, int)] = model.predict_proba(features)
    return out


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence,
    *,
    k: int = 5,
    seed: int = 0,
    trees: int = TREES,
) -> np.ndarray:
    """Return for each cell the probabilities of a model that has not seen its slide, float64 (n, 4).

    Parameters
    ----------
    features
        Of `cell_features`.
    labels
        int (n,), codes of `class_codes`: the labels that are doubted.
    groups
        (n,), what is kept whole: the slide of each cell.
    k
        Folds; no more than there are groups.

    Raises
    ------
    ValueError
        If the lengths differ or there are fewer than two groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if not len(features) == len(labels) == len(groups):
        raise ValueError(
            f"features has {len(features)} rows, labels {len(labels)}, groups {len(groups)}; "
            "give one each a cell"
        )
    names = np.asarray(groups)
    n = len(np.unique(names))
    if n < 2:
        raise ValueError(
            f"groups names {n} slides; a label is doubted by models of other slides, give two or more"
        )
    out = np.zeros((len(features), len(CLASSES)))
    folds = StratifiedGroupKFold(min(k, n), shuffle=True, random_state=seed)
    for train, test in folds.split(features, labels, names):
        model = cell_model(seed=seed, trees=trees).fit(features[train], labels[train])
        out[test] = probabilities_of(model, features[test])
    return out
