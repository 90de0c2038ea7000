"""One slide's HER2 score: guidelines, policies, and the way from counts to a score with reasons.

The rules stand in ``rules``, the counting in ``counts``, the categories in ``category``. Where a guideline
leaves a number open, a policy names it, with a default that the result carries. Research and teaching only.

References
----------
Wolff AC et al. J Clin Oncol 2018;36:2105-2122; affirmed 2023;41:3867-3872 (breast, ASCO/CAP).
Hofmann M et al. Histopathology 2008;52:797-805; Ruschoff J et al. Mod Pathol 2012;25:637-650 (gastric);
World J Gastroenterol 2014;20:4526, table 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from her2kit.cells.grade import COMPLETE_AT
from her2kit.scoring.case import Case
from her2kit.scoring.category import ISH, therapeutic_category
from her2kit.scoring.counts import Counts
from her2kit.scoring.gate import Gate, blocking
from her2kit.scoring.result import SlideScore
from her2kit.scoring.rules import BREAST_RULES, RESECTION_RULES, Rule, entry, intense_floor

# --- Guideline constants and policies with their sources, in one block.
# The 10 % line itself is integer arithmetic in rules.above_tenth (breast: more than 10 %) and
# rules.from_tenth (gastric: 10 % or more).
MIN_CELLS = 30
"""Fewer evaluable tumour cells are not scored. Policy: the guidelines give no number; here one cell is 3
%."""
CAUTION_CELLS = 100
"""Fewer are scored with a caution. Policy: at 100 cells 10 % is known to about 6 points (95 % binomial)."""
INTENSE_CELLS, INTENSE_ONE_IN = 10, 100
"""Complete and intense cells that make a slide equivocal: the larger of 10 and 1 % of n. A deviation from
ASCO/CAP, which names no floor: one false-positive cell among 100,000 would make every slide 2+."""
BIOPSY_CLUSTER = 5
"""Cells of a gastric biopsy's cluster (Ruschoff et al. 2012: at least 5 cohesive cells)."""
NEIGHBOUR_UM = 15.0
"""Two cells within this distance are neighbours. Policy: twice the distance of nearest neighbours in
tumour."""
CONTIGUOUS_CELLS = 10
"""Fewer complete intense cells together: 3+ is flagged. Policy: ASCO/CAP asks for a contiguous population."""
MISSING_ONE_IN = 10
"""More than one cell in so many missing: scored with all of them 0 and all 3+ (her2kit's own rule)."""
CONTROL = ("valid", "failed", "unknown")
"""Status of the control tissue. ASCO/CAP: without valid controls a slide is not reported."""


@dataclass(frozen=True, slots=True)
class Guideline:
    """A published set of rules."""

    name: str
    organ: str
    """``breast`` or ``gastric``."""
    rules: tuple[Rule, ...]
    """Tried in order; empty where clusters decide instead of percentages."""
    source: str
    """The publication."""

    @property
    def scheme(self) -> str:
        """How cells are graded for it (``cells.grade``): ``breast`` or ``gastric``."""
        return self.organ


