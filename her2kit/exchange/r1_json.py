"""Cells as R1's JSON: what its detector wrote for a tile, and what its readers gave back.

Detections: a file a tile, a list of ``{x, y, cls_id, confidence}``. Reviewed labels: ``{filename, objects:
[{label, coordinate: [[x, y]]}]}``, one tile or a list of tiles in a file. Both count in pixels of the tile
and name no mpp, so that the reader must say at which mpp the tile was (`exchange.frame`).
"""

import json
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import LabelError
from her2kit.exchange.frame import HER2_CLASSES, Frame, class_numbers, confidences, points_table
from her2kit.exchange.whole import whole_file

_PREFIX = "class_"
_DECIMALS = 6  # of tile pixels: finer than 0.01 level-0 px at any mpp


def write_detections(
    path: str | os.PathLike, points: pd.DataFrame, frame: Frame, *, classes: Sequence[str] = HER2_CLASSES
) -> Path:
    """Write the points of one tile as R1's detector does.

    Raises
    ------
    ValueError
        If a point lies outside the tile or has no class of ``classes``.
    """
    rows = zip(
        frame.to_tile(points).round(_DECIMALS).tolist(),
        class_numbers(points, classes),
        confidences(points),
        strict=True,
    )
    cells = [
        {"x": x, "y": y, "cls_id": number} | ({} if c is None else {"confidence": c})
        for (x, y), number, c in rows
    ]
    return _write(path, cells)


def read_detections(
    path: str | os.PathLike, frame: Frame, *, classes: Sequence[str] = HER2_CLASSES
) -> pd.DataFrame:
    """Read the detections of one tile as a table of `POINT_COLUMNS`, in the file's order.

    Raises
    ------
    LabelError
        If the file is missing or no such list, or a cell lies outside the tile or is of an unknown class.
    """
    path = Path(path)
    cells = _read(path)
    if not isinstance(cells, list):
        raise LabelError(f"{path}: is no list of cells {{x, y, cls_id, confidence}}; is it a reviewed file?")
    xy, names, certain = [], [], []
    for number, cell in enumerate(cells, start=1):
        where = f"{path}: cell {number}"
        try:
            x, y, kind = float(cell["x"]), float(cell["y"]), operator.index(cell["cls_id"])
            confidence = cell.get("confidence")
            certain.append(np.nan if confidence is None else float(confidence))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise LabelError(
                f"{where} is not {{x, y, cls_id, confidence}} in numbers; write it again"
            ) from None
        if not 0 <= kind < len(classes):
            raise LabelError(f"{where}: cls_id {kind} is unknown; use 0 to {len(classes) - 1}")
        _check_place(where, x, y, frame)
        xy.append((x, y))
        names.append(classes[kind])
    return points_table(frame.to_level_0(np.array(xy)), names, certain)


def write_reviewed(
    path: str | os.PathLike,
    tiles: Mapping[str, pd.DataFrame],
    frames: Mapping[str, Frame],
    *,
    classes: Sequence[str] = HER2_CLASSES,
) -> Path:
    """Write the reviewed points of tiles: file name to points, file name to frame. One tile: no list.

    Raises
    ------
    ValueError
        If a point lies outside its tile or has no class of ``classes``, or a tile has no frame.
    """
    out = []
    for name, points in tiles.items():
        if name not in frames:
            raise ValueError(f"frames has no tile {name!r}; give a frame for each tile")
        class_numbers(points, classes)
        xy = frames[name].to_tile(points).round(_DECIMALS).tolist()
        objects = [
            {"label": label, "coordinate": [place]}
            for label, place in zip(points["cell_class"], xy, strict=True)
        ]
        out.append({"filename": name, "objects": objects})
    return _write(path, out[0] if len(out) == 1 else out)


def read_reviewed(
    path: str | os.PathLike, frames: Mapping[str, Frame], *, classes: Sequence[str] = HER2_CLASSES
) -> dict[str, pd.DataFrame]:
    """Read reviewed labels: file name to its points (`POINT_COLUMNS`). Labels may be ``2+`` or ``class_2+``.

    Raises
    ------
    LabelError
        If the file is missing or not of this form, names a tile twice or without a frame, or an object lies
        outside its tile or has an unknown label.
    """
    path = Path(path)
    held = _read(path)
    out: dict[str, pd.DataFrame] = {}
    for tile in held if isinstance(held, list) else [held]:
        try:
            name, objects = tile["filename"], list(tile["objects"])
        except (KeyError, TypeError):
            raise LabelError(f"{path}: is not {{filename, objects}}; is it a file of detections?") from None
        if name not in frames:
            raise LabelError(f"{path}: tile {name!r} has no frame; give its size and mpp in frames=")
        if name in out:
            raise LabelError(f"{path}: tile {name!r} stands there twice; keep one")
        out[name] = _objects(f"{path}: tile {name}", objects, frames[name], classes)
    return out


def _objects(where: str, objects: list, frame: Frame, classes: Sequence[str]) -> pd.DataFrame:
    xy, names = [], []
    for number, item in enumerate(objects, start=1):
        try:
            label = str(item["label"]).removeprefix(_PREFIX)
            places = [(float(x), float(y)) for x, y in item["coordinate"]]
        except (KeyError, TypeError, ValueError):
            raise LabelError(f"{where}, object {number} is not {{label, coordinate: [[x, y]]}}") from None
        if label not in classes:
            raise LabelError(
                f"{where}, object {number}: label {item['label']!r} is unknown; use one of "
                f"{', '.join(classes)}"
            )
        for x, y in places:
            _check_place(f"{where}, object {number}", x, y, frame)
            xy.append((x, y))
            names.append(label)
    return points_table(frame.to_level_0(np.array(xy)), names)


def _check_place(where: str, x: float, y: float, frame: Frame) -> None:
    if not frame.holds(np.array([[x, y]]))[0]:
        raise LabelError(
            f"{where} lies at ({x:g}, {y:g}), outside the tile of {frame.width_px} x {frame.height_px} px; "
            "were the labels made at another mpp?"
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise LabelError(f"{path}: no such file; correct the path") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise LabelError(f"{path}: not readable as JSON ({reason}); write it again") from error


def _write(path: str | os.PathLike, value: object) -> Path:
    with whole_file(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Path(path)
