"""From cell tables to slide scores: which cells count, missing cells, floors, flags, categories, clusters."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.cells.table import conform_cells
from her2kit.scoring.category import ISH
from her2kit.scoring.clusters import largest_cluster
from her2kit.scoring.counts import Counts, counted
from her2kit.scoring.gate import Gate
from her2kit.scoring.guideline import GUIDELINES, Guideline, Policies, missing_gate, slide_score
from her2kit.scoring.result import FLAGS

BREAST = "breast-asco-cap-2018"
# (completeness, intensity, breast class)
KINDS = {
    "zero": (0.0, "none", "0"),
    "faint": (0.5, "faint", "1+"),
    "complete faint": (0.9, "faint", "1+"),
    "im": (0.6, "moderate", "2+"),
    "cw": (0.9, "weak", "2+"),
    "ci": (0.95, "intense", "3+"),
}
UP = {
    "zero": ["faint", "im", "cw", "ci"],
    "faint": ["complete faint", "im", "cw"],
    "im": ["ci"],
    "cw": ["ci"],
}


def make_cells(*, spacing_px: float = 40.0, **kinds: int) -> pd.DataFrame:
    """Return a graded table with so many tumour cells of each kind, in rows 40 px (10 um at mpp 0.25)
    apart."""
    rows = [KINDS[k.replace("_", " ")] for k, n in kinds.items() for _ in range(n)]
    table = pd.DataFrame(rows, columns=["completeness", "intensity", "cell_class"])
    place = np.arange(len(table))
    table["x_px0"], table["y_px0"] = (place % 50) * spacing_px, (place // 50) * spacing_px
    return conform_cells(table.assign(cell_type="tumour"))


def same_score(a, b):
    return (a.score, a.category, a.counts, a.ci, a.cw, a.im, a.any, a.flags) == (
        b.score, b.category, b.counts, b.ci, b.cw, b.im, b.any, b.flags,
    )  # fmt: skip


kind_counts = st.fixed_dictionaries({k.replace(" ", "_"): st.integers(0, 25) for k in KINDS}).filter(
    lambda k: sum(k.values()) > 0
)


@settings(max_examples=30, deadline=None)
@given(kind_counts, st.integers(0, 1000))
def test_order_of_cells_does_not_matter(kinds, seed):
    cells = make_cells(**kinds)
    shuffled = cells.sample(frac=1, random_state=seed)
    for guideline in GUIDELINES:
        first, second = (slide_score(c, guideline, mpp=0.25) for c in (cells, shuffled))
        assert same_score(first, second)
        assert first.trace == second.trace


@settings(max_examples=30, deadline=None)
@given(kind_counts, kind_counts, st.sampled_from(["normal", "in_situ", "stroma", "immune", "unknown"]))
def test_non_invasive_cells_never_change_the_score(kinds, others, compartment):
    inside = make_cells(**kinds).assign(compartment="invasive")
    outside = make_cells(**others).assign(compartment=compartment)
    both = pd.concat([inside, outside], ignore_index=True)
    assert same_score(slide_score(inside, BREAST), slide_score(both, BREAST))


@settings(max_examples=40, deadline=None)
@given(kind_counts, st.sampled_from([(a, b) for a, bs in UP.items() for b in bs]), st.booleans())
def test_upgrading_one_cell_of_a_table_never_lowers_the_score(kinds, step, floors):
    low, high = (s.replace(" ", "_") for s in step)
    if kinds[low] == 0:
        return
    up = kinds | {low: kinds[low] - 1, high: kinds[high] + 1}
    policies = Policies(min_cells=1) if floors else Policies.pure()
    before, after = (slide_score(make_cells(**k), BREAST, policies=policies) for k in (kinds, up))
    assert after.score >= before.score


@settings(max_examples=40, deadline=None)
@given(kind_counts)
def test_h_scores_and_percentages(kinds):
    score = slide_score(make_cells(**kinds), BREAST, policies=Policies.pure())
    h, n = score.h_score_membrane_class, score.n_cells
    assert 0 <= h <= 300
    assert (h == 0) == (score.any == 0)
    assert (h == 300) == (score.counts["3+"] == n)
    assert h == pytest.approx(sum(i * p for i, p in enumerate(score.percent.values())))
    assert sum(score.counts.values()) == n == sum(kinds.values())
    assert score.h_score_intensity >= h  # here each cell's intensity weighs at least its class


def test_h_score_does_not_determine_the_score():
    first = slide_score(make_cells(ci=11, zero=89), BREAST)
    second = slide_score(make_cells(faint=33, zero=67), BREAST)
    assert first.h_score_membrane_class == second.h_score_membrane_class == 33
    assert (first.score, second.score) == ("3+", "1+")


@settings(max_examples=12, deadline=None)
@given(kind_counts, st.sampled_from(sorted(GUIDELINES)))
def test_ish_changes_the_category_never_the_score(kinds, guideline):
    cells = make_cells(**kinds)
    scores = [slide_score(cells, guideline, ish=ish, policies=Policies.pure(), mpp=0.25) for ish in ISH]
    assert len({s.score for s in scores}) == 1
    for s in scores:
        assert s.category in ("ultralow", "null", "ultralow or null not resolved") or s.category in (
            "positive", "low", "pending", "negative",
        )  # fmt: skip
        if s.category.startswith(("ultralow", "null")):
            assert s.score == "0"


@pytest.mark.parametrize(
    ("kinds", "ish", "category", "flags"),
    [
        ({"ci": 60, "zero": 40}, "unknown", "positive", []),
        ({"ci": 60, "zero": 40}, "not_amplified", "positive", ["discordant"]),
        ({"ci": 60, "zero": 40}, "group5", "positive", ["discordant"]),
        ({"cw": 60, "zero": 40}, "unknown", "pending", []),
        ({"cw": 60, "zero": 40}, "amplified", "positive", []),
        ({"cw": 60, "zero": 40}, "group1", "positive", []),
        ({"cw": 60, "zero": 40}, "not_amplified", "low", []),
        ({"cw": 60, "zero": 40}, "group3", "pending", ["ish_review"]),
        ({"faint": 60, "zero": 40}, "unknown", "low", []),
        ({"faint": 60, "zero": 40}, "amplified", "positive", ["discordant", "review"]),
        ({"faint": 60, "zero": 40}, "group2", "low", ["ish_review"]),
        ({"faint": 5, "zero": 95}, "unknown", "ultralow or null not resolved", []),
        ({"zero": 100}, "unknown", "null", []),
        ({"zero": 100}, "amplified", "positive", ["discordant", "review"]),
    ],
)
def test_breast_categories(kinds, ish, category, flags):
    score = slide_score(make_cells(**kinds), BREAST, ish=ish, mpp=0.25)
    assert (score.category, score.flags) == (category, flags)
    assert "ASCO/CAP" in score.vocabulary


@pytest.mark.parametrize(
    ("kinds", "ish", "category"),
    [
        ({"ci": 10, "zero": 90}, "unknown", "positive"),
        ({"cw": 10, "zero": 90}, "unknown", "pending"),
        ({"cw": 10, "zero": 90}, "amplified", "positive"),
        ({"cw": 10, "zero": 90}, "not_amplified", "negative"),
        ({"faint": 90, "zero": 10}, "unknown", "negative"),
        ({"zero": 100}, "unknown", "negative"),
    ],
)
def test_gastric_categories_have_no_low(kinds, ish, category):
    assert slide_score(make_cells(**kinds), "gastric-resection", ish=ish).category == category


def test_ultralow_needs_a_limit_of_detection():
    cells = make_cells(faint=5, zero=95)
    resolved = slide_score(cells, BREAST, policies=Policies(limit_of_detection=0.02))
    assert (resolved.score, resolved.category) == ("0", "ultralow")
    drowned = slide_score(cells, BREAST, policies=Policies(limit_of_detection=0.08))
    assert drowned.category == "ultralow or null not resolved"


def test_floor_is_a_named_deviation_with_the_literal_score_beside():
    one = slide_score(make_cells(ci=1, zero=999), BREAST)
    assert (one.score, one.score_floor_1) == ("0", "2+")
    assert one.flags == ["policy_deviation"]
    assert one.policies["min_intense_cells"] == 10
    enough = slide_score(make_cells(ci=10, zero=990), BREAST)
    assert (enough.score, enough.flags) == ("2+", ["intense_le10"])
    share = slide_score(make_cells(ci=29, zero=2971), BREAST)  # 1 % of 3,000 is 30
    assert (share.score, share.flags, share.policies["min_intense_cells"]) == ("0", ["policy_deviation"], 30)
    literal = slide_score(make_cells(ci=1, zero=999), BREAST, policies=Policies(min_intense_cells=1))
    assert (literal.score, literal.flags) == ("2+", ["intense_le10"])
    assert any("ASCO/CAP names no floor" in note for note in one.policy_notes)


def test_few_cells_are_refused_or_flagged():
    refused = slide_score(make_cells(ci=29), BREAST)
    assert (refused.status, refused.score, refused.category) == ("not_evaluable", None, None)
    assert refused.reasons == ["29 evaluable tumour cells, 30 are needed: score a larger area"]
    assert refused.counts["3+"] == 29
    assert slide_score(make_cells(ci=30), BREAST, mpp=0.25).flags == ["few_cells"]
    assert slide_score(make_cells(ci=99), BREAST, mpp=0.25).flags == ["few_cells"]
    assert slide_score(make_cells(ci=100), BREAST, mpp=0.25).flags == []
    nothing = slide_score(make_cells(), BREAST)
    assert (nothing.status, nothing.percent["0"], nothing.h_score_membrane_class) == (
        "not_evaluable",
        None,
        None,
    )


def test_control_and_gates_refuse():
    cells = make_cells(ci=100)
    assert slide_score(cells, BREAST, control="failed").reasons == [
        "the control tissue failed: stain the case again"
    ]
    gates = [Gate("focus", "caution", 1.0, "soft"), Gate("wrong_stain", "block", 2.0, "this looks like H&E")]
    refused = slide_score(cells, BREAST, gates=gates)
    assert refused.reasons == ["wrong_stain: this looks like H&E"]
    assert refused.trace[0]["fired"] is False
    assert (
        slide_score(make_cells(), BREAST, gates=gates[1:]).reasons == refused.reasons
    )  # cells not looked for
    assert slide_score(cells, BREAST, gates=gates[:1]).status == "scored"


def with_missing(cells: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return the table with n further tumour cells that are cut by the edge."""
    missing = make_cells(zero=n).assign(evaluable=False, reason="edge", cell_class=None, intensity=None)
    return pd.concat([cells, missing], ignore_index=True)


