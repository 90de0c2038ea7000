"""How far a score is from another: shares against their lines, what would settle it, what would flip it.

Takes what `spatial_error` knows of each share, and draws of the shares; draws nothing itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from her2kit.cells.table import CLASSES
from her2kit.scoring.guideline import Guideline, Policies
from her2kit.scoring.rules import Rule, intense_floor
from her2kit.scoring.spatial_error import ShareError

CONFIDENCE = 0.95
BORDERLINE = 0.90
"""A score less probable than this is called borderline (policy of this kit)."""
MOST_TIMES = 100.0
"""How many times the cells at hand are thought of when asking how many would settle a score."""
CLASS_STEPS = {"breast": (1, 1, 0, 1), "gastric": (1, 1, 1)}
"""Which steps of the chain of levels (`counts.chain_levels`) lead to the next class."""
_WHOLE = (
    10_000_000  # cells of the tumour that shares are held against: lines lie where the guideline has them
)


def first_step(rule: Rule, organ: str) -> int:
    """Return the step of the chain above which the rule counts cells."""
    for level in range(1, len(CLASS_STEPS[organ]) + 1):
        if organ == "breast":
            cell = SimpleNamespace(any=1, ci=int(level == 4), cw=int(level == 3), im=int(level == 2))
        else:
            cell = SimpleNamespace(any=1, n3=int(level == 3), n2=int(level == 2))
        if rule.count(cell):  # type: ignore[arg-type]
            return level - 1
    raise ValueError(f"rule {rule.name!r} counts no cell; give it a count")


def line_of(rule: Rule, n: int, policies: Policies) -> float:
    """Return the share of cells from which a rule fires; a floor in cells is a share of the n at hand."""
    floor = max(1, round(intense_floor(n, policies) * _WHOLE / n))
    return rule.threshold(_WHOLE, replace(policies, min_intense_cells=floor)) / _WHOLE


def lines_of(
    errors: Sequence[ShareError],
    draws_of: Mapping[str, np.ndarray],
    guideline: Guideline,
    policies: Policies,
    *,
    known: bool,
) -> list[dict[str, Any]]:
    """Return, for each rule, where the share lies against its line.

    Parameters
    ----------
    errors
        One a step of the chain.
    draws_of
        float (draws, steps) of the shares of the ``slide``, the ``tumour``, and by ``sampling`` alone.
    known
        Whether the draws know how cells are misread.
    """
    n, out = errors[0].n, []
    for rule in guideline.rules:
        step, line = first_step(rule, guideline.organ), line_of(rule, n, policies)
        out.append(
            {
                "rule": rule.name,
                "score": rule.score,
                "percent": 100 * errors[step].share,
                **intervals({k: 100 * shares[:, step] for k, shares in draws_of.items()}, known=known),
                "line_percent": round(100 * line, 3),
                "points": round(100 * (errors[step].share - line), 3),
                "p_fires": float(np.mean(draws_of["slide"][:, step] >= line)),
                "p_fires_tumour": float(np.mean(draws_of["tumour"][:, step] >= line)),
                "more_cells": _more_cells(errors[step], line),
                "step": step,
            }
        )
    return out


def deciding_line(
    lines: list[dict[str, Any]], p_score: dict[str, float] | None, score: str
) -> dict[str, Any] | None:
    """Return the line on which the less sure of the score's two borders hangs; if both are sure, its own."""
    if p_score is None:
        return None
    at_least = {c: sum(p_score[d] for d in CLASSES[CLASSES.index(c) :]) for c in CLASSES[1:]}
    own = CLASSES.index(score)
    borders = [c for c in (score, *CLASSES[own + 1 : own + 2]) if c in at_least]
    border = min(borders, key=lambda c: round(abs(at_least[c] - 0.5), 3))
    return max((line for line in lines if line["score"] == border), key=lambda line: line["p_fires_tumour"])


def _more_cells(error: ShareError, line: float) -> int | None:
    """Return how many more cells would put the line outside the interval; None: more than is asked."""
    tail = (1 - CONFIDENCE) / 2

    def settled(times: float) -> bool:
        below = float(replace(error, n=round(error.n * times)).below(np.array([line]))[0])
        return below <= tail or below >= 1 - tail

    if settled(1.0):
        return 0
    if not settled(MOST_TIMES):
        return None
    low, high = 1.0, MOST_TIMES
    while high / low > 1.005:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if settled(middle) else (middle, high)
    return round(error.n * (high - 1))


