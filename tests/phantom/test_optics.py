"""The scanner: sharpening keeps colour, noise hangs on the place."""

from dataclasses import replace

import numpy as np
import pytest

from her2kit.phantom.optics import expose, sharpen
from her2kit.phantom.site import SITES

ALDER = SITES["alder"]


def glass(rows: int = 160, cols: int = 160) -> np.ndarray:
    return np.tile(np.array(ALDER.white, np.float32), (rows, cols, 1))


def test_sharpening_darkens_a_line_exceeds_white_beside_it_and_keeps_its_colour():
    light = glass()
    light[:, 78:82] *= np.array([0.8, 0.6, 0.4], np.float32)
    sharp = sharpen(light, ALDER, 0.25)
    assert sharp[80, 79, 1] < light[80, 79, 1]
    assert sharp[80, 76, 1] > light[80, 76, 1]
    np.testing.assert_allclose(sharp / sharp[..., :1], light / light[..., :1], rtol=1e-4)


def test_without_sharpening_light_stays():
    light = glass(16, 16)
    assert sharpen(light, replace(ALDER, sharpen=0), 0.25) is light


def test_noise_hangs_on_the_place_and_not_on_the_block():
    whole = expose(glass(96, 128), ALDER, mpp=0.25, x0_px=1000, y0_px=500, seed=3).astype(int)
    part = expose(glass(40, 50), ALDER, mpp=0.25, x0_px=1041, y0_px=533, seed=3).astype(int)
    inner = np.abs(whole[33:73, 41:91] - part)[16:-16, 16:-16]  # the mask reaches over a block's border
    assert inner.max() <= 1


@pytest.mark.parametrize("blotch", [0.0, 3.0])
def test_blotches_are_coarse_colour(blotch):
    site = replace(ALDER, blotch=blotch, noise=0, drift=0)
    pixels = expose(glass(), site, mpp=0.25, x0_px=0, y0_px=0, seed=1).astype(float)
    spread = (pixels[..., 2] - pixels[..., 0]).std()
    assert spread == pytest.approx(blotch, rel=0.3, abs=0.01)
