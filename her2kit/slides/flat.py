"""Flat pictures: JPEG, PNG, BMP, plain TIFF and small OME-TIFF, whole in memory with halved copies below.

Pillow decodes the pictures, tifffile (with imagecodecs) the TIFFs that OpenSlide does not take. EXIF rotation
is ignored: coordinates are those of the stored pixels, as in QuPath.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from her2kit.errors import SlideError
from her2kit.slides.boxes import cut_box
from her2kit.slides.resolution import mpp_of_tiff

LARGEST_PX = 150_000_000
"""Largest flat picture, in pixels: 4 bytes a pixel with its pyramid, about 8 while it is decoded."""
_SMALLEST_LEVEL_PX = 512
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BAD_FILE = "it is cut off or damaged; copy the file again"


class FlatSource:
    """A picture in memory, as pyramid levels that halve exactly."""

    def __init__(self, path: Path, *, need_mpp: bool) -> None:
        with path.open("rb") as file:
            is_tiff = file.read(4) in _TIFF_MAGIC
        self._path = path
        self.mpp: float | None = None
        self.mpp_source = "none"
        if is_tiff:
            pixels, (mpp, mpp_source) = _read_tiff(path, need_mpp=need_mpp)
            self.mpp, self.mpp_source, self.vendor = mpp, mpp_source, "tifffile"
        else:
            pixels, self.vendor = _read_picture(path)
        rgb, alpha = _over_white(pixels)
        self._levels: list[tuple[np.ndarray, np.ndarray | None]] | None = [(rgb, alpha)]
        while max(rgb.shape[:2]) > _SMALLEST_LEVEL_PX:
            rgb, alpha = _halve(rgb), None if alpha is None else _halve(alpha)
            self._levels.append((rgb, alpha))
        self.dimensions = tuple((level.shape[1], level.shape[0]) for level, _ in self._levels)
        self.downsamples = tuple(float(2**k) for k in range(len(self._levels)))
        self.exact = (True,) * len(self._levels)

    def native(
        self, x_px0: int, y_px0: int, level: int, w: int, h: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a box that begins at a level-0 place, rounded down to a pixel of the level."""
        return self.read(level, x_px0 >> level, y_px0 >> level, w, h)

    def read(self, level: int, x: int, y: int, w: int, h: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a box in pixels of ``level``: RGB over white, and alpha unless all is opaque."""
        if self._levels is None:
            raise SlideError(f"{self._path}: the slide is closed; read inside its with block")
        return cut_box(*self._levels[level], x, y, w, h)

    def close(self) -> None:
        """Free the memory; reading afterwards raises ``SlideError``."""
        self._levels = None


def _read_picture(path: Path) -> tuple[np.ndarray, str]:
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # LARGEST_PX is the bound here
            with Image.open(file) as picture:
                _check_size(path, *picture.size)
                if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
                    raise SlideError(f"{path}: has more than 8 bits a channel; save it as 8-bit RGB")
                picture.load()
                has_alpha = picture.has_transparency_data
                mode = "RGBA" if has_alpha else "RGB"
                kind = str(picture.format).lower()
                return np.asarray(picture if picture.mode == mode else picture.convert(mode)), kind
    except UnidentifiedImageError as error:
        raise SlideError(
            f"{path}: is not a slide or picture that can be read; give a whole-slide file, TIFF, JPEG or PNG"
        ) from error
    except Image.DecompressionBombError as error:
        raise SlideError(f"{path}: {_one_line(error)}; {_TOO_LARGE}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise on bad bytes
        raise SlideError(f"{path}: cannot be decoded ({_one_line(error)}); {_BAD_FILE}") from error


def _read_tiff(path: Path, *, need_mpp: bool) -> tuple[np.ndarray, tuple[float | None, str]]:
    try:
        with _damage() as damage, tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            _check_size(path, page.imagewidth, page.imagelength)
            _check_brightfield(path, page)
            size = path.stat().st_size
            ends = [at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
            len(tiff.pages)  # walks the directories, which finds the ones that are cut off
            if damage or not ends or max(ends) > size or min(page.databytecounts) == 0:
                raise SlideError(f"{path}: parts of the TIFF are missing; {_BAD_FILE}")
            pixels = page.asarray()
            if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            tags = {tag.name: tag.value for tag in page.tags}
            imagej = tiff.imagej_metadata or {}
    except SlideError:
        raise
    except Exception as error:  # tifffile and imagecodecs raise many kinds of their own on bad bytes
        raise SlideError(f"{path}: the TIFF cannot be decoded ({_one_line(error)}); {_BAD_FILE}") from error
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = 255 - pixels
    mpp = mpp_of_tiff(tags, imagej, name=path.name) if need_mpp else (None, "none")
    return pixels, mpp


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > LARGEST_PX:
        raise SlideError(f"{path}: {width} x {height} px flat; {_TOO_LARGE}")


_TOO_LARGE = (
    "too large to hold in memory; save it as a tiled pyramid TIFF (write_pyramid, or QuPath's export)"
)


def _check_brightfield(path: Path, page: tifffile.TiffPage) -> None:
    kinds = tifffile.PHOTOMETRIC
    grey = page.photometric in (kinds.MINISWHITE, kinds.MINISBLACK) and page.samplesperpixel == 1
    colour = page.photometric in (kinds.RGB, kinds.YCBCR) and page.samplesperpixel in (3, 4)
    if page.dtype != np.uint8 or not (grey or colour):
        kind = f"{page.samplesperpixel} channel(s) of {page.dtype}, {getattr(page.photometric, 'name', '?')}"
        raise SlideError(f"{path}: holds {kind}; save it as 8-bit RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _damage() -> Iterator[list[str]]:
    """Collect what tifffile only logs: offsets that point beyond the file, so that tags or pages are lost."""
    found: list[str] = []

    class Listener(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            message = record.getMessage()
            if "invalid" in message and "offset" in message:
                found.append(message)
            return False

    logger, listener = logging.getLogger("tifffile"), Listener()
    logger.addFilter(listener)
    try:
        yield found
    finally:
        logger.removeFilter(listener)


def _over_white(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return RGB over white, and alpha unless all is opaque."""
    if pixels.ndim == 2:
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_GRAY2RGB), None
    if pixels.shape[2] == 3:
        return np.ascontiguousarray(pixels), None
    rgb, alpha = np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
    if alpha.min() == 255:
        return rgb, None
    share = alpha[..., None].astype(np.uint16)
    return ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8), alpha


def _halve(pixels: np.ndarray) -> np.ndarray:
    """Return the rounded means of 2 x 2 blocks; an odd last row or column is repeated, so none is lost."""
    h, w = pixels.shape[:2]
    if h % 2 or w % 2:
        pixels = cv2.copyMakeBorder(pixels, 0, h % 2, 0, w % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
