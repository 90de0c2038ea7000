"""Nuclei located by a trained detector, run by onnxruntime alone; no PyTorch.

The file is an ONNX model of `her2kit.learning.detector_export` with its card: input ``pixels``, uint8
(n, h, w, 3); output ``cells``, float32 (n, 4 + classes, places). The card states the mpp that it reads at; a
slide is read at that mpp, and one that is coarser is refused: enlarged pixels show a network nothing new.

A slide is read in windows of one lattice, whatever the tiles of the measurement. Windows see beyond their
core; a cell found by two of them stays once. Outlines are not the network's: `cells.outlined` grows them.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from her2kit.cells.boxes import CONFIDENCE, OVERLAP, Boxes, boxes_of
from her2kit.errors import MppError, WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.exchange.network_file import open_network
from her2kit.slides.slide import Slide
from her2kit.slides.tiles import owned, read_tile, tile_grid
from her2kit.slides.tissue import Tissue

TASK = "cell_detector"
SHIPPED = "cells_nucleus.onnx"
"""The one-class detector in `her2kit/weights`."""
STRIDE = 32
WINDOW_PX, HALO_PX = 512, 32
"""Side of a window with its halo, and the halo: at 0.5 um/px it shows two nuclei beyond the core."""
SAME_UM = 3.0
"""Cells of two windows nearer than this are one: neighbouring nuclei are about 7.5 um apart."""
COARSER = 1.05
"""A slide may be coarser than the network's mpp by this factor: files round theirs."""
POINTS = ("x_px0", "y_px0", "width_px0", "height_px0", "score", "label")


@dataclass(frozen=True, slots=True)
class CellNetwork:
    """A loaded detector and its card."""

    card: Card
    mpp: float
    """Micrometres per pixel that it reads at."""
    confidence: float
    """Least score of a cell."""
    session: Any
    """The onnxruntime session."""

    def answer(self, pixels: np.ndarray) -> np.ndarray:
        """Return the raw answer, float32 (n, 4 + classes, places), to uint8 (n, h, w, 3) at ``mpp``."""
        if pixels.shape[1] % STRIDE or pixels.shape[2] % STRIDE:
            raise ValueError(
                f"pictures are {pixels.shape[2]} x {pixels.shape[1]} px; pad them to multiples of {STRIDE}"
            )
        return self.session.run(["cells"], {"pixels": np.ascontiguousarray(pixels)})[0]

    def boxes(self, picture: np.ndarray, *, mpp: float) -> Boxes:
        """Return the cells of one picture of any size, uint8 (h, w, 3).

        Raises
        ------
        MppError
            If ``mpp`` is not the network's; resample the picture first.
        """
        if not mpp or abs(mpp / self.mpp - 1) > COARSER - 1:
            raise MppError(
                f"mpp={mpp} of the picture, the detector was trained at {self.mpp:g}; resample the picture "
                f"to "
                f"{self.mpp:g} um/px"
            )
        height, width = picture.shape[:2]
        padded = np.full((-height % STRIDE + height, -width % STRIDE + width, 3), 255, np.uint8)
        padded[:height, :width] = picture
        found = boxes_of(self.answer(padded[None])[0], confidence=self.confidence, overlap=OVERLAP)
        return found.rows((found.xywh[:, 0] < width) & (found.xywh[:, 1] < height))


def shipped_path() -> Path:
    """Return where the detector lies that comes with the kit; there may be none."""
    return Path(str(files("her2kit"))) / "weights" / SHIPPED


def load_cell_network(path: str | os.PathLike | None = None, *, threads: int = 1) -> CellNetwork:
    """Load a detector of cells.

    Parameters
    ----------
    path
        The ``.onnx`` file; its card lies beside it. None takes the one that ships.
    threads
        Cores that one window takes; windows run beside each other.

    Raises
    ------
    WeightsError
        If file or card is missing, they do not belong together, or the model is no detector of this kit.
    """
    path = shipped_path() if path is None else Path(path)
    if path.suffix != ".onnx":
        raise WeightsError(
            f"{path}: a detector is an .onnx file with its card; a pickle (.pt) can run code and is not "
            "opened, export it with her2kit.learning.foreign"
        )
    card = read_card(path)
    if card.task != TASK:
        raise WeightsError(f"{path}: is a {card.task}, no {TASK}; give a detector, or --detector classical")
    if not card.mpp:
        raise WeightsError(f"{path}: its card gives no mpp, so no slide can be read for it; train it again")
    session, outputs = open_network(path, threads=threads)
    if isinstance(outputs, int) and outputs != 4 + len(card.class_names):
        raise WeightsError(
            f"{path}: its card names {len(card.class_names)} classes, the model has {outputs - 4}; take both "
            "from one training"
        )
    return CellNetwork(card, card.mpp, float(card.details.get("confidence", CONFIDENCE)), session)


