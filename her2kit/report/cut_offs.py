"""The cells nearest to each cut-off between two classes: where a reader would most likely disagree.

Gives rows of the cell table; draws nothing, and grades only to ask what would change (the cut-offs are those
of `cells.grade`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells import grade

_ASIDE = {"dab_od": 1e-4, "completeness": 1e-4}  # just below and just above a cut-off


@dataclass(frozen=True, slots=True)
class CutOff:
    """One line between two classes, in one measurement."""

    name: str
    """In words, for example ``1+ | 2+``."""
    column: str
    """The measurement: ``dab_od`` or ``completeness``."""
    value: float
    words: str
    """What changes on the line, in words."""


def cut_offs(organ: str, *, complete_at: float = grade.COMPLETE_AT) -> list[CutOff]:
    """Return the cut-offs of a grading scheme.

    Parameters
    ----------
    organ : str
        ``breast`` or ``gastric``.
    complete_at : float
        Share of the perimeter from which a membrane counts as complete (breast).

    Raises
    ------
    ValueError
        If `organ` is not known.
    """
    if organ == "gastric":
        return [
            CutOff("0 | 1+", "dab_od", grade.FAINT_OD, "membrane stain begins"),
            CutOff("1+ | 2+", "dab_od", grade.WEAK_OD, "faint becomes weak"),
            CutOff("2+ | 3+", "dab_od", grade.INTENSE_OD, "moderate becomes intense"),
        ]
    if organ != "breast":
        raise ValueError(f"organ={organ!r} is not known; use breast or gastric")
    return [
        CutOff("0 | 1+", "dab_od", grade.FAINT_OD, "membrane stain begins"),
        CutOff("1+ | 2+, complete", "dab_od", grade.WEAK_OD, "faint becomes weak"),
        CutOff("1+ | 2+, incomplete", "dab_od", grade.MODERATE_OD, "weak becomes moderate"),
        CutOff("2+ | 3+", "dab_od", grade.INTENSE_OD, "moderate becomes intense, in a complete membrane"),
        CutOff("incomplete | complete", "completeness", complete_at, "the share of the perimeter stained"),
    ]


def nearest_cells(
    cells: pd.DataFrame,
    counted: np.ndarray,
    line: CutOff,
    *,
    organ: str,
    policies: Mapping[str, Any] | None = None,
    n: int = 10,
) -> np.ndarray:
    """Return the rows of the `n` counted cells nearest to a cut-off whose class hangs on it, lowest first.

    Parameters
    ----------
    cells : DataFrame
        The cell table, graded by the membrane measurement.
    counted : bool array of shape (cells,)
        Cells that the score counts.
    organ : str
        ``breast`` or ``gastric``: how the cells were graded.
    policies : Mapping, optional
        `complete_at` and `complete_faint_as` of the score.

    Returns
    -------
    int64 array of shape (at most n,)
        A cell hangs on the cut-off if it has another class just above than just below. Ties go by position,
        so that the choice does not depend on the order of the table.
    """
    own = {k: v for k, v in (policies or {}).items() if k in ("complete_at", "complete_faint_as")}
    sides = [
        grade.grade_cells(cells.assign(**{line.column: np.float32(line.value + step)}), scheme=organ, **own)[
            "cell_class"
        ].astype(object)
        for step in (-_ASIDE[line.column], _ASIDE[line.column])
    ]
    hangs = (sides[0] != sides[1]).to_numpy(bool) & sides[0].notna().to_numpy(bool)
    hangs &= cells["cell_class"].notna().to_numpy(bool)
    value = cells[line.column].to_numpy(np.float64)
    rows = np.flatnonzero(counted & hangs & np.isfinite(value))
    x, y = cells["x_px0"].to_numpy()[rows], cells["y_px0"].to_numpy()[rows]
    nearest = rows[np.lexsort((x, y, np.abs(value[rows] - line.value)))[:n]]
    return nearest[np.argsort(value[nearest], kind="stable")]
