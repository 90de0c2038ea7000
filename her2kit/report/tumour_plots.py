"""Figures of tumour maps: over the slide with the longest diameter, and predicted against true diameters.

As in ``plots``: arrays in, `Axes` out; nothing is measured here, and nothing is shown or saved.
"""

from typing import TYPE_CHECKING

import numpy as np

from her2kit.regions.map_features import MajorAxis
from her2kit.report.plots import INK, SOFT, new_axes, scale_bar, tidy
from her2kit.report.tumour_section import THRESHOLD, TUMOUR_RGB, paint

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def map_over_slide(
    picture: np.ndarray,
    probability: np.ndarray,
    axis: MajorAxis | None = None,
    ax: "Axes | None" = None,
    *,
    um_per_px: float,
    truth: np.ndarray | None = None,
    title: str = "",
) -> "Axes":
    """Draw a tumour map over its slide, with the outline at 0.5, the longest diameter and a scale bar.

    Parameters
    ----------
    picture
        uint8 RGB (h, w, 3), the whole slide at any scale.
    probability
        uint8 (h, w), 255 times the probability of tumour.
    axis
        From `her2kit.regions.map_features.major_axis` of this map.
    um_per_px
        Micrometres per pixel of the map.
    truth
        bool (h, w) of the map: a reader's outline, drawn dashed.
    """
    height, width = probability.shape
    ax = new_axes(ax, (5.2, 5.2 * height / width))
    ax.imshow(paint(picture, probability), extent=(0, width, height, 0), interpolation="antialiased")
    centres = np.arange(width) + 0.5, np.arange(height) + 0.5
    if (probability > 255 * THRESHOLD).any():
        level = [255 * THRESHOLD]
        ax.contour(*centres, probability, level, colors=[np.array(TUMOUR_RGB) / 320], linewidths=1.4)
    if truth is not None and truth.any():
        ax.contour(*centres, truth, [0.5], colors=[INK], linewidths=1.0, linestyles="dashed")
    if axis is not None and axis.ends_px is not None:
        x, y = np.array(axis.ends_px).T
        for colour, thick in (("white", 4.0), (INK, 1.8)):
            ax.plot(x, y, color=colour, linewidth=thick, marker="o", markersize=1.6 * thick)
        words = f"{axis.length_um / 1000:.2f} mm" + (" or more" if axis.touches_border else "")
        ax.annotate(words, (x.mean(), y.min()), xytext=(0, 8), textcoords="offset points", ha="center",
                    fontsize=9.5, color=INK, fontweight="bold",
                    bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none",
                          "alpha": 0.85})  # fmt: skip
    scale_bar(ax, (width, height), um_per_px)
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    ax.set_title(title, loc="left", color=INK, fontsize=10.5)
    ax.spines[:].set_visible(False)
    return ax


def against_truth(
    true_um: np.ndarray,
    said_um: np.ndarray,
    ax: "Axes | None" = None,
    *,
    within: float = 0.05,
    title: str = "",
) -> "Axes":
    """Draw said against true diameters of tumour slides, in mm; errors up to ``within`` lie in the band."""
    ax = new_axes(ax, (4.4, 4.2))
    true, said = (np.asarray(v, float) / 1000 for v in (true_um, said_um))
    right = np.abs(said / true - 1) <= within
    top = 1.05 * float(max(true.max(initial=1.0), said.max(initial=1.0)))
    line = np.array([0, top])
    ax.fill_between(line, line * (1 - within), line * (1 + within), color=SOFT, alpha=0.18, linewidth=0)
    colour = tuple(np.array(TUMOUR_RGB) / 255)
    for which, face, name in ((right, colour, "within"), (~right, "white", "beyond")):
        ax.scatter(true[which], said[which], s=26, facecolor=face, edgecolor=colour, linewidth=1.1,
                   label=f"{name} {100 * within:g} %: {int(which.sum())}", zorder=3)  # fmt: skip
    ax.set(xlim=(0, top), ylim=(0, top), xlabel="true longest diameter, mm", ylabel="from the map, mm")
    ax.legend(frameon=False, loc="upper left", fontsize=9)
    tidy(ax, title)
    return ax
