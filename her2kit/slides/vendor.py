"""Slides that OpenSlide reads: vendor formats and tiled TIFF, as level pixels over white.

One handle serves all threads: OpenSlide allows it, and two threads on one handle and its one cache were as
fast as handles of their own.
"""

import threading
from ctypes import POINTER, c_uint32
from pathlib import Path

import cv2
import numpy as np
import openslide
from openslide import lowlevel

from her2kit.errors import SlideError
from her2kit.slides.boxes import cut_box
from her2kit.slides.resolution import mpp_of_openslide

_BLOCK_PX = 512
_SMALL_PX = 16_000_000
"""A level of at most this many pixels (48 MB) may be kept in memory."""


class VendorSource:
    """An open OpenSlide handle behind the few calls that ``Slide`` needs."""

    def __init__(self, path: Path, vendor: str, *, need_mpp: bool) -> None:
        self._path = path
        try:
            self._handle: openslide.OpenSlide | None = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise self._error(error) from error
        self.vendor = vendor
        self.dimensions: tuple[tuple[int, int], ...] = self._handle.level_dimensions
        self.downsamples: tuple[float, ...] = self._handle.level_downsamples
        self.exact = tuple(
            scale == round(scale) or w * h <= _SMALL_PX
            for scale, (w, h) in zip(self.downsamples, self.dimensions, strict=True)
        )
        self._whole: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        self._lock = threading.Lock()
        self.mpp, self.mpp_source = (
            mpp_of_openslide(self._handle.properties, vendor=vendor, name=path.name)
            if need_mpp
            else (None, "none")
        )

    def native(
        self, x_px0: int, y_px0: int, level: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what OpenSlide reads at a level-0 place: RGB over white, and alpha unless all is opaque."""
        if self._handle is None:
            raise SlideError(f"{self._path}: the slide is closed; read inside its with block")
        try:
            bgra = _read_bgra(self._handle, x_px0, y_px0, level, w, h)
        except openslide.OpenSlideError as error:
            raise self._error(error) from error
        rgb = cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB)
        if np.bitwise_and.reduce(bgra.view(np.uint32), axis=None) >> 24 == 255:
            return rgb, None
        alpha = bgra[..., 3].copy()
        rgb += (255 - alpha)[..., None]  # OpenSlide premultiplies: colour <= alpha, so this cannot overflow
        return rgb, alpha

    def read(self, level: int, x: int, y: int, w: int, h: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a box in pixels of ``level``; every pixel the same whatever box it is read in.

        OpenSlide is addressed in whole level-0 pixels. Where a level's downsample is not whole (8.006), a
        place on the level lies between them, and OpenSlide interpolates by an amount that depends on where
        the read begins; only from the corner on it does not. So such a level is read whole, once, if it is
        small, and else in blocks that always begin at the same places, at most half a level-0 pixel off.
        """
        downsample = self.downsamples[level]
        if downsample == round(downsample):
            return self.native(x * round(downsample), y * round(downsample), level, w, h)
        if self.exact[level]:
            with self._lock:
                if level not in self._whole:
                    self._whole[level] = self.native(0, 0, level, *self.dimensions[level])
            return cut_box(*self._whole[level], x, y, w, h)
        return self._read_blocks(level, x, y, w, h)

    def _read_blocks(
        self, level: int, x: int, y: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        downsample = self.downsamples[level]
        rgb = np.empty((h, w, 3), np.uint8)
        alpha = np.empty((h, w), np.uint8)
        for by in range(y - y % _BLOCK_PX, y + h, _BLOCK_PX):
            for bx in range(x - x % _BLOCK_PX, x + w, _BLOCK_PX):
                x1, y1 = min(bx + _BLOCK_PX, x + w), min(by + _BLOCK_PX, y + h)
                place = round(bx * downsample), round(by * downsample)
                part, opaque = self.native(*place, level, x1 - bx, y1 - by)
                x0, y0 = max(bx, x), max(by, y)
                inner = np.s_[y0 - by :, x0 - bx :]
                outer = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
                rgb[outer] = part[inner]
                alpha[outer] = 255 if opaque is None else opaque[inner]
        return rgb, None if alpha.min() == 255 else alpha

    def close(self) -> None:
        """Give the file back; reading afterwards raises ``SlideError``."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None
            self._whole.clear()

    def _error(self, error: Exception) -> SlideError:
        reason = " ".join(str(error).split())
        return SlideError(
            f"{self._path}: OpenSlide cannot read it ({reason}); copy the file again, it may be cut off"
        )


def _read_bgra(handle: openslide.OpenSlide, x: int, y: int, level: int, w: int, h: int) -> np.ndarray:
    """Return OpenSlide's own premultiplied pixels, uint8 (h, w, 4).

    ``OpenSlide.read_region`` hands over the same pixels as a Pillow image; turning that into an array copies
    once more, which costs a tenth of the time of a read.
    """
    pixels = np.empty((h, w, 4), np.uint8)
    lowlevel._read_region(handle._osr, pixels.ctypes.data_as(POINTER(c_uint32)), x, y, level, w, h)
    return pixels
