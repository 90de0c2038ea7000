"""Phantom tiles for the fixtures: one small slide a score, in IHC and H&E, with what is planted in them.

Made once a process, in about a second; the same seed gives the same bytes.
"""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.exchange.parquet import read_table
from her2kit.learning.pictures import read_raster
from her2kit.learning.tiles import cut_tiles
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import make_cohort
from her2kit.slides.slide import open_slide

LABELS = ("0", "1+", "2+", "3+")
MPP = 0.5
SIDE_PX = 256
"""Of each slide."""
TILE_PX = 64


@dataclass(frozen=True, slots=True)
class Stock:
    """What fixtures are made of."""

    tiles: dict[str, np.ndarray]
    """Score to its tiles, uint8 (n, TILE_PX, TILE_PX, 3), in reading order."""
    he: dict[str, np.ndarray]
    """The same places in H&E."""
    tissue: dict[str, np.ndarray]
    """The same places of the planted tissue, uint8 (n, TILE_PX, TILE_PX), values 0 to 6 of a phantom."""
    pdl1: np.ndarray
    """A PD-L1 picture, uint8 (SIDE_PX, SIDE_PX, 3)."""
    cells: pd.DataFrame
    """Its planted cells: ``x_px0``, ``y_px0``, ``compartment``, ``positive``."""


def stock(*, seed: int = 0) -> Stock:
    """Return tiles of four slides, 0 to 3+, and a PD-L1 picture. Callers must not write to its arrays."""
    return _stock(seed)


@functools.lru_cache(maxsize=4)
def _stock(seed: int) -> Stock:
    with tempfile.TemporaryDirectory() as folder:
        kind = {"size_px": SIDE_PX, "mpp": MPP, "sites": 1, "seed": seed}
        cases = ["0-null", "1+", "2+", "3+"]
        make_cohort(Path(folder, "her2"), slides=4, cases=cases, with_he=True, **kind)  # type: ignore[arg-type]
        make_cohort(Path(folder, "pdl1"), slides=1, cases=["2+"], stain="pdl1", **kind)  # type: ignore[arg-type]
        table = read_manifest(Path(folder, "her2", "manifest.csv"))
        cut = [
            cut_tiles(table.iloc[[row]], size_px=TILE_PX, mpp=MPP, pairs=True) for row in range(len(LABELS))
        ]
        rasters = [_blocks(read_raster(path)) for path in table["mask_path"]]
        pdl1 = read_manifest(Path(folder, "pdl1", "manifest.csv")).iloc[0]
        with open_slide(pdl1["path"]) as slide:
            picture = slide.read(0, 0, SIDE_PX, SIDE_PX).pixels
        cells = read_table(Path(pdl1["mask_path"]).parent / "cells.parquet")
    return Stock(
        dict(zip(LABELS, [tiles.pixels for tiles in cut], strict=True)),
        dict(zip(LABELS, [np.asarray(tiles.pair_pixels) for tiles in cut], strict=True)),
        dict(zip(LABELS, rasters, strict=True)),
        picture,
        cells[["x_px0", "y_px0", "compartment", "positive"]],
    )


def _blocks(raster: np.ndarray) -> np.ndarray:
    """Return a slide's raster of 1 um pixels, at `MPP`, as the blocks that its tiles cover."""
    fine = raster.repeat(round(1 / MPP), axis=0).repeat(round(1 / MPP), axis=1)
    n = SIDE_PX // TILE_PX
    return fine.reshape(n, TILE_PX, n, TILE_PX).swapaxes(1, 2).reshape(n * n, TILE_PX, TILE_PX)
