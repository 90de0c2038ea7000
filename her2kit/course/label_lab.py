"""Cells for the lesson on labels: slides of one score each, measured, with the planted class beside.

A slide's score is the class of all its patches, as in HER2-IHC-40x. Labels are made of measurements alone;
the planted class is there to hold them against.
"""

import io
import itertools
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.grade import grade_cells
from her2kit.cells.matching import match_points
from her2kit.cells.table import CLASSES
from her2kit.course.data import phantom_cohort
from her2kit.course.processes import cores
from her2kit.exchange.frame import Frame
from her2kit.exchange.geojson import read_regions
from her2kit.exchange.parquet import read_table
from her2kit.labels.brown import brown_share
from her2kit.labels.cell_model import class_codes
from her2kit.labels.contact_sheet import contact_sheet
from her2kit.labels.crops import Crops
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import NOT_TUMOUR
from her2kit.labels.simulated_readers import Reader
from her2kit.measure import measure_slide
from her2kit.regions.compartments import compartments_of
from her2kit.settings import ScoreSettings

CASES = ("3+", "0-null", "2+", "1+")
"""One of each score, in turn."""
WITHIN_UM = 4.0
"""A detected cell is the planted one within this distance: half a cell."""
LABEL_MPP = 0.25
NEAR_UM = 40.0
"""Side of a cell's picture on `first_cells`, as in the gallery."""


def patches(
    *, slides: int, seed: int, size_px: int, folder: str | Path = "../data/notebooks"
) -> pd.DataFrame:
    """Return the manifest of slides of plain scores from two laboratories, made once and kept."""
    return phantom_cohort(
        slides=slides, seed=seed, size_px=size_px, mpp=LABEL_MPP, sites=2, cases=CASES, folder=folder
    )


def measured_cells(manifest: pd.DataFrame) -> pd.DataFrame:
    """Find, measure and grade the cells in the tumour regions of slides.

    Parameters
    ----------
    manifest
        With ``path``, ``slide_id``, ``label`` (the score, taken as the class of each patch) and
        ``tumour_path``.

    Returns
    -------
    DataFrame
        The cell table, with ``patch_class``, ``brown_share`` and ``true_class``: the planted class of the
        invasive cell that was found, null where there is none (a detection of something else) or where
        nothing was planted.
    """
    rows = [(row.path, row.slide_id, row.label, row.tumour_path) for row in manifest.itertuples()]
    with ProcessPoolExecutor(min(cores(), len(rows))) as pool:
        parts = list(pool.map(_cells_of, *zip(*rows, strict=True)))
    return pd.concat(parts, ignore_index=True)


def _cells_of(path: str, slide_id: str, label: str, tumour_path: str) -> pd.DataFrame:
    with measure_slide(path, ScoreSettings(workers=1), slide_id=slide_id) as measured:
        cells = grade_cells(measured.cells)
        where = compartments_of(
            cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy(), read_regions(tumour_path)
        )
        cells["compartment"] = pd.Series(where, index=cells.index, dtype="str")
        cells = cells[cells["compartment"] == "invasive"].reset_index(drop=True)
        cells["patch_class"] = pd.Series([label] * len(cells), dtype="str")
        cells["brown_share"] = brown_share(measured.slide, cells, mpp=LABEL_MPP)
        mpp = float(measured.slide.mpp or np.nan)
    truth = pd.Series([None] * len(cells), dtype=object)
    planted_path = Path(tumour_path).parent / "cells.parquet"
    if planted_path.is_file():
        planted = read_table(planted_path, ["x_px0", "y_px0", "cell_class", "compartment"])
        planted = planted[planted["compartment"] == "invasive"]
        pairs = match_points(*(t[["x_px0", "y_px0"]].to_numpy() * mpp for t in (planted, cells)),
                             max_distance=WITHIN_UM)  # fmt: skip
        truth.iloc[pairs.found_index] = planted["cell_class"].to_numpy(object)[pairs.truth_index]
    return cells.assign(true_class=truth)


def known_truth(labels: pd.DataFrame, cells: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the labels of cells whose class was planted, and both as codes: labels, truth, given."""
    known = labels[cells.loc[labels.index, "true_class"].notna().to_numpy()]
    return known, class_codes(cells.loc[known.index, "true_class"]), class_codes(known["cell_class"])


def crops_of(manifest: pd.DataFrame, cells: pd.DataFrame, *, side_um: float = 24.0) -> list[np.ndarray]:
    """Return the picture around each cell, uint8 (n, n, 3)."""
    with Crops(dict(zip(manifest["slide_id"], manifest["path"], strict=True))) as crops:
        return [
            crops.around(row.slide_id, row.x_px0, row.y_px0, side_um=side_um) for row in cells.itertuples()
        ]


def first_cells(reading: Reading, slides: Mapping[str, str], *, cells: int = 6, width_px: int = 640) -> Any:
    """Return a picture (PIL) of the first cells that a reader gets: for a page where no key can be pressed.

    Parameters
    ----------
    slides
        slide_id to the slide's file.
    """
    from PIL import Image

    with Crops(slides) as crops:
        picture = Image.open(io.BytesIO(contact_sheet(reading, crops, near_um=NEAR_UM, cells=cells)))
    height = round(picture.height * width_px / picture.width)
    return picture.convert("RGB").resize((width_px, height), Image.Resampling.LANCZOS)


def frame_of(
    cells: pd.DataFrame, *, size_px0: int, tile_px: int = 512, mpp: float = 0.5
) -> tuple[Frame, pd.DataFrame]:
    """Return the tile that holds most cells, and its cells.

    Parameters
    ----------
    cells
        Of one slide of `patches`.
    size_px0
        Side of that slide; the tile lies on it where it is not larger.
    tile_px, mpp
        Of the tile. R1's: 512 px of 0.5 um.
    """
    side = tile_px * mpp / LABEL_MPP
    xy = cells[["x_px0", "y_px0"]].to_numpy(np.float64)
    corners = np.unique(np.minimum(np.arange(0, size_px0, side / 4), max(size_px0 - side, 0)))
    held = [
        (((xy >= corner) & (xy < np.add(corner, side))).all(axis=1), corner)
        for corner in itertools.product(corners, corners)
    ]
    here, (x, y) = max(held, key=lambda pair: int(pair[0].sum()))
    return Frame(tile_px, tile_px, mpp, LABEL_MPP, float(x), float(y)), cells[here]


def let_read(folder: str | Path, name: str, reader: Reader, cells: pd.DataFrame, *, seed: int = 0) -> None:
    """Let a simulated reader decide all cells that are theirs in the open round of a review.

    Parameters
    ----------
    folder, name
        Of the review, and the reader's id in it.
    cells
        Of `measured_cells`. What is no tumour cell is called so, without error.
    """
    with Reading(folder, name) as reading:
        mine = cells.set_index(["slide_id", "cell_id"]).loc[reading.keys, "true_class"].astype(object)
        known = mine.notna().to_numpy()
        said = np.array([NOT_TUMOUR] * len(mine), dtype=object)
        said[known] = np.array(CLASSES, dtype=object)[reader.read(class_codes(mine[known]), seed=seed)]
        reading.decide_all([(*key, word, "") for key, word in zip(reading.keys, said, strict=True)])


def worst_entries(estimates: Mapping[str, np.ndarray], planted: np.ndarray) -> pd.Series:
    """Return by how much the worst entry of each estimated matrix is off."""
    return pd.Series({name: float(np.abs(m - planted).max()) for name, m in estimates.items()})
