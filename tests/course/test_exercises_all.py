"""Every check of every notebook: open is open, nonsense gets a hint and no traceback, right is right."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import her2kit.course
from her2kit.course.verdict import Verdict

MODULES = sorted(path.stem for path in Path(her2kit.course.__file__).parent.glob("exercises*.py"))
CHECKS = {
    name: check
    for module in MODULES
    for name, check in vars(importlib.import_module(f"her2kit.course.{module}")).items()
    if name.startswith("check_") and check.__module__.endswith(module)
}
BOARD = np.zeros((4, 6), bool)
BOARD[1:3, 1:5] = True
CASCADE = pd.DataFrame(
    {"method": ["a", "a", "b", "b"], "depth": [0, 1, 0, 1], "correlation": [0.1, 0.2, 0.9, 0.1]}
)
LEAKY = pd.DataFrame(
    {"slide_id": ["A", "B", "A"], "patient_id": ["p", "q", "p"], "split": ["train", "train", "test"]}
)
BINS = pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.6, 0.8], "n": [10, 30]})
CONFUSION = pd.DataFrame([[8, 2], [1, 9]], index=["fat", "tumour"], columns=["fat", "tumour"])
SHARES = {"complete_intense": 0.5, "complete_weaker": 0, "incomplete_strong": 0, "stained": 1}
MATRIX = [[9, 1], [1, 9]]
RIGHT = {
    "check_smallest_over_tenth": ({"n": 1240}, 125),
    "check_rule": ({"n": 400, "ci": 30, "cw": 12, "im": 20, "faint": 100}, "2+"),
    "check_tile_um": ({"tile_px": 512, "mpp": 0.5}, 256),
    "check_pixels_across": ({"width_um": 0.64, "mpp": 0.5}, 1.28),
    "check_unit": ({"table": LEAKY}, "patient_id"),
    "check_leaking_rows": ({"table": LEAKY}, [2]),
    "check_models": ({"outer": 5, "inner": 4}, 25),
    "check_field_px": ({"um": 905, "mpp": 0.389, "level": 3}, 291),
    "check_f1": ({"confusion": CONFUSION, "name": "fat"}, 16 / 19),
    "check_area_mm2": ({"tiles": 250, "side_px": 128, "mpp": 0.5}, 1.024),
    "check_pdl1": ({"tumour": 200, "positive_tumour": 90, "positive_immune": 30}, {"TPS": 45, "CPS": 60}),
    "check_dice": ({"truth": BOARD, "predicted": BOARD}, 1),
    "check_pairs": ({"side_px": 512, "token_px": 4, "shrink": 8}, 2**22),
    "check_kept": ({"truth": BOARD.astype(int), "unannotated": 0}, 8),
    "check_tile_grade": ({"shares": SHARES}, "3+"),
    "check_runs": ({"grid": {"a": [1, 2], "b": [1, 2, 3]}, "seeds": 3}, 18),
    "check_calibration": ({"bins": BINS}, 0.1),
    "check_times_chance": ({"share": 0.6, "area": 0.12}, 5),
    "check_places": ({"side_px": 224, "stride": 32}, 49),
    "check_trustworthy": ({"table": CASCADE, "bound": 0.5}, ["a"]),
    "check_rule_of_patches": ({"cells": [("3+", "positive"), ("2+", "positive")]}, ["3+", "2+"]),
    "check_greatest_lift": ({"rate": 0.04, "share": 0.1}, 10),
    "check_first_to_review": ({"posterior": {"A": [0, 1], "B": [1, 0]}, "given": {"A": 1, "B": 1}}, "B"),
    "check_box_px": ({"box_um": 8, "mpp": 0.25}, 32),
    "check_side": ({"side_px": 300, "stride": 32}, 288),
    "check_quality": ({"n_true": 90, "n_found": 110, "n_hits": 80, "n_right": 60}, (0.8, 0.6)),
    "check_quadratic_kappa": ({"matrix": MATRIX}, 0.8),
    "check_positive_agreement": ({"matrix": MATRIX, "cut": 1}, 0.9),
    "check_effective_cells": ({"cells": 900, "design_effect": 12}, 75),
    "check_ultralow": ({"stained": 30, "cells": 600, "limit": 0.02}, "ultralow"),
    "check_level": ({"slide_mpp": 0.25, "mpp": 3.536}, 3),
    "check_tolerance_px": ({"axis_um": 400, "mpp": 7.072}, 2.83),
    "check_total": ({"auc": 0.96, "within": 31, "tumours": 50}, 0.79),
    "check_axis": ({"tumour": BOARD, "mpp": 10}, None),
}  # fmt: skip
"""Check to its other arguments and the right answer; None where a test of its own knows it."""
MANY = ("check_reading", "check_may_normalise")
"""Checks of several answers at a time, by name."""
NONSENSE = [
    "x", "", None, True, float("nan"), float("inf"), -1, 0, 0.5, 10**400, [], [1, 2], ["x"], [None],
    {}, {"TPS": "x", "CPS": []}, (), (1, "x"), (None, None),
    np.arange(3), np.array(["x"]), pd.DataFrame({"a": [1]}), object(), np.float64("nan"), b"x", 1j,
]  # fmt: skip


def test_each_check_is_tried_here():
    assert set(RIGHT) | set(MANY) == set(CHECKS)


@pytest.mark.parametrize("name", RIGHT)
def test_open_is_said_to_be_open(name):
    others, right = RIGHT[name]
    said = CHECKS[name](**others, answer=...)
    assert isinstance(said, Verdict)
    assert said.kind == "open"
    if right is not None:
        said = CHECKS[name](**others, answer=right)
        assert said.kind == "right", said


@pytest.mark.parametrize("name", RIGHT)
def test_nonsense_gets_a_hint_and_no_traceback(name):
    for answer in NONSENSE:
        said = CHECKS[name](**RIGHT[name][0], answer=answer)
        missing = name == "check_pdl1" and isinstance(answer, dict) and not answer
        assert said.kind == ("open" if missing else "not_yet"), answer
        assert "\n" not in said
        assert len(said) < 200


def test_several_answers_by_name():
    from her2kit.course.exercises import check_reading
    from her2kit.course.exercises_stain import MAY_NORMALISE, check_may_normalise

    for answers in NONSENSE:
        kind = "open" if isinstance(answers, dict) else "not_yet"
        assert check_reading({"A": "2+"}, answers).kind == kind
        assert check_may_normalise(answers).kind == kind
    assert check_reading({"A": "2+"}, ...).kind == check_may_normalise(...).kind == "open"
    assert check_reading({"A": "2+"}, {"A": "2+"}).kind == check_may_normalise(MAY_NORMALISE).kind == "right"
    assert check_may_normalise(dict.fromkeys(MAY_NORMALISE, np.arange(2))).kind == "not_yet"
