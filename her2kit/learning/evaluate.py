"""How good a classifier is: per class and over all, how sure it may be, and how sure we are of that.

Means over classes count the classes that have samples; what is predicted for an absent class is counted where
it is missing, as lost recall. Intervals come from resampling whole slides, since tiles of one slide resemble
each other. Arrays and tables in and out; nothing is drawn here.

References
----------
Cohen J. Weighted kappa. Psychol Bull 1968;70:213-220. Guo C et al. On calibration of modern neural networks.
ICML 2017 (expected calibration error).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.statistics import Interval, clustered_bootstrap_many


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` finds."""

    overall: pd.DataFrame
    """One row a figure, index ``figure``: ``value``, ``low``, ``high``. Figures: accuracy, macro_precision,
    macro_recall, macro_f1, weighted_precision, weighted_recall, weighted_f1, kappa_quadratic, ece."""
    per_class: pd.DataFrame
    """One row a class, index ``class``: precision, recall, f1, f1_low, f1_high, n (samples), n_predicted."""
    confusion: pd.DataFrame
    """Counts, truth down, prediction across."""

    def figures(self) -> dict[str, float]:
        """Return name and value of each overall figure."""
        return self.overall["value"].to_dict()


def evaluate(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    clusters: np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """Compare predictions with the truth.

    Parameters
    ----------
    probabilities
        (n, classes), rows sum to 1.
    labels
        int (n,), the true class.
    clusters
        (n,) slide (or patient) of each sample; None leaves the intervals nan.
    draws, seed
        Of the resampling.

    Raises
    ------
    ValueError
        If shapes, labels or probabilities do not fit, or there is no sample.
    """
    probabilities, labels = _checked(probabilities, labels, len(class_names))
    predicted = probabilities.argmax(axis=1)
    right, top = predicted == labels, probabilities.max(axis=1)
    n = len(class_names)

    def statistic(rows: np.ndarray) -> dict[str, float]:
        counts = confusion_counts(labels[rows], predicted[rows], n)
        by_class = of_classes(counts)
        return {
            **of_counts(counts),
            "ece": expected_calibration_error(top[rows], right[rows]),
            **{f"f1 {name}": by_class["f1"][i] for i, name in enumerate(class_names)},
        }

    if clusters is None:
        nan = float("nan")
        found = {k: Interval(v, nan, nan) for k, v in statistic(np.arange(len(labels))).items()}
    else:
        if len(clusters) != len(labels):
            raise ValueError(f"clusters has {len(clusters)} rows, labels {len(labels)}; give one a sample")
        found = clustered_bootstrap_many(statistic, np.asarray(clusters), draws=draws, seed=seed)
    overall = {k: (i.estimate, i.low, i.high) for k, i in found.items() if not k.startswith("f1 ")}
    counts = confusion_counts(labels, predicted, n)
    index = pd.Index(list(class_names), name="class")
    per_class = pd.DataFrame(of_classes(counts), index=index)
    per_class["f1_low"] = [found[f"f1 {name}"].low for name in class_names]
    per_class["f1_high"] = [found[f"f1 {name}"].high for name in class_names]
    per_class["n"], per_class["n_predicted"] = counts.sum(axis=1), counts.sum(axis=0)
    return Report(
        pd.DataFrame.from_dict(overall, orient="index", columns=["value", "low", "high"]).rename_axis(
            "figure"
        ),
        per_class[["precision", "recall", "f1", "f1_low", "f1_high", "n", "n_predicted"]],
        pd.DataFrame(counts, index.rename("truth"), index.rename("predicted")),
    )


def confusion_counts(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return counts, int64 (n_classes, n_classes), truth down, prediction across."""
    codes = np.asarray(truth, np.int64).ravel() * n_classes + np.asarray(predicted, np.int64).ravel()
    return np.bincount(codes, minlength=n_classes**2).reshape(n_classes, n_classes)


def of_classes(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return ``precision``, ``recall``, ``f1`` and ``iou`` of each class, float (classes,).

    The recall, F1 and IoU of a class without samples are nan; precision is 0 for a class that has samples and
    is never predicted. For pixels F1 is the Dice coefficient.
    """
    hit, true, said = np.diag(counts).astype(float), counts.sum(axis=1), counts.sum(axis=0)
    there = true > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": np.where(said > 0, hit / said, np.where(there, 0.0, np.nan)),
            "recall": np.where(there, hit / true, np.nan),
            "f1": np.where(there, 2 * hit / (true + said), np.nan),
            "iou": np.where(there, hit / (true + said - hit), np.nan),
        }


def of_counts(counts: np.ndarray) -> dict[str, float]:
    """Return the figures over all classes by their names in `Report.overall`; nan if nothing is counted."""
    by_class, true = of_classes(counts), counts.sum(axis=1)
    there, total = true > 0, counts.sum()
    out = {"accuracy": np.diag(counts).sum() / total if total else np.nan}
    for kind in ("macro", "weighted"):
        weight = there / max(1, there.sum()) if kind == "macro" else true / max(1, total)
        for name in ("precision", "recall", "f1"):
            out[f"{kind}_{name}"] = (by_class[name][there] * weight[there]).sum() if total else np.nan
    out["kappa_quadratic"] = kappa(counts)
    return {name: float(value) for name, value in out.items()}


def kappa(counts: np.ndarray, *, power: int = 2) -> float:
    """Return Cohen's kappa with weights |i - j| ** power; nan where both sides always say one class.

    Quadratic weights (2) suit ordered classes such as 0, 1+, 2+, 3+; ``power=0`` is the plain kappa.
    """
    place = np.arange(len(counts))
    apart = np.abs(place[:, None] - place[None])
    cost = (apart > 0).astype(float) if power == 0 else apart.astype(float) ** power
    total = counts.sum()
    if not total:
        return float("nan")
    by_chance = (cost * np.outer(counts.sum(axis=1), counts.sum(axis=0))).sum() / total
    return float(1 - (cost * counts).sum() / by_chance) if by_chance else float("nan")


def calibration(probabilities: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> pd.DataFrame:
    """Return one row a bin of confidence that is not empty: ``confidence``, ``accuracy``, ``n``."""
    probabilities, labels = _checked(probabilities, labels, np.shape(probabilities)[1])
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    n, sure, hit = _bins(top, right, bins)
    there = n > 0
    return pd.DataFrame(
        {"confidence": sure[there] / n[there], "accuracy": hit[there] / n[there], "n": n[there]}
    )


def expected_calibration_error(top: np.ndarray, right: np.ndarray, *, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over bins of equal width, weighted by their counts.

    Parameters
    ----------
    top
        (n,) probability of the predicted class.
    right
        bool (n,), whether it is the true class.
    """
    n, sure, hit = _bins(top, right, bins)
    return float(np.abs(sure - hit).sum() / n.sum())


def roc_curves(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return each class against the rest.

    Columns ``class``, ``false_positive_rate``, ``recall``, ``threshold``, ``auc``. Classes without
    samples, or with all of them, are left out.
    """
    from sklearn.metrics import auc, roc_curve

    probabilities, labels = _checked(probabilities, labels, len(class_names))
    parts = []
    for i, name in enumerate(class_names):
        if 0 < (labels == i).sum() < len(labels):
            false, true, at = roc_curve(labels == i, probabilities[:, i])
            columns = {"false_positive_rate": false, "recall": true, "threshold": at, "auc": auc(false, true)}
            parts.append(pd.DataFrame({"class": name, **columns}))
    empty = pd.DataFrame(columns=["class", "false_positive_rate", "recall", "threshold", "auc"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def precision_recall_curves(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return each class against the rest: ``class``, ``recall``, ``precision``, ``average_precision``."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    probabilities, labels = _checked(probabilities, labels, len(class_names))
    parts = []
    for i, name in enumerate(class_names):
        if (labels == i).any():
            precision, recall, _ = precision_recall_curve(labels == i, probabilities[:, i])
            mean = average_precision_score(labels == i, probabilities[:, i])
            columns = {"recall": recall, "precision": precision, "average_precision": mean}
            parts.append(pd.DataFrame({"class": name, **columns}))
    return pd.concat(parts, ignore_index=True)


def mistakes(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return what was wrong, the surest first: ``sample``, ``truth``, ``predicted``, ``probability``."""
    probabilities, labels = _checked(probabilities, labels, len(class_names))
    names, top = np.asarray(class_names), probabilities.max(axis=1)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-top[wrong], kind="stable")]
    return pd.DataFrame(
        {
            "sample": wrong,
            "truth": names[labels[wrong]],
            "predicted": names[predicted[wrong]],
            "probability": top[wrong],
        }
    )


def _bins(top: np.ndarray, right: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    return n, np.bincount(place, top, bins), np.bincount(place, right, bins)


def _checked(probabilities: np.ndarray, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or p.shape != (len(y), n_classes) or not len(y):
        raise ValueError(
            f"probabilities is {p.shape} for {len(y)} labels and {n_classes} classes; give (samples, classes)"
        )
    if not np.allclose(p.sum(axis=1), 1, atol=1e-3) or p.min() < 0:
        raise ValueError("probabilities has rows that do not sum to 1; give softmax outputs, not logits")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= n_classes:
        raise ValueError(f"labels is {y.dtype} up to {y.max()}; give class numbers 0 to {n_classes - 1}")
    return p, y
