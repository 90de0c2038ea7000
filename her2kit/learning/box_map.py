"""COCO's mean average precision of boxes, counted by pycocotools; fields with thousands of cells are not cut.

R1 chose its weights by mAP50-95. For cells it says little: a box of stated size has no true border, so that
an overlap of 95 % is asked of a square that somebody drew around a point. Points are judged by
`her2kit.learning.point_evaluation`.

References
----------
Lin TY et al. Microsoft COCO: common objects in context. ECCV 2014.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from her2kit.cells.boxes import Boxes
from her2kit.learning.point_boxes import LabelledPicture

MOST = 100_000
"""Boxes a picture; COCO's own 100 is fewer than a tile has cells."""


def box_map(
    pictures: Sequence[LabelledPicture], found: Sequence[Boxes], class_names: Sequence[str]
) -> dict[str, float]:
    """Return ``map`` (IoU .50 to .95), ``map50``, ``map75`` and ``map <class>``; nan where a class has no
    box.

    Parameters
    ----------
    pictures, found
        The truth and what a detector found in each, with any confidence: the curve is over all of them.
    class_names
        In the order of the class numbers.
    """
    if len(pictures) != len(found):
        raise ValueError(f"{len(pictures)} pictures and {len(found)} answers; give one a picture")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: list[dict] = []
    said: list[dict] = []
    for number, (picture, boxes) in enumerate(zip(pictures, found, strict=True)):
        for label, *xywh in picture.boxes.astype(float).tolist():
            truth.append(_entry(number, int(label), xywh) | {"iscrowd": 0, "id": len(truth) + 1})
        for label, xywh, score in zip(boxes.label, boxes.xywh.astype(float), boxes.score, strict=True):
            said.append(_entry(number, int(label), xywh.tolist()) | {"score": float(score)})
    names = [f"map {name}" for name in class_names]
    if not said or not truth:
        value = 0.0 if truth else float("nan")
        return dict.fromkeys(["map", "map50", "map75", *names], value)
    with contextlib.redirect_stdout(io.StringIO()):  # the library reports its steps by print
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(len(pictures))],
            "categories": [{"id": i, "name": name} for i, name in enumerate(class_names)],
            "annotations": truth,
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(said), "bbox")
        run.params.maxDets = [1, 100, MOST]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class
    precision = np.where(precision < 0, np.nan, precision)
    by_iou = {"map": precision, "map50": precision[:1], "map75": precision[5:6]}
    by_class = {name: precision[:, :, i] for i, name in enumerate(names)}
    return {name: _mean(values) for name, values in (by_iou | by_class).items()}


def _entry(picture: int, label: int, xywh: list[float]) -> dict:
    x, y, w, h = xywh
    return {"image_id": picture, "category_id": label, "bbox": [x - w / 2, y - h / 2, w, h], "area": w * h}


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