def flip(
    counts: np.ndarray, n: int, guideline: Guideline, policies: Policies, score: str
) -> dict[str, Any] | None:
    """Return the fewest cells that, read as the strongest or as unstained, give another score."""
    if not guideline.rules:
        return None
    have = [int(counts[first_step(r, guideline.organ)]) for r in guideline.rules]
    gaps = [
        (r.threshold(n, policies) - k, CLASSES.index(r.score), r.score)
        for r, k in zip(guideline.rules, have, strict=True)
    ]
    here = CLASSES.index(score)
    up = min(((gap, -rank, name) for gap, rank, name in gaps if rank > here), default=None)
    fewer = max((1 - gap for gap, rank, _ in gaps if rank >= here > 0), default=None)
    down = None
    if fewer is not None:
        left = next((name for gap, _, name in gaps if gap + fewer <= 0), "0")
        down = {"cells": fewer, "percent": 100 * fewer / n, "score": left}
    return {
        "up": None if up is None else {"cells": up[0], "percent": 100 * up[0] / n, "score": up[2]},
        "down": down,
    }


def in_words(found: dict[str, Any], score: str, line: dict[str, Any] | None) -> list[str]:
    """Return the same in sentences."""
    p, tumour, more = found["p_score"], found["p_score_tumour"], found["more_cells"]
    if p is None or tumour is None or line is None:
        return ["A biopsy's score hangs on one group of cells, not on a share: look at that group."]
    words = [f"Borderline: {_spread(p, score)}." if found["borderline"] else f"{_spread(p, score)}."]
    if tumour[score] < BORDERLINE:
        words.append(
            "The slide is a small sample of its tumour, as its stain lies in patches: another section may "
            f"score otherwise. For the tumour, {_spread(tumour, score)}."
        )
    side = "above" if line["points"] >= 0 else "below"
    low, high = line["slide"]
    words.append(
        f"The line that decides, “{line['rule']}”: {line['percent']:.1f} % of the cells, "
        f"{abs(line['points']):.1f} points {side} it; {100 * CONFIDENCE:.0f} % interval of the slide "
        f"{low:.1f} to {high:.1f} %, of the tumour {line['tumour'][0]:.1f} to {line['tumour'][1]:.1f} %."
    )
    if not low <= line["percent"] <= high:
        way = "many" if line["percent"] > high else "few"
        words.append(
            f"What was counted lies outside the interval: on slides that look like this one, too {way} cells "
            "were counted."
        )
    if more is None:
        words.append(
            f"Even {MOST_TIMES:.0f} times as many cells would not tell on which side of it the tumour lies."
        )
    elif more:
        words.append(
            f"About {_round(more):,} more cells of this tumour would tell on which side of the line it lies."
        )
    elif found["borderline"]:
        words.append("More cells would not help: what is not sure is how they are read.")
    for name, way in (("up", "read as the strongest class"), ("down", "read as unstained")):
        step = (found["flip"] or {}).get(name)
        if step:
            cells = "1 cell" if step["cells"] == 1 else f"{step['cells']:,} cells"
            words.append(f"{cells} ({step['percent']:.1f} %) {way} would make it {step['score']}.")
    return words


def _spread(p: Mapping[str, float], score: str) -> str:
    others = sorted(((v, k) for k, v in p.items() if k != score and v >= 0.005), reverse=True)
    return f"P({score}) is {_p(p[score])}" + "".join(f", P({k}) {_p(v)}" for v, k in others)


def intervals(draws_of: Mapping[str, np.ndarray], *, known: bool) -> dict[str, Any]:
    """Return the interval of each kind of draws, and the median of the slide's where misreading is known."""
    tail = (1 - CONFIDENCE) / 2
    ends = {k: [float(v) for v in np.quantile(draws, [tail, 1 - tail])] for k, draws in draws_of.items()}
    return {**ends, "corrected": float(np.median(draws_of["slide"])) if known else None}


def _p(p: float) -> str:
    return "above 99 %" if p > 0.995 else "below 1 %" if p < 0.005 else f"{100 * p:.0f} %"


def _round(cells: int) -> int:
    """Return a number of cells with two digits."""
    digits = max(len(str(cells)) - 2, 0)
    return round(cells, -digits)
