"""The weights of a resampled pixel: they are areas, sum to 1, and follow from its place alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.slides.resample import Taps, area_taps, linear_taps, resample

RATIOS = st.floats(1, 40)


@given(index=st.integers(-50, 100_000), phase=st.floats(0, 0.999), n=st.integers(1, 30), ratio=RATIOS)
@settings(deadline=None)
def test_weights_are_the_covered_areas(index, phase, n, ratio):
    taps = area_taps(index, phase, n, ratio)
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, atol=1e-5)
    assert (taps.weights >= 0).all()
    # The mean place of a pixel's weights is its centre, to the half source pixel that shares leave open.
    pixel = taps.first[:, None] + np.arange(taps.weights.shape[1])
    covered = np.minimum(pixel + 1, (np.arange(index, index + n) + phase + 1)[:, None] * ratio) - np.maximum(
        pixel, (np.arange(index, index + n) + phase)[:, None] * ratio
    )
    np.testing.assert_allclose(taps.weights, np.clip(covered, 0, None) / ratio, atol=1e-5)


@given(index=st.integers(0, 50_000), cut=st.integers(1, 19), ratio=RATIOS)
@settings(deadline=None)
def test_a_later_start_changes_no_bit(index, cut, ratio):
    whole, part = area_taps(index, 0.0, 20, ratio), area_taps(index + cut, 0.0, 20 - cut, ratio)
    n = min(whole.weights.shape[1], part.weights.shape[1])
    np.testing.assert_array_equal(whole.first[cut:], part.first)
    np.testing.assert_array_equal(whole.weights[cut:, :n], part.weights[:, :n])
    assert not whole.weights[cut:, n:].any()
    assert not part.weights[:, n:].any()


def test_uniform_stays_uniform():
    for value in (0, 1, 127, 254, 255):
        taps = area_taps(3, 0.3, 11, 2.37)
        source = np.full((taps.stop - taps.start, taps.stop - taps.start, 3), value, np.uint8)
        assert (resample(source, taps, taps) == value).all()


def test_means_are_those_of_plain_arithmetic():
    rng = np.random.default_rng(5)
    rows, columns = area_taps(2, 0.25, 9, 3.7), area_taps(0, 0.0, 6, 1.3)
    shape = rows.stop - rows.start, columns.stop - columns.start, 4
    source = rng.integers(0, 256, shape, np.uint8)
    found = resample(source, rows, columns)

    def matrix(taps: Taps) -> np.ndarray:
        out = np.zeros((len(taps.first), taps.stop - taps.start))
        for i, first in enumerate(taps.first - taps.start):
            out[i, first : first + taps.weights.shape[1]] = taps.weights[i]
        return out

    truth = np.einsum("iy,jx,yxc->ijc", matrix(rows), matrix(columns), source.astype(float))
    np.testing.assert_allclose(found, truth, atol=0.501)


def test_magnified_ramp_stays_a_ramp():
    taps = linear_taps(0, 0.0, 80, 0.25, size=20)
    line = np.repeat((np.arange(-1, 21) * 10).clip(0, 190).astype(np.uint8)[None, :, None], 1, axis=0)
    source = line[:, taps.start + 1 : taps.stop + 1]
    found = resample(source, Taps(np.array([0]), np.ones((1, 1), np.float32)), taps)[0, :, 0]
    truth = ((np.arange(80) + 0.5) * 0.25 - 0.5) * 10
    np.testing.assert_allclose(found, truth.clip(0, 190), atol=0.501)
