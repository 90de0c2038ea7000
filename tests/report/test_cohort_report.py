"""The page of a cohort: the order of slides, the counts, agreement with labels, escaping, its size."""

import re

import pandas as pd
import pytest

from her2kit.report.cohort_report import STATES, state_of, write_cohort_report

SCORED = {
    "status": "scored",
    "score": "2+",
    "category": "pending",
    "guideline": "breast-asco-cap-2018",
    "n_cells": 1234,
    "percent_0": 50.0,
    "percent_1+": 20.0,
    "percent_2+": 25.0,
    "percent_3+": 5.0,
    "h_score_membrane_class": 85.0,
    "borderline": False,
    "p_score": 0.97,
    "cautions": "control",
}


def row(slide_id: str, **changes) -> dict:
    return {"slide_id": slide_id, **SCORED, **changes}


ROWS = [
    row("sure", p_score=1.0),
    row("doubtful", borderline=True, p_score=0.6),
    row("very_doubtful", borderline=True, p_score=0.5),
    row("blurred", cautions="control focus"),
    {"slide_id": "pen", "status": "not_evaluable", "blocked_by": "wrong_stain"},
    {"slide_id": "gone", "status": "failed", "error": "no such <file>; pass another"},
]


@pytest.fixture
def page(tmp_path):
    def written(rows) -> str:
        return write_cohort_report(tmp_path / "cohort.html", pd.DataFrame(rows)).read_text("utf-8")

    return written


def test_slides_that_need_a_look_come_first(page):
    order = re.findall(r'<tr><th scope="row">(?:<a href="[^"]*">)?(\w+)', page(ROWS))
    assert order == ["gone", "pen", "very_doubtful", "doubtful", "blurred", "sure"]


@pytest.mark.parametrize(("index", "state"), [(0, "scored"), (1, "borderline"), (3, "flagged")])
def test_a_missing_control_alone_is_no_remark(index, state):
    assert state_of(ROWS[index]) == state
    assert state in STATES


def test_every_state_is_counted_and_named(page):
    found = dict(re.findall(r"<dt>([\w ]+)</dt><dd>(\d+)<small>", page(ROWS)))
    assert found == {"failed": "1", "not evaluable": "1", "borderline": "2", "flagged": "1", "scored": "1"}


def test_failed_slides_have_no_link_and_words_are_escaped(page):
    text = page(ROWS)
    assert 'href="gone/' not in text
    assert 'href="pen/report.html"' in text
    assert "no such &lt;file&gt;; pass another" in text


def test_labels_give_a_cross_table(page):
    given = [("0", "0"), ("3+", "3+"), ("2+", "3+")]
    rows = [row(f"s{i}", score=score, label=label) for i, (score, label) in enumerate(given)]
    text = page(rows)
    assert "The same score on 2 of 3 slides" in text
    third = re.findall(r"</span>3\+</th>(.*?)</tr>", text)[-1]
    assert re.findall(r">(\d)</td>", third) == ["0", "0", "1", "1"]
    assert "Against the labels" not in page(ROWS)


def test_a_table_read_back_from_csv_gives_the_same_page(page, tmp_path):
    pd.DataFrame(ROWS).to_csv(tmp_path / "cohort.csv", index=False)
    assert page(pd.read_csv(tmp_path / "cohort.csv", dtype={"score": str})) == page(ROWS)


def test_a_thousand_slides_stay_below_a_megabyte_and_run_no_script(page):
    text = page([row(f"slide_{i:04d}", p_score=i / 1000) for i in range(1000)])
    assert len(text) < 1_000_000
    assert "<script" not in text
    assert "http" not in text
