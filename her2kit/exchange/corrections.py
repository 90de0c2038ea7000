"""What a reader changed in QuPath: classes of cells by their id, and regions drawn, from one edited GeoJSON.

A cell is told by the `id` that `geojson.write_cells_geojson` gave it. Knows neither the slide nor what a
class means for the score.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from her2kit.errors import RegionError
from her2kit.exchange.cell_text import CLASS_RGB
from her2kit.exchange.features import read_features
from her2kit.exchange.geojson import Region, region_of

NOT_EVALUABLE = "not evaluable"
TYPES = {
    "tumor": "tumour", "tumour": "tumour", "stroma": "stromal", "stromal": "stromal",
    "immune cells": "lymphocyte", "lymphocyte": "lymphocyte", "lymphocytes": "lymphocyte",
    "macrophage": "macrophage", "macrophages": "macrophage", "other": "other", "necrosis": "other",
}  # fmt: skip
"""Kinds of cells in QuPath's words and ours, in lower case."""
_IGNORED = (NOT_EVALUABLE, "ignore*", "ignore", "")
_CELLS = ("cell", "detection", "tile")  # QuPath's object types that hold no annotation


@dataclass(frozen=True, slots=True)
class CellEdit:
    """What a file says of one cell."""

    cell_class: str | None
    """"0" to "3+", `NOT_EVALUABLE`, or None: not said."""
    cell_type: str | None
    """A word of `TYPES`, or None: not said."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """An edited file."""

    cells: dict[str, CellEdit]
    """By the id of the Feature."""
    regions: list[Region]
    """Areas that were drawn; empty where none were."""


def read_corrections(path: str | os.PathLike) -> Corrections:
    """Read an edited GeoJSON.

    Raises
    ------
    RegionError
        If the file is missing or unreadable, a cell has no id, two Features of one id differ, a class is not
        known, or a region is invalid; one line with what to do.
    """
    path = Path(path)
    cells: dict[str, CellEdit] = {}
    regions: list[Region] = []
    for number, feature in enumerate(read_features(path), start=1):
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        name = _name(properties)
        if properties.get("objectType") in _CELLS or "nucleusGeometry" in feature:
            edit, key = _edit(path, number, name), feature.get("id")
            if not isinstance(key, str):
                raise RegionError(
                    f"{path}: cell {number} has no id; edit the slide's cells.geojson and export it with ids"
                )
            if cells.setdefault(key, edit) != edit:
                raise RegionError(
                    f"{path}: cell {key} is there twice, with different classes; keep one of them"
                )
        elif (region := region_of(path, number, name or "unnamed", feature.get("geometry"))) is not None:
            regions.append(region)
    if not cells and not regions:
        raise RegionError(f"{path}: neither a cell nor a region in it; export the edited objects from QuPath")
    return Corrections(cells, regions)


def _edit(path: Path, number: int, name: str) -> CellEdit:
    """Return what a class name such as ``2+``, ``Tumor: 2+`` or ``Ignore*`` says."""
    cell_class = cell_type = None
    for word in (w.strip() for w in name.split(":")):
        if word in CLASS_RGB:
            cell_class = word
        elif word.lower() in _IGNORED:
            cell_class = NOT_EVALUABLE
        elif word.lower() in TYPES:
            cell_type = TYPES[word.lower()]
        else:
            raise RegionError(
                f"{path}: cell {number} has the class {word!r}; use one of {', '.join(CLASS_RGB)}, "
                f"{NOT_EVALUABLE}, {', '.join(sorted(TYPES))}"
            )
    return CellEdit(cell_class, cell_type)


def _name(properties: dict) -> str:
    classification = properties.get("classification")
    if isinstance(classification, dict):
        names = classification.get("names")  # QuPath 0.5 and later write derived classes as a list
        return str(classification.get("name") or (": ".join(map(str, names)) if names else ""))
    return str(properties.get("name") or "")
