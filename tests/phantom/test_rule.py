"""The phantom's own rule, checked against the guideline's text case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.phantom.plan import PAIRS
from her2kit.phantom.rule import cell_class, planted_score

BREAST, GASTRIC = "breast-asco-cap-2018", "gastric-resection"
NONE, FAINT = ("none", "none"), ("incomplete", "faint")
CI, CW, IM = ("complete", "intense"), ("complete", "weak"), ("incomplete", "moderate")


@pytest.mark.parametrize(
    ("pair", "breast", "gastric"),
    [
        (NONE, "0", "0"),
        (FAINT, "1+", "1+"),
        (("complete", "faint"), "1+", "1+"),
        (("incomplete", "weak"), "1+", "2+"),
        (CW, "2+", "2+"),
        (("complete", "moderate"), "2+", "2+"),
        (IM, "2+", "2+"),
        (("incomplete", "intense"), "2+", "3+"),
        (CI, "3+", "3+"),
    ],
)
def test_class_of_one_cell(pair, breast, gastric):
    assert cell_class(*pair, guideline=BREAST) == breast
    assert cell_class(*pair, guideline=GASTRIC) == gastric


@pytest.mark.parametrize(
    ("counts", "score"),
    [
        ({NONE: 100}, "0"),
        ({NONE: 90, FAINT: 10}, "0"),
        ({NONE: 89, FAINT: 11}, "1+"),
        ({NONE: 90, CW: 10}, "0"),
        ({NONE: 80, FAINT: 10, CW: 10}, "1+"),
        ({NONE: 89, CW: 11}, "2+"),
        ({NONE: 89, IM: 11}, "2+"),
        ({NONE: 89, CW: 5, IM: 6}, "2+"),
        ({NONE: 99, CI: 1}, "2+"),
        ({NONE: 90, CI: 10}, "2+"),
        ({NONE: 89, CI: 11}, "3+"),
    ],
)
def test_ten_per_cent_is_not_more_than_ten_per_cent(counts, score):
    assert planted_score(counts, BREAST)["score"] == score


def test_gastric_resection_counts_from_ten_per_cent():
    assert planted_score({NONE: 90, ("incomplete", "intense"): 10}, GASTRIC)["score"] == "3+"
    assert planted_score({NONE: 91, ("incomplete", "intense"): 9}, GASTRIC)["score"] == "0"


def test_category_follows_the_score():
    assert planted_score({NONE: 50}, BREAST)["category"] == "null"
    assert planted_score({NONE: 50, FAINT: 1}, BREAST)["category"] == "ultralow"
    assert planted_score({NONE: 5, FAINT: 5}, BREAST)["category"] == "low"
    assert planted_score({CW: 5}, BREAST)["category"] == "pending"
    assert planted_score({CI: 5}, BREAST)["category"] == "positive"
    assert planted_score({}, BREAST)["status"] == "not_evaluable"


@given(st.lists(st.integers(0, 60), min_size=9, max_size=9), st.integers(0, 7))
def test_more_stain_in_one_cell_never_lowers_the_score(numbers, upgraded):
    counts = dict(zip(PAIRS, numbers, strict=True))
    first, second = PAIRS[upgraded], PAIRS[8]
    if counts[first] == 0:
        return
    order = ("0", "1+", "2+", "3+")
    more = {**counts, first: counts[first] - 1, second: counts[second] + 1}
    before, after = planted_score(counts, BREAST)["score"], planted_score(more, BREAST)["score"]
    assert order.index(after) >= order.index(before)
