"""Rows of the cell table as GeoJSON text: ids, classes, numbers, valid polygons (for `geojson`).

Formats whole blocks of cells at a time. Opens no file.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Sequence

import numpy as np
import pandas as pd
import shapely
from shapely.geometry import Polygon

from her2kit.exchange.digits import json_rings, surely_simple

CLASS_RGB = {"0": (59, 111, 182), "1+": (246, 208, 77), "2+": (240, 138, 36), "3+": (194, 24, 43)}
"""Colours of the classes, those of `cells.table` (a leaf cannot import it; a test keeps the two equal)."""
NOT_EVALUABLE = ("not evaluable", (138, 138, 138))
OTHER = ("Other", (95, 141, 119))
"""QuPath's class of cells that are no tumour cells, for labels that say so."""
_VARIANT = np.zeros(256, np.uint8)
_VARIANT[list(b"0123456789abcdef")] = list(b"89ab" * 4)
"""The hexadecimal digit whose two highest bits are replaced by the variant's."""


def feature_id(slide_id: str, cell_id: str) -> str:
    """Return the UUID5 that names a cell in GeoJSON; corrections join on it."""
    return str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, f"her2kit:{slide_id}"), cell_id))


def cell_lines(rows: pd.DataFrame, names: Sequence[str], slide_id: str) -> tuple[list[bytes], int, int]:
    """Return one Feature a row as JSON, the number of outlines mended, and of cells that became points."""
    cell_text, mended = _polygons(rows["outline"])
    nucleus_text, mended_nuclei = _polygons(rows["nucleus_outline"])
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"her2kit:{slide_id}").bytes
    heads = {c: _properties_head(c) for c in (*CLASS_RGB, OTHER[0], None)}
    classes = [c if c in heads else None for c in rows["cell_class"].tolist()]
    dropped = 0
    lines = []
    for feature, x, y, cell, nucleus, cell_class, measured in zip(
        _uuids(space, rows["cell_id"].tolist()),
        rows["x_px0"].tolist(),
        rows["y_px0"].tolist(),
        cell_text,
        nucleus_text,
        classes,
        _measurements(rows, names),
        strict=True,
    ):
        if not cell:
            dropped += 1
            cell = b'{"type":"Point","coordinates":[%.2f,%.2f]}' % (x, y)
        if nucleus:
            nucleus = b',"nucleusGeometry":' + nucleus
        lines.append(
            b'{"type":"Feature","id":"%b","geometry":%b%b,%b%b}}}'
            % (feature, cell, nucleus, heads[cell_class], measured)
        )
    return lines, mended + mended_nuclei, dropped


def _uuids(space: bytes, names: Sequence[str]) -> list[bytes]:
    """Return the texts of UUID5s (RFC 9562, 5.5): what `uuid.uuid5` gives, in a tenth of its time."""
    base = hashlib.sha1(space, usedforsecurity=False)
    digests = []
    for name in names:
        one = base.copy()
        one.update(name.encode())
        digests.append(one.digest())
    hexes = np.frombuffer(b"".join(digests).hex().encode(), dtype=np.uint8).reshape(-1, 40)
    texts = np.full((len(names), 36), ord("-"), dtype=np.uint8)
    for start, end, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        texts[:, at : at + end - start] = hexes[:, start:end]
    texts[:, 14] = ord("5")
    texts[:, 19] = _VARIANT[hexes[:, 16]]
    whole = texts.tobytes()
    return [whole[k : k + 36] for k in range(0, len(whole), 36)]


def _properties_head(cell_class: str | None) -> bytes:
    named = dict([OTHER]) | CLASS_RGB
    name, rgb = NOT_EVALUABLE if cell_class is None else (cell_class, named[cell_class])
    label = json.dumps({"name": name, "color": list(rgb)}, separators=(",", ":"))
    return f'"properties":{{"objectType":"cell","classification":{label},"measurements":{{'.encode()


def _measurements(rows: pd.DataFrame, names: Sequence[str]) -> list[bytes]:
    """Return the members of each row's measurement object; a missing number leaves its member out."""
    values = rows[names].to_numpy(dtype=np.float64, na_value=np.nan)
    formats = ["%.2f" if name in ("x_px0", "y_px0") else "%.6g" for name in names]
    members = [f"{json.dumps(name).replace('%', '%%')}:{f}" for name, f in zip(names, formats, strict=True)]
    every = ",".join(members)
    complete = np.isfinite(values).all(axis=1).tolist()
    return [
        (
            every % tuple(row)
            if full
            else ",".join(m % v for m, v in zip(members, row, strict=True) if math.isfinite(v))
        ).encode()
        for row, full in zip(values.tolist(), complete, strict=True)
    ]


def _polygons(outlines: pd.Series) -> tuple[list[bytes], int]:
    """Return each outline as a valid GeoJSON polygon (empty where there is none) and the number mended."""
    arrays = [np.empty((0, 2), np.float32) if v is None or len(v) < 3 else v for v in outlines.tolist()]
    points = np.concatenate([np.empty((0, 2)), *arrays])
    if not np.isfinite(points).all():
        arrays = [a if np.isfinite(a).all() else a[:0] for a in arrays]
        points = np.concatenate([np.empty((0, 2)), *arrays])
    offsets = np.concatenate([[0], np.cumsum([len(a) for a in arrays])]).astype(np.int64)
    hundredths = np.rint(points * 100).astype(np.int64)
    texts = [
        b'{"type":"Polygon","coordinates":[%b]}' % text if text else b""
        for text in json_rings(hundredths, offsets)
    ]
    mended = 0
    for i in np.flatnonzero(~surely_simple(hundredths, offsets) & (np.diff(offsets) > 0)).tolist():
        shape = Polygon(hundredths[offsets[i] : offsets[i + 1]] / 100)
        if not shape.is_valid:
            parts = shapely.get_parts(shapely.set_precision(shapely.make_valid(shape), 0.01)).tolist()
            parts = [p for p in parts if p.geom_type == "Polygon" and p.area > 0]
            largest = max(parts, key=lambda p: p.area, default=None)
            texts[i] = json.dumps(rounded(shapely.geometry.mapping(largest))).encode() if largest else b""
            mended += largest is not None
    return texts, mended


def rounded(mapping: dict) -> dict:
    def walk(value: object) -> object:
        return [walk(v) for v in value] if isinstance(value, list | tuple) else round(float(value), 2)  # type: ignore[arg-type]

    return {"type": mapping["type"], "coordinates": walk(mapping["coordinates"])}
