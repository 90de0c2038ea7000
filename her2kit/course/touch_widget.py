"""A slider over pictures that were drawn before: sliding is instant and asks no kernel; arrow keys do it.

One picture a value, drawn by matplotlib in the kernel and sent once. Nothing is fetched. Where nobody can
slide (papermill, a rendered notebook) three values stand side by side in its place.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from her2kit.labels.crops import jpeg
from her2kit.labels.reading_widget import ReadingWidget, with_shared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIVE_DPI, STILL_DPI = 144, 72
"""A live picture is shown at about half its pixels; a still one is small, as it stays in the notebook."""
STILL_WIDTH = 6.0
"""Of the three values side by side, in inches."""
STILL_COLOURS = 24
_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True)
class Step:
    """One place of the slider."""

    label: str
    """The value with its unit."""
    words: str
    """What to read off here; said by a screen reader after the label."""
    draw: "Callable[[Sequence[Axes]], None]"
    """Draws into the panels, one axes each."""


class Touch(ReadingWidget):
    """A slider over steps.

    Parameters
    ----------
    name
        What is moved, in words.
    steps
        From left to right.
    panels
        Width and height of each panel in inches: side by side when live, below each other when still.
    first
        Number of the step that is shown first.
    still
        Numbers of the three steps that stand in where nobody can slide.
    still_panels
        Which panels stand there; None takes all.
    """

    _esm = with_shared(Path(__file__).with_suffix(".js"))
    _css = with_shared(Path(__file__).with_suffix(".css"))
    about = traitlets.Dict().tag(sync=True)
    """What does not change: name, labels, words."""
    place = traitlets.Int().tag(sync=True)
    """Number of the step that is shown."""
    pictures: traitlets.List = traitlets.List().tag(sync=True)
    """One JPEG a step; empty until a front end may be listening."""

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        *,
        panels: Sequence[tuple[float, float]],
        first: int,
        still: Sequence[int],
        still_panels: Sequence[int] | None = None,
    ) -> None:
        self._steps, self._panels, self._still = list(steps), list(panels), list(still)
        self._still_panels = list(range(len(panels)) if still_panels is None else still_panels)
        about = {"name": name, "labels": [s.label for s in steps], "words": [s.words for s in steps]}
        super().__init__(about=about, place=first)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        """Draw the pictures once somebody may slide, and return the widget with its still picture."""
        bundle, metadata = super()._repr_mimebundle_(**options)
        if _VIEW in bundle and not self.pictures:
            self.pictures = [jpeg(self.picture(i)) for i in range(len(self._steps))]
        return bundle, metadata

    def picture(self, place: int) -> np.ndarray:
        """Return what one step shows, uint8 RGB (h, w, 3)."""
        widths = [wide for wide, _ in self._panels]
        highest = max(high for _, high in self._panels)
        figure = _figure(sum(widths), highest, LIVE_DPI)
        columns = figure.add_gridspec(1, len(widths), width_ratios=widths)
        axes = []
        for (_, high), column in zip(self._panels, columns, strict=True):
            aside = max((highest - high) / 2, 1e-3)
            axes.append(figure.add_subplot(column.subgridspec(3, 1, height_ratios=(aside, high, aside))[1]))
        self._steps[place].draw(axes)
        return _pixels(figure)

    def still(self) -> tuple[bytes, str]:
        """Return three steps side by side, a PNG, and words."""
        from PIL import Image

        shown = [self._panels[k] for k in self._still_panels]
        column = STILL_WIDTH / len(self._still)
        heights = [column * high / wide for wide, high in shown]
        figure = _figure(STILL_WIDTH, sum(heights) + 0.3, STILL_DPI)
        axes = figure.subplots(len(shown), len(self._still), height_ratios=heights, squeeze=False)
        spare = _figure(1, 1, STILL_DPI).subplots(1, len(self._panels), squeeze=False)[0]
        for place, below in zip(self._still, axes.T, strict=True):
            given = list(spare)
            for k, ax in zip(self._still_panels, below, strict=True):
                given[k] = ax
            self._steps[place].draw(given)
        _say_once(figure, axes, [self._steps[place].label for place in self._still])
        picture = Image.fromarray(_pixels(figure))
        small = picture.quantize(STILL_COLOURS, Image.Quantize.MEDIANCUT, 2, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        small.save(buffer, "PNG", optimize=True)
        labels = self.about["labels"]
        return buffer.getvalue(), f"{self.about['name']}: {labels[0]} to {labels[-1]}, {len(labels)} steps"


def _say_once(figure: Any, axes: np.ndarray, labels: Sequence[str]) -> None:
    """Head the columns with their labels, and say what all columns of a row have in common at its left."""
    for number, row in enumerate(axes):
        titles = [ax.get_title(loc="left") for ax in row]
        same = len(set(titles)) == 1
        for ax, title, label in zip(row, titles, labels, strict=True):
            words = [label] if number == 0 else []
            ax.set_title("\n".join([*words, *([] if same else [title])]), loc="left", fontsize=9.5)
        if same and not row[0].get_ylabel():
            row[0].set_ylabel(titles[0], fontsize=9)
        for ax in row[1:]:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        legends = [legend for legend in (ax.get_legend() for ax in row) if legend]
        if legends:
            handles, words = legends[0].legend_handles, [text.get_text() for text in legends[0].get_texts()]
            figure.legend(
                handles, words, loc="outside lower center", ncols=len(words), frameon=False, fontsize=9
            )
            for legend in legends:
                legend.remove()


def nearest(values: Iterable[float], wanted: float) -> int:
    """Return the number of the value nearest to ``wanted``."""
    return int(np.abs(np.array(list(values), float) - wanted).argmin())


def _figure(width: float, height: float, dpi: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="compressed")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
