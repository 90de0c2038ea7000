"""Every pair of completeness and intensity, each cut-off from both sides, and the order of cells."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.cells import grade
from her2kit.cells.grade import grade_cells
from her2kit.cells.table import CLASSES, Intensity

OD = {"none": 0.05, "faint": 0.15, "weak": 0.25, "moderate": 0.4, "intense": 0.7}
SHARE = {"none": 0.1, "incomplete": 0.6, "complete": 0.9}


def cells(pairs, evaluable=True):
    od, share = np.array(pairs, dtype=np.float32).reshape(-1, 2).T
    return pd.DataFrame({"dab_od": od, "completeness": share, "membrane_ratio": 3.0, "evaluable": evaluable})


def one(od, share, **options):
    return grade_cells(cells([(od, share)]), **options).cell_class[0]


@pytest.mark.parametrize(
    ("share", "od", "breast", "gastric"),
    [
        ("none", "intense", "0", "0"),
        ("complete", "none", "0", "0"),
        ("incomplete", "faint", "1+", "1+"),
        ("complete", "faint", "1+", "1+"),
        ("incomplete", "weak", "1+", "2+"),
        ("complete", "weak", "2+", "2+"),
        ("incomplete", "moderate", "2+", "2+"),
        ("complete", "moderate", "2+", "2+"),
        ("incomplete", "intense", "2+", "3+"),
        ("complete", "intense", "3+", "3+"),
    ],
)
def test_table_of_one_cell(share, od, breast, gastric):
    assert one(OD[od], SHARE[share], scheme="breast") == breast
    assert one(OD[od], SHARE[share], scheme="gastric") == gastric


def test_no_stain_has_intensity_none_and_only_that():
    pairs = list(itertools.product(OD.values(), SHARE.values()))
    graded = grade_cells(cells(pairs))
    assert ((graded.intensity == "none") == (graded.cell_class == "0")).all()
    assert set(graded.intensity) == {str(i) for i in Intensity}


@pytest.mark.parametrize("name", ["FAINT_OD", "WEAK_OD", "MODERATE_OD", "INTENSE_OD"])
def test_a_cut_off_belongs_to_the_upper_side(name):
    cut = np.float32(getattr(grade, name))
    below, at = grade_cells(cells([(np.nextafter(cut, np.float32(0)), 0.9), (cut, 0.9)])).intensity
    order = [str(i) for i in Intensity]
    assert order.index(at) == order.index(below) + 1


def test_policies_change_what_they_name():
    assert one(0.15, 0.9, complete_faint_as="2+") == "2+"
    assert one(0.15, 0.6, complete_faint_as="2+") == "1+"
    assert one(0.7, 0.75) == "2+"
    assert one(0.7, 0.75, complete_at=0.7) == "3+"
    assert one(0.7, 0.9, complete_at=0.95) == "2+"
    assert one(0.7, np.float32(0.8), complete_at=0.8) == "3+"


def test_stomach_asks_for_evidence_not_for_completeness():
    shares = (0.15, 0.3, 0.45, 0.55)
    assert [one(0.7, s, scheme="gastric") for s in shares] == ["0", "1+", "2+", "3+"]
    assert one(0.7, 0.55, scheme="gastric", complete_at=0.95) == "3+"


@given(
    st.sampled_from(["breast", "gastric"]),
    st.sampled_from(["1+", "2+"]),
    st.floats(0.25, 1),
    st.floats(0, 2, width=32),
    st.floats(0, 1, width=32),
    st.floats(0, 1, width=32),
    st.floats(0, 1, width=32),
)
def test_more_stain_never_lowers_the_class(scheme, faint, complete_at, od, share, more_od, more_share):
    stronger = (od + more_od, min(1, share + more_share))
    graded = grade_cells(
        cells([(od, share), stronger]), scheme=scheme, complete_at=complete_at, complete_faint_as=faint
    )
    low, high = (CLASSES.index(c) for c in graded.cell_class)
    assert low <= high


def test_stain_of_the_cytoplasm_alone_is_no_class():
    stained = pd.concat([cells([(0.7, 0.9)])] * 3, ignore_index=True)
    stained["membrane_ratio"] = [1.49, 1.5, np.nan]
    assert grade_cells(stained).cell_class.tolist() == ["0", "3+", "3+"]
    assert grade_cells(stained).intensity.tolist() == ["none", "intense", "intense"]


def test_cells_that_could_not_be_evaluated_get_no_words():
    graded = grade_cells(cells([(0.7, 0.9), (0.7, 0.9)], evaluable=[False, True]))
    assert graded.cell_class.isna().tolist() == [True, False]
    assert graded.intensity.isna().tolist() == [True, False]
    assert grade_cells(cells([(np.nan, 0.9)])).cell_class.isna().all()


def test_the_table_given_is_not_written_to():
    given_cells = cells([(0.7, 0.9)]).assign(cell_class="0", other=3)
    graded = grade_cells(given_cells)
    assert given_cells.cell_class[0] == "0"
    assert graded.cell_class[0] == "3+"
    assert graded.other[0] == 3


def test_no_cells_give_no_cells():
    graded = grade_cells(cells([]))
    assert len(graded) == 0
    assert {"intensity", "cell_class"} <= set(graded.columns)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scheme": "lung"}, "scheme is 'lung'; use 'breast' or 'gastric'"),
        ({"complete_at": 0}, "complete_at is 0"),
        ({"complete_at": 80}, "complete_at is 80"),
        ({"complete_faint_as": "3+"}, "complete_faint_as is '3\\+'"),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        grade_cells(cells([(0.7, 0.9)]), **options)


def test_missing_column_is_named():
    with pytest.raises(ValueError, match="no column completeness"):
        grade_cells(pd.DataFrame({"dab_od": [0.1]}))