GUIDELINES: dict[str, Guideline] = {
    g.name: g
    for g in (
        Guideline("breast-asco-cap-2018", "breast", BREAST_RULES, "Wolff et al., J Clin Oncol 2018;36:2105"),
        Guideline(
            "gastric-resection", "gastric", RESECTION_RULES, "World J Gastroenterol 2014;20:4526, table 1"
        ),
        Guideline("gastric-biopsy", "gastric", (), "World J Gastroenterol 2014;20:4526, table 1"),
    )
}
"""By the name that ``--guideline`` takes."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Numbers that the guidelines leave open. All are written into the result."""

    min_intense_cells: int | None = None
    """Complete and intense cells from which a slide is 2+ at least; None: the larger of 10 and 1 % of n."""
    complete_faint_as: str = "1+"
    """Class of a cell whose stain is complete but faint, ``1+`` or ``2+``; the grading applies it."""
    complete_at: float = COMPLETE_AT
    """Share of the perimeter from which stain is complete, 0..1; the grading applies it too."""
    min_cells: int = MIN_CELLS
    """Fewer evaluable cells: not evaluable (not asked of a gastric biopsy)."""
    caution_cells: int = CAUTION_CELLS
    """Fewer: flagged ``few_cells``."""
    limit_of_detection: float | None = None
    """Share of cells, 0..1, that may look stained without being so: `detection_limit` of a negative
    control."""
    neighbour_um: float = NEIGHBOUR_UM
    """Distance of two neighbouring cells in a group, in um."""
    biopsy_cluster: int = BIOPSY_CLUSTER
    """Cells of a cluster in a gastric biopsy."""
    contiguous_cells: int = CONTIGUOUS_CELLS
    """A 3+ whose largest group of complete intense cells is smaller is flagged ``not_contiguous``."""

    def __post_init__(self) -> None:
        whole = ("min_cells", "caution_cells", "biopsy_cluster", "contiguous_cells")
        for name in whole if self.min_intense_cells is None else ("min_intense_cells", *whole):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}={value!r}; pass a whole number >= 1")
        if self.complete_faint_as not in ("1+", "2+"):
            raise ValueError(f"complete_faint_as={self.complete_faint_as!r}; use '1+' or '2+'")
        if not 0 < self.complete_at <= 1:
            raise ValueError(f"complete_at={self.complete_at!r}; pass a share of the perimeter in (0, 1]")
        if self.limit_of_detection is not None and not 0 <= self.limit_of_detection < 1:
            raise ValueError(
                f"limit_of_detection={self.limit_of_detection!r}; pass a share of cells in [0, 1)"
            )
        if not self.neighbour_um > 0:
            raise ValueError(f"neighbour_um={self.neighbour_um!r}; pass a distance > 0 in um")

    @property
    def default_intense_cells(self) -> int:
        """The floor in cells where `min_intense_cells` is None."""
        return INTENSE_CELLS

    @property
    def default_intense_one_in(self) -> int:
        """The floor as one in so many cells where `min_intense_cells` is None."""
        return INTENSE_ONE_IN

    @property
    def missing_one_in(self) -> int:
        """More than one counted cell in so many not evaluable: the score must hold whatever they are."""
        return MISSING_ONE_IN

    def notes(self, n: int) -> list[str]:
        """Return what the policies do to a slide of n cells, one sentence each."""
        floor = "its default" if self.min_intense_cells is None else "set by the user"
        limit = self.limit_of_detection
        return [
            f"complete, intense cells in 10 % or fewer make a slide 2+ from {intense_floor(n, self)} cells "
            f"on "
            f"({floor}); ASCO/CAP names no floor",
            f"complete means {self.complete_at:.0%} of the perimeter or more",
            f"complete but faint stain is class {self.complete_faint_as}",
            "no limit of detection is given, so ultralow and null are not told apart where any cell is "
            "stained"
            if limit is None
            else f"up to {limit:.3g} of the cells may look stained without being so",
            f"fewer than {self.min_cells} evaluable cells are not scored, fewer than {self.caution_cells} "
            f"with "
            "a caution",
            f"cells within {self.neighbour_um:g} um lie together",
        ]

    @classmethod
    def pure(cls) -> "Policies":
        """Return the guideline without floors: one cell is enough for every rule that names no share."""
        return cls(min_intense_cells=1, min_cells=1, caution_cells=1)


