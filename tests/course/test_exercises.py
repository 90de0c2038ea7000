"""Exercises: open, wrong and right answers."""

import pytest

from her2kit.course.exercises import (
    check_pixels_across,
    check_reading,
    check_rule,
    check_smallest_over_tenth,
    check_tile_um,
)
from her2kit.course.judging import OPEN, RIGHT

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


@pytest.mark.parametrize(("tile_px", "mpp"), [(512, 0.5), (1024, 0.25), (1024, 0.389)])
def test_micrometres_of_a_tile(tile_px, mpp):
    ask = {"tile_px": tile_px, "mpp": mpp}
    assert check_tile_um(**ask, answer=...) == OPEN
    assert check_tile_um(**ask, answer=tile_px * mpp) == RIGHT
    assert "divided" in check_tile_um(**ask, answer=tile_px / mpp)
    for wrong in (tile_px, True, "256 um", 0):
        hint = check_tile_um(**ask, answer=wrong)
        assert "Not yet" in hint
        assert f"{tile_px * mpp:g}" not in hint


def test_pixels_across_a_membrane():
    ask = {"width_um": 0.64, "mpp": 0.5}
    assert check_pixels_across(**ask, answer=...) == OPEN
    assert check_pixels_across(**ask, answer=1.28) == RIGHT
    assert "multiplied" in check_pixels_across(**ask, answer=0.32)
    assert "round" in check_pixels_across(**ask, answer=1)


def test_a_reading_names_the_fields_to_look_at_again_and_not_their_scores():
    planted = {"A": "0", "B": "3+", "C": "2+"}
    assert "Still open: B, C." in check_reading(planted, {"A": "0", "B": ...})
    assert "No score: C." in check_reading(planted, {"A": "0", "B": "3+", "C": 2})
    assert check_reading(planted, dict(planted)) == RIGHT
    hint = check_reading(planted, {"A": "0", "B": "3+", "C": "1+"})
    assert hint.startswith("2 of 3 as planted. Look again at C:")
    assert "2+" not in hint
