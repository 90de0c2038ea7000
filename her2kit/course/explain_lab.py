"""Slides for the lesson on explanations: phantoms of mostly tumour, and what lies where on their tiles.

A map can only be judged where the answer is known. The phantom knows it: which pixels are stained membrane,
which are nucleus, stroma or glass. The lesson also needs a model that learned the wrong thing, so here are
two marks that a laboratory may leave on its tiles: a stroke of a felt pen, and a border of coarse JPEG
blocks.
"""

import zlib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.table import TissueClass
from her2kit.course.data import kept_below
from her2kit.course.processes import cores
from her2kit.exchange.parquet import read_table
from her2kit.learning.pictures import read_raster
from her2kit.learning.splits import split
from her2kit.learning.tiles import LabelledTiles, cut_tiles
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.plan import Mix, Plan
from her2kit.phantom.slide import make_slide

MPP, LEAST_TUMOUR = 0.5, 0.5
"""Micrometres per pixel of a tile, at which membranes are two pixels wide; share of tumour in each."""
DEALT = {"train": 7 / 12, "val": 2 / 12, "test": 3 / 12}
CASES = ("3+", "0-null", "2+", "1+")
"""One a score, in turn; with three sites, cases and sites do not keep step."""
MIX = Mix(invasive=0.8, in_situ=0.0, normal=0.0, immune=0.03, necrosis=0.0, fat=0.03, vessels=0.005)
GROWTH = ("nests", "solid")
PARTS = ("membrane", "nucleus", "tumour, the rest", "stroma", "outside")
"""What a pixel of a tile can be. A membrane is one that is stained: an unstained one cannot be seen."""
PART_COLOURS = dict(zip(PARTS, ("#8B4513", "#3b4fa8", "#e8a0a0", "#8cc6a0", "#f0f0f0"), strict=True))
INK_OD = np.array([0.80, 0.28, 0.52]) * 1.1
"""OD of green felt pen in red, green and blue."""
LEAST_DAB, CREST = 0.05, 0.5
"""OD that a stained membrane has at least, and its share of the highest within `REACH_UM`: half of the crest,
as widths are measured."""
REACH_UM = 2


def graded_cohort(
    *,
    slides: int,
    seed: int = 0,
    size_px: int = 512,
    folder: str | Path = "../data/notebooks",
) -> pd.DataFrame:
    """Return the manifest of slides of mostly tumour, one of the four scores each; made once.

    ``label`` is the slide's score, and ``truth`` its folder of what was planted.
    """
    mark = zlib.crc32(repr((CASES, MIX, GROWTH)).encode())
    home = kept_below(folder) / f"graded_{slides}_{size_px}_{seed}_{mark:08x}"
    if not home.is_dir():  # a cohort appears whole or not at all
        plans = plan_cohort(slides=slides, seed=seed, size_px=size_px, mpp=MPP, sites=3, cases=CASES)
        plans = [replace(plan, mix=MIX, patterns=GROWTH) for plan in plans]
        with whole_folder(home, overwrite=False) as part:
            with ProcessPoolExecutor(cores()) as pool:
                list(pool.map(make_slide, plans, [part] * slides))
            pd.DataFrame([_row(plan) for plan in plans]).to_csv(part / "manifest.csv", index=False)
    table = read_manifest(home / "manifest.csv")
    return table.assign(truth=[str(Path(path).parent) for path in table["mask_path"]])


def _row(plan: Plan) -> dict[str, object]:
    return {
        "path": f"slides/{plan.slide_id}.tif",
        "dataset": "phantom",
        "patient_id": f"patient_of_{plan.slide_id}",
        "slide_id": plan.slide_id,
        "label": plan.name.removesuffix("-null"),
        "site": plan.site.name,
        "mpp": plan.pixel_um,
        "stain": plan.stain,
        "mask_path": f"truth/{plan.slide_id}/regions.png",
    }


def graded_tiles(
    table: pd.DataFrame, *, size_px: int = 128, per_slide: int = 8, seed: int = 0
) -> LabelledTiles:
    """Return tiles of mostly tumour with the score of their slide, dealt by slide into train, val and test.

    Parameters
    ----------
    table
        As `graded_cohort` gives it.
    size_px
        Side of a tile in pixels of 0.5 um. A multiple of the network's largest stride (32): else the last
        places cover less than the others, and maps are high along two edges.
    per_slide
        At most so many of each slide.
    """
    tiles = cut_tiles(table, size_px=size_px, mpp=MPP, label="slide", at_least={"tumour": LEAST_TUMOUR},
                      per_label=per_slide, seed=seed)  # fmt: skip
    part = split(tiles.table, unit="slide_id", parts=DEALT, stratify=["label", "site"], seed=seed)
    return LabelledTiles(tiles.table.assign(split=part), tiles.pixels)


