"""Exercises of notebook 04: right answers pass, wrong ones get a hint, none of them the answer."""

import pandas as pd
import pytest

from her2kit.course.exercises_tissue import check_area_mm2, check_f1, check_pdl1
from her2kit.course.judging import OPEN, RIGHT

NAMES = ["a", "b"]
CONFUSION = pd.DataFrame([[3, 1], [5, 1]], index=NAMES, columns=NAMES)
"""Of a: recall 3/4, precision 3/8, F1 1/2, their plain mean 9/16."""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        (0.5, RIGHT),
        (0.75, "recall or precision alone"),
        (0.375, "recall or precision alone"),
        (0.5625, "harmonic"),
        (0.1, "twice the hits"),
        ("0.5", "between 0 and 1"),
        (50, "between 0 and 1"),
    ],
)
def test_f1(answer, said):
    assert said in check_f1(CONFUSION, name="a", answer=answer)


def test_f1_of_a_class_that_is_never_found():
    never = pd.DataFrame([[0, 4], [0, 6]], index=NAMES, columns=NAMES)
    assert check_f1(never, name="a", answer=0) == RIGHT
    assert "twice the hits" in check_f1(never, name="a", answer=0.4)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        (1.024, RIGHT),
        (1024, "million"),
        (1_024_000, "million"),
        (16, "one side"),
        ("1", "square millimetres"),
    ],
)
def test_area(answer, said):
    assert said in check_area_mm2(tiles=250, side_px=128, mpp=0.5, answer=answer)


@pytest.mark.parametrize(
    ("tps", "cps", "said"),
    [
        (..., 100, OPEN),
        (45, ..., OPEN),
        (45, 100, RIGHT),
        (45, 110, "largest value"),
        (45, 66.7, "below it"),
        (27.3, 100, "TPS is a percentage"),
        ("45", 100, "TPS is a percentage"),
    ],
)
def test_pdl1(tps, cps, said):
    answer = {"TPS": tps, "CPS": cps}
    assert said in check_pdl1(tumour=200, positive_tumour=90, positive_immune=130, answer=answer)
