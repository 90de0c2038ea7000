"""How cells are misread: what a true class is found as, which cells are missed, which are made up.

Measured by matching found cells with planted ones on many slides; a card in ``weights`` holds it. Slides
differ in how they are read, so a slide's own rates are drawn around the mean. Corrects shares, never a cell.

References
----------
Rogan WJ, Gladen B. Am J Epidemiol 1978;107:71-76 (shares from misread counts). Minka TP. Estimating a
Dirichlet distribution, 2000 (how much slides differ).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.special import betaincinv, gammaln

from her2kit.scoring.rules import detection_limit

CARD = "reading_error.json"
COARSE_MPP = 0.30
"""Slides above are read with other errors than those below: a 1+ membrane is hardly two pixels wide there."""
_ALIKE = np.logspace(0, 4, 41)  # Dirichlet concentrations asked about


@dataclass(frozen=True, slots=True)
class ReadingError:
    """Rates of one way of reading, as the mean over slides and how far slides lie from it."""

    read_as: np.ndarray
    """float64 (l, l + 1): of the cells of each true level, the share found at each level; last column:
    missed."""
    read_alike: np.ndarray
    """float64 (l,): Dirichlet concentration of each row; small where slides differ much."""
    made_up: float
    """Share of found cells that match no true one."""
    made_up_as: np.ndarray
    """float64 (l,): the levels of those, sum 1."""
    made_up_alike: float
    """Dirichlet concentration of made-up cells against the others."""
    slides: int
    """Slides that it was measured on."""

    def __post_init__(self) -> None:
        levels = len(self.read_as)
        if self.read_as.shape != (levels, levels + 1) or np.any(np.abs(self.read_as.sum(axis=1) - 1) > 1e-6):
            raise ValueError(
                f"read_as has shape {self.read_as.shape}; pass (l, l + 1), each row summing to 1"
            )

    def corrected(self, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return which true shares may stand behind found ones, with other rates for each row.

        Parameters
        ----------
        shares
            float (draws, l), found shares of each level, rows sum to 1.

        Returns
        -------
        float64 (draws, l), rows sum to 1
        """
        draws, levels = len(shares), self.read_as.shape[0]
        rates = np.stack(
            [_dirichlet(rng, a * m, draws) for m, a in zip(self.read_as, self.read_alike, strict=True)],
            axis=1,
        )
        extra = _dirichlet(
            rng, self.made_up_alike * np.append(self.made_up * self.made_up_as, 1 - self.made_up), draws
        )
        real = np.maximum(shares - extra[:, :levels], 0)
        true = np.linalg.solve(rates[:, :, :levels].transpose(0, 2, 1), real[:, :, None])[:, :, 0]
        true = np.maximum(true, 0)
        return true / true.sum(axis=1, keepdims=True)

    def record(self) -> dict[str, Any]:
        """Return the rates as plain values."""
        return {
            "read_as": np.round(self.read_as, 5).tolist(),
            "read_alike": np.round(self.read_alike, 3).tolist(),
            "made_up": round(self.made_up, 5),
            "made_up_as": np.round(self.made_up_as, 5).tolist(),
            "made_up_alike": round(self.made_up_alike, 3),
            "slides": self.slides,
        }


def measure_reading(tables: Sequence[np.ndarray]) -> ReadingError:
    """Return the rates that matched slides show.

    Parameters
    ----------
    tables
        One int array (l + 1, l + 1) a slide: true level in rows, found level in columns; last row: made-up
        cells, last column: missed cells.

    Raises
    ------
    ValueError
        If there is no slide, or no cell of some level.
    """
    if not len(tables):
        raise ValueError("tables is empty; pass one table of matched cells a slide")
    stack = np.asarray(tables, np.float64)
    levels = stack.shape[1] - 1
    rows, alike = [], []
    for level in range(levels):
        here = stack[:, level, :]
        if not here.sum():
            raise ValueError(f"no cell of true level {level} in any slide; add slides that have some")
        mean = (here.sum(axis=0) + 0.5) / (here.sum() + 0.5 * here.shape[1])
        rows.append(mean)
        alike.append(_concentration(here, mean))
    made_up = stack[:, levels, :levels]
    found = stack[:, :, :levels].sum(axis=1)
    share = float(made_up.sum() / found.sum())
    of_level = (made_up.sum(axis=0) + 0.5) / (made_up.sum() + 0.5 * levels)
    pairs = np.column_stack([made_up, found.sum(axis=1) - made_up.sum(axis=1)])
    concentration = _concentration(pairs, np.append(share * of_level, 1 - share))
    return ReadingError(np.array(rows), np.array(alike), share, of_level, concentration, len(stack))


