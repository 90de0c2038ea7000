"""How cells are misread: what a true class is found as, which cells are missed, which are made up.

Measured by matching found cells with planted ones on many slides; a card in ``weights`` holds one matrix a
slide. A slide misreads its cells all in one direction (stain, blur, growth pattern), so a draw takes the
whole matrix of one of those slides. Corrects shares of cells, never a cell.

References
----------
D'Agostini G. Nucl Instrum Methods A 1995;362:487-498 (unfolding by Bayes' rule, stopped early).
"""

import json
from collections.abc import Sequence
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
STEPS = 8
"""Steps of the unfolding: more follow the matrix more closely, and blow up its errors. Chosen by two-fold
cross-validation on the phantoms of the card (`benchmarks.reading`): from 4 on coverage hardly rises."""
BORROWED = 20.0
"""Cells by which each row of a slide leans on the mean of all slides: a slide may hold few of a level."""
_ALIKE = np.logspace(0, 4, 41)  # concentrations asked about


@dataclass(frozen=True, slots=True)
class ReadingError:
    """How each of several slides was read."""

    read_as: np.ndarray
    """float64 (slides, l, l + 1): of the cells of each true level, the share found at each; last: missed."""
    made_up: np.ndarray
    """float64 (slides, l): of all found cells, the share that match no true one, by the level found."""

    def __post_init__(self) -> None:
        shape = self.read_as.shape
        if len(shape) != 3 or shape[2] != shape[1] + 1 or self.made_up.shape != shape[:2] or not shape[0]:
            raise ValueError(
                f"read_as has shape {shape}, made_up {self.made_up.shape}; pass (slides, l, l + 1) and "
                "(slides, l)"
            )
        if np.any(np.abs(self.read_as.sum(axis=2) - 1) > 1e-3):
            raise ValueError(
                "a row of read_as does not sum to 1; pass shares of the cells of each true level"
            )

    @property
    def slides(self) -> int:
        """Slides that it was measured on."""
        return len(self.read_as)

    def corrected(self, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return which true shares may stand behind found ones, each row read as one of the slides was.

        Parameters
        ----------
        shares
            float (draws, l), found shares of each level, rows sum to 1.

        Returns
        -------
        float64 (draws, l), rows sum to 1
        """
        pick = rng.integers(0, self.slides, len(shares))
        rates = self.read_as[pick, :, :-1]
        found = np.maximum(shares - self.made_up[pick], 0) + 1e-9
        found /= found.sum(axis=1, keepdims=True)
        seen, true = np.maximum(rates.sum(axis=2), 1e-9), found
        for _ in range(STEPS):
            expected = np.einsum("dr,drc->dc", true, rates)
            true = true * np.einsum("drc,dc->dr", rates, found / np.maximum(expected, 1e-12)) / seen
            true = true / true.sum(axis=1, keepdims=True)
        return true

    def record(self) -> dict[str, Any]:
        """Return the rates as plain values."""
        return {"read_as": np.round(self.read_as, 4).tolist(), "made_up": np.round(self.made_up, 5).tolist()}


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
    of_level, made_up, found = stack[:, :-1], stack[:, -1, :-1], stack[:, :, :-1].sum(axis=(1, 2))
    total = of_level.sum(axis=0)
    if not total.sum(axis=1).all():
        level = int(np.argmin(total.sum(axis=1)))
        raise ValueError(f"no cell of true level {level} in any slide; add slides that have some")
    rows = of_level + BORROWED * total / total.sum(axis=1, keepdims=True)
    return ReadingError(rows / rows.sum(axis=2, keepdims=True), made_up / np.maximum(found, 1)[:, None])


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
    """Return the concentration with which slides lie around their mean (greatest likelihood)."""
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


@cache
def _card() -> dict[str, ReadingError]:
    path = files("her2kit") / "weights" / CARD
    if not path.is_file():
        return {}
    card = json.loads(path.read_text("utf-8"))
    return {
        name: ReadingError(np.array(rates["read_as"]), np.array(rates["made_up"]))
        for name, rates in card["rates"].items()
    }
