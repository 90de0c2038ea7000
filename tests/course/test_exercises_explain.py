"""The checks of notebook 07: right answers pass, near misses get their hint, open ones stay open."""

import pandas as pd

from her2kit.course.exercises_explain import (
    check_places,
    check_times_chance,
    check_trustworthy,
)
from her2kit.course.judging import OPEN, RIGHT


def test_times_chance():
    given = {"share": 0.6, "area": 0.12}
    assert check_times_chance(**given, answer=...) == OPEN
    assert check_times_chance(**given, answer=5) == RIGHT
    assert "difference" in check_times_chance(**given, answer=0.48)
    assert "other way" in check_times_chance(**given, answer=0.2)
    assert "Not yet" in check_times_chance(**given, answer=3)
    assert check_times_chance(**given, answer=True) == "Give a number."


def test_places():
    given = {"side_px": 224, "stride": 32}
    assert check_places(**given, answer=...) == OPEN
    assert check_places(**given, answer=49) == RIGHT
    assert "one side" in check_places(**given, answer=7)
    assert "whole number" in check_places(**given, answer=49.0)
    assert "Not yet" in check_places(**given, answer=32)


def test_trustworthy():
    rows = [("a", 1, 0.1), ("a", 2, 0.0), ("b", 1, 0.8), ("b", 2, 0.1)]
    table = pd.DataFrame(rows, columns=["method", "depth", "correlation"])
    assert check_trustworthy(table, bound=0.3, answer=...) == OPEN
    assert check_trustworthy(table, bound=0.3, answer=["a"]) == RIGHT
    assert "highest point of b" in check_trustworthy(table, bound=0.3, answer=["a", "b"])
    assert "leave out a" in check_trustworthy(table, bound=0.3, answer=[])
    assert "no method" in check_trustworthy(table, bound=0.3, answer=["c"])
