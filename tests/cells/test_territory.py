"""The nearest nucleus of each pixel, against SciPy's exact distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from her2kit.cells.territory import GRID, centres, territories


def scatter(seed, height, width, n):
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.int32)
    for i in range(n):
        labels[rng.integers(height), rng.integers(width)] = i + 1
    return labels


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 60), st.integers(0, 8), st.integers(0, 30))
def test_each_pixel_has_a_nearest_nucleus_within_reach(seed, height, width, n, reach):
    labels = scatter(seed, height, width, n)
    found = territories(labels, mpp=0.25, reach_um=reach * 0.25)
    present = np.setdiff1d(np.unique(labels), [0])
    if len(present) == 0:
        assert not found.any()
        return
    distance2 = np.stack([np.rint(ndimage.distance_transform_edt(labels != i) ** 2) for i in present])
    nearest = distance2.min(axis=0)
    np.testing.assert_array_equal(found > 0, nearest <= reach * reach)
    y, x = np.nonzero(found)
    np.testing.assert_array_equal(distance2[np.searchsorted(present, found[y, x]), y, x], nearest[y, x])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30))
def test_ties_do_not_depend_on_label_numbers_nor_on_the_cut(seed, left, top):
    labels = scatter(seed, 60, 60, 12)
    reach = 10
    whole = territories(labels, mpp=0.5, reach_um=reach * 0.5)
    new = np.concatenate([[0], np.random.default_rng(seed).permutation(12) + 1]).astype(np.int32)
    part = territories(new[labels][top:, left:], mpp=0.5, reach_um=reach * 0.5)
    inside = (slice(top + reach, None), slice(left + reach, None))
    np.testing.assert_array_equal(new[whole][inside], part[reach:, reach:])


def test_centres_move_with_the_picture():
    labels = np.zeros((40, 50), np.int32)
    labels[10:13, 20:24] = 1
    labels[30, 5] = 2
    found = centres(labels, 2)
    np.testing.assert_array_equal(found, [[22 * GRID, 11.5 * GRID], [5.5 * GRID, 30.5 * GRID]])
    shifted = centres(np.pad(labels, ((3, 0), (7, 0))), 2)
    np.testing.assert_array_equal(shifted - found, [[7 * GRID, 3 * GRID]] * 2)


def test_labels_of_another_type_are_refused():
    with pytest.raises(ValueError, match="labels has dtype int64"):
        territories(np.zeros((4, 4), np.int64), mpp=0.25, reach_um=6)
