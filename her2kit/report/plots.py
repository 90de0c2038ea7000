"""Every figure that notebooks and scripts draw: `ax=None` in, `Axes` out, one colour a class.

Arrays and tables go in; nothing is measured or scored here, and nothing is shown or saved. The slide report
draws its own pictures in HTML from the same tables.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry import MultiPolygon, Polygon

from her2kit.cells.table import CLASS_COLOURS, CLASSES, NOT_EVALUABLE_COLOUR
from her2kit.report.cut_offs import CutOff
from her2kit.report.fields import LEAST_CELLS, Fields
from her2kit.report.pictures import Pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, ACCENT = "#14181f", "#525c69", "#5b2a86"


def class_bars(counts: Mapping[str, int], ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw the percent of cells in each class, with the guideline's 10 % line.

    Parameters
    ----------
    counts : Mapping
        Cells of "0", "1+", "2+" and "3+"; `counts` of a score.
    """
    ax = new_axes(ax, (6.4, 2.6))
    n = sum(counts[c] for c in CLASSES)
    percent = [100 * counts[c] / n if n else 0.0 for c in CLASSES]
    ax.barh(CLASSES, percent, color=[CLASS_COLOURS[c] for c in CLASSES], height=0.66, zorder=2)
    ax.axvline(10, color=INK, linewidth=1.6, zorder=3)
    ax.annotate("10 %", (10, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), ha="center",
                textcoords="offset points", fontsize=9, color=INK, fontweight="bold")  # fmt: skip
    for place, (c, p) in enumerate(zip(CLASSES, percent, strict=True)):
        ax.annotate(f"{p:.1f} %   {counts[c]:,}", (max(p, 10), place), xytext=(7, 0), va="center",
                    textcoords="offset points", fontsize=9, color=INK)  # fmt: skip
    ax.set(xlim=(0, 125), xticks=[0, 50, 100], xlabel=f"percent of {n:,} counted cells")
    tidy(ax, title, pad=16)
    ax.tick_params(axis="y", length=0, labelsize=11)
    return ax


