"""Sections of a slide report about certainty: how sure, how even over the slide, what a reader corrected.

Plain tables and sentences from the record and the table of regions, for the template. Computes no score.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES

MAX_COMPONENTS = 8
"""Components of tumour in the report's table; all are in regions.csv."""
Row = dict[str, Any]


def how_sure(record: Mapping[str, Any]) -> Row | None:
    """Return P(score), the intervals and the lines; None where there is no score."""
    found = record.get("uncertainty")
    if not found:
        return None
    sampling, reading = found["sampling"], found["reading"]
    patches = sampling["design_effect"] > 1.5 and sampling["correlation_um"]
    notes = [
        f"{sampling['cells']:,} cells tell as much about the tumour as {sampling['independent_cells']:,} "
        f"independent ones would: stain lies in patches of about {sampling['correlation_um']:.0f} µm."
        if patches
        else f"Neighbouring cells are no more alike than distant ones: all {sampling['cells']:,} count.",
        "How cells are misread is not known here, so only chance is counted."
        if reading is None
        else f"How cells are misread was measured on {reading['slides']} synthetic slides, not on real ones.",
        "Not counted: another antibody, batch or scanner, and a wrong tumour region.",
    ]
    return {
        "words": found["words"],
        "notes": notes,
        "borderline": bool(found["borderline"]),
        "bars": _bars(found),
        "percent": [_interval_row(name, record["percent"][name], found["percent"][name]) for name in CLASSES]
        + [
            _interval_row(title, record.get(key), found[key], unit="")
            for key, title in (
                ("h_score_membrane_class", "H-score, membrane class"),
                ("h_score_intensity", "H-score, intensity"),
            )
            if found[key]
        ],
        "corrected": reading is not None,
        "lines": [
            {
                "rule": line["rule"].replace(">=", "≥"),
                "percent": f"{line['percent']:.1f} %",
                "line": f"{line['line_percent']:.3g} %",
                "points": f"{line['points']:+.1f}",
                "slide": _ends(line["slide"]),
                "tumour": _ends(line["tumour"]),
                "p": _p(line["p_fires"]),
                "p_tumour": _p(line["p_fires_tumour"]),
                "decides": line["rule"] == found["decided_by"],
            }
            for line in found["lines"]
        ],
    }


def borderline_words(record: Mapping[str, Any]) -> str:
    """Return what stands beside the score where it is borderline; else an empty string."""
    found = record.get("uncertainty") or {}
    return (
        f"Borderline: P({record['score']}) {_p(found['p_score'][record['score']])}"
        if found.get("borderline")
        else ""
    )


def region_map(record: Mapping[str, Any], regions: pd.DataFrame, *, scale: float) -> list[Row]:
    """Return the squares of the grid as boxes to draw.

    Parameters
    ----------
    scale
        Pixels of the drawing per level-0 pixel.
    """
    boxes = []
    for row in regions[regions["kind"] == "square"].to_dict("records"):
        name = row["score"] if isinstance(row["score"], str) else None
        h = row["h_score_membrane_class"]
        boxes.append(
            {
                "x": round(row["x_px0"] * scale, 1),
                "y": round(row["y_px0"] * scale, 1),
                "width": round(row["width_px0"] * scale, 1),
                "height": round(row["height_px0"] * scale, 1),
                "colour": CLASS_COLOURS[name or CLASSES[round(h / 100)]],
                "ink": "#ffffff" if name in ("0", "3+") else "#14181f",
                "score": name or f"{h:.0f}",
                "title": f"{row['region']}: {_or_dash(name)}, H-score {h:.0f}, {row['n_cells']:,} cells",
            }
        )
    return boxes


def component_rows(regions: pd.DataFrame) -> list[Row]:
    """Return the largest components of tumour, where there is more than one."""
    parts = regions[regions["kind"] == "component"]
    if len(parts) < 2:
        return []
    return [
        {
            "name": f"Tumour {row['region']}",
            "n": f"{row['n_cells']:,}",
            "percent": [f"{row[f'percent_{c}']:.1f} %" for c in CLASSES],
            "h": f"{row['h_score_membrane_class']:.0f}",
            "score": _or_dash(row["score"]),
        }
        for row in parts.head(MAX_COMPONENTS).to_dict("records")
    ]


def correction(record: Mapping[str, Any]) -> Row | None:
    """Return the old score beside the new one, who and when; None for a slide as the program read it."""
    found = record.get("correction")
    if not found:
        return None
    return {
        "by": found["by"],
        "when": found["when"].replace("T", " ").replace("+00:00", " UTC"),
        "number": found["number"],
        "words": found["words"],
        "rows": [
            {
                "name": name,
                "score": _or_dash(row["score"]),
                "category": row["category"] or "–",
                "n": f"{row['n_cells']:,}",
                "percent": [
                    "–" if row["percent"][c] is None else f"{row['percent'][c]:.1f} %" for c in CLASSES
                ],
                "h": _or_dash(row["h_score_membrane_class"], digits=0),
            }
            for name, row in (
                ("The program", found["original"]),
                *(((f"Correction {found['number'] - 1}", found["before"]),) if found["number"] > 1 else ()),
                (found["by"], record),
            )
        ],
    }


def _bars(found: Mapping[str, Any]) -> list[Row]:
    if found["p_score"] is None:
        return []
    return [
        {
            "name": name,
            "colour": CLASS_COLOURS[name],
            "slide": 100 * found["p_score"][name],
            "tumour": 100 * found["p_score_tumour"][name],
            "slide_words": _p(found["p_score"][name]),
            "tumour_words": _p(found["p_score_tumour"][name]),
        }
        for name in reversed(CLASSES)
    ]


def _interval_row(name: str, value: float | None, found: Mapping[str, Any], *, unit: str = " %") -> Row:
    digits = 1 if unit else 0
    corrected = found["corrected"]
    return {
        "name": name,
        "found": "–" if value is None else f"{value:.{digits}f}{unit}",
        "corrected": "–" if corrected is None else f"{corrected:.{digits}f}{unit}",
        "slide": _ends(found["slide"], unit, digits),
        "tumour": _ends(found["tumour"], unit, digits),
    }


def _ends(ends: list[float], unit: str = " %", digits: int = 1) -> str:
    return f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}{unit}"


def _p(p: float) -> str:
    return "> 99 %" if p > 0.995 else "< 1 %" if p < 0.005 else f"{100 * p:.0f} %"


def _or_dash(value: Any, digits: int | None = None) -> str:
    if value is None or value != value:
        return "–"
    return str(value) if digits is None else f"{value:.{digits}f}"
