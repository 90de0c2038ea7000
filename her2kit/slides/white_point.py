"""The colour of light through empty glass, from which optical density counts. Needs no mpp.

Glass is bright and flat, and the brightest thing there is much of. Its colour is the mode of each channel
over such pixels. Pure white (255) is padding that a scanner or an export put around the picture, not glass.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from her2kit.slides.slide import Slide

DEFAULT_WHITE = (240.0, 240.0, 240.0)
"""Taken where no glass is seen: the transmitted light that stain tools assume since Macenko et al. (2009)."""
_LARGEST_PX = 1200
_DARKEST = 150
"""No channel of glass is darker: an optical density of .2 against the usual 235 is stain."""
_FLAT_SD = 3.0
"""Largest s.d. in a 5 x 5 window, in grey levels; measured on glass: 0.5 to 2, in tissue 5 and more."""
_PADDING = 253
"""From here on in all channels a pixel is padding or cut off by the sensor."""
_LITTLE = 0.02
"""Less of the picture than this is little blank area."""
_NEAR = 8
"""Grey levels about the mode that are the same glass (background drift has an s.d. of 1.4 to 4.4)."""
_BRIGHTER = 0.05
"""Where more of the picture than this is brighter than the mode by ``_NEAR``, the mode is pale tissue."""


@dataclass(frozen=True, slots=True)
class WhitePoint:
    """The white of a slide and how it was found."""

    rgb: tuple[float, float, float]
    """Grey levels of R, G and B, in 1..255."""
    source: str
    """"glass" where measured, "default" where no glass was seen, "given" by the user."""
    blank_fraction: float
    """Share of the picture that is flat and within a few grey levels of the white, 0..1."""
    warning: str | None = None
    """What is doubtful about it, in one line, or None."""

    def __post_init__(self) -> None:
        if len(self.rgb) != 3 or not all(1 <= v <= 255 for v in self.rgb):
            raise ValueError(f"rgb={self.rgb}; give three grey levels between 1 and 255")
        if self.source not in ("glass", "default", "given"):
            raise ValueError(f"source={self.source!r}; use 'glass', 'default' or 'given'")


def find_white_point(slide: Slide, *, given: tuple[float, float, float] | None = None) -> WhitePoint:
    """Measure the white point of a slide on its thumbnail.

    Parameters
    ----------
    given
        The user's own value; it is taken as it is, and only ``blank_fraction`` is measured.

    Returns
    -------
    The mode of each channel over flat, bright pixels; ``DEFAULT_WHITE`` and a warning where there is none.
    """
    tile = slide.thumbnail(max_px=_LARGEST_PX)
    pixels = tile.pixels
    darkest = np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    blank = _flat(pixels) & (darkest >= _DARKEST)
    inside = np.ones(blank.shape, bool) if tile.outside is None else ~tile.outside
    padding = darkest >= _PADDING
    glass = blank & inside & ~padding
    n_inside = max(int(np.count_nonzero(inside)), 1)
    if given is not None:
        near = _near(pixels, given)
        return WhitePoint(given, "given", float(np.count_nonzero(blank & inside & near) / n_inside))
    fraction = float(np.count_nonzero(glass) / n_inside)
    if fraction < _LITTLE:
        saturated = np.count_nonzero(padding & inside) / n_inside >= _LITTLE
        seen = "its blank area is cut off at 255" if saturated else f"{fraction:.1%} of it is blank"
        return _default(fraction, f"{slide.slide_id}: no glass to measure white on ({seen})")
    red, green, blue = (float(_mode(pixels[..., c][glass])) for c in range(3))
    mode = (red, green, blue)
    if np.mean(darkest[inside & ~padding] > min(mode) + _NEAR) > _BRIGHTER:
        return _default(
            fraction, f"{slide.slide_id}: the flat areas are not the brightest, so they are not glass"
        )
    fraction = float(np.count_nonzero(glass & _near(pixels, mode)) / n_inside)
    return WhitePoint(mode, "glass", fraction)


def _default(fraction: float, reason: str) -> WhitePoint:
    white = "/".join(f"{v:g}" for v in DEFAULT_WHITE)
    return WhitePoint(
        DEFAULT_WHITE,
        "default",
        fraction,
        f"{reason}; white is set to {white}, which can shift OD by .05: give the white point to be sure",
    )


def _flat(pixels: np.ndarray) -> np.ndarray:
    """Return where the s.d. of each channel in a 5 x 5 window is small."""
    grey = pixels.astype(np.float32)
    mean = cv2.blur(grey, (5, 5))
    variance = cv2.blur(grey * grey, (5, 5)) - mean * mean
    flat = variance < _FLAT_SD**2
    return flat[..., 0] & flat[..., 1] & flat[..., 2]


def _near(pixels: np.ndarray, rgb: tuple[float, float, float]) -> np.ndarray:
    low, high = (np.clip(np.array(rgb) + by, 0, 255) for by in (-_NEAR, _NEAR))
    return cv2.inRange(pixels, low, high) > 0


def _mode(values: np.ndarray) -> int:
    """Return the commonest grey level, of a histogram smoothed over three levels: JPEG leaves combs."""
    counts = np.bincount(values, minlength=256).astype(float)
    return int(np.convolve(counts, (0.25, 0.5, 0.25), mode="same").argmax())
