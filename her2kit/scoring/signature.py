"""What a picture shows before any cell is looked for: pink, solid brown, sharp, dark. Numbers, no judgement.

Each measure is a ratio that needs no calibrated stain, so that it carries over between scanners and
laboratories. The judgement, and what each measure was found to be on real pictures, is in ``gates``.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from her2kit.stain.optical_density import check_rgb, optical_density
from her2kit.stain.separation import RUIFROK_JOHNSTON, separate

_TISSUE_OD_SUM = 0.15
"""OD sum over R, G, B from which a pixel is tissue; glass is below .06."""
_COLOUR_UM = 1.0
"""Colours are read at about this many um per pixel: noise and JPEG's coarse colour average out."""
_PINK_OD, _PINK_RATIO = 0.03, 1.15
"""OD by which green exceeds both red and blue, and the ratio, from which a pixel may be pink. Eosin's OD is
nearly
all green (.07, .99, .11: Ruifrok and Johnston 2001). The .03 keeps a white point that is off by a few grey
levels from turning pale hematoxylin pink."""
_PINK_ANGLE = 0.03
"""Sine of the angle to the plane of hematoxylin and DAB, on eosin's side (eosin: .65), from which it is pink:
green also exceeds red and blue where hematoxylin and DAB lie over each other, but in their plane."""
_BROWN_OD = 0.30
"""DAB OD of the stain whose form is looked at: the dark part, in membranes a thin line."""
_SMOOTH_UM = 0.25
_OPEN_UM = 1.5
"""Radius of the opening: a 3+ membrane is 2.1 +- .4 um wide (Scheel et al. 2018, PMC5848460), a nucleus 6 or
more."""
_NUCLEUS_UM2 = (12.0, 220.0)
"""Area of what may be a nucleus."""
_SOLIDITY = 0.85
"""Area over that of the convex hull, from which a piece is a blob: nuclei are convex, crossings of membranes
not."""
_PLANE = np.cross(RUIFROK_JOHNSTON.dab, RUIFROK_JOHNSTON.hematoxylin)
_TO_EOSIN = (_PLANE / np.linalg.norm(_PLANE)).astype(np.float32)
"""Unit normal of the plane of hematoxylin and DAB, on eosin's side."""
_FINE_UM, _COARSE_UM = (0.3, 0.6), (1.2, 2.4)
"""Gaussian bands whose contrast is compared: detail of the size of membranes, and of nuclei."""


def colourfulness(pixels: np.ndarray) -> float:
    """Return the difference of largest and smallest channel that 1 % of the pixels exceed, in grey levels.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3).
    """
    check_rgb(pixels)
    red, green, blue = (pixels[..., k] for k in range(3))
    most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float(np.percentile(most - least, 99))


def pink_share(samples: Sequence[np.ndarray], white: tuple[float, float, float], *, mpp: float) -> float:
    """Return which share of the stain is pink, weighted by OD, 0..1; 0 without tissue.

    Parameters
    ----------
    samples
        uint8 (h, w, 3), RGB, tissue of one slide.
    white
        Grey level of glass in R, G, B.
    mpp
        Micrometres per pixel of the samples.
    """
    pink = total = 0.0
    for pixels in samples:
        od = coarse(optical_density(pixels, white), _COLOUR_UM / mpp)
        weight = od.sum(axis=2)
        weight[weight < _TISSUE_OD_SUM] = 0
        other = np.maximum(od[..., 0], od[..., 2])
        out_of_plane = (od @ _TO_EOSIN) > _PINK_ANGLE * np.linalg.norm(od, axis=2)
        is_pink = (od[..., 1] - other > _PINK_OD) & (od[..., 1] > _PINK_RATIO * other) & out_of_plane
        pink += float(weight[is_pink].sum())
        total += float(weight.sum())
    return pink / total if total else 0.0


