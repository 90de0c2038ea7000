"""Tiles for the lesson on grading: pairs of H&E and IHC whose class is known tile by tile.

A tile's class is what the breast rule says of the invasive cells that were planted in it, as if the tile
were the whole slide. Near a threshold of 10 % one cell decides, so a tile also says whether its class is
*clear*: the same with the threshold at half and at twice its height. BCI gives the slide's class to every
tile; that label is there too, for comparison.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.exchange.parquet import read_table
from her2kit.learning.datasets.bci import MPP as BCI_MPP
from her2kit.learning.datasets.bci import load as load_bci
from her2kit.learning.pairs import Pairs, read_pairs
from her2kit.learning.patch_grader import CLASSES
from her2kit.learning.splits import split
from her2kit.learning.tiles import cut_tiles

PARTS = {"train": 0.55, "val": 0.15, "test": 0.3}
"""Shares of the patients."""
THRESHOLD, LOOSE, STRICT = 0.10, 0.05, 0.20
"""Share of cells that the rule asks for, and its half and its double: see ``clear``."""
TUMOUR = 0.3
"""Least share of a tile that invasive tumour fills."""
RESTAIN_SD = 0.15
"""Spread of how strong H&E is from slide to slide, standard deviation of the logarithm."""
LEAST_CELLS = 10
"""Invasive cells below which a tile has no class: one cell would be more than the threshold."""

_CELLS = ("x_px0", "y_px0", "compartment", "completeness_word", "intensity")
_KEPT = ("slide_id", "patient_id", "site", "tile_id", "x_px0", "y_px0", "slide_label")


@dataclass(frozen=True, slots=True)
class GradeTiles:
    """Tiles with a class each."""

    table: pd.DataFrame
    """One row a tile: ``slide_id``, ``patient_id``, ``site``, ``label``, ``slide_label``, ``clear``,
    ``n_cells``, and ``split`` once they are dealt."""
    pairs: Pairs
    mpp: float
    """Micrometres per pixel of the pictures."""

    def of(self, part: str, *, label: str = "label") -> tuple[Pairs, np.ndarray]:
        """Return pairs and labels of one part of the split."""
        rows = np.flatnonzero(self.table["split"] == part)
        return self.pairs.rows(rows), self.table[label].to_numpy(str)[rows]

    def where(self, keep: Any) -> "GradeTiles":
        """Return some of the tiles, by truth values."""
        rows = np.flatnonzero(keep)
        return GradeTiles(self.table.iloc[rows].reset_index(drop=True), self.pairs.rows(rows), self.mpp)


def phantom_tiles(table: pd.DataFrame, *, tile_um: float = 64.0, tile_px: int = 112) -> GradeTiles:
    """Cut the tumour tiles of a manifest of phantoms with their H&E, and grade each by its planted cells."""
    mpp = tile_um / tile_px
    cut = cut_tiles(table, size_px=tile_px, mpp=mpp, label="slide", at_least={"tumour": TUMOUR}, pairs=True)
    truths = {row.slide_id: _invasive(Path(row.mask_path).parent) for row in table.itertuples()}
    graded = pd.DataFrame([_graded(truths[t.slide_id], t) for t in cut.table.itertuples()])
    kept = pd.concat([cut.table[list(_KEPT)], graded], axis=1)
    he = restained(np.asarray(cut.pair_pixels), kept["slide_id"])
    return GradeTiles(kept, Pairs(cut.pixels, he), mpp).where(kept["n_cells"] >= LEAST_CELLS)


def restained(pixels: np.ndarray, slide_ids: pd.Series) -> np.ndarray:
    """Return H&E tiles as strong in red, green and blue as their slide's day in the stainer made them.

    Laboratories of the phantom stain alike every day; real ones do not, and a slide's pink tells it from all
    others. The optical density of each channel is multiplied by a number that belongs to the slide's name.
    """
    out = np.empty_like(pixels)
    for name in pd.unique(slide_ids):
        rows = (slide_ids == name).to_numpy()
        gain = np.exp(np.random.default_rng(zlib.crc32(str(name).encode())).normal(0, RESTAIN_SD, 3))
        table = np.round(255 * (np.arange(256)[:, None] / 255) ** gain).astype(np.uint8)
        out[rows] = np.stack([table[:, k][pixels[rows][..., k]] for k in range(3)], axis=-1)
    return out


def bci_tiles(folder: str | Path, *, tile_px: int = 224) -> GradeTiles:
    """Return the pairs of BCI with the published test part; validation is drawn tile by tile.

    BCI does not say which slide a tile came from, so its validation part may share slides with training.
    """
    table = load_bci(folder).table
    kept = pd.DataFrame(
        {
            "slide_id": table["tile_id"], "patient_id": table["tile_id"], "site": "BCI",
            "tile_id": table["tile_id"], "label": table["label"], "slide_label": table["label"],
            "clear": True, "split": table["split"],
        }
    )  # fmt: skip
    inside = (kept["split"] == "train").to_numpy()
    kept.loc[inside, "split"] = split(table[inside], unit="row", parts={"train": 0.85, "val": 0.15})
    pairs = read_pairs(table, size_px=tile_px)
    return GradeTiles(kept, pairs, BCI_MPP * 1024 / tile_px)


def dealt(tiles: GradeTiles, *, unit: str = "patient_id", seed: int = 0) -> GradeTiles:
    """Return the tiles dealt into train, val and test by patient; those of BCI stay as they are."""
    if "split" in tiles.table:
        return tiles
    parts = split(tiles.table, unit=unit, parts=PARTS, stratify="slide_label", seed=seed)
    return GradeTiles(tiles.table.assign(split=parts), tiles.pairs, tiles.mpp)


def grade(counts: Mapping[str, float], *, threshold: float = THRESHOLD) -> str:
    """Return the class that the breast rule gives to shares of cells.

    Parameters
    ----------
    counts
        Shares, 0 to 1: ``complete_intense``, ``complete_weaker``, ``incomplete_strong`` (moderate or
        intense), ``stained`` (any).
    """
    if counts["complete_intense"] > threshold:
        return CLASSES[3]
    if counts["complete_intense"] + counts["complete_weaker"] + counts["incomplete_strong"] > threshold:
        return CLASSES[2]
    return CLASSES[1] if counts["stained"] > threshold else CLASSES[0]


def _invasive(truth: Path) -> pd.DataFrame:
    cells = read_table(truth / "cells.parquet", list(_CELLS))
    return cells[cells["compartment"] == "invasive"]


def _graded(cells: pd.DataFrame, tile: Any) -> dict[str, Any]:
    """Return class, whether it is clear, and number of invasive cells of one tile."""
    x, y = (cells[f"{axis}_px0"] - getattr(tile, f"{axis}_px0") for axis in "xy")
    inside = (x >= 0) & (x < tile.size_px0) & (y >= 0) & (y < tile.size_px0)
    here = cells[inside]
    complete, strength = here["completeness_word"] == "complete", here["intensity"]
    n = max(1, len(here))
    shares = {
        "complete_intense": (complete & (strength == "intense")).sum() / n,
        "complete_weaker": (complete & strength.isin(["weak", "moderate"])).sum() / n,
        "incomplete_strong": (~complete & strength.isin(["moderate", "intense"])).sum() / n,
        "stained": (strength != "none").sum() / n,
    }
    clear = grade(shares, threshold=LOOSE) == grade(shares, threshold=STRICT)
    return {"label": grade(shares), "clear": clear, "n_cells": len(here)}
