"""How far a share of cells may lie from the tumour's own: neighbours are alike, so many cells tell little.

Squares of tissue are laid over the cells. How alike the shares of two squares are, by their distance, gives
the variance of the whole slide's share; what is not known of that (how alike, how far) is averaged over, and
widens the tails. Resampling the squares (block bootstrap) tells how several shares move together. This is the
error of sampling alone: misread cells are `reading_error`'s.

References
----------
Wilson EB. J Am Stat Assoc 1927;22:209-212; for correlated counts Franco C et al. J Surv Stat Methodol
2019;7:334-364. Patterson HD, Thompson R. Biometrika 1971;58:545-554 (restricted likelihood). Kunsch HR.
Ann Stat 1989;17:1217-1241 (block bootstrap). Constants below were chosen on thresholded Gaussian fields;
``benchmarks/cohort.py`` measures the coverage on fields of other kinds too.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

BLOCKS = 100
"""Squares to aim at: enough for the tails of t, few enough to cost milliseconds."""
LEAST_BLOCKS, CELLS_A_BLOCK = 6, 5
"""Fewer squares tell no correlation; squares hold this many cells on average at least."""
INDEPENDENT = 0.7
"""Prior weight of cells that do not depend on their neighbours; the rest is spread over `_TAUS`."""
FARTHEST = 0.25
"""Longest correlation asked about, as a share of the side of all tissue: beyond, a slide is one place."""
FALL = 1.5
"""Correlation is exp(-(distance / length)^FALL): between the exponential and the Gaussian form."""
LEAST_DF, LEAST_EFFECT = 3.0, 0.1
"""Floors: of the degrees of freedom, and of the design effect where stain is laid out more evenly than by
chance."""
_LENGTHS = 10
_MOST_SQUARES = 1_000_000  # laid, empty ones too, over tissue that lies in far corners
_TAUS = np.concatenate([[0.0], np.logspace(-3.5, 0.5, 13)])
"""Variance between places over variance between cells of one place."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Squares of tissue with what depends on their places alone."""

    block_of: np.ndarray
    """int64 (n,): the square of each cell."""
    cells: np.ndarray
    """float64 (k,): cells of each."""
    side_um: float
    lengths_um: np.ndarray
    """float64 (l,): correlation lengths asked about; 0 is one square's own."""
    _spectra: tuple[tuple[np.ndarray, np.ndarray, float], ...]
    """For each length: eigenvalues, eigenvectors, and the mean correlation of two cells."""


