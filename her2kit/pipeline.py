"""One slide from file to score: the one way that the command line, the cohort and notebook 10 all take.

    measure: open -> mpp gate -> tissue -> picture gates -> fit once -> cells, not yet graded
    grade:   compartments -> classes -> cell gates -> score, how sure it is, with its record

Measuring looks at pixels and takes minutes. Grading takes a second, so another guideline or policy is another
``grade_slide`` on the same measurement. Scores come from raw pixels, never from normalised ones
(her2-rules section 4).
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.assess import assess
from her2kit.cells.grade import grade_cells
from her2kit.cells.table import TISSUE_COLOURS, TISSUES
from her2kit.errors import RegionError
from her2kit.exchange.geojson import Region, read_regions, write_cells_geojson, write_regions
from her2kit.exchange.parquet import write_table
from her2kit.exchange.whole import whole_files
from her2kit.measure import Measured, Progress, measure_slide
from her2kit.provenance import provenance
from her2kit.regions.compartments import compartments_of, compartments_on, invasive_regions
from her2kit.regions.tissue_map import REGION_NAMES, TissueMap
from her2kit.regions.tumour_map import TumourMap, map_for
from her2kit.scoring.gates import tumour_map_gate
from her2kit.scoring.guideline import GUIDELINES
from her2kit.settings import ScoreSettings
from her2kit.slides.slide import Slide, open_slide
from her2kit.slides.tissue import Tissue

if TYPE_CHECKING:
    from her2kit.report.pictures import Pictures


MAPPED = "regions.geojson"
"""Outlines of the tissue map, beside ``cells.geojson``."""
REGION_COLOURS = {
    REGION_NAMES.get(name, name): colour for name, colour in zip(TISSUES, TISSUE_COLOURS, strict=True)
}


@dataclass(frozen=True, slots=True)
class SlideReport:
    """What scoring a slide gives: the record (``score.json``), its cells, its regions, its pictures."""

    record: dict[str, Any]
    cells: pd.DataFrame
    regions: pd.DataFrame
    """One row a square of the grid and a component of tumour (`scoring.heterogeneity`)."""
    pictures: "Pictures"
    tissue: list[Region] | None = None
    """Outlines of the tissue map, all kinds; None where the slide was not mapped."""


def grade_slide(measured: Measured, settings: ScoreSettings | None = None) -> SlideReport:
    """Grade measured cells by a guideline and score the slide.

    Raises
    ------
    RegionError
        If the tumour regions cannot be read, hold no invasive tumour, or lie outside the slide.
    ValueError
        If the settings ask for a tissue map and the slide was measured without one.
    """
    settings = settings or ScoreSettings()
    guideline, policies = GUIDELINES[settings.guideline], settings.policies
    mapped = _map_of(measured) if settings.tumour == "auto" else None
    outlines = mapped.regions() if mapped else None
    regions = _tumour_regions(settings) if outlines is None else invasive_regions(outlines)
    if mapped is None:
        _check_place(regions, measured.slide, settings)
    cells = measured.cells.copy()
    graded = grade_cells(
        cells,
        scheme=guideline.scheme,
        complete_at=policies.complete_at,
        complete_faint_as=policies.complete_faint_as,
    )
    cells[["intensity", "cell_class"]] = graded[["intensity", "cell_class"]]
    x, y = cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy()
    if mapped is not None:
        cells["compartment"] = compartments_on(mapped, x, y)
    elif regions:
        cells["compartment"] = compartments_of(x, y, regions)
    found = assess(
        cells,
        settings,
        mpp=measured.slide.mpp,
        gates=measured.gates,
        tumour=_mapped_record(mapped) if settings.tumour == "auto" else _drawn(regions, settings),
        tumour_gates=[tumour_map_gate(mapped.areas_mm2()["tumour"])] if mapped else [],
    )
    record = {
        "slide_id": measured.slide_id,
        **found.record,
        "slide": _slide_facts(measured),
        "provenance": provenance(measured.path, settings),
    }
    pictures = pictures_of(measured.slide, measured.tissue, regions, tissue_map=mapped)
    if settings.tumour_map is not None:
        shown = _tumour_map(settings, measured.slide_id, measured.slide)
        pictures = replace(pictures, tumour_probability=shown.probability)
    return SlideReport(record, cells, found.regions, pictures, outlines)


def score_slide(
    path: str | os.PathLike,
    settings: ScoreSettings | None = None,
    *,
    out: str | os.PathLike | None = None,
    slide_id: str | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> SlideReport:
    """Measure and grade one slide; with ``out``, write its files there (``save_report``).

    Takes the arguments of ``measure_slide``. A slide that a gate refuses is no error: its record has
    the status ``not_evaluable`` and names the gate.

    Raises
    ------
    SlideError, RegionError
        If the slide or the tumour regions cannot be read.
    """
    settings = settings or ScoreSettings()
    regions = _tumour_regions(settings)
    if regions or settings.tumour_map is not None:  # bad ones fail before the minutes, not after
        with open_slide(path, mpp=settings.mpp) as slide:
            _check_place(regions, slide, settings)
            if settings.tumour_map is not None:
                _tumour_map(settings, slide_id or slide.slide_id, slide)
    with measure_slide(path, settings, slide_id=slide_id, progress=progress, say=say) as measured:
        report = grade_slide(measured, settings)
        if out is not None:
            save_report(report, out)
    return report


def save_report(report: SlideReport, folder: str | os.PathLike) -> Path:
    """Write the cells, ``regions.csv``, ``report.html`` and ``score.json``; return the folder.

    The cells are in ``cells.parquet`` and ``cells.geojson``, the outlines of a mapped slide's tissue in
    ``regions.geojson``. All files appear, or none: a folder that holds ``score.json`` is whole. The same
    report gives the same bytes. The slide must still be open: the report shows details of it.
    """
    from her2kit.report.slide_report import write_slide_report

    folder = Path(folder)
    slide_id = report.record["slide_id"]
    with whole_files(folder, last="score.json") as part:
        write_table(part / "cells.parquet", report.cells)
        write_cells_geojson(part / "cells.geojson", report.cells, slide_id=slide_id)
        report.regions.to_csv(part / "regions.csv", index=False)
        if report.tissue is not None:
            write_regions(part / MAPPED, report.tissue, colours=REGION_COLOURS)
        write_slide_report(
            part / "report.html", report.record, report.cells, report.pictures, regions=report.regions
        )
        text = json.dumps(report.record, indent=1, allow_nan=False)
        (part / "score.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _tumour_regions(settings: ScoreSettings) -> list[Region]:
    """Return the regions of the settings' file; an empty list where there is none."""
    if settings.tumour in ("none", "auto"):
        return []
    regions = read_regions(settings.tumour)
    if not invasive_regions(regions):
        names = ", ".join(sorted({r.name or "(no name)" for r in regions}))
        raise RegionError(
            f"{settings.tumour} holds no invasive tumour, only {names}; name the regions to score 'Tumor' or"
            " 'invasive'"
        )
    return regions


