"""Choose who reads a file: OpenSlide, a faster way to its pixels, or a flat picture's decoder.

Says in one line what is wrong with it.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import openslide

from her2kit.errors import MppError, SlideError
from her2kit.slides.flat import FlatSource
from her2kit.slides.jpeg_tiles import VENDORS, JpegTileSource
from her2kit.slides.vendor import VendorSource


class Source(Protocol):
    """What ``Slide`` needs of a file: see ``vendor``, ``jpeg_tiles`` and ``flat``.

    ``exact`` says of each level whether ``read`` gives its pixels without interpolation.
    """

    vendor: str
    mpp: float | None
    mpp_source: str
    dimensions: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    exact: tuple[bool, ...]

    def native(
        self, x_px0: int, y_px0: int, level: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a box of a level that begins at a level-0 place: RGB, and alpha or None."""

    def read(self, level: int, x: int, y: int, w: int, h: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a box in pixels of a level: RGB, and alpha or None."""

    def close(self) -> None:
        """Give back what is held open."""


def open_source(path: Path, *, need_mpp: bool) -> Source:
    """Open a file that ``Slide`` can read from.

    Parameters
    ----------
    need_mpp
        Whether to look for mpp in the file, and to refuse pixels that are not square.

    Raises
    ------
    SlideError
        If the file is missing, empty, cut off, too large to hold (flat pictures) or no picture.
    """
    if path.is_dir():
        raise SlideError(f"{path}: is a folder; name one slide file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise SlideError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise SlideError(
            f"{path}: cannot be opened ({error.strerror}); check the path and its rights"
        ) from error
    if empty:
        raise SlideError(f"{path}: is empty (0 bytes); copy the file again")
    return _choose(path, need_mpp=need_mpp)


def _choose(path: Path, *, need_mpp: bool) -> Source:
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor is None:
        return FlatSource(path, need_mpp=need_mpp)
    reader = JpegTileSource if vendor in VENDORS else VendorSource
    try:
        return reader(path, vendor, need_mpp=need_mpp)
    except MppError:
        raise
    except SlideError:
        if vendor != "generic-tiff":
            raise
    # Tiled TIFF in a compression that OpenSlide lacks, such as JPEG 2000 or WebP.
    return FlatSource(path, need_mpp=need_mpp)
