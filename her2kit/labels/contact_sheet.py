"""A picture of the first cells of a reading, for where no keys can be pressed: papermill, a printed page."""

import io
from typing import TYPE_CHECKING

from her2kit.labels.crops import mark_of
from her2kit.labels.review_log import LABEL_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from her2kit.labels.crops import Crops
    from her2kit.labels.reading import Reading

CELLS, COLUMNS = 12, 6
_INK, _SOFT = "#14181f", "#525c69"


def contact_sheet(reading: "Reading", crops: "Crops", *, near_um: float, cells: int = CELLS) -> bytes:
    """Return a PNG of the first cells in reading order, each with its label, or the one it came with.

    Parameters
    ----------
    reading, crops
        Whose cells, and their slides.
    near_um
        Side of a picture in micrometres.
    cells
        How many at most.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    table = reading.table().head(cells)
    rows = max(1, -(-len(table) // COLUMNS))
    figure = Figure(figsize=(8.4, 0.6 + 1.62 * rows), dpi=84)
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    top = 1 - 0.45 / figure.get_figheight()
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=0.24 / figure.get_figheight(), top=top, wspace=0.06, hspace=0.24
    )
    figure.text(0.012, 1 - 0.12 / figure.get_figheight(), f"{reading.round.capitalize()} round, reader "
                f"{reading.reader}", color=_INK, fontsize=11, fontweight="bold", va="top")  # fmt: skip
    words = f"{len(reading.labels):,} of {len(reading.keys):,} cells decided; here the first {len(table)}"
    figure.text(
        0.988, 1 - 0.13 / figure.get_figheight(), words, color=_SOFT, fontsize=9, va="top", ha="right"
    )
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, cell in zip(grid.flat, table.to_dict("records"), strict=False):
        pixels = crops.around(cell["slide_id"], cell["x_px0"], cell["y_px0"], side_um=near_um)
        ax.imshow(pixels, extent=(0, 1, 1, 0), interpolation="antialiased")
        mpp, place = crops.mpp_of(cell["slide_id"]), (cell["x_px0"], cell["y_px0"])
        left, upper, right, lower = mark_of(cell.get("outline"), *place, mpp=mpp, side_um=near_um)
        for x, to_x in ((left, 0.07), (right, -0.07)):
            for y, to_y in ((upper, 0.07), (lower, -0.07)):
                ax.plot([x, x, x + to_x], [y + to_y, y, y], color="white", linewidth=2.6, alpha=0.8)
                ax.plot([x, x, x + to_x], [y + to_y, y, y], color=_INK, linewidth=1.1)
        _tag(ax, cell["label"], None if reading.blind else cell["given"])
        ax.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
    canvas.draw()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    buffer = io.BytesIO()
    picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()


def _tag(ax: "Axes", label: str | None, given: str | None) -> None:
    """Draw what a cell was called under its picture, or with a thin line what it came as."""
    from matplotlib.patches import Rectangle

    tone = label or given
    if tone:
        height = 0.17 if label else 0.035
        ax.add_patch(Rectangle((0, 1), 1, height, color=LABEL_COLOURS[tone], clip_on=False, linewidth=0))
    words = label or (f"came as {given}" if given else "undecided")
    pale = label in ("0", "3+")
    ax.text(0.5, 1.085 if label else 1.105, words, fontsize=8, va="center", ha="center",
            fontweight="bold" if label else "normal",
            color="white" if pale else _INK if label else _SOFT)  # fmt: skip
