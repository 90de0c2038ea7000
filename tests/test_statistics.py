"""Intervals: against published values and SciPy, and their coverage where rows hang together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from her2kit.statistics import (
    Interval,
    clopper_pearson,
    clustered_bootstrap,
    clustered_bootstrap_many,
    wilson,
)


def test_wilson_gives_the_published_example():
    # Newcombe RG. Stat Med 1998;17:857-872, table I: 81 of 263, score method
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(0, 400), st.sampled_from([0.8, 0.95, 0.99]))
def test_share_intervals_are_those_of_scipy(n, k, confidence):
    k = min(k, n)
    test = stats.binomtest(k, n)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        found, theirs = ours(k, n, confidence=confidence), test.proportion_ci(confidence, method)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_fewer_effective_rows_make_a_wider_interval():
    widths = [i.high - i.low for i in (wilson(0.1 * n, n) for n in (12.5, 100, 1000))]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_of_single_rows_agrees_with_scipy(method):
    values = np.random.default_rng(4).exponential(size=60)
    found = clustered_bootstrap(lambda r: values[r].mean(), np.arange(60), draws=4000, method=method)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method=method, rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert found.estimate == values.mean()


def test_rows_that_hang_together_widen_the_interval_and_it_covers():
    """60 patients of 5 slides, a mean a patient: the naive interval misses, the clustered one does not."""
    patients = np.repeat(np.arange(60), 5)
    covered = {"clustered": 0, "naive": 0}
    for run in range(120):
        rng = np.random.default_rng(run)
        values = rng.normal(size=60)[patients] + 0.3 * rng.normal(size=300)
        for name, clusters in (("clustered", patients), ("naive", np.arange(300))):
            found = clustered_bootstrap(lambda r, v=values: v[r].mean(), clusters, draws=200, seed=run)
            covered[name] += found.low <= 0 <= found.high
    assert covered["clustered"] >= 0.88 * 120
    assert covered["naive"] <= 0.75 * 120


def test_the_answer_depends_on_the_seed_alone_and_not_on_the_order_of_clusters_names():
    values = np.random.default_rng(0).normal(size=40)
    groups = np.repeat(np.arange(8), 5)
    one, two, three = (
        clustered_bootstrap(lambda r: values[r].mean(), c, draws=50, seed=s)
        for c, s in ((groups, 1), (groups.astype("U3"), 1), (groups, 2))
    )
    assert one == two
    assert one != three


def test_several_statistics_come_from_the_same_draws():
    values = np.random.default_rng(0).normal(size=40)
    found = clustered_bootstrap_many(
        lambda r: {"mean": values[r].mean(), "half": values[r].mean() / 2}, np.arange(40), draws=99
    )
    assert found["half"].low == pytest.approx(found["mean"].low / 2)
    assert found["half"].high == pytest.approx(found["mean"].high / 2)


def test_draws_on_which_it_is_not_defined_are_left_out_and_counted():
    flags = np.array([1.0] + [0.0] * 9)
    found = clustered_bootstrap(lambda r: 3.0 if flags[r].any() else np.nan, np.arange(10), draws=500)
    assert (found.low, found.high) == (3, 3)
    assert found.draws == pytest.approx(500 * (1 - 0.9**10), abs=60)


def test_one_cluster_tells_no_spread():
    found = clustered_bootstrap(lambda r: float(len(r)), np.zeros(5))
    assert found.estimate == 5
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wilson(3, 2), "pass 0 <= successes <= n"),
        (lambda: clopper_pearson(0, 0), "n > 0"),
        (lambda: wilson(1, 2, confidence=95), r"confidence=95; pass a share"),
        (lambda: clustered_bootstrap(len, np.zeros((2, 2))), "clusters has shape"),
        (lambda: clustered_bootstrap(len, []), "at least one row"),
        (lambda: clustered_bootstrap(len, [1, 2], draws=0), "draws=0; pass 1 or more"),
        (lambda: clustered_bootstrap(len, [1, 2], method="t"), "use 'percentile' or 'bca'"),
        (lambda: Interval(0, 2, 1), "above high"),
    ],
)
def test_messages(call, words):
    with pytest.raises(ValueError, match=words):
        call()
