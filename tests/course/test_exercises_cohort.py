"""Notebook 11's exercises: right answers pass, wrong ones get a hint that does not say the answer."""

import pytest

from her2kit.course.exercises_cohort import (
    MATRIX,
    check_effective_cells,
    check_positive_agreement,
    check_quadratic_kappa,
    check_ultralow,
)
from her2kit.course.judging import OPEN, RIGHT


@pytest.mark.parametrize(
    ("check", "arguments", "right", "wrong"),
    [
        (
            check_quadratic_kappa,
            {"matrix": MATRIX},
            0.927,
            {"unweighted": 0.746, "linear kappa": 0.851, "equal scores": 0.81, "Not yet": 0.5},
        ),
        (
            check_positive_agreement,
            {"matrix": MATRIX, "cut": 2},
            49 / 53,
            {"divided by": 49 / 54, "negative agreement": 42 / 47, "Not yet": 0.5},
        ),
        (
            check_effective_cells,
            {"cells": 900, "design_effect": 12},
            75,
            {"multiplied": 10800, "Not yet": 12},
        ),
        (
            check_ultralow,
            {"stained": 9, "cells": 600, "limit": 0.02},
            "not resolved",
            {"may look stained": "ultralow", "neither": "null"},
        ),
    ],
)
def test_answers(check, arguments, right, wrong):
    assert check(**arguments, answer=...) == OPEN
    assert check(**arguments, answer=right) == RIGHT
    for words, answer in wrong.items():
        assert words in check(**arguments, answer=answer)


def test_ultralow_is_more_than_the_limit_explains():
    assert check_ultralow(stained=13, cells=600, limit=0.02, answer="ultralow") == RIGHT
    assert check_ultralow(stained=12, cells=600, limit=0.02, answer="ultralow") != RIGHT
