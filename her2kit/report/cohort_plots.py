"""Figures of a cohort: slides one below the other, who lies at a line, who said what, which intervals hold.

As in ``plots``: ``ax=None`` in, ``Axes`` out; nothing is scored here. Agreement in kappas is
``agreement_plots``'.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR
from her2kit.report.cohort_report import STATES, state_of
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAD = "#a3131f"
_DARK = ("0", "3+")
"""Classes whose colour asks for white letters."""


def slides_in_rows(rows: pd.DataFrame, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw one bar a slide: percent of cells by class, with score, P(score) and state, worst first.

    Parameters
    ----------
    rows
        ``cohort.csv``, one row a slide.
    """
    rows = rows.assign(state=[state_of(row) for row in _plain(rows)])
    p = pd.to_numeric(rows["p_score"]).fillna(1.0)
    order = sorted(rows.index, key=lambda i: (STATES.index(rows["state"][i]), p[i], rows["slide_id"][i]))
    ax = new_axes(ax, (7.4, 0.75 + 0.27 * len(rows)))
    for place, row in enumerate(_plain(rows.loc[order])):
        if row["status"] == "scored":
            left = 0.0
            for name in CLASSES:
                width = float(row[f"percent_{name}"] or 0)
                ax.barh(place, width, left=left, height=0.72, color=CLASS_COLOURS[name], edgecolor="white",
                        linewidth=0.6)  # fmt: skip
                left += width
            _chip(ax, 105, place, str(row["score"]))
            ax.text(114, place, f"{_chance(row['p_score'])} %", va="center", fontsize=9, color=INK)
        else:
            ax.text(1, place, row["state"], va="center", fontsize=9, color=_BAD, fontweight="bold")
        if row["state"] == "borderline":
            ax.text(132, place, "borderline", va="center", fontsize=9, color=ACCENT, fontweight="bold")
        elif row["status"] == "scored" and row["state"] != "scored":
            remarks = f"{row.get('flags') or ''} {row.get('cautions') or ''}".split()
            words = ", ".join(w.replace("_", " ") for w in remarks if w != "control")
            ax.text(132, place, words, va="center", fontsize=8.5, color=SOFT)
    for x, words in ((105, "score"), (119, "P(score)")):
        ax.text(x, -0.85, words, ha="center", fontsize=8.5, color=SOFT)
    ax.set(yticks=range(len(rows)), yticklabels=rows.loc[order, "slide_id"], xlim=(0, 172),
           ylim=(len(rows) - 0.4, -1.2), xticks=[0, 50, 100])  # fmt: skip
    ax.set_xlabel("percent of the counted cells", loc="left")
    tidy(ax, title)
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    return ax


