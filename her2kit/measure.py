"""Look at a slide's pixels once: mpp gate, tissue, picture gates, one fit, cells (not graded), tissue map.

This is the part that takes minutes. No guideline is known here; ``pipeline.grade_slide`` brings it. Raw
pixels alone are measured, never normalised ones (her2-rules section 4).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from her2kit.cells.detect import CellFit, find_cells, fit_cells
from her2kit.cells.network import CellNetwork, check_mpp, load_cell_network
from her2kit.cells.table import empty_cells
from her2kit.regions.network import TissueNetwork, shipped_network
from her2kit.regions.tissue_map import TissueMap, map_tissue
from her2kit.scoring.gate import Gate
from her2kit.scoring.gates import mpp_gate, picture_gates, stain_gate
from her2kit.settings import ScoreSettings
from her2kit.slides.sample import sample_fields
from her2kit.slides.slide import Slide, open_slide
from her2kit.slides.tissue import Tissue, find_tissue
from her2kit.slides.white_point import WhitePoint, find_white_point

FINEST_MPP = 0.2
"""Below this a slide is read at 0.25 um/px: finer sampling shows no more of a membrane."""

PIXELS_PER_SECOND, CELLS_PER_MM2, BYTES_PER_CELL = 6e6, 5_000, 1_500
"""For the estimate before a long run: rate of one core (``benchmarks/score.py``), density of cells, and bytes
of all files of a cell, on the real cores."""

Progress = Callable[[str, int, int], None]
"""Called with (stage in words, done, total)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A slide's cells before any guideline has looked at them, and the gates passed on the way."""

    path: Path
    slide_id: str
    slide: Slide
    """Open, for pictures; close it when done."""
    white: WhitePoint | None
    tissue: Tissue | None
    fit: CellFit | None
    gates: tuple[Gate, ...]
    cells: pd.DataFrame
    """The cell table without classes; empty where a gate blocked."""
    seconds: float
    tissue_map: TissueMap | None = None
    """Made where the settings ask for ``tumour="auto"`` and no gate blocked."""

    def __enter__(self) -> "Measured":
        return self

    def __exit__(self, *_: object) -> None:
        self.slide.close()

    @property
    def blocked(self) -> bool:
        """Whether a gate refused the slide before its cells were looked for."""
        return any(g.level == "block" for g in self.gates)


def measure_slide(
    path: str | os.PathLike,
    settings: ScoreSettings | None = None,
    *,
    slide_id: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Measured:
    """Find and measure the cells of a slide, or learn which gate refuses it.

    Parameters
    ----------
    slide_id
        Default: the file's name without its ending.
    progress, say
        Told how far the work is, and, before the long part, about how long it takes and how much it writes.

    Raises
    ------
    SlideError
        If the slide cannot be read.
    WeightsError
        If the tissue is to be mapped, or a network to find the cells, and its model cannot be used.
    MppError
        If the slide is coarser than the detector's weights.
    """
    settings = settings or ScoreSettings()
    start = time.monotonic()
    threads = min(settings.workers, os.cpu_count() or 1)
    network = shipped_network(threads=threads) if settings.tumour == "auto" else None
    weights = settings.weights
    detector = None if weights is None else load_cell_network(weights or None)
    slide = open_slide(path, mpp=settings.mpp)
    try:
        measured = _measure(
            slide,
            settings,
            slide_id or slide.slide_id,
            network,
            detector,
            threads,
            progress,
            say or (lambda words: None),
        )
    except BaseException:
        slide.close()
        raise
    return replace(measured, seconds=time.monotonic() - start)


def _measure(
    slide: Slide,
    settings: ScoreSettings,
    name: str,
    network: TissueNetwork | None,
    detector: CellNetwork | None,
    threads: int,
    progress: Progress | None,
    say: Callable[[str], None],
) -> Measured:
    refused = stain_gate(settings.stain)
    gates = [refused] if refused else [mpp_gate(slide.mpp)]
    nothing = Measured(slide.path, name, slide, None, None, None, tuple(gates), empty_cells(), 0.0)
    if slide.mpp is None or nothing.blocked:
        return nothing
    mpp = slide.mpp if slide.mpp >= FINEST_MPP else 0.25
    if detector is not None:
        check_mpp(slide.mpp, detector)
    white = find_white_point(slide)
    tissue = find_tissue(slide, white)
    samples = [tile.pixels for tile in sample_fields(slide, tissue, mpp=mpp)]
    gates += picture_gates(
        samples,
        mpp=mpp,
        white=white.rgb,
        white_warning=white.warning,
        tissue_area_mm2=tissue.area_mm2,
        overview=slide.thumbnail(max_px=1024).pixels,
    )
    seen = replace(nothing, white=white, tissue=tissue, gates=tuple(gates))
    if seen.blocked:
        return seen
    fit = fit_cells(slide, tissue, white, mpp=mpp, network=detector)
    say(estimate(tissue, mpp=mpp, workers=threads))
    tissue_map = None
    if network is not None:
        tissue_map = map_tissue(
            slide,
            tissue,
            network,
            progress=progress and (lambda done, total: progress("tissue map", done, total)),
        )
    cells = find_cells(
        slide,
        tissue,
        fit,
        tile_px=settings.tile_px,
        threads=threads,
        progress=progress and (lambda done, total: progress("tiles", done, total)),
    )
    cells["slide_id"] = name
    return replace(seen, fit=fit, cells=cells, tissue_map=tissue_map)


def estimate(tissue: Tissue, *, mpp: float, workers: int) -> str:
    """Say in words about how long the cells take and how much they fill on disk.

    The rate is that of ``benchmarks/score.py`` on two plain cores; 5,000 cells a mm2 and 1.5 KB a cell are
    those of the real cores.
    """
    seconds = tissue.area_mm2 * 1e6 / mpp**2 / (PIXELS_PER_SECOND * workers)
    megabytes = tissue.area_mm2 * CELLS_PER_MM2 * BYTES_PER_CELL / 1e6
    return (
        f"{tissue.area_mm2:.2g} mm2 of tissue: about {max(seconds, 1):.0f} s and {max(megabytes, 1):.0f} MB"
    )
