"""Cut a slide into tiles that each see beyond their border and own their part. Judges no pixels.

The tiles lie on one lattice that begins at the slide's corner and covers it whole; the last row and column
may reach beyond it. A tile owns the points of its core box, left and top border included, right and bottom
not, so each point has one owner. In its halo a tile sees its neighbours' pixels, bit for bit as they do.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from her2kit.slides.slide import Slide, Tile
from her2kit.slides.tissue import Tissue

COLUMNS = ("slide_id", "tile_id", "x_px0", "y_px0", "size_px0", "tissue_fraction", "status")

_NO_AREA = 1e-6
"""Share of a mask's pixel that is only a rounding error of a sum."""


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of a slide."""

    mpp: float
    """Micrometres per pixel of the tiles."""
    tile_px: int
    """Side of the core box in pixels at ``mpp``."""
    halo_px: int
    """What a tile sees beyond its core box on each side, in pixels at ``mpp``."""
    scale: float
    """Level-0 pixels per pixel at ``mpp``."""
    shape: tuple[int, int]
    """(rows, columns) of the whole lattice, tiles without tissue included."""
    width_px0: int
    """Width of the slide."""
    height_px0: int
    """Height of the slide."""
    table: pd.DataFrame
    """One row a tile that holds any tissue, in reading order; the others are left out. Columns: ``slide_id``;
    ``tile_id`` ("r0001c0002", its place on the lattice); ``x_px0``, ``y_px0``, the corner of the core box;
    ``size_px0``, its side; ``tissue_fraction``, the share of the box that is tissue, > 0, also where the box
    reaches beyond the slide; ``status``, "tissue"."""

    def __post_init__(self) -> None:
        missing = [name for name in COLUMNS if name not in self.table]
        if missing:
            raise ValueError(f"table lacks the column {missing[0]!r}; make the grid with tile_grid")

    @property
    def size_px0(self) -> float:
        """Side of a core box in level-0 pixels."""
        return self.tile_px * self.scale

    def place(self, row: Any) -> tuple[int, int]:
        """Return (row, column) on the lattice of a row of ``table``."""
        return round(row.y_px0 / self.size_px0), round(row.x_px0 / self.size_px0)


def tile_grid(
    slide: Slide, tissue: Tissue, *, tile_px: int = 1024, halo_um: float = 0.0, mpp: float | None = None
) -> TileGrid:
    """Lay the lattice over a slide and list the tiles that hold tissue.

    Parameters
    ----------
    tile_px
        Side of a tile in pixels at ``mpp``, without halo.
    halo_um
        How far a tile sees beyond its core box; rounded up to whole pixels.
    mpp
        Micrometres per pixel; None takes the slide's own.

    Raises
    ------
    MppError
        If the slide has no mpp.
    ValueError
        If ``tile_px`` < 1, ``halo_um`` < 0 or ``mpp`` is finer than the slide's own.
    """
    if tile_px < 1:
        raise ValueError(f"tile_px={tile_px}; use 1 or more (1024 is usual)")
    if not (halo_um >= 0 and math.isfinite(halo_um)):
        raise ValueError(f"halo_um={halo_um}; use 0 or more micrometres")
    scale = slide.scale_at(mpp)
    grid_mpp = float(slide.mpp or math.nan) * scale
    size = tile_px * scale
    columns = max(1, math.ceil(slide.width_px0 / size - 1e-9))
    rows = max(1, math.ceil(slide.height_px0 / size - 1e-9))
    area = _tissue_in_boxes(tissue, np.arange(columns + 1) * size, np.arange(rows + 1) * size)
    row, column = np.nonzero(area > _NO_AREA * tissue.scale**2)
    table = pd.DataFrame(
        {
            "slide_id": pd.Series([slide.slide_id] * len(row), dtype="str"),
            "tile_id": pd.Series(
                [f"r{r:04d}c{c:04d}" for r, c in zip(row, column, strict=True)], dtype="str"
            ),
            "x_px0": column * size,
            "y_px0": row * size,
            "size_px0": np.full(len(row), size),
            "tissue_fraction": area[row, column] / size**2,
            "status": pd.Series(["tissue"] * len(row), dtype="str"),
        }
    )
    halo_px = math.ceil(halo_um / grid_mpp - 1e-9)
    return TileGrid(
        grid_mpp, tile_px, halo_px, scale, (rows, columns), slide.width_px0, slide.height_px0, table
    )


def mask_share(grid: TileGrid, mask: Tissue) -> np.ndarray:
    """Return which share of each tile's core box a mask of the slide covers, float64 (n,), 0 to 1."""
    rows, columns = grid.shape
    area = _tissue_in_boxes(mask, *(np.arange(n + 1) * grid.size_px0 for n in (columns, rows)))
    places = [grid.place(row) for row in grid.table.itertuples(index=False)]
    row, column = np.array(places, int).reshape(-1, 2).T
    return np.clip(area[row, column] / grid.size_px0**2, 0.0, 1.0)


def read_tile(slide: Slide, grid: TileGrid, row: Any) -> Tile:
    """Read a tile with its halo: (tile_px + 2 halo_px) squared pixels, white outside the slide.

    Parameters
    ----------
    row
        A row of ``grid.table``, as ``itertuples`` or ``iloc`` give it.
    """
    r, c = grid.place(row)
    x, y = ((i * grid.tile_px - grid.halo_px) * grid.scale for i in (c, r))
    side = grid.tile_px + 2 * grid.halo_px
    return slide.read(x, y, side, side, mpp=grid.mpp)


