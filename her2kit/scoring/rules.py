"""The rules of the guidelines as a table: what is counted, from how many cells on, and what follows.

Whole numbers only: "more than 10 % of n cells" is "at least n // 10 + 1 cells", so that exactly 10 % never
rounds over the line. Every breast rule counts an up-set of the order of cells (completeness and intensity
together), cumulatively. A rule on one class alone would not be monotone: upgrading one cell could lower the
score.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from scipy.special import betaincinv

from her2kit.scoring.counts import Counts

if TYPE_CHECKING:
    from her2kit.scoring.guideline import Policies

NULL, ULTRALOW, UNRESOLVED = "null", "ultralow", "ultralow or null not resolved"
"""What a score of 0 may be called in breast; the last where nothing tells stain from noise."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a guideline."""

    name: str
    """Short name in the trace."""
    count: Callable[[Counts], int]
    """Which cells it counts."""
    threshold: Callable[[int, "Policies"], int]
    """From n and the policies, the smallest count that fires it."""
    score: str
    """The score that follows."""
    what: str
    """What is counted, in words."""
    why: str
    """The line of the guideline, in words."""
    flag: str | None = None
    """Flag that it raises."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one set of counts."""

    score: str
    """"0", "1+", "2+" or "3+"."""
    zero_kind: str | None
    """In breast, what a score of 0 is called; else None."""
    flag: str | None
    """Flag of the rule that fired."""
    trace: list[dict[str, Any]]
    """One entry for each rule tried: rule, count, n, threshold, fired, words."""


def above_tenth(n: int, _: object = None) -> int:
    """Return the smallest k with 10 k > n: more than 10 %."""
    return n // 10 + 1


