"""Figures of the tumour call: two networks as boxes, a map at four scales, what features bear, an ablation.

As in ``plots``: tables and arrays in, `Axes` or `Figure` out; nothing is measured here, and nothing is shown
or saved.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.report.plots import ACCENT, INK, SOFT, new_axes, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PALE = "#e7e0ef"
_SIDES = (1.0, 0.72, 0.5, 0.32)


def networks() -> "Figure":
    """Draw a feature pyramid beside a U-Net: the way up, the lateral connections, the way down."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.5), layout="constrained")
    words = {
        "FPN": ("1 x 1, added", "every level answers;\nthe answers are summed"),
        "U-Net": ("joined, then two 3 x 3", "only the finest\nlevel answers"),
    }
    for ax, (name, (side, end)) in zip(axes, words.items(), strict=True):
        fpn = name == "FPN"
        for level, size in enumerate(_SIDES):
            for x, colour in ((0.0, SOFT), (2.2, ACCENT)):
                wide = 0.32 if fpn and x else 0.16 + 0.13 * level
                _box(ax, x, level, size, wide, colour)
            ax.annotate("", (1.85, level), (0.45 + 0.07 * level, level), arrowprops=_arrow(SOFT))
            if level < 3:
                ax.annotate("", (0, level + 0.72), (0, level + 0.3), arrowprops=_arrow(INK))
                ax.annotate("", (2.2, level + 0.3), (2.2, level + 0.72), arrowprops=_arrow(INK))
            if fpn or level == 0:
                ax.annotate("", (3.2, 1.5 if fpn else 0), (2.45, level), arrowprops=_arrow(ACCENT))
        ax.text(1.1, 3.32, side, ha="center", va="bottom", fontsize=9, color=INK)
        ax.text(3.3, 1.5 if fpn else 0, end, ha="left", va="center", fontsize=9, color=INK)
        ax.text(0, -0.55, "encoder", ha="center", fontsize=9, color=INK)
        ax.text(2.2, -0.55, "decoder", ha="center", fontsize=9, color=INK)
        ax.text(-0.95, 3, "coarse:\nwhat", ha="center", va="center", fontsize=8.5, color=SOFT)
        ax.text(-0.95, 0, "fine:\nwhere", ha="center", va="center", fontsize=8.5, color=SOFT)
        ax.set(xlim=(-1.4, 4.9), ylim=(-0.7, 3.6), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(name, loc="left", color=INK, fontsize=11)
    return figure


def at_scales(views: Sequence[Any], *, um_per_px: float, width: float = 8.4) -> "Figure":
    """Draw a map as averaged over blocks of each scale, with the longest diameter that each one shows.

    Parameters
    ----------
    views
        Of `her2kit.course.tumour_lab.at_scales`.
    um_per_px
        Micrometres per pixel of the map.
    """
    import matplotlib.pyplot as plt

    high = width / len(views) * views[0].mean.shape[0] / views[0].mean.shape[1]
    figure, axes = plt.subplots(
        1, len(views), figsize=(width, high + 0.6), layout="constrained", squeeze=False
    )
    for ax, view in zip(axes[0], views, strict=True):
        shown = ax.imshow(view.mean, cmap="Purples", vmin=0, vmax=1, interpolation="nearest")
        words = "no tumour"
        if view.axis.ends_px is not None:
            x, y = np.array(view.axis.ends_px).T - 0.5
            ax.plot(x, y, color="white", linewidth=3.4, solid_capstyle="round")
            ax.plot(x, y, color=INK, linewidth=1.4, marker="o", markersize=3)
            words = f"{view.axis.length_um / 1000:.2f} mm"
        ax.set_title(
            f"1/{view.scale}: {view.scale * um_per_px:,.0f} um\n{words}", fontsize=9, color=INK, loc="left"
        )
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=SOFT, linewidth=0.5)
    figure.colorbar(shown, ax=axes[0].tolist(), shrink=0.8, ticks=[0, 0.5, 1], label="probability")
    return figure


