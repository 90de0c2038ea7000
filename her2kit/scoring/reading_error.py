"""How cells are misread: from slides whose cells were matched one by one, how far their shares were off.

A card in ``weights`` holds, for each of many phantoms, the table of planted level against found level, with
cells that were missed or made up, and how the slide looks: its shares of cells above many cut-offs. A slide
misreads its cells all in one direction (stain, blur, growth pattern), and slides that look alike are misread
alike. Shares at the cut-offs of the classes alone do not tell: cells that lie just past them are misread,
cells far past them are not. So a Gaussian process over the looks foretells how far a slide's shares are off,
and how well that is known; a slide like no other gets the error of all. Corrects shares of cells, never a
cell.

Tried before: the shares of slides with like shares, moved as theirs were (each slide left out, it called 26 %
of the slides that lie far from every line borderline; the process 10 %), and unfolding a draw's matrix
(D'Agostini, Nucl Instrum Methods A 1995;362:487), which covered 86-91 % with intervals a third wider.

References
----------
Rasmussen CE, Williams CKI. Gaussian Processes for Machine Learning. MIT Press 2006, chapters 2 and 5.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from scipy.special import betaincinv, gammaln

from her2kit.cells.grade import CYTOPLASM_RATIO
from her2kit.scoring.rules import detection_limit

CARD = "reading_error.json"
COARSE_MPP = 0.30
"""Slides above are read with other errors than those below: a 1+ membrane is hardly two pixels wide there."""
LOOK_OD = (0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50, 0.65)
LOOK_SHARE = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
"""Cut-offs of a look: DAB OD of the membrane, and share of the perimeter."""
ALIKE = 0.19
"""Distance of the looks of two slides that are alike: root mean square of angles (`_angle`)."""
OWN, COMMON, OTHER = 0.32, 1.0, 0.7
"""Spread of the error of slides that look unlike, of what all have in common (in angles), and how much of
both the coarse and the fine share."""
NOISE, LEAST_NOISE = 0.08, 0.013
"""Spread by which slides of the same look differ, at a share of a half and at none. All of them have about
the greatest likelihood of the card's slides, each left out in turn (coordinate by coordinate)."""
_CONCENTRATIONS = np.logspace(0, 4, 41)  # asked about


def look_of(cells: pd.DataFrame) -> np.ndarray | None:
    """Return how a slide's stain looks: shares of the cells that are darker and more complete than cut-offs.

    Parameters
    ----------
    cells
        The evaluable cells that count, with `dab_od`, `completeness` and `membrane_ratio`. Those without a
        measured membrane (added by hand) are left out.

    Returns
    -------
    float64 (features,) or None
        None where less than half of the cells were measured: nothing is known of how they are misread.
    """
    od, share = (cells[name].to_numpy(np.float64) for name in ("dab_od", "completeness"))
    known = ~np.isnan(od) & ~np.isnan(share)
    if 2 * known.sum() < max(len(cells), 1):
        return None
    od = np.where(cells["membrane_ratio"].to_numpy(np.float64) < CYTOPLASM_RATIO, 0, od)[known]
    return np.array([np.mean((od >= a) & (share[known] >= b)) for a in LOOK_OD for b in LOOK_SHARE])


