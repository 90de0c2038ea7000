"""From a detector's raw answer to cells: one class a place, a least confidence, one box a cell.

A YOLO answers every place of three grids with a box and a score a class. Here the best class of a place is
taken, weak ones are dropped, and of boxes that overlap only the best is kept, whatever their classes: a cell
has one. There is no upper number of boxes: ultralytics keeps 300 by default, and a field of 0.26 mm2 holds
more than 1,500 nuclei.
"""

from dataclasses import dataclass

import cv2
import numpy as np

CONFIDENCE, OVERLAP = 0.25, 0.3
"""Least score, and intersection over union above which two boxes are one cell; a card may say otherwise."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """The cells of one picture, in order of their place (top, then left)."""

    xywh: np.ndarray
    """float32 (n, 4): centre x and y, width, height, in pixels; the centre of the first pixel is at 0.5."""
    score: np.ndarray
    """float32 (n,), 0 to 1: of the best class."""
    label: np.ndarray
    """int64 (n,): number of that class."""

    def __len__(self) -> int:
        return len(self.score)

    def at_least(self, confidence: float) -> "Boxes":
        """Return those with this score or more."""
        return self.rows(self.score >= confidence)

    def rows(self, which: np.ndarray) -> "Boxes":
        """Return some of the boxes."""
        return Boxes(self.xywh[which], self.score[which], self.label[which])


def boxes_of(answer: np.ndarray, *, confidence: float = CONFIDENCE, overlap: float = OVERLAP) -> Boxes:
    """Return the cells of a detector's answer for one picture.

    Parameters
    ----------
    answer
        float32 (4 + classes, places): centre x and y, width and height in pixels, then a score a class.
    confidence
        Least score, above 0.
    overlap
        Intersection over union, 0..1, above which the weaker of two boxes is dropped.

    Raises
    ------
    ValueError
        If ``answer`` has another shape, or a number is out of range.
    """
    if answer.ndim != 2 or answer.shape[0] < 5:
        raise ValueError(f"answer has shape {answer.shape}; give (4 + classes, places) of one picture")
    if not 0 < confidence < 1 or not 0 <= overlap <= 1:
        raise ValueError(
            f"confidence={confidence}, overlap={overlap}; give a share above 0, and one from 0 to 1"
        )
    scores = answer[4:]
    best = scores.max(axis=0)
    strong = np.flatnonzero(best >= confidence)
    xywh, score = answer[:4, strong].T, best[strong]
    label = scores[:, strong].argmax(axis=0)
    kept = suppressed(xywh, score, overlap=overlap)
    order = kept[np.lexsort((xywh[kept, 0], xywh[kept, 1]))]
    return Boxes(np.ascontiguousarray(xywh[order]), score[order], label[order])


def suppressed(xywh: np.ndarray, score: np.ndarray, *, overlap: float) -> np.ndarray:
    """Return which boxes stay, int64 (k,), best first, by greedy non-maximum suppression."""
    if not len(score):
        return np.zeros(0, np.int64)
    order = np.argsort(-score, kind="stable")
    corners = np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, 2:]], axis=1)[order]
    # OpenCV sorts by score; ranks instead of scores make its order ours, also among equals.
    ranks = np.linspace(1, 0.5, len(order))
    kept = cv2.dnn.NMSBoxes(corners.astype(float).tolist(), ranks.tolist(), 0.0, overlap)
    return order[np.asarray(kept, np.int64).reshape(-1)]
