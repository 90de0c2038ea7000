"""How well readings agree: kappas, alpha, ICC, shares, limits of agreement, with intervals by patient.

Closed formulas in NumPy: this room is part of the core, which has neither scikit-learn nor statsmodels. The
tests hold them against the worked examples of the papers below, and against scikit-learn. Readings are codes
0..k-1 in the order of the categories, nan where a slide was not read. Says nothing about who is right.

References
----------
Cohen J. Psychol Bull 1968;70:213-220 (weighted kappa). Fleiss JL. Psychol Bull 1971;76:378-382.
Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428 (ICC). Krippendorff K. Content Analysis, 2004, ch. 11.
Bland JM, Altman DG. Lancet 1986;327:307-310. Cicchetti DV, Feinstein AR. J Clin Epidemiol 1990;43:551-558
(positive and negative agreement). Rao JNK, Scott AJ. Biometrics 1992;48:577-585 (shares in clusters).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.scoring.readings import SCORES
from her2kit.statistics import Interval, clustered_bootstrap_many, wilson

WEIGHTS = (None, "linear", "quadratic")
LEVELS = ("nominal", "ordinal", "interval")


def codes(scores: Sequence[str | None] | pd.Series, *, categories: Sequence[str] = SCORES) -> np.ndarray:
    """Return the place of each score among the categories, float64 (n,), nan where there is none.

    Raises
    ------
    ValueError
        If a score is not among the categories.
    """
    values = pd.Series(scores, dtype=object)
    found = values.map({c: float(i) for i, c in enumerate(categories)})
    strange = values[found.isna() & values.notna()]
    if len(strange):
        raise ValueError(f"score {strange.iloc[0]!r} is not known; use {', '.join(categories)}")
    return found.to_numpy(np.float64)


def confusion(first: np.ndarray, second: np.ndarray, *, k: int = len(SCORES)) -> np.ndarray:
    """Count pairs of codes, int64 (k, k): rows by the first reading, columns by the second.

    Pairs of which one is nan do not count.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    if len(a) and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= k):
        raise ValueError(f"codes reach beyond 0..{k - 1}; pass k=, the number of categories")
    return np.bincount(a * k + b, minlength=k * k).reshape(k, k)


