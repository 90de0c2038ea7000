"""One slide's report: one HTML file that works offline, shows every reason, and can be contested.

It takes the record of ``score.json``, the cell table and the slide's pictures, and computes no score. At most
`MAX_CELLS` cells are in the file; where a slide has more, whole fields are shown in detail and the others as
shares. The same input gives the same bytes.
"""

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from her2kit.cells.grade import COMPLETE_AT
from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR, conform_cells
from her2kit.report import certainty, sections
from her2kit.report.cut_offs import CutOff, cut_offs, nearest_cells
from her2kit.report.fields import Fields, choose_fields, fields_of, hot_spot
from her2kit.report.page import write_page
from her2kit.report.pictures import Pictures, data_uri, jpeg, shrunk, svg_path
from her2kit.report.tissue_section import tissue_section
from her2kit.report.tumour_section import tumour_section
from her2kit.report.viewer_data import Shown, pack
from her2kit.scoring.counts import counted as counted_cells

MAX_CELLS = 20_000
"""Cells that a report holds one by one."""
CROP_UM = 28.0
"""Side of the picture of one cell: the cell and its neighbours."""
NEAREST = 10
"""Cells shown for each cut-off."""
_OVERVIEW_PX = 1600
_OVERVIEW_BYTES = 900_000


def write_slide_report(
    path: str | os.PathLike,
    report: Mapping[str, Any],
    cells: pd.DataFrame,
    pictures: Pictures,
    *,
    regions: pd.DataFrame | None = None,
) -> Path:
    """Write the report of one slide and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write the HTML.
    report : Mapping
        What ``score.json`` holds; a slide that was refused too.
    cells : DataFrame
        The graded cell table; empty for a slide that a picture gate refused.
    pictures : Pictures
        The overview, outlines, and a way to fetch detail.
    regions : DataFrame, optional
        Regional scores (`scoring.heterogeneity`), for the map.

    Returns
    -------
    Path
        A file of at most 15 MB.
    """
    from markupsafe import Markup

    path = Path(path)
    viewer_js = (files("her2kit.report") / "templates" / "viewer.js").read_text("utf-8")
    context = _context(report, conform_cells(cells), pictures, regions)
    data = json.dumps(context.pop("viewer"), separators=(",", ":"), allow_nan=False)
    return write_page(
        path,
        "slide_report",
        finalize=_unbroken,
        **context,
        viewer_js=Markup(viewer_js),
        viewer_data=Markup(data.replace("<", "\\u003c")),
    )


