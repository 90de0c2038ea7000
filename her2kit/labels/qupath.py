"""The same reading in QuPath: a reader's cells out as GeoJSON, edited there, the difference back.

QuPath does not tell a cell that was looked at from one that was not. So only cells whose class differs from
what was handed out become decisions, unless the reader says that the rest is right as it stands.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from her2kit.cells.table import CLASSES
from her2kit.errors import ReviewError
from her2kit.exchange.cell_text import OTHER, feature_id
from her2kit.exchange.corrections import NOT_EVALUABLE, CellEdit, read_corrections
from her2kit.exchange.geojson import write_cells_geojson
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import CANNOT_LABEL, NOT_TUMOUR

IN_QUPATH = {NOT_TUMOUR: OTHER[0], CANNOT_LABEL: None} | {c: c for c in CLASSES}
"""Label to the class that `exchange.geojson` writes; None is its ``not evaluable``."""
UNCHANGED = "unchanged in QuPath"


@dataclass(frozen=True, slots=True)
class Imported:
    """What `import_reading` added to the log."""

    changed: int
    """Cells given another label."""
    confirmed: int
    """Cells whose label was said to be right as it stood."""
    regions: int
    """Annotations in the file, which a reading of cells does not take."""


def export_reading(reading: Reading, out: str | os.PathLike) -> list[Path]:
    """Write a reader's cells, one GeoJSON a slide, with the labels as they stand; return the paths.

    Undecided cells have the label they came with. Blind, or without one, they are ``not evaluable``.
    """
    table, paths = with_label(reading), []
    for slide_id, cells in table.groupby("slide_id", sort=True):
        path = Path(out) / f"{slide_id}_{reading.round}_{reading.reader}.geojson"
        write_cells_geojson(path, for_qupath(cells, cells["label"]), slide_id=str(slide_id))
        paths.append(path)
    return paths


def import_reading(reading: Reading, edited: str | os.PathLike, *, rest_is_right: bool = False) -> Imported:
    """Take what a reader changed in QuPath into the log, all or nothing.

    Parameters
    ----------
    edited
        A file that `export_reading` wrote, as edited in QuPath. Cells that it lacks stay as they were.
    rest_is_right
        Also log every undecided cell of the file as it stands there.

    Raises
    ------
    RegionError
        If the file is missing, no GeoJSON, or holds a class that is not known.
    ReviewError
        If it holds cells that are not this reader's, changes nothing, or the log cannot be written to.
    """
    corrections = read_corrections(edited)
    table = with_label(reading)
    row_of = {feature_id(s, c): i for i, (s, c) in enumerate(reading.keys)}
    strange = [key for key in corrections.cells if key not in row_of]
    if strange:
        raise ReviewError(
            f"{edited}: {len(strange):,} of its {len(corrections.cells):,} cells are none of "
            f"{reading.reader}'s in the {reading.round} round (the first: {strange[0]}); edit a file of "
            f"her2kit review export --reader {reading.reader}"
        )
    changed, confirmed = [], []
    for key, edit in corrections.cells.items():
        row = row_of[key]
        now, said = table["label"].iat[row], _said(edit)
        if said is None:
            continue
        if said != (CANNOT_LABEL if now is None else now):
            changed.append((*reading.keys[row], said, f"QuPath: {Path(edited).name}"))
        elif rest_is_right and reading.keys[row] not in reading.labels:
            confirmed.append((*reading.keys[row], said, UNCHANGED))
    if not changed and not confirmed:
        raise ReviewError(
            f"{edited}: changes nothing; change classes in QuPath and export again, or --rest-is-right"
        )
    reading.decide_all([*changed, *confirmed])
    return Imported(len(changed), len(confirmed), len(corrections.regions))


def for_qupath(cells: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Return cells with their labels as the classes that `exchange.geojson` writes."""
    classes = pd.Series([IN_QUPATH.get(x) if isinstance(x, str) else None for x in labels], dtype=object)
    out = cells.reset_index(drop=True).assign(cell_class=classes)
    for name in ("outline", "nucleus_outline"):
        if name not in out:
            out[name] = pd.Series([None] * len(out), dtype=object)
    return out.drop(columns=["given", "label"], errors="ignore")


def with_label(reading: Reading) -> pd.DataFrame:
    """Return a reader's cells with the label that stands, else the given one where it is not hidden."""
    table = reading.table()
    given = [None] * len(table) if reading.blind else table["given"].tolist()
    label = [g if x is None else x for x, g in zip(table["label"], given, strict=True)]
    return table.assign(label=pd.Series(label, dtype=object))


def _said(edit: CellEdit) -> str | None:
    """Return the label that an edited cell has; None where its class says nothing of it."""
    if edit.cell_type not in (None, "tumour"):
        return NOT_TUMOUR
    return CANNOT_LABEL if edit.cell_class == NOT_EVALUABLE else edit.cell_class
