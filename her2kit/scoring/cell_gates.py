"""What is asked of the cells that were found: enough, few missing, controls, the pattern of the stain.

Thresholds of the two patterns come from real pictures (seven HER2 cores of one laboratory, six Ki67
pictures); what was measured on them stands beside each.
"""

import numpy as np
import pandas as pd

from her2kit.cells.grade import STAINED_SHARE
from her2kit.scoring.case import Case
from her2kit.scoring.counts import counted, evaluable
from her2kit.scoring.gate import Gate
from her2kit.scoring.guideline import CONTROL, Guideline, Policies, guideline_of, missing_gate

NUCLEAR, SOME_NUCLEAR = 0.30, 0.10
"""Share of stained cells that are darker inside the nucleus than along the membrane. With a detector that
keeps brown nuclei: Ki67 .10-.43, HER2 at most .06; with the one for membrane markers: HER2 .00."""
NUCLEAR_OD, STAINED_OD = 0.15, 0.10
"""DAB OD of a stained nucleus and of a stained membrane: unstained cores reach .06 and .10."""
LEAST_RATIO = 2.2
"""Median of membrane over cytoplasm in stained cells: 1.7 with cytoplasmic stain, 2.9-4.0 in HER2 2+ and
3+."""
LEAST_STAINED = 30
"""Stained cells that the two patterns are judged on."""


def cell_gates(
    cells: pd.DataFrame,
    guideline: str | Guideline,
    *,
    policies: Policies | None = None,
    control: str = "unknown",
    mpp: float | None = None,
    tumour_known: bool | None = None,
) -> list[Gate]:
    """Check whether the cells that were found carry a score.

    Parameters
    ----------
    cells
        The cell table, graded for the guideline.
    guideline, policies, mpp, tumour_known
        As in `guideline.slide_score`.
    control
        A word of `guideline.CONTROL`.

    Returns
    -------
    list of Gate

    Raises
    ------
    ValueError
        If a word is not known or the table cannot be used with the guideline.
    """
    if control not in CONTROL:
        raise ValueError(f"control={control!r} is not known; use one of {', '.join(CONTROL)}")
    policies = policies or Policies()
    case = Case.of(cells, guideline_of(guideline), policies, mpp=mpp, tumour_known=tumour_known)
    if case.tumour_known and len(cells) and not (cells["compartment"] == "invasive").any():
        return [_nothing_inside(len(cells)), _control(control)]
    gates = [_enough_cells(case), _control(control)]
    gates.append(missing_gate(cells, guideline, policies=policies, mpp=mpp, tumour_known=tumour_known))
    chosen = cells[counted(cells, tumour_known=bool(case.tumour_known)) & evaluable(cells)]
    return [*gates, _nuclear_pattern(chosen), _cytoplasmic_pattern(chosen)]


def _nothing_inside(n: int) -> Gate:
    words = (
        f"None of the slide's {n:,} cells lies in the tumour regions: check that they were drawn on this "
        "slide, in level-0 pixels and not in micrometres."
    )
    return Gate("tumour_region", "block", 0.0, words)


def _enough_cells(case: Case) -> Gate:
    n, least = case.counts.n, case.min_cells
    if n < least:
        words = f"{n} tumour cells could be evaluated, {least} are needed: "
        words += (
            "draw a larger tumour region, in level-0 pixels."
            if case.tumour_known
            else "score a larger area or draw the tumour."
        )
        return Gate("cells", "block", float(n), words)
    if case.guideline.rules and n < case.policies.caution_cells:
        words = f"Only {n} tumour cells could be evaluated: one more or less may change the score."
        return Gate("cells", "caution", float(n), words)
    return Gate("cells", "ok", float(n), f"{n:,} tumour cells could be evaluated.")


def _control(control: str) -> Gate:
    if control == "failed":
        return Gate("control", "block", control, "The control tissue failed: stain the case again.")
    if control == "unknown":
        return Gate(
            "control", "caution", control, "Control not documented: say --control valid once it was checked."
        )
    return Gate("control", "ok", control, "The control tissue is valid.")


def _nuclear_pattern(cells: pd.DataFrame) -> Gate:
    nucleus, membrane = (cells[c].to_numpy(np.float64) for c in ("nuclear_dab_od", "dab_od"))
    stained = (nucleus >= NUCLEAR_OD) | (membrane >= STAINED_OD)
    n = int(stained.sum())
    if n < LEAST_STAINED:
        return Gate("nuclear_pattern", "ok", None, f"{n} stained cells are too few to tell a pattern.")
    share = float(np.mean((nucleus >= NUCLEAR_OD) & (nucleus > membrane), where=stained))
    words = f"{share:.0%} of the stained cells are darker in the nucleus than along the membrane"
    if share >= NUCLEAR:
        return Gate(
            "nuclear_pattern", "block", share, f"{words}: this is no membrane stain; give the HER2 slide."
        )
    if share >= SOME_NUCLEAR:
        return Gate("nuclear_pattern", "caution", share, f"{words}: look at the overlay.")
    return Gate("nuclear_pattern", "ok", share, f"{words}.")


def _cytoplasmic_pattern(cells: pd.DataFrame) -> Gate:
    ridge = (cells["dab_od"] >= STAINED_OD) & (cells["completeness"] >= STAINED_SHARE)
    stained = (cells["cell_class"] != "0") | ridge  # cells of cytoplasmic stain are class 0
    ratio = cells.loc[stained & cells["membrane_ratio"].notna(), "membrane_ratio"]
    if len(ratio) < LEAST_STAINED:
        return Gate(
            "cytoplasmic_pattern", "ok", None, f"{len(ratio)} stained cells are too few to tell a pattern."
        )
    middle = float(ratio.median())
    words = f"In stained cells the membrane is {middle:.1f} times as dark as the cytoplasm"
    if middle < LEAST_RATIO:
        words = (
            f"{words}; below {LEAST_RATIO} much of the stain is cytoplasmic, which does not count: look "
            f"at the overlay."
        )
        return Gate("cytoplasmic_pattern", "caution", middle, words)
    return Gate("cytoplasmic_pattern", "ok", middle, f"{words}.")
