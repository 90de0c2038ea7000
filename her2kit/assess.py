"""From graded cells to what is said of a slide: score, gates of its cells, how sure, how even over the slide.

What scoring a slide and correcting one have in common. Looks at no pixel and writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from her2kit.scoring.gate import Gate, blocking
from her2kit.scoring.gates import cell_gates
from her2kit.scoring.guideline import GUIDELINES, slide_score
from her2kit.scoring.heterogeneity import COLUMNS, heterogeneity
from her2kit.scoring.reading_error import shipped_reading_error
from her2kit.scoring.result import SlideScore
from her2kit.scoring.uncertainty import uncertainty
from her2kit.settings import ScoreSettings


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is said of a slide."""

    record: dict[str, Any]
    """The entries of ``score.json`` from the score to ``heterogeneity``."""
    regions: pd.DataFrame
    """One row a region (`scoring.heterogeneity`); empty without a score."""


def assess(
    cells: pd.DataFrame,
    settings: ScoreSettings,
    *,
    mpp: float | None,
    gates: Sequence[Gate],
    tumour: Mapping[str, Any] | None = None,
    tumour_gates: Sequence[Gate] = (),
) -> Assessment:
    """Score graded cells, and say how sure the score is and whether the slide is the same all over.

    Parameters
    ----------
    cells
        The cell table, graded for the settings' guideline.
    mpp
        Micrometres per level-0 pixel; None only where a gate blocks.
    gates
        Those passed before cells were looked for.
    tumour
        What the record says of the tumour regions that the compartments come from: ``source`` (file or auto),
        ``file`` and what else is known. Then the score without them stands beside. None: there are none.
    tumour_gates
        Of the regions; the score without them does not ask them.
    """
    asked: dict[str, Any] = {
        "guideline": GUIDELINES[settings.guideline],
        "policies": settings.policies,
        "mpp": mpp,
        "control": settings.control,
    }
    tumour_known = tumour is not None

    def scored(known: bool) -> tuple[SlideScore, list[Gate]]:
        every = [*gates, *(tumour_gates if known else ())]
        if not blocking(every):
            every += cell_gates(cells, **asked, tumour_known=known)
        return slide_score(cells, **asked, ish=settings.ish, gates=every, tumour_known=known), every

    score, every = scored(tumour_known)
    ungated = scored(False)[0] if tumour_known else None
    record: dict[str, Any] = {
        **score.record(),
        "gates": [g.record() for g in every],
        "tumour": {
            **(tumour or {"source": "none", "file": None}),
            "ungated": _short(ungated) if ungated else None,
        },
        "uncertainty": None,
        "heterogeneity": None,
    }
    regions = pd.DataFrame(columns=list(COLUMNS))
    if score.score is not None and mpp is not None:
        same: dict[str, Any] = {"mpp": mpp, "tumour_known": tumour_known, "policies": settings.policies}
        organ = GUIDELINES[settings.guideline].organ
        record["uncertainty"] = uncertainty(
            cells, settings.guideline, score=score.score, reading=shipped_reading_error(organ, mpp), **same
        )
        spread = heterogeneity(cells, settings.guideline, **same)
        record["heterogeneity"], regions = spread.record, spread.regions
    return Assessment(record, regions)


def _short(score: SlideScore) -> dict[str, Any]:
    record = score.record()
    return {
        name: record[name] for name in ("score", "n_cells", "counts", "percent", "h_score_membrane_class")
    }
