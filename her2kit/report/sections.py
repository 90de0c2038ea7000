"""The sections of a slide report as plain tables and sentences, from the record that ``score.json`` holds.

Words and numbers only: no picture, no HTML (the template does that), and no number that the record does not
give or imply.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES
from her2kit.report.fields import LEAST_CELLS, Fields
from her2kit.scoring.category import VOCABULARY
from her2kit.scoring.guideline import GUIDELINES
from her2kit.scoring.result import FLAGS

TITLES = {
    "breast-asco-cap-2018": "Breast, ASCO/CAP 2018, affirmed 2023",
    "gastric-resection": "Gastric, resection (Rüschoff / Hofmann)",
    "gastric-biopsy": "Gastric, biopsy (Rüschoff / Hofmann)",
}
Row = dict[str, Any]


def organ_of(record: Mapping) -> str:
    """Return the organ of the record's guideline, ``breast`` where it is not known."""
    guideline = GUIDELINES.get(record.get("guideline") or "")
    return guideline.organ if guideline else "breast"


def tumour_known(record: Mapping) -> bool:
    """Return whether the score counts the cells of a tumour region (drawn or mapped)."""
    tumour = record.get("tumour")
    source = tumour.get("source") if isinstance(tumour, Mapping) else tumour
    return source not in (None, "none")


def counted_words(record: Mapping) -> str:
    """Return which cells the score counts, in two or three words."""
    return "tumour cells in the tumour regions" if tumour_known(record) else "epithelium-like cells"


def verdict(record: Mapping) -> Row:
    """Return score, category, guideline and one sentence, or what refused the slide."""
    score = record.get("score") if record.get("status") == "scored" else None
    trace = record.get("trace") or []
    fired = [step for step in trace if step["fired"]]
    stops = [
        {"name": _plain(g["name"]), "words": _sentence(g["words"])}
        for g in _gates(record)
        if g["level"] == "block"
    ]
    if score is None and not stops:
        stops = [
            {"name": "Not evaluable", "words": _sentence(reason)} for reason in record.get("reasons") or []
        ]
    if score is None and record.get("error"):
        stops.append({"name": "Failed", "words": _sentence(record["error"])})
    back = CLASS_COLOURS.get(score or "", "#8A8A8A")
    return {
        "score": score,
        "category": (record.get("category") or "").capitalize(),
        "guideline_title": TITLES.get(record.get("guideline") or "", record.get("guideline") or ""),
        "score_back": back,
        "score_ink": "#ffffff" if score in ("0", "3+") else "#14181f",
        "refused_head": f"Refused by: {', '.join(s['name'] for s in stops)}" if stops else "Refused",
        "stops": stops,
        "summary": " ".join(filter(None, (fired[-1]["words"], flip_words(trace)))) if score and fired else "",
        "flags": [_sentence(FLAGS.get(f, _plain(f))) for f in record.get("flags") or []],
    }


def flip_words(trace: Sequence[Mapping]) -> str:
    """Return how many cells would have to change for another rule to fire, a sentence for each side."""
    parts = []
    last = trace[-1] if trace else None
    if last and last["fired"] and last.get("threshold") and last["count"] >= last["threshold"]:
        down = last["count"] - last["threshold"] + 1
        share = 100 * down / last["n"]
        parts.append(f"{down:,} fewer such cells ({share:.1f} % of all counted) would lower the score.")
    short = [
        (t["threshold"] - t["count"], -place, t["n"], t["rule"])
        for place, t in enumerate(trace)
        if t.get("threshold") and t.get("count") is not None and not t["fired"] and t["rule"] != "evaluable"
    ]
    if short:
        up, _, n, rule = min(short)
        parts.append(f"{up:,} more cells ({100 * up / n:.1f} %) would fire the rule “{_plain_rule(rule)}”.")
    return " ".join(parts)


def bars(record: Mapping) -> list[Row]:
    """Return one bar a class, the strongest first; empty where nothing was counted."""
    if not record.get("n_cells"):
        return []
    percent, counts = record.get("percent") or {}, record.get("counts") or {}
    return [
        {"name": c, "percent": percent[c], "count": counts[c], "colour": CLASS_COLOURS[c]}
        for c in reversed(CLASSES)
    ]


