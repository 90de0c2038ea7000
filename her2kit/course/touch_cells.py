"""Sliders over cells: how sure a detector must be, where the 10 % line lies, what is called complete."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from her2kit.cells.grade import INTENSE_OD, grade_cells
from her2kit.cells.matching import match_points
from her2kit.course import touch_pictures as draw
from her2kit.course.data import densest_field
from her2kit.course.touch_widget import Step, Touch, nearest
from her2kit.learning.point_evaluation import HIT_UM
from her2kit.report import detect_plots, plots
from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import guideline_of, slide_score
from her2kit.scoring.result import SlideScore
from her2kit.scoring.rules import above_tenth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from her2kit.cells.network import CellNetwork
    from her2kit.learning.point_boxes import LabelledPicture

INTENSE = tuple(np.round(np.arange(0.25, 0.801, 0.05), 2).tolist())
"""OD from which a membrane is called intense; `INTENSE_OD` is the kit's."""
BOTH = {"breast-asco-cap-2018": "Breast, ASCO/CAP 2018", "gastric-resection": "Stomach, resection"}
"""Guidelines with a 10 % line."""


def confidence(
    picture: "LabelledPicture",
    network: "CellNetwork",
    swept: pd.DataFrame,
    *,
    chosen: float | None = None,
    side_px: int = 160,
) -> Touch:
    """Return a slider over a detector's least confidence: what it finds, misses and invents.

    Parameters
    ----------
    picture
        With its true cells; the square of ``side_px`` that holds most of them is shown.
    swept
        `point_evaluation.sweep` over all pictures that judge: its index are the steps.
    chosen
        The confidence that is kept; where the slider begins.
    """
    truth = picture.boxes[:, 1:3]
    corner = np.array(densest_field(pd.DataFrame(truth, columns=["x_px0", "y_px0"]), side_px0=side_px))
    corner = np.maximum(np.minimum(corner, np.array(picture.pixels.shape[1::-1]) - side_px), 0)
    x, y = corner.tolist()
    pixels = picture.pixels[y : y + side_px, x : x + side_px]
    everything = replace(network, confidence=float(swept.index.min())).boxes(picture.pixels, mpp=picture.mpp)
    steps = []
    for least in swept.index:
        points = everything.at_least(least).xywh[:, :2]
        pairs = match_points(truth, points, max_distance=HIT_UM / picture.mpp)
        kinds = (
            truth[pairs.truth_index],
            np.delete(truth, pairs.truth_index, axis=0),
            np.delete(points, pairs.found_index, axis=0),
        )
        here = [xy[((xy >= corner) & (xy < corner + side_px)).all(axis=1)] - corner for xy in kinds]
        found, missed, invented = map(len, here)
        words = (
            f"Here {found} of {found + missed} cells are found, {missed} missed, {invented} invented. "
            f"F1 of points on all slides that judge: {swept.loc[least, 'f1']:.2f}."
        )
        radius_px = HIT_UM / picture.mpp
        steps.append(Step(f"confidence {least:.2f}", words,
                          partial(_detected, pixels, here, radius_px, swept, least)))  # fmt: skip
    first = nearest(swept.index, 0.5 if chosen is None else chosen)
    later = nearest(swept.index, (1 + swept.index[first]) / 2)
    still = [0, first or later // 2, later]
    panels = [(3.9, 4.1), (4.2, 3.2)]
    return Touch(
        "least confidence of a cell", steps, panels=panels, first=first, still=still, still_panels=[0]
    )


def ten_percent_line(n: int = 400) -> Touch:
    """Return a slider over complete and intense cells from 5 to 15 % of ``n``: score and rule that follow.

    All other cells are unstained. Around the line every cell is a step of its own.
    """
    line = above_tenth(n)
    counts = sorted({n * percent // 100 for percent in range(5, 16)} | {line - 2, line - 1, line, line + 1})
    steps = []
    for intense in counts:
        cells = Counts(n - intense, 0, 0, intense, ci=intense, cw=0, im=0)
        scores, words = {}, ""
        for guideline, name in BOTH.items():
            found = slide_score(cells, guideline)
            fired = next(rule for rule in reversed(found.trace) if rule["fired"])
            scores[name] = (str(found.score), fired["rule"].replace(">=", "≥"))
            words = words or fired["words"]
        said = "; ".join(f"{name}: {score}" for name, (score, _) in scores.items())
        label = f"{intense:,} of {n:,}: {100 * intense / n:.2f} %"
        steps.append(Step(label, f"{said}. {words}", partial(_tenth, n, intense, scores)))
    still = [0, counts.index(line - 1), counts.index(line)]
    return Touch(
        "complete and intense cells", steps, panels=[(3.6, 3.4), (4, 2.2)], first=still[1], still=still
    )


def membrane_threshold(
    pixels: np.ndarray,
    cells: pd.DataFrame,
    corner: tuple[float, float],
    *,
    guideline: str,
    mpp: float,
    tumour_known: bool,
    values: Sequence[float] = INTENSE,
) -> Touch:
    """Return a slider over the OD from which a membrane is intense; the other cut-offs keep step with it.

    Cells are graded anew with all cut-offs times one factor, and the slide is scored anew.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3): a field at level 0.
    cells
        The slide's cell table, measured.
    corner
        Level-0 corner (x, y) of the field.
    guideline, mpp, tumour_known
        As in `slide_score`.
    """
    steps, scheme = [], guideline_of(guideline).scheme
    for cut in values:
        scaled = cells.assign(dab_od=cells["dab_od"] * (INTENSE_OD / cut))
        graded = grade_cells(scaled, scheme=scheme)
        found = slide_score(graded, guideline, mpp=mpp, tumour_known=tumour_known)
        fired = next((rule["words"] for rule in reversed(found.trace) if rule["fired"]), "")
        words = f"Score of the slide: {found.score or 'none'}. {fired}".strip()
        draws = partial(_regraded, pixels, graded, corner, found)
        steps.append(Step(f"intense from OD {cut:.2f}", words, draws))
    first = nearest(values, INTENSE_OD)
    still = [nearest(values, 0.3), first, len(values) - 1]
    panels = [(4.2, 4.2), (4, 3)]
    return Touch("cut-offs of membrane stain", steps, panels=panels, first=first, still=still)


def _detected(
    pixels: np.ndarray,
    kinds: Sequence[np.ndarray],
    radius_px: float,
    swept: pd.DataFrame,
    least: float,
    axes: "Sequence[Axes]",
) -> None:
    found, missed, invented = kinds
    draw.points_on_picture(pixels, found, missed, invented, axes[0], radius_px=radius_px,
                           title=f"F1 on all slides {swept.loc[least, 'f1']:.2f}")  # fmt: skip
    detect_plots.confidence_sweep(swept, axes[1], at=least)


def _tenth(n: int, intense: int, scores: Mapping[str, tuple[str, str]], axes: "Sequence[Axes]") -> None:
    draw.tenth_of_cells(n, intense, axes[0])
    draw.verdicts(scores, axes[1])


def _regraded(
    pixels: np.ndarray,
    cells: pd.DataFrame,
    corner: tuple[float, float],
    found: SlideScore,
    axes: "Sequence[Axes]",
) -> None:
    plots.cells_on_picture(pixels, cells, axes[0], x_px0=corner[0], y_px0=corner[1])
    height, width = pixels.shape[:2]
    axes[0].set(xlim=(0, width), ylim=(height, 0))
    draw.shares_of_classes(found.counts, axes[1], title=f"the slide's score: {found.score or 'none'}")
