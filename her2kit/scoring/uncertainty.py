"""How sure a score is: P(score), intervals, distance to each line, what would settle it, what would flip it.

Two questions. Is this *slide* scored right? All its cells are there, but they may be misread
(`reading_error`), and few cells tell little. And what is the *tumour's* score, of which the slide is a
sample? There, stain in patches makes many cells tell little too (`spatial_error`). Shares are drawn with
these errors, and the guideline's own rules score every draw. Not counted: another antibody, batch or scanner,
a wrong tumour region.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES, GradeSource
from her2kit.scoring.borderline import (
    BORDERLINE,
    CLASS_STEPS,
    CONFIDENCE,
    deciding_line,
    first_step,
    flip,
    in_words,
    intervals,
    line_of,
    lines_of,
)
from her2kit.scoring.counts import INTENSITY_WEIGHT, chain_levels, counted, evaluable
from her2kit.scoring.guideline import Guideline, Policies, guideline_of
from her2kit.scoring.reading_error import COARSE_MPP, ReadingError, look_of
from her2kit.scoring.spatial_error import Blocks, ShareError, lay_blocks, resampled, share_error

DRAWS = 4000
Misread = Callable[..., np.ndarray]
"""`ReadingError.corrected` of a slide: takes draws of found shares and ``rng``, gives draws of true ones."""
_WHOLE = (
    10_000_000  # cells of the tumour that drawn shares are scored on: lines lie where the guideline has them
)


@dataclass(frozen=True, slots=True)
class _Chain:
    """The cells of one slide as shares from each level on; draws are float64 (draws, steps)."""

    counts: np.ndarray
    """int64 (steps,): cells above each step."""
    errors: list[ShareError]
    """What is known of each share, as a sample of the tumour."""
    slide: np.ndarray
    """Draws of the slide's true shares."""
    tumour: np.ndarray
    """Draws of the tumour's true shares."""
    sampling: np.ndarray
    """Draws of the tumour's shares if no cell were misread."""


