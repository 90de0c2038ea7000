"""Exercises of notebook 05: right answers pass, wrong ones get a hint, none of them the answer."""

import numpy as np
import pytest

from her2kit.course.exercises_segmentation import check_dice, check_kept, check_pairs
from her2kit.course.judging import OPEN, RIGHT

TRUTH = np.zeros((4, 5), bool)
TRUTH[1:3, 1:4] = True
PREDICTED = np.zeros((4, 5), bool)
PREDICTED[1:4, 2:4] = True


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        (2 / 3, RIGHT),
        (0.5, "IoU"),
        (0.8, "accuracy"),
        (0.3, "Not yet"),
        ("x", "number"),
        (True, "number"),
    ],
)
def test_dice(answer, said):
    assert said in check_dice(TRUTH, PREDICTED, answer=answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        (128**2 * 16**2, RIGHT),
        (128**4, "all with all"),
        (128**4 / 8, "both sides"),
        (5, "Not yet"),
    ],
)
def test_pairs(answer, said):
    assert said in check_pairs(side_px=512, token_px=4, shrink=8, answer=answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(..., OPEN), (3, RIGHT), (4, "all pixels"), (1, "do not count"), (2, "Not yet"), (3.0, "whole")],
)
def test_kept(answer, said):
    assert said in check_kept(np.array([[0, 1], [2, 2]], np.uint8), unannotated=0, answer=answer)
