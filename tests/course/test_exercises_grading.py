"""Exercises of notebook 06: open answers, right ones, and hints that do not give the answer away."""

import pandas as pd
import pytest

from her2kit.course.exercises_grading import check_calibration, check_runs, check_tile_grade
from her2kit.course.judging import OPEN, RIGHT

SHARES = {"complete_intense": 0.08, "complete_weaker": 0.05, "incomplete_strong": 0.02, "stained": 0.6}
GRID = {"a": [1, 2, 3], "b": [1, 2]}
BINS = pd.DataFrame({"confidence": [0.6, 0.9], "accuracy": [0.7, 0.8], "n": [10, 30]})


@pytest.mark.parametrize(
    ("answer", "said"),
    [(..., OPEN), ("2+", RIGHT), ("3+", "Too high"), ("1+", "Too low"), ("4+", "is no class")],
)
def test_the_class_of_a_tile(answer, said):
    assert said in check_tile_grade(SHARES, answer=answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(..., OPEN), (18, RIGHT), (6, "every seed"), (5, "added"), (15, "added"), (7, "pick")],
)
def test_the_runs_of_a_grid(answer, said):
    assert said in check_runs(GRID, seeds=3, answer=answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        (0.1, RIGHT),
        (0.05, "does not make up"),
        (0.4, "without its sign"),
        ("x", "Give a number"),
    ],
)
def test_the_calibration_error(answer, said):
    assert said in check_calibration(BINS, answer=answer)


def test_unweighted_bins_get_their_own_hint():
    bins = BINS.assign(accuracy=[0.2, 0.8])
    assert "counts more" in check_calibration(bins, answer=0.25)
