"""One slide's counted cells, ready for a guideline's rules: verdict, missing cells, flags, what goes beside.

Knows no control, no gate and no ISH; ``guideline.slide_score`` asks it and adds those.
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.scoring.biopsy import decide_biopsy
from her2kit.scoring.category import VOCABULARY
from her2kit.scoring.clusters import largest_cluster
from her2kit.scoring.counts import (
    Counts,
    check_grading,
    check_table,
    complete_intense,
    count_cells,
    counted,
    evaluable,
)
from her2kit.scoring.rules import Verdict, decide, intense_floor

if TYPE_CHECKING:
    from her2kit.scoring.guideline import Guideline, Policies


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules are asked about."""

    guideline: "Guideline"
    policies: "Policies"
    counts: Counts
    cells: pd.DataFrame | None
    """The table, where there is one."""
    which: np.ndarray | None
    """bool (n,): the cells that count, evaluable or not."""
    mpp: float | None
    """Micrometres per level-0 pixel."""
    tumour_known: bool | None
    """None where counts alone were given."""

    @classmethod
    def of(
        cls,
        cells: pd.DataFrame | Counts,
        guideline: "Guideline",
        policies: "Policies",
        *,
        mpp: float | None,
        tumour_known: bool | None,
    ) -> "Case":
        """Count the cells that the score is made of.

        Raises
        ------
        ValueError
            If the table cannot be used with this guideline.
        """
        biopsy = not guideline.rules
        if isinstance(cells, Counts):
            if biopsy:
                raise ValueError(
                    f"{guideline.name} asks which cells lie together; pass the cell table, not counts"
                )
            return cls(guideline, policies, cells, None, None, None, None)
        check_table(cells)
        if biopsy and mpp is None:
            raise ValueError(f"mpp is missing; {guideline.name} asks which cells lie together, so pass mpp=")
        if tumour_known is None:
            tumour_known = bool((cells["compartment"] != "unknown").any())
        if guideline.organ == "breast":
            check_grading(cells, policies.complete_at, policies.complete_faint_as)
        which = counted(cells, tumour_known=tumour_known)
        counts = _count(cells, which, policies)
        return cls(guideline, policies, counts, cells, which, mpp, tumour_known)

    @property
    def min_cells(self) -> int:
        """Fewer evaluable cells are not scored. A biopsy's cluster decides whatever the number."""
        return self.policies.min_cells if self.guideline.rules else 1

    def verdict(self, *, floor: int | None = None, missing_as: str | None = None) -> Verdict:
        """Ask the rules, with another floor on complete intense cells or with missing cells given a class."""
        policies = self.policies if floor is None else replace(self.policies, min_intense_cells=floor)
        if self.guideline.rules:
            counts = self.counts if missing_as is None else self.counts.with_missing_as(missing_as)
            return decide(counts, self.guideline.rules, policies)
        table, chosen = self._placed()
        usable = evaluable(table)
        take = chosen & usable if missing_as is None else chosen
        classes = np.where(usable, table["cell_class"].astype(object), missing_as)[take]
        return decide_biopsy(classes, self._xy_um(take), policies)

    def missing_bounds(self) -> tuple[str, str] | None:
        """Return the scores with all missing cells 0 and all 3+; None where 10 % or fewer are missing."""
        missing, total = self.counts.missing, self.counts.n + self.counts.missing
        if self.policies.missing_one_in * missing <= total:
            return None
        return self.verdict(missing_as="0").score, self.verdict(missing_as="3+").score

    def flags(self, verdict: Verdict) -> list[str]:
        """Return the flags that the counts raise, in the order of their weight."""
        counts, policies = self.counts, self.policies
        flags = [] if verdict.flag is None else [verdict.flag]
        if verdict.score == "3+" and self.guideline.organ == "breast" and self._scattered():
            flags += ["not_contiguous", "review"]
        if self.guideline.organ == "breast":
            fired_early = verdict.trace[-1]["rule"] in [r.name for r in self.guideline.rules[:3]]
            if not fired_early and 0 < counts.ci < intense_floor(counts.n, policies):
                flags.append("policy_deviation")
            if counts.im is None:
                flags.append("im_unknown")
        if self.missing_bounds() is not None:
            flags.append("missing_gt10")
        if self.guideline.rules and counts.n < policies.caution_cells:
            flags.append("few_cells")
        return flags

    def common(self) -> dict[str, Any]:
        """Return the fields of a result that hold whether or not there is a score."""
        c, n = self.counts, self.counts.n
        policies = asdict(self.policies)
        policies["min_intense_cells"] = intense_floor(n, self.policies)
        return {
            "guideline": self.guideline.name,
            "vocabulary": VOCABULARY[self.guideline.organ],
            "n_cells": n,
            "n_missing": c.missing,
            "counts": c.by_class,
            "percent": {k: 100 * v / n if n else None for k, v in c.by_class.items()},
            "ci": c.ci,
            "cw": c.cw,
            "im": c.im,
            "any": c.any,
            "h_score_membrane_class": 100 * (c.n1 + 2 * c.n2 + 3 * c.n3) / n if n else None,
            "h_score_intensity": 100 * c.intensity_sum / n if n and c.intensity_sum is not None else None,
            "policies": policies,
            "policy_notes": self.policies.notes(n),
            "denominator": self._denominator(),
            "all_cells": self._all_cells(),
        }

    def _denominator(self) -> str:
        if self.tumour_known is None:
            return "the counts given"
        if self.tumour_known:
            return "tumour cells in the regions of invasive tumour"
        return "epithelium-like cells of the whole slide: no tumour region was given"

    def _all_cells(self) -> dict[str, Any] | None:
        """Return the same rules over every cell of the region or slide, whatever its type."""
        if self.cells is None or self.tumour_known is None:
            return None
        which = counted(self.cells, tumour_known=self.tumour_known, all_cells=True)
        case = replace(self, which=which, counts=_count(self.cells, which, self.policies))
        n = case.counts.n
        return {
            "score": case.verdict().score if n >= max(1, self.min_cells) else None,
            "n_cells": n,
            "counts": case.counts.by_class,
            "percent": {k: 100 * v / n if n else None for k, v in case.counts.by_class.items()},
        }

    def _scattered(self) -> bool:
        """Whether no group of complete intense cells is large enough. False where nothing tells positions."""
        if self.cells is None or self.which is None or self.mpp is None:
            return False
        chosen = self.which & complete_intense(self.cells, complete_at=self.policies.complete_at)
        size = largest_cluster(self._xy_um(chosen), neighbour_um=self.policies.neighbour_um)
        return size < self.policies.contiguous_cells

    def _placed(self) -> tuple[pd.DataFrame, np.ndarray]:
        if self.cells is None or self.which is None:
            raise ValueError("counts alone do not tell which cells lie together; pass the cell table")
        return self.cells, self.which

    def _xy_um(self, which: np.ndarray) -> np.ndarray:
        table, _ = self._placed()
        if self.mpp is None:
            raise ValueError("mpp is missing; pass mpp= to tell which cells lie together")
        return table.loc[which, ["x_px0", "y_px0"]].to_numpy(np.float64) * self.mpp


def _count(cells: pd.DataFrame, which: np.ndarray, policies: "Policies") -> Counts:
    return count_cells(
        cells, which, complete_at=policies.complete_at, complete_faint_as=policies.complete_faint_as
    )
