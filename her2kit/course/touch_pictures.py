"""What the sliders show: stain as two arrows, cells around the 10 % line, points that were found or missed.

As in ``report.plots``: ``ax=None`` in, ``Axes`` out; nothing is measured here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from her2kit.cells.table import CLASS_COLOURS, CLASSES
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes
from her2kit.stain.separation import StainVectors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOUND, MISSED, INVENTED = "#1c7c7d", ACCENT, INK
PALE = "#dfe4ea"
_ARROWS = {"hematoxylin": "#33518f", "dab": "#8a4b12"}


def od_plane(
    od: np.ndarray, colours: np.ndarray, vectors: StainVectors, ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw pixels by their red and blue optical density, in their own colours, with both stain vectors.

    Parameters
    ----------
    od
        float (n, 3), OD in R, G, B.
    colours
        uint8 (n, 3), the pixels themselves.
    """
    ax = new_axes(ax, (3, 3))
    ax.scatter(od[:, 0], od[:, 2], c=colours / 255.0, s=7, linewidths=0)
    for name, vector in (("hematoxylin", vectors.hematoxylin), ("dab", vectors.dab)):
        red, _, blue = np.array(vector) * 0.4 / np.hypot(vector[0], vector[2])
        arrow = {"arrowstyle": "-|>", "color": _ARROWS[name], "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (red, blue), (0, 0), arrowprops=arrow)
        ax.annotate("DAB" if name == "dab" else "blue", (red, blue), xytext=(3, 2), fontsize=9,
                    textcoords="offset points", color=_ARROWS[name])  # fmt: skip
    ax.set(xlim=(-0.03, 0.48), ylim=(-0.03, 0.48), aspect="equal", xticks=[0, 0.4], yticks=[0, 0.4])
    ax.set_xlabel("OD, red", fontsize=9, color=INK, labelpad=1)
    ax.set_ylabel("OD, blue", fontsize=9, color=INK, labelpad=1)
    ax.tick_params(colors=INK, labelsize=8.5)
    ax.spines[["top", "right"]].set_visible(False)
    return _titled(ax, title)


def stain_map(
    plane: np.ndarray,
    ax: "Axes | None" = None,
    *,
    colours: str = "YlOrBr",
    line: float = 0.0,
    highest: float = 0.6,
    title: str = "",
) -> "Axes":
    """Draw the amount of one stain, float (h, w) in OD, up to ``highest``; what is below ``line`` in grey."""
    ax = new_axes(ax, (3, 3))
    ax.imshow(plane, cmap="Greys", vmin=0, vmax=3 * highest, interpolation="nearest")
    over = np.ma.masked_less(plane, line) if line else plane
    ax.imshow(over, cmap=colours, vmin=0, vmax=highest, interpolation="nearest")
    return _titled(_bare(ax), title)


def points_on_picture(
    pixels: np.ndarray,
    found: np.ndarray,
    missed: np.ndarray,
    invented: np.ndarray,
    ax: "Axes | None" = None,
    *,
    radius_px: float,
    title: str = "",
) -> "Axes":
    """Draw what a detector found (ring), missed (dashed ring) and invented (cross) on a picture.

    Parameters
    ----------
    found, missed, invented
        float (n, 2): x and y in pixels of the picture.
    radius_px
        Of the rings: the largest distance of a hit.
    """
    from matplotlib.collections import EllipseCollection
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    ax = new_axes(ax, (4, 4))
    ax.imshow(pixels, extent=(0, pixels.shape[1], pixels.shape[0], 0), interpolation="antialiased")
    halo = [withStroke(linewidth=3.4, foreground="white")]
    for points, colour, style in ((found, FOUND, "-"), (missed, MISSED, (0, (2, 1.4)))):
        if len(points):
            side = np.full(len(points), 2 * radius_px)
            rings = EllipseCollection(side, side, np.zeros(len(points)), units="x", offsets=points,
                                      transOffset=ax.transData, facecolor="none", edgecolor=colour,
                                      linewidth=1.7, linestyle=style, path_effects=halo)  # fmt: skip
            ax.add_collection(rings)
    ax.plot(*invented.T, "x", color=INVENTED, markersize=6, markeredgewidth=1.8, path_effects=halo)
    ring: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.7}
    cross: dict[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.8}
    marks = [
        Line2D([], [], linestyle="", markeredgecolor=FOUND, label="found", **ring),
        Line2D([], [], color=MISSED, linewidth=1.7, linestyle=(0, (2, 1.4)), label="missed"),
        Line2D([], [], linestyle="", color=INVENTED, label="invented", **cross),
    ]
    ax.legend(handles=marks, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=9,
              columnspacing=1, handlelength=1.2, handletextpad=0.4, borderaxespad=0.3)  # fmt: skip
    ax.set(xlim=(0, pixels.shape[1]), ylim=(pixels.shape[0], 0))
    return _titled(_bare(ax), title)