def facts(record: Mapping) -> list[Row]:
    """Return the key figures beside the bars."""
    missing, n = record.get("n_missing") or 0, record.get("n_cells") or 0
    parameters = (record.get("provenance") or {}).get("parameters") or {}
    control, ish = parameters.get("control", "unknown"), parameters.get("ish", "unknown")
    share = f"{100 * missing / (n + missing):.1f} % of those that count" if n + missing else ""
    rows = [
        ("H-score, membrane class", _number(record.get("h_score_membrane_class"), 0), "0 to 300"),
        ("H-score, intensity", _number(record.get("h_score_intensity"), 0), "0 to 300, classical"),
        ("Cells counted", f"{n:,}", counted_words(record)),
        ("Not evaluable", f"{missing:,}", share),
        ("ISH", _plain(ish).capitalize(), "changes the category, not the score"),
        ("Control tissue", _plain(control).capitalize(), "not documented" if control == "unknown" else ""),
    ]
    return [{"name": a, "value": b, "words": c} for a, b, c in rows]


def trace_rows(record: Mapping) -> list[Row]:
    """Return the trace, one row a rule tried, with its share of the counted cells and the line."""
    rows = []
    for step in record.get("trace") or []:
        n, count, line = step.get("n") or 0, step.get("count"), step.get("threshold")
        drawn = n and count is not None and line is not None and step["rule"] != "evaluable"
        last = step["fired"] and step is record["trace"][-1] and record.get("score") is not None
        rows.append(
            {
                "rule": _plain_rule(step["rule"]),
                "fired": step["fired"] and step["rule"] != "evaluable",
                "mark": f"fired: {record['score']}" if last else "",
                "count": "–" if count is None else f"{count:,}",
                "threshold": "–" if not line else f"{line:,}",
                "share": 100 * count / n if drawn else None,
                "line": min(100.0, 100 * line / n) if drawn else 0.0,
                "words": step["words"],
            }
        )
    return rows


def gate_rows(record: Mapping) -> list[Row]:
    """Return the gates, those that block first, then the cautions."""
    order = {"block": 0, "caution": 1, "ok": 2}
    return [
        {
            "name": _plain(g["name"]),
            "level": g["level"],
            "value": _value(g.get("value")),
            "words": _sentence(g["words"]),
        }
        for g in sorted(_gates(record), key=lambda g: order[g["level"]])
    ]


def denominators(record: Mapping) -> tuple[list[Row], str]:
    """Return the score beside what other denominators give, and a sentence about them."""
    tumour = record.get("tumour")
    ungated = tumour.get("ungated") if isinstance(tumour, Mapping) else None
    pairs: list[tuple[str, Mapping | None]] = [(f"Scored: {counted_words(record)}", record)]
    if tumour_known(record):
        pairs.append(("Without the tumour region: epithelium-like cells of the whole slide", ungated))
        pairs.append(("All cells in the tumour regions", record.get("all_cells")))
        words = "The score counts cells inside the tumour region. Beside it, what the slide gives without."
    else:
        pairs.append(("All cells, of whatever kind", record.get("all_cells")))
        words = (
            "No tumour region was given. Counted are cells that look like epithelium, decided by the nucleus "
            "and never by the stain; normal glands and carcinoma in situ are among them. Draw a region to be "
            "exact."
        )
    return [_share_row(name, row) for name, row in pairs if row and row.get("n_cells")], words