def uncertainty(
    cells: pd.DataFrame,
    guideline: str | Guideline,
    *,
    score: str,
    mpp: float | None,
    tumour_known: bool,
    policies: Policies | None = None,
    reading: ReadingError | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Return the ``uncertainty`` entry of ``score.json``.

    Parameters
    ----------
    cells
        The cell table, graded for the guideline.
    score
        What the slide was scored.
    mpp
        Micrometres per level-0 pixel; None takes cells as independent of their neighbours.
    tumour_known, policies
        As in `guideline.slide_score`.
    reading
        How cells are misread; None counts the error of sampling alone, as do cells without a measured
        membrane or an mpp.
    draws
        Draws of the shares. The seed comes from the cells: the same slide gives the same numbers.

    Returns
    -------
    dict
        ``confidence``, ``draws``, ``seed``; ``sampling`` (cells, independent cells, design effect,
        correlation length, squares); ``reading`` (slides it was measured on, or None);
        ``percent`` by class and both H-scores, each with the intervals ``slide`` (this slide), ``tumour`` (of
        which it is a sample), ``sampling`` (the same, as if no cell were misread), and ``corrected`` (median
        for misread cells; None where they are not known); ``p_score`` and ``borderline`` of the slide,
        ``p_score_tumour``; ``lines``, one a rule; ``decided_by``, ``more_cells`` that would settle it, and
        ``flip`` (None where no share decides, as in a biopsy); ``words``.

    Raises
    ------
    ValueError
        If no evaluable cell counts, or an argument is not usable.
    """
    guideline, policies = guideline_of(guideline), policies or Policies()
    which = counted(cells, tumour_known=tumour_known)
    table = cells[which & evaluable(cells)]
    if not len(table):
        raise ValueError("cells holds no evaluable cell that counts; ask only about a slide that has a score")
    levels = chain_levels(
        cells, which, organ=guideline.organ,
        complete_at=policies.complete_at, complete_faint_as=policies.complete_faint_as,
    )  # fmt: skip
    steps = np.array(CLASS_STEPS[guideline.organ])
    blocks = None if mpp is None else lay_blocks(table[["x_px0", "y_px0"]].to_numpy(np.float64) * mpp)
    seed = _seed(levels, blocks)
    misread = None
    if reading is not None and mpp is not None:
        misread = _misread(reading, table, levels, len(steps) + 1, coarse=mpp > COARSE_MPP)
    chain = _chain(levels, len(steps), blocks, misread, draws=draws, seed=seed)
    n = len(levels)
    draws_of = {"slide": chain.slide, "tumour": chain.tumour, "sampling": chain.sampling}
    lines = lines_of(chain.errors, draws_of, guideline, policies, known=misread is not None)
    p_slide, p_tumour = (_p_score(shares, guideline, policies, n) for shares in (chain.slide, chain.tumour))
    deciding = deciding_line(lines, p_tumour, score)
    error = chain.errors[0 if deciding is None else deciding["step"]]
    found: dict[str, Any] = {
        "confidence": CONFIDENCE,
        "draws": draws,
        "seed": seed,
        "sampling": {
            "cells": n,
            "independent_cells": min(n, round(n / error.design_effect)),
            "design_effect": error.design_effect,
            "correlation_um": error.length_um if blocks else None,
            "squares": len(blocks.cells) if blocks else None,
            "square_um": blocks.side_um if blocks else None,
        },
        "reading": None if reading is None or misread is None else {"slides": reading.slides},
        "percent": _percent(levels, steps, blocks, draws_of, known=misread is not None),
        "h_score_membrane_class": intervals(
            {k: 100 * shares @ steps for k, shares in draws_of.items()}, known=misread is not None
        ),
        "h_score_intensity": _intensity(table, blocks, draws=draws, seed=seed),
        "p_score": p_slide,
        "p_score_tumour": p_tumour,
        "borderline": None if p_slide is None else p_slide[score] < BORDERLINE,
        "lines": [{k: v for k, v in line.items() if k != "step"} for line in lines],
        "decided_by": None if deciding is None else deciding["rule"],
        "more_cells": None if deciding is None else deciding["more_cells"],
        "flip": flip(chain.counts, n, guideline, policies, score),
    }
    return found | {"words": in_words(found, score, deciding)}


def _misread(
    reading: ReadingError, table: pd.DataFrame, levels: np.ndarray, n_levels: int, *, coarse: bool
) -> Misread | None:
    """Return how the slide's shares are corrected; cells that a reader graded are taken as right."""
    graded = (table["grade_source"] == GradeSource.READER).to_numpy(bool)
    look = None if graded.all() else look_of(table[~graded])
    if look is None:
        return None
    known = np.bincount(levels[graded], minlength=n_levels) / len(levels)

    def corrected(shares: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        rest = np.maximum(shares - known, 0) + 1e-12
        rest /= rest.sum(axis=1, keepdims=True)
        return known + (1 - known.sum()) * reading.corrected(rest, look, coarse=coarse, rng=rng)

    return corrected


def _chain(
    levels: np.ndarray,
    steps: int,
    blocks: Blocks | None,
    misread: Misread | None,
    *,
    draws: int,
    seed: int,
) -> _Chain:
    """Draw the shares of the slide and of the tumour."""
    errors = _errors(levels, steps, blocks)
    sampling = _draw(levels, errors, blocks, draws=draws, seed=seed)
    slide = _draw(levels, _errors(levels, steps, None), None, draws=draws, seed=seed)
    counts = np.array([np.count_nonzero(levels > step) for step in range(steps)])
    if misread is None:
        return _Chain(counts, errors, slide, sampling, sampling)
    corrected = [_corrected(shares, misread, len(levels), seed) for shares in (slide, sampling)]
    return _Chain(counts, errors, corrected[0], corrected[1], sampling)


def _errors(levels: np.ndarray, steps: int, blocks: Blocks | None) -> list[ShareError]:
    errors: list[ShareError] = []
    for step in range(steps):
        errors.append(share_error(levels > step, blocks, like=errors[-1] if errors else None))
    return errors


def _draw(
    levels: np.ndarray, errors: list[ShareError], blocks: Blocks | None, *, draws: int, seed: int
) -> np.ndarray:
    """Draw shares: each spread by its own error, together as they move in resampled squares."""
    together = resampled(levels, len(errors) + 1, blocks, draws=draws, seed=seed)
    above = together[:, ::-1].cumsum(axis=1)[:, -2::-1]
    tie = np.random.default_rng([seed, 1]).random(draws)
    out = np.empty((draws, len(errors)))
    for step, error in enumerate(errors):
        out[np.lexsort((tie, above[:, step])), step] = error.quantiles((np.arange(draws) + 0.5) / draws)
    return np.minimum.accumulate(out, axis=1)


def _corrected(above: np.ndarray, misread: Misread, n: int, seed: int) -> np.ndarray:
    """Return the shares above each step, corrected for misread cells; less than half a cell is none."""
    of_level = -np.diff(above, axis=1, prepend=1.0, append=0.0)
    true = misread(of_level, rng=np.random.default_rng([seed, 2]))
    true[true < 0.5 / n] = 0
    true /= true.sum(axis=1, keepdims=True)
    return true[:, ::-1].cumsum(axis=1)[:, -2::-1]


def _p_score(shares: np.ndarray, guideline: Guideline, policies: Policies, n: int) -> dict[str, float] | None:
    """Return how often the rules give each score; None where no share decides."""
    if not guideline.rules:
        return None
    fires = [
        shares[:, first_step(rule, guideline.organ)] >= line_of(rule, n, policies) for rule in guideline.rules
    ]
    scores = np.select(fires, [rule.score for rule in guideline.rules], "0")
    return {name: float(np.mean(scores == name)) for name in CLASSES}


def _percent(
    levels: np.ndarray,
    steps: np.ndarray,
    blocks: Blocks | None,
    draws_of: dict[str, np.ndarray],
    *,
    known: bool,
) -> dict[str, dict[str, Any]]:
    """Return the intervals of each class; by sampling alone, from its own error."""
    rank = np.concatenate([[0], np.cumsum(steps)])[levels]
    like = share_error(rank > 0, blocks)
    out = {}
    for place, name in enumerate(CLASSES):
        of_class = {k: 100 * _between(shares[:, steps > 0], place) for k, shares in draws_of.items()}
        out[name] = intervals(of_class, known=known)
        ends = [100 * e for e in share_error(rank == place, blocks, like=like).interval(CONFIDENCE)]
        out[name]["sampling"] = ends
        if not known:
            out[name]["tumour"] = ends
    return out


def _between(above: np.ndarray, place: int) -> np.ndarray:
    """Return the share of one class from the shares above each class."""
    upper = np.ones(len(above)) if place == 0 else above[:, place - 1]
    return upper - (above[:, place] if place < above.shape[1] else 0.0)


def _intensity(table: pd.DataFrame, blocks: Blocks | None, *, draws: int, seed: int) -> dict[str, Any] | None:
    """Return the intervals of the classical H-score; None where a cell's intensity is not known."""
    weight = table["intensity"].astype(object).map(INTENSITY_WEIGHT)
    if weight.isna().any():
        return None
    chain = _chain(weight.to_numpy(np.int8), 3, blocks, None, draws=draws, seed=seed)
    draws_of = {"slide": chain.slide, "tumour": chain.tumour, "sampling": chain.sampling}
    return intervals({k: 100 * shares.sum(axis=1) for k, shares in draws_of.items()}, known=False)


def _seed(levels: np.ndarray, blocks: Blocks | None) -> int:
    """Return a seed that depends on the cells and not on their order."""
    k = 1 if blocks is None else len(blocks.cells)
    place = np.zeros(len(levels), np.int64) if blocks is None else blocks.block_of
    return zlib.crc32(np.bincount(place * 8 + levels, minlength=8 * k).astype("<i8").tobytes())
