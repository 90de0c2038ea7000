"""A laboratory's cases against its readings: planted agreement and what must not be hidden."""

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import ManifestError
from her2kit.scoring.readings import SCORES
from her2kit.scoring.validation import validate


def cohort(kit, **columns):
    """Return cases of the kit's scores; "refused" and "failed" are slides without one."""
    status = [{"refused": "not_evaluable", "failed": "failed"}.get(s, "scored") for s in kit]
    score = [s if s in SCORES else None for s in kit]
    slides = [f"s{i}" for i in range(len(kit))]
    return pd.DataFrame({"slide_id": slides, "status": status, "score": score} | columns)


def readings(**readers):
    rows = [
        (f"s{i}", name, score, np.nan)
        for name, scores in readers.items()
        for i, score in enumerate(scores)
        if score
    ]
    return pd.DataFrame(rows, columns=["slide_id", "reader", "score", "h_score"])


def value(found, measure):
    return found.table.set_index("measure").loc[measure, "value"]


def test_planted_figures_come_back():
    kit = ["0"] * 8 + ["1+"] * 2 + ["2+"] * 10 + ["3+"] * 10
    label = ["0"] * 10 + ["2+"] * 10 + ["3+"] * 9 + ["2+"]
    found = validate(cohort(kit, label=label), draws=50)
    assert value(found, "agreement") == pytest.approx(27 / 30)
    assert value(found, "within one") == 1
    assert value(found, "positive 3+") == 1
    assert value(found, "negative 3+") == pytest.approx(20 / 21)
    assert value(found, "negative 1+/2+/3+") == pytest.approx(8 / 10)
    assert found.matrix.loc["0"].tolist() == [8, 2, 0, 0, 0]
    assert found.reference_words == "the manifest's column label"
    assert dict(found.flow)["compared"] == 30
    sizes = found.table.set_index("measure")["n"]
    assert (sizes["positive 3+"], sizes["negative 3+"]) == (9, 21)


def test_slides_without_a_score_are_shown_and_count_in_the_stricter_share():
    kit = ["3+", "3+", "refused", "failed", "0"]
    found = validate(cohort(kit, label=["3+", "3+", "2+", "0", None]), draws=50)
    assert value(found, "agreement") == 1
    assert value(found, "agreement, refused and failed counted as wrong") == 2 / 4
    assert found.matrix["not evaluable"].tolist() == [1, 0, 1, 0]
    assert dict(found.flow) == {
        "slides in the manifest": 5,
        "patients": 5,
        "with a reference": 4,
        "of these, failed (could not be read)": 1,
        "of these, refused as not evaluable": 1,
        "compared": 2,
    }


def test_without_labels_the_majority_is_the_reference_and_a_tie_is_none():
    given = readings(a=["0", "0", "1+", "3+"], b=["0", "1+", "2+", "3+"], c=["1+", "0", "3+", "3+"])
    found = validate(cohort(["0", "0", "2+", "2+"]), given, draws=50)
    assert found.cases["reference"].tolist() == ["0", "0", None, "3+"]
    assert found.reference_words == "what more than half of 3 readers said"
    assert value(found, "agreement") == pytest.approx(2 / 3)


def test_every_two_are_compared_on_what_both_read():
    given = readings(a=["0", "0", None, "3+"], b=[None, "0", "2+", "3+"])
    found = validate(cohort(["0", "0", "2+", "3+"], label=["0", "1+", "2+", "3+"]), given, draws=50)
    pairs = found.pairs.set_index(["first", "second"])
    assert list(pairs.index) == [
        ("her2kit", "label"), ("her2kit", "a"), ("her2kit", "b"), ("label", "a"), ("label", "b"), ("a", "b"),
    ]  # fmt: skip
    assert pairs["n"].tolist() == [4, 3, 3, 3, 3, 2]
    assert pairs.loc[("a", "b"), "agreement"] == 1
    assert found.readers.set_index("measure").loc["Fleiss' kappa", "n"] == 2
    assert found.readers.set_index("measure").loc["Krippendorff's alpha, ordinal", "n"] == 2


def test_slides_of_one_patient_widen_the_interval():
    rng = np.random.default_rng(0)
    wrong, right = np.repeat(rng.random(16) < 0.4, 4), np.repeat([0, 1, 2, 3], 16)
    label = [SCORES[c] for c in right]
    kit = [SCORES[c] for c in np.where(wrong, (right + 2) % 4, right)]
    apart = validate(cohort(kit, label=label), draws=300)
    together = validate(
        cohort(kit, label=label, patient_id=np.repeat(np.arange(16), 4).astype(str)), draws=300
    )
    for measure in ("agreement", "kappa quadratic"):
        width = [
            v.table.set_index("measure").loc[measure, ["low", "high"]].diff().iloc[-1]
            for v in (apart, together)
        ]
        assert width[1] > 1.3 * width[0]


def test_a_slide_without_a_patient_is_a_patient_of_its_own():
    patients = ["p", "p", None, None]
    found = validate(cohort(["0"] * 4, label=["0"] * 4, patient_id=patients), draws=10)
    assert dict(found.flow)["patients"] == 3


def test_without_a_difference_a_kappa_has_no_interval():
    found = validate(cohort(["0", "3+"] * 20, label=["0", "3+"] * 20), draws=50).table.set_index("measure")
    assert found.loc["kappa quadratic", "value"] == 1
    assert found.loc["kappa quadratic", ["low", "high"]].isna().all()
    assert found.loc["agreement", "low"] < 0.95


def test_h_scores_of_a_reader_who_is_always_20_higher():
    ours = np.linspace(10, 250, 12)
    given = readings(a=["0"] * 12)
    given["h_score"] = ours + 20
    found = validate(cohort(["0"] * 12, h_score_intensity=ours), given, draws=100)
    (h,) = found.h_scores
    assert (h.limits.bias, h.limits.sd) == pytest.approx((-20, 0), abs=1e-9)
    assert 0.9 < h.icc.estimate < 1
    unscored = validate(cohort(["refused"] * 11 + ["0"], h_score_intensity=ours), given, draws=10)
    assert unscored.h_scores == []


def test_the_same_seed_gives_the_same_tables():
    rng = np.random.default_rng(1)
    cases = cohort(rng.choice(SCORES, 40), label=rng.choice(SCORES, 40))
    one, two, three = (validate(cases, draws=60, seed=s).table for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(three)


@pytest.mark.parametrize(
    ("cases", "given", "words"),
    [
        (cohort(["0"]), None, "no slide has a reading; add a column label to the manifest or pass --readers"),
        (cohort(["0"], label=[None]), None, "no slide has a reading"),
        (cohort(["0", "1+"], label=["0", "tumour"]), None, "slide s1: label='tumour' is no score; use 0, 1"),
        (
            cohort(["0"]),
            readings(her2kit=["0"]),
            "a reader is called 'her2kit', which the report uses itself",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(cases, given, words):
    with pytest.raises(ManifestError, match=words):
        validate(cases, given)


def test_labels_may_be_written_without_plus():
    found = validate(cohort(["0", "1+", "3+"], label=["0", "1", "3 +"]), draws=10)
    assert value(found, "agreement") == 1
