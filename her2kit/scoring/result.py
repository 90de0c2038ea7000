"""What scoring a slide gives: a score with its reasons, or the reasons why there is none."""

from dataclasses import asdict, dataclass, field
from typing import Any

FLAGS: dict[str, str] = {
    "few_cells": "few tumour cells: one more or less may change the score",
    "intense_le10": "complete, intense stain in 10 % of the tumour cells or fewer",
    "unusual_pattern": "moderate to intense but incomplete stain, which the guideline's table leaves out",
    "not_contiguous": "the complete, intense cells do not lie together as the guideline asks",
    "policy_deviation": "the floor on complete, intense cells kept a few of them from making the slide 2+",
    "missing_gt10": "more than 10 % of the tumour cells are missing, but the score does not hang on them",
    "im_unknown": "the cells have a class alone: how many are moderate to intense but incomplete is unknown",
    "discordant": "IHC and ISH disagree",
    "ish_review": "ISH groups 2 to 4 need review beside the IHC (ASCO/CAP 2018)",
    "review": "a second look is needed",
}
"""Every flag that a score can carry, in words."""


@dataclass(frozen=True, slots=True)
class SlideScore:
    """A score with its reasons, or the reasons why there is none."""

    status: str
    """``scored`` or ``not_evaluable``."""
    score: str | None
    """"0", "1+", "2+", "3+", or None."""
    category: str | None
    """Therapeutic category in words, or None."""
    vocabulary: str
    """Where the words of the category come from."""
    guideline: str
    n_cells: int
    """Evaluable cells that count."""
    n_missing: int
    """Cells that count but could not be evaluated."""
    counts: dict[str, int]
    percent: dict[str, float | None]
    """Keys "0", "1+", "2+", "3+"; None without cells."""
    ci: int
    cw: int
    im: int | None
    """None: unknown, the cells have a class alone."""
    any: int
    h_score_membrane_class: float | None
    """100 (n1 + 2 n2 + 3 n3) / n, 0..300. It does not determine the score."""
    h_score_intensity: float | None
    """The classical H-score, of intensity alone: faint 1, weak and moderate 2, intense 3; 0..300."""
    flags: list[str]
    policies: dict[str, Any]
    """Every policy by name; `min_intense_cells` is the floor that was used."""
    policy_notes: list[str]
    """What the policies do here, one sentence each."""
    trace: list[dict[str, Any]]
    """One entry for each rule tried: rule, count, n, threshold, fired, words."""
    reasons: list[str] = field(default_factory=list)
    """Why the slide is not evaluable, in words."""
    score_floor_1: str | None = None
    """The score if one complete intense cell were enough for 2+ (ASCO/CAP taken literally)."""
    score_missing: tuple[str, str] | None = None
    """The scores with all missing cells taken for 0 and for 3+, where more than 10 % are missing."""
    denominator: str = "counts given"
    """Which cells were counted, in words."""
    all_cells: dict[str, Any] | None = None
    """The same rules over all cells of the region or slide: score, n_cells, counts, percent."""

    def record(self) -> dict[str, Any]:
        """Return the fields as ``score.json`` holds them."""
        return asdict(self)
