"""Figures about graded tiles: how far confidence can be trusted, what was misread, what a factor changes.

As in ``plots``: `ax=None` in, `Axes` out; nothing is measured here, and nothing is shown or saved.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reliability(bins: pd.DataFrame, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw accuracy against confidence, a dot a bin, as large as it has samples; on the line both agree.

    Parameters
    ----------
    bins
        Of `her2kit.learning.evaluate.calibration`.
    """
    ax = new_axes(ax, (3.6, 3.4))
    ax.plot([0, 1], [0, 1], color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    ax.vlines(bins["confidence"], bins["confidence"], bins["accuracy"], color=ACCENT, alpha=0.45, linewidth=2)
    ax.scatter(
        bins["confidence"], bins["accuracy"], s=24 + 260 * bins["n"] / bins["n"].sum(), color=ACCENT, zorder=3
    )
    ax.annotate("too modest", (0.06, 0.9), fontsize=9, color=SOFT)
    ax.annotate("too sure", (0.72, 0.06), fontsize=9, color=SOFT)
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="confidence", ylabel="accuracy", aspect="equal")
    tidy(ax, title)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(True)
    return ax


def accuracies(
    table: pd.DataFrame, ax: "Axes | None" = None, *, chance: float | None = None, title: str = "",
    xlabel: str = "accuracy on tiles of new slides",
) -> "Axes":  # fmt: skip
    """Draw one figure of several models, a dot and an interval each.

    Parameters
    ----------
    table
        Index: what to call them; ``value``, ``low``, ``high``, from 0 to 1.
    chance
        What naming the commonest class would give, drawn as a dotted line.
    """
    ax = new_axes(ax, (6.4, 0.8 + 0.42 * len(table)))
    place = np.arange(len(table))[::-1]
    ax.hlines(place, table["low"], table["high"], color=ACCENT, linewidth=2)
    ax.plot(table["value"], place, "o", color=ACCENT, markersize=8)
    for y, value, high in zip(place, table["value"], table["high"], strict=True):
        right = value if np.isnan(high) else high
        ax.annotate(f"{value:.2f}", (right, y), xytext=(7, 0), textcoords="offset points", va="center",
                    fontsize=9.5, color=INK)  # fmt: skip
    if chance is not None:
        ax.axvline(chance, color=SOFT, linewidth=1.2, linestyle=":")
        ax.annotate("always the commonest", (chance, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                    ha="center", textcoords="offset points", fontsize=8.5, color=SOFT)  # fmt: skip
    ax.set_yticks(place, [str(name) for name in table.index])
    ax.set(xlim=(0, 1.1), ylim=(-0.6, len(table) - 0.4), xlabel=xlabel)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    tidy(ax, title, pad=16)
    ax.tick_params(axis="y", length=0, labelsize=10)
    return ax


def gallery(
    pictures: Sequence[np.ndarray],
    table: pd.DataFrame,
    *,
    maps: Sequence[np.ndarray] | None = None,
    columns: int = 6,
    width: float = 8.0,
) -> "Figure":
    """Draw tiles with what they are and what was said of them, in the colours of the classes.

    Parameters
    ----------
    pictures
        uint8 (h, w, 3) each, any height and width.
    table
        One row a picture: ``truth``, ``predicted``, ``probability``; of `her2kit.learning.evaluate.mistakes`.
    maps
        Where the network looked, uint8 (h, w, 3) overlays or float (h, w) of 0 to 1, one a picture; drawn
        under its tile.
    """
    import matplotlib.pyplot as plt

    if len(pictures) != len(table) or (maps is not None and len(maps) != len(table)):
        n = len(pictures) if maps is None else f"{len(pictures)} and {len(maps)}"
        raise ValueError(f"{n} pictures or maps for {len(table)} rows; give one a row")
    across, deep = min(columns, max(1, len(table))), 1 if maps is None else 2
    down = -(-max(1, len(table)) // across)
    side = width / columns
    wide = pictures[0].shape[1] / pictures[0].shape[0] if len(pictures) else 1.0
    figure, axes = plt.subplots(
        down * deep, across, squeeze=False, layout="constrained",
        figsize=(side * across, down * (deep * side / wide + 0.34)),
    )  # fmt: skip
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for k, (picture, row) in enumerate(zip(pictures, table.itertuples(), strict=True)):
        top = axes[k // across * deep, k % across]
        top.imshow(picture, cmap="gray", interpolation="antialiased")
        top.set_title(f"{row.truth} read as {row.predicted}, {row.probability:.2f}", fontsize=8, color=INK)
        for edge in ("left", "bottom"):
            top.spines[edge].set(visible=True, linewidth=3)
        top.spines["left"].set_color(CLASS_COLOURS.get(str(row.truth), SOFT))
        top.spines["bottom"].set_color(CLASS_COLOURS.get(str(row.predicted), SOFT))
        if maps is not None:
            axes[k // across * deep + 1, k % across].imshow(maps[k], cmap="inferno", vmin=0, vmax=1)
    return figure


def effects(table: pd.DataFrame, ax: "Axes | None" = None, *, xlabel: str = "", title: str = "") -> "Axes":
    """Draw what each level of each factor changes against its first level, with the interval.

    Parameters
    ----------
    table
        Of `her2kit.course.effects.effects_of`: ``factor``, ``level``, ``effect``, ``low``, ``high``,
        ``reference``, ``n``.
    """
    groups = list(table.groupby("factor", sort=False))
    rows = sum(len(part) + 1 for _, part in groups)
    ax = new_axes(ax, (7, 0.7 + 0.27 * rows))
    ax.axvline(0, color=SOFT, linewidth=1.2)
    y, places, names = 0, [], []
    for factor, part in groups:
        ax.annotate(str(factor), (0, y), xycoords=("axes fraction", "data"), xytext=(-8, 0), ha="right",
                    textcoords="offset points", va="center", fontweight="bold", color=INK)  # fmt: skip
        for row in part.itertuples():
            y -= 1
            places.append(y)
            names.append(f"{row.level}  ({row.n})")
            if row.reference:
                ax.plot(0, y, "|", color=SOFT, markersize=11, markeredgewidth=2)
                continue
            sure = row.low > 0 or row.high < 0
            ax.hlines(y, row.low, row.high, color=ACCENT if sure else SOFT, linewidth=2)
            ax.plot(row.effect, y, "o", color=ACCENT if sure else SOFT, markersize=7)
            ax.annotate(f"{row.effect:+.3f}", (1.01, y), xycoords=("axes fraction", "data"), va="center",
                        fontsize=9, color=INK)  # fmt: skip
        y -= 1
    ax.set_yticks(places, names)
    ax.set(ylim=(y + 0.5, 0.7), xlabel=xlabel)
    tidy(ax, title)
    ax.tick_params(axis="y", length=0)
    return ax