def kappa(matrix: np.ndarray, *, weights: str | None = None) -> float:
    """Return Cohen's kappa of a confusion matrix, weighted by distance or its square; nan if undefined.

    It is not defined without pairs, and where both readers know one and the same category.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights={weights!r}; use None, 'linear' or 'quadratic'")
    n, k = matrix.sum(), len(matrix)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    cost = (apart > 0).astype(np.float64) if weights is None else apart ** (1 + (weights == "quadratic"))
    if not n:
        return math.nan
    expected = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / n
    by_chance = float((cost * expected).sum())
    return 1 - float((cost * matrix).sum()) / by_chance if by_chance else math.nan


def fleiss_kappa(ratings: np.ndarray, *, k: int = len(SCORES)) -> float:
    """Return Fleiss' kappa of (n, readers) codes, over the slides that all readers read; nan if undefined."""
    whole = ratings[~np.isnan(ratings).any(axis=1)].astype(np.int64)
    n, readers = whole.shape
    if not n or readers < 2:
        return math.nan
    counts = (whole[:, :, None] == np.arange(k)).sum(axis=1)
    seen = ((counts**2).sum(axis=1) - readers) / (readers * (readers - 1))
    by_chance = float(((counts.sum(axis=0) / (n * readers)) ** 2).sum())
    return (float(seen.mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def krippendorff_alpha(ratings: np.ndarray, *, level: str = "ordinal", k: int = len(SCORES)) -> float:
    """Return Krippendorff's alpha of (n, readers) codes; slides that some left out count too; nan if
    undefined.
    """
    if level not in LEVELS:
        raise ValueError(f"level={level!r}; use one of {', '.join(LEVELS)}")
    counts = (ratings[:, :, None] == np.arange(k)).sum(axis=1).astype(np.float64)
    readers = counts.sum(axis=1)
    counts, readers = counts[readers > 1], readers[readers > 1]
    if not len(counts):
        return math.nan
    pairs = np.einsum("ij,ik->ijk", counts, counts)
    pairs[:, np.arange(k), np.arange(k)] -= counts
    coincidence = (pairs / (readers - 1)[:, None, None]).sum(axis=0)
    total = coincidence.sum(axis=0)
    if level == "ordinal":
        middle = np.cumsum(total) - total / 2
        cost = np.subtract.outer(middle, middle) ** 2
    else:
        apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
        cost = apart**2 if level == "interval" else (apart > 0).astype(np.float64)
    by_chance = float((cost * np.outer(total, total)).sum()) / (total.sum() - 1)
    return 1 - float((cost * coincidence).sum()) / by_chance if by_chance else math.nan


def icc(values: np.ndarray, *, kind: str = "agreement") -> float:
    """Return the intraclass correlation of one reading, of (n, readers) numbers; nan if undefined.

    Parameters
    ----------
    values
        Rows with a nan are left out.
    kind
        ``agreement`` is ICC(2,1): a reader who is always higher lowers it. ``consistency`` is ICC(3,1).
    """
    if kind not in ("agreement", "consistency"):
        raise ValueError(f"kind={kind!r}; use 'agreement' or 'consistency'")
    x = values[~np.isnan(values).any(axis=1)]
    n, k = x.shape
    if n < 2 or k < 2:
        return math.nan
    rows, columns, mean = x.mean(axis=1), x.mean(axis=0), x.mean()
    between = k * ((rows - mean) ** 2).sum() / (n - 1)
    readers = n * ((columns - mean) ** 2).sum() / (k - 1)
    rest = ((x - rows[:, None] - columns + mean) ** 2).sum() / ((n - 1) * (k - 1))
    below = between + (k - 1) * rest + (k * (readers - rest) / n if kind == "agreement" else 0.0)
    return float((between - rest) / below) if below else math.nan


@dataclass(frozen=True, slots=True)
class Limits:
    """Bland and Altman's limits of agreement: second minus first."""

    bias: float
    sd: float
    low: float
    high: float
    n: int


def limits_of_agreement(first: np.ndarray, second: np.ndarray) -> Limits:
    """Return the mean difference, second minus first, and the limits that hold 95 % of differences.

    Raises
    ------
    ValueError
        If fewer than two pairs are there.
    """
    apart = (second - first)[~(np.isnan(first) | np.isnan(second))]
    if len(apart) < 2:
        raise ValueError(f"{len(apart)} pairs; limits of agreement need two or more")
    bias, sd = float(apart.mean()), float(apart.std(ddof=1))
    return Limits(bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, len(apart))


def share(right: np.ndarray, clusters: np.ndarray, *, confidence: float = 0.95) -> Interval:
    """Return a share of rows with Wilson's interval at the effective number of rows.

    Rows of one patient hang together, so they count as fewer (Rao and Scott); where all rows are alike
    nothing tells how much, and each patient counts once. The bootstrap would call such a share certain.

    Parameters
    ----------
    right
        bool (n,).
    clusters
        (n,), the patient of each row.
    """
    n = len(right)
    if not n:
        return Interval(math.nan, math.nan, math.nan, confidence)
    _, of = np.unique(clusters, return_inverse=True)
    size, yes = np.bincount(of), np.bincount(of, weights=right.astype(np.float64))
    p, patients = float(right.mean()), len(size)
    effective = float(patients)
    if 0 < p < 1 and 1 < patients < n:
        variance = patients / (patients - 1) * float(((yes - p * size) ** 2).sum()) / n**2
        effective = min(float(n), p * (1 - p) / variance) if variance > 0 else float(n)
    return wilson(p * effective, effective, confidence=confidence)


def compare(
    first: np.ndarray, second: np.ndarray, clusters: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Return how two columns of codes agree.

    Parameters
    ----------
    first, second
        Codes (n,); the first is the reference of positive and negative agreement.
    clusters
        (n,), the patient of each slide.
    draws, seed
        Of the bootstrap that gives the kappas' intervals.

    Returns
    -------
    dict
        ``agreement`` and ``within one`` (shares of slides), ``kappa linear``, ``kappa quadratic``, and for
        each cut such as ``2+/3+`` the shares ``positive 2+/3+`` (called so by the second where the first did)
        and ``negative 2+/3+`` (likewise not called so).
    """
    both = ~(np.isnan(first) | np.isnan(second))
    a, b, who = first[both], second[both], np.asarray(clusters)[both]
    found = {"agreement": share(a == b, who), "within one": share(np.abs(a - b) <= 1, who)}
    if len(a) and (a == b).all():  # resampling finds no difference either, which is no certainty
        found |= {n: Interval(v, math.nan, math.nan) for n, v in _kappas(a, b).items()}
    elif len(a):
        found |= clustered_bootstrap_many(lambda rows: _kappas(a[rows], b[rows]), who, draws=draws, seed=seed)
    else:
        found |= {f"kappa {w}": Interval(math.nan, math.nan, math.nan) for w in WEIGHTS[1:]}
    for cut in range(1, len(SCORES)):
        name = "/".join(SCORES[cut:])
        found[f"positive {name}"] = share((b >= cut)[a >= cut], who[a >= cut])
        found[f"negative {name}"] = share((b < cut)[a < cut], who[a < cut])
    return found


def _kappas(a: np.ndarray, b: np.ndarray) -> Mapping[str, float]:
    matrix = confusion(a, b)
    return {f"kappa {w}": kappa(matrix, weights=w) for w in ("linear", "quadratic")}


def majority(ratings: np.ndarray, *, k: int = len(SCORES)) -> np.ndarray:
    """Return the code that more than half of a slide's readers gave, float64 (n,), nan where none did."""
    counts = (ratings[:, :, None] == np.arange(k)).sum(axis=1)
    found = counts.argmax(axis=1).astype(np.float64)
    found[2 * counts.max(axis=1, initial=0) <= counts.sum(axis=1)] = math.nan
    return found