def solid_brown(
    samples: Sequence[np.ndarray], white: tuple[float, float, float], *, mpp: float
) -> tuple[float, float]:
    """Return how much of the tissue is brown, and how much of the brown lies in solid blobs of nuclear size.

    Parameters
    ----------
    samples
        uint8 (h, w, 3), RGB, tissue of one slide.
    white
        Grey level of glass in R, G, B.
    mpp
        Micrometres per pixel of the samples.

    Returns
    -------
    tuple of float
        Brown area over tissue area, and blob area over brown area, 0..1; 0 where there is nothing to measure.
    """
    disc = _disc(_OPEN_UM / mpp)
    low, high = (a / mpp**2 for a in _NUCLEUS_UM2)
    tissue = brown = blobs = 0
    for pixels in samples:
        maps = separate(pixels, white, RUIFROK_JOHNSTON)
        dab, red, blue = (_smooth(plane, _SMOOTH_UM / mpp) for plane in (maps.dab, maps.red, maps.blue))
        mask = ((dab > _BROWN_OD) & (blue > red)).astype(np.uint8)
        tissue += int(np.count_nonzero(maps.red + maps.blue > 0.8 * _TISSUE_OD_SUM))
        brown += int(np.count_nonzero(mask))
        opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
        outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            # contourArea runs through pixel centres; half the perimeter and 1 make it the number of pixels
            area = cv2.contourArea(outline) + len(outline) / 2 + 1
            if low <= area <= high and area >= _SOLIDITY * _hull_area(outline):
                blobs += round(area)
    return (brown / tissue if tissue else 0.0), (min(blobs / brown, 1.0) if brown else 0.0)


def sharpness(pixels: np.ndarray, *, mpp: float) -> float:
    """Return the contrast of fine detail over that of coarse detail, about .05 to 4.

    Blur lowers it, white noise raises it; brightness, contrast and stain hardly matter, as it is a ratio of
    standard deviations of log grey levels.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.
    mpp
        Micrometres per pixel.
    """
    check_rgb(pixels)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    log = np.log10(np.maximum(grey, 1.0))
    fine = _smooth(log, _FINE_UM[0] / mpp) - _smooth(log, _FINE_UM[1] / mpp)
    coarse = _smooth(log, _COARSE_UM[0] / mpp) - _smooth(log, _COARSE_UM[1] / mpp)
    return float(fine.std() / max(float(coarse.std()), 1e-5))


def noise_level(pixels: np.ndarray) -> float:
    """Return the noise in grey levels, about the standard deviation of the grey value where nothing is drawn.

    The median size of a second difference in both directions, which edges and gradients hardly touch.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.

    References
    ----------
    Immerkaer J. Fast noise variance estimation. Comput Vis Image Underst 1996;64:300-302; with a median.
    """
    check_rgb(pixels)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    step = cv2.filter2D(grey, -1, np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32))
    return float(np.median(np.abs(step)) / (0.6745 * 6))


def coarse(od: np.ndarray, factor: float) -> np.ndarray:
    """Return optical density averaged over blocks of about ``factor`` pixels, float32 (h, w, 3)."""
    height, width = od.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    return cv2.resize(od, size, interpolation=cv2.INTER_AREA) if factor > 1 else od


def dark_share(pixels: np.ndarray, *, below: int) -> float:
    """Return the share of pixels whose brightest channel is below a grey level, 0..1."""
    check_rgb(pixels)
    dark = pixels < below
    return float(np.mean(dark[..., 0] & dark[..., 1] & dark[..., 2]))


def bright_share(pixels: np.ndarray, *, above: int) -> float:
    """Return the share of pixels whose darkest channel is above a grey level, 0..1."""
    check_rgb(pixels)
    bright = pixels > above
    return float(np.mean(bright[..., 0] & bright[..., 1] & bright[..., 2]))


def _smooth(plane: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) if sigma > 0.3 else plane


def _disc(radius: float) -> np.ndarray:
    n = int(np.ceil(radius))
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    return (x * x + y * y <= radius * radius + 0.3).astype(np.uint8)


def _hull_area(outline: np.ndarray) -> float:
    hull = cv2.convexHull(outline)
    return cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
