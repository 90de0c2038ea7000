"""How probable each class is for a cell, given that its membrane's measurement has an error.

A cell just above a cut-off may as well lie below it. Each measurement is moved to and fro by its error, and
each time the cell is graded anew by `cells.grade`: the share of the moves that end in a class is its
probability. Weights and places of the moves are those of Gauss and Hermite. Says nothing of nuclei found in
the wrong place, nor of a slide stained wrongly as a whole.
"""

import numpy as np
import pandas as pd

from her2kit.cells.grade import grade_cells
from her2kit.cells.table import CLASSES

OD_ERROR, OD_ERROR_SHARE = 0.02, 0.08
"""Standard deviation of a cell's `dab_od`: 0.02 OD and 8 % of itself. On phantoms it is .03 at .17 OD, .04 at
.27, .05 at .43 and .07 at .7 (planted against measured, `benchmarks/labels.py`)."""
COMPLETENESS_ERROR = 0.2
"""Standard deviation of a stained cell's completeness, .16 to .24 on phantoms."""
_MOVES = 7


def class_probabilities(
    cells: pd.DataFrame,
    *,
    scheme: str = "breast",
    od_error: float = OD_ERROR,
    od_error_share: float = OD_ERROR_SHARE,
    completeness_error: float = COMPLETENESS_ERROR,
) -> np.ndarray:
    """Return the probability of each class, float64 (n, 4) in the order of `CLASSES`.

    Parameters
    ----------
    cells
        With `dab_od`, `completeness`, `membrane_ratio` and `evaluable`.
    scheme
        As in `cells.grade.grade_cells`.
    od_error, od_error_share, completeness_error
        Standard deviations of the measurement: OD, share of the OD, share of the perimeter.

    Returns
    -------
    Rows sum to 1; they are nan where a cell could not be measured.

    Raises
    ------
    ValueError
        If an error is negative, or what `grade_cells` raises.
    """
    if min(od_error, od_error_share, completeness_error) < 0:
        raise ValueError("od_error, od_error_share and completeness_error are standard deviations: give >= 0")
    place, weight = np.polynomial.hermite_e.hermegauss(_MOVES)
    weight = weight / weight.sum()
    od = cells["dab_od"].to_numpy(np.float64)
    share = cells["completeness"].to_numpy(np.float64)
    measured = cells[["membrane_ratio", "evaluable"]]
    out = np.zeros((len(cells), len(CLASSES)))
    rows = np.arange(len(cells))
    usable = np.ones(len(cells), bool)
    for a, wa in zip(place, weight, strict=True):
        for b, wb in zip(place, weight, strict=True):
            moved = measured.assign(
                dab_od=np.maximum(od + a * (od_error + od_error_share * np.maximum(od, 0)), 0),
                completeness=np.clip(share + b * completeness_error * (share > 0), 0, 1),
            )
            codes = pd.Categorical(
                grade_cells(moved, scheme=scheme)["cell_class"], categories=list(CLASSES)
            ).codes
            usable = codes >= 0
            out[rows[usable], codes[usable]] += wa * wb
    out[~usable] = np.nan
    return out
