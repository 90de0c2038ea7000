"""The report of a validation: one HTML file with a laboratory's cases against its own readings.

Tables come from ``scoring.validation``; this writes them down, with what was published beside them, and links
the report of every slide on which kit and laboratory differ. The same input gives the same bytes.
"""

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import pandas as pd

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.agreement_plots import bland_altman, kappa_forest
from her2kit.report.page import write_page
from her2kit.scoring.published import PUBLISHED
from her2kit.scoring.reference import KIT, REFERENCE
from her2kit.scoring.validation import FEW_CASES, Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "agreement": "Agreement",
    "agreement, refused and failed counted as wrong": "Agreement, refused and failed counted as wrong",
    "within one": "Within one category",
    "kappa linear": "Kappa, linear weights",
    "kappa quadratic": "Kappa, quadratic weights",
    "all readers say the same": "All readers say the same",
}
"""What the report calls a measure; cuts are put in words by `_measure`."""
_MOST_SLIDES = 500
"""Rows of the list of differences; all are in validation_cases.csv."""


def write_validation_report(
    path: str | os.PathLike,
    found: Validation,
    provenance: Mapping[str, str],
    *,
    reports: str = "{}/report.html",
) -> Path:
    """Write the report and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write the HTML.
    found : Validation
        What was compared.
    provenance : Mapping
        Name and words of each line of the last section: command, versions, seed.
    reports : str
        Where a slide's report lies, seen from `path`; ``{}`` stands for its slide_id.
    """
    from markupsafe import Markup

    path = Path(path)
    table = found.table.set_index("measure")
    apart = found.cases[found.cases["apart"].abs() > 0]
    apart = apart.reindex(apart["apart"].abs().sort_values(ascending=False, kind="stable").index)
    refused = found.cases[found.cases["kit"].isna() & found.cases["reference"].notna()]
    flow = dict(found.flow)
    return write_page(
        path,
        "validation_report",
        flow=found.flow,
        compared=flow["compared"],
        few=flow["compared"] < FEW_CASES,
        few_cases=FEW_CASES,
        patients=flow["patients"],
        reference_words=found.reference_words,
        lead=[_fact(table, "agreement"), _fact(table, "kappa quadratic"), _fact(table, "within one")],
        matrix=_matrix(found.matrix),
        columns=list(found.matrix.columns),
        table=[_line(row) for row in found.table.to_dict("records")],
        readers=[_line(row) for row in found.readers.to_dict("records")],
        readers_words=_range_words(found.pairs),
        pairs=[_pair(row) for row in found.pairs.to_dict("records")],
        forest=Markup(_svg(kappa_forest(found.pairs))) if len(found.pairs) else "",
        h_scores=[
            {
                "reader": h.reader,
                "words": f"The kit reads {h.limits.bias:+.0f} on average; 95 % of differences lie between "
                f"{h.limits.low:+.0f} and {h.limits.high:+.0f}. ICC {_value('icc', h.icc.estimate)} "
                f"({_value('icc', h.icc.low)} to {_value('icc', h.icc.high)}), {h.limits.n} slides.",
                "figure": Markup(_svg(bland_altman(h))),
            }
            for h in found.h_scores
        ],
        apart=[_slide(row, reports) for row in apart.head(_MOST_SLIDES).to_dict("records")],
        n_apart=len(apart),
        refused=[_slide(row, reports) for row in refused.head(_MOST_SLIDES).to_dict("records")],
        published=[(p.who, p.found.replace(" %", "\u00a0%"), p.source) for p in PUBLISHED],
        provenance=list(provenance.items()),
    )


def _measure(name: str) -> str:
    kind, _, which = name.partition(" ")
    if kind in ("positive", "negative") and which:
        cut = f"{which.replace('/', ', ')} against the rest"
        return f"{'Positive' if kind == 'positive' else 'Negative'} agreement, {cut}"
    return NAMES.get(name, name)


def _value(name: str, value: float) -> str:
    """Return shares in percent, everything else with two decimals."""
    if math.isnan(value):
        return "–"
    if "kappa" in name or "alpha" in name or name == "icc":
        return f"{value:.2f}"
    return f"{100 * value:.1f}\u00a0%"


def _line(row: Mapping[Any, Any]) -> dict[str, str]:
    name = row["measure"]
    between = "–" if math.isnan(row["low"]) else f"{_value(name, row['low'])} to {_value(name, row['high'])}"
    return {
        "name": _measure(name),
        "value": _value(name, row["value"]),
        "between": between,
        "n": f"{row['n']:,}",
    }


def _fact(table: pd.DataFrame, name: str) -> dict[str, str]:
    return _line({"measure": name, **table.loc[name].to_dict()})


def _pair(row: Mapping[Any, Any]) -> dict[str, Any]:
    out = {"first": row["first"], "second": row["second"], "n": f"{row['n']:,}", "kit": row["first"] == KIT}
    for short, name in (
        ("agreement", "agreement"),
        ("linear", "kappa linear"),
        ("quadratic", "kappa quadratic"),
    ):
        line = _line(
            {
                "measure": name,
                "value": row[name],
                "low": row[f"{name} low"],
                "high": row[f"{name} high"],
                "n": 0,
            }
        )
        out[short] = f"{line['value']} ({line['between']})"
    return out


def _range_words(pairs: pd.DataFrame) -> str:
    """Return where the kit stands among the readers, in a sentence or two."""
    if not len(pairs):
        return ""
    known = pairs[pairs["kappa quadratic"].notna()]
    people = known[~known[["first", "second"]].isin([KIT, REFERENCE]).any(axis=1)]["kappa quadratic"]
    kit = known[(known["first"] == KIT) & (known["second"] != REFERENCE)]["kappa quadratic"]

    def words(values: pd.Series) -> str:
        low, high = f"{values.min():.2f}", f"{values.max():.2f}"
        return low if low == high else f"{low} to {high}"

    if len(people) and len(kit):
        return (
            f"Quadratic kappa between readers: {words(people)}. Between the kit and a reader: {words(kit)}."
        )
    return ""


def _matrix(matrix: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for name, row in matrix.iterrows():
        total = int(row.sum())
        cells = [
            {"n": int(n), "share": round(100 * n / total) if total else 0, "right": column == name}
            for column, n in row.items()
        ]
        rows.append({"name": name, "colour": CLASS_COLOURS[str(name)], "cells": cells, "total": total})
    return rows


def _slide(row: Mapping[Any, Any], reports: str) -> dict[str, Any]:
    readers = [
        f"{n.removeprefix('reader ')} {v}" for n, v in row.items() if str(n).startswith("reader ") and v
    ]
    return {
        "slide_id": row["slide_id"],
        "href": None if row["status"] == "failed" else reports.format(quote(str(row["slide_id"]))),
        "reference": row["reference"],
        "kit": row["kit"] or str(row["status"]).replace("_", " "),
        "far": row["apart"] is not None and abs(row["apart"]) > 1,
        "readers": ", ".join(readers),
        "flags": str(row["flags"]).replace("_", " "),
    }


def _svg(ax: "Axes") -> str:
    """Return a figure as SVG to stand in a page; the same figure gives the same text."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    figure, held = cast("Figure", ax.get_figure(root=True)), io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "her2kit", "svg.fonttype": "none"}):
        figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None}, transparent=False)
    plt.close(figure)
    text = held.getvalue()
    return text[text.index("<svg") :]
