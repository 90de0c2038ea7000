"""Intervals for shares and for anything computed from rows that hang together (cells of a slide, slides of a
patient).

Rows of one cluster are drawn together, so that an interval is as wide as the number of clusters makes it, not
the number of rows. Knows no slide and no score.

References
----------
Wilson EB. J Am Stat Assoc 1927;22:209-212. Clopper CJ, Pearson ES. Biometrika 1934;26:404-413.
Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 1987;82:171-185 (BCa).
Field CA, Welsh AH. Bootstrapping clustered data. J R Stat Soc B 2007;69:369-390.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    estimate: float
    """Of all rows; nan where it is not defined."""
    low: float
    high: float
    confidence: float = 0.95
    draws: int = 0
    """Resamples on which the statistic was defined; 0 where no resampling was done."""

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low={self.low:g} is above high={self.high:g}; swap them")


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Return the score interval of a share; `n` may be an effective number, not whole.

    Raises
    ------
    ValueError
        Unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    _check_share(successes, n, confidence)
    from scipy.special import ndtri

    z, p = float(ndtri(0.5 + confidence / 2)), successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)))
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Interval(p, low, high, confidence)


def clopper_pearson(successes: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Return the exact binomial interval of a share, never too narrow; `n` may be an effective number.

    Raises
    ------
    ValueError
        Unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    _check_share(successes, n, confidence)
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(successes / n, low, high, confidence)


def clustered_bootstrap(
    statistic: Callable[[np.ndarray], float],
    clusters: np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = "percentile",
) -> Interval:
    """Return a statistic with the interval that resampling whole clusters gives.

    Parameters
    ----------
    statistic
        Takes int64 row numbers (repeats among them) and returns a number, nan where it is not defined.
    clusters
        (n,), the cluster of each row: a patient, a slide. Any words or numbers.
    draws
        Resamples.
    seed
        The same seed gives the same interval.
    method
        ``percentile``, or ``bca`` (bias-corrected and accelerated, the better one for skewed statistics).

    Returns
    -------
    Interval
        Its ends are nan where fewer than two clusters are there, or half of the draws are not defined.

    Raises
    ------
    ValueError
        If there is no row, or an argument is not usable.
    """
    found = clustered_bootstrap_many(
        lambda rows: {"": statistic(rows)},
        clusters,
        draws=draws,
        seed=seed,
        confidence=confidence,
        method=method,
    )
    return found[""]


def clustered_bootstrap_many(
    statistic: Callable[[np.ndarray], Mapping[str, float]],
    clusters: np.ndarray,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    method: str = "percentile",
) -> dict[str, Interval]:
    """Return several statistics of the same rows, each with its interval, from one set of resamples.

    Takes the arguments of `clustered_bootstrap`; `statistic` returns a number for each name.
    """
    labels = np.asarray(clusters)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"clusters has shape {labels.shape}; pass one label a row, at least one row")
    if draws < 1:
        raise ValueError(f"draws={draws}; pass 1 or more (2000 is usual)")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}; pass a share between 0 and 1, such as 0.95")
    if method not in ("percentile", "bca"):
        raise ValueError(f"method={method!r}; use 'percentile' or 'bca'")
    _, cluster_of = np.unique(labels, return_inverse=True)
    order = np.argsort(cluster_of, kind="stable").astype(np.int64)
    members = np.split(order, np.flatnonzero(np.diff(cluster_of[order])) + 1)
    k, rng = len(members), np.random.default_rng(seed)
    whole = {name: float(value) for name, value in statistic(np.arange(len(labels))).items()}
    if k < 2:
        return {n: Interval(v, float("nan"), float("nan"), confidence) for n, v in whole.items()}
    sampled = [statistic(np.concatenate([members[i] for i in rng.integers(0, k, k)])) for _ in range(draws)]
    left_out: list[Mapping[str, float]] = []
    if method == "bca":
        everyone = np.arange(k)
        left_out = [
            statistic(np.concatenate([members[i] for i in everyone[everyone != j]])) for j in everyone
        ]
    return {
        name: _interval(
            value,
            np.array([float(s[name]) for s in sampled]),
            np.array([float(s[name]) for s in left_out]),
            confidence,
        )
        for name, value in whole.items()
    }


def _interval(estimate: float, values: np.ndarray, left_out: np.ndarray, confidence: float) -> Interval:
    """Return percentiles of the draws; with the jackknife's values, those that BCa chooses."""
    values = values[~np.isnan(values)]
    draws = len(values)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if np.isnan(estimate) or not draws:
        return Interval(estimate, float("nan"), float("nan"), confidence, draws)
    jackknife = left_out[~np.isnan(left_out)]
    if len(jackknife) > 1 and np.ptp(values) > 0:
        from scipy.special import ndtr, ndtri

        below = (np.count_nonzero(values < estimate) + np.count_nonzero(values == estimate) / 2) / draws
        shift = ndtri(np.clip(below, 1 / (2 * draws), 1 - 1 / (2 * draws)))
        gap = jackknife.mean() - jackknife
        size = float((gap**2).sum()) ** 1.5
        bend = float((gap**3).sum()) / (6 * size) if size > 0 else 0.0
        z = shift + ndtri(tails)
        tails = ndtr(shift + z / (1 - bend * z))
    low, high = np.quantile(values, tails)
    return Interval(estimate, float(low), float(high), confidence, draws)


def _check_share(successes: float, n: float, confidence: float) -> None:
    if not n > 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n}; pass 0 <= successes <= n, and n > 0")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}; pass a share between 0 and 1, such as 0.95")
