"""Exercises: open, wrong and right answers."""

import pytest

from her2kit.course.exercises import OPEN, RIGHT, check_rule, check_smallest_over_tenth

COUNTS = {"n": 400, "ci": 30, "cw": 12, "im": 20, "faint": 100}


def test_an_open_answer_is_reported():
    assert check_smallest_over_tenth(1240, answer=...) == OPEN
    assert check_rule(**COUNTS, answer=...) == OPEN


@pytest.mark.parametrize(("n", "right"), [(1240, 125), (1239, 124), (30, 4), (100, 11)])
def test_exactly_ten_percent_is_not_more(n, right):
    assert check_smallest_over_tenth(n, answer=right) == RIGHT
    assert "more than 10 %" in check_smallest_over_tenth(n, answer=right - 1)
    assert "one less" in check_smallest_over_tenth(n, answer=right + 1)
    assert "whole" in check_smallest_over_tenth(n, answer=right + 0.5)


def test_the_rule_is_asked_cumulatively():
    assert check_rule(**COUNTS, answer="2+") == RIGHT  # 30 + 12 = 42 of 400
    assert "Too high" in check_rule(**COUNTS, answer="3+")
    assert "Too low" in check_rule(**COUNTS, answer="1+")
    assert "no score" in check_rule(**COUNTS, answer="equivocal")


def test_hints_do_not_give_the_answer_away():
    assert "125" not in check_smallest_over_tenth(1240, answer=124)
    assert "2+" not in check_rule(**COUNTS, answer="3+")
