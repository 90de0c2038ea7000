"""All cells of a slide: fitted once, found tile by tile in threads, each cell kept by exactly one tile.

The detector, the membrane measurement and the classes are modules of their own; this one only carries the
tiles through them. The result does not depend on the tiling, nor on the number of threads.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.cells import classical, membrane
from her2kit.cells.classical import NucleusFit, find_nuclei, fit_nuclei
from her2kit.cells.cytoplasm import held_against_cytoplasm
from her2kit.cells.kind import cell_types
from her2kit.cells.membrane import measure_membranes
from her2kit.cells.network import CellNetwork, locate_cells
from her2kit.cells.outlined import outline_nuclei
from her2kit.cells.table import conform_cells, empty_cells
from her2kit.slides.sample import sample_fields
from her2kit.slides.slide import Slide, Tile
from her2kit.slides.tiles import owned, read_tissue, tile_grid
from her2kit.slides.tissue import Tissue
from her2kit.slides.white_point import WhitePoint
from her2kit.stain.normalised import refuse_normalised
from her2kit.stain.separation import StainVectors, fit_stain_vectors, separate

HALO_UM = classical.HALO_UM + membrane.HALO_UM
"""What a tile must see beyond its box: the neighbours of its cells, found with all that decides on them."""


@dataclass(frozen=True, slots=True)
class CellFit:
    """All that is fitted once a slide before its cells are found."""

    mpp: float
    """Micrometres per pixel at which the cells are measured."""
    white: WhitePoint
    vectors: StainVectors
    nuclei: NucleusFit
    network: CellNetwork | None = None
    """Locates the nuclei; None leaves that to the classical detector."""


def fit_cells(
    slide: Slide, tissue: Tissue, white: WhitePoint, *, mpp: float, network: CellNetwork | None = None
) -> CellFit:
    """Fit stain vectors and nucleus thresholds on an evenly spread sample of the tissue.

    With ``network``, `find_cells` lets it locate the nuclei.
    """
    fields = [tile.pixels for tile in sample_fields(slide, tissue, mpp=mpp)]
    pixels = np.concatenate([f[::4, ::4].reshape(-1, 3) for f in fields])
    vectors = fit_stain_vectors(pixels, white.rgb)
    maps = [separate(f, white.rgb, vectors) for f in fields]
    return CellFit(mpp, white, vectors, fit_nuclei(maps, mpp=mpp), network)


def cells_of_tile(
    tile: Tile,
    fit: CellFit,
    slide: Slide,
    own: Callable[[np.ndarray, np.ndarray], np.ndarray],
    located: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the measured, not yet graded cells of a tile, in level-0 pixels.

    Parameters
    ----------
    own
        Takes ``x_px0`` and ``y_px0`` of the cells, gives bool (n,): those to keep. The halo's are not.
    located
        The slide's nuclei by `her2kit.cells.network.locate_cells`; None finds them here.
    """
    refuse_normalised(tile)
    maps = separate(tile.pixels, fit.white.rgb, fit.vectors)
    scale = slide.scale_at(fit.mpp)
    if located is None:
        nuclei = find_nuclei(maps, fit.nuclei, mpp=fit.mpp)
    else:
        boxes = _on_tile(located, tile, scale)
        nuclei = outline_nuclei(maps, boxes, fit.nuclei, mpp=fit.mpp)
    slide_box_px = (
        -tile.x_px0 / scale,
        -tile.y_px0 / scale,
        (slide.width_px0 - tile.x_px0) / scale,
        (slide.height_px0 - tile.y_px0) / scale,
    )
    measured = measure_membranes(maps, nuclei, mpp=fit.mpp, slide_box_px=slide_box_px)
    nucleus = nuclei.table.rename(columns={"dab_od": "nuclear_dab_od"}).drop(columns="ring_dab_od")
    cells = pd.concat([nucleus, measured], axis=1)
    cells["x_px0"] = tile.x_px0 + cells.pop("x_px") * scale
    cells["y_px0"] = tile.y_px0 + cells.pop("y_px") * scale
    cells = cells[own(cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy())].copy()
    corner = np.array([tile.x_px0, tile.y_px0])
    for name in ("outline", "nucleus_outline"):
        if len(cells):
            moved = corner + np.stack(list(cells[name])) * scale
            cells[name] = pd.Series(list(moved.astype(np.float32)), index=cells.index, dtype=object)
    return cells


def _on_tile(located: pd.DataFrame, tile: Tile, scale: float) -> pd.DataFrame:
    """Return the boxes whose centre lies on a tile, in its pixels."""
    x = (located["x_px0"] - tile.x_px0) / scale
    y = (located["y_px0"] - tile.y_px0) / scale
    height, width = tile.pixels.shape[:2]
    here = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    sides = {f"{side}_px": located[f"{side}_px0"] / scale for side in ("width", "height")}
    return pd.DataFrame({"x_px": x, "y_px": y, "score": located["score"], **sides})[here]


def find_cells(
    slide: Slide,
    tissue: Tissue,
    fit: CellFit,
    *,
    tile_px: int = 2048,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the cell table of a slide, without classes (``cells.grade`` gives them).

    Parameters
    ----------
    tile_px
        Side of a tile in pixels at ``fit.mpp``, without halo. Changes speed and memory, never the cells.
    threads
        Tiles worked on at a time.
    progress
        Called with (tiles done, tiles in all) after each tile.

    Returns
    -------
    The cell table in reading order (``y_px0``, then ``x_px0``); ``cell_id`` counts in that order.
    """
    grid = tile_grid(slide, tissue, tile_px=tile_px, halo_um=HALO_UM, mpp=fit.mpp)
    rows = list(grid.table.itertuples(index=False))
    located = None
    if fit.network is not None:
        located = locate_cells(slide, tissue, fit.network, threads=threads)

    def work(row) -> pd.DataFrame:
        def own(x_px0: np.ndarray, y_px0: np.ndarray) -> np.ndarray:
            return owned(x_px0, y_px0, grid, row) & tissue.contains(x_px0, y_px0)

        tile = read_tissue(slide, tissue, grid, row)
        return cells_of_tile(tile, fit, slide, own, located).assign(tile_id=row.tile_id)

    parts = []
    for done, cells in enumerate(_in_threads(work, rows, threads), start=1):
        if len(cells):
            parts.append(cells)
        if progress:
            progress(done, len(rows))
    if not parts:
        return empty_cells()
    cells = pd.concat(parts, ignore_index=True).sort_values(["y_px0", "x_px0"], ignore_index=True)
    xy_um = cells[["x_px0", "y_px0"]].to_numpy() * fit.mpp / slide.scale_at(fit.mpp)
    cells["cell_type"] = cell_types(cells, xy_um)
    ids = [f"c{i:07d}" for i in range(1, len(cells) + 1)]
    cells = held_against_cytoplasm(cells)
    return conform_cells(cells.assign(cell_id=ids, slide_id=slide.slide_id))


def _in_threads(work: Callable, items: list, threads: int) -> Iterator:
    """Yield ``work(item)`` in order, with at most ``2 * threads`` results held at a time."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(items)
        running = [pool.submit(work, item) for item in itertools.islice(waiting, 2 * threads)]
        while running:
            yield running.pop(0).result()
            running.extend(pool.submit(work, item) for item in itertools.islice(waiting, 1))
