"""Figures of how sure a score is and how even a slide: `ax=None` in, `Axes` out, like those of `plots`.

They draw the ``uncertainty`` entry of a record and the table of regions; nothing is computed here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES
from her2kit.report.pictures import Pictures
from her2kit.report.plots import INK, SOFT, new_axes, overview, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def chances(uncertainty: Mapping[str, Any], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw P(score) of the slide as bars, and of its tumour as outlines around them.

    Raises
    ------
    ValueError
        If no share decides, as in a biopsy.
    """
    from matplotlib.patches import Patch

    slide, tumour = uncertainty["p_score"], uncertainty["p_score_tumour"]
    if slide is None:
        raise ValueError(
            "uncertainty has no p_score: a biopsy's score hangs on a group of cells, not on a share"
        )
    ax = new_axes(ax, (6.4, 2.6))
    here, there = ([100 * p[c] for c in CLASSES] for p in (slide, tumour))
    ax.barh(CLASSES, here, color=[CLASS_COLOURS[c] for c in CLASSES], height=0.62)
    outline: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.4}
    ax.barh(CLASSES, there, height=0.8, zorder=3, **outline)
    ax.set(xlim=(0, 100), xlabel="probability of each score, %")
    means = [Patch(color=SOFT, label="this slide"), Patch(label="its tumour", **outline)]  # of any class
    ax.legend(handles=means, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    tidy(ax, title)
    ax.tick_params(axis="y", length=0, labelsize=11)
    return ax


def distances(uncertainty: Mapping[str, Any], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw, for each rule, the share found, its 95 % intervals (slide thick, tumour thin) and its line."""
    lines = list(reversed(uncertainty["lines"]))
    ax = new_axes(ax, (7, 0.7 + 0.5 * max(len(lines), 1)))
    for place, line in enumerate(lines):
        colour = CLASS_COLOURS[line["score"]]
        ax.plot(line["tumour"], [place, place], color=colour, linewidth=1.6, zorder=2)
        ax.plot(line["slide"], [place, place], color=colour, linewidth=6, solid_capstyle="butt", zorder=3)
        ax.plot(line["percent"], place, "o", color=INK, markersize=5, zorder=4)
        ax.plot([line["line_percent"]] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=1.6, zorder=5)
    ax.set(yticks=range(len(lines)), xlim=(0, 100), xlabel="percent of the counted cells")
    ax.set_yticklabels([f"{line['rule'].replace('>=', '≥')}   {line['score']}" for line in lines])
    tidy(ax, title)
    ax.tick_params(axis="y", length=0)
    return ax


def region_map(
    regions: pd.DataFrame,
    pictures: Pictures,
    ax: "Axes | None" = None,
    *,
    kind: str = "square",
    title: str = "",
) -> "Axes":
    """Draw the regions of one kind (``square`` or ``component``) in the colours of their scores.

    Regions without a score, as in a biopsy, are coloured by their H-score's class.
    """
    from matplotlib.patches import Rectangle

    ax = overview(pictures, ax, title=title)
    for row in regions[regions["kind"] == kind].to_dict("records"):
        h = row["h_score_membrane_class"]
        known = isinstance(row["score"], str)
        name = row["score"] if known else CLASSES[round(h / 100)]
        colour, letters = CLASS_COLOURS[name], "white" if name in ("0", "3+") else INK
        corner, size = (row["x_px0"], row["y_px0"]), (row["width_px0"], row["height_px0"])
        ax.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor="white", linewidth=1, alpha=0.75))
        ax.annotate(row["score"] if known else f"{h:.0f}", (corner[0] + size[0] / 2, corner[1] + size[1] / 2),
                    ha="center", va="center", fontsize=8, color=letters)  # fmt: skip
    ax.set_xlabel("score of each region as if it were the slide", color=SOFT, fontsize=9)
    return ax
