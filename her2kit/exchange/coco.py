"""Boxes in COCO's JSON: pictures, categories and annotations as three tables that refer to each other.

The format is COCO's (https://cocodataset.org, "Data format"): boxes are ``[left, top, width, height]`` in
pixels of their picture. Keys that the tables do not name are kept as further columns, and written again.
``coco_of_points`` and ``points_of_coco`` go between COCO and the kit's points (`exchange.frame`).
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import LabelError
from her2kit.exchange.frame import HER2_CLASSES, Frame, class_numbers, points_table
from her2kit.exchange.whole import whole_file

_IMAGE = {"id": "image_id", "file_name": "file_name", "width": "width_px", "height": "height_px"}
_CATEGORY = {"id": "category_id", "name": "name", "supercategory": "supercategory"}
_ANNOTATION = {"id": "annotation_id", "image_id": "image_id", "category_id": "category_id"}
_BOX = ("left_px", "top_px", "box_width_px", "box_height_px")


@dataclass(frozen=True, slots=True)
class Coco:
    """What a COCO file holds."""

    images: pd.DataFrame
    """``image_id``, ``file_name``, ``width_px``, ``height_px`` (nan where not given)."""
    categories: pd.DataFrame
    """``category_id``, ``name``, ``supercategory`` (None where not given)."""
    annotations: pd.DataFrame
    """``annotation_id``, ``image_id``, ``category_id``, and the box: ``left_px``, ``top_px``,
    ``box_width_px``, ``box_height_px``."""

    def __post_init__(self) -> None:
        for name, columns in (
            ("images", _IMAGE.values()),
            ("categories", _CATEGORY.values()),
            ("annotations", (*_ANNOTATION.values(), *_BOX)),
        ):
            missing = [column for column in columns if column not in getattr(self, name)]
            if missing:
                raise ValueError(f"{name} lacks the column {missing[0]!r}; read them with read_coco")

    def centres(self) -> np.ndarray:
        """Return the middle of each box in pixels of its picture, float64 (n, 2)."""
        box = self.annotations[list(_BOX)].to_numpy(float)
        return box[:, :2] + box[:, 2:] / 2


def read_coco(path: str | os.PathLike) -> Coco:
    """Read and check a COCO file of boxes.

    Raises
    ------
    LabelError
        If the file is missing or not COCO, an id stands twice, an annotation names a picture or category
        that is not there, or a box is not four finite numbers of positive size. The message names the file
        and the annotation.
    """
    path = Path(path)
    try:
        held = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise LabelError(f"{path}: no such file; correct the path") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise LabelError(f"{path}: not readable as JSON ({reason}); fetch or export it again") from error
    images = _table(path, held, "images", _IMAGE)
    categories = _table(path, held, "categories", _CATEGORY)
    annotations = _table(path, held, "annotations", _ANNOTATION)
    for column, table, what in (("image_id", images, "picture"), ("category_id", categories, "category")):
        dangling = ~annotations[column].isin(table[column])
        if dangling.any():
            row = annotations[dangling].iloc[0]
            raise LabelError(
                f"{path}: annotation {row['annotation_id']} names {column} {row[column]}, which no {what} "
                f"has ({int(dangling.sum())} such annotations); export it again with its {what}"
            )
    return Coco(images, categories, _with_boxes(path, annotations))


def write_coco(path: str | os.PathLike, coco: Coco) -> Path:
    """Write a COCO file, whole numbers as integers; it appears whole or not at all."""
    annotations = coco.annotations.drop(columns=list(_BOX)).rename(
        columns={b: a for a, b in _ANNOTATION.items()}
    )
    rows = _records(annotations)
    boxes = coco.annotations[list(_BOX)].to_numpy(float).tolist()
    for row, box in zip(rows, boxes, strict=True):
        row["bbox"] = [_number(value) for value in box]
        row.setdefault("area", _number(box[2] * box[3]))
        row.setdefault("iscrowd", 0)
    held = {
        "images": _records(coco.images.rename(columns={b: a for a, b in _IMAGE.items()})),
        "categories": _records(coco.categories.rename(columns={b: a for a, b in _CATEGORY.items()})),
        "annotations": rows,
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(held, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(path)


def coco_of_points(
    tiles: Mapping[str, pd.DataFrame],
    frames: Mapping[str, Frame],
    *,
    box_um: float,
    classes: Sequence[str] = HER2_CLASSES,
) -> Coco:
    """Return points as boxes of one size: tile name to points, tile name to frame. Ids begin with 1.

    Raises
    ------
    ValueError
        If a tile has no frame, a point lies outside its tile or has no class of ``classes``.
    """
    if not box_um > 0:
        raise ValueError(f"box_um={box_um}; give a side in micrometres above 0 (R1: 8)")
    images, parts = [], []
    for number, (name, points) in enumerate(tiles.items(), start=1):
        if name not in frames:
            raise ValueError(f"frames has no tile {name!r}; give a frame for each tile")
        frame = frames[name]
        side = box_um / frame.mpp
        xy = frame.to_tile(points)
        images.append((number, name, frame.width_px, frame.height_px))
        part = pd.DataFrame(xy - side / 2, columns=list(_BOX[:2])).assign(
            image_id=number, category_id=np.array(class_numbers(points, classes), int) + 1
        )
        part[_BOX[2]] = part[_BOX[3]] = side
        if "confidence" in points and points["confidence"].notna().all():
            part["score"] = points["confidence"].to_numpy(float)
        parts.append(part)
    columns = [*_ANNOTATION.values(), *_BOX]
    boxes = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    boxes["annotation_id"] = np.arange(1, len(boxes) + 1)
    return Coco(
        pd.DataFrame(images, columns=list(_IMAGE.values())),
        pd.DataFrame(
            {"category_id": range(1, len(classes) + 1), "name": list(classes), "supercategory": None}
        ),
        boxes[[*columns, *(c for c in boxes if c not in columns)]],
    )


def points_of_coco(coco: Coco, frames: Mapping[str, Frame]) -> dict[str, pd.DataFrame]:
    """Return the middles of the boxes as points: picture name to a table of `exchange.frame.POINT_COLUMNS`.

    Raises
    ------
    LabelError
        If a picture has no frame, or the middle of a box lies outside its picture.
    """
    names = coco.categories.set_index("category_id")["name"]
    centres, classes = coco.centres(), coco.annotations["category_id"].map(names).to_numpy()
    score = coco.annotations.get("score", pd.Series(np.nan, coco.annotations.index)).to_numpy(float)
    groups = coco.annotations.groupby("image_id").indices
    out = {}
    for image in coco.images.itertuples():
        if image.file_name not in frames:
            raise LabelError(f"picture {image.file_name} has no frame; give its size and mpp in frames=")
        frame = frames[image.file_name]
        rows = groups.get(image.image_id, np.empty(0, int))
        outside = ~frame.holds(centres[rows])
        if outside.any():
            row = coco.annotations.iloc[rows[outside][0]]
            raise LabelError(
                f"annotation {row['annotation_id']} has its middle outside {image.file_name} "
                f"({frame.width_px} x {frame.height_px} px); was the frame made at another mpp?"
            )
        out[image.file_name] = points_table(frame.to_level_0(centres[rows]), classes[rows], score[rows])
    return out


def _table(path: Path, held: Any, key: str, names: Mapping[str, str]) -> pd.DataFrame:
    """Return one of the three lists as a table with unique ids."""
    rows = held.get(key) if isinstance(held, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise LabelError(f"{path}: has no list {key!r} of objects; is it a COCO file of boxes?")
    first = "name" if key == "categories" else "file_name"
    needed = ("id", *([] if key == "annotations" else [first]))
    for number, row in enumerate(rows):
        missing = [name for name in needed if name not in row]
        if missing:
            raise LabelError(f"{path}: {key}[{number}] has no {missing[0]!r}; export it again")
    table = pd.DataFrame.from_records(rows, columns=None if rows else list(names)).rename(columns=names)
    for column in names.values():
        if column not in table:
            table[column] = np.nan if column.endswith("_px") else None
    for column in set(names.values()) & {"supercategory"}:
        table[column] = table[column].astype(object).where(table[column].notna(), None)
    for column in (name for name in names.values() if name.endswith("_id")):
        odd = [value for value in table[column].tolist() if not isinstance(value, int | str)]
        if odd:
            raise LabelError(f"{path}: {key} has {column} {odd[0]!r}, which is no id; export it again")
    ids = table[names["id"]]
    twice = ids.duplicated()
    if twice.any():
        raise LabelError(f"{path}: {key} has the id {ids[twice].iloc[0]} twice; keep one")
    return table[[*names.values(), *(column for column in table if column not in names.values())]]


def _with_boxes(path: Path, annotations: pd.DataFrame) -> pd.DataFrame:
    boxes = annotations["bbox"] if "bbox" in annotations else pd.Series([None] * len(annotations))
    good = [isinstance(box, list) and len(box) == 4 and _finite(box) and min(box[2:]) > 0 for box in boxes]
    for row, (name, ok) in enumerate(zip(annotations["annotation_id"], good, strict=True)):
        if not ok:
            raise LabelError(
                f"{path}: annotation {name} has bbox {boxes.iloc[row]!r}; a box is [left, top, width, height]"
            )
    values = np.array(boxes.tolist(), float).reshape(-1, 4)
    rest = annotations.drop(columns="bbox", errors="ignore")
    first = list(_ANNOTATION.values())
    out = rest[first].assign(**dict(zip(_BOX, values.T, strict=True)))
    return out.join(rest.drop(columns=first))


def _finite(box: list) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in box)


def _records(table: pd.DataFrame) -> list[dict]:
    """Return rows as JSON objects, without the keys that a row does not have."""
    return [
        {key: _number(value) for key, value in row.items() if not _missing(value)}
        for row in table.to_dict("records")
    ]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
