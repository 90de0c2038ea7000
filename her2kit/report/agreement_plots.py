"""Figures of agreement: a forest of kappas beside published ones, H-scores side by side, a cross table.

``ax=None`` in, ``Axes`` out, as in ``plots``. Nothing is computed here but limits of axes.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy
from her2kit.scoring.published import PUBLISHED, Published
from her2kit.scoring.reference import KIT
from her2kit.scoring.validation import HScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def kappa_forest(
    pairs: pd.DataFrame,
    ax: "Axes | None" = None,
    *,
    published: tuple[Published, ...] = PUBLISHED,
    title: str = "",
) -> "Axes":
    """Draw the quadratic kappa of every two readers with its interval; the kit's in violet, published grey.

    Parameters
    ----------
    pairs : DataFrame
        ``pairs`` of a `scoring.validation.Validation`.
    """
    known = pairs[pairs["kappa quadratic"].notna()]
    known = known.assign(kit=known["first"] == KIT).sort_values(["kit", "kappa quadratic"])
    beside = [p for p in published if p.kappa]
    ax = new_axes(ax, (7.2, 0.9 + 0.34 * (len(known) + len(beside))))
    names: list[str] = []
    for study in beside[::-1]:
        low, high = study.kappa or (0.0, 0.0)
        ax.plot(
            [low - 0.008, high + 0.008], [len(names)] * 2, color="#7b8694", linewidth=7, solid_capstyle="butt"
        )
        names.append(f"{study.who.split(',')[0]} ({study.kappa_words})")
    for row in known.to_dict("records"):
        colour = ACCENT if row["kit"] else INK
        ax.plot(
            [row["kappa quadratic low"], row["kappa quadratic high"]],
            [len(names)] * 2,
            color=colour,
            linewidth=1.6,
        )
        ax.plot(row["kappa quadratic"], len(names), "o", color=colour, markersize=6)
        names.append(f"{row['first']} and {row['second']}, {row['n']} slides")
    lowest = min([0.0, *known["kappa quadratic low"].dropna(), *known["kappa quadratic"]])
    ax.set(
        yticks=range(len(names)), yticklabels=names, xlim=(lowest - 0.02, 1.02), ylim=(-0.7, len(names) - 0.3)
    )
    ax.set_xlabel("quadratic kappa; published: as each study gives it")
    if known.size and beside:
        ax.axhline(len(beside) - 0.5, color=SOFT, linewidth=0.8, linestyle=":")
    tidy(ax, title)
    ax.tick_params(axis="y", length=0)
    return ax


def bland_altman(scores: HScores, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw the difference of two H-scores, kit minus reader, over their mean, with limits of agreement."""
    ax = new_axes(ax, (4.6, 3.4))
    limits = scores.limits
    ax.scatter(
        (scores.theirs + scores.ours) / 2,
        scores.ours - scores.theirs,
        s=22,
        color=ACCENT,
        alpha=0.75,
        linewidths=0,
    )
    ax.axhline(0, color=SOFT, linewidth=0.8, linestyle=":")
    for value, words in ((limits.bias, "mean"), (limits.low, "lower limit"), (limits.high, "upper limit")):
        ax.axhline(
            value,
            color=INK,
            linewidth=1.4 if words == "mean" else 1.0,
            linestyle="-" if words == "mean" else "--",
        )
        ax.annotate(f"{words} {value:+.0f}", (1, value), xycoords=("axes fraction", "data"), xytext=(4, 0),
                    textcoords="offset points", va="center", fontsize=9, color=INK)  # fmt: skip
    ax.set(xlim=(-5, 305), xlabel="mean H-score of the two", ylabel=f"her2kit minus {scores.reader}")
    tidy(ax, title)
    return ax


def cross_table(matrix: pd.DataFrame, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw slides by reference (rows) and kit (columns); the diagonal is agreement."""
    ax = new_axes(ax, (4.6, 3.6))
    counts = matrix.to_numpy(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Purples", vmin=0, vmax=1, aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        ax.annotate(f"{n:.0f}", (column, row), ha="center", va="center", fontsize=11,
                    color="white" if shares[row, column] > 0.55 else INK)  # fmt: skip
    ax.set(
        xticks=range(matrix.shape[1]),
        xticklabels=matrix.columns,
        yticks=range(len(matrix)),
        yticklabels=matrix.index,
    )
    ax.set(xlabel="her2kit", ylabel="reference")
    for tick, name in zip(ax.get_yticklabels(), matrix.index, strict=True):
        tick.set_bbox({"facecolor": CLASS_COLOURS[name], "edgecolor": "none", "alpha": 0.35, "pad": 2})
    tidy(ax, title)
    ax.grid(visible=False)
    return ax
