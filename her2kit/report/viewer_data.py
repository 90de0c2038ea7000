"""What the report's viewer draws, packed small: cells as binary columns, fields as counts, pictures as JPEG.

`templates/viewer.js` unpacks it; the two belong together. Coordinates are level-0 pixels. Decides nothing
about cells.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely

from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR
from her2kit.report.fields import Fields
from her2kit.report.pictures import Pictures, data_uri, jpeg, rings

MEASUREMENTS: tuple[tuple[str, str, str, int], ...] = (
    ("dab_od", "membrane DAB", "OD", 2),
    ("completeness", "completeness", "%", 0),
    ("width_um", "stain width", "µm", 1),
    ("membrane_ratio", "membrane : cytoplasm", "", 1),
    ("nuclear_dab_od", "nuclear DAB", "OD", 2),
    ("area_um2", "nucleus area", "µm²", 0),
    ("confidence", "confidence", "", 2),
)
"""Column, label, unit and decimals of what the hover shows; completeness is shown in percent."""
_STEPS = 65_534  # of a measurement over its range; 65,535 is "missing"
_TOLERANCE_UM = 0.12  # of a simplified outline: half a pixel at 40x
_PICTURE_BYTES = 6_500_000
_PICTURE_PIXELS = 24_000_000
_COARSEST_MPP = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a slide the viewer shows in detail."""

    cells: int
    """Cells shown one by one."""
    pictures: int
    """Fields with a sharp picture."""
    mpp: float | None
    """Micrometres per pixel of these pictures; None without any."""
    data: dict[str, Any]
    """For the viewer; plain values that JSON holds."""


def pack(
    cells: pd.DataFrame,
    counted: np.ndarray,
    fields: Fields | None,
    chosen: Mapping[int, str],
    pictures: Pictures,
    *,
    picture_bytes: int = _PICTURE_BYTES,
) -> Shown:
    """Pack the chosen fields' cells and pictures, and the counts of all fields.

    Parameters
    ----------
    cells : DataFrame
        The cell table, whole.
    counted : bool array of shape (n,)
        Cells that the score counts.
    fields, chosen
        From `fields_of` and `choose_fields`; None and empty for a slide without cells.
    pictures : Pictures
    picture_bytes : int
        What all sharp pictures may weigh together as JPEG.
    """
    width, height = pictures.size_px0
    data: dict[str, Any] = {
        "width": round(width, 1),
        "height": round(height, 1),
        "mpp": pictures.mpp,
        "classes": [{"name": c, "colour": CLASS_COLOURS[c]} for c in CLASSES]
        + [{"name": "not evaluable", "colour": NOT_EVALUABLE_COLOUR}],
        "tissue": _plain_rings(pictures.tissue, pictures),
        "tumour": _plain_rings(pictures.tumour, pictures),
        "fieldSize": fields.size_px0 if fields else 0,
        "fields": [],
        "cells": None,
    }
    if fields is None or not len(fields.table):
        return Shown(0, 0, None, data)
    numbers = fields.table[["column", "row", *CLASSES]].to_numpy().tolist()
    order = sorted(chosen)
    shown = np.concatenate([np.flatnonzero(fields.field_of == f) for f in order] or [np.empty(0, np.int64)])
    starts = np.concatenate([[0], np.cumsum([int(fields.table["n"].iat[f]) for f in order])]).tolist()
    sharp, mpp = _sharp(fields, list(chosen), pictures, picture_bytes)
    data["fields"] = numbers
    data["detail"] = [
        {"field": f, "start": a, "end": b, "why": chosen[f], "picture": sharp.get(f)}
        for f, a, b in zip(order, starts[:-1], starts[1:], strict=True)
    ]
    data["cells"] = _packed_cells(cells.iloc[shown], counted[shown], pictures.mpp or 0.25)
    return Shown(len(shown), len(sharp), mpp, data)


def _plain_rings(shapes: Sequence, pictures: Pictures) -> list[list[float]]:
    """Return outlines as flat lists x, y, x, y in level-0 pixels, simplified to half an overview pixel."""
    scale = pictures.px0_per_px
    return [(r * scale).round(1).ravel().tolist() for r in rings(shapes, scale=1 / scale)]


def _sharp(
    fields: Fields, order: Sequence[int], pictures: Pictures, most_bytes: int
) -> tuple[dict[int, str], float | None]:
    """Return the pictures of the fields as data URIs, as fine as fits, and their mpp."""
    if pictures.read is None or pictures.mpp is None or not order:
        return {}, None
    side_um = fields.size_px0 * pictures.mpp
    mpp = max(pictures.mpp, 0.25, side_um * (len(order) / _PICTURE_PIXELS) ** 0.5)
    if mpp > _COARSEST_MPP:  # many fields with few cells: picture the fullest
        mpp = max(pictures.mpp, _COARSEST_MPP)
        most = int(_PICTURE_PIXELS / (side_um / mpp) ** 2)
        order = sorted(order, key=lambda f: (-int(fields.table["counted"].iat[f]), f))[:most]
    while True:
        found = {f: _picture(fields, f, pictures, mpp) for f in order}
        size = sum(len(p) for p in found.values())
        if size <= most_bytes:
            return {f: data_uri(p) for f, p in found.items()}, mpp
        mpp *= max(1.1, (size / most_bytes) ** 0.6)  # bytes fall a little slower than pixels