def test_missing_cells_are_counted_and_block_where_the_score_hangs_on_them():
    few = slide_score(with_missing(make_cells(zero=90), 10), BREAST)  # exactly 10 % is not more
    assert (few.status, few.n_cells, few.n_missing, few.score_missing) == ("scored", 90, 10, None)
    many = slide_score(with_missing(make_cells(zero=89), 11), BREAST)
    assert (many.status, many.score_missing) == ("not_evaluable", ("0", "3+"))
    assert "11 of 100 tumour cells could not be evaluated" in many.reasons[0]
    safe = slide_score(with_missing(make_cells(ci=120), 20), BREAST, mpp=0.25)
    assert (safe.score, safe.flags, safe.score_missing) == ("3+", ["missing_gt10"], ("3+", "3+"))
    levels = [
        missing_gate(with_missing(make_cells(**k), n), BREAST).level
        for k, n in (({"zero": 90}, 10), ({"zero": 89}, 11), ({"ci": 120}, 20))
    ]
    assert levels == ["ok", "block", "caution"]


def test_scattered_intense_cells_are_flagged():
    together = make_cells(ci=40, zero=160)
    assert slide_score(together, BREAST, mpp=0.25).flags == []
    apart = together.sample(frac=1, random_state=3).reset_index(drop=True)
    place = np.arange(200)
    apart["x_px0"], apart["y_px0"] = (place % 20) * 40.0, (place // 20) * 40.0
    scattered = slide_score(apart, BREAST, mpp=0.25)
    assert (scattered.score, scattered.flags) == ("3+", ["not_contiguous", "review"])


def test_which_cells_count():
    cells = make_cells(zero=6)
    cells["cell_type"] = ["tumour", "lymphocyte", "unknown", "tumour", "tumour", "stromal"]
    assert counted(cells, tumour_known=False).tolist() == [True, False, False, True, True, False]
    cells["compartment"] = ["invasive", "invasive", "invasive", "in_situ", "unknown", "invasive"]
    assert counted(cells, tumour_known=True).tolist() == [True, False, True, False, False, False]
    assert counted(cells, tumour_known=True, all_cells=True).tolist() == [
        True,
        True,
        True,
        False,
        False,
        True,
    ]


def test_all_cells_stand_beside():
    tumour, lymphocytes = make_cells(ci=50), make_cells(zero=550).assign(cell_type="lymphocyte")
    score = slide_score(pd.concat([tumour, lymphocytes], ignore_index=True), BREAST, mpp=0.25)
    assert (score.score, score.n_cells) == ("3+", 50)
    assert score.denominator.startswith("epithelium-like cells")
    assert (score.all_cells["score"], score.all_cells["n_cells"]) == ("2+", 600)


def test_a_region_without_cells_is_not_the_whole_slide():
    score = slide_score(make_cells(ci=100), BREAST, tumour_known=True)
    assert (score.status, score.n_cells) == ("not_evaluable", 0)


def test_cells_by_a_reader_or_network_have_a_class_alone():
    cells = make_cells(cw=20, zero=80).assign(grade_source="network", completeness=np.nan, intensity=None)
    score = slide_score(cells, BREAST)
    assert (score.score, score.cw, score.im, score.h_score_intensity) == ("2+", 20, None, None)
    assert score.flags == ["im_unknown"]
    low = slide_score(cells.assign(cell_class=["0"] * 100), BREAST)
    assert any("How many are incomplete is unknown here" in e["words"] for e in low.trace)
    corrected = make_cells(im=5, faint=20, zero=75)
    corrected.loc[corrected.index[:4], ["cell_class", "grade_source"]] = ["3+", "reader"]
    score = slide_score(corrected, BREAST)
    assert (score.ci, score.cw, score.im, score.counts["3+"]) == (4, 0, 1, 4)


def test_complete_faint_as_two():
    cells = make_cells(complete_faint=20, zero=80)
    assert slide_score(cells, BREAST).score == "1+"
    as_two = cells.assign(cell_class=cells["cell_class"].replace("1+", "2+"))
    assert slide_score(as_two, BREAST, policies=Policies(complete_faint_as="2+")).score == "2+"


def test_cells_of_another_scheme_are_refused():
    gastric = make_cells(zero=80, im=20).assign(intensity=["none"] * 80 + ["intense"] * 20)
    gastric["cell_class"] = ["0"] * 80 + ["3+"] * 20
    assert slide_score(gastric, "gastric-resection").score == "3+"
    with pytest.raises(ValueError, match="20 cells do not have the class that the breast scheme"):
        slide_score(gastric, BREAST)
    with pytest.raises(ValueError, match="cells has no column completeness"):
        slide_score(gastric.drop(columns="completeness"), BREAST)


@pytest.mark.parametrize(("size", "expected"), [(4, "0"), (5, "3+")])
def test_biopsy_needs_a_cluster_of_five(size, expected):
    cells = make_cells(zero=1000, ci=size)
    assert slide_score(cells, "gastric-biopsy", mpp=0.25).score == expected
    apart = slide_score(cells, "gastric-biopsy", mpp=0.5)  # 20 um apart: no neighbours
    assert apart.score == "0"


def test_biopsy_takes_higher_classes_into_lower_clusters():
    cells = make_cells(zero=10, ci=3, cw=2)
    score = slide_score(cells, "gastric-biopsy", mpp=0.25)
    assert (score.status, score.score, score.category) == ("scored", "2+", "pending")
    assert [e["count"] for e in score.trace[1:]] == [3, 5]
    tiny = slide_score(make_cells(ci=6), "gastric-biopsy", mpp=0.25)
    assert (tiny.score, tiny.flags) == ("3+", [])


def test_biopsy_names_what_it_needs():
    with pytest.raises(ValueError, match=r"mpp is missing; gastric-biopsy"):
        slide_score(make_cells(ci=6), "gastric-biopsy")
    with pytest.raises(ValueError, match="pass the cell table, not counts"):
        slide_score(Counts.four_classes(5, 0, 0, 5), "gastric-biopsy")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40), st.sampled_from([1.0, 1.5, 2.0])
)
def test_largest_cluster_equals_flood_fill(points, reach):
    xy, best = np.array(points, float).reshape(-1, 2), 0
    left = set(range(len(xy)))
    while left:
        front, group = [left.pop()], 1
        while front:
            here = xy[front.pop()]
            near = [i for i in left if np.hypot(*(xy[i] - here)) <= reach]
            left.difference_update(near)
            group += len(near)
            front += near
        best = max(best, group)
    assert largest_cluster(xy, neighbour_um=reach) == best