def overview(pictures: Pictures, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw the slide with its tissue (dark line) and the tumour regions (violet line), axes in mm."""
    ax = new_axes(ax, (6, 6 * pictures.overview.shape[0] / pictures.overview.shape[1]))
    _show(ax, pictures)
    _draw_outlines(ax, pictures.tissue, INK, 0.9)
    _draw_outlines(ax, pictures.tumour, ACCENT, 2.0)
    _clean_picture(ax, pictures.size_px0, pictures.mpp, title)
    return ax


def class_map(
    cells: pd.DataFrame, pictures: Pictures, ax: "Axes | None" = None, *, size: float = 5.0, title: str = ""
) -> "Axes":
    """Draw each cell of the table as a dot in the colour of its class over the pale slide.

    The strongest class lies on top. Pass the counted cells alone to see what the score saw.
    """
    ax = new_axes(ax, (6.6, 6 * pictures.overview.shape[0] / pictures.overview.shape[1]))
    _show(ax, pictures, pale=0.6)
    classes = cells["cell_class"].astype(object).to_numpy()
    named = [(None, "not evaluable", NOT_EVALUABLE_COLOUR), *((c, c, CLASS_COLOURS[c]) for c in CLASSES)]
    for value, label, colour in named:
        rows = pd.isna(classes) if value is None else classes == value
        if rows.any():
            here = cells.loc[rows]
            ax.scatter(here["x_px0"], here["y_px0"], s=size, c=colour, linewidths=0, label=label)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, markerscale=3.2, borderaxespad=0)
    _clean_picture(ax, pictures.size_px0, pictures.mpp, title)
    return ax


def field_map(fields: Fields, pictures: Pictures, ax: "Axes | None" = None, *, title: str = "") -> "Axes":
    """Draw the H-score (membrane class, 0 to 300) of each square field with enough cells over the pale slide.

    Fields with fewer than `LEAST_CELLS` counted cells stay empty: their H-score is mostly chance.
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    ax = new_axes(ax, (7, 6 * pictures.overview.shape[0] / pictures.overview.shape[1]))
    _show(ax, pictures, pale=0.6)
    side, table = fields.size_px0, fields.table
    boxes = [
        Rectangle((c * side, r * side), side, side)
        for c, r in zip(table["column"], table["row"], strict=True)
    ]
    colours = LinearSegmentedColormap.from_list("h_score", [CLASS_COLOURS[c] for c in CLASSES])
    patches = PatchCollection(boxes, cmap=colours, alpha=0.8, edgecolor="white", linewidth=0.4)
    patches.set_array(np.ma.masked_where(fields.table["counted"] < LEAST_CELLS, fields.h_score))
    patches.set_clim(0, 300)
    ax.add_collection(patches)
    bar = plt.colorbar(patches, ax=ax, fraction=0.04, pad=0.03, ticks=[0, 100, 200, 300])
    bar.set_label("H-score of the field", color=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]
    _clean_picture(ax, pictures.size_px0, pictures.mpp, title)
    return ax


def field(pixels: np.ndarray, ax: "Axes | None" = None, *, mpp: float, title: str = "") -> "Axes":
    """Draw a part of a slide, uint8 RGB (h, w, 3) at `mpp`, with a scale bar."""
    height, width = pixels.shape[:2]
    ax = new_axes(ax, (4, 4 * height / width))
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased")
    _clean_picture(ax, (width, height), mpp, title)
    return ax


def cells_on_picture(
    pixels: np.ndarray,
    cells: pd.DataFrame,
    ax: "Axes | None" = None,
    *,
    x_px0: float = 0.0,
    y_px0: float = 0.0,
    px0_per_px: float = 1.0,
    nuclei: bool = False,
    title: str = "",
) -> "Axes":
    """Draw the outlines of cells, in the colours of their classes, over a part of a slide.

    Parameters
    ----------
    pixels : uint8 RGB array of shape (h, w, 3)
        The picture; its top-left corner lies at (`x_px0`, `y_px0`) in level-0 pixels.
    cells : DataFrame
        The cell table; cells outside the picture are left out.
    px0_per_px : float
        Level-0 pixels per pixel of the picture.
    nuclei : bool
        Also draw the nuclei, in white.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    height, width = pixels.shape[:2]
    ax = new_axes(ax, (7, 7 * height / width))
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased")
    x = (cells["x_px0"].to_numpy() - x_px0) / px0_per_px
    y = (cells["y_px0"].to_numpy() - y_px0) / px0_per_px
    here = cells[(x >= 0) & (y >= 0) & (x < width) & (y < height)]
    corner = np.array([x_px0, y_px0])
    for column, wanted in (("nucleus_outline", nuclei), ("outline", True)):
        rows = here[here[column].notna().to_numpy()] if wanted else here[:0]
        rings = [(np.vstack([o, o[:1]]) - corner) / px0_per_px for o in rows[column]]
        colours: Any = [CLASS_COLOURS.get(c, NOT_EVALUABLE_COLOUR) for c in rows["cell_class"].astype(object)]
        lines = LineCollection(
            rings, colors="white" if column == "nucleus_outline" else colours, linewidths=1.4
        )
        lines.set_path_effects([withStroke(linewidth=2.4, foreground=(0, 0, 0, 0.45))])
        ax.add_collection(lines)
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    return ax


def cell_strip(
    cells: pd.DataFrame,
    pictures: Pictures,
    ax: "Axes | None" = None,
    *,
    column: str = "dab_od",
    crop_um: float = 28.0,
    title: str = "",
) -> "Axes":
    """Draw one small picture a cell, side by side, with its outline, class and one value under it.

    Parameters
    ----------
    cells : DataFrame
        At most some ten rows of the cell table, in the order in which to show them (`nearest_cells`).
    pictures : Pictures
        With `read` and `mpp`.
    column : str
        The value under each picture.

    Raises
    ------
    ValueError
        If `pictures` cannot fetch detail.
    """
    if pictures.read is None or pictures.mpp is None:
        raise ValueError("pictures has no read or no mpp; pass both to cut out cells")
    ax = new_axes(ax, (1.15 * max(len(cells), 4), 1.55))
    mpp = max(pictures.mpp, 0.25)
    side, scale = round(crop_um / mpp), pictures.mpp / mpp
    step = round(side * 1.08)
    for place, cell in enumerate(cells.to_dict("records")):
        left, top = cell["x_px0"] - side / scale / 2, cell["y_px0"] - side / scale / 2
        at = place * step
        ax.imshow(pictures.read(left, top, side, side, mpp), extent=(at, at + side, side, 0))
        colour = CLASS_COLOURS.get(cell["cell_class"], NOT_EVALUABLE_COLOUR)
        if cell["outline"] is not None:
            ring = (np.vstack([cell["outline"], cell["outline"][:1]]) - [left, top]) * scale
            ring = np.clip(ring, 0, side) + np.array([at, 0])
            ax.plot(*ring.T, color=colour, linewidth=1.3)
        ax.text(
            at, side * 1.08, f"{cell['cell_class']}  {cell[column]:.3f}", va="top", fontsize=8.5, color=INK
        )
    ax.set(xlim=(0, step * max(len(cells), 4)), ylim=(side * 1.32, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    return ax


def stain_plane(
    cells: pd.DataFrame, lines: Sequence[CutOff] = (), ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """Draw each cell by membrane stain and completeness, in the colour of its class, with the cut-offs.

    Parameters
    ----------
    cells : DataFrame
        The cell table; cells without a class are left out.
    lines : sequence of CutOff
        From `cut_offs`.
    """
    ax = new_axes(ax, (6.4, 4.2))
    for c in CLASSES:
        here = cells[(cells["cell_class"] == c).to_numpy(bool)]
        ax.scatter(
            here["dab_od"], here["completeness"], s=5, c=CLASS_COLOURS[c], linewidths=0, alpha=0.7, label=c
        )
    for line in lines:
        draw = ax.axvline if line.column == "dab_od" else ax.axhline
        draw(line.value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set(xlabel="membrane DAB (OD)", ylabel="completeness (share of the perimeter)", ylim=(-0.03, 1.03))
    ax.set_xlim(left=0)
    ax.legend(title="class", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, markerscale=2.5)
    tidy(ax, title)
    return ax


def new_axes(ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    """Return ``ax``, or the axes of a new figure of a size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def tidy(ax: "Axes", title: str, *, pad: float = 8) -> None:
    """Give a chart the look of all others."""
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(SOFT)
    ax.tick_params(colors=INK, labelsize=9)
    ax.grid(axis="x", color="#e3e6ea", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_title(title, loc="left", color=INK, fontsize=11, pad=pad)


def _show(ax: "Axes", pictures: Pictures, *, pale: float = 0.0) -> None:
    width, height = pictures.size_px0
    pixels = pictures.overview
    if pale:
        pixels = (255 - (255 - pixels.astype(np.float32)) * (1 - pale)).astype(np.uint8)
    ax.imshow(pixels, extent=(0, width, height, 0), interpolation="antialiased")


def _draw_outlines(
    ax: "Axes", shapes: Sequence[Polygon | MultiPolygon], colour: str, linewidth: float
) -> None:
    for shape in shapes:
        for part in shapely.get_parts(shape):
            for ring in (part.exterior, *part.interiors):
                ax.plot(*shapely.get_coordinates(ring).T, color=colour, linewidth=linewidth)


def _clean_picture(ax: "Axes", size: tuple[float, float], mpp: float | None, title: str) -> None:
    """Hide the frame; draw a scale bar where the mpp is known."""
    width, height = size
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=11)
    if mpp is not None:
        scale_bar(ax, size, mpp)


def scale_bar(ax: "Axes", size: tuple[float, float], mpp: float) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten um, with a pale edge: tissue under it may be dark.

    Parameters
    ----------
    size
        Width and height of the picture, in pixels of `mpp`.
    """
    from matplotlib.patheffects import withStroke

    width, height = size
    wanted = 0.25 * width * mpp
    power = 10.0 ** np.floor(np.log10(wanted))
    um = max(k * power for k in (1, 2, 5) if k * power <= wanted)
    label = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"
    left, low = 0.03 * width, 0.965 * height
    edge = [withStroke(linewidth=4.5, foreground="white", alpha=0.75)]
    ax.plot([left, left + um / mpp], [low, low], color=INK, linewidth=3, solid_capstyle="butt",
            path_effects=edge)  # fmt: skip
    edge = [withStroke(linewidth=2, foreground="white", alpha=0.75)]
    ax.annotate(label, (left, low), xytext=(0, 5), textcoords="offset points", fontsize=9, color=INK,
                path_effects=edge)  # fmt: skip