def shipped_reading_error(
    organ: str, mpp: float | None, *, coarse_mpp: float = COARSE_MPP
) -> ReadingError | None:
    """Return the rates of the shipped card for an organ and a resolution; None without an mpp or a card."""
    if mpp is None:
        return None
    return _card().get(f"{organ}, {'coarse' if mpp > coarse_mpp else 'fine'}")


def negative_limit(slides: Sequence[tuple[int, int]]) -> float:
    """Return the share of stained cells that a slide without any HER2 may show: the limit of detection.

    Parameters
    ----------
    slides
        For each slide known to be negative: cells called stained, and all cells (`any` and `n_cells` of its
        score).

    Returns
    -------
    float in 0..1
        The upper 95 % bound for one more slide: exact binomial for one, beta-binomial for several, so that
        slides that differ raise it. For `Policies.limit_of_detection`.

    Raises
    ------
    ValueError
        If there is no slide, or the numbers cannot be.
    """
    counts = np.array(slides, dtype=np.int64).reshape(-1, 2)
    if not len(counts):
        raise ValueError("slides is empty; pass (stained, cells) of one negative slide at least")
    stained, n = counts.sum(axis=0)
    for one in counts.tolist():
        detection_limit(*one)  # refuses what cannot be
    pooled = detection_limit(int(stained), int(n))
    if len(counts) == 1:
        return pooled
    mean = (stained + 0.5) / (n + 1)
    alike = _concentration(
        np.column_stack([counts[:, 0], counts[:, 1] - counts[:, 0]]), np.array([mean, 1 - mean])
    )
    return max(pooled, float(betaincinv(alike * mean, alike * (1 - mean), 0.95)))


def _concentration(counts: np.ndarray, mean: np.ndarray) -> float:
    """Return the Dirichlet concentration with which slides lie around their mean (greatest likelihood)."""
    counts = counts[counts.sum(axis=1) > 0]
    total = counts.sum(axis=1)
    best, value = float(_ALIKE[0]), -np.inf
    for a in _ALIKE:
        alpha = a * mean
        fit = float(
            (gammaln(a) - gammaln(a + total)).sum() + (gammaln(alpha + counts) - gammaln(alpha)).sum()
        )
        if fit > value:
            best, value = float(a), fit
    return best


def _dirichlet(rng: np.random.Generator, alpha: np.ndarray, draws: int) -> np.ndarray:
    gamma = rng.standard_gamma(np.maximum(alpha, 1e-3), (draws, len(alpha))) + 1e-12
    return gamma / gamma.sum(axis=1, keepdims=True)


@cache
def _card() -> dict[str, ReadingError]:
    path = files("her2kit") / "weights" / CARD
    if not path.is_file():
        return {}
    card = json.loads(path.read_text("utf-8"))
    return {name: _from_record(rates) for name, rates in card["rates"].items()}


def _from_record(rates: Mapping[str, Any]) -> ReadingError:
    read_as = np.array(rates["read_as"])
    return ReadingError(
        read_as / read_as.sum(axis=1, keepdims=True),
        np.array(rates["read_alike"]),
        rates["made_up"],
        np.array(rates["made_up_as"]),
        rates["made_up_alike"],
        rates["slides"],
    )