def tenth_of_cells(
    n: int, intense: int, ax: "Axes | None" = None, *, columns: int = 20, title: str = ""
) -> "Axes":
    """Draw ``n`` cells, row by row, ``intense`` of them complete and intense, with a line after a tenth."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    ax = new_axes(ax, (3, 3))
    rows, tenth = -(-n // columns), n / 10
    boxes = [Rectangle((k % columns + 0.1, k // columns + 0.1), 0.8, 0.8) for k in range(n)]
    colour = [CLASS_COLOURS["3+"]] * intense + [PALE] * (n - intense)
    ax.add_collection(PatchCollection(boxes, facecolor=colour, edgecolor="none"))
    whole, rest = int(tenth // columns), tenth % columns
    ax.plot([0, rest, rest, columns], [whole + (rest > 0)] * 2 + [whole] * 2, color=INK, linewidth=2)
    ax.annotate("10 %", (columns, whole), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9,
                color=INK, fontweight="bold", annotation_clip=False)  # fmt: skip
    ax.set(xlim=(-0.2, columns + 0.2), ylim=(rows + 0.2, -0.2), aspect="equal")
    return _titled(_bare(ax), title)


def verdicts(scores: Mapping[str, tuple[str, str]], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw one line a guideline: its score in the colour of the class, its name and the rule that fired.

    Parameters
    ----------
    scores
        Name of the guideline to score and rule.
    """
    from matplotlib.patches import FancyBboxPatch

    ax = new_axes(ax, (4, 2))
    for place, (name, (score, rule)) in enumerate(scores.items()):
        ax.add_patch(FancyBboxPatch((0.05, place + 0.2), 0.7, 0.6, boxstyle="round,pad=0.04", linewidth=0,
                                    facecolor=CLASS_COLOURS[score]))  # fmt: skip
        ink = INK if score in ("1+", "2+") else "white"
        ax.text(0.4, place + 0.5, score, ha="center", va="center", fontsize=12, fontweight="bold", color=ink)
        ax.text(1.0, place + 0.36, name, va="center", fontsize=9, color=INK)
        ax.text(1.0, place + 0.68, rule, va="center", fontsize=9, color=SOFT)
    ax.set(xlim=(0, 4), ylim=(len(scores), 0))
    return _titled(_bare(ax), title)


def shares_of_classes(counts: Mapping[str, int], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw the percent of cells in each class as upright bars, with the 10 % line."""
    ax = new_axes(ax, (3, 2.4))
    n = max(1, sum(counts[c] for c in CLASSES))
    percent = [100 * counts[c] / n for c in CLASSES]
    ax.bar(CLASSES, percent, color=[CLASS_COLOURS[c] for c in CLASSES], width=0.7)
    ax.axhline(10, color=INK, linewidth=1.4)
    for place, value in enumerate(percent):
        ax.annotate(f"{value:.1f}", (place, max(value, 10)), xytext=(0, 2), textcoords="offset points",
                    ha="center", fontsize=9, color=INK)  # fmt: skip
    ax.set(ylim=(0, 112), yticks=[0, 10, 50, 100])
    ax.set_ylabel("% of cells", fontsize=9, color=INK, labelpad=1)
    ax.tick_params(colors=INK, labelsize=9, length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return _titled(ax, title)


def _bare(ax: "Axes") -> "Axes":
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


def _titled(ax: "Axes", title: str) -> "Axes":
    ax.set_title(title, loc="left", color=INK, fontsize=10.5)
    return ax