def _picture(fields: Fields, field: int, pictures: Pictures, mpp: float) -> bytes:
    if pictures.read is None or pictures.mpp is None:
        raise ValueError("pictures.read and pictures.mpp are needed for a sharp picture; pass both")
    side = max(1, round(fields.size_px0 * pictures.mpp / mpp))
    row, column = fields.table["row"].iat[field], fields.table["column"].iat[field]
    pixels = pictures.read(column * fields.size_px0, row * fields.size_px0, side, side, mpp)
    return jpeg(pixels, quality=78)


def _packed_cells(cells: pd.DataFrame, counted: np.ndarray, mpp: float) -> dict[str, Any]:
    """Return the cells as base64 of little-endian columns."""
    code = {name: i for i, name in enumerate(CLASSES)}
    classes = cells["cell_class"].astype(object).map(code)
    classes = classes.where(cells["evaluable"].to_numpy(bool)).fillna(len(CLASSES)).to_numpy(np.uint8)
    words = [sorted(set(cells[c].dropna())) for c in ("cell_type", "reason", "intensity", "compartment")]
    centre = cells[["x_px0", "y_px0"]].to_numpy(np.float64)
    packed: dict[str, Any] = {
        "n": len(cells),
        "x": _base64(centre[:, 0].astype("<f4")),
        "y": _base64(centre[:, 1].astype("<f4")),
        "cellClass": _base64(classes),
        "counted": _base64(counted.astype(np.uint8)),
        "words": words,
        "measurements": [],
    }
    for name, known in zip(("cellType", "reason", "intensity", "compartment"), words, strict=True):
        column = {"cellType": "cell_type"}.get(name, name)
        index = {w: i for i, w in enumerate(known)}
        packed[name] = _base64(cells[column].astype(object).map(index).fillna(255).to_numpy(np.uint8))
    for column, label, unit, digits in MEASUREMENTS:
        if column not in cells:
            continue
        values = cells[column].to_numpy(np.float64) * (100 if unit == "%" else 1)
        known = np.isfinite(values)
        if not known.any():
            continue
        low, high = float(values[known].min()), float(values[known].max())
        step = (high - low) / _STEPS or 1.0
        steps = np.where(known, np.round((np.where(known, values, low) - low) / step), _STEPS + 1)
        packed["measurements"].append(
            {"label": label, "unit": unit, "digits": digits, "low": low, "step": step}
            | {"values": _base64(steps.astype("<u2"))}
        )
    for name, column in (("outline", "outline"), ("nucleus", "nucleus_outline")):
        packed[name] = _packed_outlines(cells[column].tolist(), centre, _TOLERANCE_UM / mpp)
    return packed


def _packed_outlines(outlines: list, centre: np.ndarray, tolerance_px0: float) -> dict[str, Any]:
    """Return outlines as 8-bit offsets from the cell's centre, each cell with a step of its own.

    A step is 1/127 of the cell's largest offset, about a third of a pixel at 40x.
    """
    have = np.array([o is not None and len(o) >= 3 for o in outlines], dtype=bool)
    rows = np.flatnonzero(have)
    lengths = np.zeros(len(outlines), dtype=np.int64)
    steps = np.zeros(len(outlines))
    points = np.empty((0, 2))
    if len(rows):
        flat = np.concatenate([outlines[i] for i in rows]).astype(np.float64)
        owner = np.repeat(np.arange(len(rows)), [len(outlines[i]) for i in rows])
        offset = flat - centre[rows][owner]
        lines = shapely.simplify(shapely.polygons(shapely.linearrings(offset, indices=owner)), tolerance_px0)
        coordinates, owner = shapely.get_coordinates(shapely.get_exterior_ring(lines), return_index=True)
        last = np.append(owner[1:] != owner[:-1], True)
        points, owner = coordinates[~last], owner[~last]  # a ring's last point is its first
        largest = np.zeros(len(rows))
        np.maximum.at(largest, owner, np.abs(points).max(axis=1))
        steps[rows] = np.maximum(largest, 1e-6) / 127
        points = np.round(points / steps[rows][owner, None])
        lengths[rows] = np.bincount(owner, minlength=len(rows))
    return {
        "lengths": _base64(lengths.astype("<u2")),
        "steps": _base64(steps.astype("<f4")),
        "points": _base64(points.astype(np.int8)),
    }


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
