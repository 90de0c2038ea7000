"""The rules as integers: equal to the guideline's text, monotone, exact at 10 %, total. By brute force."""

import itertools
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import Policies
from her2kit.scoring.rules import BREAST_RULES, RESECTION_RULES, decide, detection_limit, limit_in_cells

SCORES = ("0", "1+", "2+", "3+")
PURE = Policies.pure()
# The kinds of cells that the rules tell apart, and how they count: negative, faint (or incomplete weak, or
# complete faint), incomplete moderate or intense, complete weak or moderate, complete intense.
ZERO, FAINT, IM, CW, CI = range(5)
# One step up in the product order of completeness and intensity, as far as the kinds differ.
UPGRADES = ((ZERO, FAINT), (FAINT, IM), (FAINT, CW), (IM, CW), (IM, CI), (CW, CI))


def counts_of(kinds) -> Counts:
    """Return the counts of so many cells of each kind."""
    zero, faint, im, cw, ci = (int(k) for k in kinds)
    return Counts(zero, faint, im + cw, ci, ci=ci, cw=cw, im=im)


def by_the_text(kinds, floor: int = 1) -> str:
    """Return the score as the guideline's text says it, in fractions and without the rule table."""
    zero, faint, im, cw, ci = kinds
    n = zero + faint + im + cw + ci
    tenth = Fraction(1, 10)
    if Fraction(ci, n) > tenth:
        return "3+"
    if Fraction(ci + cw, n) > tenth or ci >= floor or Fraction(ci + cw + im, n) > tenth:
        return "2+"
    return "1+" if Fraction(ci + cw + im + faint, n) > tenth else "0"


def table_scores(kinds: np.ndarray, n: int) -> np.ndarray:
    """Return the scores 0..3 of many counts at once, from the product's own rule table, (m, 5) -> (m,)."""
    _, faint, im, cw, ci = kinds.T
    record = SimpleNamespace(n=n, ci=ci, cw=cw, im=im, any=faint + im + cw + ci, n1=faint, n2=im + cw, n3=ci)
    fired = [rule.count(record) >= rule.threshold(n, PURE) for rule in BREAST_RULES]
    return np.select(fired, [SCORES.index(rule.score) for rule in BREAST_RULES], 0)


