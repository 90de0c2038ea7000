"""R4's field arithmetic, and what magnifying loses that averaging keeps."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.rescale import field_px, field_um, power_spectrum, psnr_db, rescale_two_ways
from her2kit.slides.slide import open_slide


def test_the_worked_example_of_r4():
    first, second = (field_um(256, mpp=mpp, level=4) for mpp in (0.221, 0.389))
    assert (round(first), round(second)) == (905, 1593)
    assert math.floor(field_px(first, mpp=0.389, level=4)) == 145
    assert math.floor(field_px(first, mpp=0.389, level=3)) == 290


@given(st.floats(1, 5000), st.floats(0.05, 20), st.integers(0, 9), st.floats(1, 4))
def test_pixels_and_micrometres_of_a_field_are_inverse(tile_px, mpp, level, downsample):
    options = {"mpp": mpp, "level": level, "downsample": downsample}
    assert field_px(field_um(tile_px, **options), **options) == pytest.approx(tile_px)


@pytest.mark.parametrize("wrong", [{"mpp": 0}, {"mpp": math.nan}, {"mpp": 0.25, "level": -1}])
def test_a_field_of_no_size_is_refused(wrong):
    with pytest.raises(ValueError, match="give mpp > 0, level >= 0"):
        field_um(256, **wrong)


@pytest.fixture(scope="module")
def texture(tmp_path_factory):
    """Return a slide of 0.389 um/px, 1536 px square, with detail down to about 6 um."""
    pixels = np.random.default_rng(0).normal(0, 1, (1536, 1536, 3))
    pixels = cv2.GaussianBlur(pixels, (0, 0), 4.0)
    pixels = (128 + 40 * pixels / pixels.std()).clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("rescale") / "texture.tif"
    with open_slide(write_pyramid(path, pixels, mpp=0.389, quality=100, subsampling="444")) as slide:
        yield slide


def test_averaging_keeps_what_magnifying_loses(texture):
    ways = rescale_two_ways(texture, 200, 100, mpp=3.536, tile_px=96)
    assert (ways.finer_mpp, ways.coarser_mpp) == (pytest.approx(3.112), pytest.approx(6.224))
    assert ways.best.shape == ways.averaged.shape == ways.magnified.shape == (96, 96, 3)
    assert psnr_db(ways.averaged, ways.best) > psnr_db(ways.magnified, ways.best) + 6
    kept = {}
    best = power_spectrum(ways.best, mpp=ways.mpp, bins=16)
    for name in ("averaged", "magnified"):
        power = power_spectrum(getattr(ways, name), mpp=ways.mpp, bins=16)["power"]
        beyond = best["cycles_per_um"] > 0.5 / ways.coarser_mpp
        kept[name] = power[beyond].sum() / best["power"][beyond].sum()
    assert kept["averaged"] > 0.4
    assert kept["magnified"] < 0.15


def test_at_a_levels_own_mpp_averaging_loses_nothing(texture):
    ways = rescale_two_ways(texture, 64, 64, mpp=4 * 0.389, tile_px=50)
    assert np.array_equal(ways.averaged, texture.read(64, 64, 50, 50, mpp=4 * 0.389).pixels)
    assert ways.coarser_mpp == pytest.approx(8 * 0.389)


def test_the_three_ways_lie_pixel_upon_pixel(tmp_path):
    """A slope that rises and one that falls: a shift moves their means apart, rounding does not."""
    slope = 250 / 1200 / 0.25  # grey levels a micrometre
    means = []
    for end in (250, -250):
        ramp = abs(min(end, 0)) + np.arange(1200) / 1200 * end
        pixels = np.broadcast_to(ramp[None, :, None], (1200, 1200, 3)).astype(np.uint8)
        path = write_pyramid(tmp_path / "ramp.tif", pixels, mpp=0.25, quality=100, subsampling="444")
        with open_slide(path) as slide:
            ways = rescale_two_ways(slide, 105, 111, mpp=0.7, tile_px=256)
        means.append(
            [(w.astype(float) - ways.best)[4:-4, 4:-4].mean() for w in (ways.averaged, ways.magnified)]
        )
    shift_um = np.subtract(*means) / 2 / slope
    assert np.abs(shift_um).max() < 0.12  # of pixels of 0.7


def test_one_wave_is_one_peak_of_the_spectrum():
    mpp, n = 0.5, 200
    wave = 128 + 60 * np.sin(2 * np.pi * 0.3 * mpp * np.arange(n))  # 0.3 cycles a micrometre
    spectrum = power_spectrum(np.broadcast_to(wave[None, :, None], (n, n, 3)).astype(np.uint8), mpp=mpp)
    assert spectrum.loc[spectrum["power"].idxmax(), "cycles_per_um"] == pytest.approx(0.3, abs=0.04)
    assert spectrum["cycles_per_um"].max() < 1 / (2 * mpp)


@given(st.integers(0, 1000))
def test_psnr_is_scikit_images(seed):
    a, b = np.random.default_rng(seed).integers(0, 256, (2, 9, 7, 3)).astype(np.uint8)
    assert psnr_db(a, b) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255))
    assert psnr_db(a, a) == math.inf


def test_unfitting_arguments_are_named(texture):
    with pytest.raises(ValueError, match="finer than the slide's own"):
        rescale_two_ways(texture, 0, 0, mpp=0.25)
    with pytest.raises(ValueError, match="tile_px=0; give a place, and 1 px or more"):
        rescale_two_ways(texture, 0, 0, mpp=1.0, tile_px=0)
    with pytest.raises(ValueError, match="x_px0=nan"):
        rescale_two_ways(texture, math.nan, 0, mpp=1.0)
    with pytest.raises(ValueError, match=r"shape \(9, 9\), mpp=0, bins=32; give \(h, w, 3\)"):
        power_spectrum(np.zeros((9, 9)), mpp=0)
    with pytest.raises(ValueError, match="give one shape"):
        psnr_db(np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 3), np.uint8))
