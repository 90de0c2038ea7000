"""Where there is tissue on a slide: a mask, its area, its outlines. Does not tell tumour from stroma.

Tissue is what is rough and not quite transparent. Local variance alone takes in the edges of dust and of
padding; optical density alone takes in smears and drift on the glass, or loses pale slides.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import shapely

from her2kit.slides.slide import Slide
from her2kit.slides.white_point import WhitePoint

LEAST_OD = 0.015
"""Sum of the three channels' OD, averaged over about 36 um. The palest real core has a median of .02;
drift of the glass stays below .006."""
LEAST_ROUGHNESS = 0.008
"""S.d. of the OD sum about its mean over 20 um. On seven HER2 cores glass has a median of .001 to .004 (95th
percentile up to .009, where it is dusty), tissue a 1st percentile of .011 in the palest core."""
SMALLEST_UM2 = 4_000.0
"""Smaller pieces (about 60 x 60 um) are dust."""
LARGEST_HOLE_UM2 = 4_000.0
"""Smaller holes are part of the tissue: fat cells, small lumina, pale nuclei."""
_BAND_ROWS = 1024
_MARGIN_ROWS = 16


@dataclass(frozen=True, slots=True)
class Tissue:
    """The tissue of one slide."""

    mask: np.ndarray
    """bool (h, w); pixel (0, 0) begins at the slide's corner."""
    mpp: float
    """Micrometres per pixel of the mask."""
    scale: float
    """Level-0 pixels per pixel of the mask."""

    def __post_init__(self) -> None:
        if self.mask.dtype != bool or self.mask.ndim != 2:
            raise ValueError(f"mask is {self.mask.dtype} {self.mask.shape}; give bool (h, w)")
        if not (self.mpp > 0 and self.scale > 0):
            raise ValueError(f"mpp={self.mpp}, scale={self.scale}; give positive numbers")

    @property
    def area_mm2(self) -> float:
        """Area of the tissue in square millimetres."""
        return float(np.count_nonzero(self.mask)) * self.mpp**2 / 1e6

    def contains(self, x_px0: np.ndarray, y_px0: np.ndarray) -> np.ndarray:
        """Return for each level-0 point whether it lies on tissue, bool (n,)."""
        column = np.floor(np.asarray(x_px0, float) / self.scale).astype(np.int64)
        row = np.floor(np.asarray(y_px0, float) / self.scale).astype(np.int64)
        height, width = self.mask.shape
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        return inside & self.mask[np.where(inside, row, 0), np.where(inside, column, 0)]

    def polygons(self, *, tolerance_um: float | None = None) -> list[shapely.Polygon]:
        """Return the outlines in level-0 pixels, holes kept, valid, the largest first.

        Parameters
        ----------
        tolerance_um
            How far an outline may leave the edges of the mask's pixels; None takes 3/4 of a pixel.
            0 keeps the pixels' edges, whose area is exactly ``area_mm2``.
        """
        tolerance = 0.75 if tolerance_um is None else tolerance_um / self.mpp
        faces = [p for p in _outlines(self.mask) if p.area]
        faces = [shapely.make_valid(p.simplify(tolerance)) if tolerance else p.simplify(0) for p in faces]
        parts = [p for f in faces for p in getattr(f, "geoms", [f]) if p.geom_type == "Polygon" and p.area]
        scaled = [shapely.transform(p, lambda xy: xy * self.scale) for p in parts]
        return sorted(scaled, key=lambda p: p.area, reverse=True)


