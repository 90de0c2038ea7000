"""Render a slide block by block: the bytes depend on the plan, never on the order or number of workers.

A block is painted with a margin as wide as optics reach, so blocks fit without a seam. Each block also
samples the DAB that a perfect reader would see along the membranes of its own cells: after the site's blur,
before noise and JPEG. Memory holds one row of blocks.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from her2kit.phantom import degrade as spoil
from her2kit.phantom.cells import Cells
from her2kit.phantom.epithelium import own, paint_epithelium, paint_lone, paint_nuclei
from her2kit.phantom.ground import grain, paint_grey, paint_ground
from her2kit.phantom.layout import GRID_UM, Layout
from her2kit.phantom.noise import jit
from her2kit.phantom.optics import blur, expose, margin_px, sharpen, to_light
from her2kit.phantom.plan import Plan
from her2kit.phantom.shapes import EPITHELIAL, RAYS
from her2kit.phantom.stain import CellStain

BLOCK_PX = 1024
_CELL_REACH_UM = 34.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a block is painted from."""

    plan: Plan
    layout: Layout
    cells: Cells
    stain: CellStain
    seed: int
    """Of the textures."""
    body: float
    """Hematoxylin of cytoplasm."""
    nuclear: float
    """Usual hematoxylin of a nucleus."""
    dull: float
    """Share of the hematoxylin of stroma and cytoplasm that is grey instead, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Block:
    """One finished block."""

    x_px: int
    y_px: int
    pixels: np.ndarray
    """uint8 (h, w, 3)."""
    membrane: np.ndarray
    """uint8, highest of 100 times the DAB of membranes alone, before the optics, per um."""
    place_um: tuple[int, int]
    """Column and row of ``membrane`` in the slide's raster of 1 um."""
    rows: np.ndarray
    """int32, the cells whose nucleus centre lies in the block."""
    crest: np.ndarray
    """float32 (len(rows), RAYS), highest DAB across the membrane at each vertex, after the optics."""


