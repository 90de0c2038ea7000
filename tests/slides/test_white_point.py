"""The white point: planted glass is found, and where there is none it is said."""

import numpy as np
import pytest
from PIL import Image

from her2kit.slides.slide import open_slide
from her2kit.slides.white_point import DEFAULT_WHITE, WhitePoint, find_white_point


def painted(tmp_path, pixels: np.ndarray):
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    return open_slide(tmp_path / "a.png")


def scene(white, *, blank: float, noise: float = 1.0, size: int = 600, seed: int = 0) -> np.ndarray:
    """Return glass on the left, a share ``blank`` of the picture, and rough tissue on the right."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((size, size, 3))
    pixels[:] = white
    tissue = rng.normal(0.75, 0.12, (size // 4, size // 4, 1)).repeat(4, 0).repeat(4, 1)
    start = round(blank * size)
    pixels[:, start:] *= tissue[:, start:]
    return pixels + rng.normal(0, noise, pixels.shape)


@pytest.mark.parametrize("white", [(233, 231, 238), (216, 217, 217), (246, 243, 243), (201, 216, 203)])
@pytest.mark.parametrize("blank", [0.05, 0.3, 0.9, 1.0])
def test_planted_white_is_found(tmp_path, white, blank):
    with painted(tmp_path, scene(white, blank=blank)) as slide:
        found = find_white_point(slide)
    assert found.source == "glass"
    assert found.warning is None
    np.testing.assert_allclose(found.rgb, white, atol=1)
    assert found.blank_fraction == pytest.approx(blank, abs=0.03)


def test_padding_is_not_glass(tmp_path):
    pixels = scene((234, 233, 243), blank=0.2)
    pixels[:, 300:] = 255
    with painted(tmp_path, pixels) as slide:
        found = find_white_point(slide)
    assert found.source == "glass"
    np.testing.assert_allclose(found.rgb, (234, 233, 243), atol=1)


def test_transparent_pixels_are_not_glass(tmp_path):
    pixels = scene((234, 233, 243), blank=0.2).clip(0, 255).astype(np.uint8)
    alpha = np.full((600, 600), 255, np.uint8)
    alpha[:, 240:] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        found = find_white_point(slide)
    np.testing.assert_allclose(found.rgb, (234, 233, 243), atol=1)
    assert found.blank_fraction == pytest.approx(0.5, abs=0.05)  # of what is not transparent


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (scene((234, 233, 243), blank=0.0), "no glass to measure white on"),
        (scene((255, 255, 255), blank=0.4, noise=0), "cut off at 255"),
        (np.zeros((200, 200, 3)), "no glass"),
        (np.random.default_rng(0).integers(0, 256, (200, 200, 3)), "no glass"),
        (
            np.where(np.arange(600)[None, :, None] < 400, scene((234,) * 3, blank=0.0, size=600), 160.0),
            "flat",
        ),
    ],
    ids=["all tissue", "saturated", "black", "noise", "flat but dark"],
)
def test_without_glass_the_default_comes_with_a_warning(tmp_path, pixels, words):
    with painted(tmp_path, pixels) as slide:
        found = find_white_point(slide)
    assert found.rgb == DEFAULT_WHITE
    assert found.source == "default"
    assert words in found.warning
    assert "give the white point" in found.warning
    assert "\n" not in found.warning


def test_given_white_is_taken(tmp_path):
    with painted(tmp_path, scene((234, 233, 243), blank=0.3)) as slide:
        found = find_white_point(slide, given=(234, 233, 243))
        far = find_white_point(slide, given=(200, 200, 200))
    assert (found.rgb, found.source, found.warning) == ((234, 233, 243), "given", None)
    assert found.blank_fraction == pytest.approx(0.3, abs=0.03)
    assert far.blank_fraction < 0.01


def test_white_is_checked():
    with pytest.raises(ValueError, match=r"rgb=\(0, 240, 240\)"):
        WhitePoint((0, 240, 240), "given", 0.5)
    with pytest.raises(ValueError, match="source='guess'"):
        WhitePoint((240, 240, 240), "guess", 0.5)


def test_real_cores_have_the_measured_white(real):
    """docs: 232-235 / 231-235 / 237-244 over the cores."""
    paths = sorted((real / "her2_tma").glob("*.jpg"))[::3] + sorted((real / "her2_wsi").glob("*.tif"))
    for path in paths:
        with open_slide(path) as slide:
            found = find_white_point(slide)
        assert found.source == "glass"
        for value, low, high in zip(found.rgb, (232, 231, 237), (235, 235, 244), strict=True):
            assert low <= value <= high


def test_real_padding_and_tight_crop(real):
    with open_slide(real / "wsi/tcga-cr-7395-no-mpp.svs") as slide:
        np.testing.assert_allclose(find_white_point(slide).rgb, (241, 236, 239), atol=1)
    with open_slide(real / "ki67/OS-1-detail.ome.tif") as slide:
        assert find_white_point(slide).source == "default"
