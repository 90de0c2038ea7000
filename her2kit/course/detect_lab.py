"""What notebook 09 and its benchmark share: slides with known cells, labels before and after a review,
judging.

Five classes: the four grades of tumour cells, and ``other`` for all that is no tumour cell. R1 has no fifth
one, so that stroma and normal glands would enter its percentages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.boxes import Boxes
from her2kit.cells.detect import find_cells, fit_cells
from her2kit.cells.grade import grade_cells
from her2kit.cells.network import CellNetwork, load_cell_network, shipped_path
from her2kit.cells.table import CLASSES
from her2kit.course.data import phantom_cohort
from her2kit.exchange.parquet import read_table
from her2kit.labels.autolabel import OTHER as NO_TUMOUR
from her2kit.labels.autolabel import calls_of_membranes, patch_rule
from her2kit.labels.simulated_readers import neighbour_reader, reviewed
from her2kit.learning.cell_detector import CellDetector, DetectorSettings, train
from her2kit.learning.detection_change import Change
from her2kit.learning.detector_export import export_detector
from her2kit.learning.point_boxes import LabelledPicture, labelled
from her2kit.learning.point_evaluation import PointCounts, PointReport, report
from her2kit.learning.train_settings import TrainSettings
from her2kit.scoring.guideline import GUIDELINES
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point

GRADES = tuple(str(c) for c in CLASSES)
OTHER = "other"
NAMES = (*GRADES, OTHER)

LEARNED = ("3+", "0-null", "2+", "1+", "borderline-3+", "ultralow", "2+", "borderline-9", "1+")
CHOSEN = ("borderline-3+", "1+")
HELD_OUT = ("3+", "0-null", "2+", "1+")
"""Cases of the slides that are trained on, that choose the epoch, and that judge: one of each score."""
LESSON = DetectorSettings(
    side_px=256, multi_scale=(224, 288), crops=16, change=Change(scale=1.15), cls=2.0, frozen=0
)
TRAINING = TrainSettings(
    epochs=12, batch_size=8, lr=2e-3, weight_decay=5e-4, warmup=0.1, monitor="macro_f1", progress=False
)
"""The defaults of notebook 09."""
SHARE, RIGHT = 0.8, 0.95
"""Share of the tumour cells that the simulated reader reads, and how often the reader is right."""


@dataclass(frozen=True, slots=True)
class GradedSlide:
    """A phantom slide at one mpp, its boxes with true classes, and the cells that they stand for."""

    path: Path
    site: str
    score: str
    """Planted score of the slide: the class that a patch of it would get."""
    picture: LabelledPicture
    """Boxes of the planted cells, class numbers of `NAMES`."""
    cells: pd.DataFrame
    """The planted cells, one row a box, in their order."""

    @property
    def truth(self) -> np.ndarray:
        """Class number of each cell, int64 (n,)."""
        return self.picture.boxes[:, 0].astype(int)

    def labelled_as(self, labels: np.ndarray) -> LabelledPicture:
        """Return the picture with other classes: numbers of `NAMES`, one a cell."""
        boxes = self.picture.boxes.copy()
        boxes[:, 0] = labels
        return replace(self.picture, boxes=boxes)


@dataclass(frozen=True, slots=True)
class Lesson:
    """The slides of one lesson."""

    learned: list[GradedSlide]
    chosen: list[GradedSlide]
    held_out: list[GradedSlide]


def lesson_slides(
    *,
    seed: int,
    size_px: int = 1280,
    mpp: float = 0.5,
    each: int = 1,
    folder: str | Path = "../data/notebooks",
) -> Lesson:
    """Make the phantoms of a lesson, drawn at 0.25 um/px, and read them at ``mpp``.

    Parameters
    ----------
    size_px
        Side of a slide at 0.25 um/px.
    each
        Only every n-th of the slides that are learned; 1 takes all.
    """
    learned = LEARNED[::each]
    cases = [*learned, *CHOSEN, *HELD_OUT]
    cohort = phantom_cohort(
        slides=len(cases), seed=seed, size_px=size_px, mpp=0.25, sites=2, cases=cases, folder=folder
    )
    slides = graded_slides(cohort, mpp=mpp)
    n = len(learned)
    return Lesson(slides[:n], slides[n : n + len(CHOSEN)], slides[n + len(CHOSEN) :])


def graded_slides(cohort: pd.DataFrame, *, mpp: float) -> list[GradedSlide]:
    """Read the slides of a phantom cohort (a manifest) with their planted cells."""
    out = []
    for row in cohort.itertuples():
        path = Path(row.path)
        cells = read_table(path.parents[1] / "truth" / row.slide_id / "cells.parquet")
        with open_slide(path) as slide:
            scale = slide.scale_at(mpp)
            width, height = int(slide.width_px0 / scale), int(slide.height_px0 / scale)
            pixels = slide.read(0, 0, width, height, mpp=mpp).pixels
        cells = cells.assign(x_px=cells["x_px0"] / scale, y_px=cells["y_px0"] / scale)
        cells = cells[(cells["x_px"] < width) & (cells["y_px"] < height)].reset_index(drop=True)
        tumour = (cells["cell_type"] == "tumour").to_numpy()
        grade = cells["cell_class"].astype(object).where(cells["cell_class"].notna(), "0")
        cells["grade"] = grade.astype(str).where(tumour, OTHER)
        picture = labelled(pixels, cells, mpp=mpp, class_names=NAMES, column="grade")
        out.append(GradedSlide(path, row.site, str(row.label), picture, cells))
    return out


def squares(picture: LabelledPicture, side_px: int) -> list[LabelledPicture]:
    """Cut a picture into whole squares; what is left at the right and below is dropped."""
    height, width = picture.pixels.shape[:2]
    out = []
    for top in range(0, height - side_px + 1, side_px):
        for left in range(0, width - side_px + 1, side_px):
            boxes = picture.boxes - np.array([0, left, top, 0, 0], np.float32)
            inside = ((boxes[:, 1:3] >= 0) & (boxes[:, 1:3] < side_px)).all(axis=1)
            pixels = picture.pixels[top : top + side_px, left : left + side_px]
            out.append(LabelledPicture(np.ascontiguousarray(pixels), boxes[inside], picture.mpp))
    return out


def fullest(picture: LabelledPicture, side_px: int) -> LabelledPicture:
    """Return the square with most tumour cells."""
    return max(squares(picture, side_px), key=lambda one: int((one.boxes[:, 0] < len(GRADES)).sum()))


def before_review(slide: GradedSlide) -> np.ndarray:
    """Return R1's labels, int64 (n,): what the slide's class and a stained membrane say."""
    calls = calls_of_membranes(slide.cells)
    label = patch_rule(calls, pd.Series(slide.score, index=slide.cells.index))
    return np.array([NAMES.index(name) for name in label.where(calls != NO_TUMOUR, OTHER)])


def after_review(
    slide: GradedSlide, labels: np.ndarray, *, share: float, right: float, seed: int
) -> np.ndarray:
    """Return labels of which a reader has seen a random share.

    Parameters
    ----------
    share
        Of the tumour cells that are read, 0..1.
    right
        Probability that the reader names the true class; otherwise one class off.
    seed
        Of order and errors.
    """
    tumour = np.flatnonzero(slide.truth < len(GRADES))
    readings = neighbour_reader("reader", right).read(slide.truth[tumour], seed=seed)
    order = np.random.default_rng([seed, 1]).permutation(len(tumour))
    out = labels.copy()
    out[tumour] = reviewed(labels[tumour], readings, order, round(share * len(tumour)))
    return out


def taught(
    lesson: Lesson,
    labels: Sequence[np.ndarray],
    folder: Path,
    *,
    start: str | Path | None,
    detector: DetectorSettings = LESSON,
    settings: TrainSettings = TRAINING,
) -> tuple[CellDetector, CellNetwork]:
    """Train a detector that grades, from a start, on labels of the learned slides; export and load it.

    Parameters
    ----------
    labels
        Class numbers of each slide's cells. The epoch is chosen on true grades of the chosen slides.
    """
    pictures = [s.labelled_as(one) for s, one in zip(lesson.learned, labels, strict=True)]
    held = [piece for s in lesson.chosen for piece in squares(s.picture, detector.side_px)]
    found = train(pictures, held, NAMES, folder=folder, settings=settings, detector=detector, start=start)
    export_detector(found.net, found.card, folder / "grades.onnx")
    return found, load_cell_network(folder / "grades.onnx")


def lesson_figures(
    *, seed: int, folder: Path, start: str | Path | None = None, before: bool = True, **changes: Any
) -> dict[str, float]:
    """Run the lesson with other slides and another training: what the benchmark repeats over seeds.

    Parameters
    ----------
    before
        Also train on the labels before the review, and measure membranes of located cells.
    changes
        Of `LESSON`.
    """
    start = shipped_path() if start is None else start
    lesson = lesson_slides(seed=seed, folder=folder)
    settings, detector = replace(TRAINING, seed=seed), replace(LESSON, **changes)
    first = [before_review(s) for s in lesson.learned]
    read = [
        after_review(s, one, share=SHARE, right=RIGHT, seed=seed + i)
        for i, (s, one) in enumerate(zip(lesson.learned, first, strict=True))
    ]
    given: dict[str, Any] = {"start": start, "settings": settings, "detector": detector}
    _, network = taught(lesson, read, folder / "after", **given)
    after = graded_report(detected(lesson.held_out, network)).figures
    out = {"f1": after["f1"], "pq": after["pq"], "after_macro_f1": after["macro_f1"]}
    if before:
        _, network = taught(lesson, first, folder / "before", **given)
        out["before_macro_f1"] = graded_report(detected(lesson.held_out, network)).figures["macro_f1"]
        located = measured(lesson.held_out, load_cell_network(start))
        out["membrane_macro_f1"] = graded_report(located).figures["macro_f1"]
    return out


def points_of(slide: GradedSlide, found: Boxes) -> PointCounts:
    """Return a slide's true points beside those of a detector, in um."""
    picture = slide.picture
    height, width = picture.pixels.shape[:2]
    return PointCounts.of(
        picture.boxes[:, 1:3] * picture.mpp,
        slide.truth,
        found.xywh[:, :2] * picture.mpp,
        found.label,
        found.score,
        area_mm2=height * width * picture.mpp**2 / 1e6,
    )


