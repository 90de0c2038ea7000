"""One PD-L1 slide from file to TPS, CPS and TAP. Never a HER2 slide's door.

Membranes are measured as HER2's are, and any stain counts. Where tumour is comes from the tissue map. The
classical detector tells lymphocytes, but no macrophages: CPS then misses those (the words of the result say
so). Scoring itself is `scoring.pdl1`.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit.cells.grade import grade_cells
from her2kit.cells.table import CellType, Compartment
from her2kit.exchange.geojson import write_cells_geojson, write_regions
from her2kit.exchange.parquet import write_table
from her2kit.exchange.whole import whole_files
from her2kit.measure import Measured, Progress, measure_slide
from her2kit.pipeline import MAPPED, REGION_COLOURS
from her2kit.provenance import sha256_of, versions
from her2kit.regions.compartments import compartments_on
from her2kit.regions.tissue_map import TissueMap
from her2kit.scoring.gate import Gate, blocking
from her2kit.scoring.gates import tumour_map_gate
from her2kit.scoring.guideline import GUIDELINES
from her2kit.scoring.pdl1 import check_stain, pdl1_score
from her2kit.settings import ScoreSettings

RECORD = "pdl1.json"
SCHEME = GUIDELINES["breast-asco-cap-2018"].scheme
"""Its class "0" means no membrane stain, which is all that is asked here."""


@dataclass(frozen=True, slots=True)
class Pdl1Report:
    """What scoring a PD-L1 slide gives."""

    record: dict[str, Any]
    """``status``, ``tps``, ``cps``, ``tap``, counts, ``words``, ``gates``, ``areas_mm2``, ``provenance``."""
    cells: pd.DataFrame
    tissue_map: TissueMap | None
    """None where a gate blocked."""


def score_pdl1(
    path: str | os.PathLike,
    *,
    stain: str = "pdl1",
    mpp: float | None = None,
    workers: int | None = None,
    slide_id: str | None = None,
    out: str | os.PathLike | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Pdl1Report:
    """Score a slide stained for PD-L1; with ``out``, write ``pdl1.json``, its cells and its tissue there.

    Parameters
    ----------
    stain
        What the slide is stained for, as its manifest says.
    mpp, slide_id, progress, say
        As `pipeline.score_slide` takes them.
    workers
        Tiles worked on at a time; None takes a core each.

    Raises
    ------
    ValueError
        If the slide is not stained for PD-L1.
    SlideError, WeightsError
        If the slide or the tissue model cannot be read.
    """
    check_stain(stain)
    settings = ScoreSettings(mpp=mpp, tumour="auto", workers=workers or os.cpu_count() or 1)
    with measure_slide(path, settings, slide_id=slide_id, progress=progress, say=say) as measured:
        slide_mpp, mapped, cells = measured.slide.mpp, measured.tissue_map, _placed(measured)
    gates = list(measured.gates)
    if mapped is not None:
        gates.append(tumour_map_gate(mapped.areas_mm2()["tumour"]))
    record = {"slide_id": measured.slide_id, **_scores(cells, gates, mapped, slide_mpp, stain)}
    record["gates"] = [g.record() for g in gates]
    record["areas_mm2"] = mapped.areas_mm2() if mapped is not None else None
    record["provenance"] = {
        "slide": Path(path).name,
        "sha256": sha256_of(path),
        "versions": versions(),
        "model_sha256": mapped.model_sha256 if mapped is not None else None,
        "mpp": slide_mpp,
    }
    report = Pdl1Report(record, cells, mapped)
    if out is not None:
        save_pdl1(report, out)
    return report


def save_pdl1(report: Pdl1Report, folder: str | os.PathLike) -> Path:
    """Write ``pdl1.json``, the cells (Parquet and GeoJSON) and the outlines of the tissue; all or none."""
    folder = Path(folder)
    with whole_files(folder, last=RECORD) as part:
        write_table(part / "cells.parquet", report.cells)
        write_cells_geojson(part / "cells.geojson", report.cells, slide_id=report.record["slide_id"])
        if report.tissue_map is not None:
            write_regions(part / MAPPED, report.tissue_map.regions(), colours=REGION_COLOURS)
        text = json.dumps(report.record, indent=1, allow_nan=False)
        (part / RECORD).write_text(text + "\n", encoding="utf-8")
    return folder


def _placed(measured: Measured) -> pd.DataFrame:
    """Return the cells with class and compartment; off the invasive tumour nothing is a tumour cell."""
    cells, mapped = measured.cells.copy(), measured.tissue_map
    graded = grade_cells(cells, scheme=SCHEME)
    cells[["intensity", "cell_class"]] = graded[["intensity", "cell_class"]]
    if mapped is not None:
        cells["compartment"] = compartments_on(mapped, cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy())
        off = (cells["cell_type"] == CellType.TUMOUR) & (cells["compartment"] != Compartment.INVASIVE)
        cells.loc[off, "cell_type"] = str(CellType.OTHER)
    return cells


def _scores(
    cells: pd.DataFrame, gates: list[Gate], mapped: TissueMap | None, mpp: float | None, stain: str
) -> dict[str, Any]:
    stops = blocking(gates)
    if stops or mapped is None or mpp is None:
        return {"status": "not_evaluable", "words": [g.words for g in stops]}
    score = pdl1_score(cells, stain=stain, mpp=mpp, tissue_map=mapped.classes, map_um=mapped.mpp)
    return score.record()