def render(scene: Scene, *, workers: int, sink: Callable[[Block], None]) -> Iterator[np.ndarray]:
    """Yield strips of pixels, uint8 (rows, width, 3), from the top; hand each block to ``sink``, in order."""
    width, height = scene.plan.size_px
    corners = [[(x, y) for x in range(0, width, BLOCK_PX)] for y in range(0, height, BLOCK_PX)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        # One row of blocks ahead keeps the workers busy while a strip is written.
        ahead = [pool.submit(paint_block, scene, *corner) for corner in corners[0]]
        for number in range(len(corners)):
            now = ahead
            following = corners[number + 1] if number + 1 < len(corners) else []
            if workers > 1:
                ahead = [pool.submit(paint_block, scene, *corner) for corner in following]
            blocks = [job.result() for job in now]
            for block in blocks:
                sink(block)
            yield np.concatenate([block.pixels for block in blocks], axis=1)
            if workers <= 1:
                ahead = [pool.submit(paint_block, scene, *corner) for corner in following]


def paint_block(scene: Scene, x_px: int, y_px: int) -> Block:
    """Paint the block whose upper left corner is (x_px, y_px)."""
    plan = scene.plan
    width, height = (min(BLOCK_PX, plan.size_px[0] - x_px), min(BLOCK_PX, plan.size_px[1] - y_px))
    margin = margin_px(plan.site, plan.pixel_um) + spoil.margin_px(plan)
    shape = (height + 2 * margin, width + 2 * margin)
    x0, y0 = (x_px - margin) * plan.pixel_um, (y_px - margin) * plan.pixel_um
    amounts, membrane = paint_amounts(scene, x0, y0, shape)
    spoil.spoil_amounts(plan, amounts, x0, y0)
    light = to_light(amounts, plan.site, stain=plan.stain)
    light = sharpen(blur(light, plan.site.blur_um / plan.pixel_um), plan.site, plan.pixel_um)
    inner = (slice(margin, margin + height), slice(margin, margin + width))
    rows = _cells_in(scene, x_px, y_px, width, height)
    crest = _crest(scene, rows, light, x0, y0)
    light = spoil.spoil_light(plan, light, x0, y0)
    pixels = expose(
        light, plan.site, mpp=plan.pixel_um, x0_px=x_px - margin, y0_px=y_px - margin, seed=scene.seed
    )
    small, place = _per_um(membrane[inner], x_px, y_px, plan.pixel_um)
    return Block(x_px, y_px, np.ascontiguousarray(pixels[inner]), small, place, rows, crest)


def _per_um(membrane: np.ndarray, x_px: int, y_px: int, mpp: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the highest membrane DAB of each square um, uint8 in hundredths, and its column and row."""
    rows = ((y_px + np.arange(membrane.shape[0]) + 0.5) * mpp).astype(int)
    cols = ((x_px + np.arange(membrane.shape[1]) + 0.5) * mpp).astype(int)
    first_row, first_col = (
        np.flatnonzero(np.diff(rows, prepend=-1)),
        np.flatnonzero(np.diff(cols, prepend=-1)),
    )
    small = np.maximum.reduceat(np.maximum.reduceat(membrane, first_row, axis=0), first_col, axis=1)
    full = np.zeros((rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1), np.uint8)
    full[np.ix_(rows[first_row] - rows[0], cols[first_col] - cols[0])] = np.clip(np.rint(100 * small), 0, 255)
    return full, (int(cols[0]), int(rows[0]))


def paint_amounts(
    scene: Scene, x0: float, y0: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return amounts of H, DAB, eosin and grey, float32 (4, h, w), and the membranes' DAB, float32 (h, w)."""
    plan, layout, cells, stain = scene.plan, scene.layout, scene.cells, scene.stain
    mpp = np.float32(plan.pixel_um)
    eosin = np.float32(1.0 if plan.stain == "he" else 0.0)
    seed = scene.seed
    x0, y0 = float(x0), float(y0)
    amounts = np.empty((4, *shape), np.float32)
    membrane = np.zeros(shape, np.float32)
    maps = (layout.kind, layout.depth, layout.height, layout.edge, layout.loose)
    dull = np.float32(scene.dull)
    paint_ground(amounts, x0, y0, mpp, maps, eosin, dull, seed)
    if eosin == 0:
        amounts[0] *= np.float32(plan.hematoxylin_gain * plan.site.hematoxylin_gain)
    paint_grey(amounts, x0, y0, mpp, maps, eosin, seed)
    reach = _CELL_REACH_UM
    near = np.flatnonzero(
        (cells.x > x0 - reach)
        & (cells.x < x0 + shape[1] * mpp + reach)
        & (cells.y > y0 - reach)
        & (cells.y < y0 + shape[0] * mpp + reach)
    ).astype(np.int32)
    sheet = near[cells.what[near] == EPITHELIAL]
    lone = near[cells.what[near] != EPITHELIAL]
    shape_maps = (layout.depth, layout.height)
    places = (cells.x, cells.y, cells.axis, cells.half, cells.nucleus, cells.kind)
    stains = (stain.od, stain.sigma, stain.arcs, stain.cytoplasm)
    gain = np.float32(plan.hematoxylin_gain * plan.site.hematoxylin_gain)
    body = np.float32(scene.body) * gain
    first, second = own(
        sheet, shape[1], shape[0], x0, y0, mpp, shape_maps, cells.x, cells.y, cells.axis, cells.half, seed
    )
    paint_epithelium(
        amounts, membrane, first, second, x0, y0, mpp, shape_maps, places, stains, eosin, body, dull, seed
    )
    paint_lone(amounts, membrane, lone, x0, y0, mpp, places, cells.radius, stains, eosin, body, seed)
    strength = np.float32(scene.nuclear * plan.site.hematoxylin_gain)
    paint_nuclei(
        amounts,
        near,
        x0,
        y0,
        mpp,
        cells.nucleus,
        cells.profile,
        cells.what,
        (stain.hematoxylin, stain.nuclear),
        strength,
        seed,
    )
    grain(amounts, x0, y0, mpp, seed)
    for plane, slow in ((0, layout.hematoxylin), (1, layout.dab)):
        amounts[plane] *= _resample(slow, x0, y0, mpp, shape)
    membrane *= _resample(layout.dab, x0, y0, mpp, shape)
    return amounts, membrane


def _resample(values: np.ndarray, x0, y0, mpp, shape) -> np.ndarray:
    """Return a layout map on the pixels of a block."""
    scale = mpp / GRID_UM
    matrix = np.array(
        [[scale, 0, (x0 + 0.5 * mpp) / GRID_UM - 0.5], [0, scale, (y0 + 0.5 * mpp) / GRID_UM - 0.5]],
        np.float64,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _cells_in(scene: Scene, x_px: int, y_px: int, width: int, height: int) -> np.ndarray:
    place = scene.cells.nucleus / np.float32(scene.plan.pixel_um)
    inside = (
        (place[:, 0] >= x_px)
        & (place[:, 0] < x_px + width)
        & (place[:, 1] >= y_px)
        & (place[:, 1] < y_px + height)
    )
    return np.flatnonzero(inside).astype(np.int32)


def _crest(scene: Scene, rows: np.ndarray, light: np.ndarray, x0: float, y0: float) -> np.ndarray:
    site = scene.plan.site
    # Two stains and what neither explains (Ruifrok and Johnston 2001), by the planted vectors.
    first, second = site.vectors()[:2].astype(np.float64)
    to_dab = np.linalg.inv(np.vstack([first, second, np.cross(first, second)]))[:, 1].astype(np.float32)
    crest = np.zeros((len(rows), RAYS), np.float32)
    _sample(
        crest,
        rows,
        light,
        np.float32(x0),
        np.float32(y0),
        np.float32(scene.plan.pixel_um),
        scene.cells.nucleus,
        scene.cells.radius,
        to_dab,
        np.array(site.white, np.float32),
    )
    return crest


@jit
def _sample(crest, rows, light, x0, y0, mpp, nucleus, radius, to_dab, white):
    for r in range(len(rows)):
        i = rows[r]
        for k in range(crest.shape[1]):
            t = np.float32(2 * np.pi * k / crest.shape[1])
            best = np.float32(-1)
            for step in range(-3, 4):
                far = max(radius[i, k] + np.float32(0.25) * step, np.float32(0))
                row = int((nucleus[i, 1] + far * np.sin(t) - y0) / mpp)
                col = int((nucleus[i, 0] + far * np.cos(t) - x0) / mpp)
                if 0 <= row < light.shape[0] and 0 <= col < light.shape[1]:
                    dab = np.float32(0)
                    for c in range(3):
                        dab -= np.log10(max(light[row, col, c], np.float32(1)) / white[c]) * to_dab[c]
                    best = max(best, dab)
            crest[r, k] = best
