"""Which cells to review first: those where a reader's look is expected to gain most.

A look gains where the label is wrong and the reader right, and costs where the label is right and the reader
wrong. Both follow from how probable each class is for the cell, and from how the reader errs. A gain may
count once a label, or more where a class is rare, as macro-averaged F1 counts it.
"""

from dataclasses import dataclass

import numpy as np

VALUES = ("labels", "classes")


def expected_gain(
    given: np.ndarray, posterior: np.ndarray, *, reader: np.ndarray | None = None, value: str = "labels"
) -> np.ndarray:
    """Return the expected gain of a look at each cell, float64 (n,), in right labels, -1..1.

    Parameters
    ----------
    given
        int (n,), the labels.
    posterior
        (n, k), probability of each true class: of `noise.Noise`, `certainty` or `cell_model`. A row of nan
        (nothing is known) counts as all classes alike.
    reader
        (k, k), P(reading | true class); None: a reader who is always right.
    value
        ``labels``: each right label counts 1. ``classes``: a label counts the more the rarer its true class
        is (mean weight 1), as in macro-averaged F1.

    Raises
    ------
    ValueError
        If the shapes do not fit or `value` is none of `VALUES`.
    """
    given, posterior = np.asarray(given, np.int64), np.asarray(posterior, float)
    if posterior.ndim != 2 or len(given) != len(posterior):
        raise ValueError(f"{len(given)} labels for a posterior of {posterior.shape}; give one row a label")
    if value not in VALUES:
        raise ValueError(f"value={value!r}; use one of {', '.join(VALUES)}")
    k = posterior.shape[1]
    right = np.ones(k) if reader is None else np.diag(np.asarray(reader, float))
    if len(right) != k:
        raise ValueError(f"reader knows {len(right)} classes, posterior {k}; give a matrix of {k} x {k}")
    chance = np.where(np.isnan(posterior), 1 / k, posterior)
    weight = np.ones(k)
    if value == "classes" and len(chance):
        weight = 1 / np.maximum(chance.mean(axis=0), 1 / len(chance))
        weight *= 1 / (chance.mean(axis=0) @ weight)
    kept = chance[np.arange(len(given)), given] * weight[given]
    return chance @ (weight * right) - kept


def review_order(gain: np.ndarray) -> np.ndarray:
    """Return the places of the cells, greatest gain first, int64 (n,); ties keep their order."""
    return np.argsort(-np.asarray(gain), kind="stable")


def random_order(n: int, *, seed: int = 0) -> np.ndarray:
    """Return the places of `n` cells in random order, int64 (n,)."""
    return np.random.default_rng(seed).permutation(n)


@dataclass(frozen=True, slots=True)
class Lift:
    """How many wrong labels the first part of an order finds."""

    reviewed: int
    found: int
    """Wrong labels among the reviewed."""
    rate: float
    """Share of wrong labels among all: what a random order finds."""
    lift: float
    """Share of wrong labels among the reviewed over `rate`."""
    attainable: float
    """The greatest lift that any order can have: 1 / max(share reviewed, rate)."""

    @property
    def attained(self) -> float:
        """Share of the attainable lift, 0..1."""
        return self.lift / self.attainable


def lift(order: np.ndarray, wrong: np.ndarray, *, share: float = 0.1) -> Lift:
    """Return how many wrong labels the first `share` of an order finds.

    Raises
    ------
    ValueError
        If no label is wrong, or `share` is not in (0, 1].
    """
    wrong = np.asarray(wrong, bool)
    if not 0 < share <= 1:
        raise ValueError(f"share={share}; give a share of the cells in (0, 1]")
    if not wrong.any():
        raise ValueError("no label is wrong; there is nothing to find")
    n = max(1, round(share * len(wrong)))
    found, rate = int(wrong[order[:n]].sum()), float(wrong.mean())
    return Lift(n, found, rate, found / n / rate, 1 / max(n / len(wrong), rate))
