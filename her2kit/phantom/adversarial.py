"""Pictures that must get no HER2 score unseen: what a folder of slides holds by mistake, or was spoiled to.

Some need no slide (blank glass, a black frame, noise, a photograph), some are another stain of a phantom
(H&E, Ki67), some are a slide that was handled badly (enlarged from 20x, JPEG at quality 10, grey, inverted,
channels in the wrong order). All are made here and deterministic. Whether a gate sees them is the gates'
business; nothing of them is used here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from her2kit.phantom.noise import field
from her2kit.phantom.plan import Plan
from her2kit.phantom.slide import make_slide
from her2kit.slides.pyramid import write_pyramid

GLASS = (233.0, 233.0, 242.0)
JPEG_QUALITY = 10
STAINS = ("he", "ki67")
"""Stains of a phantom that are not HER2's."""


def blank_glass(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return empty glass with a scanner's noise and drift, uint8 (side, side, 3)."""
    drift = 2 * field((side_px, side_px), side_px / 3, rng)[..., None]
    return _grey_levels(np.array(GLASS) + drift + rng.normal(0, 0.7, (side_px, side_px, 3)))


def black_frame(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return what a camera sees without light."""
    return _grey_levels(rng.normal(4, 1.5, (side_px, side_px, 3)))


def noise(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return pixels that know nothing of their neighbours."""
    return rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


def photograph(side_px: int, rng: np.random.Generator) -> np.ndarray:
    """Return a landscape: sky with clouds, hills, a meadow, trees, a house; sharp, in many colours."""
    y, x = (np.mgrid[0:side_px, 0:side_px] / side_px).astype(np.float32)
    cloud = np.clip(field((side_px, side_px), side_px / 6, rng), 0, 1)[..., None]
    sky = np.stack([0.42 + 0.35 * y, 0.60 + 0.25 * y, 0.92 + 0 * y], axis=-1)
    out = sky + cloud * (1 - sky)
    grain = field((side_px, side_px), max(side_px / 300, 2.0), rng)[..., None]
    for depth, colour in enumerate(((0.40, 0.50, 0.52), (0.26, 0.42, 0.24), (0.35, 0.55, 0.18))):
        ridge = 0.45 + 0.14 * depth + 0.05 * field((1, side_px), side_px / (3 + 3 * depth), rng)
        light = 1 + (0.05 + 0.09 * depth) * grain
        out = np.where((y > ridge)[..., None], np.array(colour) * light, out)
    for _ in range(40):
        cx, foot = rng.uniform(0, 1), rng.uniform(0.66, 0.98)
        size = 0.10 * (foot - 0.45)
        trunk = (abs(x - cx) < 0.12 * size) & (y < foot) & (y > foot - 2 * size)
        crown = (x - cx) ** 2 + (y - foot + 2.4 * size) ** 2 < size**2 * (1 + 0.4 * grain[..., 0])
        out[trunk] = (0.33, 0.22, 0.13)
        out = np.where(crown[..., None], np.array((0.13, 0.33, 0.10)) * (1 + 0.35 * grain), out)
    wall = (x > 0.42) & (x < 0.56) & (y > 0.62) & (y < 0.73)
    roof = (y > 0.62 - 0.09 * (1 - abs(x - 0.49) / 0.085)) & (y <= 0.62)
    out[wall], out[roof] = (0.88, 0.82, 0.70), (0.66, 0.22, 0.14)
    return _grey_levels(255 * out + rng.normal(0, 1.5, out.shape))


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """Return a slide that was scanned at half the resolution it claims, at the same size."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def hard_jpeg(pixels: np.ndarray) -> np.ndarray:
    """Return what is left of a picture after JPEG at quality 10."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; pass uint8 (h, w, 3), RGB")
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"OpenCV could not code a picture of shape {pixels.shape}; pass uint8 (h, w, 3)")
    back = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if back is None:
        raise ValueError("OpenCV could not read the JPEG that it wrote; reinstall opencv-python-headless")
    return cv2.cvtColor(back, cv2.COLOR_BGR2RGB)


def grey(pixels: np.ndarray) -> np.ndarray:
    """Return the picture without colour, three channels alike."""
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def inverted(pixels: np.ndarray) -> np.ndarray:
    """Return the negative."""
    return 255 - pixels


def swapped(pixels: np.ndarray) -> np.ndarray:
    """Return red and blue in each other's place, as when BGR is read as RGB."""
    return np.ascontiguousarray(pixels[..., ::-1])


PICTURES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "blank_glass": blank_glass,
    "black_frame": black_frame,
    "noise": noise,
    "photograph": photograph,
}
"""Pictures that need no slide, from a side in pixels and a generator."""
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "enlarged_20x": enlarged,
    "jpeg_10": hard_jpeg,
    "grey": grey,
    "inverted": inverted,
    "swapped_channels": swapped,
}
"""What may be done to a slide's pixels, uint8 (h, w, 3) in and out."""


def write_pack(folder: Path, plan: Plan) -> dict[str, Path]:
    """Write the whole pack as slides of one size and resolution; return the path of each by its name.

    Parameters
    ----------
    folder
        Gets one pyramid a member.
    plan
        The HER2 phantom that is changed, and stained otherwise.
    """
    side, mpp, rng = min(plan.size_px), plan.pixel_um, np.random.default_rng(plan.seed)
    pack = {}
    for name, draw in PICTURES.items():
        pack[name] = write_pyramid(folder / f"{name}.tif", draw(side, rng), mpp=mpp)
    for stain in STAINS:
        make_slide(replace(plan, stain=stain, slide_id=stain), folder)
        pack[stain] = folder / "slides" / f"{stain}.tif"
    make_slide(plan, folder)
    return pack | write_changes(folder, pixels_of(folder / "slides" / f"{plan.slide_id}.tif"), mpp=mpp)


def write_changes(folder: Path, pixels: np.ndarray, *, mpp: float, name: str = "") -> dict[str, Path]:
    """Write every one of `CHANGES` of a picture as a slide; return the paths by the change's name.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB.
    mpp
        Micrometres per pixel.
    name
        Put before the files' names.
    """
    return {
        change: write_pyramid(folder / f"{name}{change}.tif", do(pixels), mpp=mpp)
        for change, do in CHANGES.items()
    }


def pixels_of(path: Path) -> np.ndarray:
    """Return the full level of a phantom slide, uint8 (h, w, 3)."""
    import tifffile

    return tifffile.imread(path, series=0, level=0)


def _grey_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
