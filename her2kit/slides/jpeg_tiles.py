"""JPEG tiles of a plain TIFF or SVS, decoded straight from the file: OpenSlide's pixels in less of its time.

OpenSlide decodes the same tiles, but paints each through Cairo into pixels with alpha. Here a tile goes
through libjpeg-turbo, by simplejpeg, and is copied to its place. simplejpeg and not imagecodecs, because it
reports what libjpeg-turbo only warns of: a damaged tile must not pass for pixels.

A level is read this way where it is one directory of YCbCr or RGB JPEG tiles and where probes at opening give
what OpenSlide gives. All other reads, and any tile that is missing or does not decode cleanly, are
OpenSlide's.
"""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile

from her2kit.errors import SlideError
from her2kit.slides.vendor import VendorSource

VENDORS = ("generic-tiff", "aperio")
"""Formats whose levels are plain tiled TIFF directories, by OpenSlide's name."""
_COLOUR_MODEL = {tifffile.PHOTOMETRIC.RGB: 0, tifffile.PHOTOMETRIC.YCBCR: 1}
"""Transform byte of Adobe's APP14 marker, by which a JPEG says what its three channels are. Like OpenSlide
we believe the TIFF: Aperio's RGB tiles do not say it themselves."""
_APP14 = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_RECENT_BYTES = 32 * 2**20
"""Decoded tiles that are kept, as many as OpenSlide keeps: reads with a halo meet them again."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the JPEG tiles of a level lie in the file."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    offsets: Sequence[int]
    sizes: Sequence[int]
    header: bytes
    """What a tile's own stream lacks, from the start marker on: colour model and shared tables."""

    @property
    def columns(self) -> int:
        return -(-self.width // self.tile_width)


class JpegTileSource(VendorSource):
    """An OpenSlide handle whose whole-pixel reads of JPEG tiles go past OpenSlide."""

    def __init__(self, path: Path, vendor: str, *, need_mpp: bool) -> None:
        super().__init__(path, vendor, need_mpp=need_mpp)
        self._recent: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._recent_bytes = 0
        self._recent_lock = threading.Lock()
        self._file = path.open("rb", buffering=0)
        self._layouts: dict[int, _Layout] = {}
        if not hasattr(os, "pread"):  # Windows: no reading at a place that several threads may do at once
            return
        layouts = _find_layouts(path, self.dimensions)
        self._layouts = {n: found for n, found in layouts.items() if self._same_as_openslide(n, found)}

    def native(
        self, x_px0: int, y_px0: int, level: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what OpenSlide reads at a level-0 place: RGB over white, and alpha unless all is opaque."""
        layout, downsample = self._layouts.get(level), self.downsamples[level]
        between_pixels = x_px0 % downsample or y_px0 % downsample
        if self._handle is None or layout is None or between_pixels:
            return super().native(x_px0, y_px0, level, w, h)
        try:
            return self._decode(layout, level, round(x_px0 / downsample), round(y_px0 / downsample), w, h)
        except (ValueError, OSError):
            return super().native(x_px0, y_px0, level, w, h)  # OpenSlide says what is wrong, if it is

    def close(self) -> None:
        """Give the file back; reading afterwards raises ``SlideError``."""
        super().close()
        self._file.close()
        self._recent.clear()

    def _same_as_openslide(self, level: int, layout: _Layout) -> bool:
        """Compare the richest tile and the last one with what lies beyond it; or, since elsewhere OpenSlide
        interpolates where a level's downsample is not whole, the first tiles of such a level."""
        downsample, (w, h) = self.downsamples[level], (layout.tile_width, layout.tile_height)
        probes = {int(np.argmax(layout.sizes)), int(np.flatnonzero(layout.sizes)[-1])}
        boxes = [(n % layout.columns * w, n // layout.columns * h, w, h) for n in probes]
        if downsample != round(downsample):
            boxes = [(0, 0, min(2 * w, layout.width), min(2 * h, layout.height))]
        for x, y, *size in boxes:
            try:
                ours = self._decode(layout, level, x, y, *size)  # first, as an error ends OpenSlide's handle
                theirs = super().native(round(x * downsample), round(y * downsample), level, *size)
            except (ValueError, OSError, SlideError):
                return False
            if not (_equal(ours[0], theirs[0]) and _equal(ours[1], theirs[1])):
                return False
        return True

    def _decode(
        self, layout: _Layout, level: int, x: int, y: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Put a box of a level together; it may reach beyond the level."""
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + w, layout.width), min(y + h, layout.height)
        rgb, alpha = np.empty((h, w, 3), np.uint8), None
        if (right - left, bottom - top) != (w, h):
            rgb[:], alpha = 255, np.zeros((h, w), np.uint8)
            if right > left and bottom > top:
                alpha[top - y : bottom - y, left - x : right - x] = 255
        tile_w, tile_h = layout.tile_width, layout.tile_height
        for row in range(top // tile_h, math.ceil(bottom / tile_h)):
            y0, y1 = max(row * tile_h, top), min((row + 1) * tile_h, bottom)
            for column in range(left // tile_w, math.ceil(right / tile_w)):
                x0, x1 = max(column * tile_w, left), min((column + 1) * tile_w, right)
                partly = (x1 - x0, y1 - y0) != (tile_w, tile_h)
                tile = self._tile(layout, level, row * layout.columns + column, keep=partly)
                part = tile[
                    y0 - row * tile_h : y1 - row * tile_h, x0 - column * tile_w : x1 - column * tile_w
                ]
                rgb[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return rgb, alpha

    def _tile(self, layout: _Layout, level: int, index: int, *, keep: bool) -> np.ndarray:
        """Return a decoded tile; it is kept where another read is likely to want the rest of it."""
        with self._recent_lock:
            if (level, index) in self._recent:
                self._recent.move_to_end((level, index))
                return self._recent[level, index]
        stream = os.pread(self._file.fileno(), layout.sizes[index], layout.offsets[index])
        tile = simplejpeg.decode_jpeg(layout.header + stream[2:], "RGB")
        if tile.shape != (layout.tile_height, layout.tile_width, 3):
            raise ValueError(f"a tile of {tile.shape} in a directory of {layout}")
        if keep:
            with self._recent_lock:
                if (level, index) not in self._recent:
                    self._recent[level, index] = tile
                    self._recent_bytes += tile.nbytes
                while self._recent_bytes > _RECENT_BYTES:
                    self._recent_bytes -= self._recent.popitem(last=False)[1].nbytes
        return tile


def _find_layouts(path: Path, dimensions: Sequence[tuple[int, int]]) -> dict[int, _Layout]:
    """Return the layouts of those levels that are plain JPEG tiles, by level."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [p for p in tiff.pages if isinstance(p, tifffile.TiffPage) and p.is_tiled]
            found = {}
            for level, size in enumerate(dimensions):
                match = [page for page in pages if (page.imagewidth, page.imagelength) == size]
                layout = _layout(match[0]) if len(match) == 1 else None
                if layout is not None:
                    found[level] = layout
            return found
    except Exception:  # tifffile raises many kinds of its own; OpenSlide has opened the file and reads it
        return {}


def _layout(page: tifffile.TiffPage) -> _Layout | None:
    """Return where the tiles of a directory lie, or None unless it is plain 8-bit RGB or YCbCr JPEG."""
    tables, colours = page.jpegtables or _SOI + _EOI, tifffile.PHOTOMETRIC(page.photometric)
    if (
        page.compression != tifffile.COMPRESSION.JPEG
        or colours not in _COLOUR_MODEL
        or page.shape != (page.imagelength, page.imagewidth, 3)
        or page.dtype != np.uint8
        or page.planarconfig != tifffile.PLANARCONFIG.CONTIG
        or not (tables.startswith(_SOI) and tables.endswith(_EOI))
        or not any(page.databytecounts)
    ):
        return None
    return _Layout(
        page.imagewidth,
        page.imagelength,
        page.tilewidth,
        page.tilelength,
        page.dataoffsets,
        page.databytecounts,
        _SOI + _APP14 + bytes([_COLOUR_MODEL[colours]]) + tables[2:-2],
    )


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b if a is None or b is None else np.array_equal(a, b)
