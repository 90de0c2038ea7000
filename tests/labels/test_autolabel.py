"""Labels of cells out of labels of patches: R1's rule word by word, ours by what was measured."""

import numpy as np
import pandas as pd
import pytest

from her2kit.cells.grade import grade_cells
from her2kit.errors import LabelError
from her2kit.labels.autolabel import CALLS, COLUMNS, autolabel, calls_of_membranes, patch_rule
from her2kit.labels.certainty import class_probabilities


def measured(od, share, kind=None, evaluable=None) -> pd.DataFrame:
    n = len(od)
    cells = pd.DataFrame(
        {
            "cell_id": [f"c{k}" for k in range(n)],
            "slide_id": "s",
            "x_px0": np.arange(n, dtype=float),
            "y_px0": 0.0,
            "dab_od": np.asarray(od, np.float32),
            "completeness": np.asarray(share, np.float32),
            "membrane_ratio": np.float32(3),
            "cell_type": kind or ["tumour"] * n,
            "evaluable": evaluable or [True] * n,
        }
    )
    return grade_cells(cells)


PLAIN = (0.02, 0.15, 0.35, 0.8), (0.0, 0.6, 1.0, 1.0)
"""Cells of class 0, 1+, 2+ and 3+, far from every cut-off in OD."""


@pytest.mark.parametrize(
    ("patch", "expected"),
    [("0", ["0"] * 3), ("1+", ["1+"] * 3), ("2+", ["0", "2+", None]), ("3+", ["0", "3+", None])],
)
def test_r1s_rule(patch, expected):
    calls = pd.Series(CALLS)
    found = patch_rule(calls, pd.Series([patch] * 3)).tolist()
    assert found == [*expected[:2], None]


@pytest.mark.parametrize(
    ("calls", "patch", "message"),
    [
        (["positive", "maybe"], ["2+", "2+"], "calls is 'maybe' in row 1 .*use one of negative, positive"),
        (["positive"], ["4+"], "patch_class is '4+' in row 0 .*use one of 0, 1"),
        (["positive"], [None], "patch_class is .* in row 0"),
    ],
)
def test_unknown_words_are_named(calls, patch, message):
    message = message.replace("+", r"\+")
    with pytest.raises(LabelError, match=message) as caught:
        patch_rule(pd.Series(calls, dtype=object), pd.Series(patch, dtype=object))
    assert "\n" not in str(caught.value)


def test_rows_must_belong_together():
    with pytest.raises(ValueError, match="differ in their index"):
        patch_rule(pd.Series(["positive"]), pd.Series(["2+"], index=[7]))


def test_membranes_call_cells():
    cells = measured(*PLAIN, kind=["tumour", "tumour", "tumour", "lymphocyte"])
    assert calls_of_membranes(cells).tolist() == ["negative", "positive", "positive", "non-tumour"]
    unknown = measured([np.nan], [np.nan])
    assert calls_of_membranes(unknown).tolist() == ["negative"]


def test_both_rules_on_one_patch():
    cells = measured(*PLAIN).set_index(np.array([10, 20, 30, 40]))
    patch = pd.Series("2+", index=cells.index)
    r1, ours = (autolabel(cells, patch, rule=rule) for rule in ("patch", "membrane"))
    assert list(r1) == list(COLUMNS)
    assert r1["cell_class"].tolist() == ["0", "2+", "2+", "2+"]
    assert r1["agrees"].tolist() == [True, False, True, False]
    assert ours["cell_class"].tolist() == ["0", "1+", "2+", "3+"]
    assert ours["agrees"].tolist() == r1["agrees"].tolist()
    assert ours.index.tolist() == [10, 20, 30, 40]
    assert (r1["confidence"] > 0.5).tolist() == r1["agrees"].tolist()
    assert (ours["confidence"] > 0.5).all()


def test_a_detectors_words_are_taken_and_others_get_no_label():
    cells = measured(*PLAIN)
    calls = pd.Series(["positive", "non-tumour", "negative", "positive"])
    found = autolabel(cells, pd.Series("3+", index=cells.index), calls=calls)
    assert found["cell_id"].tolist() == ["c0", "c2", "c3"]
    assert found["cell_class"].tolist() == ["3+", "0", "3+"]


def test_what_could_not_be_measured_keeps_the_patchs_word():
    cells = measured([0.8, 0.8], [1.0, 1.0], evaluable=[True, False])
    found = autolabel(cells, pd.Series("1+", index=cells.index), rule="membrane")
    assert found["cell_class"].tolist() == ["3+", "1+"]
    assert np.isnan(found["confidence"].iloc[1])
    assert found["agrees"].tolist() == [False, False]


def test_no_cells_no_labels():
    cells = measured([], [])
    found = autolabel(cells, pd.Series([], dtype=object, index=cells.index))
    assert list(found) == list(COLUMNS)
    assert len(found) == 0


def test_autolabel_checks_its_arguments():
    cells = measured(*PLAIN)
    with pytest.raises(ValueError, match="rule='best'; use one of patch, membrane"):
        autolabel(cells, pd.Series("1+", index=cells.index), rule="best")
    with pytest.raises(ValueError, match="no column 'cell_id'"):
        autolabel(cells.drop(columns="cell_id"), pd.Series("1+", index=cells.index))


def test_certainty_is_a_half_at_a_cut_off_and_one_far_from_it():
    cells = measured([0.2, 0.2, 0.02, 0.9], [1.0, 0.4, 0.0, 1.0], evaluable=[True] * 4)
    chance = class_probabilities(cells, completeness_error=0.0)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert chance[0, 1] == pytest.approx(0.5, abs=0.25)  # faint or weak, complete: 1+ or 2+
    assert chance[1, 1] > 0.95  # incomplete: 1+ on either side of 0.20
    assert chance[2, 0] > 0.99
    assert chance[3, 3] > 0.99
    exact = class_probabilities(cells, od_error=0, od_error_share=0, completeness_error=0)
    assert set(np.unique(exact.round(9))) == {0.0, 1.0}
    lost = class_probabilities(measured([0.5], [1.0], evaluable=[False]))
    assert np.isnan(lost).all()
    with pytest.raises(ValueError, match="standard deviations"):
        class_probabilities(cells, od_error=-1)
