"""The page of a cohort: every slide of a call in one table, the doubtful ones first, each with its report.

Made of the rows of ``cohort.csv`` alone, so it can be written again at any time. No scripts and no pictures:
a thousand slides open at once. Agreement with readers in full is `her2kit.report.validation_report`'s.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES
from her2kit.report.page import write_page
from her2kit.scoring.agreement import codes, confusion, kappa

STATES = ("failed", "not evaluable", "borderline", "flagged", "scored")
"""In the order in which slides are listed: what somebody must look at comes first."""
STATE_WORDS = {
    "failed": "could not be read or scored; the slide's line says why",
    "not evaluable": "a gate refused the slide; no score was given",
    "borderline": "the sample of cells leaves another score open",
    "flagged": "scored, with a caution or a flag of the guideline",
    "scored": "scored, with nothing to remark",
}
PAGE = "cohort.html"
"""Name of the page, beside ``cohort.csv``."""


def write_cohort_report(path: str | os.PathLike, rows: pd.DataFrame) -> Path:
    """Write the page and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path
        Where to write the HTML; the slides' folders lie beside it.
    rows
        ``cohort.csv`` as `her2kit.cohort.score_cohort` writes it, one row a slide.
    """
    path = Path(path)
    slides = [_slide(row) for row in rows.astype(object).where(rows.notna(), None).to_dict("records")]
    slides.sort(key=lambda s: (STATES.index(s["state"]), s["sure"], s["slide_id"]))
    states = [(name, STATE_WORDS[name], sum(s["state"] == name for s in slides)) for name in STATES]
    scored = [s for s in slides if s["score"]]
    return write_page(
        path,
        "cohort_report",
        slides=slides,
        states=[state for state in states if state[2]],
        scored=len(scored),
        scores=[_score(name, scored) for name in CLASSES],
        agreement=_agreement(scored),
        classes=[(name, CLASS_COLOURS[name]) for name in CLASSES],
    )


def state_of(row: Mapping[Any, Any]) -> str:
    """Return which of `STATES` a row of ``cohort.csv`` is in.

    Every slide whose control nobody named carries that caution, so it alone does not count.
    """
    if row.get("status") != "scored":
        return "failed" if row.get("status") == "failed" else "not evaluable"
    if _true(row.get("borderline")):
        return "borderline"
    remarks = set(_words(row.get("flags")) + _words(row.get("cautions"))) - {"control"}
    return "flagged" if remarks else "scored"


def _slide(row: Mapping[Any, Any]) -> dict[str, Any]:
    state = state_of(row)
    score = str(row["score"]) if row.get("score") is not None else ""
    percent = [float(row.get(f"percent_{name}") or 0) for name in CLASSES]
    remarks = _words(row.get("blocked_by")) + _words(row.get("flags")) + _words(row.get("cautions"))
    p = row.get("p_score")
    return {
        "slide_id": str(row["slide_id"]),
        "href": None if state == "failed" else f"{quote(str(row['slide_id']))}/report.html",
        "state": state,
        "level": {"failed": "block", "not evaluable": "block", "scored": "ok"}.get(state, "caution"),
        "score": score,
        "colour": CLASS_COLOURS.get(score, ""),
        "category": row.get("category") or "",
        "guideline": row.get("guideline") or "",
        "label": str(row["label"]) if row.get("label") is not None else "",
        "n_cells": f"{int(row['n_cells']):,}" if row.get("n_cells") is not None else "–",
        "percent": [(CLASS_COLOURS[n], round(v, 2)) for n, v in zip(CLASSES, percent, strict=True) if v],
        "percent_words": ", ".join(f"{n} {v:.0f} %" for n, v in zip(CLASSES, percent, strict=True)),
        "h_score": "–"
        if row.get("h_score_membrane_class") is None
        else f"{row['h_score_membrane_class']:.0f}",
        "p": "–" if p is None else ("> 99 %" if p > 0.99 else f"{100 * p:.0f} %"),
        "sure": 1.0 if p is None else float(p),
        "remarks": row.get("error") or ", ".join(dict.fromkeys(w.replace("_", " ") for w in remarks)),
    }


def _score(name: str, scored: list[dict[str, Any]]) -> dict[str, Any]:
    of = [s for s in scored if s["score"] == name]
    doubtful = sum(s["state"] == "borderline" for s in of)
    share = 100 / max(1, len(scored))
    return {
        "name": name,
        "colour": CLASS_COLOURS[name],
        "n": len(of),
        "doubtful": doubtful,
        "sure_width": round(share * (len(of) - doubtful), 2),
        "doubtful_width": round(share * doubtful, 2),
    }


def _agreement(scored: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the cross table of labels and scores, where the manifest gives labels that are HER2 scores."""
    both = [s for s in scored if s["label"] in CLASSES]
    if not both:
        return None
    counts = confusion(codes([s["label"] for s in both]), codes([s["score"] for s in both]), k=len(CLASSES))
    value = kappa(counts, weights="quadratic")
    return {
        "n": len(both),
        "same": int(counts.trace()),
        "kappa": "–" if value != value else f"{value:.2f}",
        "rows": [
            (name, CLASS_COLOURS[name], [(int(n), i == j) for j, n in enumerate(row)])
            for i, (name, row) in enumerate(zip(CLASSES, counts, strict=True))
        ],
    }


def _words(value: object) -> list[str]:
    return str(value).split() if value is not None else []


def _true(value: object) -> bool:
    return str(value).lower() in ("true", "1", "1.0")
