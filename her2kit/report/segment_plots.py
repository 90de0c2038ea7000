"""Figures about segmentation: rows of pictures with their classes, a key of colours, confusion, curves.

As in ``plots``: `Axes` or arrays in, nothing is measured here, and nothing is shown or saved.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.report.plots import ACCENT, INK, SOFT, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def in_rows(
    rows: Mapping[str, Sequence[np.ndarray]],
    *,
    key: Mapping[str, str] | None = None,
    titles: Sequence[str] = (),
    width: float = 5.4,
) -> "Figure":
    """Draw rows of pictures, each column as wide as its first picture, with a key of colours below.

    Parameters
    ----------
    rows
        Name to pictures, uint8 (h, w, 3) or float (h, w) of 0 to 1.
    key
        Name to colour of the classes to explain.
    titles
        One a column.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    first = next(iter(rows.values()))
    wide = [p.shape[1] / p.shape[0] for p in first]
    high = width / sum(wide)
    figure, axes = plt.subplots(
        len(rows), len(first), squeeze=False, layout="constrained",
        figsize=(width, len(rows) * high + (0.35 if key else 0) + (0.25 if titles else 0)),
        gridspec_kw={"width_ratios": wide},
    )  # fmt: skip
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, color=INK, fontsize=10)
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture, cmap="viridis", interpolation="antialiased")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(title, loc="left", color=INK, fontsize=10)
    if key:
        patches = [Patch(facecolor=c, edgecolor=SOFT, linewidth=0.4, label=name) for name, c in key.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(key), 8), frameon=False,
                      fontsize=9, handlelength=1.1, columnspacing=1.2)  # fmt: skip
    return figure


def confusion(
    counts: np.ndarray, names: Sequence[str], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw which share of each true class went to which class; classes without pixels are left out."""
    ax = new_axes(ax, (5.2, 4.2))
    there = counts.sum(axis=1) > 0
    said = there | (counts.sum(axis=0) > 0)
    shares = counts[there][:, said] / counts[there].sum(axis=1, keepdims=True)
    down, across = (np.array(list(names))[which] for which in (there, said))
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (y, x), share in np.ndenumerate(shares):
        if share >= 0.005:
            ax.text(x, y, f"{share:.2f}", ha="center", va="center", fontsize=8.5,
                    color="white" if share > 0.55 else INK)  # fmt: skip
    ax.set_xticks(range(len(across)), across, rotation=40, ha="right")
    ax.set_yticks(range(len(down)), down)
    ax.set(xlabel="prediction", ylabel="truth")
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    return ax


def curves(table: pd.DataFrame, best_epoch: int, *, figure: str = "mean_dice") -> "Figure":
    """Draw loss and a figure of the validation set against the epoch, with the epoch that was kept.

    Parameters
    ----------
    table
        ``curves`` of `her2kit.learning.training.Trained`.
    """
    import matplotlib.pyplot as plt

    drawn, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    lines: tuple[tuple[Any, ...], ...] = (
        (axes[0], "train_loss", "training, augmented", SOFT),
        (axes[0], "val_loss", "validation", ACCENT),
        (axes[1], f"val_{figure}", "validation", ACCENT),
    )
    for ax, column, label, colour in lines:
        ax.plot(table["epoch"], table[column], color=colour, linewidth=2, label=label)
    for ax, name in zip(axes, ("loss", figure.replace("_", " ")), strict=True):
        ax.axvline(best_epoch, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.set(xlabel="epoch", ylabel=name)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
    return drawn
