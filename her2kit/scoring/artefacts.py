"""What spoils a picture of tissue: ink, bubbles, folds, stain too dark or too pale, JPEG, enlargement.

Numbers, no judgement, as in `signature`: shares and ratios of raw pixels, for one field at a time. Colours
are read at about 1 um per pixel, where noise and JPEG's coarse colour average out. What each was found to be
on real pictures, and what follows, stands in ``tile_gates`` and ``stain_gates``.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from her2kit.scoring.signature import coarse
from her2kit.stain.optical_density import check_rgb, optical_density
from her2kit.stain.separation import RUIFROK_JOHNSTON

_TISSUE, _STAINED = 0.15, 0.30
"""OD sum over R, G, B of tissue (glass is below .06), and of stain whose colour is certain."""
_FOREIGN = -0.30
"""Sine of the angle to the plane of hematoxylin and DAB, away from eosin, from which a colour is neither:
green ink -.47, leaves -.36, sky -.32; hematoxylin of seven HER2 cores -.11, of four phantom sites -.13."""
_GREY_OD, _GREY_SPREAD = 0.35, 0.15
"""Least OD of all three channels, and their largest difference over their mean, of a dark grey pixel. Equal
parts of hematoxylin and DAB differ by .2."""
_FOLD_UM, _FOLD_RATIO = 5.0, 2.5
"""Red OD (hematoxylin above all) averaged over this many um lies this many times over the slide's own."""
_LEAST_RED = 0.02
"""Red OD that is taken where a slide has less: noise is no fold."""
_CUT_OFF = 8
"""Grey level below which the camera has no steps left to tell one amount of stain from the next."""
_CONTRAST_UM, _CONTRAST_OD = 8.0, 0.15
"""Pixels that exceed their surroundings of so many um by so much OD sum: nuclei and membranes."""
_BLUE = 1.15
"""Red over blue OD from which contrast is blue."""
_HEMATOXYLIN, _DAB = (np.array(v) for v in (RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab))
_NORMAL = np.cross(_DAB, _HEMATOXYLIN)
_TO_EOSIN = (_NORMAL / np.linalg.norm(_NORMAL)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Colours:
    """What one field's optical density shows, at about 1 um per pixel; shares of 0..1."""

    red: np.ndarray
    """Red OD, where hematoxylin shows, float32 (h, w)."""
    um: float
    """Micrometres per pixel of `red`."""
    tissue: float
    """Share of the field that is tissue."""
    red_od: float
    """Median red OD of the tissue; NaN without tissue."""
    depth: float
    """95th percentile of the OD sum over R, G, B: how deep the stain goes."""
    foreign: float
    """Share of the stained area whose colour is neither hematoxylin nor DAB nor pink: ink, leaves, sky."""
    grey: float
    """Share of the field that is dark and grey: rims of bubbles, dust, black ink."""
    blue_weight: float
    """Contrast that is blue, in OD: nuclei, mostly."""
    contrast_weight: float
    """All contrast."""
    blue_out: float
    """Sine of the angle of the blue contrast to the plane of hematoxylin and DAB; NaN without any."""


def colours(pixels: np.ndarray, white: tuple[float, float, float], *, mpp: float) -> Colours:
    """Measure the colours of a field.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, raw.
    white
        Grey level of glass in R, G, B.
    mpp
        Micrometres per pixel.

    Raises
    ------
    ValueError
        If the pixels are not uint8 RGB, or ``mpp`` is not > 0.
    """
    if not mpp > 0:
        raise ValueError(f"mpp={mpp!r}; pass micrometres per pixel > 0 (0.25 is usual at 40x)")
    od = coarse(optical_density(pixels, white), 1.0 / mpp)
    total = od.sum(axis=2)
    tissue, stained = total > _TISSUE, total > _STAINED
    out = _out_of_plane(od)
    mean, least, most = total / 3, od.min(axis=2), od.max(axis=2)
    grey = (least > _GREY_OD) & (most - least < _GREY_SPREAD * mean)
    um = max(1.0, mpp)
    contrast = od - cv2.GaussianBlur(od, (0, 0), _CONTRAST_UM / um)
    seen = contrast.sum(axis=2)
    blue = (seen > _CONTRAST_OD) & (contrast[..., 0] > _BLUE * contrast[..., 2])
    return Colours(
        red=od[..., 0],
        um=um,
        tissue=float(tissue.mean()),
        red_od=float(np.median(od[tissue][:, 0])) if tissue.any() else np.nan,
        depth=float(np.percentile(total, 95)),
        foreign=float((out[stained] < _FOREIGN).mean()) if stained.any() else 0.0,
        grey=float(grey.mean()),
        blue_weight=float(seen[blue].sum()),
        contrast_weight=float(seen[seen > _CONTRAST_OD].sum()),
        blue_out=float(np.median(_out_of_plane(contrast)[blue])) if blue.any() else np.nan,
    )


def folded_share(field: Colours, *, red_od: float) -> float:
    """Return the share of a field, 0..1, far denser than tissue of a median ``red_od``, the slide's."""
    smooth = cv2.GaussianBlur(field.red, (0, 0), _FOLD_UM / field.um)
    return float(np.mean(smooth > _FOLD_RATIO * max(red_od, _LEAST_RED)))


def cut_off_share(pixels: np.ndarray) -> float:
    """Return the share of pixels, 0..1, so dark in a channel that more stain would not show."""
    check_rgb(pixels)
    dark = pixels < _CUT_OFF
    return float(np.mean(dark[..., 0] | dark[..., 1] | dark[..., 2]))


def blockiness(pixels: np.ndarray) -> float:
    """Return how much larger steps are on the lines of JPEG's grid of 8 px than between them, about 1 to 10.

    Mean step between neighbours in each of eight columns (rows): the largest over the median. The grid may
    begin anywhere.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, not resampled since the picture was coded; 16 px a side or more.
    """
    check_rgb(pixels)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(grey.shape) < 16:
        return 1.0
    ratios = []
    for axis in (0, 1):
        step = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        of_phase = np.array([step[k::8].mean() for k in range(8)])
        ratios.append(of_phase.max() / max(float(np.median(of_phase)), 1e-3))
    return float(np.mean(ratios))


def breaks_off(pixels: np.ndarray) -> float:
    """Return by how many dB the spectrum falls more across a quarter cycle per pixel than beyond it.

    A picture enlarged twofold holds nothing beyond a quarter; what is there is JPEG's. A lens, however soft,
    falls evenly.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, at the slide's own resolution; 64 px a side or more.
    """
    check_rgb(pixels)
    plane = pixels[..., 1].astype(np.float32)
    height, width = plane.shape
    if min(height, width) < 64:
        return 0.0
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2((plane - plane.mean()) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))

    def level(low: float, high: float) -> float:
        ring = power[(frequency >= low) & (frequency < high)]
        return 10 * float(np.log10(np.median(ring) + 1e-9))

    a, b, c = level(0.14, 0.18), level(0.22, 0.26), level(0.30, 0.35)
    return (a - b) - (b - c)


def _out_of_plane(od: np.ndarray) -> np.ndarray:
    """Return the sine of each colour's angle to the plane of hematoxylin and DAB, positive towards eosin."""
    return (od @ _TO_EOSIN) / np.maximum(np.linalg.norm(od, axis=2), 1e-6)