def test_counts_alone_are_enough():
    score = slide_score(Counts(80, 0, 0, 20, ci=20, cw=0, im=0), GUIDELINES[BREAST])
    assert (score.score, score.denominator, score.all_cells) == ("3+", "the counts given", None)


def test_a_million_cells_are_scored_in_integers():
    exact = Counts(900_000, 0, 0, 100_000, ci=100_000, cw=0, im=0)
    assert slide_score(exact, BREAST).score == "2+"
    one_more = replace(exact, n0=899_999, n3=100_001, ci=100_001)
    assert slide_score(one_more, BREAST).score == "3+"


def test_the_record_is_json_and_complete():
    record = slide_score(make_cells(ci=1, faint=30, zero=500), BREAST).record()
    assert json.loads(json.dumps(record)) == record
    assert {"ci", "cw", "im", "any", "flags", "policies", "trace", "h_score_intensity"} <= set(record)
    assert set(record["flags"]) <= set(FLAGS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guideline": "breast"}, "guideline='breast' is not known; use one of breast-asco"),
        ({"ish": "positive"}, "ish='positive' is not known"),
        ({"control": "ok"}, "control='ok' is not known"),
    ],
)
def test_unknown_words_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        slide_score(make_cells(zero=50), **({"guideline": BREAST} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_intense_cells": 0}, "min_intense_cells=0"),
        ({"min_cells": 2.5}, "min_cells=2.5"),
        ({"complete_at": 0}, "complete_at=0"),
        ({"complete_faint_as": "0"}, "complete_faint_as='0'"),
        ({"limit_of_detection": 3}, "limit_of_detection=3"),
        ({"neighbour_um": 0}, "neighbour_um=0"),
    ],
)
def test_impossible_policies_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Policies(**options)


def test_guidelines_say_where_they_come_from():
    assert set(GUIDELINES) == {BREAST, "gastric-resection", "gastric-biopsy"}
    assert all(isinstance(g, Guideline) and "20" in g.source for g in GUIDELINES.values())
