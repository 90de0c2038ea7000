"""Stain separation: planted amounts and planted vectors come back; grey is not brown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.stain.separation import (
    RUIFROK_JOHNSTON,
    StainMaps,
    StainVectors,
    angle_deg,
    fit_stain_vectors,
    separate,
)

WHITE = (234.0, 233.0, 243.0)


def unit(*v):
    return tuple(float(x) for x in np.array(v) / np.linalg.norm(v))


def paint(hematoxylin, dab, vectors, *, noise=None):
    """Pixels of planted amounts by Beer and Lambert, rounded to grey levels."""
    od = np.multiply.outer(hematoxylin, vectors.hematoxylin) + np.multiply.outer(dab, vectors.dab)
    grey = np.array(WHITE) * 10.0**-od
    if noise is not None:
        grey = grey + noise.normal(0, 1.5, grey.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


@settings(deadline=None)  # the first call compiles
@given(
    st.floats(0.0, 0.6),
    st.floats(0.0, 0.9),
    st.sampled_from(
        [RUIFROK_JOHNSTON, StainVectors(unit(0.67, 0.63, 0.38), unit(0.29, 0.54, 0.79), "slide")]
    ),
)
def test_planted_amounts_come_back(hematoxylin, dab, vectors):
    pixels = paint(np.full((2, 3), hematoxylin), np.full((2, 3), dab), vectors)
    maps = separate(pixels, WHITE, vectors)
    assert maps.hematoxylin.dtype == maps.dab.dtype == np.float32
    # half a grey level of rounding at the darkest channel
    tolerance = 0.5 / np.log(10) / max(1.0, pixels.min()) * 4
    np.testing.assert_allclose(maps.hematoxylin, hematoxylin, atol=tolerance)
    np.testing.assert_allclose(maps.dab, dab, atol=tolerance)


def test_each_pixel_alone_decides():
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    whole = separate(pixels, WHITE, RUIFROK_JOHNSTON)
    part = separate(pixels[5:30, 11:48], WHITE, RUIFROK_JOHNSTON)
    for name in ("hematoxylin", "dab", "red", "blue"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[5:30, 11:48])
    crop = whole.crop(slice(5, 30), slice(11, 48))
    np.testing.assert_array_equal(crop.dab, part.dab)
    assert crop.shape == (25, 37)


def test_grey_is_not_brown():
    od = {
        "dab": 0.6 * np.array(RUIFROK_JOHNSTON.dab),
        "hematoxylin": 0.3 * np.array(RUIFROK_JOHNSTON.hematoxylin),
        "blood": np.array([0.30, 0.42, 0.31]),
        "ink": np.array([0.60, 0.65, 0.71]),
        "pigment": np.array([0.60, 0.70, 0.73]),
        "glass": np.zeros(3),
    }
    pixels = np.rint(np.array(WHITE) * 10.0 ** -np.array(list(od.values())))[None].astype(np.uint8)
    maps = separate(pixels, WHITE, RUIFROK_JOHNSTON)
    brown = dict(zip(od, maps.brown[0].tolist(), strict=True))
    assert brown == {
        "dab": True,
        "hematoxylin": False,
        "blood": False,
        "ink": False,
        "pigment": False,
        "glass": False,
    }
    assert maps.brown_ratio[0, 0] == pytest.approx(0.776 / 0.268, rel=0.05)
    assert np.all((maps.brown_ratio >= 0) & (maps.brown_ratio <= 10))


@pytest.mark.parametrize(
    ("hematoxylin", "dab"),
    [((0.67, 0.63, 0.39), (0.29, 0.54, 0.79)), ((0.62, 0.68, 0.40), (0.33, 0.56, 0.76))],
)
def test_planted_vectors_come_back(hematoxylin, dab):
    rng = np.random.default_rng(1)
    planted = StainVectors(unit(*hematoxylin), unit(*dab), "slide")
    amounts_h = np.abs(rng.gamma(2.0, 0.12, 60_000))
    amounts_d = np.where(rng.random(60_000) < 0.3, rng.gamma(3.0, 0.2, 60_000), 0.01)
    amounts_h = np.where(amounts_d > 0.1, amounts_h * rng.random(60_000) * 0.6, amounts_h)
    pixels = paint(amounts_h, amounts_d, planted, noise=rng)
    found = fit_stain_vectors(pixels, WHITE)
    assert found.source == "slide"
    assert angle_deg(found.hematoxylin, planted.hematoxylin) < 5.0
    assert angle_deg(found.dab, planted.dab) < 5.0
    assert found == fit_stain_vectors(pixels, WHITE)
    assert found != RUIFROK_JOHNSTON


def test_too_little_evidence_gives_the_fixed_vectors():
    rng = np.random.default_rng(2)
    pale = paint(rng.gamma(2.0, 0.1, 50_000), np.full(50_000, 0.01), RUIFROK_JOHNSTON, noise=rng)
    assert fit_stain_vectors(pale, WHITE) is RUIFROK_JOHNSTON
    assert fit_stain_vectors(np.full((100, 100, 3), 240, dtype=np.uint8), WHITE) is RUIFROK_JOHNSTON
    eosin = StainVectors(RUIFROK_JOHNSTON.hematoxylin, unit(0.07, 0.99, 0.11), "slide")
    he = paint(rng.gamma(2.0, 0.2, 50_000), rng.gamma(3.0, 0.2, 50_000), eosin, noise=rng)
    assert fit_stain_vectors(he, WHITE) is RUIFROK_JOHNSTON
    assert fit_stain_vectors(np.zeros((0, 3), dtype=np.uint8), WHITE) is RUIFROK_JOHNSTON


def test_large_samples_are_subsampled_by_seed():
    rng = np.random.default_rng(3)
    pixels = paint(rng.gamma(2.0, 0.15, 700_000), rng.gamma(1.5, 0.25, 700_000), RUIFROK_JOHNSTON, noise=rng)
    assert fit_stain_vectors(pixels, WHITE, seed=5) == fit_stain_vectors(pixels, WHITE, seed=5)
    other = fit_stain_vectors(pixels, WHITE, seed=6)
    assert angle_deg(other.dab, fit_stain_vectors(pixels, WHITE, seed=5).dab) < 1.0


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match="dab is"):
        StainVectors(RUIFROK_JOHNSTON.hematoxylin, (1.0, 1.0, 1.0), "slide")
    with pytest.raises(ValueError, match="source is 'mine'"):
        StainVectors(RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab, "mine")
    with pytest.raises(ValueError, match="degrees apart"):
        StainVectors(RUIFROK_JOHNSTON.dab, RUIFROK_JOHNSTON.dab, "slide")
    with pytest.raises(ValueError, match="pass a picture"):
        separate(np.zeros((5, 3), dtype=np.uint8), WHITE, RUIFROK_JOHNSTON)
    plane = np.zeros((3, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="dab has dtype float64"):
        StainMaps(plane, plane.astype(np.float64), plane, plane)


@pytest.mark.parametrize("name", ["3_a1f1510c-b91e-4995-ba59-596ca7ebb019.jpg"])
def test_strong_core_gives_measured_vectors(real, name):
    from PIL import Image

    pixels = np.asarray(Image.open(real / "her2_tma" / name).convert("RGB"))[::9, ::9].reshape(-1, 3)
    found = fit_stain_vectors(pixels, WHITE)
    assert found.source == "slide"
    assert angle_deg(found.hematoxylin, (0.67, 0.63, 0.38)) < 5.0
    assert angle_deg(found.dab, (0.27, 0.53, 0.80)) < 5.0
