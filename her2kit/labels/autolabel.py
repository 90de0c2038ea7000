"""Labels of cells out of labels of patches: R1's rule, and ours, which asks each membrane.

A patch has one class; its cells have not. R1 lets a detector of positive and negative tumour cells (trained
on PD-L1) decide: in a patch of class 0 or 1+ every tumour cell gets the patch's class, in one of 2+ or 3+ the
negative cells get 0 and the positive ones the patch's class. Ours gives a cell the class that its own
membrane was measured at, and says whether the patch agrees. Cells that are no tumour cells get no label.

Who calls a cell positive is an argument: `calls_of_membranes` needs no network; a detector's words do as
well. R1 is the reference system that was trained on HER2-IHC-40x (Nabi et al., Data in Brief 2025, 111922).
"""

import numpy as np
import pandas as pd

from her2kit.cells.grade import FAINT_OD, STAINED_SHARE
from her2kit.cells.table import CLASSES
from her2kit.errors import LabelError
from her2kit.labels.certainty import class_probabilities

NEGATIVE, POSITIVE, OTHER = "negative", "positive", "non-tumour"
CALLS = (NEGATIVE, POSITIVE, OTHER)
"""What the auto-labelling detector says of a cell, in the order of R1's class numbers."""
RULES = ("patch", "membrane")
_UNIFORM = ("0", "1+")
"""Classes of patches whose cells all get the patch's class."""
COLUMNS = (
    "cell_id",
    "slide_id",
    "x_px0",
    "y_px0",
    "cell_class",
    "confidence",
    "call",
    "patch_class",
    "agrees",
)


def calls_of_membranes(
    cells: pd.DataFrame, *, least_od: float = FAINT_OD, least_share: float = STAINED_SHARE
) -> pd.Series:
    """Call tumour cells positive where any membrane stain was measured, negative where none was.

    Parameters
    ----------
    cells
        With `dab_od`, `completeness` and `cell_type`, as the cell table has them.
    least_od, least_share
        OD along the membrane and share of the perimeter from which a cell is positive; by default those of a
        1+ cell (`cells.grade`).

    Returns
    -------
    Series of `CALLS`, on the index of `cells`. A tumour cell without a measurement is negative.
    """
    _need(cells, "dab_od", "completeness", "cell_type")
    stained = (cells["dab_od"] >= least_od) & (cells["completeness"] >= least_share)
    words = np.where(cells["cell_type"] != "tumour", OTHER, np.where(stained, POSITIVE, NEGATIVE))
    return pd.Series(words, index=cells.index, dtype="str")


def patch_rule(calls: pd.Series, patch_class: pd.Series) -> pd.Series:
    """Return the label that R1's rule gives each cell; null for what is no tumour cell.

    Parameters
    ----------
    calls
        A word of `CALLS` a cell.
    patch_class
        The class of the patch that the cell lies in, "0" to "3+", on the same index.

    Raises
    ------
    LabelError
        If a call or a class is not known; the message names the row and the word.
    """
    if not calls.index.equals(patch_class.index):
        raise ValueError("calls and patch_class differ in their index; give one of each a cell")
    _known("calls", calls, CALLS)
    _known("patch_class", patch_class, CLASSES)
    label = patch_class.astype(object).where(
        patch_class.isin(_UNIFORM) | (calls == POSITIVE), str(CLASSES[0])
    )
    return label.where(calls != OTHER, None).rename("cell_class")


def autolabel(
    cells: pd.DataFrame, patch_class: pd.Series, *, rule: str = "patch", calls: pd.Series | None = None
) -> pd.DataFrame:
    """Label the tumour cells of patches.

    Parameters
    ----------
    cells
        Measured and graded cells (`cells.grade`): the columns of the cell table.
    patch_class
        Class of each cell's patch, on the index of `cells`.
    rule
        ``patch``: R1's. ``membrane``: the cell's measured class; a cell that could not be measured keeps the
        patch rule's label.
    calls
        Words of `CALLS` of a detector; None asks the membrane (`calls_of_membranes`).

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a labelled cell, on the index of `cells`: ``cell_class`` is the label,
        ``confidence`` how probable it is by the membrane's measurement (0..1, nan where there is none),
        ``agrees`` whether measurement and patch rule say the same. Non-tumour cells have no row.

    Raises
    ------
    LabelError
        If a call or a class is not known.
    ValueError
        If a column is missing or `rule` is none of `RULES`.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}; use one of {', '.join(RULES)}")
    _need(cells, "cell_id", "slide_id", "x_px0", "y_px0", "cell_class")
    calls = calls_of_membranes(cells) if calls is None else calls
    by_patch = patch_rule(calls, patch_class)
    measured = cells["cell_class"].astype(object).where(cells["cell_class"].notna(), None)
    label = by_patch if rule == "patch" else measured.where(measured.notna(), by_patch)
    chance = class_probabilities(cells)
    place = pd.Categorical(label, categories=list(CLASSES)).codes
    out = cells[["cell_id", "slide_id", "x_px0", "y_px0"]].assign(
        cell_class=label,
        confidence=np.where(place >= 0, chance[np.arange(len(cells)), place], np.nan).astype(np.float32),
        call=calls,
        patch_class=patch_class,
        agrees=(measured == by_patch).to_numpy(bool),
    )
    return out.loc[(calls != OTHER).to_numpy(), list(COLUMNS)]


def _need(cells: pd.DataFrame, *names: str) -> None:
    missing = [name for name in names if name not in cells]
    if missing:
        raise ValueError(f"cells has no column {missing[0]!r}; pass a measured and graded cell table")


def _known(name: str, words: pd.Series, known: tuple[str, ...]) -> None:
    strange = ~words.isin(known)
    if strange.any():
        row = words.index[strange][0]
        raise LabelError(
            f"{name} is {words[row]!r} in row {row} ({int(strange.sum())} such rows); use one of "
            f"{', '.join(known)}"
        )
