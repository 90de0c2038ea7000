"""Region of interest by one grey threshold of the thumbnail, as R4 and many others find it; for comparison.

Scores use ``tissue.find_tissue``. A grey threshold splits whatever it is given in two: it takes ink, folds
and the drift of an empty slide for tissue, and loses pale tissue beside dark.

References
----------
Otsu (1979), IEEE Trans. Syst. Man Cybern. 9, 62: the threshold with the most variance between the two sides.
Yen, Chang and Chang (1995), IEEE Trans. Image Process. 4, 370: the one with the highest correlation entropy.
"""

import cv2
import numpy as np
from skimage.filters import threshold_otsu, threshold_yen

from her2kit.slides.slide import Slide
from her2kit.slides.tissue import Tissue

METHODS = ("otsu", "yen")


def grey_threshold(pixels: np.ndarray, *, method: str = "otsu") -> float:
    """Return the grey level up to which a pixel counts as tissue; -1 for a picture of one grey level.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.
    method
        ``otsu`` or ``yen``.

    Raises
    ------
    ValueError
        If ``method`` is another, or the pixels are not uint8 RGB.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; use {' or '.join(METHODS)}")
    grey = _grey(pixels)
    if grey.size == 0 or grey.min() == grey.max():
        return -1.0
    return float(threshold_otsu(grey) if method == "otsu" else threshold_yen(grey))


def thumbnail_mask(slide: Slide, *, method: str = "otsu", max_px: int = 1024) -> Tissue:
    """Find the region of interest on the thumbnail; ``tile_grid`` takes it as it takes ``find_tissue``'s.

    Parameters
    ----------
    method
        ``otsu`` or ``yen``.
    max_px
        Longer side of the thumbnail.

    Returns
    -------
    Every pixel that is as dark as ``grey_threshold`` or darker, pieces and holes as they come.

    Raises
    ------
    MppError
        If the slide has no mpp.
    """
    slide.scale_at(None)
    tile = slide.thumbnail(max_px=max_px)
    mask = _grey(tile.pixels) <= grey_threshold(tile.pixels, method=method)
    if tile.outside is not None:
        mask &= ~tile.outside
    return Tissue(mask, tile.mpp, tile.mpp / float(slide.mpp or 1))


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; give uint8 (h, w, 3)")
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
