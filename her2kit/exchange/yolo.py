"""Cells as YOLO labels: a text file a tile, ``class cx cy w h [confidence]`` in shares of the tile's sides.

A cell is a point; its box has a stated size in micrometres (R1: 32 px at 0.25 um/px, so 8 um), whatever the
tile's mpp. A box may reach beyond the tile, its centre may not: clipping would move the point.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import LabelError
from her2kit.exchange.frame import HER2_CLASSES, Frame, class_numbers, confidences, points_table
from her2kit.exchange.whole import whole_file

BOX_UM = 8.0
"""Side of R1's boxes."""


def write_yolo(
    path: str | os.PathLike,
    points: pd.DataFrame,
    frame: Frame,
    *,
    box_um: float | Sequence[float] = BOX_UM,
    classes: Sequence[str] = HER2_CLASSES,
) -> Path:
    """Write the points of one tile; an empty table gives an empty file, which YOLO takes as background.

    Parameters
    ----------
    path : path
        Where to write.
    points : DataFrame
        ``x_px0``, ``y_px0``, ``cell_class``, and ``confidence`` (written where every point has one).
    frame
        The tile.
    box_um
        Side of the boxes, one for all or one a point.
    classes
        Class names in the order of their numbers.

    Raises
    ------
    ValueError
        If a point lies outside the tile or has no class of ``classes``, or a box is larger than the tile or
        has no size.
    """
    sides = np.broadcast_to(np.asarray(box_um, float), len(points))
    if not (np.isfinite(sides).all() and (sides > 0).all()):
        raise ValueError(f"box_um={box_um}; give a side in micrometres above 0 (R1: 8)")
    if len(sides) and sides.max() > min(frame.width_px, frame.height_px) * frame.mpp:
        raise ValueError(
            f"box_um={sides.max():g} is more than the tile's side; give a larger tile, or its mpp"
        )
    numbers = class_numbers(points, classes)
    size = [frame.width_px, frame.height_px]
    boxes = np.hstack([np.clip(frame.to_tile(points) / size, 0, 1), sides[:, None] / frame.mpp / size])
    certain = confidences(points)
    ends = [f" {c!r}" for c in certain] if None not in certain else [""] * len(points)
    lines = [
        f"{number} {' '.join(f'{value:.10f}' for value in box)}{end}\n"
        for number, box, end in zip(numbers, boxes, ends, strict=True)
    ]
    with whole_file(path) as part:
        part.write_text("".join(lines), encoding="ascii")
    return Path(path)


def read_yolo(
    path: str | os.PathLike, frame: Frame, *, classes: Sequence[str] = HER2_CLASSES
) -> pd.DataFrame:
    """Read the labels of one tile.

    Returns
    -------
    DataFrame
        `POINT_COLUMNS`, ``box_width_um`` and ``box_height_um`` (rounded to 1e-4), in the file's order.

    Raises
    ------
    LabelError
        If the file is missing, or a line is no box of a known class with its centre in the tile; the message
        names file and line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LabelError(f"{path}: no such file; correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path}: cannot be read ({error}); write the labels again") from error
    rows = [_box(path, k, line, classes) for k, line in enumerate(lines, start=1) if line.strip()]
    values = np.array([box for _, box in rows], float).reshape(-1, 5)
    xy = values[:, :2] * [frame.width_px, frame.height_px]
    sides_um = np.round(values[:, 2:4] * [frame.width_px, frame.height_px] * frame.mpp, 4)
    table = points_table(frame.to_level_0(xy), [name for name, _ in rows], values[:, 4])
    return table.assign(box_width_um=sides_um[:, 0], box_height_um=sides_um[:, 1])


def _box(path: Path, number: int, line: str, classes: Sequence[str]) -> tuple[str, list[float]]:
    """Return the class and (cx, cy, w, h, confidence) of a line."""
    where = f"{path}, line {number}"
    try:
        kind, *box = (float(word) for word in line.split())
    except ValueError:
        raise LabelError(f"{where}: {line[:60]!r} is not class cx cy w h in numbers") from None
    if len(box) not in (4, 5):
        raise LabelError(
            f"{where}: {len(box) + 1} numbers; a line is class cx cy w h, or these and a confidence"
        )
    if kind not in range(len(classes)):
        raise LabelError(f"{where}: class {kind:g} is unknown; use 0 to {len(classes) - 1}, or give classes=")
    if not all(0 <= value <= 1 for value in box[:2]) or not all(0 < value <= 1 for value in box[2:4]):
        raise LabelError(
            f"{where}: box {box[:4]} does not lie in the picture; give centre and size in shares of its sides"
        )
    return classes[int(kind)], [*box, np.nan][:5]
