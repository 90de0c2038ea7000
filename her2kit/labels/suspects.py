"""Which labels look wrong, and why: four signals, each of which may be right where the others are blind.

``brown``: a positive label whose box holds too little brown (R1's rule; it never doubts a 0). ``membrane``:
the cell's own measurement says another class. ``classifier``: a model of the other slides is confident of
another class (confident learning). ``uncertain``: the measurement gives the label little. Nothing is changed
here: a suspect is a cell for a reader to look at.
"""

import numpy as np
import pandas as pd

from her2kit.labels.brown import LEAST_SHARE
from her2kit.labels.cell_model import class_codes

SIGNALS = ("brown", "membrane", "classifier", "uncertain")
LEAST_CONFIDENCE = 0.2
"""Confidence below which a label is uncertain; a guess among four would have .25."""


def suspects(
    labels: pd.DataFrame,
    *,
    measured: pd.Series | None = None,
    brown_share: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    least_brown: float = LEAST_SHARE,
    least_confidence: float = LEAST_CONFIDENCE,
) -> pd.DataFrame:
    """Return which signals doubt each label.

    Parameters
    ----------
    labels
        Of `autolabel`: ``cell_class`` and ``confidence``.
    measured
        Class by the membrane's measurement, null where there is none; on the index of `labels`.
    brown_share
        (n,), of `brown.brown_share`.
    probabilities
        (n, 4), of `cell_model.out_of_fold`. The signal needs labels of every class.
    least_brown, least_confidence
        Below them a label is doubted.

    Returns
    -------
    DataFrame on the index of `labels`: a bool column for each of `SIGNALS` that could be asked, ``n_signals``
    and ``suspect`` (one or more).

    Raises
    ------
    ValueError
        If a label is no class, or a signal has another length than the labels.
    """
    given = class_codes(labels["cell_class"], name="cell_class")
    found: dict[str, np.ndarray] = {}
    if brown_share is not None:
        found["brown"] = (given > 0) & (_fits(brown_share, labels, "brown_share") < least_brown)
    if measured is not None:
        said = _fits(measured.astype(object).to_numpy(), labels, "measured")
        found["membrane"] = ~pd.isna(said) & (said != labels["cell_class"].to_numpy(object))
    if probabilities is not None:
        found["classifier"] = _classifier(given, _fits(probabilities, labels, "probabilities"))
    if "confidence" in labels:
        found["uncertain"] = labels["confidence"].to_numpy(float) < least_confidence
    table = pd.DataFrame(
        {name: found[name] for name in SIGNALS if name in found}, index=labels.index, dtype=bool
    )
    n = table.sum(axis=1).astype(int)
    return table.assign(n_signals=n, suspect=n > 0)


def judge_signals(signals: pd.DataFrame, wrong: np.ndarray) -> pd.DataFrame:
    """Return how well each signal finds labels known to be wrong.

    Parameters
    ----------
    signals
        Of `suspects`.
    wrong
        bool (n,).

    Returns
    -------
    DataFrame, index ``signal``: ``doubted`` (labels), ``right`` (share of them that are wrong labels) and
    ``found`` (share of the wrong labels that it doubts); nan where there is nothing to share out.
    """
    rows = {}
    for name in [s for s in (*SIGNALS, "suspect") if s in signals]:
        here = signals[name].to_numpy(bool)
        hit = int((here & wrong).sum())
        rows[name] = {
            "doubted": int(here.sum()),
            "right": hit / here.sum() if here.any() else np.nan,
            "found": hit / wrong.sum() if wrong.any() else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("signal")


def _classifier(given: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    from cleanlab.filter import find_label_issues

    return find_label_issues(given, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)


def _fits(values: np.ndarray, labels: pd.DataFrame, name: str) -> np.ndarray:
    if len(values) != len(labels):
        raise ValueError(f"{name} has {len(values)} rows for {len(labels)} labels; give one each")
    return np.asarray(values)
