"""Notebook 08's exercises: right answers pass, wrong ones get a hint that does not say the answer."""

import pytest

from her2kit.course.exercises_labels import (
    check_first_to_review,
    check_greatest_lift,
    check_rule_of_patches,
)
from her2kit.course.judging import OPEN, RIGHT

FOUR = [("1+", "positive"), ("1+", "negative"), ("3+", "negative"), ("2+", "non-tumour")]
PROBABLE = {"A": [0.0, 0.5, 0.5, 0.0], "B": [0.1, 0.7, 0.2, 0.0], "C": [0.25, 0.25, 0.25, 0.25]}
LABEL = {"A": 1, "B": 2, "C": 0}


@pytest.mark.parametrize(
    ("check", "arguments", "right", "wrong"),
    [
        (
            check_rule_of_patches,
            {"cells": FOUR},
            ["1+", "1+", "0", None],
            {"cell 3": ["1+", "1+", "3+", None]},
        ),
        (check_greatest_lift, {"rate": 0.04, "share": 0.1}, 10, {"Too high": 25, "Too low": 2.5}),
        (
            check_first_to_review,
            {"posterior": PROBABLE, "given": LABEL},
            "B",
            {"Not yet": "C", "no cell 'D'": "D"},
        ),
    ],
)
def test_answers(check, arguments, right, wrong):
    assert check(**arguments, answer=...) == OPEN
    assert check(**arguments, answer=right) == RIGHT
    for words, answer in wrong.items():
        assert words in check(**arguments, answer=answer)


def test_a_list_of_another_length_is_named():
    assert "one label a cell: 4" in check_rule_of_patches(FOUR, answer=["0"])