def _tumour_map(settings: ScoreSettings, slide_id: str, slide: Slide) -> TumourMap:
    return map_for(str(settings.tumour_map), slide_id, (slide.width_px0, slide.height_px0))


def _map_of(measured: Measured) -> TissueMap | None:
    """Return the tissue map; None where a gate blocked before."""
    if measured.tissue_map is None and not measured.blocked:
        raise ValueError(
            "tumour='auto': the slide was measured without a tissue map; measure it with 'auto', too"
        )
    return measured.tissue_map


def _drawn(regions: Sequence[Region], settings: ScoreSettings) -> dict[str, Any] | None:
    return {"source": "file", "file": settings.tumour} if regions else None


def _mapped_record(mapped: TissueMap | None) -> dict[str, Any]:
    """Return what ``score.json`` says of a mapped slide."""
    found: dict[str, Any] = {"source": "auto", "file": MAPPED if mapped else None}
    if mapped is not None:
        found |= {"areas_mm2": mapped.areas_mm2(), "map_mpp": mapped.mpp, "model_sha256": mapped.model_sha256}
    return found


def _check_place(regions: Sequence[Region], slide: Slide, settings: ScoreSettings) -> None:
    """Raise RegionError if no invasive region touches the slide."""
    import shapely

    area = shapely.box(0, 0, slide.width_px0, slide.height_px0)
    if regions and not any(r.geometry.intersects(area) for r in invasive_regions(regions)):
        raise RegionError(
            f"{settings.tumour}: its regions lie outside {slide.path.name} ({slide.width_px0} x "
            f"{slide.height_px0} px); draw them on this slide, and export them in its level-0 pixels"
        )


def _slide_facts(measured: Measured) -> dict[str, Any]:
    """Return what was read: sizes, mpp and where it came from, white point, stain vectors, tissue area."""
    slide = measured.slide
    facts: dict[str, Any] = {
        "width_px0": slide.width_px0,
        "height_px0": slide.height_px0,
        "vendor": slide.vendor,
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
    }
    if measured.white is not None and measured.tissue is not None:
        facts["white_point"] = {"rgb": list(measured.white.rgb), "source": measured.white.source}
        facts["tissue_mm2"] = measured.tissue.area_mm2
    if measured.fit is not None:
        vectors = measured.fit.vectors
        facts["stain_vectors"] = {
            "hematoxylin": list(vectors.hematoxylin),
            "dab": list(vectors.dab),
            "source": vectors.source,
        }
        facts["measured_at_mpp"] = measured.fit.mpp
        found_by = measured.fit.network
        facts["detector"] = "classical" if found_by is None else f"network {found_by.card.sha256}"
    return facts


def pictures_of(
    slide: Slide, tissue: Tissue | None, regions: Sequence[Region], *, tissue_map: TissueMap | None = None
) -> "Pictures":
    """Return what a report may show of an open slide."""
    from her2kit.report.pictures import Pictures

    overview = slide.thumbnail(max_px=2048).pixels

    def read(x_px0: float, y_px0: float, width_px: int, height_px: int, mpp: float) -> np.ndarray:
        return slide.read(x_px0, y_px0, width_px, height_px, mpp=mpp, upsample=True).pixels

    return Pictures(
        overview=overview,
        px0_per_px=max(slide.width_px0 / overview.shape[1], slide.height_px0 / overview.shape[0]),
        mpp=slide.mpp,
        tissue=tissue.polygons() if tissue is not None else (),
        tumour=[r.geometry for r in invasive_regions(regions)],
        read=read if slide.mpp else None,
        tissue_classes=tissue_map.classes if tissue_map is not None else None,
    )
