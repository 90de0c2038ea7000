"""The tissue of a phantom as truth: a raster of seven classes, polygons, tiles with their shares, major axis.

Reads the layout that the slide was painted from. The classes stand in the order of MIHIC (Wang et al. 2024),
with fat in the place of alveoli. Rasters have 1 um pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import shapely

from her2kit.exchange.geojson import Region
from her2kit.phantom import layout as lay
from her2kit.phantom.layout import GRID_UM, Layout
from her2kit.phantom.plan import Plan

CLASSES = ("background", "tumour", "stroma", "immune", "necrosis", "fat", "other")
"""Tissue classes; the raster holds their index."""
TILE_UM = 64.0
_CODE = np.zeros(13, np.uint8)
_CODE[[lay.INVASIVE, lay.STROMA, lay.VESSEL, lay.IMMUNE, lay.NECROSIS, lay.FAT]] = 1, 2, 2, 3, 4, 5
_CODE[[lay.IN_SITU, lay.NORMAL]] = 6


@dataclass(frozen=True, slots=True)
class FineTissue:
    """The tissue at 1 um per pixel."""

    kinds: np.ndarray
    """uint8 (ceil(height_um), ceil(width_um)), the layout's codes."""
    tumour: np.ndarray
    """bool, invasive epithelium with its lumina; necrosis is left out."""


def fine_tissue(plan: Plan, layout: Layout) -> FineTissue:
    """Return the tissue at 1 um, borders of epithelium nearly as smooth as they are painted."""
    kinds = _at_1_um(plan, layout.kind, cv2.INTER_NEAREST)
    owner = _at_1_um(plan, layout.owner, cv2.INTER_NEAREST)
    depth = _at_1_um(plan, layout.depth, cv2.INTER_LINEAR)
    tall = _at_1_um(plan, layout.height, cv2.INTER_LINEAR)
    epithelium = (depth > 0) & (depth < tall) & (owner > 0)
    kinds[epithelium] = owner[epithelium]
    kinds[(kinds >= 10) & (depth <= 0)] = lay.STROMA
    kinds[(kinds >= 10) & (depth >= tall)] = lay.LUMEN
    return FineTissue(kinds, (owner == lay.INVASIVE) & ((kinds == lay.INVASIVE) | (kinds == lay.LUMEN)))


def region_raster(tissue: FineTissue) -> np.ndarray:
    """Return the class of each square um, uint8, values as in ``CLASSES``."""
    return _CODE[tissue.kinds]


def _at_1_um(plan: Plan, values: np.ndarray, how: int) -> np.ndarray:
    width, height = (int(np.ceil(side)) for side in plan.size_um)
    matrix = np.array([[1 / GRID_UM, 0, 0.5 / GRID_UM - 0.5], [0, 1 / GRID_UM, 0.5 / GRID_UM - 0.5]])
    flags = how | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def region_polygons(tissue: FineTissue, *, mpp: float) -> list[Region]:
    """Return the named polygons of the slide in level-0 pixels: ``tumour`` first, then the other tissues."""
    kinds = tissue.kinds
    named = {
        "tumour": tissue.tumour,
        "in_situ": kinds == lay.IN_SITU,
        "normal": kinds == lay.NORMAL,
        "stroma": (kinds == lay.STROMA) | (kinds == lay.VESSEL),
        "immune": kinds == lay.IMMUNE,
        "necrosis": kinds == lay.NECROSIS,
        "fat": kinds == lay.FAT,
    }
    return [Region(name, shape) for name, mask in named.items() for shape in polygons(mask, scale=1 / mpp)]