def find_tissue(slide: Slide, white: WhitePoint, *, mpp: float = 8.0) -> Tissue:
    """Find the tissue of a slide.

    Parameters
    ----------
    white
        The slide's white point, see ``find_white_point``.
    mpp
        Micrometres per pixel of the mask. The slide is read twice as fine, where it is, to see roughness.

    Returns
    -------
    The tissue; an all-False mask where there is none. Pixels outside the slide are never tissue.

    Raises
    ------
    MppError
        If the slide has no mpp.
    ValueError
        If ``mpp`` is finer than the slide's own.
    """
    whole = slide.scale_at(mpp)
    fold = 2 if slide.mpp and mpp / 2 >= slide.mpp else 1
    fine_mpp = mpp / fold
    scale = slide.scale_at(fine_mpp) * fold if fold > 1 else whole
    height, width = (int(np.ceil(px0 / scale - 1e-9)) for px0 in (slide.height_px0, slide.width_px0))
    mask = np.empty((height, width), bool)
    band, margin = _BAND_ROWS // fold, _MARGIN_ROWS // fold
    for top in range(0, height, band):
        first, last = max(top - margin, 0), min(top + band + margin, height)
        tile = slide.read(0, first * scale, width * fold, (last - first) * fold, mpp=fine_mpp)
        share = _rough_and_dark(tile.pixels, tile.outside, white.rgb, um=fine_mpp)
        share = share.reshape(last - first, fold, width, fold).mean(axis=(1, 3))
        bottom = min(top + band, height)
        mask[top:bottom] = share[top - first : bottom - first] >= 0.5
    # A last row or column that lies mostly beyond the slide counts as outside: it goes with its neighbour.
    if width > 1:
        mask[:, -1] |= mask[:, -2]
    if height > 1:
        mask[-1] |= mask[-2]
    mask_mpp = float(slide.mpp or mpp) * scale
    return Tissue(_clean(mask, um2_px=mask_mpp**2), mask_mpp, scale)


def _rough_and_dark(
    pixels: np.ndarray, outside: np.ndarray | None, white: tuple[float, float, float], *, um: float
) -> np.ndarray:
    """Return where pixels of ``um`` micrometres look like tissue, bool (h, w)."""
    table = -np.log10(np.maximum(np.arange(256), 1)[:, None] / np.array(white)).astype(np.float32)
    od = sum(table[pixels[..., c], c] for c in range(3))
    near, wide = (max(3, 2 * round(size_um / um / 2) + 1) for size_um in (16, 32))
    detail = od - cv2.blur(od, (near, near))  # a smear's even slope has none
    roughness = np.sqrt(np.maximum(cv2.blur(detail * detail, (near, near)), 0))
    found = (roughness > LEAST_ROUGHNESS) & (cv2.blur(od, (wide, wide)) > LEAST_OD)
    # Windows that only touch tissue are rough too: take what they reach beyond it off again.
    reach = np.ones((near + 2, near + 2), np.uint8)
    found = cv2.erode(found.astype(np.uint8), reach).astype(bool)
    return found if outside is None else found & ~outside


def _clean(mask: np.ndarray, *, um2_px: float) -> np.ndarray:
    """Drop small pieces and fill small holes."""
    kept = _without_small(mask, SMALLEST_UM2 / um2_px, connectivity=8)
    return ~_without_small(~kept, LARGEST_HOLE_UM2 / um2_px, connectivity=4)


def _without_small(mask: np.ndarray, least_px: float, *, connectivity: int) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    large = stats[:, cv2.CC_STAT_AREA] >= least_px
    large[0] = False
    return large[labels]


def _outlines(mask: np.ndarray) -> list[shapely.Polygon]:
    """Return the True areas of a mask as polygons along its pixels' edges, in pixels."""
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[1:] != padded[:-1])
    across = np.stack([np.stack([x - 1, y], 1), np.stack([x, y], 1)], 1)
    y, x = np.nonzero(padded[:, 1:] != padded[:, :-1])
    down = np.stack([np.stack([x, y - 1], 1), np.stack([x, y], 1)], 1)
    edges = shapely.linestrings(np.concatenate([across, down]).astype(float))
    faces = shapely.polygonize(edges).geoms
    inner = [f.representative_point() for f in faces]
    return [f for f, p in zip(faces, inner, strict=True) if mask[int(p.y), int(p.x)]]
