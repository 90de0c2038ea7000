"""A pyramid that was written comes back through OpenSlide: size, levels, mpp, pixels."""

import itertools

import numpy as np
import openslide
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.slides.pyramid import block_mean, write_pyramid


def picture(height, width, seed=0):
    """Return a smooth colour picture, so that JPEG keeps it closely."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    planes = [128 + 90 * np.sin(x / 60 + p) * np.cos(y / 45 + p) for p in phase]
    return np.stack(planes, axis=-1).round().astype(np.uint8)


def test_openslide_reads_size_levels_mpp_and_pixels(tmp_path):
    pixels = picture(1203, 1701)
    path = write_pyramid(tmp_path / "a.tif", pixels, mpp=0.389)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties[openslide.PROPERTY_NAME_VENDOR] == "generic-tiff"
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_X]) == pytest.approx(0.389, rel=1e-5)
        assert float(slide.properties[openslide.PROPERTY_NAME_MPP_Y]) == pytest.approx(0.389, rel=1e-5)
        assert slide.level_dimensions == ((1701, 1203), (851, 602), (426, 301))
        back = np.asarray(slide.read_region((0, 0), 0, (1701, 1203)))
        assert (back[..., 3] == 255).all()
        assert np.abs(back[..., :3].astype(int) - pixels).mean() < 1.5
        level1 = np.asarray(slide.read_region((0, 0), 1, (851, 602)))[..., :3]
        assert np.abs(level1.astype(int) - block_mean(pixels, 2)).mean() < 2.0


def test_strips_give_the_same_bytes_as_the_array(tmp_path):
    pixels = picture(777, 530)
    cuts = [0, 1, 100, 356, 357, 700, 777]
    strips = (pixels[a:b] for a, b in itertools.pairwise(cuts))
    write_pyramid(tmp_path / "a.tif", pixels, mpp=0.25)
    write_pyramid(tmp_path / "b.tif", (777, 530, strips), mpp=0.25)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_quality_and_subsampling_matter(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    sizes = [
        write_pyramid(tmp_path / f"{q}{s}.tif", noise, mpp=1, quality=q, subsampling=s, levels=1)
        .stat()
        .st_size
        for q, s in ((30, "420"), (90, "420"), (90, "422"), (90, "444"))
    ]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 4))
def test_block_mean_keeps_the_mean_of_whole_blocks(height, width, factor):
    pixels = np.random.default_rng(height * 41 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = block_mean(pixels, factor)
    assert small.shape == (-(-height // factor), -(-width // factor), 3)
    for y in range(height // factor):
        for x in range(width // factor):
            block = pixels[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].astype(float)
            assert np.abs(block.mean(axis=(0, 1)) - small[y, x]).max() <= 0.5 + 1e-9


def test_more_levels_and_other_factor(tmp_path):
    path = write_pyramid(tmp_path / "a.tif", picture(300, 500), mpp=0.5, downsample=4, levels=3, tile_px=64)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((500, 300), (125, 75), (32, 19))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mpp": 0}, "mpp=0; give micrometres"),
        ({"tile_px": 100}, "tile_px=100; give a multiple of 16"),
        ({"tile_px": 64, "downsample": 3}, "multiple of 16 and of downsample=3"),
        ({"quality": 0}, "quality=0"),
        ({"subsampling": "411"}, "subsampling='411'; use one of 420, 422, 444"),
        ({"downsample": 1}, "downsample=1"),
        ({"levels": 0}, "levels=0"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        write_pyramid(tmp_path / "a.tif", picture(32, 32), **{"mpp": 0.25, **change})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((4, 4), np.uint8), "give uint8"),
        (np.zeros((4, 4, 3), np.float32), "give uint8"),
        ((10, 4, [np.zeros((4, 4, 3), np.uint8)]), "strips hold 4 rows; the source announced 10"),
        ((3, 4, [np.zeros((4, 4, 3), np.uint8)]), "strips hold 4 rows or more; the source announced 3"),
        ((4, 4, [np.zeros((4, 4, 3), np.uint8)] * 2), "strips hold more rows than the 4"),
        ((4, 5, [np.zeros((4, 4, 3), np.uint8)]), r"give uint8 \(rows, 5, 3\)"),
        (7, "neither a uint8"),
    ],
)
def test_wrong_sources_are_named_and_nothing_is_left(tmp_path, source, words):
    with pytest.raises(ValueError, match=words):
        write_pyramid(tmp_path / "a.tif", source, mpp=0.25)
    assert list(tmp_path.iterdir()) == []