def detected(slides: Sequence[GradedSlide], network: CellNetwork) -> list[PointCounts]:
    """Return what a network that grades finds on each slide."""
    return [points_of(s, network.boxes(s.picture.pixels, mpp=s.picture.mpp)) for s in slides]


def measured(slides: Sequence[GradedSlide], network: CellNetwork | None) -> list[PointCounts]:
    """Return what the kit's own way finds: cells located, by a network or classically, membranes measured.

    Which cells are tumour is told by their kind, as in scoring; cells that are not evaluable are graded 0.
    """
    scheme = GUIDELINES["breast-asco-cap-2018"].scheme
    out = []
    for one in slides:
        with open_slide(one.path) as slide:
            white = find_white_point(slide)
            tissue = find_tissue(slide, white)
            fit = fit_cells(slide, tissue, white, mpp=float(slide.mpp or 0), network=network)
            cells = find_cells(slide, tissue, fit, threads=1)
        graded = grade_cells(cells, scheme=scheme)["cell_class"].astype(object)
        grade = graded.where(graded.notna(), "0").astype(str)
        names = grade.where((cells["cell_type"] == "tumour").to_numpy(), OTHER)
        label = np.array([NAMES.index(name) for name in names], int)
        xy = cells[["x_px0", "y_px0"]].to_numpy() * (float(slide.mpp or 0) / one.picture.mpp)
        boxes = Boxes(np.c_[xy, np.ones_like(xy)], cells["confidence"].to_numpy(float), label)
        out.append(points_of(one, boxes))
    return out


def graded_report(points: Sequence[PointCounts], *, confidence: float = 0.0) -> PointReport:
    """Judge points; ``macro_f1`` is over the four grades alone, ``other`` stands in the table."""
    found = report(points, NAMES, confidence=confidence)
    grades = found.per_class.loc[list(GRADES), "f1"]
    return replace(found, figures=found.figures | {"macro_f1": float(grades.mean())})


def numbers(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return figures as results hold them: None where there is no number, as where nothing was found."""
    return {name: float(value) if np.isfinite(value) else None for name, value in figures.items()}


def table_of(reports: dict[str, PointReport]) -> pd.DataFrame:
    """Return one row a report: DQ, CQ, PQ, macro-F1 of the grades, F1 of each class, distance of centres."""
    rows = {}
    for name, one in reports.items():
        f = one.figures
        rows[name] = {
            "DQ": f["f1"], "CQ": f["cq"], "PQ": f["pq"], "macro-F1": f["macro_f1"],
            **{f"F1 {c}": v for c, v in one.per_class["f1"].items()}, "centre um": f["centre_um"],
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").round(2)
