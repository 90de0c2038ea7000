"""Class of each cell from its membrane measurement: completeness x intensity, by guideline.

Takes a measured cell table, gives it back with `intensity` and `cell_class`. It measures nothing and knows no
slide: the slide's score is `scoring.guideline`'s. Cells that could not be evaluated get neither word.

References
----------
Wolff AC et al. HER2 testing in breast cancer: ASCO/CAP guideline focused update. J Clin Oncol 2018;36:2105.
Ruschoff J et al. HER2 testing in gastric cancer: a practical approach. Mod Pathol 2012;25:637. Cut-offs in OD
are this kit's: they separated real cores of known score (gastro-oesophageal, about 0.25 um/px).
"""

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES, Intensity

FAINT_OD = 0.10
"""`dab_od` of a 1+ cell at least; unstained cores reach .05-.14 in their 97th percentile of cells."""
WEAK_OD = 0.20
"""Of a 2+ cell at least; anything in .15-.30 separated the cores."""
MODERATE_OD = 0.30
"""Upper end of that range: from here incomplete stain is 2+ in breast (ASCO/CAP 2018, unusual patterns)."""
INTENSE_OD = 0.50
"""Of a 3+ cell at least; lower values called cells of 2+ cores intense."""

STAINED_SHARE = 0.2
"""Share of the perimeter from which a cell is stained at all; less is dots, pigment or a neighbour's wall."""
GASTRIC_SHARES = (0.2, 0.4, 0.5)
"""Share of the perimeter that 1+, 2+ and 3+ ask for as evidence. Completeness is no criterion in stomach: a
cell stained on both sides alone (lateral, U-shaped) has about half its perimeter stained."""
COMPLETE_AT = 0.80
"""Share of the perimeter called complete in breast: a policy (0.7 to 0.95), never tuned on gastric cores."""

CYTOPLASM_RATIO = 1.5
"""Membrane over cytoplasm below which it is cytoplasm that is stained, not membrane. Cytoplasmic stain has
1.5-2.2 (flagged by `scoring.gates`), a rim of it without any membrane 1.1-1.5, 2+ and 3+ cells 2.4-3.1."""

_INTENSITIES = tuple(str(i) for i in Intensity)
_NEEDED = ("dab_od", "completeness", "membrane_ratio", "evaluable")


def grade_cells(
    measured: pd.DataFrame,
    *,
    scheme: str = "breast",
    complete_at: float = COMPLETE_AT,
    complete_faint_as: str = "1+",
) -> pd.DataFrame:
    """Give each evaluable cell its intensity and its class.

    Parameters
    ----------
    measured
        Cells with `dab_od`, `completeness` (0..1), `membrane_ratio` (NaN: not known) and `evaluable`, as
        `cells.membrane` or the cell table has them. Words that are already there are replaced.
    scheme
        ``breast``: complete and intense 3+; complete and weak or moderate, or incomplete and moderate or
        intense 2+; any other stain 1+. ``gastric``: by intensity, faint 1+, weak or moderate 2+, intense 3+;
        a cell that lacks the share of perimeter of one class (`GASTRIC_SHARES`) falls to the next.
    complete_at
        Share of the perimeter from which stain is complete, in (0, 1]; breast alone asks for it.
    complete_faint_as
        Class of complete but faint stain in breast, ``1+`` or ``2+``.

    Returns
    -------
    DataFrame
        A copy with the columns `intensity` and `cell_class` (null where not evaluable).

    Raises
    ------
    ValueError
        If a column is missing or an argument is none of the above.
    """
    for name in _NEEDED:
        if name not in measured:
            raise ValueError(f"measured has no column {name}; pass what measure_membranes gave")
    if scheme not in ("breast", "gastric"):
        raise ValueError(f"scheme is {scheme!r}; use 'breast' or 'gastric'")
    if not 0 < complete_at <= 1:
        raise ValueError(f"complete_at is {complete_at!r}; pass a share of the perimeter in (0, 1]")
    if complete_faint_as not in ("1+", "2+"):
        raise ValueError(f"complete_faint_as is {complete_faint_as!r}; use '1+' or '2+'")
    od = measured["dab_od"].to_numpy(np.float32)
    share = measured["completeness"].to_numpy(np.float32)
    cytoplasmic = measured["membrane_ratio"].to_numpy(np.float32) < np.float32(CYTOPLASM_RATIO)
    level = np.where(cytoplasmic, 0, _intensity_levels(od, share))
    if scheme == "breast":
        rank = _breast(level, share >= np.float32(complete_at), 2 if complete_faint_as == "2+" else 1)
    else:
        rank = _gastric(level, share)
    usable = measured["evaluable"].to_numpy(bool) & ~np.isnan(od) & ~np.isnan(share)
    return measured.assign(
        intensity=_words(_INTENSITIES, level, usable, measured.index),
        cell_class=_words(CLASSES, rank, usable, measured.index),
    )


def _intensity_levels(od: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return 0 none, 1 faint, 2 weak, 3 moderate, 4 intense; none where too little perimeter is stained."""
    cuts = np.array([FAINT_OD, WEAK_OD, MODERATE_OD, INTENSE_OD], np.float32)
    level = np.searchsorted(cuts, od, side="right")
    return np.where(share >= np.float32(STAINED_SHARE), level, 0)


def _breast(level: np.ndarray, complete: np.ndarray, complete_faint: int) -> np.ndarray:
    """Return 0..3 by the table of her2-rules, "One cell"."""
    when_complete = np.array([0, complete_faint, 2, 2, 3])[level]
    when_incomplete = np.array([0, 1, 1, 2, 2])[level]
    return np.where(complete, when_complete, when_incomplete)


def _gastric(level: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return 0..3: the class of the intensity, or the next lower one whose share of perimeter is there."""
    by_intensity = np.array([0, 1, 2, 2, 3])[level]
    by_share = np.searchsorted(np.array(GASTRIC_SHARES, np.float32), share, side="right")
    return np.minimum(by_intensity, by_share)


def _words(words: tuple[str, ...], index: np.ndarray, usable: np.ndarray, rows: pd.Index) -> pd.Series:
    out = np.array(words, dtype=object)[np.where(usable, index, 0)]
    out[~usable] = None
    return pd.Series(out, index=rows, dtype="str")
