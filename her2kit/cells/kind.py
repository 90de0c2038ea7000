"""What kind of cell a nucleus belongs to, from hematoxylin morphology alone. Weak evidence.

DAB is never looked at: a rule that knew the stain would choose the denominator by the result. Epithelium-like
cells are called ``tumour``; normal and in-situ glands are among them, and so is much inflammation, so a
reader's tumour region is always better. A single nucleus says little (area under the ROC curve .65-.68 on
three HER2 cores, stained against unstained cells), its neighbourhood more: epithelium comes in sheets of
broad, round, not too dark nuclei (.82, .78 and .84). Of the stained cells 87, 90 and 82 % are kept, of the
others 60, 52 and 70 % rejected. Smoothing kinds over neighbours is Yuan's idea, and so is what tells
lymphocytes (small, round, dark) and stroma (elongated) apart; the numbers are ours.

References
----------
Yuan Y et al. Quantitative image analysis of cellular heterogeneity in breast tumors complements genomic
profiling. Sci Transl Med 2012;4:157ra143.
"""

import numpy as np
import pandas as pd

from her2kit.cells.table import CellType

NEIGHBOURS_UM = 25.0
"""Radius of the neighbourhood, three to four cells; from 20 to 30 um the results hardly differ."""

# A logistic rule on the means over the neighbourhood, fitted on three HER2 cores (stained against unstained
# cells, cores and classes weighted alike) and rounded; a core left out scored like one left in.
_PER_MINOR_UM = 1.0  # breadth of the nucleus: median 5.5-6.1 um in glands, 4.8-5.0 elsewhere
_PER_AXIS_RATIO = 12.0  # median .69-.72 against .61-.66
_PER_DARKNESS = -2.4  # hematoxylin over the slide's median: lymphocytes are dark
_EPITHELIUM = 10.5  # score from which a neighbourhood is epithelium-like; balanced would be 11

_FRAGMENT_UM2 = 15.0  # smaller: debris, apoptotic bodies, grazed nuclei
_LYMPHOCYTE_UM2 = 38.0  # a lymphocyte's nucleus is about 7 um wide
_LYMPHOCYTE_AXIS_RATIO = 0.65
_DARK = 1.15  # hematoxylin over the slide's median, among neighbours that are not epithelium-like
_VERY_DARK = 1.5  # the same within epithelium


def cell_types(cells: pd.DataFrame, xy_um: np.ndarray | None = None) -> np.ndarray:
    """Name the kind of each cell.

    Call it once on all cells of a slide: it compares with the slide's median and looks at neighbours.

    Parameters
    ----------
    cells
        Columns `area_um2`, `axis_ratio`, `hematoxylin_od` of `find_nuclei`.
    xy_um
        (n, 2), centres in um. None: each nucleus alone decides, which is little better than chance.

    Returns
    -------
    object (n,)
        ``tumour`` (epithelium-like), ``lymphocyte``, ``stromal`` or ``other``, as `CellType` has them.
        The order of the cells does not matter.

    Raises
    ------
    ValueError
        If a column is missing, or `xy_um` does not hold two numbers a cell.
    """
    missing = [c for c in ("area_um2", "axis_ratio", "hematoxylin_od") if c not in cells]
    if missing:
        raise ValueError(f"cells has no column {missing[0]}; pass the table of find_nuclei")
    n = len(cells)
    if xy_um is not None and np.shape(xy_um) != (n, 2):
        raise ValueError(f"xy_um has shape {np.shape(xy_um)}; pass ({n}, 2), one centre in um a cell")
    if n == 0:
        return np.empty(0, dtype=object)
    area = cells["area_um2"].to_numpy(dtype=np.float64)
    ratio = cells["axis_ratio"].to_numpy(dtype=np.float64)
    hematoxylin = cells["hematoxylin_od"].to_numpy(dtype=np.float64)
    darkness = hematoxylin / max(float(np.median(hematoxylin)), 0.01)
    minor_um = 2 * np.sqrt(area / np.pi * ratio)
    score = _PER_MINOR_UM * minor_um + _PER_AXIS_RATIO * ratio + _PER_DARKNESS * darkness
    epithelium = (score if xy_um is None else _neighbourhood_mean(score, xy_um)) > _EPITHELIUM
    small_round = (area <= _LYMPHOCYTE_UM2) & (ratio >= _LYMPHOCYTE_AXIS_RATIO)
    lymphocyte = small_round & (darkness >= np.where(epithelium, _VERY_DARK, _DARK))
    kinds = np.full(n, str(CellType.STROMAL), dtype=object)
    kinds[epithelium] = str(CellType.TUMOUR)
    kinds[lymphocyte] = str(CellType.LYMPHOCYTE)
    kinds[area < _FRAGMENT_UM2] = str(CellType.OTHER)
    return kinds


def _neighbourhood_mean(value: np.ndarray, xy_um: np.ndarray) -> np.ndarray:
    """Mean over the cells within `NEIGHBOURS_UM`, the cell itself included."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(xy_um).query_pairs(NEIGHBOURS_UM, output_type="ndarray")
    whole = np.rint(value * 2**16)  # whole numbers: the sum does not depend on the order
    first, second = pairs[:, 0], pairs[:, 1]
    n = len(value)
    total = whole + np.bincount(first, whole[second], minlength=n) + np.bincount(second, whole[first], n)
    count = 1 + np.bincount(first, minlength=n) + np.bincount(second, minlength=n)
    return total / 2**16 / count
