"""Figures about detectors of cells: what they see, how sure they are, what it costs in false points.

As in ``plots``: ``ax=None`` in, ``Axes`` out; nothing is measured here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {**{str(name): colour for name, colour in CLASS_COLOURS.items()}, "other": "#9AA3AE"}
LINES = (ACCENT, "#c98a1b", "#1c7c7d", SOFT)


def boxes_on_picture(
    pixels: np.ndarray,
    boxes: np.ndarray,
    class_names: Sequence[str],
    ax: "Axes | None" = None,
    *,
    title: str = "",
    legend: bool = False,
) -> "Axes":
    """Draw boxes on a picture, coloured by class; one class alone is drawn in ink.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3).
    boxes
        float (n, 5): class number, centre x and y, width, height, in pixels.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Patch, Rectangle

    ax = new_axes(ax, (4, 4))
    ax.imshow(pixels, interpolation="nearest")
    names = [str(name) for name in class_names]
    for number, name in enumerate(names):
        part = boxes[boxes[:, 0] == number]
        corners = [Rectangle((x - w / 2, y - h / 2), w, h) for _, x, y, w, h in part]
        colour = COLOURS.get(name, INK)
        ax.add_collection(PatchCollection(corners, facecolor="none", edgecolor="white", linewidth=2.2))
        ax.add_collection(PatchCollection(corners, facecolor="none", edgecolor=colour, linewidth=1.3))
    if legend:
        ax.legend(
            handles=[Patch(facecolor=COLOURS.get(n, INK), label=n) for n in names], frameon=False, fontsize=9,
            loc="upper left", bbox_to_anchor=(1, 1),
        )  # fmt: skip
    ax.set(xlim=(-0.5, pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=10.5)
    return ax


def pictures_in_row(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> "Figure":
    """Draw pictures of one size side by side, each with a title."""
    import matplotlib.pyplot as plt

    n = len(pictures)
    figure, axes = plt.subplots(1, n, figsize=(1.3 * n, 1.6), layout="constrained", squeeze=False)
    for ax, picture, title in zip(axes[0], pictures, titles, strict=True):
        ax.imshow(picture, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(title, loc="left", color=INK, fontsize=10)
    return figure


def confidence_sweep(table: pd.DataFrame, ax: "Axes | None" = None, *, at: float | None = None) -> "Axes":
    """Draw precision, recall and F1 of points against the confidence, with the one that is kept.

    Parameters
    ----------
    table
        As `her2kit.learning.point_evaluation.sweep` gives it.
    """
    ax = new_axes(ax, (4.2, 2.8))
    for name, colour in (("precision", "#1c7c7d"), ("recall", "#c98a1b"), ("f1", ACCENT)):
        ax.plot(table.index, table[name], color=colour, linewidth=2, label="F1" if name == "f1" else name)
    if at is not None:
        ax.axvline(at, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="least confidence")
    return _tidy(ax, legend=True)


def froc_curves(curves: Mapping[str, pd.DataFrame], ax: "Axes | None" = None) -> "Axes":
    """Draw recall against false points per mm2, one line a detector (`point_evaluation.froc`)."""
    ax = new_axes(ax, (4.2, 2.8))
    for (name, table), colour in zip(curves.items(), LINES * 3, strict=False):
        ax.plot(table["false_per_mm2"], table["recall"], color=colour, linewidth=2, marker="o", markersize=3,
                label=name)  # fmt: skip
    ax.set(ylim=(0, 1.02), xlabel="false points per mm²", ylabel="recall")
    ax.set_xlim(left=0)
    return _tidy(ax, legend=len(curves) > 1)


def f1_bars(table: pd.DataFrame, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw F1 of each class in groups, one bar a row of the table.

    Parameters
    ----------
    table
        Rows are ways to grade, columns classes, values F1.
    """
    ax = new_axes(ax, (8, 2.7))
    n, place = len(table), np.arange(table.shape[1])
    for k, (name, row) in enumerate(table.iterrows()):
        at = place + (k - (n - 1) / 2) * 0.8 / n
        bars = ax.bar(at, row, width=0.74 / n, color=LINES[k % len(LINES)], label=str(name), zorder=2)
        ax.bar_label(bars, [f"{v:.2f}" for v in row], fontsize=8, color=INK, padding=1)
    ax.set_xticks(place, [str(c) for c in table.columns])
    ax.set(ylim=(0, 1.1), ylabel="F1")
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    _tidy(ax, legend=False)
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def training_curves(table: pd.DataFrame, best_epoch: int) -> "Figure":
    """Draw the loss, and F1 of points and macro-F1 of classes on the validation squares, by epoch."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    axes[0].plot(table["epoch"], table["train_loss"], color=SOFT, linewidth=2, label="training, changed")
    axes[0].plot(table["epoch"], table["val_loss"], color=ACCENT, linewidth=2, label="validation")
    axes[1].plot(table["epoch"], table["val_f1"], color="#1c7c7d", linewidth=2, label="F1 of points")
    axes[1].plot(
        table["epoch"], table["val_macro_f1"], color=ACCENT, linewidth=2, label="macro-F1 of classes"
    )
    axes[0].set_yscale("log")  # BatchNorm's running means lag behind at first, and validation leaps
    axes[1].set_ylim(0, 1.02)
    for ax, name in zip(axes, ("loss", "F1"), strict=True):
        ax.axvline(best_epoch, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.set(xlabel="epoch", ylabel=name)
        _tidy(ax, legend=True)
    return figure


def _tidy(ax: "Axes", *, legend: bool) -> "Axes":
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(colors=INK)
    if legend:
        ax.legend(frameon=False, fontsize=9)
    return ax
