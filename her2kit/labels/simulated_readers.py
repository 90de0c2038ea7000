"""Readers whose errors are stated, to ask what a review would gain before anybody sits down to read.

A simulated reader sees the true class and names a class with the probabilities of an error matrix. Labels are
replaced by readings in some order; after each portion the labels are held against the truth, and a small
model is trained on them and tested on other slides. Nothing here stands for a real reader's attention, speed
or fatigue.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.labels.cell_model import cell_model

Score = Callable[[np.ndarray], float]
"""Takes labels, int (n,), gives a figure such as the F1 of what is trained on them."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who errs in a stated way."""

    name: str
    matrix: np.ndarray
    """float64 (k, k), rows the true class, columns the reading: rows sum to 1."""

    def __post_init__(self) -> None:
        m = np.asarray(self.matrix, float)
        if m.ndim != 2 or m.shape[0] != m.shape[1] or (m < 0).any() or not np.allclose(m.sum(axis=1), 1):
            raise ValueError(f"matrix of reader {self.name!r} is no square of shares whose rows sum to 1")

    def read(self, truth: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """Return this reader's readings of cells of known class, int64 (n,); the same seed, the same ones."""
        u = np.random.default_rng(seed).random(len(truth))
        edges = np.asarray(self.matrix, float).cumsum(axis=1)[np.asarray(truth, int)]
        return np.minimum((u[:, None] > edges).sum(axis=1), len(self.matrix) - 1)


def neighbour_reader(name: str, right: float, *, k: int = 4) -> Reader:
    """Return a reader who is right with the probability `right` and otherwise one class off.

    Raises
    ------
    ValueError
        If `right` is not in 0..1.
    """
    if not 0 <= right <= 1:
        raise ValueError(f"right={right}; give a probability from 0 to 1")
    matrix = np.diag(np.full(k, float(right)))
    for row in range(k):
        beside = [j for j in (row - 1, row + 1) if 0 <= j < k]
        matrix[row, beside] = (1 - right) / len(beside)
    return Reader(name, matrix)


def reviewed(given: np.ndarray, readings: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Return the labels after the first `n` cells of an order were read, int64 (n,)."""
    out = np.array(given, np.int64)
    out[order[:n]] = readings[order[:n]]
    return out


def review_curve(
    given: np.ndarray,
    truth: np.ndarray,
    orders: Mapping[str, np.ndarray],
    reader: Reader,
    *,
    portions: Sequence[int],
    scores: Mapping[str, Score],
    seed: int = 0,
) -> pd.DataFrame:
    """Return what a review gains, portion by portion, for each order.

    Parameters
    ----------
    given, truth
        int (n,), labels before the review and true classes.
    orders
        Name to an order of all cells (`ranking`).
    reader
        Who reads; a cell gets the same reading whenever it is read.
    portions
        How many cells have been read at each step; 0 is the state before.
    scores
        Name to a figure of the labels, as `label_f1` and `model_f1` make them.

    Returns
    -------
    DataFrame
        One row an order and portion: ``order``, ``reviewed``, each score by its name, and for each score
        ``<name>_gain`` over the labels before and ``<name>_per_1000`` reviewed cells (nan at 0).
    """
    readings = reader.read(truth, seed=seed)
    before = {name: score(np.asarray(given, np.int64)) for name, score in scores.items()}
    rows = []
    for order_name, order in orders.items():
        for n in portions:
            labels = reviewed(given, readings, order, n)
            row: dict[str, object] = {"order": order_name, "reviewed": int(n)}
            for name, score in scores.items():
                value = before[name] if n == 0 else score(labels)
                gain = value - before[name]
                row |= {
                    name: value,
                    f"{name}_gain": gain,
                    f"{name}_per_1000": 1000 * gain / n if n else np.nan,
                }
            rows.append(row)
    return pd.DataFrame(rows)


def label_f1(truth: np.ndarray) -> Score:
    """Return a score: macro-averaged F1 of labels against the truth."""
    return lambda labels: _macro_f1(truth, labels)


def model_f1(
    features: np.ndarray,
    test_features: np.ndarray,
    test_truth: np.ndarray,
    *,
    seed: int = 0,
    trees: int = 100,
) -> Score:
    """Return a score: macro-averaged F1, on cells of other slides, of a small model trained on the labels."""

    def score(labels: np.ndarray) -> float:
        model = cell_model(seed=seed, trees=trees).fit(features, labels)
        return _macro_f1(test_truth, model.predict(test_features))

    return score


def _macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, said, average="macro", labels=np.unique(truth), zero_division=0.0))