def spread(
    record: Mapping, cells: pd.DataFrame, counted: np.ndarray, fields: Fields
) -> tuple[list[Row], str]:
    """Return hot spot, middle and least stained field against the whole, and the compartments.

    Empty where fewer than three fields hold enough cells.
    """
    table = fields.table
    enough = np.flatnonzero(table["counted"].to_numpy() >= LEAST_CELLS)
    if len(enough) < 3:
        return [], ""
    ranked = enough[np.argsort(fields.h_score[enough], kind="stable")]
    named = (
        ("Hot spot: the most stained field", ranked[-1]),
        ("The middle field", ranked[len(ranked) // 2]),
        ("The least stained field", ranked[0]),
    )
    rows = [_share_row("Whole", record)]
    for name, i in named:
        counts = {c: int(table[c].iat[i]) for c in CLASSES}
        rows.append(_share_row(name, {"counts": counts, "n_cells": sum(counts.values())}))
    known = cells["compartment"].astype(object).to_numpy()
    usable = cells["evaluable"].to_numpy(bool) & cells["cell_class"].notna().to_numpy(bool)
    for word in sorted(set(known[known != "unknown"])):
        classes = cells["cell_class"].astype(object).to_numpy()[usable & (known == word)]
        counts = {c: int((classes == c).sum()) for c in CLASSES}
        rows.append(_share_row(f"Compartment {_plain(word)}, all its cells", {"counts": counts}))
    quartiles = np.percentile(fields.h_score[enough], [25, 75])
    side = f"{len(enough):,} fields with {LEAST_CELLS} counted cells or more"
    return rows, f"{side}; half of them have an H-score between {quartiles[0]:.0f} and {quartiles[1]:.0f}."


def provenance_rows(record: Mapping) -> tuple[list[tuple[str, str]], str, str]:
    """Return the rows of the provenance table, the command that replays it, and all parameters as text."""
    source, slide = record.get("provenance") or {}, record.get("slide") or {}
    rows = [("Slide", str(source.get("slide", record.get("slide_id", ""))))]
    if source.get("sha256"):
        rows.append(("SHA-256", str(source["sha256"])))
    if slide.get("width_px0"):
        size = f"{slide['width_px0']:,} × {slide['height_px0']:,} px, {slide.get('vendor', '')}".rstrip(", ")
        rows.append(("Size", size))
    mpp = slide.get("mpp")
    rows.append(("Resolution", f"{mpp:g} µm/px ({slide.get('mpp_source')})" if mpp else "none in the file"))
    if slide.get("white_point"):
        white = slide["white_point"]
        rows.append(("White point", f"{', '.join(f'{v:.0f}' for v in white['rgb'])} ({white['source']})"))
    if slide.get("stain_vectors"):
        rows.append(("Stain vectors", str(slide["stain_vectors"]["source"])))
    if slide.get("tissue_mm2") is not None:
        rows.append(("Tissue", f"{slide['tissue_mm2']:.2f} mm²"))
    if source.get("versions"):
        rows.append(("Versions", ", ".join(f"{k} {v}" for k, v in source["versions"].items())))
    rows.append(("Seed", "none: nothing is random" if source.get("seed") is None else str(source["seed"])))
    parameters = source.get("parameters")
    text = json.dumps(parameters, indent=2, ensure_ascii=False) if parameters else ""
    return rows, str(source.get("command") or ""), text


def policy_notes(record: Mapping) -> list[str]:
    """Return what the policies do here, with the scores that other choices would give."""
    notes = [_sentence(note) for note in record.get("policy_notes") or []]
    literal = record.get("score_floor_1")
    if literal is not None:
        same = "the same" if literal == record.get("score") else literal
        notes.append(f"With one complete, intense cell enough for 2+ (ASCO/CAP taken literally): {same}.")
    if record.get("score_missing"):
        low, high = record["score_missing"]
        notes.append(f"With all missing cells 0 the score is {low}, with all of them 3+ it is {high}.")
    return notes


def vocabulary(record: Mapping) -> str:
    """Return where the words of the category come from; empty for a refused slide."""
    return VOCABULARY[organ_of(record)] if record.get("category") else ""


def _gates(record: Mapping) -> list[Mapping]:
    return list(record.get("gates") or [])


def _share_row(name: str, row: Mapping) -> Row:
    counts = row["counts"]
    n = sum(counts.values())
    h = 100 * (counts["1+"] + 2 * counts["2+"] + 3 * counts["3+"]) / n if n else None
    return {
        "name": name,
        "n": f"{n:,}",
        "percent": [f"{100 * counts[c] / n:.1f} %" if n else "–" for c in CLASSES],
        "h": _number(h, 0),
        "score": row.get("score") or "–",
    }


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.4f}"


def _plain_rule(rule: str) -> str:
    return rule.replace(">=", "≥")


def _sentence(words: str) -> str:
    """Return words with a capital and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")


def _plain(word: str) -> str:
    return word.replace("_", " ")
