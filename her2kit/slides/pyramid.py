"""Write a tiled JPEG pyramid TIFF that OpenSlide opens as ``generic-tiff``, with its mpp.

The source is an array, or row strips from top to bottom: then memory holds one row of tiles a level, and the
lower levels only as JPEG. Does not read slides and changes no colour. Each lower level is the rounded mean of
blocks of ``downsample`` x ``downsample`` pixels of the one above; a last odd row or column is repeated, so
none is lost.

The layout (one top-level directory a level, the lower ones marked as reduced, resolution tags in centimetre)
is what OpenSlide asks of generic tiled TIFF: https://openslide.org/formats/generic-tiff/.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from her2kit.exchange.whole import whole_file

_SUBSAMPLING = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}
_SMALLEST_PX = 512
"""With ``levels=None`` the pyramid stops at the first level whose longer side is at most this long."""


def write_pyramid(
    path: str | os.PathLike,
    source: np.ndarray | tuple[int, int, Iterable[np.ndarray]],
    *,
    mpp: float,
    tile_px: int = 256,
    quality: int = 90,
    subsampling: str = "420",
    downsample: int = 2,
    levels: int | None = None,
) -> Path:
    """Write a pyramid at ``path`` and return the path.

    Parameters
    ----------
    source
        uint8 RGB array of shape (height, width, 3), or ``(height_px, width_px, strips)``, where ``strips``
        gives uint8 arrays of shape (any, width_px, 3) that add up to ``height_px`` rows, from the top.
    mpp
        Micrometres per pixel of the source, 0.01 to 100; written as resolution in pixels per centimetre.
    tile_px
        Side of a tile; a multiple of 16 and of ``downsample``.
    quality
        JPEG quality, 1 to 100.
    subsampling
        Chroma subsampling: "420" (what scanners write), "422" or "444".
    downsample
        Factor from one level to the next, at least 2.
    levels
        Number of levels, the full one included; ``None`` goes down to a longer side of at most 512 px.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the strips do not add up to the size that was announced.

    Notes
    -----
    The file appears whole or not at all. The same source gives the same bytes.
    """
    height, width, given = _as_strips(source)
    strips = iter(given)
    _check(height, width, mpp, tile_px, quality, subsampling, downsample, levels)
    shapes = _level_shapes(height, width, downsample, levels)
    lower = [_Level(h, w, tile_px, quality, subsampling) for h, w in shapes[1:]]
    for upper, level in itertools.pairwise(lower):
        upper.below, upper.downsample = level, downsample
    full = _Level(height, width, tile_px, quality, subsampling)
    full.below, full.downsample = (lower[0] if lower else None), downsample
    big = (
        height * width * 3 > 3 * 2**30
    )  # classic TIFF ends at 4 GB; JPEG is at worst about as large as pixels
    with whole_file(path) as part, tifffile.TiffWriter(part, bigtiff=big) as writer:
        for level, (h, w) in zip([full, *lower], shapes, strict=True):
            tiles = full.stream(strips) if level is full else iter(level.tiles)
            writer.write(
                tiles,
                shape=(h, w, 3),
                dtype=np.uint8,
                tile=(tile_px, tile_px),
                photometric="ycbcr",
                subsampling=_SUBSAMPLING[subsampling],
                compression="jpeg",
                resolution=(1e4 / mpp * w / width, 1e4 / mpp * h / height),
                resolutionunit="CENTIMETER",
                subfiletype=0 if level is full else 1,
                metadata=None,
                software=False,
            )
            # The writer stops asking when it has its tiles: the source ends here, or held too much.
            if level is full and next(strips, None) is not None:
                raise ValueError(f"strips hold more rows than the {height} that the source announced")
    return Path(path)


class _Level:
    """Collect rows, cut them into JPEG tiles, and hand block means on to the level below."""

    def __init__(self, height: int, width: int, tile_px: int, quality: int, subsampling: str):
        self.height, self.width, self.tile_px = height, width, tile_px
        self.quality, self.subsampling = quality, subsampling
        self.tiles: list[bytes] = []
        self.below: _Level | None = None
        self.downsample = 2
        self._waiting = np.empty((0, width, 3), np.uint8)
        self._seen = 0

    def stream(self, strips: Iterator[np.ndarray]) -> Iterator[bytes]:
        """Yield the JPEG tiles of this level while the strips come in; the levels below keep theirs."""
        for strip in strips:
            strip = np.asarray(strip)
            if strip.dtype != np.uint8 or strip.ndim != 3 or strip.shape[1:] != (self.width, 3):
                raise ValueError(
                    f"strip is {strip.dtype} of shape {strip.shape}; give uint8 (rows, {self.width}, 3)"
                )
            self.push(strip)
            yield from self.tiles
            self.tiles.clear()
        if self._seen != self.height:
            raise ValueError(f"strips hold {self._seen} rows; the source announced {self.height}")

    def push(self, rows: np.ndarray) -> None:
        """Take further rows, top to bottom."""
        self._seen += len(rows)
        if self._seen > self.height:
            raise ValueError(f"strips hold {self._seen} rows or more; the source announced {self.height}")
        waiting = np.concatenate([self._waiting, rows]) if len(self._waiting) else rows
        last = self._seen == self.height
        start = 0
        while len(waiting) - start >= self.tile_px or (last and start < len(waiting)):
            self._row_of_tiles(waiting[start : start + self.tile_px])
            start += self.tile_px
        self._waiting = waiting[start:].copy()

    def _row_of_tiles(self, rows: np.ndarray) -> None:
        side = self.tile_px
        if self.below is not None:
            self.below.push(block_mean(rows, self.downsample))
        padded = _pad_to(rows, side)
        for x in range(0, padded.shape[1], side):
            tile = np.ascontiguousarray(padded[:, x : x + side])
            tile_jpeg = imagecodecs.jpeg8_encode(
                tile, self.quality, colorspace="RGB", outcolorspace="YCBCR", subsampling=self.subsampling
            )
            self.tiles.append(bytes(tile_jpeg))


def block_mean(pixels: np.ndarray, downsample: int) -> np.ndarray:
    """Return the rounded mean of blocks, uint8 (ceil(h / downsample), ceil(w / downsample), 3)."""
    full = _pad_to(pixels, downsample)
    total = np.zeros((full.shape[0] // downsample, full.shape[1] // downsample, 3), np.uint32)
    for dy in range(downsample):
        for dx in range(downsample):
            total += full[dy::downsample, dx::downsample]
    n = downsample * downsample
    return ((total + n // 2) // n).astype(np.uint8)


def _pad_to(pixels: np.ndarray, multiple: int) -> np.ndarray:
    down, right = -pixels.shape[0] % multiple, -pixels.shape[1] % multiple
    if not (down or right):
        return pixels
    return np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="edge")


def _as_strips(source) -> tuple[int, int, Iterable[np.ndarray]]:
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise ValueError(
                f"source has shape {source.shape} and dtype {source.dtype}; give uint8 (h, w, 3)"
            )
        height, width = source.shape[:2]
        return height, width, (source[y : y + 256] for y in range(0, height, 256))
    try:
        height, width, strips = source
    except (TypeError, ValueError):
        raise ValueError(
            "source is neither a uint8 (h, w, 3) array nor (height_px, width_px, strips)"
        ) from None
    return int(height), int(width), strips


def _level_shapes(height: int, width: int, downsample: int, levels: int | None) -> list[tuple[int, int]]:
    shapes = [(height, width)]
    while (max(shapes[-1]) > _SMALLEST_PX) if levels is None else (len(shapes) < levels):
        shapes.append((-(-shapes[-1][0] // downsample), -(-shapes[-1][1] // downsample)))
    return shapes


def _check(height, width, mpp, tile_px, quality, subsampling, downsample, levels) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"source is {width} x {height} px; give at least one pixel")
    if not 0.01 <= mpp <= 100:
        raise ValueError(f"mpp={mpp}; give micrometres per pixel between 0.01 and 100 (0.25 is usual at 40x)")
    if downsample < 2:
        raise ValueError(f"downsample={downsample}; give a whole number of at least 2")
    if tile_px < 16 or tile_px % 16 or tile_px % downsample:
        raise ValueError(f"tile_px={tile_px}; give a multiple of 16 and of downsample={downsample}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality={quality}; give a JPEG quality between 1 and 100")
    if subsampling not in _SUBSAMPLING:
        raise ValueError(f"subsampling={subsampling!r}; use one of {', '.join(_SUBSAMPLING)}")
    if levels is not None and levels < 1:
        raise ValueError(f"levels={levels}; give at least 1")
