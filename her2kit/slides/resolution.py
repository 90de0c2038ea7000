"""Micrometres per pixel (mpp) from what a file says about itself. Opens no files.

Print resolutions are not mpp: a JPEG's or PNG's dots per inch are never used, and those of a TIFF only where
they can be a microscope's (an inch-based tag of 72 or 300 dpi is 353 or 85 um/px).
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from her2kit.errors import MppError

PLAUSIBLE_MPP = (0.05, 20.0)
"""From beyond a 100x objective with a small camera pixel to a slide seen at 0.5x."""
LARGEST_ASPECT = 1.05
"""mpp across over mpp down, or the reverse, up to which pixels pass for square; lengths err by half of it."""
_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_INCH_UM, _CM_UM = 25400.0, 10000.0


def check_mpp_argument(mpp: float | None) -> None:
    """Raise ValueError if ``mpp`` is given and cannot be micrometres per pixel."""
    if mpp is None or PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]:
        return
    looks = " looks like a magnification" if mpp in (40, 60, 63, 100) else " is not micrometres per pixel"
    low, high = PLAUSIBLE_MPP
    raise ValueError(f"mpp={mpp:g}{looks}; pass {low:g} to {high:g} (0.25 is usual at 40x, 0.5 at 20x)")


def mean_mpp(mpp_x: float | None, mpp_y: float | None, *, name: str) -> float | None:
    """Return one mpp for both axes: their mean; None where neither is a positive number.

    Raises
    ------
    MppError
        If the two differ by more than ``LARGEST_ASPECT``: cells would be measured in stretched pixels.
    """
    x, y = _positive(mpp_x), _positive(mpp_y)
    if x is None or y is None:
        return x or y
    if max(x, y) / min(x, y) > LARGEST_ASPECT:
        raise MppError(
            f"{name}: its pixels are not square (mpp {x:g} across, {y:g} down); "
            "resample it to square pixels, or pass mpp= if the file is wrong"
        )
    return (x + y) / 2


def mpp_of_openslide(properties: Mapping[str, str], *, vendor: str, name: str) -> tuple[float | None, str]:
    """Return (mpp, where it was found) from OpenSlide's properties; (None, "none") where they hold none.

    What a scanner wrote is kept even if it is implausible, so that a check can name it later.
    """
    x, y = properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y")
    mpp = mean_mpp(_number(x), _number(y), name=name)
    if vendor != "generic-tiff":
        return (mpp, "file: openslide.mpp-x, openslide.mpp-y") if mpp else (None, "none")
    ome = mpp_of_ome(properties.get("openslide.comment", ""), name=name)
    if ome:
        return ome, "file: OME metadata"
    if mpp and properties.get("tiff.ResolutionUnit") == "inch" and not _plausible(mpp):
        return None, "none"
    return (mpp, "file: TIFF resolution tags") if mpp else (None, "none")


def mpp_of_tiff(tags: Mapping[str, Any], imagej: Mapping[str, Any], *, name: str) -> tuple[float | None, str]:
    """Return (mpp, where it was found) of a flat TIFF from its tags, by name, and ImageJ's metadata."""
    ome = mpp_of_ome(str(tags.get("ImageDescription", "")), name=name)
    if ome:
        return ome, "file: OME metadata"
    per_unit = [_ratio(tags.get(tag)) for tag in ("XResolution", "YResolution")]
    unit_um = {2: _INCH_UM, 3: _CM_UM}.get(int(tags.get("ResolutionUnit", 1)))
    source = "file: TIFF resolution tags"
    if imagej.get("unit"):
        unit = str(imagej["unit"]).replace("\\u00B5", "µ")
        unit_um, source = _UM.get(unit), "file: ImageJ resolution"
    if not unit_um:
        return None, "none"
    mpp = mean_mpp(*(unit_um / p if p else None for p in per_unit), name=name)
    return (mpp, source) if mpp and _plausible(mpp) else (None, "none")


def mpp_of_ome(xml: str, *, name: str) -> float | None:
    """Return the mpp of the first image in OME-XML, or None if the text is not OME or holds none."""
    if "<OME" not in xml:
        return None
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:
        return None
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None
    sizes = []
    for axis in "XY":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        unit = _UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        sizes.append(size * unit if size and unit else None)
    return mean_mpp(*sizes, name=name)


def _plausible(mpp: float) -> bool:
    return PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _ratio(value: Any) -> float | None:
    """Return a TIFF rational, given as (numerator, denominator), as a number."""
    if not value:
        return None
    numerator, denominator = value
    return _positive(numerator / denominator) if denominator else None
