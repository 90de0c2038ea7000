"""Open a slide or flat picture and read exactly the pixels asked for, at the mpp asked for.

Raw pixels only: nothing here corrects colour. Level-0 places (``x_px0`` to the right, ``y_px0`` down) may
be fractional. Pixels outside the slide are white and counted.
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from her2kit.errors import MppError
from her2kit.slides.lattice import on_lattice, whole_scale
from her2kit.slides.resample import Taps, area_taps, linear_taps, resample
from her2kit.slides.resolution import PLAUSIBLE_MPP, check_mpp_argument
from her2kit.slides.source import Source, open_source

SAME_SCALE = 1e-3
"""Relative difference below which two scales are one: no file knows its mpp better than to a thousandth."""
_BAND_PX = 16_000_000
"""Source pixels averaged at a time (about 100 MB): bounds the thumbnail of a slide without levels."""

_INEXACT_FROM = 8.0
"""From this scale on a level up to half a level-0 pixel out of place will do: 1/16 of a pixel read."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of raw pixels and its place on the slide."""

    pixels: np.ndarray
    """uint8 (h, w, 3) RGB, C-contiguous, never normalised."""
    x_px0: float
    """Level-0 position of the left edge of the first pixel."""
    y_px0: float
    """Level-0 position of the top edge of the first pixel."""
    mpp: float
    """Micrometres per pixel of ``pixels``; NaN where the slide has none."""
    outside_px: int
    """Pixels that lie outside the slide or are transparent in the file; they are white."""
    outside: np.ndarray | None = field(default=None, repr=False)
    """bool (h, w): which they are; None where there are none."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels is {self.pixels.dtype} {self.pixels.shape}; give uint8 (h, w, 3)")


class Slide:
    """An open slide; a context manager whose reads may come from many threads at once.

    Attributes
    ----------
    path, slide_id
        The file, and its name without ending.
    width_px0, height_px0
        Size at level 0.
    mpp, mpp_source
        Micrometres per level-0 pixel or None, and where it comes from: "argument", "file: ..." or "none".
        A value from the file is kept even if it is implausible.
    level_dimensions, level_downsamples
        (width, height) of each level, and level-0 pixels to one of its pixels, as OpenSlide has them.
    vendor
        OpenSlide's name of the format, or the decoder of a flat picture.
    """

    def __init__(self, path: Path, source: Source, *, mpp: float | None = None) -> None:
        self.path, self.slide_id = path, path.stem
        self._source = source
        self.vendor = source.vendor
        self.level_dimensions, self.level_downsamples = source.dimensions, source.downsamples
        self.width_px0, self.height_px0 = source.dimensions[0]
        self.mpp, self.mpp_source = (mpp, "argument") if mpp else (source.mpp, source.mpp_source)
        self._scales = tuple(
            whole_scale(scale, size, source.dimensions[0])
            for scale, size in zip(source.downsamples, source.dimensions, strict=True)
        )

    def __enter__(self) -> "Slide":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        mpp = f"{self.mpp:g} um/px" if self.mpp else "no mpp"
        return f"<Slide {self.slide_id}: {self.width_px0} x {self.height_px0} px, {mpp}, {self.vendor}>"

    def close(self) -> None:
        """Close the file; a later read raises ``SlideError``."""
        self._source.close()

    def scale_at(self, mpp: float | None, *, upsample: bool = False) -> float:
        """Return how many level-0 pixels one pixel at ``mpp`` covers (1 for None).

        A level's own scale is returned where ``mpp`` is the same within ``SAME_SCALE``.

        Raises
        ------
        MppError
            If the slide has no mpp, or one that cannot be true.
        ValueError
            If ``mpp`` is not positive, or finer than the slide without ``upsample``.
        """
        if self.mpp is None:
            raise MppError(f"{self.path}: slide has no mpp; pass mpp= (0.25 is usual at 40x)")
        if not PLAUSIBLE_MPP[0] <= self.mpp <= PLAUSIBLE_MPP[1]:
            raise MppError(
                f"{self.path}: an mpp of {self.mpp:g} ({self.mpp_source}) cannot be true; "
                "pass mpp= (0.25 is usual at 40x)"
            )
        if mpp is None:
            return 1.0
        if not (mpp > 0 and math.isfinite(mpp)):
            raise ValueError(f"mpp={mpp:g} is not micrometres per pixel; pass a positive number")
        scale = mpp / self.mpp
        for level_scale in self._scales:
            if abs(scale / level_scale - 1) <= SAME_SCALE:
                return level_scale
        if scale < 1 and not upsample:
            raise ValueError(
                f"mpp={mpp:g} is finer than the slide's own {self.mpp:g} ({self.path.name}); "
                "read at its own, or pass upsample=True"
            )
        return scale

    def read(
        self,
        x_px0: float,
        y_px0: float,
        width_px: int,
        height_px: int,
        *,
        mpp: float | None = None,
        upsample: bool = False,
    ) -> Tile:
        """Read ``width_px`` x ``height_px`` pixels of ``mpp`` um from the given place on.

        At a level's own mpp, on that level's pixels, they are the file's own. Otherwise the nearest finer
        level is averaged by area, so that adjoining reads fit without seam, bit for bit.

        Parameters
        ----------
        x_px0, y_px0
            Level-0 position of the top-left corner; may be fractional or outside the slide.
        mpp
            Micrometres per pixel; None reads level 0.
        upsample
            Allow ``mpp`` finer than the slide's own; the pixels are then interpolated linearly.

        Raises
        ------
        MppError
            If the slide has no mpp, or one that cannot be true. ``read_level`` and ``thumbnail`` need none.
        ValueError
            If ``mpp`` is finer than the slide's own without ``upsample``, or a size is not positive.
        SlideError
            If the file is damaged or closed.
        """
        return self._read(x_px0, y_px0, width_px, height_px, self.scale_at(mpp, upsample=upsample))

    def read_level(self, x_px0: int, y_px0: int, width_px: int, height_px: int, *, level: int) -> Tile:
        """Read OpenSlide's own pixels of one level, over white, from a level-0 place on."""
        if not 0 <= level < len(self.level_dimensions):
            raise ValueError(f"level={level} does not exist; use 0 to {len(self.level_dimensions) - 1}")
        _check_box(x_px0, y_px0, width_px, height_px)
        rgb, alpha = self._source.native(int(x_px0), int(y_px0), level, width_px, height_px)
        return self._tile(rgb, alpha, float(x_px0), float(y_px0), self.level_downsamples[level])

    def thumbnail(self, *, max_px: int = 1024) -> Tile:
        """Read the whole slide, its longer side at most ``max_px``, to half a pixel; needs no mpp."""
        if max_px < 1:
            raise ValueError(f"max_px={max_px}; use 1 or more")
        scale = max(1.0, self.width_px0 / max_px, self.height_px0 / max_px)
        width, height = (max(1, math.floor(size / scale + 0.5)) for size in (self.width_px0, self.height_px0))
        return self._read(0, 0, width, height, scale)

    def _read(self, x_px0: float, y_px0: float, width: int, height: int, scale: float) -> Tile:
        _check_box(x_px0, y_px0, width, height)
        level = self._level_for(scale)
        ratio = scale / self._scales[level]
        column, row = on_lattice(x_px0, scale), on_lattice(y_px0, scale)
        x_px0, y_px0 = sum(column) * scale, sum(row) * scale
        if abs(ratio - 1) < 1e-9 and column[1] == row[1] == 0:
            rgb, alpha = self._level(level, int(column[0]), int(row[0]), width, height)
            return self._tile(rgb, alpha, x_px0, y_px0, scale)
        columns = self._taps(*column, width, ratio, self.level_dimensions[level][0])
        rows = self._taps(*row, height, ratio, self.level_dimensions[level][1])
        band = max(1, int(_BAND_PX / (columns.stop - columns.start) / ratio))
        parts = []
        for top in range(0, height, band):
            taps = Taps(rows.first[top : top + band], rows.weights[top : top + band])
            box = columns.start, taps.start, columns.stop - columns.start, taps.stop - taps.start
            rgb, alpha = self._level(level, *box)
            mean_alpha = None if alpha is None else resample(alpha[..., None], taps, columns)[..., 0]
            parts.append((resample(rgb, taps, columns), mean_alpha))
        rgb = parts[0][0] if len(parts) == 1 else np.concatenate([p for p, _ in parts])
        if all(a is None for _, a in parts):
            return self._tile(rgb, None, x_px0, y_px0, scale)
        alpha = np.concatenate([np.full(p.shape[:2], 255, np.uint8) if a is None else a for p, a in parts])
        return self._tile(rgb, alpha, x_px0, y_px0, scale)

    def _level_for(self, scale: float) -> int:
        """Return the coarsest level that is fine enough, and in place as exactly as the scale needs it."""
        fine = [i for i, s in enumerate(self._scales) if s <= scale * (1 + 1e-9)]
        good = [i for i in fine if self._source.exact[i] or scale >= _INEXACT_FROM]
        return max(good, key=lambda i: self._scales[i], default=0)

    def _taps(self, index: int, phase: float, n: int, ratio: float, size: int) -> Taps:
        return area_taps(index, phase, n, ratio) if ratio >= 1 else linear_taps(index, phase, n, ratio, size)

    def _level(self, level: int, x: int, y: int, w: int, h: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Read a box of a level; where the level was rounded down, its last pixels stand for the rest."""
        width, height = self.level_dimensions[level]
        scale = self._scales[level]
        repeat_x = width * scale < self.width_px0 and x <= width < x + w
        repeat_y = height * scale < self.height_px0 and y <= height < y + h
        x0, y0 = x - (repeat_x and x == width), y - (repeat_y and y == height)
        rgb, alpha = self._source.read(level, x0, y0, w + x - x0, h + y - y0)
        if alpha is None or not (repeat_x or repeat_y):
            return rgb, alpha
        for part in (rgb, alpha):
            if repeat_x:
                part[:, width - x0] = part[:, width - x0 - 1]
            if repeat_y:
                part[height - y0] = part[height - y0 - 1]
        return np.ascontiguousarray(rgb[y - y0 :, x - x0 :]), alpha[y - y0 :, x - x0 :]

    def _tile(self, rgb: np.ndarray, alpha: np.ndarray | None, x: float, y: float, scale: float) -> Tile:
        outside = None if alpha is None else alpha < 128
        count = 0 if outside is None else int(np.count_nonzero(outside))
        mpp = self.mpp * scale if self.mpp else math.nan
        return Tile(rgb, x, y, mpp, count, outside if count else None)


def open_slide(path: str | os.PathLike, *, mpp: float | None = None) -> Slide:
    """Open a whole-slide file or a flat picture.

    Parameters
    ----------
    path
        Anything that OpenSlide reads, or a JPEG, PNG, BMP, plain TIFF or small OME-TIFF of 8-bit colour.
    mpp
        Micrometres per level-0 pixel; goes before what the file says.

    Raises
    ------
    ValueError
        If ``mpp`` is not between 0.05 and 20.
    SlideError
        If the file is missing, empty, cut off, too large to hold (flat pictures) or no picture.
    MppError
        If the file's own pixels are not square and no ``mpp`` is given.
    """
    check_mpp_argument(mpp)
    path = Path(path)
    return Slide(path, open_source(path, need_mpp=mpp is None), mpp=mpp)


def _check_box(x_px0: float, y_px0: float, width: int, height: int) -> None:
    if not (math.isfinite(x_px0) and math.isfinite(y_px0)):
        raise ValueError(f"x_px0={x_px0}, y_px0={y_px0}; give finite level-0 coordinates")
    if width < 1 or height < 1:
        raise ValueError(f"width_px={width}, height_px={height}; give 1 or more")