def _unbroken(value: Any) -> Any:
    """Keep a number and its percent sign on one line; leave our own markup alone."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def _context(
    record: Mapping[str, Any], cells: pd.DataFrame, pictures: Pictures, regions: pd.DataFrame | None
) -> dict[str, Any]:
    """Return everything that the template names."""
    known = sections.tumour_known(record)
    counted = counted_cells(cells, tumour_known=known) & cells["cell_class"].notna().to_numpy(bool)
    fields = fields_of(cells, counted, mpp=pictures.mpp or 0.25) if len(cells) else None
    organ, policies = sections.organ_of(record), record.get("policies") or {}
    lines = cut_offs(organ, complete_at=float(policies.get("complete_at", COMPLETE_AT)))
    nearest = [
        nearest_cells(cells, counted, line, organ=organ, policies=policies, n=NEAREST) for line in lines
    ]
    near = np.concatenate(nearest) if nearest else np.empty(0, np.int64)
    chosen = choose_fields(fields, near, max_cells=MAX_CELLS) if fields else {}
    shown = pack(cells, counted, fields, chosen, pictures)
    overview, overview_size = _overview(pictures)
    scale = overview_size[0] / pictures.overview.shape[1] / pictures.px0_per_px
    shown.data["overviewPx0"] = 1 / scale
    shown.data["tumourWord"] = "tumour cell" if known else "epithelium-like cell"
    rows, denominator_words = sections.denominators(record)
    spread, spread_words = sections.spread(record, cells, counted, fields) if fields else ([], "")
    provenance, command, parameters = sections.provenance_rows(record)
    return sections.verdict(record) | {
        "slide_id": record["slide_id"],
        "n_cells": record.get("n_cells") or 0,
        "counted_words": sections.counted_words(record),
        "bars": sections.bars(record),
        "facts": sections.facts(record),
        "trace": sections.trace_rows(record),
        "policy_notes": sections.policy_notes(record) if record.get("n_cells") else [],
        "vocabulary": sections.vocabulary(record),
        "gates": sections.gate_rows(record),
        "denominators": rows,
        "denominator_words": denominator_words,
        "tissue_map": tissue_section(record, pictures),
        "tumour_map": tumour_section(pictures),
        "spread": spread,
        "spread_words": spread_words,
        "sure": certainty.how_sure(record),
        "borderline": certainty.borderline_words(record),
        "correction": certainty.correction(record),
        "uneven_words": (record.get("heterogeneity") or {}).get("words", []),
        "map": [] if regions is None else certainty.region_map(record, regions, scale=scale),
        "components": [] if regions is None else certainty.component_rows(regions),
        "classes": CLASSES,
        "provenance": provenance,
        "command": command,
        "parameters": parameters,
        "overview": overview,
        "overview_width": overview_size[0],
        "overview_height": overview_size[1],
        "overview_words": _overview_words(record, pictures),
        "tissue_path": svg_path(pictures.tissue, scale=scale),
        "tumour_path": svg_path(pictures.tumour, scale=scale),
        "has_cells": bool(len(cells)),
        "all_shown": shown.cells == len(cells),
        "shown_words": _shown_words(shown, cells, fields, pictures),
        "legend": [{"name": c, "colour": CLASS_COLOURS[c]} for c in CLASSES]
        + [{"name": "not evaluable", "colour": NOT_EVALUABLE_COLOUR}],
        "places": _places(fields, near),
        "strips": [
            _strip(cells, line, rows_near, pictures) for line, rows_near in zip(lines, nearest, strict=True)
        ]
        if len(cells) and pictures.read and pictures.mpp
        else [],
        "crop_um": f"{CROP_UM:g}",
        "crop_px": round(CROP_UM / max(pictures.mpp or 0.25, 0.25)),
        "viewer": shown.data,
    }


def _overview(pictures: Pictures) -> tuple[str, tuple[int, int]]:
    """Return the overview as a data URI, no larger than it may be, and its width and height."""
    longest = _OVERVIEW_PX
    while True:
        small = shrunk(pictures.overview, longest)
        encoded = jpeg(small, quality=82)
        if len(encoded) <= _OVERVIEW_BYTES:
            return data_uri(encoded), (small.shape[1], small.shape[0])
        longest = round(longest * 0.85)


def _overview_words(record: Mapping[str, Any], pictures: Pictures) -> str:
    width, height = pictures.size_px0
    if pictures.mpp is None:
        return "The slide. Its file holds no resolution, so nothing can be measured."
    size = f"The slide, {width * pictures.mpp / 1000:.1f} × {height * pictures.mpp / 1000:.1f} mm"
    area = (record.get("slide") or {}).get("tissue_mm2")
    return f"{size}, {area:.2f} mm² of tissue." if area is not None else f"{size}."


def _shown_words(shown: Shown, cells: pd.DataFrame, fields: Fields | None, pictures: Pictures) -> str:
    """Return which cells the viewer holds, in one or two sentences."""
    if fields is None:
        return ""
    side = f"{fields.size_px0 * (pictures.mpp or 0.25):.0f} µm"
    sharp = f" Sharp pictures at {shown.mpp:.2f} µm/px." if shown.mpp else ""
    if shown.cells == len(cells):
        return f"All {len(cells):,} cells that were found, coloured by class.{sharp}"
    detail = len(shown.data["detail"])
    return (
        f"{shown.cells:,} of {len(cells):,} cells are shown one by one, in {detail} of {len(fields.table):,} "
        f"fields of {side}: in turn the most stained, those with the most tumour cells, and those with most "
        "cells nearest a cut-off. The other fields are shown as the percent of their counted cells in each "
        f"class.{sharp} "
        "All cells are in cells.parquet and cells.geojson."
    )


def _places(fields: Fields | None, near: np.ndarray) -> list[dict[str, str]]:
    """Return the fields that are worth a look, as buttons."""
    if fields is None:
        return []
    found: dict[str, int] = {}
    hot = hot_spot(fields)
    if hot is not None:
        found["the hot spot"] = hot
    if len(fields.table):
        found["most cells"] = int(fields.table["counted"].to_numpy().argmax())
    if len(near):
        found["most cells near a cut-off"] = int(np.bincount(fields.field_of[near]).argmax())
    size = fields.size_px0
    return [
        {"name": name, "look": f"{(c + 0.5) * size:.0f},{(r + 0.5) * size:.0f},{size * 1.1:.0f}"}
        for name, i in found.items()
        for c, r in [(fields.table["column"].iat[i], fields.table["row"].iat[i])]
    ]


def _strip(cells: pd.DataFrame, line: CutOff, nearest: np.ndarray, pictures: Pictures) -> dict[str, Any]:
    """Return the pictures of the cells nearest one cut-off."""
    if pictures.read is None or pictures.mpp is None:
        raise ValueError("pictures.read and pictures.mpp are needed for crops; pass both")
    mpp = max(pictures.mpp, 0.25)
    side, scale = round(CROP_UM / mpp), pictures.mpp / mpp
    shots = []
    for cell in cells.iloc[nearest].to_dict("records"):
        left = cell["x_px0"] - side / scale / 2
        top = cell["y_px0"] - side / scale / 2
        outline = cell["outline"]
        shape = []
        if outline is not None and len(outline) >= 3:
            shape = [shapely.Polygon(np.asarray(outline, np.float64) - [left, top])]
        value = cell[line.column]
        shots.append(
            {
                "name": cell["cell_class"],
                "colour": CLASS_COLOURS[cell["cell_class"]],
                "said": f"{value:.0%}" if line.column == "completeness" else f"{value:.3f} OD",
                "picture": data_uri(jpeg(pictures.read(left, top, side, side, mpp), quality=85)),
                "path": svg_path(shape, scale=scale),
                "look": f"{cell['x_px0']:.0f},{cell['y_px0']:.0f},{2.5 * CROP_UM / pictures.mpp:.0f}",
            }
        )
    value = f"{line.value:.0%}" if line.column == "completeness" else f"{line.value:.2f} OD"
    return {"name": line.name, "words": f"{line.words}, at {value}", "cells": shots}