def compositions(n: int, parts: int):
    """Yield every way to split n into so many ordered parts."""
    for cuts in itertools.combinations(range(n + parts - 1), parts - 1):
        edges = (-1, *cuts, n + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def upgraded(kinds, step):
    """Return the counts after one cell went up, or None where there is no such cell."""
    low, high = step
    if kinds[low] == 0:
        return None
    new = list(kinds)
    new[low] -= 1
    new[high] += 1
    return tuple(new)


@pytest.mark.parametrize("n", range(1, 11))
def test_every_small_slide_by_brute_force(n):
    """Total, equal to the text and monotone, for every slide of up to 10 cells."""
    for kinds in compositions(n, 5):
        verdict = decide(counts_of(kinds), BREAST_RULES, PURE)
        assert verdict.score == by_the_text(kinds)
        assert sum(e["fired"] for e in verdict.trace) <= 1
        for step in UPGRADES:
            up = upgraded(kinds, step)
            if up is not None:
                assert SCORES.index(decide(counts_of(up), BREAST_RULES, PURE).score) >= SCORES.index(
                    verdict.score
                )


@pytest.mark.parametrize("n", range(30, 111))
def test_monotone_around_every_threshold(n):
    """All cumulative counts within 3 cells of 0, of the 10 % line and of n; every single upgrade."""
    line = n // 10
    near = sorted({*range(4), *range(max(line - 3, 0), line + 5), *range(n - 3, n + 1)})
    sums = np.array(list(itertools.combinations_with_replacement(near, 4)))  # ci <= +cw <= +im <= any
    ci, cw, im, faint = sums[:, 0], *np.diff(sums, axis=1).T
    kinds = np.stack([n - sums[:, 3], faint, im, cw, ci], axis=1)
    scores = table_scores(kinds, n)
    for low, high in UPGRADES:
        there = kinds[:, low] > 0
        up = kinds[there].copy()
        up[:, low] -= 1
        up[:, high] += 1
        assert np.all(table_scores(up, n) >= scores[there])
    assert set(scores) == {0, 1, 2, 3}
    some = np.random.default_rng(n).choice(len(kinds), 25, replace=False)
    for row in some:  # the table read at once is what `decide` and the text say one by one
        assert decide(counts_of(kinds[row]), BREAST_RULES, PURE).score == SCORES[scores[row]]
        assert by_the_text([int(k) for k in kinds[row]]) == SCORES[scores[row]]


many_kinds = st.lists(st.integers(0, 100_000), min_size=5, max_size=5).filter(lambda k: sum(k) > 0)
few_kinds = st.lists(st.integers(0, 60), min_size=5, max_size=5).filter(lambda k: sum(k) > 0)


@settings(max_examples=400, deadline=None)
@given(st.one_of(many_kinds, few_kinds), st.sampled_from(UPGRADES), st.booleans())
def test_monotone_and_equal_to_the_text_at_random(kinds, step, floors):
    policies = Policies(min_cells=1) if floors else PURE
    n = sum(kinds)
    floor = max(10, -(-n // 100)) if floors else 1
    before = decide(counts_of(kinds), BREAST_RULES, policies).score
    assert before == by_the_text(kinds, floor)
    up = upgraded(kinds, step)
    if up is not None:
        assert SCORES.index(decide(counts_of(up), BREAST_RULES, policies).score) >= SCORES.index(before)


@settings(max_examples=300, deadline=None)
@given(few_kinds, st.integers(2, 50))
def test_scaling(kinds, k):
    """The pure rule does not change when all counts are multiplied; with floors the score never falls."""
    big = [k * x for x in kinds]
    assert (
        decide(counts_of(big), BREAST_RULES, PURE).score == decide(counts_of(kinds), BREAST_RULES, PURE).score
    )
    floors = Policies(min_cells=1)
    small_score, big_score = (decide(counts_of(x), BREAST_RULES, floors).score for x in (kinds, big))
    assert SCORES.index(big_score) >= SCORES.index(small_score)


@settings(max_examples=300, deadline=None)
@given(few_kinds, st.integers(1, 200), st.booleans(), st.sampled_from([BREAST_RULES, RESECTION_RULES]))
def test_negative_cells_never_raise_the_score(kinds, more, floors, rules):
    policies = Policies(min_cells=1) if floors else PURE
    diluted = [kinds[0] + more, *kinds[1:]]
    before, after = (decide(counts_of(x), rules, policies).score for x in (kinds, diluted))
    assert SCORES.index(after) <= SCORES.index(before)


@pytest.mark.parametrize("n", [30, 100, 1_000_000])
def test_exactly_ten_percent_is_not_more(n):
    tenth = n // 10
    for kind, at, above in ((CI, "2+", "3+"), (CW, "0", "2+"), (IM, "0", "2+"), (FAINT, "0", "1+")):
        for cells, expected in ((tenth - 1, at), (tenth, at), (tenth + 1, above)):
            kinds = [n - cells, 0, 0, 0, 0]
            kinds[kind] = cells
            assert decide(counts_of(kinds), BREAST_RULES, PURE).score == expected
    gastric = [n - tenth, 0, 0, 0, tenth]
    assert decide(counts_of(gastric), RESECTION_RULES, PURE).score == "3+"  # exactly 10 % is 10 % or more
    assert decide(counts_of([n - tenth + 1, 0, 0, 0, tenth - 1]), RESECTION_RULES, PURE).score == "0"


def test_the_order_of_the_rules():
    """Planted slides of 100 cells, each for one rule."""
    cases = (
        ((89, 0, 0, 0, 11), "3+", None, "complete intense > 10 %"),
        ((85, 0, 0, 5, 10), "2+", None, "complete > 10 %"),
        ((90, 0, 0, 0, 10), "2+", "intense_le10", "complete intense, few"),
        ((80, 0, 11, 0, 9), "2+", "unusual_pattern", "moderate or complete > 10 %"),
        ((89, 2, 0, 9, 0), "1+", None, "any stain > 10 %"),
        ((90, 2, 0, 8, 0), "0", None, "stain above the limit of detection"),
    )
    for kinds, score, flag, rule in cases:
        verdict = decide(counts_of(kinds), BREAST_RULES, Policies())
        assert (verdict.score, verdict.flag, verdict.trace[-1]["rule"]) == (score, flag, rule)
        assert [e["fired"] for e in verdict.trace[:-1]] == [False] * (len(verdict.trace) - 1)


def test_the_trace_says_what_was_counted():
    trace = decide(counts_of((91, 0, 0, 5, 4)), BREAST_RULES, PURE).trace
    first = trace[0]
    assert (first["count"], first["n"], first["threshold"], first["fired"]) == (4, 100, 11, False)
    assert "4 of 100 cells have complete and intense membrane stain" in first["words"]
    assert "7 short" in first["words"]


def test_zero_is_ultralow_null_or_not_resolved():
    limit = detection_limit(0, 299)  # the rule of three: 0 of 299 bounds the rate at 1 %
    assert limit == pytest.approx(0.00997, abs=1e-4)
    kinds = lambda stained: counts_of((1000 - stained, stained, 0, 0, 0))  # noqa: E731
    with_limit = Policies(limit_of_detection=0.01)
    assert decide(kinds(0), BREAST_RULES, Policies()).zero_kind == "null"
    assert decide(kinds(1), BREAST_RULES, Policies()).zero_kind == "ultralow or null not resolved"
    assert decide(kinds(10), BREAST_RULES, with_limit).zero_kind == "ultralow or null not resolved"
    assert decide(kinds(11), BREAST_RULES, with_limit).zero_kind == "ultralow"
    assert (
        limit_in_cells(1000, 0.007) == 7
    )  # in floats .007 * 1000 is 7.000000000000001 and .29 * 100 is 28.99
    assert limit_in_cells(100, 0.29) == 29


def test_detection_limit_holds_the_rate():
    """Of many negative controls with a true rate, about 95 % give a bound above it."""
    rng = np.random.default_rng(0)
    bounds = [detection_limit(int(k), 500) for k in rng.binomial(500, 0.02, 2000)]
    assert 0.94 <= np.mean(np.array(bounds) >= 0.02) <= 0.99
    with pytest.raises(ValueError, match="5 of 3 cells"):
        detection_limit(5, 3)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=4, max_size=4).filter(lambda k: sum(k) > 0))
def test_gastric_resection_is_at_least_ten_percent(n):
    counts = Counts(*n, ci=0, cw=0, im=0)
    shares = [Fraction(sum(n[i:]), sum(n)) for i in (3, 2, 1)]
    expected = next(
        (s for s, share in zip(("3+", "2+", "1+"), shares, strict=True) if share >= Fraction(1, 10)), "0"
    )
    assert decide(counts, RESECTION_RULES, PURE).score == expected


def test_four_class_cells_count_as_complete():
    counts = Counts.four_classes(80, 5, 12, 3)
    assert (counts.ci, counts.cw, counts.im, counts.any) == (3, 12, None, 20)
    assert decide(counts, BREAST_RULES, Policies()).score == "2+"


@pytest.mark.parametrize(
    ("values", "message"),
    [((-1, 0, 0, 0, 0, 0, 0), "n0=-1"), ((5, 1, 0, 0, 1, 1, 0), "exceeds the 1 stained cells")],
)
def test_impossible_counts_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Counts(*values)
    with pytest.raises(ValueError, match="no evaluable cell"):
        decide(Counts(0, 0, 0, 0, 0, 0, 0), BREAST_RULES, PURE)