def from_tenth(n: int, _: object = None) -> int:
    """Return the smallest k with 10 k >= n, and at least 1: 10 % or more."""
    return max(1, -(-n // 10))


def intense_floor(n: int, policies: "Policies") -> int:
    """Return how many complete and intense cells are enough to call a slide equivocal."""
    if policies.min_intense_cells is not None:
        return policies.min_intense_cells
    return max(policies.default_intense_cells, -(-n // policies.default_intense_one_in))


def detection_limit(false_positives: int, n: int) -> float:
    """Return the upper 95 % bound of a false-positive rate, for `Policies.limit_of_detection`.

    Parameters
    ----------
    false_positives, n
        Cells called stained, and all cells, of tissue that is known to be negative. n >= 1.

    Returns
    -------
    float in 0..1
        One-sided exact binomial bound (Clopper CJ, Pearson ES. Biometrika 1934;26:404-413).

    Raises
    ------
    ValueError
        Unless 0 <= false_positives <= n and n >= 1.
    """
    if not 0 <= false_positives <= n or n < 1:
        raise ValueError(f"{false_positives} of {n} cells; pass 0 <= false_positives <= n, and n >= 1")
    return 1.0 if false_positives == n else float(betaincinv(false_positives + 1, n - false_positives, 0.95))


def limit_in_cells(n: int, limit_of_detection: float) -> int:
    """Return the largest number of stained cells among n that the false-positive rate explains."""
    return math.floor(Fraction(str(limit_of_detection)) * n)


def _im(counts: Counts) -> int:
    return 0 if counts.im is None else counts.im


BREAST_RULES = (
    Rule(
        "complete intense > 10 %", lambda c: c.ci, above_tenth, "3+",
        "complete and intense membrane stain",
        "complete, intense, circumferential stain in more than 10 % of the tumour cells is 3+",
    ),
    Rule(
        "complete > 10 %", lambda c: c.ci + c.cw, above_tenth, "2+",
        "complete membrane stain, weak to intense",
        "weak to moderate complete stain in more than 10 % of the tumour cells is 2+",
    ),
    Rule(
        "complete intense, few", lambda c: c.ci, intense_floor, "2+",
        "complete and intense membrane stain",
        "complete, intense stain in 10 % of the tumour cells or fewer is equivocal: 2+",
        "intense_le10",
    ),
    Rule(
        "moderate or complete > 10 %", lambda c: c.ci + c.cw + _im(c), above_tenth, "2+",
        "complete stain, or incomplete stain that is moderate or intense",
        "a pattern that the table leaves out (moderate to intense but incomplete) is treated as 2+",
        "unusual_pattern",
    ),
    Rule(
        "any stain > 10 %", lambda c: c.any, above_tenth, "1+",
        "any membrane stain",
        "incomplete, faint stain in more than 10 % of the tumour cells is 1+",
    ),
)  # fmt: skip
"""ASCO/CAP 2018, in the order in which they are tried (Wolff AC et al., J Clin Oncol 2018;36:2105)."""

RESECTION_RULES = tuple(
    Rule(f"{cls} >= 10 %", count, from_tenth, cls, f"membrane stain of class {words}", f"{text} is {cls}")
    for cls, count, words, text in (
        (
            "3+",
            lambda c: c.n3,
            "3+",
            "intense stain, complete or lateral, in 10 % of the tumour cells or more",
        ),
        (
            "2+",
            lambda c: c.n3 + c.n2,
            "2+ or more",
            "weak to moderate stain, complete or lateral, in 10 % or more",
        ),
        ("1+", lambda c: c.any, "1+ or more", "faint stain in 10 % of the tumour cells or more"),
    )
)
"""Ruschoff and Hofmann for resections; completeness is not asked for (World J Gastroenterol 2014;20:4526)."""


def decide(counts: Counts, rules: tuple[Rule, ...], policies: "Policies") -> Verdict:
    """Try the rules in order; the first that fires gives the score, and none of them means 0.

    Raises
    ------
    ValueError
        If there is no cell to judge.
    """
    if counts.n == 0:
        raise ValueError("counts holds no evaluable cell; ask slide_score, which refuses such a slide")
    trace = []
    for rule in rules:
        count, threshold = rule.count(counts), rule.threshold(counts.n, policies)
        fired = count >= threshold
        trace.append(
            entry(rule.name, count, counts.n, threshold, fired, _words(rule, count, counts, threshold))
        )
        if fired:
            return Verdict(rule.score, None, rule.flag, trace)
    if rules is not BREAST_RULES:
        words = "No rule fired: the score is 0."
        trace.append(entry("otherwise 0", counts.any, counts.n, 0, True, words))
        return Verdict("0", None, None, trace)
    kind, steps = _zero_kind(counts, policies)
    return Verdict("0", kind, None, trace + steps)


def entry(
    rule: str, count: int | None, n: int, threshold: int | None, fired: bool, words: str
) -> dict[str, Any]:
    """Return one entry of the trace."""
    return {"rule": rule, "count": count, "n": n, "threshold": threshold, "fired": fired, "words": words}


def _words(rule: Rule, count: int, counts: Counts, threshold: int) -> str:
    """Return what a learner reads of one rule: what was counted, the guideline's line, what came of it."""
    short = threshold - count
    end = f"not reached, {short:,} short" if short > 0 else f"reached, so the score is {rule.score}"
    unknown = ""
    if rule.flag == "unusual_pattern" and counts.im is None:
        unknown = " How many are incomplete is unknown here, as the cells have a class alone."
    return (
        f"{count:,} of {counts.n:,} cells have {rule.what}.{unknown} {rule.why[0].upper()}{rule.why[1:]}. "
        f"Here it takes {threshold:,} cells: {end}."
    )


def _zero_kind(counts: Counts, policies: "Policies") -> tuple[str, list[dict[str, Any]]]:
    """Return what a score of 0 is called, and the entries of the trace that say why."""
    n, stained, limit = counts.n, counts.any, policies.limit_of_detection
    rule = "stain above the limit of detection"
    if stained == 0:
        words = f"None of {n:,} cells has any membrane stain: 0, null."
        return NULL, [entry("no stain", 0, n, 0, True, words)]
    seen = f"{stained:,} of {n:,} cells have some stain, in 10 % or fewer: the score is 0."
    if limit is None:
        words = (
            f"{seen} Is it faint stain (ultralow) or noise (null)? Not resolved without a limit of "
            f"detection: "
            "give limit_of_detection, measured on a negative control."
        )
        return UNRESOLVED, [entry(rule, stained, n, None, False, words)]
    explained = limit_in_cells(n, limit)
    above = stained > explained
    words = (
        f"{seen} Up to {explained:,} of them may be noise, by a limit of detection of {limit:.3g} of the "
        f"cells: "
        f"{ULTRALOW if above else UNRESOLVED}."
    )
    return (ULTRALOW if above else UNRESOLVED), [entry(rule, stained, n, explained + 1, above, words)]
