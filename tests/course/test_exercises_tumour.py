"""Notebook 12's exercises: open, right, and each wrong way with its own hint."""

import numpy as np
import pytest

from her2kit.course.exercises_tumour import check_axis, check_level, check_tolerance_px, check_total
from her2kit.course.judging import OPEN, RIGHT

BOARD = np.zeros((6, 14), bool)
BOARD[2:4, 1:9] = True
BOARD[3, 11:13] = True
LEVEL = {"slide_mpp": 0.25, "mpp": 3.536}
LENGTH = {"axis_um": 400, "mpp": 7.072}
TOTAL = {"auc": 0.96, "within": 31, "tumours": 50}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (..., OPEN),
        (3, RIGHT),
        (4, "larger pixels"),
        (2, "a coarser level is, too"),
        (3.5, "whole"),
        (True, "whole"),
    ],
)
def test_level(answer, words):
    assert words in check_level(**LEVEL, answer=answer)


def test_a_level_of_just_that_size_is_right():
    assert check_level(slide_mpp=0.221, mpp=3.536, answer=4) == RIGHT


@pytest.mark.parametrize(
    ("answer", "words"),
    [(..., OPEN), (2.83, RIGHT), (20, "micrometres"), (56.6, "twentieth"), ("3", "a number")],
)
def test_tolerance(answer, words):
    assert words in check_tolerance_px(**LENGTH, answer=answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (..., OPEN),
        (81, RIGHT),
        (120, "largest part alone"),
        (8.1, "Those are pixels"),
        (30, "farthest"),
        ("x", "number"),
    ],
)
def test_axis(answer, words):
    assert words in check_axis(BOARD, mpp=10, answer=answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(..., OPEN), (0.79, RIGHT), (0.5952, "mean of the two"), (0.96, "share"), (79, "0 to 1")],
)
def test_total(answer, words):
    assert words in check_total(**TOTAL, answer=answer)