def importance_grid(
    values: pd.Series, ax: "Axes | None" = None, *, title: str = "", label: str = ""
) -> "Axes":
    """Draw a number for each of the 28 features: kinds down, scales across.

    Parameters
    ----------
    values
        Index: names that end in ``_<scale>``.
    """
    table = by_scale(values)
    ax = new_axes(ax, (5.4, 3.1))
    top = max(1e-9, float(table.to_numpy().max()))
    shown = ax.imshow(table.to_numpy(), cmap="Purples", vmin=0, vmax=top, aspect="auto")
    for (y, x), value in np.ndenumerate(table.to_numpy()):
        ax.text(x, y, f"{value:.3f}", ha="center", va="center", fontsize=8.5,
                color="white" if value > 0.6 * top else INK)  # fmt: skip
    ax.set_xticks(range(table.shape[1]), [f"1/{scale}" for scale in table.columns])
    ax.set_yticks(range(table.shape[0]), [str(name).replace("_", " ") for name in table.index])
    ax.tick_params(length=0, labelsize=9)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(shown, ax=ax, fraction=0.04, pad=0.03)
    bar.set_label(label, color=INK, fontsize=9)
    bar.outline.set_visible(False)  # type: ignore[operator]
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    return ax


def by_scale(values: pd.Series) -> pd.DataFrame:
    """Return features as a table: kinds down, scales across."""
    names = [str(name).rsplit("_", 1) for name in values.index]
    kinds, scales = ([*dict.fromkeys(n[i] for n in names)] for i in (0, 1))
    out = pd.DataFrame(np.nan, index=pd.Index(kinds, name="kind"), columns=[int(s) for s in scales])
    for (kind, scale), value in zip(names, values, strict=True):
        out.loc[kind, int(scale)] = value
    return out


def ablation(
    published: Mapping[str, float],
    ours: Mapping[str, float] | None = None,
    ax: "Axes | None" = None,
    *,
    title: str = "",
) -> "Axes":
    """Draw the total after each step as bars: those of R4 on real slides, ours on phantoms beside them.

    Parameters
    ----------
    published, ours
        Step to total, 0..1; a step that one side lacks has one bar.
    """
    steps = list(dict.fromkeys([*published, *(ours or {})]))
    ax = new_axes(ax, (7.2, 0.9 + (0.52 if ours else 0.36) * len(steps)))
    place = np.arange(len(steps))[::-1].astype(float)
    sides = [(published, "R4, real sections (published)", _PALE, 0.2 if ours else 0.0)]
    if ours:
        sides.append((ours, "ours, phantoms", ACCENT, -0.2))
    for values, name, colour, shift in sides:
        here = [i for i, step in enumerate(steps) if step in values]
        totals = [values[steps[i]] for i in here]
        ax.barh(place[here] + shift, totals, height=0.36 if ours else 0.6, color=colour, label=name,
                edgecolor=ACCENT, linewidth=0.7)  # fmt: skip
        for y, total in zip(place[here] + shift, totals, strict=True):
            ax.annotate(f"{total:.3f}", (total, y), xytext=(4, 0), textcoords="offset points", va="center",
                        fontsize=8.5, color=INK)  # fmt: skip
    ax.set_yticks(place, steps)
    ax.set(xlim=(0, 1.08), xlabel="total: mean of AUC and share within 5 %")
    ax.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)
    tidy(ax, title)
    ax.tick_params(axis="y", length=0)
    return ax


def _box(ax: "Axes", x: float, level: int, size: float, wide: float, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    high = 0.5 * size
    face = _PALE if colour == ACCENT else "#eceff3"
    corner = (x - wide / 2, level - high / 2)
    ax.add_patch(
        FancyBboxPatch(corner, wide, high, boxstyle="round,pad=0.02", facecolor=face, edgecolor=colour)
    )


def _arrow(colour: str) -> dict[str, Any]:
    return {"arrowstyle": "-|>", "color": colour, "linewidth": 1.1, "shrinkA": 1, "shrinkB": 1}
