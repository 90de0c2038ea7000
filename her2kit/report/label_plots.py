"""Figures about labels: how they are wrong, in which order errors are found, what a review gains.

As in ``plots``: ``ax=None`` in, ``Axes`` out; nothing is measured here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ORDERS = (ACCENT, "#c98a1b", "#1c7c7d", SOFT)


def noise_matrices(matrices: Mapping[str, np.ndarray]) -> "Figure":
    """Draw noise matrices side by side: true class down, label across, shares of each row in per cent.

    Parameters
    ----------
    matrices
        Title to float (4, 4).
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    wrong = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#C2182B"])
    n = len(matrices)
    figure, axes = plt.subplots(1, n, figsize=(0.5 + 2.15 * n, 2.45), layout="constrained", squeeze=False)
    for k, (ax, (title, matrix)) in enumerate(zip(axes[0], matrices.items(), strict=True)):
        off = np.array(matrix, float)
        np.fill_diagonal(off, 0.0)
        ax.imshow(off, cmap=wrong, vmin=0, vmax=0.8)
        for row, column in np.ndindex(off.shape):
            share = matrix[row][column]
            dark = row != column and share > 0.4
            weight = "bold" if row == column else "normal"
            ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=9.5,
                    color="white" if dark else INK, fontweight=weight)  # fmt: skip
        for at, name in enumerate(CLASSES[: len(off)]):
            ax.add_patch(
                Rectangle((at - 0.5, -0.66), 1, 0.12, color=CLASS_COLOURS[name], clip_on=False, linewidth=0)
            )
        ax.set_xticks(range(len(off)), CLASSES[: len(off)])
        ax.set_yticks(range(len(off)), CLASSES[: len(off)] if k == 0 else [""] * len(off))
        ax.set_xlabel("label")
        if k == 0:
            ax.set_ylabel("true class")
        ax.tick_params(length=0, colors=INK, labelsize=10)
        ax.spines[:].set_visible(False)
        ax.set_title(title, loc="left", color=INK, fontsize=10.5, pad=12)
    return figure


def errors_found(
    orders: Mapping[str, np.ndarray], wrong: np.ndarray, ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw the share of the wrong labels that a review has found against the share of cells reviewed.

    Parameters
    ----------
    orders
        Name to an order of all cells, int (n,).
    wrong
        bool (n,).
    """
    ax = new_axes(ax, (4.4, 2.6))
    n, all_wrong = len(wrong), max(int(wrong.sum()), 1)
    share = np.arange(n + 1) / n
    ax.plot(
        [0, all_wrong / n, 1],
        [0, 1, 1],
        color=SOFT,
        linestyle=":",
        linewidth=1.6,
        label="no order finds more",
    )
    for (name, order), colour in zip(orders.items(), _ORDERS, strict=False):
        found = np.concatenate([[0], np.cumsum(wrong[order])]) / all_wrong
        ax.plot(share, found, color=colour, linewidth=2.2, label=name)
    ax.axvline(0.1, color="#c9ced6", linewidth=1, zorder=0)
    ax.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="share of the cells reviewed",
        ylabel="share of wrong labels found",
    )
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(ax, title)
    ax.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    return ax


def review_gains(curve: pd.DataFrame, scores: Mapping[str, str]) -> "Figure":
    """Draw figures of merit against the number of cells reviewed, one panel a score, one line an order.

    Parameters
    ----------
    curve
        Of `labels.simulated_readers.review_curve`.
    scores
        Column to the words above its panel.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(scores), figsize=(3.5 * len(scores), 2.6), layout="constrained", squeeze=False, sharey=True
    )
    for ax, (score, words) in zip(axes[0], scores.items(), strict=True):
        for (name, part), colour in zip(curve.groupby("order", sort=False), _ORDERS, strict=False):
            ax.plot(part["reviewed"], part[score], "o-", color=colour, linewidth=2, markersize=4, label=name)
        ax.axhline(curve[score].iloc[0], color=SOFT, linestyle=":", linewidth=1.4)
        ax.set_xlabel("cells reviewed")
        tidy(ax, words)
        ax.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    axes[0][0].set_ylabel("macro F1")
    axes[0][-1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure
