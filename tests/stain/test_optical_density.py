"""Optical density: known values, sign, errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.stain.optical_density import optical_density

WHITE = (234.0, 233.0, 243.0)


def test_known_densities():
    pixels = np.array([[[234, 233, 243], [23, 233, 243], [0, 1, 255]]], dtype=np.uint8)
    od = optical_density(pixels, WHITE)
    assert od.dtype == np.float32
    assert od.shape == (1, 3, 3)
    np.testing.assert_allclose(od[0, 0], 0.0, atol=1e-6)
    assert od[0, 1, 0] == pytest.approx(np.log10(234 / 23), rel=1e-6)
    assert od[0, 2, 0] == pytest.approx(np.log10(234), rel=1e-6)  # 0 counts as 1
    assert od[0, 2, 2] < 0  # brighter than glass stays negative


@given(st.lists(st.integers(0, 254), min_size=3, max_size=3), st.integers(0, 2))
def test_darker_never_lowers_od(levels, channel):
    darker = np.array(levels, dtype=np.uint8)
    brighter = darker.copy()
    brighter[channel] += 1
    assert np.all(optical_density(darker, WHITE) >= optical_density(brighter, WHITE))


def test_input_is_left_alone_and_wrong_input_is_named():
    pixels = np.full((4, 5, 3), 100, dtype=np.uint8)
    pixels.setflags(write=False)
    assert optical_density(pixels, WHITE).shape == (4, 5, 3)
    with pytest.raises(ValueError, match="pixels has dtype float64"):
        optical_density(np.ones((4, 5, 3)), WHITE)
    with pytest.raises(ValueError, match="shape"):
        optical_density(np.ones((4, 5), dtype=np.uint8), WHITE)
    with pytest.raises(ValueError, match="white is"):
        optical_density(pixels, (0.0, 233.0, 243.0))
    with pytest.raises(ValueError, match="white is"):
        optical_density(pixels, (233.0, 243.0))
