"""Figures about classifiers: one class against the rest, a step that looks uphill, a painted slide.

As in ``plots``: ``ax=None`` in, ``Axes`` out; nothing is measured here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, TISSUE_COLOURS, TISSUES
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = dict(zip(TISSUES, ("#8A8A8A", *TISSUE_COLOURS[1:5], "#B08D57", TISSUE_COLOURS[6]), strict=True))
"""The tissues' colours for lines: glass and fat are darker than on a map."""


def against_the_rest(roc: pd.DataFrame, precision_recall: pd.DataFrame) -> "Figure":
    """Draw the ROC and the precision-recall curve of each class.

    Parameters
    ----------
    roc, precision_recall
        As `her2kit.learning.evaluate.roc_curves` and `precision_recall_curves` give them.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 2.7), layout="constrained")
    for ax, table, x, y, area in (
        (axes[0], roc, "false_positive_rate", "recall", "auc"),
        (axes[1], precision_recall, "recall", "precision", "average_precision"),
    ):
        for name, part in table.groupby("class", sort=False):
            label = f"{name} {part[area].iloc[0]:.2f}"
            colour = (COLOURS | CLASS_COLOURS).get(str(name), ACCENT)
            ax.plot(part[x], part[y], color=colour, linewidth=2, label=label)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=y)
        ax.set_xlabel(x.replace("_", " "))
        ax.spines[["top", "right"]].set_visible(False)
        title = "area under the curve" if area == "auc" else "average precision"
        ax.legend(
            frameon=False, fontsize=8, title=title, title_fontsize=8, loc="upper left", bbox_to_anchor=(1, 1)
        )
    return figure


def step_uphill(
    passes: Mapping[str, np.ndarray], height: np.ndarray, reach: float, ax: "Axes | None" = None
) -> "Axes":
    """Draw the two passes of a sharpness-aware step on a landscape.

    Parameters
    ----------
    passes
        As `her2kit.course.training_lab.two_passes` gives them.
    height
        float (n, n) loss over the square of -reach to reach; rows go up.
    """
    ax = new_axes(ax, (7.2, 3.8))
    ax.contourf(height, levels=18, cmap="Greys", alpha=0.75, extent=(-reach, reach, -reach, reach))
    start, uphill = tuple(passes["weights"]), tuple(passes["uphill"])
    ax.annotate("", uphill, start, arrowprops={"arrowstyle": "-|>", "color": "#C2182B", "linewidth": 2})
    for name, colour, words in (
        ("first", "#5a6472", "plain step"),
        ("second", ACCENT, "step with the second gradient"),
    ):
        step = -0.9 * passes[name] / np.linalg.norm(passes[name])
        ax.annotate(
            "", tuple(start + step), start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2}
        )
        ax.plot([], [], color=colour, linewidth=2, label=words)
    ax.plot([], [], color="#C2182B", linewidth=2, label="first pass: uphill by rho")
    ax.plot(*start, "o", color=INK, markersize=6)
    ax.plot(*uphill, "o", color="#C2182B", markersize=6)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="weight 1", ylabel="weight 2", aspect="equal")
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.02, 1))
    ax.spines[:].set_color(SOFT)
    return ax


def areas(
    found: Mapping[str, float], planted: Mapping[str, float], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw areas in mm2 of each tissue but background: what was found, and a mark where the truth lies."""
    names = [name for name in TISSUES[1:] if found.get(name) or planted.get(name)]
    ax = new_axes(ax, (5.2, 0.5 + 0.36 * len(names)))
    ax.barh(names, [found.get(n, 0.0) for n in names], color=[COLOURS[n] for n in names], height=0.62)
    ax.plot([planted.get(n, 0.0) for n in names], names, "|", color=INK, markersize=17, markeredgewidth=2.4,
            label="planted")  # fmt: skip
    ax.invert_yaxis()
    ax.set_xlabel("mm2")
    ax.legend(frameon=False, loc="lower right")
    tidy(ax, title)
    return ax