def deciding_shares(
    records: Sequence[Mapping[str, Any]], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw, slide by slide, the share that decides, with its intervals (slide thick, tumour thin) and line.

    Borderline slides are violet. A slide whose score hangs on no share is left out. Above 40 % the axis ends:
    no line lies there.

    Parameters
    ----------
    records
        ``score.json`` of scored slides.
    """
    found = []
    for record in records:
        sure = record.get("uncertainty") or {}
        line = next((x for x in sure.get("lines", []) if x["rule"] == sure["decided_by"]), None)
        if line is not None:
            found.append((abs(line["points"]), record, line))
    found.sort(key=lambda f: -f[0])
    ax = new_axes(ax, (7.2, 0.8 + 0.29 * max(len(found), 1)))
    for place, (_, record, line) in enumerate(found):
        colour = ACCENT if record["uncertainty"]["borderline"] else SOFT
        ax.plot(line["tumour"], [place] * 2, color=colour, linewidth=1.3, clip_on=True)
        ax.plot(line["slide"], [place] * 2, color=colour, linewidth=5.5, solid_capstyle="butt")
        ax.plot([line["line_percent"]] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=1.6)
        mark = ">" if line["percent"] > 40 else "o"
        ax.plot(min(line["percent"], 40), place, mark, color=INK, markersize=5, zorder=4, clip_on=False)
        ax.annotate(line["rule"].replace(">=", "≥"), (1.02, place), xycoords=("axes fraction", "data"),
                    va="center", fontsize=8.5, color=SOFT)  # fmt: skip
    names = [f"{record['slide_id']}   {record['score']}" for _, record, _ in found]
    ax.set(yticks=range(len(found)), yticklabels=names, xlim=(0, 40), ylim=(-0.7, len(found) - 0.3))
    ax.set_xlabel("percent of the cells that the deciding rule counts")
    tidy(ax, title)
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    return ax


def who_said_what(
    cases: pd.DataFrame, p_score: Mapping[str, float], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw each slide's score by reference, kit and readers, the least sure slides on the left.

    Parameters
    ----------
    cases
        Of a `scoring.validation.Validation`.
    p_score
        slide_id to the kit's probability of its score; a slide without one comes last.
    """
    from matplotlib.patches import Rectangle

    readers = [c for c in cases if c.startswith("reader ")]
    names = ["reference", "kit", *readers]
    order = sorted(cases.index, key=lambda i: (p_score.get(cases["slide_id"][i], 2.0), i))
    ax = new_axes(ax, (1.9 + 0.36 * len(cases), 1.5 + 0.3 * len(names)))
    for column, i in enumerate(order):
        for row, name in enumerate(names):
            value = cases[name][i]
            known = isinstance(value, str)
            colour = CLASS_COLOURS[value] if known else NOT_EVALUABLE_COLOUR
            ax.add_patch(Rectangle((column, row), 0.94, 0.9, facecolor=colour, linewidth=0))
            ink = "white" if value in _DARK else INK
            where: Any = {"ha": "center", "va": "center", "fontsize": 8.5, "color": ink}
            ax.text(column + 0.47, row + 0.46, value if known else "–", **where)
        said = {cases[name][i] for name in names if isinstance(cases[name][i], str)}
        if len(said) > 1:
            ax.plot(column + 0.47, -0.28, "v", color=ACCENT, markersize=6)
    labels = [name.removeprefix("reader ") if name != "kit" else "her2kit" for name in names]
    words = [_chance(p_score.get(cases["slide_id"][i])) for i in order]
    ax.set(xlim=(0, len(cases)), ylim=(len(names), -0.6))
    ax.set_xticks(np.arange(len(cases)) + 0.47, words)
    ax.set_yticks(np.arange(len(names)) + 0.46, labels)
    ax.set_xlabel("P(score) of her2kit, %; a mark where two do not say the same")
    tidy(ax, title)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=9)
    return ax


def intervals_that_hold(
    found: pd.DataFrame, *, share: float, words: Mapping[str, str], shown: int = 50
) -> "Figure":
    """Draw the intervals of many sections, one panel a way; those that miss the truth are red.

    Parameters
    ----------
    found
        Rows of section, way, percent, low, high (in percent), holds.
    share
        The truth, 0 to 1.
    words
        Way to the title of its panel, in order.
    shown
        Sections drawn; the share in the title is of all.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(words), figsize=(3.9 * len(words), 3.2), layout="constrained", sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    for ax, (way, title) in zip(axes[0], words.items(), strict=True):
        part = found[found["way"] == way]
        for place, row in enumerate(_plain(part.head(shown).sort_values("percent"))):
            colour = SOFT if row["holds"] else _BAD
            ax.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=1.5)
            ax.plot(row["percent"], place, ".", color=colour, markersize=4)
        ax.axvline(100 * share, color=INK, linewidth=1.6)
        ax.set(yticks=[], xlabel="percent stained")
        tidy(ax, f"{title}\nholds the truth in {part['holds'].mean():.0%} of {len(part)} sections")
        ax.spines["left"].set_visible(False)
    return figure


def _chip(ax: "Axes", x: float, y: float, score: str) -> None:
    ink = "white" if score in _DARK else INK
    box = {"facecolor": CLASS_COLOURS[score], "edgecolor": "none", "boxstyle": "round,pad=0.25"}
    ax.text(x, y, score, ha="center", va="center", fontsize=9, fontweight="bold", color=ink, bbox=box)


def _chance(p: float | None) -> str:
    return "–" if p is None else "> 99" if p > 0.995 else f"{100 * p:.0f}"


def _plain(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")
