"""The tissue map of a slide: which of seven kinds each place is, with areas and outlines.

A network judges the tiles of the slide at its own mpp, each with a halo, so that it sees what lies around.
Small islands are given to what surrounds them. The map holds no score; `her2kit.pipeline` may take its tumour
as the region to score.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from her2kit.cells.table import TISSUES, TissueClass
from her2kit.errors import MppError
from her2kit.exchange.geojson import Region
from her2kit.regions.network import TissueNetwork
from her2kit.slides.bulk import read_tiles
from her2kit.slides.slide import Slide, Tile
from her2kit.slides.tiles import TileGrid, stitch, tile_grid
from her2kit.slides.tissue import Tissue
from her2kit.slides.windows import blended

TILE_PX, HALO_PX = 384, 64
"""Side of a tile, and what it sees beyond on each side: 128 um at 2 um/px, about the width of a duct. The
network sees a tile in overlapping windows of the size that it was trained on."""
TURNS = 4
"""Quarter turns whose answers are averaged: tissue has no upright."""
DOUBT = 3.0
"""How many times as likely as ``other`` (in situ, normal glands) tumour must be. A nest that is missed takes
a few cells from the score; a duct that is taken for tumour brings its own, and can make 3+ of a 0. Chosen on
the validation slides of the network that ships: it halves what is wrongly taken for tumour (4.5 to 1.9 % of
``other``) and loses 4 % of the tumour (recall .73 to .69). On costs that differ: Elkan C, IJCAI 2001."""
REGION_NAMES = {"tumour": "invasive"}
"""Names of outlines that differ from those of the kinds of tissue."""
SMALLEST_UM2 = 2_500.0
"""Islands below this size go to their surroundings: about 50 x 50 um, a dozen cells."""


@dataclass(frozen=True, slots=True)
class TissueMap:
    """The kinds of tissue of one slide."""

    classes: np.ndarray
    """uint8 (h, w) of `TissueClass` values; background where there is no tissue."""
    confidence: np.ndarray
    """uint8 (h, w), 255 times the probability of the class, before islands were dropped; 0 off the tissue."""
    mpp: float
    """Micrometres per pixel of the map."""
    scale: float
    """Level-0 pixels per pixel of the map."""
    model_sha256: str
    """Of the network that drew it."""

    def areas_mm2(self) -> dict[str, float]:
        """Return the area of each kind of tissue on this slide, in mm2."""
        counts = np.bincount(self.classes.ravel(), minlength=len(TISSUES))
        return {name: float(n) * self.mpp**2 / 1e6 for name, n in zip(TISSUES, counts, strict=True)}

    def at(self, x_px0: np.ndarray, y_px0: np.ndarray) -> np.ndarray:
        """Return the kind of tissue at level-0 points, uint8 (n,); background outside the slide."""
        column, row = (np.floor(np.asarray(v, float) / self.scale).astype(np.int64) for v in (x_px0, y_px0))
        height, width = self.classes.shape
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        found = self.classes[np.where(inside, row, 0), np.where(inside, column, 0)]
        return np.where(inside, found, np.uint8(TissueClass.BACKGROUND))

    def regions(self, *names: str) -> list[Region]:
        """Return outlines in level-0 pixels, holes kept, the largest first of each kind.

        Parameters
        ----------
        names
            Which kinds of tissue; none given takes all but background.
        """
        wanted = names or TISSUES[1:]
        if strange := [name for name in wanted if name not in TISSUES]:
            raise ValueError(f"{strange[0]!r} is no tissue; use {', '.join(TISSUES)}")
        return [
            Region(REGION_NAMES.get(name, name), polygon)
            for name in wanted
            for polygon in Tissue(self.classes == TISSUES.index(name), self.mpp, self.scale).polygons()
        ]


def map_tissue(
    slide: Slide,
    tissue: Tissue,
    network: TissueNetwork,
    *,
    tile_px: int = TILE_PX,
    halo_px: int = HALO_PX,
    middle: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> TissueMap:
    """Map the tissue of a slide.

    Parameters
    ----------
    tissue
        Where tissue is (`her2kit.slides.tissue.find_tissue`); the network is not asked elsewhere.
    tile_px, halo_px
        Side of a tile and its halo at the network's mpp; their sum with both halos should be a multiple of
        32, as networks that halve their input five times ask it. For a network that judges whole tiles they
        follow from its card and ``middle``.
    middle
        Of a network that judges whole tiles: share of the tile's side that its answer speaks of. 0.5 lets
        tiles overlap by half, for one that was trained to name the middle of what it sees.
    progress
        Told after each tile: how many of how many are done.

    Raises
    ------
    ValueError
        If ``middle`` is no share.
    MppError
        If the slide has no mpp, or a coarser one than the network reads.
    """
    if not 0 < middle <= 1:
        raise ValueError(f"middle={middle}; use 1 for the whole tile, 0.5 for its middle half")
    if slide.mpp is None or slide.mpp > network.mpp * 1.02:
        own = "no mpp" if slide.mpp is None else f"{slide.mpp:g} um per pixel"
        raise MppError(
            f"{slide.path}: has {own}; the tissue network reads at {network.mpp:g}, so pass a finer scan"
        )
    if not network.judges_pixels:
        halo_px = round(network.card.input_px * (1 - middle) / 2)
        tile_px = network.card.input_px - 2 * halo_px
    mpp = max(network.mpp, slide.mpp)
    halo_um = halo_px * slide.scale_at(mpp) * slide.mpp
    grid = tile_grid(slide, tissue, tile_px=tile_px, halo_um=halo_um, mpp=mpp)
    parts = []
    for done, (_, tile) in enumerate(read_tiles(slide, grid), start=1):
        probability = _probabilities(network, tile)
        best = _decide(probability)
        sure = np.take_along_axis(probability, best[None], axis=0)[0]
        parts.append(np.stack([best, np.rint(sure * 255)], axis=-1).astype(np.uint8).reshape(*best.shape, 2))
        if progress is not None:
            progress(done, len(grid.table))
    return _whole(
        slide, tissue, grid, parts, tile_px if not network.judges_pixels else 1, network.card.sha256
    )


def _probabilities(network: TissueNetwork, tile: Tile) -> np.ndarray:
    """Return the probability of each kind of tissue, float32 (7, h, w) or (7,).

    A network of pixels is not shown what lies outside the slide, its training knows no such border; there the
    map is background.
    """
    if tile.outside is None or not network.judges_pixels:
        return _seen_from_all_sides(network, tile.pixels)
    inside = ~tile.outside
    box = tuple(slice(n[0], n[-1] + 1) for n in (np.flatnonzero(inside.any(axis=a)) for a in (1, 0)))
    pixels = tile.pixels[box]
    height, width = pixels.shape[:2]
    beyond = [(0, max(0, network.card.input_px - n)) for n in (height, width)]
    mirrored = np.pad(pixels, [*beyond, (0, 0)], mode="symmetric")
    out = np.zeros((len(TISSUES), *inside.shape), np.float32)
    out[TissueClass.BACKGROUND] = 1.0
    out[:, *box] = _seen_from_all_sides(network, mirrored)[:, :height, :width]
    return out


def _seen_from_all_sides(network: TissueNetwork, pixels: np.ndarray) -> np.ndarray:
    """Return the mean probability over quarter turns, float32 (7, h, w), or (7,) of a network of tiles."""
    total = np.zeros(1, np.float32)
    for turn in range(TURNS):
        turned = np.rot90(pixels, turn)
        if network.judges_pixels:
            found = blended(network.probabilities, turned, window_px=network.card.input_px)
            total = total + np.rot90(found, -turn, axes=(1, 2))
        else:
            total = total + network.probabilities(turned[None])[0]
    return total / TURNS


def _decide(probability: np.ndarray) -> np.ndarray:
    """Return the most probable kind of tissue along axis 0, tumour only where it is beyond `DOUBT`."""
    best = probability.argmax(axis=0)
    doubted = probability[TissueClass.TUMOUR] < DOUBT * probability[TissueClass.OTHER]
    return np.where((best == TissueClass.TUMOUR) & doubted, int(TissueClass.OTHER), best)


def _whole(
    slide: Slide, tissue: Tissue, grid: TileGrid, parts: list[np.ndarray], fold: int, model_sha256: str
) -> TissueMap:
    """Put tiles together; ``fold`` pixels of the grid are one pixel of the map."""
    scale, mpp = grid.scale * fold, float(slide.mpp or 1) * grid.scale * fold
    if fold > 1:
        parts = [part.reshape(1, 1, 2) for part in parts]
    both = stitch(grid, parts)
    if both.ndim == 2:  # no tile at all
        both = np.zeros((*both.shape, 2), np.uint8)
    classes, confidence = both[..., 0].copy(), both[..., 1].copy()
    y, x = ((np.arange(n) + 0.5) * scale for n in classes.shape)
    columns, rows = np.meshgrid(x, y)
    off = ~tissue.contains(columns.ravel(), rows.ravel()).reshape(classes.shape)
    classes = without_islands(classes, least_px=SMALLEST_UM2 / mpp**2)
    classes[off], confidence[off] = TissueClass.BACKGROUND, 0
    return TissueMap(classes, confidence, mpp, scale, model_sha256)


def without_islands(classes: np.ndarray, *, least_px: float) -> np.ndarray:
    """Return a map whose connected areas below ``least_px`` take the class of the nearest larger area."""
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import label

    areas = label(classes, background=-1, connectivity=1)
    small = np.bincount(areas.ravel())[areas] < least_px
    if small.all() or not small.any():
        return classes.copy()
    nearest = distance_transform_edt(small, return_distances=False, return_indices=True)
    return classes[tuple(nearest)]
