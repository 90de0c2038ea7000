"""Figures about data sets and their splits: what is in them, what a split promised, which pictures are alike.

As in ``plots``: `ax=None` in, `Axes` out; nothing is measured here, and nothing is shown or saved.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR
from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy
from her2kit.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 2
"""Empty places between the bars of two sites."""
_GROUPS = (ACCENT, "#c98a1b", SOFT, "#1c7c7d")
"""Colours of up to four groups."""


def tiles_of_slides(tiles: pd.DataFrame, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw one bar a slide, as long as it has tiles, in the colour of its label, site beside site.

    Parameters
    ----------
    tiles
        With ``slide_id``, ``site`` and ``label`` (a HER2 score).
    """
    from matplotlib.patches import Patch

    ax = new_axes(ax, (8, 2.8))
    known = tiles.fillna({"site": "site not known"})
    slides = known.groupby(["site", "label", "slide_id"], sort=True).size().rename("n").reset_index()
    place = slides.index.to_numpy() + _GAP * pd.factorize(slides["site"])[0]
    ax.bar(place, slides["n"], width=0.85, color=_colours(slides["label"]), zorder=2)
    middles = pd.Series(place).groupby(slides["site"].to_numpy()).mean()
    ax.set_xticks(middles, middles.index)
    ax.set(ylabel="tiles", xlim=(-1, place.max() + 1))
    tidy(ax, title)
    ax.tick_params(axis="x", length=0)
    ax.grid(axis="x", visible=False)
    ax.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    shown = [c for c in CLASSES if (slides["label"] == c).any()]
    ax.legend(handles=[Patch(color=CLASS_COLOURS[c], label=c) for c in shown], title="label", frameon=False,
              loc="upper left", bbox_to_anchor=(1.0, 1.05))  # fmt: skip
    return ax


def promises(
    found: Mapping[str, Interval], ax: "Axes | None" = None, *, chance: float | None = None, title: str = ""
) -> "Axes":
    """Draw what each split promised (ring) and what it delivered on new slides (dot), with the gap.

    Parameters
    ----------
    found
        ``<way> promised``, ``<way> delivered`` and ``<way> gap`` for each way of splitting, in accuracies
        from 0 to 1; lines are the intervals.
    chance
        Accuracy of always naming the commonest label, drawn as a dotted line.
    """
    ways = [name.removesuffix(" gap") for name in found if name.endswith(" gap")]
    ax = new_axes(ax, (7, 0.9 + 0.95 * len(ways)))
    for row, way in enumerate(reversed(ways)):
        for asked, shift, face in (("promised", 0.14, "white"), ("delivered", -0.14, ACCENT)):
            value = found[f"{way} {asked}"]
            ax.plot([value.low, value.high], [row + shift] * 2, color=ACCENT, linewidth=1.6, zorder=2)
            dot: Any = dict(markersize=10, markerfacecolor=face, markeredgecolor=ACCENT, markeredgewidth=1.8)
            ax.plot(value.estimate, row + shift, "o", zorder=3, **dot)
            left = asked == "delivered"
            ax.annotate(f"{asked} {value.estimate:.2f}", (value.low if left else value.high, row + shift),
                        xytext=(-6 if left else 6, 0), textcoords="offset points", va="center", fontsize=9,
                        ha="right" if left else "left", color=INK)  # fmt: skip
        gap = found[f"{way} gap"]
        words = f"gap {gap.estimate:+.2f}\n{gap.low:+.2f} to {gap.high:+.2f}"
        ax.annotate(words, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9.5,
                    color=INK, fontweight="bold")  # fmt: skip
    if chance is not None:
        ax.axvline(chance, color=SOFT, linewidth=1.2, linestyle=":", zorder=1)
        ax.annotate("chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
                    textcoords="offset points", fontsize=9, color=SOFT)  # fmt: skip
    ax.set(yticks=range(len(ways)), yticklabels=[f"split by {way}" for way in reversed(ways)])
    ax.set(xlim=(0, 1.15), ylim=(-0.5, len(ways) - 0.5), xlabel="accuracy over tiles")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    tidy(ax, title, pad=16)
    ax.tick_params(axis="y", length=0, labelsize=11)
    return ax


def pictures_in_rows(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    ax: "Axes | None" = None,
    *,
    columns: int = 8,
    title: str = "",
) -> "Axes":
    """Draw square pictures row by row, each with a line under it."""
    rows = -(-len(pictures) // columns)
    ax = new_axes(ax, (columns, 1.22 * rows + 0.3))
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = k % columns * 1.06, k // columns * 1.24
        ax.imshow(picture, extent=(left, left + 1, top + 1, top), interpolation="antialiased")
        ax.text(left, top + 1.03, caption, va="top", fontsize=8, color=INK)
    ax.set(
        xlim=(0, columns * 1.06 - 0.06), ylim=(rows * 1.24 - 0.02, 0), xticks=[], yticks=[], aspect="equal"
    )
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    return ax


def with_threshold(
    values: Mapping[str, np.ndarray],
    threshold: float,
    ax: "Axes | None" = None,
    *,
    xlabel: str,
    bins: int = 40,
    title: str = "",
) -> "Axes":
    """Draw histograms of several groups, each as shares of its own, and the threshold that parts them."""
    ax = new_axes(ax, (6.4, 2.6))
    every = np.concatenate([np.asarray(v, float) for v in values.values()])
    edges = np.linspace(every.min(), every.max() + 1e-9, bins + 1)
    for (name, group), colour in zip(values.items(), _GROUPS, strict=False):
        share = np.histogram(group, edges)[0] / max(len(group), 1)
        ax.stairs(share, edges, fill=True, color=colour, alpha=0.45)
        ax.stairs(share, edges, color=colour, linewidth=1.4, label=f"{name} ({len(group):,})")
    ax.axvline(threshold, color=INK, linewidth=1.6)
    ax.annotate(f"threshold {threshold:.3g}", (threshold, 1), xycoords=("data", "axes fraction"),
                xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9, color=INK,
                fontweight="bold")  # fmt: skip
    ax.set(xlabel=xlabel, ylabel="share of the group")
    ax.legend(frameon=False, fontsize=9)
    tidy(ax, title, pad=16)
    return ax


def _colours(labels: pd.Series) -> list[str]:
    return [CLASS_COLOURS.get(label, NOT_EVALUABLE_COLOUR) for label in labels]
