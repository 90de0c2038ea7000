"""Notebook 09's exercises: the right answer passes, a likely slip gets its own hint."""

import pytest

from her2kit.course.exercises_detect import check_box_px, check_quality, check_side
from her2kit.course.judging import OPEN, RIGHT


@pytest.mark.parametrize(
    ("answer", "words"), [(..., OPEN), (32, RIGHT), (2, "Turned over"), (16, "Not yet"), ("x", "number")]
)
def test_box(answer, words):
    assert words in check_box_px(box_um=8, mpp=0.25, answer=answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(..., OPEN), (288, RIGHT), (300, "multiple of 32"), (320, "not the nearest"), (True, "number")],
)
def test_side(answer, words):
    assert words in check_side(side_px=300, stride=32, answer=answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (..., OPEN),
        ((0.8, 0.6), RIGHT),
        ((0.8, 0.7), "DQ is right"),
        ((0.4, 0.3), "Not yet"),
        ((80 / 90, 0.6), "recall"),
        (0.8, "two numbers"),
    ],
)
def test_quality(answer, words):
    given = {"n_true": 90, "n_found": 110, "n_hits": 80, "n_right": 60}
    assert words in check_quality(**given, answer=answer)
