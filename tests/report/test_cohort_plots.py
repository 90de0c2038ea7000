"""Figures of a cohort and of a training show what they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.cohort_plots import deciding_shares, intervals_that_hold, slides_in_rows, who_said_what
from her2kit.report.training_plots import training_figure
from her2kit.statistics import Interval

mpl.use("agg")


def rows():
    sure = {"status": "scored", "percent_0": 20.0, "percent_1+": 20.0, "percent_2+": 60.0, "percent_3+": 0.0}
    return pd.DataFrame(
        [
            {"slide_id": "sure", "score": "2+", "p_score": 1.0, "borderline": False, **sure},
            {"slide_id": "unsure", "score": "2+", "p_score": 0.61, "borderline": True, **sure},
            {"slide_id": "broken", "status": "failed"},
        ]
    )


def words_of(ax):
    return [t.get_text() for t in ax.texts]


def test_slides_stand_worst_first():
    given = rows()
    ax = slides_in_rows(given)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["broken", "unsure", "sure"]
    assert {"failed", "borderline", "61 %", "> 99 %"} <= set(words_of(ax))
    widths = [p.get_width() for p in ax.patches]
    assert widths == [20, 20, 60, 0] * 2
    assert given.equals(rows())


def record(name, percent, *, borderline):
    line = {
        "rule": "complete > 10 %", "percent": percent, "points": percent - 10, "line_percent": 10.0,
        "slide": [percent - 1, percent + 1], "tumour": [percent - 3, percent + 3],
    }  # fmt: skip
    sure = {"decided_by": line["rule"], "borderline": borderline, "lines": [line]}
    return {"slide_id": name, "score": "2+", "uncertainty": sure}


def test_the_nearest_to_its_line_is_on_top():
    ax = deciding_shares(
        [record("near", 11.0, borderline=True), record("far", 60.0, borderline=False),
         {"slide_id": "refused", "score": None, "uncertainty": None}]
    )  # fmt: skip
    assert [t.get_text() for t in ax.get_yticklabels()] == ["far   2+", "near   2+"]
    dots = [line for line in ax.lines if line.get_marker() in ("o", ">")]
    assert [(d.get_marker(), d.get_xdata()[0]) for d in dots] == [(">", 40), ("o", 11)]


def test_who_said_what_marks_those_who_differ():
    cases = pd.DataFrame(
        {"slide_id": ["a", "b"], "reference": ["2+", "0"], "kit": ["2+", None], "reader Ann": ["1+", "0"]}
    )
    ax = who_said_what(cases, {"b": 0.5, "a": 0.97})
    assert [t.get_text() for t in ax.get_xticklabels()] == ["50", "97"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["reference", "her2kit", "Ann"]
    assert words_of(ax) == ["0", "–", "0", "2+", "2+", "1+"]
    (mark,) = ax.lines
    assert 1 < mark.get_xdata()[0] < 2
    assert mpl.colors.to_hex(ax.patches[3].get_facecolor()) == CLASS_COLOURS["2+"].lower()


def test_intervals_that_miss_are_red():
    found = pd.DataFrame(
        {"section": [0, 1], "way": "w", "percent": [10.0, 20.0], "low": [8.0, 18.0], "high": [12.0, 22.0],
         "holds": [True, False]}
    )  # fmt: skip
    (ax,) = intervals_that_hold(found, share=0.1, words={"w": "one way"}).axes
    assert ax.get_title(loc="left") == "one way\nholds the truth in 50% of 2 sections"
    bars = [line for line in ax.lines if line.get_marker() == "None"][:2]
    assert bars[0].get_color() != bars[1].get_color() == "#a3131f"


def test_a_training_shows_both_halves_and_the_change():
    halves = {k: Interval(v, v - 0.2, v + 0.1) for k, v in
              {"first half": 0.6, "second half": 0.8, "change": 0.2}.items()}  # fmt: skip
    run, half = training_figure([None, None, 0.5, 0.7], halves).axes
    assert half.get_title(loc="left") == "Change +0.20 (+0.00 to +0.30)"
    assert words_of(half)[-2:] == ["0.60", "0.80"]
    assert any("Fleiss" in words for words in words_of(half))
    (grown,) = [line for line in run.lines if len(line.get_xdata()) == 2]
    assert np.allclose(grown.get_xydata(), [[3, 0.5], [4, 0.7]])
