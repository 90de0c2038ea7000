"""Plans that cannot be drawn are refused, in one clear line."""

import pytest

from her2kit.errors import PlanError
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.degrade import check_degradations
from her2kit.phantom.plan import PAIRS, Mix, Plan
from her2kit.phantom.ready import COHORT, READY, ready_case
from her2kit.phantom.rule import planted_score
from her2kit.phantom.site import SITES, Site
from her2kit.phantom.stain import integer_counts

NULL = {("none", "none"): 1.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fractions": {("none", "none"): 0.5}}, "fractions sums to 0.5, not 1"),
        ({"fractions": {("complete", "none"): 1.0}}, "use pairs such as"),
        ({"fractions": {("none", "none"): 1.5}}, "gives 1.5"),
        ({"stain": "her3"}, "stain='her3'; use one of her2"),
        ({"patterns": ("spiral",)}, "pattern='spiral'"),
        ({"patterns": ()}, "patterns is empty"),
        ({"cell_spacing_um": 6.0, "nucleus_um2": 80.0}, "too dense"),
        ({"size_px": (100_000, 4096), "mpp": 0.5}, "more than memory holds"),
        ({"size_px": (100, 100)}, "at least 256"),
        ({"mpp": 40.0}, "0.25 is usual"),
        ({"clustering": 2.0}, "clustering=2.0"),
    ],
)
def test_impossible_plans_are_named(change, words):
    with pytest.raises(PlanError, match=words):
        Plan(**{"name": "x", "fractions": NULL, **change})


def test_impossible_mix_site_case_and_degradation_are_named():
    with pytest.raises(PlanError, match="sums to more than 1"):
        Mix(invasive=0.9, fat=0.3)
    with pytest.raises(PlanError, match="quality=0"):
        Site("x", quality=0)
    with pytest.raises(PlanError, match="white="):
        Site("x", white=(0, 0, 300))
    with pytest.raises(PlanError, match="use one of 0-null"):
        ready_case("4+")
    with pytest.raises(PlanError, match="degradation 'smoke' is unknown; use one of blur"):
        check_degradations("smoke")
    with pytest.raises(PlanError, match="give one from 0 to 1"):
        check_degradations("blur=much")
    with pytest.raises(PlanError, match="sites=99"):
        plan_cohort(slides=1, sites=99)
    with pytest.raises(PlanError, match="slides=0"):
        plan_cohort(slides=0)
    with pytest.raises(PlanError, match="seed=-1"):
        plan_cohort(slides=1, seed=-1)


def test_degradations_are_read():
    assert check_degradations("blur, pen=0.2") == (("blur", 0.6), ("pen", 0.2))
    assert check_degradations(None) == ()


@pytest.mark.parametrize("name", list(READY))
def test_ready_cases_are_drawable_and_score_as_they_are_called(name):
    plan = Plan(**ready_case(name))
    counts = integer_counts(plan.fractions, 1000)
    assert counts.sum() == 1000
    score = planted_score(dict(zip(PAIRS, counts.tolist(), strict=True)), plan.guideline)
    said = {
        "0-null": "0",
        "ultralow": "0",
        "cytoplasmic": "0",
        "nearly-empty": "1+",
        "pale": "2+",
        "overstained": "3+",
        "hot-spot": "3+",
        "basolateral": "2+",
        "borderline-8": "1+",
        "borderline-9": "1+",
        "borderline-11": "2+",
        "borderline-12": "2+",
        "borderline-3+": "3+",
        "borderline-1+": "1+",
    }.get(name, name.removeprefix("gastric-"))
    assert score["score"] == said


def test_a_cohort_begins_with_the_four_scores_and_mixes_sites_and_patients():
    plans = plan_cohort(slides=len(COHORT), sites=4, size_px=1024)
    assert [p.name for p in plans[:4]] == ["3+", "0-null", "2+", "1+"]
    assert {p.site.name for p in plans} == set(SITES)
    assert len({p.slide_id for p in plans}) == len(plans) > len({p.patient_id for p in plans})
    assert len({p.seed for p in plans}) == len(plans)
