"""The pictures of one slide that a report shows, and how they become part of one file."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from PIL import Image
from shapely.geometry import MultiPolygon, Polygon

Read = Callable[[float, float, int, int, float], np.ndarray]
"""(x_px0, y_px0, width_px, height_px, mpp) -> uint8 RGB (height_px, width_px, 3): raw pixels of the slide."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a report may show of a slide."""

    overview: np.ndarray
    """uint8 RGB (h, w, 3), the whole slide; its pixel (0, 0) begins at the slide's corner."""
    px0_per_px: float
    """Level-0 pixels per pixel of the overview."""
    mpp: float | None = None
    """Micrometres per level-0 pixel; None where the slide has none."""
    tissue: Sequence[Polygon | MultiPolygon] = ()
    """Outlines of the tissue, level-0 pixels."""
    tumour: Sequence[Polygon | MultiPolygon] = ()
    """Outlines of the regions that were scored, level-0 pixels; empty where none were given."""
    read: Read | None = None
    """Fetches detail; None leaves the report without sharp fields and crops."""
    tissue_classes: np.ndarray | None = None
    """uint8 (h, w) of `TissueClass` values over the whole slide; None where the tissue was not mapped."""
    tumour_probability: np.ndarray | None = None
    """uint8 (h, w), 255 times the probability of tumour over the whole slide; None without a tumour map."""

    def __post_init__(self) -> None:
        a = self.overview
        if a.dtype != np.uint8 or a.ndim != 3 or a.shape[2] != 3 or 0 in a.shape:
            raise ValueError(f"overview is {a.dtype} {a.shape}; pass uint8 RGB (h, w, 3)")
        if not self.px0_per_px > 0:
            raise ValueError(f"px0_per_px={self.px0_per_px}; pass level-0 pixels per overview pixel, > 0")
        if self.mpp is not None and not self.mpp > 0:
            raise ValueError(f"mpp={self.mpp}; pass micrometres per level-0 pixel > 0, or None")

    @property
    def size_px0(self) -> tuple[float, float]:
        """Width and height of the slide in level-0 pixels, to within one overview pixel."""
        height, width = self.overview.shape[:2]
        return width * self.px0_per_px, height * self.px0_per_px


def shrunk(pixels: np.ndarray, longest_px: int) -> np.ndarray:
    """Return the picture with its longer side at most `longest_px`, area-averaged; never enlarged."""
    height, width = pixels.shape[:2]
    factor = longest_px / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def at_size(raster: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a raster of the whole slide, (h, w), at another size (rows, columns), nearest pixels."""
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * side / n, side - 1).astype(int)
        for n, side in zip(shape, raster.shape, strict=True)
    )
    return raster[np.ix_(rows, columns)]


def jpeg(pixels: np.ndarray, *, quality: int = 80) -> bytes:
    """Return uint8 RGB (h, w, 3) as JPEG; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, "JPEG", quality=quality, subsampling="4:2:0", optimize=True
    )
    return buffer.getvalue()


def data_uri(jpeg_bytes: bytes) -> str:
    """Return a JPEG as text that an HTML file can hold."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes).decode("ascii")


def rings(
    shapes: Sequence[Polygon | MultiPolygon], *, scale: float, tolerance: float = 0.5
) -> list[np.ndarray]:
    """Return every ring (outer and holes) times `scale`, simplified to `tolerance` after scaling.

    Returns
    -------
    list of float64 arrays of shape (n, 2), closed.
    """
    lines = []
    for shape in shapes:
        scaled = shapely.transform(shape, lambda xy: xy * scale)
        plain = shapely.simplify(scaled, tolerance)
        for part in shapely.get_parts(plain):
            lines += [shapely.get_coordinates(r) for r in (part.exterior, *part.interiors)]
    return [line for line in lines if len(line) >= 4]


def svg_path(shapes: Sequence[Polygon | MultiPolygon], *, scale: float) -> str:
    """Return outlines as the `d` of one SVG path in pixels of a picture (`scale` px per level-0 px)."""
    parts = []
    for ring in rings(shapes, scale=scale):
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in ring[:-1].tolist())
        parts.append(f"M{points}Z")
    return "".join(parts)
