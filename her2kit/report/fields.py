"""Square fields of a slide: how many cells of each class each holds, and which a report shows in detail.

A report holds at most so many cells; the other fields are given as counts. Reads no pixels.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES

FIELD_UM = 256.0
"""Side of a field: 1,024 px at 0.25 um/px, some 300 to 500 tumour cells."""
MAX_FIELDS = 6_000
"""More fields than this would make the report slow; they are made larger instead."""
LEAST_CELLS = 50
"""Fields with fewer counted cells are not called hot or typical."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one slide that hold cells."""

    size_px0: int
    """Side of a field in level-0 pixels."""
    table: pd.DataFrame
    """One row a field: `column`, `row` (place in the lattice), `n` (all cells), `counted`, and the number of
    counted cells in each class ("0", "1+", "2+", "3+"); ordered by row and column."""
    field_of: np.ndarray
    """int64 (cells,): the row of `table` in which each cell lies."""

    @property
    def h_score(self) -> np.ndarray:
        """H-score by membrane class of each field, 0..300; NaN without counted cells."""
        numbers = self.table[list(CLASSES)].to_numpy(np.float64)
        total = numbers.sum(axis=1)
        return 100 * (numbers @ [0, 1, 2, 3]) / np.where(total > 0, total, np.nan)


def fields_of(cells: pd.DataFrame, counted: np.ndarray, *, mpp: float, field_um: float = FIELD_UM) -> Fields:
    """Lay a lattice of squares over the slide and count the cells in each.

    Parameters
    ----------
    cells : DataFrame
        The cell table.
    counted : bool array of shape (n,)
        Cells that the score counts.
    mpp : float
        Micrometres per level-0 pixel.
    field_um : float
        Side; doubled until no more than `MAX_FIELDS` fields hold cells.
    """
    size = max(1, round(field_um / mpp))
    x, y = cells["x_px0"].to_numpy(np.float64), cells["y_px0"].to_numpy(np.float64)
    while True:
        place = np.column_stack([np.floor(y / size), np.floor(x / size)]).astype(np.int64)
        places, field_of = np.unique(place.reshape(-1, 2), axis=0, return_inverse=True)
        if len(places) <= MAX_FIELDS:
            break
        size *= 2
    field_of = field_of.reshape(-1)
    usable = counted & cells["evaluable"].to_numpy(bool)
    columns = {"column": places[:, 1], "row": places[:, 0], "n": np.bincount(field_of, minlength=len(places))}
    classes = cells["cell_class"].astype(object).to_numpy()
    of_class = {c: np.bincount(field_of[usable & (classes == c)], minlength=len(places)) for c in CLASSES}
    columns["counted"] = sum(of_class.values(), np.zeros(len(places), np.int64))
    return Fields(size, pd.DataFrame(columns | of_class), field_of)


def choose_fields(fields: Fields, near_cut_off: np.ndarray, *, max_cells: int) -> dict[int, str]:
    """Choose the fields whose cells are shown one by one.

    All of them if they hold no more than `max_cells` cells. Otherwise in turn the field with the most stain,
    the one with the most counted cells, and the one with the most cells near a cut-off, until the next would
    not fit.

    Parameters
    ----------
    fields : Fields
    near_cut_off : int array of shape (k,)
        Rows of the cell table that lie nearest to a cut-off.
    max_cells : int
        Cells that may be shown.

    Returns
    -------
    dict from row of `fields.table` to why it was chosen, in the order of choice
    """
    table = fields.table
    if table["n"].sum() <= max_cells:
        return {i: "all" for i in range(len(table))}
    enough = table["counted"].to_numpy() >= LEAST_CELLS
    near = np.bincount(fields.field_of[near_cut_off], minlength=len(table))
    orders = {
        "most stained": np.where(enough, np.nan_to_num(fields.h_score), -1.0),
        "most tumour cells": table["counted"].to_numpy(np.float64),
        "nearest a cut-off": near.astype(np.float64),
    }
    queues = {why: iter(np.argsort(-value, kind="stable").tolist()) for why, value in orders.items()}
    chosen: dict[int, str] = {}
    left = max_cells
    sizes = table["n"].tolist()
    while True:
        for why, queue in queues.items():
            field = next((f for f in queue if f not in chosen), None)
            if field is None or sizes[field] > left:
                return chosen
            chosen[field] = why
            left -= sizes[field]


def hot_spot(fields: Fields) -> int | None:
    """Return the row of the field with the highest H-score among those with enough cells, or None."""
    enough = fields.table["counted"].to_numpy() >= LEAST_CELLS
    if not enough.any():
        return None
    return int(np.argmax(np.where(enough, np.nan_to_num(fields.h_score), -1.0)))
