"""Where a slide's stain lies in the cytoplasm, cells too tight to show theirs are held against the others'.

A thin strip of stained cytoplasm between two nuclei looks like a wall: it is dark, narrow, and falls off on
both sides. A cell with room tells, as its membrane is no darker than what lies before it; a tight one cannot.
So where many cells plainly have stain in the cytoplasm alone, that of the others is taken to be as dark as
theirs may be. Takes and gives the cells of a whole slide; gives no class.
"""

import numpy as np
import pandas as pd

from her2kit.cells.grade import CYTOPLASM_RATIO, FAINT_OD, STAINED_SHARE
from her2kit.cells.membrane import MIN_CYTOPLASM_OD

PLAINLY = 0.10
"""Share of the cells with a ridge whose cytoplasm is as dark, from which the slide's stain is cytoplasmic:
real cores at most .014, phantoms of membrane stain .04, of cytoplasmic stain .19 and more."""
AS_DARK_AS = 0.90
"""Quantile of the cytoplasm of those cells that the others are held against."""
LEAST_CELLS = 30
"""Cells with a ridge that it takes to say so."""


def held_against_cytoplasm(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with `membrane_ratio` over the slide's cytoplasm where that is darker than their own.

    Parameters
    ----------
    cells
        All cells of a slide, measured: `dab_od`, `completeness`, `cytoplasm_dab_od`, `evaluable`.

    Returns
    -------
    DataFrame
        The same table unless the slide's stain is cytoplasmic (`PLAINLY`). A second call changes nothing.
    """
    od, own = (cells[name].to_numpy(np.float64) for name in ("dab_od", "cytoplasm_dab_od"))
    ridge = cells["evaluable"].to_numpy(bool) & (cells["completeness"].to_numpy() >= STAINED_SHARE)
    told = ridge & (od >= FAINT_OD) & ~np.isnan(own)
    plain = told & (od < CYTOPLASM_RATIO * own)
    if told.sum() < LEAST_CELLS or plain.sum() <= PLAINLY * told.sum():
        return cells
    dark = np.fmax(own, max(float(np.quantile(own[plain], AS_DARK_AS)), MIN_CYTOPLASM_OD))
    return cells.assign(membrane_ratio=(od / dark).astype(np.float32))