def locate_cells(
    slide: Slide,
    tissue: Tissue,
    network: CellNetwork,
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the cells of a slide's tissue as points with the sides of their boxes.

    Parameters
    ----------
    threads
        Windows worked on at a time; the result does not depend on it.
    progress
        Called with (windows done, windows in all).

    Returns
    -------
    `POINTS` in level-0 pixels, in reading order; ``label`` is the number of the network's class. As many as
    there are: nothing cuts the list off.

    Raises
    ------
    MppError
        If the slide has no mpp, or a coarser one than the network.
    """
    check_mpp(slide.mpp, network)
    core_px = WINDOW_PX - 2 * HALO_PX
    mpp = max(network.mpp, float(slide.mpp or 0))
    grid = tile_grid(slide, tissue, tile_px=core_px, halo_um=HALO_PX * mpp * 0.999, mpp=mpp)
    rows = list(grid.table.itertuples(index=False))
    margin = SAME_UM / mpp * grid.scale

    def work(number: int) -> pd.DataFrame:
        row = rows[number]
        tile = read_tile(slide, grid, row)
        found = boxes_of(network.answer(tile.pixels[None])[0], confidence=network.confidence, overlap=OVERLAP)
        xywh = found.xywh.astype(np.float64) * grid.scale
        x, y = xywh[:, 0] + tile.x_px0, xywh[:, 1] + tile.y_px0
        near = [
            owned(x + dx * margin, y + dy * margin, grid, row)
            for dx, dy in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        ]
        out = pd.DataFrame(
            {
                "x_px0": x, "y_px0": y, "width_px0": xywh[:, 2], "height_px0": xywh[:, 3],
                "score": found.score.astype(np.float64), "label": found.label, "window": number,
            }
        )  # fmt: skip
        return out[np.any(near, axis=0) & tissue.contains(x, y)]

    parts = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for part in pool.map(work, range(len(rows))):
            parts.append(part)
            if progress:
                progress(len(parts), len(rows))
    if not parts:
        return pd.DataFrame(columns=list(POINTS), dtype=float)
    found = pd.concat(parts, ignore_index=True)
    kept = found[_once(found, SAME_UM * grid.scale / mpp)]
    return kept.sort_values(["y_px0", "x_px0"], ignore_index=True)[list(POINTS)]


def check_mpp(slide_mpp: float | None, network: CellNetwork) -> None:
    """Raise MppError where a slide cannot be read at the network's mpp."""
    if not slide_mpp:
        raise MppError(
            f"the slide has no mpp, and the detector reads at {network.mpp:g} um/px; pass mpp= (0.25 is "
            f"usual)"
        )
    if slide_mpp > COARSER * network.mpp:
        raise MppError(
            f"the slide has mpp={slide_mpp:g}, coarser than the {network.mpp:g} that the detector was "
            f"trained at; "
            "use the classical detector, or weights of that mpp"
        )


def _once(found: pd.DataFrame, reach_px0: float) -> np.ndarray:
    """Return which rows stay: of two windows' answers to one cell the surer one."""
    kept = np.ones(len(found), bool)
    if not len(found):
        return kept
    window = found["window"].to_numpy()
    pairs = KDTree(found[["x_px0", "y_px0"]].to_numpy()).query_pairs(reach_px0, output_type="ndarray")
    pairs = pairs[window[pairs[:, 0]] != window[pairs[:, 1]]]
    rank = np.empty(len(found), int)
    rank[np.lexsort((window, -found["score"].to_numpy()))] = np.arange(len(found))
    better, worse = np.minimum(*rank[pairs].T), np.maximum(*rank[pairs].T)
    row_of = np.argsort(rank)
    for a, b in sorted(zip(better.tolist(), worse.tolist(), strict=True)):
        if kept[row_of[a]]:
            kept[row_of[b]] = False
    return kept
