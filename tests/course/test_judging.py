"""What a check cannot read never reaches it; what it says becomes a verdict."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.judging import OPEN, by_name, judged, list_of, number, pair, plain, whole, word
from her2kit.course.verdict import Verdict

RIGHT = Verdict("Right.", "right")


@judged(number, "Give a number.")
def check(answer: float, *, above: float) -> str:
    """Return whether it is above."""
    return RIGHT if answer > above else "Too low."


def test_words_of_a_check_are_a_hint_and_verdicts_stay():
    assert check(3, above=2) is RIGHT
    assert (check(1, above=2), check(answer=1, above=2).kind) == ("Too low.", "not_yet")
    assert check.__doc__ == "Return whether it is above."


def test_a_blank_and_an_answer_of_another_kind_do_not_reach_it():
    assert check(..., above=2) is OPEN
    assert (check("3", above=2), check("3", above=2).kind) == ("Give a number.", "not_yet")
    with pytest.raises(TypeError):
        check(3)


@pytest.mark.parametrize(
    ("kind", "fits", "not_so"),
    [
        (number, [0, -1.5, np.float32(2), np.int64(2)], [True, np.True_, "1", None, np.nan, np.inf, 10**400]),
        (whole, [0, np.int64(2), 10**20], [2.0, True, "2", 10**400]),
        (word, ["", "2+", np.str_("x")], [2, None, b"x", ["x"]]),
        (by_name, [{}, {"A": ...}], [[], "A"]),
        (pair, [(1, 2), [1, 2.5], np.array([1, 2])], [(1,), (1, 2, 3), (1, "2"), 12, "12"]),
        (list_of(whole), [[], [1, np.int64(2)], (1,), pd.Index([1])], [[1.5], 1, "1", {1: 2}]),
        (list_of(word, lambda one: one is None), [["a", None]], [["a", 1], "a"]),
    ],
)  # fmt: skip
def test_kinds(kind, fits, not_so):
    assert all(kind(plain(value)) for value in fits)
    assert not any(kind(plain(value)) for value in not_so)
