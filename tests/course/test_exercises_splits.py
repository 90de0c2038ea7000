"""Exercises of notebook 02: right answers pass, wrong ones get a hint, none of them the answer."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.exercises_splits import (
    check_leaking_rows,
    check_models,
    check_unit,
)
from her2kit.course.judging import OPEN, RIGHT

TABLE = pd.DataFrame(
    {
        "slide_id": [f"s{i}" for i in np.repeat(np.arange(12), 2)],
        "patient_id": [f"p{i}" for i in np.repeat(np.arange(6), 4)],
        "block": [f"b{i}" for i in range(24)],
        "site": "x",
    }
)
LEAKING = pd.DataFrame(
    {
        "slide_id": ["a", "a", "b", "c", "c", "d"],
        "patient_id": ["p", "p", "q", "r", "r", "q"],
        "split": ["train", "train", "train", "train", "test", "test"],
    }
)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        ("patient_id", RIGHT),
        ("slide_id", "patient_id p"),
        ("block", "stands in both parts"),
        ("row", "no column path"),
        ("site", "too few"),
        ("ward", "no column 'ward'"),
    ],
)
def test_unit(answer, said):
    table = TABLE
    if answer == "row":
        table, said = TABLE.assign(path=[f"{i}.png" for i in range(24)]), "stands in both parts"
    assert said in check_unit(table, answer=answer)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., OPEN),
        ([], "still leaks"),
        ([3], "still leaks"),
        ([3, 5], RIGHT),
        ([4, 2], RIGHT),
        ([0, 3, 5], "row 0 could have stayed"),
        ([9], "no row 9"),
    ],
)
def test_rows_to_take_out(answer, said):
    assert said in check_leaking_rows(LEAKING, answer=answer)


@pytest.mark.parametrize(("answer", "said"), [(..., OPEN), (25, RIGHT), (20, "Nearly"), (9, "Not yet")])
def test_models_of_nested_folds(answer, said):
    assert said in check_models(outer=5, inner=4, answer=answer)
