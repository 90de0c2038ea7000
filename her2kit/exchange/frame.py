"""Where a tile's pixels lie on its slide, and the points that label files hold.

YOLO, COCO and R1's JSON count in pixels of a tile at some mpp, ASAP and GeoJSON in level-0 pixels of the
slide. Each reader and writer of tile files takes a ``Frame``, which states both resolutions: R1 cut tiles
at mpp 0.5, kept their coordinates as if they were level-0 pixels at 0.25, and was off by a factor of two.

Points are tables of `POINT_COLUMNS` in level-0 pixels, rounded to 0.01 px as in GeoJSON: so every format
gives back exactly what every other held, at any mpp.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from her2kit.exchange.cell_text import CLASS_RGB

HER2_CLASSES = tuple(CLASS_RGB)
"""0, 1+, 2+, 3+: what a class number 0 to 3 means unless ``classes`` says otherwise."""
POINT_COLUMNS = ("x_px0", "y_px0", "cell_class", "confidence", "cell_id")
"""``confidence`` is nan and ``cell_id`` None where the format holds none."""
DECIMALS = 2
"""Of level-0 pixels, as `exchange.geojson` writes them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of pixels and its place on a slide. A picture without a slide: its own mpp twice."""

    width_px: int
    """Of the tile, in its own pixels."""
    height_px: int
    mpp: float
    """Micrometres per pixel of the tile."""
    slide_mpp: float
    """Micrometres per level-0 pixel of the slide."""
    x_px0: float = 0.0
    """Left edge of the tile on the slide."""
    y_px0: float = 0.0

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"a frame of {self.width_px} x {self.height_px} px; give at least one pixel")
        for name in ("mpp", "slide_mpp"):
            value = getattr(self, name)
            if not (isinstance(value, int | float | np.floating) and value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value!r} is not micrometres per pixel; 0.25 is usual at 40x")

    @property
    def scale(self) -> float:
        """Level-0 pixels per pixel of the tile."""
        return self.mpp / self.slide_mpp

    def to_tile(self, points: pd.DataFrame) -> np.ndarray:
        """Return the points in pixels of the tile, float64 (n, 2).

        Raises
        ------
        ValueError
            If a point lies outside the tile; the message names its row.
        """
        xy = (points[["x_px0", "y_px0"]].to_numpy(float) - [self.x_px0, self.y_px0]) / self.scale
        for row in np.flatnonzero(~self.holds(xy)):
            x, y = xy[row]
            raise ValueError(
                f"point {row} lies at ({x:g}, {y:g}) px, outside the tile of {self.width_px} x "
                f"{self.height_px} px; give the points of this tile, and its mpp and slide_mpp"
            )
        return xy

    def to_level_0(self, xy: np.ndarray) -> np.ndarray:
        """Return tile pixels (n, 2) as level-0 pixels, rounded to 0.01."""
        return np.round(
            np.asarray(xy, float).reshape(-1, 2) * self.scale + [self.x_px0, self.y_px0], DECIMALS
        )

    def holds(self, xy: np.ndarray) -> np.ndarray:
        """Say of each point in tile pixels whether it lies in the tile or on its border (to 0.01 px0)."""
        slack = 0.5 * 10**-DECIMALS / self.scale
        return ((xy >= -slack) & (xy <= np.array([self.width_px, self.height_px]) + slack)).all(axis=1)


def points_table(
    xy_px0: np.ndarray,
    classes: Sequence[str],
    confidence: ArrayLike | None = None,
    cell_id: Sequence[str | None] | None = None,
) -> pd.DataFrame:
    """Return a table of `POINT_COLUMNS`."""
    xy = np.asarray(xy_px0, float).reshape(-1, 2)
    n = len(xy)
    return pd.DataFrame(
        {
            "x_px0": xy[:, 0],
            "y_px0": xy[:, 1],
            "cell_class": pd.Series(list(classes), dtype=object),
            "confidence": np.full(n, np.nan) if confidence is None else np.asarray(confidence, float),
            "cell_id": pd.Series([None] * n if cell_id is None else list(cell_id), dtype=object),
        }
    )


def class_numbers(points: pd.DataFrame, classes: Sequence[str]) -> list[int]:
    """Return each point's class as its place in ``classes``.

    Raises
    ------
    ValueError
        If a point has another class or none.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    found = points["cell_class"].tolist()
    for row, name in enumerate(found):
        if name not in numbers:
            raise ValueError(
                f"point {row} has cell_class={name!r}; use one of {', '.join(classes)}, and leave out cells "
                "without a class"
            )
    return [numbers[name] for name in found]


def confidences(points: pd.DataFrame) -> list[float | None]:
    """Return each point's confidence, None where there is none."""
    if "confidence" not in points:
        return [None] * len(points)
    return [None if math.isnan(value) else value for value in points["confidence"].astype(float).tolist()]
