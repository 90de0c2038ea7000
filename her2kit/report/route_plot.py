"""The whole course as one picture: twelve stations in eight stages, and what flows from one to the next.

``python -m her2kit.report.route_plot docs/route.png`` writes the picture of the README. Colours are neutral:
those of the classes mean HER2 everywhere else. Coordinates are pixels of a picture 880 wide; letters scale
with the axes, so the picture reads alike at any size.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from her2kit.report.plots import ACCENT, INK, SOFT

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

WIDTH, HEIGHT, INCHES = 880, 652, 8.4
ROW, HIGH, TOP = 82, 46, 8
LEFT, RIGHT, WIDE, ELBOW = (144, 532), (452, 840), 308, 862
LETTERS, WORDS = 17.0, 15.5
PALE, EDGE, LINE = "#f3f4f6", "#b9c0ca", "#7b8694"


class Stage(NamedTuple):
    """A row of the picture."""

    name: str
    stations: tuple[tuple[int, str], ...]
    """Number of the notebook, and its question in a few words."""
    between: str = ""
    """What its first station hands to its second."""
    onward: str = ""
    """What it hands to the next stage."""


STAGES = (
    Stage("look", ((1, "What do you see?"),), onward="tiles"),
    Stage(
        "split\nand unify",
        ((2, "Will it hold on new slides?"), (3, "Do two scanners agree?")),
        between="split",
        onward="tiles at one mpp",
    ),
    Stage("tissue", ((4, "What tissue is this?"), (5, "Where does it end?")), between="tissue"),
    Stage(
        "grade\nand explain",
        ((6, "Can a network grade a tile?"), (7, "Where did it look?")),
        between="weights",
    ),
    Stage(
        "label\nand detect",
        ((8, "How many labels are wrong?"), (9, "Can it find every cell?")),
        between="labels",
        onward="cells",
    ),
    Stage("score", ((10, "How is a slide scored?"),), onward="scores"),
    Stage("cohort", ((11, "What is a score worth?"),)),
    Stage("tumour", ((12, "How long is the tumour?"),)),
)
COUNTED = "which cells count"
"""What the tissue stage hands to the score stage."""


def draw_route(ax: "Axes | None" = None, *, here: int | None = None) -> "Axes":
    """Draw the course: stages down, stations with their questions, arrows with what they hand on.

    Parameters
    ----------
    here
        Number of the notebook that the reader is in; its station is filled.

    Raises
    ------
    ValueError
        If no station has the number ``here``.
    """
    numbers = [number for stage in STAGES for number, _ in stage.stations]
    if here is not None and here not in numbers:
        raise ValueError(f"here={here} is no notebook of the course; they are {numbers[0]} to {numbers[-1]}")
    ax = _whole_figure() if ax is None else ax
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()  # a layout engine decides only now how wide the axes are
    points = 72 * ax.get_window_extent().width / figure.dpi / WIDTH
    for row, stage in enumerate(STAGES):
        _stage(ax, row, stage, here, points)
    rows = {stage.name: TOP + ROW * row + HIGH / 2 for row, stage in enumerate(STAGES)}
    _arrow(ax, (RIGHT[1], rows["tissue"]), (ELBOW, rows["tissue"]), (ELBOW, rows["score"]),
           (RIGHT[0], rows["score"]))  # fmt: skip
    _words(ax, (RIGHT[0] + ELBOW) / 2, rows["score"] - 13, COUNTED, points)
    return ax


def _whole_figure() -> "Axes":
    """Return axes that fill a new figure as wide as the notebooks' other figures."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(INCHES, INCHES * HEIGHT / WIDTH)).add_axes((0, 0, 1, 1))


def _stage(ax: "Axes", row: int, stage: Stage, here: int | None, points: float) -> None:
    y = TOP + ROW * row + HIGH / 2
    among = here in [number for number, _ in stage.stations]
    ax.text(4, y, stage.name, va="center", ha="left", fontsize=LETTERS * points, linespacing=1.15,
            color=ACCENT if among else INK, fontweight="bold")  # fmt: skip
    for (number, question), left in zip(stage.stations, LEFT, strict=False):
        _station(ax, left, y, number, question, filled=number == here, points=points)
    last = len(stage.stations) - 1
    if last:
        _arrow(ax, (RIGHT[0], y), (LEFT[1], y))
        _words(ax, (RIGHT[0] + LEFT[1]) / 2, y - 13, stage.between, points)
    if row < len(STAGES) - 1:
        start, end, middle = LEFT[last] + WIDE / 2, LEFT[0] + WIDE / 2, y + ROW / 2
        _arrow(ax, (start, y + HIGH / 2), (start, middle), (end, middle), (end, y + ROW - HIGH / 2))
        _words(ax, start + 12 if not last else (start + end) / 2, middle, stage.onward, points,
               ha="center" if last else "left")  # fmt: skip


def _station(
    ax: "Axes", left: float, y: float, number: int, question: str, *, filled: bool, points: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    box = FancyBboxPatch(
        (left + 6, y - HIGH / 2 + 6), WIDE - 12, HIGH - 12, boxstyle="round,pad=6,rounding_size=10",
        facecolor=ACCENT if filled else PALE, edgecolor=ACCENT if filled else EDGE, linewidth=1.2 * points,
        zorder=3,
    )  # fmt: skip
    ax.add_patch(box)
    ink = "white" if filled else INK
    ax.text(left + 14, y, f"{number:02d}", va="center", fontsize=LETTERS * points, color=ink,
            fontweight="bold", zorder=4)  # fmt: skip
    ax.text(left + 48, y, question, va="center", fontsize=LETTERS * points, color=ink, zorder=4)


def _arrow(ax: "Axes", *corners: tuple[float, float]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Line

    ax.add_patch(FancyArrowPatch(path=Line(corners), arrowstyle="-|>,head_length=5,head_width=3",
                                 color=LINE, linewidth=1.3, joinstyle="miter", zorder=1))  # fmt: skip


def _words(ax: "Axes", x: float, y: float, words: str, points: float, *, ha: str = "center") -> None:
    if words:
        ax.text(x, y, words, ha=ha, va="center", fontsize=WORDS * points, color=SOFT, style="italic",
                zorder=2, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5 * points})  # fmt: skip


def write_route(path: "Path | str") -> None:
    """Write the picture as a PNG of 880 pixels width; 32 colours are enough for lines and letters."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    canvas = FigureCanvasAgg(figure)
    draw_route(figure.add_axes((0, 0, 1, 1)))
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    pixels.quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    import sys

    write_route(sys.argv[1] if len(sys.argv) > 1 else "docs/route.png")
