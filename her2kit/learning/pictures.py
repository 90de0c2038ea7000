"""Small pictures and label rasters of public datasets: read whole, sized cheaply, written whole.

Slides are opened by ``slides.slide``; this is for tiles and masks, of which a dataset has many thousand.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from her2kit.errors import SlideError
from her2kit.exchange.whole import whole_file
from her2kit.slides.flat import LARGEST_PX


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture as uint8 (h, w, 3) RGB; transparent pixels lie over white.

    Raises
    ------
    SlideError
        If the file is missing, no picture, cut off, too large or of more than 8 bits; one line naming it.
    """
    with _opened(path) as picture:
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            raise SlideError(f"{path}: has more than 8 bits a channel; save it as 8-bit RGB")
        if picture.has_transparency_data:
            over = Image.new("RGBA", picture.size, "white")
            over.alpha_composite(picture.convert("RGBA"))
            return np.array(over.convert("RGB"))
        return np.array(picture.convert("RGB"))


def read_raster(path: str | os.PathLike) -> np.ndarray:
    """Read a raster of labels as it is stored, uint8 (h, w); palettes give their indices, not their colours.

    Raises
    ------
    SlideError
        As ``read_picture``; also if the raster has several channels that differ.
    """
    with _opened(path) as picture:
        values = np.array(picture)
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 2 and values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if values.ndim != 2 or values.dtype.kind not in "ui" or values.max(initial=0) > 255:
        raise SlideError(f"{path}: is no raster of labels (one 8-bit channel); give a grey or palette PNG")
    return values.astype(np.uint8)


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
    """Return (width, height) in pixels from the file's head, without decoding it.

    Raises
    ------
    SlideError
        As ``read_picture``, but for damage behind the head.
    """
    with _opened(path) as picture:
        return picture.size


def write_picture(path: str | os.PathLike, pixels: np.ndarray) -> Path:
    """Write RGB pixels, or one channel of labels, in the format of the path's ending; whole or not at all."""
    path = Path(path)
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, coded = cv2.imencode(path.suffix, values)
    if not done:
        raise ValueError(f"{path}: pixels of shape {pixels.shape} cannot be coded; give uint8 RGB or labels")
    with whole_file(path) as part:
        part.write_bytes(coded.tobytes())
    return path


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # LARGEST_PX is the bound here
            with Image.open(file) as picture:
                if picture.width * picture.height > LARGEST_PX:
                    raise SlideError(f"{path}: {picture.width} x {picture.height} px; too large for a tile")
                yield picture
    except FileNotFoundError:
        raise SlideError(f"{path}: no such file; check the folder") from None
    except UnidentifiedImageError:
        raise SlideError(f"{path}: is no picture that can be read; fetch or copy it again") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideError(f"{path}: cannot be decoded ({reason}); fetch or copy it again") from error
