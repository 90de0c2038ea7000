"""Points to boxes: a detector learns boxes, readers give points, and a box's size is a statement in um.

A box has a stated side in micrometres (R1: 32 px at 0.25 um/px, so 8 um), or is that of the cell's outline.
Boxes are rows (class number, centre x, centre y, width, height) in pixels of one picture. A box may reach
over the picture's edge, its centre may not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.errors import LabelError

BOX_UM = 8.0
"""Side of R1's boxes; neighbouring nuclei are about 7.5 um apart, so they hardly overlap."""
OUTLINES = ("nucleus_outline", "outline")


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture and its boxes."""

    pixels: np.ndarray
    """uint8 (h, w, 3), RGB."""
    boxes: np.ndarray
    """float32 (n, 5): class number, centre x and y, width, height, in pixels."""
    mpp: float
    """Micrometres per pixel."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels is {self.pixels.dtype} {self.pixels.shape}; give uint8 (h, w, 3) RGB")
        if not self.mpp > 0:
            raise LabelError(f"mpp={self.mpp} of a labelled picture; give its micrometres per pixel, as 0.5")
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 5:
            raise ValueError(f"boxes has shape {self.boxes.shape}; give (n, 5): class, x, y, width, height")
        height, width = self.pixels.shape[:2]
        x, y = self.boxes[:, 1], self.boxes[:, 2]
        outside = (x < 0) | (y < 0) | (x > width) | (y > height) | ~np.isfinite(self.boxes).all(axis=1)
        for row in np.flatnonzero(outside)[:1]:
            raise LabelError(
                f"box {row} has its centre at ({x[row]:g}, {y[row]:g}) px, outside the picture of {width} x "
                f"{height} px; give points of this picture, in its own pixels"
            )
        for row in np.flatnonzero((self.boxes[:, 3:] <= 0).any(axis=1))[:1]:
            raise LabelError(f"box {row} is {self.boxes[row, 3:]} px; widths and heights are positive")


def labelled(
    pixels: np.ndarray,
    points: pd.DataFrame,
    *,
    mpp: float,
    class_names: Sequence[str],
    box_um: float | str = BOX_UM,
    column: str = "cell_class",
) -> LabelledPicture:
    """Return a picture with the boxes of its points.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.
    points
        ``x_px`` and ``y_px`` in pixels of the picture, and ``column`` unless there is one class alone. For
        boxes of outlines also that column, with polygons (n, 2) in the same pixels.
    mpp
        Micrometres per pixel of the picture.
    class_names
        What ``column`` may hold, in the order of the detector's classes.
    box_um
        Side of every box in um, or the name of a column of outlines (`OUTLINES`).

    Raises
    ------
    LabelError
        If a class is unknown, a point lies outside the picture or ``mpp`` is no size.
    """
    if not mpp or not mpp > 0:
        raise LabelError(f"mpp={mpp} of a labelled picture; give its micrometres per pixel, as 0.5")
    boxes = np.zeros((len(points), 5), np.float32)
    if len(class_names) > 1:
        numbers = {name: number for number, name in enumerate(class_names)}
        for row, name in enumerate(points[column]):
            if name not in numbers:
                raise LabelError(
                    f"point {row} has {column}={name!r}, which the detector does not know; use one of "
                    f"{', '.join(class_names)}, or leave the point out"
                )
            boxes[row, 0] = numbers[name]
    if isinstance(box_um, str):
        if box_um not in OUTLINES:
            raise ValueError(f"box_um={box_um!r}; give a side in um or one of {', '.join(OUTLINES)}")
        for row, outline in enumerate(points[box_um]):
            low, high = outline.min(axis=0), outline.max(axis=0)
            boxes[row, 1:] = *((low + high) / 2), *(high - low)
        height, width = pixels.shape[:2]
        boxes[:, 1:3] = np.clip(boxes[:, 1:3], 0, [width, height])
    else:
        if not box_um > 0:
            raise ValueError(f"box_um={box_um}; give a side in micrometres, 8 is usual")
        boxes[:, 1], boxes[:, 2] = points["x_px"], points["y_px"]
        boxes[:, 3:] = box_um / mpp
    return LabelledPicture(np.ascontiguousarray(pixels), boxes, float(mpp))