def what_lies_where(tiles: pd.DataFrame, *, size_px: int) -> dict[str, np.ndarray]:
    """Return what each pixel of some tiles of phantoms is: for each of `PARTS`, bool (n, size_px, size_px).

    Each pixel is one of them: membrane goes before nucleus, nucleus before tissue.

    Parameters
    ----------
    tiles
        As `her2kit.learning.tiles.cut_tiles` gives them: ``mask_path``, ``x_px0``, ``y_px0``, ``size_px0``.
    """
    out = {name: np.zeros((len(tiles), size_px, size_px), bool) for name in PARTS}
    numbers = np.arange(len(tiles))
    for path, rows in tiles.assign(row=numbers).groupby("mask_path", sort=False):
        folder = Path(str(path)).parent
        regions, crests = read_raster(folder / "regions.png"), _crests(read_raster(folder / "membranes.png"))
        outlines = read_table(folder / "cells.parquet")["nucleus_outline"].tolist()
        for tile in rows.to_dict("records"):
            corner, px_px0 = np.array([tile["x_px0"], tile["y_px0"]]), size_px / tile["size_px0"]
            corner_um = corner * px_px0 * tile["mpp"]
            tissue = _cut(regions, corner_um, tile["mpp"], size_px, cv2.INTER_NEAREST)
            membrane = _cut(crests, corner_um, tile["mpp"], size_px, cv2.INTER_NEAREST)
            nuclei = np.zeros((size_px, size_px), np.uint8)
            cv2.fillPoly(nuclei, [np.rint((o - corner) * px_px0 - 0.5).astype(np.int32) for o in outlines], 1)
            found = (
                membrane > 0,
                nuclei > 0,
                tissue == TissueClass.TUMOUR,
                tissue != TissueClass.BACKGROUND,
                np.ones_like(nuclei, bool),
            )
            taken = np.zeros_like(nuclei, bool)
            for name, mask in zip(PARTS, found, strict=True):
                out[name][tile["row"]] = mask & ~taken
                taken |= mask
    return out


def painted_parts(parts: Mapping[str, np.ndarray], tile: int) -> np.ndarray:
    """Return one tile's parts in `PART_COLOURS`, uint8 (h, w, 3)."""
    out = np.zeros((*parts[PARTS[0]].shape[1:], 3), np.uint8)
    for name, mask in parts.items():
        out[mask[tile]] = tuple(bytes.fromhex(PART_COLOURS[name][1:]))
    return out


def _crests(membranes: np.ndarray) -> np.ndarray:
    """Return where a raster of the membranes' DAB, in hundredths of OD, is on a crest, uint8 (h, w)."""
    highest = cv2.dilate(membranes, np.ones((2 * REACH_UM + 1,) * 2, np.uint8))
    return ((membranes >= 100 * LEAST_DAB) & (membranes >= CREST * highest)).astype(np.uint8)


def _cut(raster: np.ndarray, corner_um: np.ndarray, mpp: float, size_px: int, how: int) -> np.ndarray:
    """Return a square of a raster of 1 um pixels in pixels of ``mpp``."""
    shift = corner_um + 0.5 * mpp - 0.5
    back = np.array([[mpp, 0, shift[0]], [0, mpp, shift[1]]])
    return cv2.warpAffine(raster, back, (size_px, size_px), flags=how | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip


def with_pen(pixels: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return tiles with a stroke of green felt pen across a corner or an edge, and where it lies.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, 3).

    Returns
    -------
    (ndarray, ndarray)
        uint8 (n, h, w, 3), and bool (n, h, w). What is under the ink shines through it.
    """
    rng = np.random.default_rng([seed, 6])
    n, height, width = pixels.shape[:3]
    side = min(height, width)
    marked, masks = np.empty_like(pixels), np.zeros((n, height, width), bool)
    for k in range(n):
        angle, off = rng.uniform(0, 2 * np.pi), rng.uniform(0.28, 0.4) * side
        along, out = np.array([-np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([width, height]) / 2 + off * out
        bend = rng.uniform(-0.12, 0.12) * side
        t = np.linspace(-1, 1, 25)[:, None]
        line = middle + t * side * along + bend * (t**2) * out
        ink = np.zeros((height, width), np.float32)
        cv2.polylines(ink, [np.rint(line).astype(np.int32)], False, 1.0, max(2, round(0.13 * side)))
        ink = cv2.GaussianBlur(ink, (0, 0), 0.008 * side + 0.4) * rng.uniform(0.75, 1.0)
        light = pixels[k] * np.exp(-2.3026 * ink[..., None] * INK_OD)
        marked[k], masks[k] = np.rint(light).astype(np.uint8), ink > 0.3
    return marked, masks


def with_jpeg_border(
    pixels: np.ndarray, *, width_px: int = 8, quality: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Return tiles whose border was saved once more as a coarse JPEG, and where that border lies.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, 3).
    """
    border = np.ones(pixels.shape[1:3], bool)
    border[width_px:-width_px, width_px:-width_px] = False
    out = pixels.copy()
    for picture in out:
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture[border] = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[border]
    return out, np.repeat(border[None], len(pixels), axis=0)
