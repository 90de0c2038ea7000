"""Point matching: optimal by brute force, one-to-one, independent of order, fast."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import her2kit.cells.matching as matching
from her2kit.cells.matching import match_points

grid_points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5)


def brute_force(truth: np.ndarray, found: np.ndarray, reach: float) -> tuple[int, float]:
    """Return the largest number of pairs and the smallest sum of distances, by trying every pairing."""
    best = (0, 0.0)
    if len(truth) > len(found):
        truth, found = found, truth
    for chosen in itertools.permutations(range(len(found)), len(truth)):
        far = [float(np.hypot(*(truth[i] - found[j]))) for i, j in enumerate(chosen)]
        near = [d for d in far if d <= reach]
        # Any subset of pairs may be left out, but leaving out a pair within reach never helps.
        if (len(near), -sum(near)) > (best[0], -best[1]):
            best = (len(near), sum(near))
    return best


@settings(max_examples=150, deadline=None)
@given(grid_points, grid_points, st.sampled_from([1.0, 1.5, 2.3, 4.0]))
def test_equals_brute_force(truth, found, reach):
    a, b = np.array(truth, float).reshape(-1, 2), np.array(found, float).reshape(-1, 2)
    expected_hits, expected_sum = brute_force(a, b, reach)
    got = match_points(a, b, max_distance=reach)
    assert got.n_hits == expected_hits
    assert got.distance.sum() == pytest.approx(expected_sum, abs=1e-9)
    assert len(set(got.truth_index)) == len(set(got.found_index)) == got.n_hits
    assert np.all(got.distance <= reach)
    assert np.hypot(*(a[got.truth_index] - b[got.found_index]).T) == pytest.approx(got.distance)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_sparse_and_dense_agree_and_order_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 25, (60, 2)).astype(float), rng.integers(0, 25, (55, 2)).astype(float)
    dense = match_points(a, b, max_distance=3)
    limit = matching._DENSE_LIMIT
    matching._DENSE_LIMIT = 0
    try:
        sparse = match_points(a[::-1], b[rng.permutation(55)], max_distance=3)
    finally:
        matching._DENSE_LIMIT = limit
    assert sparse.n_hits == dense.n_hits
    assert sparse.distance.sum() == pytest.approx(dense.distance.sum())


def test_planted_pairs_come_back():
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(30), np.arange(30)), -1).reshape(-1, 2) * 10.0
    found = grid[100:] + rng.uniform(-2, 2, (800, 2))
    found = np.concatenate([found, grid[:40] + 5])  # 40 false ones, at least 5 from every true point
    got = match_points(grid, found, max_distance=4)
    assert np.array_equal(got.truth_index, np.arange(100, 900))
    assert np.array_equal(got.found_index, np.arange(800))
    assert (got.recall, got.precision) == (800 / 900, 800 / 840)
    assert got.f1 == 2 * 800 / (900 + 840)


def test_optimal_where_greedy_loses_a_hit():
    got = match_points(np.array([[0.0, 0], [3, 0]]), np.array([[2.0, 0], [6, 0]]), max_distance=3)
    assert got.n_hits == 2  # greedy would take 3 with 2 and leave 0 and 6 alone


def test_distance_is_inclusive_and_identical_points_match():
    assert match_points([[0, 0]], [[3, 4]], max_distance=5).n_hits == 1
    assert match_points([[0, 0]], [[3, 4]], max_distance=4.999).n_hits == 0
    assert match_points([[7, 7]] * 3, [[7, 7]] * 2, max_distance=1).n_hits == 2


def test_empty_inputs():
    nothing = match_points(np.zeros((0, 2)), np.zeros((0, 2)), max_distance=1)
    assert nothing.n_hits == 0
    assert np.isnan([nothing.precision, nothing.recall, nothing.f1]).all()
    one_side = match_points(np.zeros((0, 2)), [[1, 1]], max_distance=1)
    assert (one_side.precision, one_side.f1) == (0.0, 0.0)


def test_hundred_thousand_crowded_points_are_fast():
    rng = np.random.default_rng(0)
    side = np.sqrt(100_000 / 6000) * 1000  # 6,000 nuclei per mm2
    truth = rng.uniform(0, side, (100_000, 2))
    found = truth[rng.permutation(100_000)] + rng.normal(0, 1.5, (100_000, 2))
    start = time.process_time()
    got = match_points(truth, found, max_distance=4)
    assert time.process_time() - start < 20
    assert got.recall > 0.95


@pytest.mark.parametrize(
    ("truth", "reach", "message"),
    [
        ([[1, 2, 3]], 1, r"truth_xy has shape \(1, 3\)"),
        ([[1, np.nan]], 1, "truth_xy holds nan"),
        ([[1, 2]], 0, "max_distance=0; pass a distance > 0"),
    ],
)
def test_wrong_arguments_are_named(truth, reach, message):
    with pytest.raises(ValueError, match=message):
        match_points(truth, [[1, 1]], max_distance=reach)