def read_tissue(slide: Slide, tissue: Tissue, grid: TileGrid, row: Any) -> Tile:
    """Read the part of a tile that holds tissue, with its halo, and not beyond the slide's border.

    What a local method finds on that tissue is what it finds in the whole tile, for less work. The border
    is the same for every tiling, so what is found beside it is, too.
    """
    left, top, width, height = tissue_box(slide, tissue, grid, row)
    return slide.read(left * grid.scale, top * grid.scale, width, height, mpp=grid.mpp)


def tissue_box(slide: Slide, tissue: Tissue, grid: TileGrid, row: Any) -> tuple[int, int, int, int]:
    """Return (left, top, width, height) of what ``read_tissue`` reads, in pixels at the grid's mpp."""
    core = np.array(grid.place(row))[:, None] * grid.tile_px + [0, grid.tile_px]  # rows, columns; first, end
    per_px = grid.scale / tissue.scale  # pixels of the mask per pixel of the grid
    first, end = np.floor(core[:, 0] * per_px).astype(int), np.ceil(core[:, 1] * per_px).astype(int)
    part = tissue.mask[first[0] : end[0], first[1] : end[1]]
    sides = []
    for axis, size_px0 in enumerate((slide.height_px0, slide.width_px0)):
        hit = np.flatnonzero(part.any(axis=1 - axis)) + first[axis]
        low = max(core[axis, 0], math.floor(hit[0] / per_px)) - grid.halo_px
        high = min(core[axis, 1], math.ceil((hit[-1] + 1) / per_px)) + grid.halo_px
        sides.append((max(int(low), 0), min(int(high), math.ceil(size_px0 / grid.scale - 1e-9))))
    (top, bottom), (left, right) = sides
    return left, top, right - left, bottom - top


def owned(x_px0: np.ndarray, y_px0: np.ndarray, grid: TileGrid, row: Any) -> np.ndarray:
    """Return which level-0 points belong to a tile, bool (n,): each belongs to one tile of the lattice.

    A point beyond the slide's border belongs to the tile that is nearest.
    """
    r, c = grid.place(row)
    return _between(x_px0, c, grid.shape[1], grid.size_px0) & _between(y_px0, r, grid.shape[0], grid.size_px0)


def stitch(grid: TileGrid, parts: Iterable[np.ndarray | float], *, fill: Any = 0) -> np.ndarray:
    """Put what was made of the tiles back into one raster of the slide.

    Parameters
    ----------
    parts
        For each row of ``grid.table``, in order, a number, or an array (s, s) or (s, s, channels): of the
        core box at any resolution, or with the halo (s = tile_px + 2 halo_px), which is cut off.
    fill
        Value where there is no tile.

    Returns
    -------
    (h, w) or (h, w, channels) in the dtype of the parts: one pixel a tile for numbers, else ``s`` pixels to
    a core box, cut to the slide.

    Raises
    ------
    ValueError
        If there are more or fewer parts than tiles, or they differ in shape.
    """
    out: np.ndarray | None = None
    rows, columns = grid.shape
    pairs = itertools.zip_longest(grid.table.itertuples(index=False), parts)
    for count, (row, part) in enumerate(pairs, start=1):
        if row is None or part is None:
            raise ValueError(
                f"parts has {'more' if row is None else 'fewer'} than the {len(grid.table)} tiles"
            )
        core = _core(np.asarray(part), grid)
        if out is None:
            side = core.shape[0]
            out = np.full((rows * side, columns * side, *core.shape[2:]), fill, core.dtype)
        if core.shape[:2] != (side, side) or core.shape[2:] != out.shape[2:]:
            raise ValueError(
                f"part {count} has shape {np.shape(part)}, the first has {side} px; give one shape"
            )
        r, c = grid.place(row)
        out[r * side : (r + 1) * side, c * side : (c + 1) * side] = core
    if out is None:
        return np.full((rows, columns), fill)
    height, width = (
        math.ceil(px0 / grid.size_px0 * side - 1e-9) for px0 in (grid.height_px0, grid.width_px0)
    )
    return out[:height, :width]


def _core(part: np.ndarray, grid: TileGrid) -> np.ndarray:
    if part.ndim == 0:
        return part.reshape(1, 1)
    halo = grid.halo_px
    if halo and part.shape[0] == grid.tile_px + 2 * halo:
        return part[halo:-halo, halo:-halo]
    return part


def _between(place: np.ndarray, index: int, n: int, size: float) -> np.ndarray:
    """Return which places lie in box ``index`` of ``n``; the outermost boxes reach to infinity."""
    low = -math.inf if index == 0 else index * size
    high = math.inf if index == n - 1 else (index + 1) * size
    place = np.asarray(place, float)
    return (place >= low) & (place < high)


def _tissue_in_boxes(tissue: Tissue, x_edges: np.ndarray, y_edges: np.ndarray) -> np.ndarray:
    """Return the tissue area in each box of a lattice, in square level-0 pixels, float64 (rows, columns)."""
    total = np.pad(tissue.mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    along_y = _at(total, y_edges / tissue.scale)
    at_corners = _at(along_y.T, x_edges / tissue.scale).T
    return np.maximum(np.diff(np.diff(at_corners, axis=0), axis=1), 0) * tissue.scale**2


def _at(total: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Interpolate running totals along axis 0 at fractional places, held at the ends."""
    place = np.clip(place, 0, len(total) - 1)
    below = np.minimum(np.floor(place).astype(np.int64), len(total) - 2)
    rest = (place - below)[:, None]
    return total[below] * (1 - rest) + total[below + 1] * rest
