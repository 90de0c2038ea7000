"""The reference recipe's mask: scikit-image's thresholds, in place on the slide, and their weakness."""

import numpy as np
import pytest
import tifffile
from skimage.filters import threshold_otsu, threshold_yen

from her2kit.errors import MppError
from her2kit.slides.slide import open_slide
from her2kit.slides.thumbnail_mask import grey_threshold, thumbnail_mask
from her2kit.slides.tiles import tile_grid
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point


def slide_with(tmp_path, pixels, **tags):
    path = tmp_path / "slide.tif"
    tags = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"} | tags
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(128, 128), **tags)
    return open_slide(path)


@pytest.fixture
def glass() -> np.ndarray:
    """Return glass with its noise, 800 x 1200 px, a piece of tissue from (300, 200) to (700, 600)."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(236, 1.5, (800, 1200, 3))
    pixels[200:600, 300:700] = rng.normal(150, 20, (400, 400, 3))
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("method", ["otsu", "yen"])
def test_the_planted_piece_is_found_in_its_place(tmp_path, glass, method):
    with slide_with(tmp_path, glass) as slide:
        found = thumbnail_mask(slide, method=method, max_px=600)
        assert found.mask.shape == (400, 600)
        assert (found.mpp, found.scale) == (pytest.approx(0.5), pytest.approx(2.0))
        truth = np.zeros((400, 600), bool)
        truth[100:300, 150:350] = True
        assert (found.mask != truth).mean() < 0.005
        assert set(tile_grid(slide, found, tile_px=100).table["x_px0"]) >= {300, 400, 500, 600}


@pytest.mark.parametrize(("method", "standard"), [("otsu", threshold_otsu), ("yen", threshold_yen)])
def test_the_threshold_is_scikit_images(glass, method, standard):
    grey = np.rint(glass @ [0.299, 0.587, 0.114]).astype(np.uint8)
    assert grey_threshold(glass, method=method) == pytest.approx(standard(grey), abs=1)


def test_one_grey_level_holds_no_tissue_but_noise_is_split_in_two(tmp_path, glass):
    """An empty slide is where the recipe fails; the kit's own finder does not."""
    assert grey_threshold(np.full((40, 40, 3), 200, np.uint8)) == -1
    with slide_with(tmp_path, np.full((300, 300, 3), 255, np.uint8)) as slide:
        assert not thumbnail_mask(slide).mask.any()
    empty = np.random.default_rng(1).normal(236, 1.5, (800, 1200, 3)).clip(0, 255).astype(np.uint8)
    with slide_with(tmp_path, empty) as slide:
        assert thumbnail_mask(slide).mask.mean() > 0.2
        assert not find_tissue(slide, find_white_point(slide)).mask.any()


def test_wrong_arguments_and_a_slide_without_mpp_are_named(tmp_path, glass):
    with pytest.raises(ValueError, match="method is 'triangle'; use otsu or yen"):
        grey_threshold(glass, method="triangle")
    with pytest.raises(ValueError, match=r"pixels is float64 \(8, 8, 3\)"):
        grey_threshold(np.zeros((8, 8, 3)))
    with slide_with(tmp_path, glass, resolution=None, resolutionunit=None) as slide:
        assert slide.mpp is None
        with pytest.raises(MppError, match="pass mpp="):
            thumbnail_mask(slide)
