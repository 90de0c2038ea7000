"""How cells are misread: from slides whose cells were matched one by one, how far their shares were off.

A card in ``weights`` holds, for each of many phantoms, the table of planted level against found level, with
cells that were missed or made up. A slide misreads its cells all in one direction (stain, blur, growth
pattern), and slides that look alike are misread alike. So a slide's shares are moved as those of measured
slides with much the same found shares were, each draw by another one. Corrects shares of cells, never a cell.

Unfolding a draw's whole matrix instead (D'Agostini, Nucl Instrum Methods A 1995;362:487) was tried: on the
slides of the card, each left out in turn, it covered 86-91 % of the planted percentages with intervals a
third wider, and its medians were farther off than the shares as found.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from scipy.special import betaincinv, gammaln, stdtrit

from her2kit.scoring.rules import detection_limit

CARD = "reading_error.json"
COARSE_MPP = 0.30
"""Slides above are read with other errors than those below: a 1+ membrane is hardly two pixels wide there."""
ALIKE = 0.7
"""Log odds by which the found shares of two slides that are alike differ (width of a Gaussian)."""
LEAST_ALIKE = 6.0
"""Slides that a correction leans on at least; where fewer are alike, it takes in less similar ones. Both were
chosen on the slides of the card, each left out in turn: from 6 on coverage hardly rises."""
HALF_CELL = 0.0007
"""Share that is added before log odds are taken: half a cell in 700, a slide of the card."""
_CONCENTRATIONS = np.logspace(0, 4, 41)  # asked about


@dataclass(frozen=True, slots=True)
class ReadingError:
    """How each of several slides was read."""

    tables: np.ndarray
    """int64 (slides, l + 1, l + 1): cells by true level (rows) and found level (columns); last row: made up,
    last column: missed."""

    def __post_init__(self) -> None:
        shape = self.tables.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 3 or not shape[0]:
            raise ValueError(f"tables has shape {shape}; pass (slides, l + 1, l + 1) with two levels or more")
        if np.any(self.tables < 0):
            raise ValueError("tables holds a negative count; pass counts of matched cells")
        sums = self.tables[:, :-1].sum(axis=(1, 2)), self.tables[:, :, :-1].sum(axis=(1, 2))
        for what, total in zip(("true", "found"), sums, strict=True):
            if not total.all():
                raise ValueError(f"slide {int(np.argmin(total))} of tables has no {what} cell; leave it out")

    @property
    def slides(self) -> int:
        """Slides that it was measured on."""
        return len(self.tables)

    def corrected(self, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return which true shares may stand behind found ones, each row moved as one of the slides was.

        Parameters
        ----------
        shares
            float (draws, l), found shares of each level, rows sum to 1.

        Returns
        -------
        float64 (draws, l), rows sum to 1

        Notes
        -----
        Moves the log odds of the share from each level on. The moves are spread about their mean by what is
        not known of it and of its spread from so few slides (Student's t, 95 %).
        """
        found, true = self.tables[:, :, :-1].sum(axis=1), self.tables[:, :-1].sum(axis=2)
        seen = _log_odds(found / found.sum(axis=1, keepdims=True))
        moves = _log_odds(true / true.sum(axis=1, keepdims=True)) - seen
        weight, many = self._weights(seen, _log_odds(shares.mean(axis=0)))
        mean = weight @ moves
        wider = stdtrit(max(many - 1, 1.5), 0.975) / 1.96 * np.sqrt(1 + 1 / many)
        move = mean + wider * (moves[rng.choice(self.slides, len(shares), p=weight)] - mean)
        above = (1 + 2 * HALF_CELL) / (1 + np.exp(-_log_odds(shares) - move)) - HALF_CELL
        above = np.clip(np.minimum.accumulate(above, axis=1), 0, 1)
        return -np.diff(above, axis=1, prepend=1.0, append=0.0)

    def _weights(self, seen: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, float]:
        """Return how alike each slide is, sum 1, and how many slides that is worth."""
        far = ((seen - here) ** 2).mean(axis=1)
        far, width = far - far.min(), ALIKE
        while True:
            weight = np.exp(-far / (2 * width**2))
            weight /= weight.sum()
            many = 1 / float(weight @ weight)
            if many >= min(LEAST_ALIKE, 0.8 * self.slides):
                return weight, many
            width *= 1.2

    def record(self) -> list[list[list[int]]]:
        """Return the tables as plain numbers."""
        return self.tables.tolist()


def measure_reading(tables: Sequence[np.ndarray]) -> ReadingError:
    """Return the reading error that matched slides show.

    Parameters
    ----------
    tables
        One int array (l + 1, l + 1) a slide, as in `ReadingError.tables`.

    Raises
    ------
    ValueError
        If there is no slide, or a slide has no cell.
    """
    if not len(tables):
        raise ValueError("tables is empty; pass one table of matched cells a slide")
    return ReadingError(np.asarray(tables, np.int64))


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
    best, value = float(_CONCENTRATIONS[0]), -np.inf
    for a in _CONCENTRATIONS:
        alpha = a * mean
        fit = float(
            (gammaln(a) - gammaln(a + total)).sum() + (gammaln(alpha + counts) - gammaln(alpha)).sum()
        )
        if fit > value:
            best, value = float(a), fit
    return best


def _log_odds(shares: np.ndarray) -> np.ndarray:
    """Return the log odds of the share from each level on, float64 (..., l - 1)."""
    above = shares[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    return np.log((above + HALF_CELL) / (1 - above + HALF_CELL))


@cache
def _card() -> dict[str, ReadingError]:
    path = files("her2kit") / "weights" / CARD
    if not path.is_file():
        return {}
    card = json.loads(path.read_text("utf-8"))
    return {name: ReadingError(np.array(tables, np.int64)) for name, tables in card["tables"].items()}