@dataclass(frozen=True, slots=True)
class ShareError:
    """What is known of one share."""

    share: float
    n: int
    weights: np.ndarray
    """float64 (m,), sum 1: the plausible models."""
    effects: np.ndarray
    """float64 (m,): their design effects, the variance over that of independent cells, at `measured_at`."""
    measured_at: float
    """The share, within 0..1, at which the design effects hold."""
    df: float
    """Degrees of freedom of the t distribution."""
    length_um: float
    """Mean correlation length; 0 where cells do not depend on their neighbours."""

    @property
    def design_effect(self) -> float:
        """Cells per cell that counts as independent, >= about 1."""
        return float(self.weights @ self.effects)

    def below(self, x: np.ndarray) -> np.ndarray:
        """Return the confidence, 0..1, that the tumour's share is below each x in (0, 1); rising in x."""
        x = np.clip(np.asarray(x, np.float64), 1e-12, 1 - 1e-12)
        spread = x * (1 - x)
        # what places differ by grows faster with the share than chance does: rare stain comes in few patches
        growth = np.sqrt(spread / (self.measured_at * (1 - self.measured_at)))
        effects = self.effects[:, None]
        variance = spread / self.n * (np.minimum(effects, 1) + np.maximum(effects - 1, 0) * growth)
        t = (x - self.share) / np.sqrt(variance)
        return np.maximum.accumulate(self.weights @ stdtr(self.df, t))

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Return the shares below which the tumour's lies with each confidence."""
        x = self._grid()
        confidence = self.below(x)
        return np.interp(levels, confidence, x, left=0.0, right=1.0)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval, 0..1."""
        tail = (1 - confidence) / 2
        low, high = self.quantiles(np.array([tail, 1 - tail]))
        return (0.0 if self.share == 0 else float(low)), (1.0 if self.share == 1 else float(high))

    def _grid(self) -> np.ndarray:
        steps = np.geomspace(1e-7, 1, 400)
        down, up = self.share - self.share * steps, self.share + (1 - self.share) * steps
        return np.unique(np.clip(np.concatenate([down, [self.share], up]), 1e-9, 1 - 1e-9))


def lay_blocks(xy_um: np.ndarray, *, blocks: int = BLOCKS) -> Blocks | None:
    """Lay about so many squares over the cells.

    Parameters
    ----------
    xy_um
        float (n, 2), centres in micrometres.

    Returns
    -------
    Blocks or None
        None where the cells are too few, or lie too close, for `LEAST_BLOCKS` squares.
    """
    aim = min(blocks, len(xy_um) // CELLS_A_BLOCK)
    if aim < LEAST_BLOCKS:
        return None
    low = xy_um.min(axis=0)
    side = float(np.ptp(xy_um, axis=0).max()) / np.sqrt(aim)
    if side <= 0:
        return None
    for _ in range(12):
        place = np.floor((xy_um - low) / side).astype(np.int64)
        wide = int(place[:, 0].max()) + 1
        square = place[:, 1] * wide + place[:, 0]
        held = np.bincount(square)
        k = int(np.count_nonzero(held))
        if 0.8 * aim <= k <= 1.1 * aim or (k < aim and len(held) > _MOST_SQUARES):
            break
        side *= min(max(np.sqrt(k / aim), 0.5), 2.0)
    if k < LEAST_BLOCKS:
        return None
    places = np.flatnonzero(held)
    block_of = (np.cumsum(held > 0) - 1)[square]
    cells = held[places].astype(np.float64)
    centre = np.column_stack([places % wide, places // wide]) * side
    distance = np.linalg.norm(centre[:, None] - centre[None], axis=2)
    longest = max(FARTHEST * side * np.sqrt(k), side)
    lengths = np.concatenate([[0.0], np.geomspace(side / 2, longest, _LENGTHS)])
    root, weight, spectra = np.sqrt(cells), cells / cells.sum(), []
    for length in lengths:
        alike = np.eye(k) if length == 0 else np.exp(-((distance / length) ** FALL))
        values, vectors = np.linalg.eigh(root[:, None] * alike * root)
        spectra.append((np.maximum(values, 0), vectors, float(weight @ alike @ weight)))
    return Blocks(block_of, cells, side, lengths, tuple(spectra))


def share_error(stained: np.ndarray, blocks: Blocks | None, *, like: ShareError | None = None) -> ShareError:
    """Return what the cells tell of the tumour's share.

    Parameters
    ----------
    stained
        bool (n,): the cells that have it.
    blocks
        From `lay_blocks`; None takes the cells as independent of each other.
    like
        Where no cell or every cell has it, nothing tells how alike neighbours are: taken from this share.
    """
    n, count = len(stained), int(np.count_nonzero(stained))
    p = count / n
    if blocks is None:
        return ShareError(p, n, np.ones(1), np.ones(1), 0.5, np.inf, 0.0)
    k = len(blocks.cells)
    if count in (0, n):
        if like is None:
            return ShareError(p, n, np.ones(1), np.ones(1), 0.5, k - 1, 0.0)
        return replace(like, share=p, n=n)
    root = np.sqrt(blocks.cells)
    counts = np.bincount(blocks.block_of, stained, k)
    log_weight, effect = [], []
    for values, vectors, mean_alike in blocks._spectra:
        one, y = vectors.T @ root, vectors.T @ (counts / root)
        spread = 1 + _TAUS[:, None] * values
        one_one, one_y, y_y = (one * one / spread).sum(1), (one * y / spread).sum(1), (y * y / spread).sum(1)
        left = np.maximum(y_y - one_y**2 / one_one, 1e-300)
        log_weight.append(-(np.log(spread).sum(1) + np.log(one_one) + (k - 1) * np.log(left)) / 2)
        found = left / (k - 1) * (1 / n + _TAUS * mean_alike) / (p * (1 - p) / n)
        effect.append(np.maximum(found, LEAST_EFFECT))
    weight = np.exp(np.array(log_weight) - np.max(log_weight))
    weight[:, 0] *= INDEPENDENT / (1 - INDEPENDENT) * (len(_TAUS) - 1)
    weight /= weight.sum()
    length = float(weight[:, 1:].sum(1) @ blocks.lengths_um)
    # few squares that hold most of the stain tell less of the variance than their number (Satterthwaite)
    off = (counts - p * blocks.cells) / root
    peaked = k * float((off**4).sum()) / max(float((off**2).sum()) ** 2, 1e-300)
    df = min(k - 1.0, max(LEAST_DF, 2 * k / max(peaked - 1, 1e-9)))
    weights, effects = _merged(weight.ravel(), np.array(effect).ravel())
    return ShareError(p, n, weights, effects, p, df, length)


def resampled(
    levels: np.ndarray, n_levels: int, blocks: Blocks | None, *, draws: int, seed: int
) -> np.ndarray:
    """Return the cells of each level in block-bootstrap resamples.

    Parameters
    ----------
    levels
        int (n,), 0..n_levels - 1.

    Returns
    -------
    float64 (draws, n_levels): shares, each row sums to 1
    """
    rng = np.random.default_rng(seed)
    if blocks is None:
        counts = np.bincount(levels, minlength=n_levels)
        return rng.multinomial(len(levels), counts / len(levels), draws) / len(levels)
    k = len(blocks.cells)
    table = np.bincount(blocks.block_of * n_levels + levels, minlength=k * n_levels).reshape(k, n_levels)
    sums = rng.multinomial(k, np.full(k, 1 / k), draws) @ table
    return sums / sums.sum(axis=1, keepdims=True)


def _merged(weights: np.ndarray, effects: np.ndarray, bins: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return few models in place of many whose design effects are alike."""
    keep = weights > 1e-6
    weights, effects = weights[keep], effects[keep]
    edges = np.geomspace(effects.min() * (1 - 1e-9), effects.max() * (1 + 1e-9), bins + 1)
    place = np.clip(np.searchsorted(edges, effects) - 1, 0, bins - 1)
    total = np.bincount(place, weights, bins)
    mean = np.bincount(place, weights * effects, bins)[total > 0] / total[total > 0]
    return total[total > 0] / weights.sum(), mean
