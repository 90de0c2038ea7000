"""How often a label is wrong, and for what: the matrix of P(label given | true class), estimated.

Three estimates, from least to most knowledge. `confident_learning` (cleanlab) needs out-of-fold
probabilities alone; where classes overlap, as 1+ and 2+ do, it takes the overlap for noise. `from_anchors`
needs the same and not more than that noise depends on the class alone: the cells that a model is surest of
show how their class is labelled. Neither holds where one patch's labels are wrong in another way than the
next one's, as in labels made of patch labels: there a cell that looks 1+ is called 2+ by all its neighbours,
and no model of these labels can know better. `with_review` takes the readings of some cells drawn at random
and holds whatever the noise is; probabilities make the draw count for more.

References
----------
Northcutt CG, Jiang L, Chuang IL. Confident learning. J Artif Intell Res 2021;70:1373-1411. Patrini G et al.
Making deep neural networks robust to label noise. CVPR 2017 (anchors). Dawid AP, Skene AM. Appl Stat
1979;28:20-28 (EM with unknown noise). Angelopoulos AN et al. Prediction-powered inference. Science
2023;382:669-674 (a model's opinion of all, corrected by readings of some).
"""

from dataclasses import dataclass

import numpy as np

_STEPS, _STILL = 500, 1e-7
_START = 0.8
"""Share of right labels that the EM begins with."""
_LEAST = 1e-4
"""Least probability of a class: a forest's 0 means "not among the trees", not "never"."""
ANCHORS = 0.1
"""Share of the cells that show how a class is labelled."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What is known of the noise of a set of labels."""

    matrix: np.ndarray
    """float64 (k, k), rows the true class, columns the label: rows sum to 1."""
    shares: np.ndarray
    """float64 (k,), share of each true class."""
    posterior: np.ndarray
    """float64 (n, k), probability of each true class for each cell, its label considered."""
    method: str

    @property
    def rate(self) -> float:
        """Share of the labels that are wrong, 0..1."""
        return float(1 - self.shares @ np.diag(self.matrix))


