"""The picture of a cell and of what lies around it, out of its slide.

Raw pixels, square, at the slide's own resolution or coarser. Slides are opened when first asked for.
"""

import io
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np

from her2kit.errors import ReviewError
from her2kit.slides.slide import Slide, open_slide

MAX_PX = 384
"""Side of a picture at most: what the gallery shows at full size."""
_MARGIN_UM = 2.0  # between a cell and the corners that mark it
_CELL_UM = 12.0  # side of the mark where a cell has no outline


class Crops:
    """Squares out of slides. Use it as a context manager, or close it.

    Parameters
    ----------
    slides
        slide_id to the slide's file.
    mpp
        slide_id to micrometres per level-0 pixel, where the file's own is missing or wrong.
    """

    def __init__(
        self, slides: Mapping[str, str | os.PathLike], *, mpp: Mapping[str, float] | None = None
    ) -> None:
        self._paths, self._mpp = dict(slides), dict(mpp or {})
        self._open: dict[str, Slide] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the slides."""
        while self._open:
            self._open.popitem()[1].close()

    def mpp_of(self, slide_id: str) -> float:
        """Return micrometres per level-0 pixel of a slide; `MppError` where it has none."""
        slide = self._slide(slide_id)
        slide.scale_at(None)
        return float(slide.mpp or 0)

    def around(self, slide_id: str, x_px0: float, y_px0: float, *, side_um: float) -> np.ndarray:
        """Return the square of ``side_um`` around a place, uint8 RGB (n, n, 3), n at most `MAX_PX`.

        Raises
        ------
        ReviewError
            If the slide was not given.
        SlideError
            If it cannot be read, or has no mpp (`MppError`).
        """
        own = self.mpp_of(slide_id)
        mpp = max(own, side_um / MAX_PX)
        n = max(1, round(side_um / mpp))
        half_px0 = side_um / own / 2
        return self._slide(slide_id).read(x_px0 - half_px0, y_px0 - half_px0, n, n, mpp=mpp).pixels

    def _slide(self, slide_id: str) -> Slide:
        if slide_id not in self._open:
            if slide_id not in self._paths:
                known = ", ".join(self._paths) or "none"
                raise ReviewError(f"slides has no file for slide {slide_id}; it names {known}")
            self._open[slide_id] = open_slide(self._paths[slide_id], mpp=self._mpp.get(slide_id))
        return self._open[slide_id]


def jpeg(pixels: np.ndarray) -> bytes:
    """Return uint8 RGB (h, w, 3) as JPEG without subsampled colours, so that brown edges stay sharp."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=92, subsampling="4:4:4")
    return buffer.getvalue()


def mark_of(
    outline: object, x_px0: float, y_px0: float, *, mpp: float, side_um: float
) -> tuple[float, float, float, float]:
    """Return the box that marks a cell, as shares of the picture's side: left, top, right, bottom.

    It leaves the membrane free: `_MARGIN_UM` around the outline, `_CELL_UM` wide where there is none.
    """
    if isinstance(outline, np.ndarray) and len(outline) > 2:
        um = (np.asarray(outline, float) - [x_px0, y_px0]) * mpp
        low, high = um.min(axis=0) - _MARGIN_UM, um.max(axis=0) + _MARGIN_UM
    else:
        low, high = np.full(2, -_CELL_UM / 2), np.full(2, _CELL_UM / 2)
    left, top, right, bottom = np.clip(0.5 + np.concatenate([low, high]) / side_um, 0.01, 0.99).tolist()
    return left, top, right, bottom