def slide_score(
    cells: pd.DataFrame | Counts,
    guideline: str | Guideline,
    *,
    policies: Policies | None = None,
    ish: str = "unknown",
    control: str = "unknown",
    gates: Sequence[Gate] = (),
    mpp: float | None = None,
    tumour_known: bool | None = None,
) -> SlideScore:
    """Score a slide by a guideline.

    Parameters
    ----------
    cells
        The cell table, graded with the guideline's `scheme`, or counts alone.
    guideline
        A name of `GUIDELINES`.
    policies
        Default: `Policies()`.
    ish, control
        Words of `ISH` and `CONTROL`.
    gates
        All gates so far; one that blocks makes the slide not evaluable.
    mpp
        Micrometres per level-0 pixel, to tell which cells lie together. A gastric biopsy needs it; without it
        the contiguity of a breast 3+ is not checked.
    tumour_known
        Whether a tumour region is known, so that only invasive cells count. Default: whether any cell has a
        compartment.

    Returns
    -------
    SlideScore

    Raises
    ------
    ValueError
        If a word is not known, a column is missing, or the cells were graded by another scheme or policy.
    """
    guideline, policies = guideline_of(guideline), policies or Policies()
    for name, word, known in (("ish", ish, ISH), ("control", control, CONTROL)):
        if word not in known:
            raise ValueError(f"{name}={word!r} is not known; use one of {', '.join(known)}")
    case = Case.of(cells, guideline, policies, mpp=mpp, tumour_known=tumour_known)
    bounds = case.missing_bounds()
    reasons = _reasons(case, control, gates, bounds)
    n, least = case.counts.n, case.min_cells
    words = "; ".join(reasons) if reasons else f"{n:,} cells could be evaluated, and no gate blocks."
    common: dict[str, Any] = case.common() | {
        "trace": [entry("evaluable", n, n, least, not reasons, words)],
        "reasons": reasons,
        "flags": [],
        "score_missing": bounds,
    }
    if reasons:
        return SlideScore(status="not_evaluable", score=None, category=None, **common)
    verdict = case.verdict()
    category, ish_flags = therapeutic_category(
        verdict.score, ish, organ=guideline.organ, zero_kind=verdict.zero_kind
    )
    common["trace"] += verdict.trace
    common["flags"] = list(dict.fromkeys(case.flags(verdict) + ish_flags))
    literal = case.verdict(floor=1).score if guideline.organ == "breast" else None
    return SlideScore(
        status="scored", score=verdict.score, category=category, score_floor_1=literal, **common
    )


def missing_gate(
    cells: pd.DataFrame | Counts,
    guideline: str | Guideline,
    *,
    policies: Policies | None = None,
    mpp: float | None = None,
    tumour_known: bool | None = None,
) -> Gate:
    """Check how many of the cells that count could not be evaluated, and whether the score hangs on them.

    Takes the arguments of `slide_score`.
    """
    case = Case.of(cells, guideline_of(guideline), policies or Policies(), mpp=mpp, tumour_known=tumour_known)
    missing, total = case.counts.missing, case.counts.n + case.counts.missing
    share, bounds = missing / total if total else 0.0, case.missing_bounds()
    words = f"{missing:,} of {total:,} tumour cells could not be evaluated"
    if bounds is None:
        return Gate("missing_cells", "ok", share, f"{words}.")
    low, high = bounds
    if low == high:
        words = f"{words}, more than 10 %; the score is {low} whether they are all 0 or all 3+."
        return Gate("missing_cells", "caution", share, words)
    return Gate("missing_cells", "block", share, _missing_words(case, bounds))


def guideline_of(guideline: str | Guideline) -> Guideline:
    """Return the guideline of a name, or raise a ValueError that lists the names."""
    if isinstance(guideline, Guideline):
        return guideline
    if guideline not in GUIDELINES:
        raise ValueError(f"guideline={guideline!r} is not known; use one of {', '.join(GUIDELINES)}")
    return GUIDELINES[guideline]


def _missing_words(case: Case, bounds: tuple[str, str]) -> str:
    missing, total = case.counts.missing, case.counts.n + case.counts.missing
    return (
        f"{missing:,} of {total:,} tumour cells could not be evaluated, and the score hangs on them "
        f"({bounds[0]} if they are all 0, {bounds[1]} if all 3+): scan again, or draw a region that is in "
        f"focus"
    )


def _reasons(case: Case, control: str, gates: Sequence[Gate], bounds: tuple[str, str] | None) -> list[str]:
    """Return why the slide is not evaluable, in words; empty where it is."""
    blocked = {g.name for g in blocking(gates)}
    reasons = [f"{g.name}: {g.words}" for g in blocking(gates)]
    if control == "failed" and "control" not in blocked:
        reasons.append("the control tissue failed: stain the case again")
    if blocked:  # cells were not looked for, or the gates have counted them
        return reasons
    if case.counts.n < case.min_cells:
        reasons.append(
            f"{case.counts.n} evaluable tumour cells, {case.min_cells} are needed: score a larger area"
        )
    if bounds is not None and bounds[0] != bounds[1]:
        reasons.append(_missing_words(case, bounds))
    return reasons