def noise_matrix(truth: np.ndarray, given: np.ndarray, *, k: int = 4) -> np.ndarray:
    """Return P(given | truth), float64 (k, k), where both are known; nan rows for classes without a cell."""
    counts = np.bincount(np.asarray(truth) * k + np.asarray(given), minlength=k * k).reshape(k, k)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def plant_noise(truth: np.ndarray, matrix: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return labels drawn from a noise matrix, int64 (n,): by class, blind to what the cell looks like.

    Raises
    ------
    ValueError
        If a row of the matrix is negative or does not sum to 1.
    """
    matrix = np.asarray(matrix, float)
    if (matrix < 0).any() or not np.allclose(matrix.sum(axis=1), 1):
        raise ValueError("matrix has a negative entry or a row that does not sum to 1; give shares of labels")
    u = np.random.default_rng(seed).random(len(truth))
    return np.minimum((u[:, None] > matrix.cumsum(axis=1)[truth]).sum(axis=1), len(matrix) - 1)


def confident_learning(given: np.ndarray, probabilities: np.ndarray) -> Noise:
    """Estimate the noise as cleanlab does.

    Parameters
    ----------
    given
        int (n,), the labels.
    probabilities
        (n, k), of a model of these labels that has not seen the cell (`cell_model.out_of_fold`).

    Raises
    ------
    ValueError
        If the shapes do not fit or a class has no label.
    """
    from cleanlab.count import compute_confident_joint, estimate_latent

    given, probabilities = _checked(given, probabilities)
    joint = compute_confident_joint(given, probabilities)
    shares, matrix, _ = estimate_latent(joint, given)
    return Noise(matrix.T, shares, probabilities, "confident learning")


def from_anchors(given: np.ndarray, probabilities: np.ndarray, *, share: float = ANCHORS) -> Noise:
    """Estimate noise that depends on the class alone, from the cells that the model is surest of.

    Parameters
    ----------
    given, probabilities
        As in `confident_learning`.
    share
        Of all cells that stand for each class.

    Raises
    ------
    ValueError
        As `confident_learning`, or if the anchors of two classes are labelled alike.
    """
    given, probabilities = _checked(given, probabilities)
    n = max(1, round(share * len(given)))
    first = np.array(
        [probabilities[np.argsort(-column, kind="stable")[:n]].mean(axis=0) for column in probabilities.T]
    )
    if np.linalg.cond(first) > 1e3:
        raise ValueError(
            "the surest cells of two classes are labelled alike: these labels cannot tell them apart"
        )
    opinion = _shares(probabilities @ np.linalg.inv(first))
    posterior, shares = _expectation_maximisation(given, opinion, opinion.mean(axis=0))
    return Noise(_matrix(posterior, given), shares, posterior, "anchors")


def with_review(
    given: np.ndarray,
    probabilities: np.ndarray,
    rows: np.ndarray,
    readings: np.ndarray,
    *,
    reader: np.ndarray | None = None,
) -> Noise:
    """Estimate the noise from cells that somebody read, drawn at random; the noise may be of any kind.

    What the probabilities say of all cells with a label is corrected by how far they were off where somebody
    looked. The reader's own errors go into the estimate, unless they are known.

    Parameters
    ----------
    given
        int (n,), the labels.
    probabilities
        (n, k), of each true class, from any source; better ones make the estimate sharper, bad ones do not
        make it wrong. A row of nan (nothing is known) counts as all classes alike.
    rows
        int (m,), places of the cells that were read: drawn blindly, not those that look wrong.
    readings
        int (m,), what was read.
    reader
        (k, k), P(reading | true class) where it is known; its errors are then taken out, at the cost of a
        wider spread. None: readings are taken as true.

    Raises
    ------
    ValueError
        If the shapes do not fit, no cell was read, or the reader tells two classes apart by chance alone.
    """
    filled = np.asarray(probabilities, float)
    filled = np.where(np.isnan(filled), 1 / filled.shape[-1], filled)
    given, opinion = _checked(given, filled, every_class=False)
    rows, readings = np.asarray(rows, np.int64), np.asarray(readings, np.int64)
    if len(rows) != len(readings) or not len(rows):
        raise ValueError(
            f"{len(rows)} rows and {len(readings)} readings; give one reading a row, one or more"
        )
    k = opinion.shape[1]
    joint = np.zeros((k, k))
    read = np.eye(k)[readings]
    if reader is not None:  # E[e_reading | t] = R[t], so e_reading R^-1 is e_t in the mean
        known = np.asarray(reader, float)
        if known.shape != (k, k) or np.linalg.cond(known) > 1e3:
            raise ValueError(f"reader is {known.shape}; give a matrix of {k} x {k} that tells classes apart")
        read = read @ np.linalg.inv(known)
    for label in np.unique(given):
        of_label = given[rows] == label
        share = opinion[given == label].mean(axis=0)
        if of_label.any():
            share = share + (read[of_label] - opinion[rows[of_label]]).mean(axis=0)
        joint[:, label] = np.maximum(share, 0) / np.maximum(share, 0).sum() * np.mean(given == label)
    shares = joint.sum(axis=1)
    return Noise(joint / np.maximum(shares[:, None], 1e-12), shares, opinion, "review")


def _expectation_maximisation(
    given: np.ndarray, opinion: np.ndarray, before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return posterior (n, k) and shares (k,): of the likeliest noise, label and opinion independent."""
    k = opinion.shape[1]
    likelihood = opinion / before
    shares = before / before.sum()
    matrix = np.full((k, k), (1 - _START) / (k - 1))
    np.fill_diagonal(matrix, _START)
    posterior = opinion
    for _ in range(_STEPS):
        posterior = likelihood * shares * matrix[:, given].T
        posterior = posterior / posterior.sum(axis=1, keepdims=True)
        last, shares = shares, posterior.mean(axis=0)
        old, matrix = matrix, _matrix(posterior, given)
        if np.abs(shares - last).max() < _STILL and np.abs(matrix - old).max() < _STILL:
            break
    return posterior, shares


def _matrix(posterior: np.ndarray, given: np.ndarray) -> np.ndarray:
    k = posterior.shape[1]
    weight = np.stack([posterior[given == j].sum(axis=0) for j in range(k)], axis=1)
    return weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)


def _shares(values: np.ndarray) -> np.ndarray:
    held = np.maximum(values, _LEAST)
    return held / held.sum(axis=1, keepdims=True)


def _checked(
    given: np.ndarray, probabilities: np.ndarray, *, every_class: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    given, probabilities = np.asarray(given, np.int64), np.asarray(probabilities, float)
    if probabilities.ndim != 2 or len(given) != len(probabilities) or not len(given):
        raise ValueError(
            f"{len(given)} labels for probabilities of {probabilities.shape}; give one row a label"
        )
    k = probabilities.shape[1]
    if given.min() < 0 or given.max() >= k:
        raise ValueError(f"given reaches from {given.min()} to {given.max()}; classes are 0 to {k - 1}")
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-6):
        raise ValueError("probabilities has rows that do not sum to 1; leave out cells without an opinion")
    absent = np.setdiff1d(np.arange(k), given)
    if every_class and len(absent):
        raise ValueError(
            f"no label is of class {absent[0]}; leave that class out, or label some cells with it"
        )
    return given, probabilities