@dataclass(frozen=True, slots=True)
class ReadingError:
    """How each of several slides was read."""

    tables: np.ndarray
    """int64 (slides, l + 1, l + 1): cells by true level (rows) and found level (columns); last row: made up,
    last column: missed."""
    looks: np.ndarray
    """float64 (slides, features): `look_of` each."""
    coarse: np.ndarray
    """bool (slides,): coarser than `COARSE_MPP`."""

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
        if self.looks.ndim != 2 or len(self.looks) != shape[0] or self.coarse.shape != shape[:1]:
            raise ValueError(
                f"looks has shape {self.looks.shape}, coarse {self.coarse.shape}; pass one look and one word "
                f"for each of the {shape[0]} slides"
            )

    @property
    def slides(self) -> int:
        """Slides that it was measured on."""
        return len(self.tables)

    def corrected(
        self, shares: np.ndarray, look: np.ndarray, *, coarse: bool, rng: np.random.Generator
    ) -> np.ndarray:
        """Return which true shares may stand behind found ones.

        Parameters
        ----------
        shares
            float (draws, l), found shares of each level, rows sum to 1.
        look
            `look_of` the slide.
        coarse
            Whether it is coarser than `COARSE_MPP`.

        Returns
        -------
        float64 (draws, l), rows sum to 1

        Notes
        -----
        Moves the angle of the share from each level on by the process's mean. The moves are spread by its
        standard deviation times errors that go together as those of the slides, each left out, did. Sums are
        taken without BLAS, whose last bits depend on its threads.
        """
        found, true = self.tables[:, :, :-1].sum(axis=1), self.tables[:, :-1].sum(axis=2)
        seen = _angle(_above(found / found.sum(axis=1, keepdims=True)))
        off = _angle(_above(true / true.sum(axis=1, keepdims=True))) - seen
        above = _angle(_above(shares))
        alike = self._alike(self.looks, self.coarse)
        here = self._alike(look[None], np.array([coarse]))[0]
        mean, spread, missed = (np.empty(n) for n in (off.shape[1], off.shape[1], off.shape))
        for step, here_noise in enumerate(_noise(above.mean(axis=0))):
            inverse = _inverse(alike + np.diag(_noise(seen[:, step]) ** 2))
            weight = (inverse * off[:, step]).sum(axis=1)
            mean[step] = (here * weight).sum()
            left = OWN**2 + COMMON**2 - (here * (inverse * here).sum(axis=1)).sum()
            spread[step] = np.sqrt(max(left, 0) + here_noise**2)
            missed[:, step] = weight / np.sqrt(np.diag(inverse))  # over its own spread, each slide left out
        drawn = rng.standard_normal((len(shares), self.slides))
        errors = np.einsum("ds,sl->dl", drawn, missed, optimize=False) / np.sqrt(self.slides)
        above = np.sin(np.clip(above + mean + spread * errors, 0, np.pi) / 2) ** 2
        above = np.minimum.accumulate(above, axis=1)
        return -np.diff(above, axis=1, prepend=1.0, append=0.0)

    def _alike(self, looks: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        """Return the covariance of the errors of other slides (rows) and of these (columns)."""
        far = ((_angle(looks)[:, None] - _angle(self.looks)) ** 2).mean(axis=2)
        same = np.where(coarse[:, None] == self.coarse, 1.0, OTHER)
        return same * (OWN**2 * np.exp(-far / (2 * ALIKE**2)) + COMMON**2)


def measure_reading(
    tables: Sequence[np.ndarray], looks: Sequence[np.ndarray], coarse: Sequence[bool]
) -> ReadingError:
    """Return the reading error that matched slides show.

    Parameters
    ----------
    tables
        One int array (l + 1, l + 1) a slide, as in `ReadingError.tables`.
    looks, coarse
        `look_of` each slide, and whether it is coarser than `COARSE_MPP`.

    Raises
    ------
    ValueError
        If there is no slide, a slide has no cell, or the lengths differ.
    """
    if not len(tables):
        raise ValueError("tables is empty; pass one table of matched cells a slide")
    return ReadingError(
        np.asarray(tables, np.int64), np.asarray(looks, np.float64), np.asarray(coarse, np.bool_)
    )


def shipped_reading_error(organ: str, mpp: float | None) -> ReadingError | None:
    """Return the shipped card of an organ; None without an mpp or a card."""
    return None if mpp is None else _card().get(organ)


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


def _above(shares: np.ndarray) -> np.ndarray:
    """Return the share from each level on, float64 (..., l - 1)."""
    return shares[..., ::-1].cumsum(axis=-1)[..., -2::-1]


def _angle(shares: np.ndarray) -> np.ndarray:
    """Return angles 0..pi of shares 0..1, whose error by chance is the same everywhere."""
    return 2 * np.arcsin(np.sqrt(np.clip(shares, 0, 1)))


def _noise(angle: np.ndarray) -> np.ndarray:
    """Return by how much slides of the same look differ at an angle."""
    return LEAST_NOISE + NOISE * np.sin(angle)


def _inverse(positive: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite matrix, float64 (n, n), by Gauss and Jordan.

    LAPACK's last bits depend on its threads, and the same slide shall give the same bytes.
    """
    a = positive.astype(np.float64)
    for k in range(len(a)):
        pivot = a[k, k]
        column = a[:, k].copy()
        a[k] /= pivot
        column[k] = 0.0
        a -= column[:, None] * a[k]
        a[:, k] = -column / pivot
        a[k, k] = 1.0 / pivot
    return a


@cache
def _card() -> dict[str, ReadingError]:
    path = files("her2kit") / "weights" / CARD
    if not path.is_file():
        return {}
    card = json.loads(path.read_text("utf-8"))
    return {
        organ: measure_reading([np.array(t) for t in tables], card["looks"], card["coarse"])
        for organ, tables in card["tables"].items()
    }