def polygons(mask: np.ndarray, *, scale: float, least_um2: float = 60.0) -> list[shapely.Polygon]:
    """Return the outlines of ``mask`` (1 um pixels) as valid polygons with holes, times ``scale``."""
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found: list[shapely.Polygon] = []
    for index, contour in enumerate(contours):
        if tree[0][index][3] >= 0 or len(contour) < 4:
            continue
        holes = []
        child = tree[0][index][2]
        while child >= 0:
            if len(contours[child]) >= 8:
                holes.append(contours[child][:, 0] + 0.5)
            child = tree[0][child][0]
        # Contours run through pixel centres: half a pixel is missing all around.
        shape = shapely.Polygon(contour[:, 0] + 0.5, holes).buffer(0).buffer(0.5).simplify(0.4)
        parts = shape.geoms if shape.geom_type == "MultiPolygon" else [shape]
        found += [p for p in parts if p.area >= least_um2 and p.is_valid and p.geom_type == "Polygon"]
    return [shapely.affinity.scale(p, scale, scale, origin=(0, 0)) for p in found]


def major_axis(mask: np.ndarray) -> dict:
    """Return the longest diameter of the tumour: ``major_axis_um`` and its two ends in um, or nulls."""
    ys, xs = np.nonzero(mask)
    if len(ys) < 3:
        return {"major_axis_um": None, "major_axis_ends_um": None}
    hull = cv2.convexHull(np.stack([xs, ys], axis=1).astype(np.int32))[:, 0].astype(float) + 0.5
    apart = np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1))
    a, b = np.unravel_index(np.argmax(apart), apart.shape)
    return {"major_axis_um": float(apart[a, b]), "major_axis_ends_um": [hull[a].tolist(), hull[b].tolist()]}


def tile_table(plan: Plan, raster: np.ndarray) -> pd.DataFrame:
    """Return one row a tile of 64 um: place, ``tissue_fraction``, ``label`` and a share per class.

    ``label`` is the class with the largest share. Tiles at the right and lower edge are cut, so that each
    pixel lies in exactly one.
    """
    side = max(16, round(TILE_UM / plan.pixel_um))
    width, height = plan.size_px
    xs, ys = np.arange(0, width, side), np.arange(0, height, side)
    x0, widths = _cuts(xs, width, plan.pixel_um, raster.shape[1])
    y0, heights = _cuts(ys, height, plan.pixel_um, raster.shape[0])
    parts = []
    for index in range(len(CLASSES)):
        rows = np.add.reduceat((raster == index)[: y0[-1] + heights[-1]], y0, axis=0, dtype=np.int32)
        inside = np.add.reduceat(rows[:, : x0[-1] + widths[-1]], x0, axis=1)
        parts.append(inside / np.outer(heights, widths))
    shares = np.stack(parts, axis=-1).reshape(-1, len(CLASSES))
    grid_y, grid_x = np.meshgrid(np.arange(len(ys)), np.arange(len(xs)), indexing="ij")
    table = pd.DataFrame(
        {
            "slide_id": plan.slide_id,
            "tile_id": [f"{y}_{x}" for y, x in zip(grid_y.ravel(), grid_x.ravel(), strict=True)],
            "x_px0": xs[grid_x.ravel()],
            "y_px0": ys[grid_y.ravel()],
            "size_px0": side,
            "tissue_fraction": 1 - shares[:, 0],
            "status": "ok",
            "label": np.array(CLASSES)[shares.argmax(axis=1)],
        }
    )
    return table.assign(**{f"share_{name}": shares[:, i] for i, name in enumerate(CLASSES)})


def _cuts(starts_px: np.ndarray, size_px: int, mpp: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where each tile begins in the raster of 1 um, and how many pixels it takes, at least one."""
    starts = np.minimum(np.rint(starts_px * mpp).astype(int), limit - 1)
    ends = np.append(starts[1:], min(limit, round(size_px * mpp)))
    return starts, np.maximum(ends - starts, 1)


def tile_of(plan: Plan, x_px0: np.ndarray, y_px0: np.ndarray) -> list[str]:
    """Return the id of the tile that each point lies in."""
    side = max(16, round(TILE_UM / plan.pixel_um))
    return [f"{int(y // side)}_{int(x // side)}" for x, y in zip(x_px0, y_px0, strict=True)]
