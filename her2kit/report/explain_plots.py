"""Figures about explanations: a map over its tile, methods side by side, shares against chance, curves.

As in ``plots``: arrays and tables in, figures or `Axes` out; nothing is measured here, and nothing is shown
or saved. A map that is all zero says so in its place.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAT = ("#fff7bc", "#fec44f", "#e0218a", "#5b2a86")
"""From little to much attention; none of them is a colour of stained tissue."""
FOR_AND_AGAINST = ("#1a7f8c", "#ffffff", "#b3126e")
METHOD_COLOURS = ("#5b2a86", "#e0218a", "#d98200", "#1a7f8c", "#7a8794", "#3b6fb6")


def overlay(pixels: np.ndarray, heat: np.ndarray, *, alpha: float = 0.75) -> np.ndarray:
    """Return a tile, gone pale, with a map over it, uint8 (h, w, 3).

    Parameters
    ----------
    pixels
        uint8 (h, w, 3) RGB.
    heat
        float (h, w) of 0 to 1, such as one of ``Maps.scaled()``; of -1 to 1 it is drawn in two colours.
    alpha
        How much of the tile the highest value covers, 0 to 1.

    Raises
    ------
    ValueError
        If the two are not of one size.
    """
    from matplotlib.colors import LinearSegmentedColormap

    if heat.shape != pixels.shape[:2]:
        raise ValueError(f"heat is {heat.shape}, the tile {pixels.shape[:2]}; give both in one size")
    two_sided = bool(heat.min(initial=0) < 0)
    colours = LinearSegmentedColormap.from_list("heat", FOR_AND_AGAINST if two_sided else HEAT)
    paint = colours((heat + 1) / 2 if two_sided else heat)[..., :3]
    grey = pixels.astype(np.float64).mean(axis=2, keepdims=True)
    pale = (0.35 * pixels + 0.65 * grey) / 255 * 0.75 + 0.25
    cover = alpha * np.clip(np.abs(heat), 0, 1)[..., None] ** 0.8
    return np.rint(255 * ((1 - cover) * pale + cover * paint)).astype(np.uint8)


def side_by_side(
    pixels: np.ndarray,
    heats: Mapping[str, np.ndarray],
    *,
    captions: Sequence[str] = (),
    masks: np.ndarray | None = None,
    width: float = 8.0,
) -> "Figure":
    """Draw a row a tile: the tile itself, then a column a map.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, 3).
    heats
        Title to maps, float (n, h, w) as `overlay` takes them.
    captions
        One a tile, written at its left.
    masks
        bool (n, h, w): outlined on every map.
    """
    import matplotlib.pyplot as plt

    n, high = len(pixels), pixels.shape[1] / pixels.shape[2]
    columns = 1 + len(heats)
    side = width / columns
    figure, axes = plt.subplots(
        n, columns, squeeze=False, layout="constrained", figsize=(width, n * side * high + 0.3)
    )
    for row in range(n):
        axes[row, 0].imshow(pixels[row], interpolation="antialiased")
        for ax, heat in zip(axes[row, 1:], heats.values(), strict=True):
            ax.imshow(overlay(pixels[row], heat[row]), interpolation="antialiased")
            if not heat[row].any():
                ax.text(0.5, 0.5, "all zero", transform=ax.transAxes, ha="center", va="center", color=INK,
                        fontsize=9, bbox={"facecolor": "white", "edgecolor": SOFT, "pad": 3})  # fmt: skip
            if masks is not None and masks[row].any():
                ax.contour(masks[row].astype(float), levels=[0.5], colors=INK, linewidths=0.9)
        for ax in axes[row]:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], ("tile", *heats), strict=True):
        ax.set_title(title, loc="left", color=INK, fontsize=9)
    for ax, caption in zip(axes[:, 0], captions, strict=False):
        ax.set_ylabel(caption, color=INK, fontsize=9)
    return figure


def times_chance(tables: Mapping[str, pd.DataFrame], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw how many times as much attention each part gets as chance would give it, with its interval.

    Parameters
    ----------
    tables
        Name to a table as `her2kit.learning.attention_shares.against_chance` gives it.
    """
    names = list(next(iter(tables.values())).index)
    ax = new_axes(ax, (6.4, 0.6 + 0.42 * len(names)))
    spread = np.linspace(-0.26, 0.26, len(tables)) if len(tables) > 1 else [0.0]
    for (label, table), colour, shift in zip(tables.items(), METHOD_COLOURS, spread, strict=False):
        table = table.loc[names]
        places = np.arange(len(names)) + shift
        error = np.clip([table["times"] - table["low"], table["high"] - table["times"]], 0, None)
        ax.errorbar(table["times"], places, xerr=error, fmt="o", color=colour, markersize=5, linewidth=1.8,
                    label=label)  # fmt: skip
    ax.axvline(1, color=INK, linewidth=1.2)
    ax.annotate("chance", (1, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
                textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="attention, times chance", ylim=(len(names) - 0.5, -0.5))
    ax.set_xlim(left=0)
    if len(tables) > 1:
        ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    tidy(ax, title, pad=16)
    ax.tick_params(axis="y", length=0)
    return ax


def as_weights_go(
    table: pd.DataFrame, bound: float | None = None, ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw how alike maps stay while weights are replaced from the head down, a line a method.

    Parameters
    ----------
    table
        As `her2kit.learning.explain_checks.weight_randomisation` gives it; its seeds make the bands.
    bound
        Drawn as a line.
    """
    ax = new_axes(ax, (6.4, 3.0))
    parts = table.drop_duplicates("depth").sort_values("depth")["part"].tolist()
    for (method, part), colour in zip(table.groupby("method", sort=False), METHOD_COLOURS, strict=False):
        by = part.groupby("depth")["correlation"]
        x, middle = np.arange(len(parts) + 1), np.append(1.0, by.mean())
        low, high = np.append(1.0, by.min()), np.append(1.0, by.max())
        ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(x, middle, color=colour, linewidth=2, marker="o", markersize=4, label=str(method))
    if bound is not None:
        ax.axhline(bound, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.axhline(0, color=SOFT, linewidth=0.6)
    ax.set_xticks(range(len(parts) + 1), ["trained", *parts])
    ax.set(xlabel="weights random from the head down to", ylabel="rank correlation\nwith the trained map",
           ylim=(-0.45, 1.05))  # fmt: skip
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    tidy(ax, title)
    return ax


def deletion_insertion(tables: Mapping[str, pd.DataFrame], *, width: float = 8.0) -> "Figure":
    """Draw both curves of several methods; noise is grey.

    Parameters
    ----------
    tables
        Name to the table of `her2kit.learning.explain_curves.deletion_insertion`.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(width, 2.8), layout="constrained", sharey=True)
    colours = iter(METHOD_COLOURS)
    for name, table in tables.items():
        colour = SOFT if name == "noise" else next(colours)
        style = {"color": colour, "linewidth": 2, "linestyle": ":" if name == "noise" else "-", "label": name}
        for ax, what in zip(axes, ("deletion", "insertion"), strict=True):
            ax.plot(table["share"], table[what], **style)
    for ax, words in zip(axes, ("deletion: covered first", "insertion: shown first"), strict=True):
        tidy(ax, words)
        ax.set(xlabel="share of the pixels, highest first", ylim=(0, 1.02))
    axes[0].set_ylabel("probability of the class")
    axes[1].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def share_on_mark(
    shares: Mapping[str, np.ndarray], chance: float, ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw the share of each tile's attention on a mark, a row a model, with half and chance as lines."""
    ax = new_axes(ax, (6.4, 0.9 + 0.55 * len(shares)))
    for place, given in enumerate(shares.values()):
        values = np.asarray(given, float)
        values = values[~np.isnan(values)]
        lift = np.random.default_rng(0).uniform(-0.17, 0.17, len(values))
        ax.plot(values, place + lift, "o", color=ACCENT, alpha=0.35, markersize=4, markeredgewidth=0)
        if len(values):
            ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=INK, linewidth=2.4)
    for value, words in ((chance, "chance"), (0.5, "half")):
        ax.axvline(value, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(words, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
                    textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5), xlabel="share of the attention on the mark")
    tidy(ax, title, pad=16)
    ax.tick_params(axis="y", length=0)
    return ax
