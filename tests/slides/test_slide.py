"""Opening and reading: the pixels are the file's own, exact in place; nothing broken passes for a slide."""

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from her2kit.errors import MppError, SlideError
from her2kit.slides import vendor
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import open_slide

SLIDES = ("her2_wsi/core_score3.tif", "wsi/cmu-1-small-region.svs")
MORE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def over_white(region: Image.Image) -> np.ndarray:
    white = Image.new("RGBA", region.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, region).convert("RGB"))


@pytest.fixture(scope="module")
def tiled(tmp_path_factory) -> Path:
    """Return a lossless tiled TIFF of noise, 300 x 410 px at 0.25 um/px, of one level."""
    path = tmp_path_factory.mktemp("tiled") / "noise.tif"
    tags = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, picture(410, 300), photometric="rgb", tile=(64, 64), **tags)
    return path


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory) -> Path:
    """Return a pyramid whose sizes are odd, so that its levels' downsamples are not whole."""
    path = tmp_path_factory.mktemp("pyramid") / "odd.tif"
    smooth = cv2.resize(picture(40, 50), (1549, 1233), interpolation=cv2.INTER_CUBIC)
    return write_pyramid(path, smooth, mpp=0.25, tile_px=64, levels=4)


@pytest.mark.parametrize("name", SLIDES)
def test_native_pixels_are_openslides_own(real, name):
    with open_slide(real / name) as slide, openslide.OpenSlide(real / name) as truth:
        rng = np.random.default_rng(1)
        for _ in range(12):
            x, y = (int(rng.integers(-200, size)) for size in truth.dimensions)
            w, h = (int(v) for v in rng.integers(1, 500, 2))
            region = truth.read_region((x, y), 0, (w, h))
            tile = slide.read(x, y, w, h)
            np.testing.assert_array_equal(tile.pixels, over_white(region))
            assert tile.outside_px == np.count_nonzero(np.asarray(region)[..., 3] == 0)
            assert (tile.x_px0, tile.y_px0, tile.mpp) == (x, y, slide.mpp)


def test_each_level_is_openslides_own(real):
    path = real / SLIDES[0]
    with open_slide(path) as slide, openslide.OpenSlide(path) as truth:
        assert slide.level_downsamples == truth.level_downsamples
        for level in range(truth.level_count):
            tile = slide.read_level(301, 402, 70, 50, level=level)
            np.testing.assert_array_equal(
                tile.pixels, over_white(truth.read_region((301, 402), level, (70, 50)))
            )
            assert tile.mpp == pytest.approx(0.25 * truth.level_downsamples[level])


def test_a_level_of_whole_downsample_is_read_as_it_is(real):
    path = real / SLIDES[0]
    with open_slide(path) as slide, openslide.OpenSlide(path) as truth:
        tile = slide.read(404, 804, 300, 200, mpp=1.0)
        np.testing.assert_array_equal(tile.pixels, over_white(truth.read_region((404, 804), 2, (300, 200))))


def test_public_and_raw_pixels_of_openslide_agree(real):
    with openslide.OpenSlide(real / SLIDES[0]) as handle:
        raw = vendor._read_bgra(handle, -7, 5000, 0, 90, 600)
        public = np.asarray(handle.read_region((-7, 5000), 0, (90, 600)))
    np.testing.assert_array_equal(raw[..., [2, 1, 0, 3]], public)


@MORE
@given(ratio=st.integers(1, 9), column=st.integers(-3, 40), row=st.integers(-3, 40))
def test_whole_ratio_gives_the_block_means(tiled, ratio, column, row):
    canvas = np.full((1000, 1000, 3), 255, float)
    canvas[100:510, 100:400] = picture(410, 300)
    with open_slide(tiled) as slide:
        tile = slide.read(column * ratio, row * ratio, 7, 5, mpp=0.25 * ratio)
    y, x = 100 + row * ratio, 100 + column * ratio
    blocks = canvas[y : y + 5 * ratio, x : x + 7 * ratio].reshape(5, ratio, 7, ratio, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(tile.pixels, blocks, atol=0.501)


@MORE
@given(
    mpp=st.floats(0.2501, 3.0),
    phase=st.floats(0, 1),
    cut_x=st.integers(1, 39),
    cut_y=st.integers(1, 29),
)
def test_adjoining_reads_are_one_large_read(pyramid, mpp, phase, cut_x, cut_y):
    with open_slide(pyramid) as slide:
        scale = slide.scale_at(mpp)
        x, y = 500 + phase * scale, 301.25
        whole = slide.read(x, y, 40, 30, mpp=mpp).pixels
        part = slide.read(x + cut_x * scale, y + cut_y * scale, 40 - cut_x, 30 - cut_y, mpp=mpp).pixels
        np.testing.assert_array_equal(whole[cut_y:, cut_x:], part)


@pytest.mark.parametrize("mpp", [0.25, 0.31, 0.5, 1.0, 2.0, 2.7])
def test_tiles_add_up_to_the_slide_and_lose_no_border(pyramid, mpp):
    with open_slide(pyramid) as slide:
        scale = slide.scale_at(mpp)
        width, height = (math.ceil(v / scale) for v in (slide.width_px0, slide.height_px0))
        whole = slide.read(0, 0, width, height, mpp=mpp)
        side = 37
        for r in range(0, height, side):
            for c in range(0, width, side):
                part = slide.read(c * scale, r * scale, side, side, mpp=mpp).pixels
                seen = whole.pixels[r : r + side, c : c + side]
                np.testing.assert_array_equal(part[: seen.shape[0], : seen.shape[1]], seen)
    # Of the last row and column at least half a pixel lies on the slide, or they count as outside.
    covered = (slide.width_px0 / scale) % 1, (slide.height_px0 / scale) % 1
    lost = sum(n for n, share in zip((height, width), covered, strict=True) if 0 < share < 0.5)
    assert whole.outside_px <= lost


def test_coarse_levels_lie_where_the_fine_one_does(pyramid):
    """Sizes round 1549 / 8 up to 194; by OpenSlide's quotient of sizes the far edge would be off by 3 px."""
    with open_slide(pyramid) as slide, openslide.OpenSlide(pyramid) as handle:
        fine = np.asarray(handle.read_region((0, 0), 0, (1544, 1232)))[..., :3].astype(float)
        for ratio in (2, 4, 8):
            tile = slide.read(0, 0, 1544 // ratio, 1232 // ratio, mpp=0.25 * ratio)
            error = {}
            for shift in (-1, 0, 1):
                moved = np.roll(fine, shift, axis=(0, 1))
                means = moved.reshape(1232 // ratio, ratio, 1544 // ratio, ratio, 3).mean(axis=(1, 3))
                error[shift] = np.abs(tile.pixels - means)[-40:-2, -40:-2].mean()
            assert min(error, key=error.get) == 0


def test_large_levels_out_of_place_serve_coarse_reads_alone(pyramid, monkeypatch):
    monkeypatch.setattr(vendor, "_SMALL_PX", 0)
    monkeypatch.setattr(vendor, "_BLOCK_PX", 16)
    with open_slide(pyramid) as slide:
        fine = slide.read(0, 0, 1536, 1216).pixels.astype(float)
        for ratio in (2, 4):
            means = fine.reshape(1216 // ratio, ratio, 1536 // ratio, ratio, 3).mean(axis=(1, 3))
            tile = slide.read(0, 0, 1536 // ratio, 1216 // ratio, mpp=0.25 * ratio)
            np.testing.assert_allclose(tile.pixels, means, atol=0.501)  # averaged from level 0
        whole = slide.read(-50, -60, 190, 150, mpp=2.3)
        for cut in (3, 40, 97):
            part = slide.read(-50 + cut * 9.2, -60 + cut * 9.2, 190 - cut, 150 - cut, mpp=2.3)
            np.testing.assert_array_equal(whole.pixels[cut:, cut:], part.pixels)
    with open_slide(pyramid) as slide:
        monkeypatch.undo()
        assert np.abs(whole.pixels - slide.read(-50, -60, 190, 150, mpp=2.3).pixels.astype(float)).mean() < 2


def test_bands_do_not_show(tiled, monkeypatch):
    with open_slide(tiled) as slide:
        whole = slide.read(-20, -20, 130, 170, mpp=0.61)
        monkeypatch.setattr("her2kit.slides.slide._BAND_PX", 5000)
        bands = slide.read(-20, -20, 130, 170, mpp=0.61)
    np.testing.assert_array_equal(whole.pixels, bands.pixels)
    np.testing.assert_array_equal(whole.outside, bands.outside)


def test_outside_is_white_and_counted(tiled):
    with open_slide(tiled) as slide:
        tile = slide.read(-10, 400, 20, 30)
        assert tile.outside_px == 20 * 30 - 10 * 10
        assert (tile.pixels[tile.outside] == 255).all()
        far = slide.read(10_000, 10_000, 8, 8, mpp=0.7)
        assert far.outside_px == 64
        assert (far.pixels == 255).all()
        assert slide.read(50, 50, 20, 20).outside is None


def test_never_up_unless_told(tiled):
    with open_slide(tiled) as slide:
        with pytest.raises(ValueError, match=r"mpp=0\.1 is finer than the slide's own 0\.25.*upsample=True"):
            slide.read(0, 0, 8, 8, mpp=0.1)
        with pytest.raises(ValueError, match=r"mpp=-1 is not micrometres"):
            slide.read(0, 0, 8, 8, mpp=-1)
        tile = slide.read(0, 0, 600, 820, mpp=0.125, upsample=True)
    assert tile.outside_px == 0
    assert tile.mpp == 0.125
    means = tile.pixels.astype(float).reshape(410, 2, 300, 2, 3).mean(axis=(1, 3))
    truth = picture(410, 300).astype(float)
    assert np.corrcoef(means.ravel(), truth.ravel())[0, 1] > 0.9
    # Half a pixel inward of each border the nearest source pixel stands alone.
    np.testing.assert_array_equal(tile.pixels[0, 0], truth[0, 0])
    np.testing.assert_array_equal(tile.pixels[-1, -1], truth[-1, -1])


def test_threads_read_the_same(real):
    boxes = [(x, y, 300, 300) for x in range(500, 4500, 700) for y in range(500, 4500, 700)]
    with open_slide(real / SLIDES[0]) as slide:
        alone = [slide.read(*box, mpp=0.3).pixels for box in boxes]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda box: slide.read(*box, mpp=0.3).pixels, boxes))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_thumbnail_shows_the_whole_slide(tiled, tmp_path):
    with open_slide(tiled) as slide:
        tile = slide.thumbnail(max_px=100)
        assert max(tile.pixels.shape[:2]) == 100
        # The last column is only partly on the slide.
        assert tile.pixels[:, :-1].mean() == pytest.approx(picture(410, 300).mean(), abs=0.5)
        assert tile.outside_px == 0
        assert slide.thumbnail(max_px=5000).pixels.shape == (410, 300, 3)
        with pytest.raises(ValueError, match="max_px=0"):
            slide.thumbnail(max_px=0)


def test_without_mpp_only_looking_works(tmp_path):
    Image.fromarray(picture(80, 90)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert slide.mpp is None
        assert slide.mpp_source == "none"
        for mpp in (None, 0.25):
            with pytest.raises(MppError, match=r"slide has no mpp; pass mpp= \(0\.25 is usual at 40x\)"):
                slide.read(0, 0, 8, 8, mpp=mpp)
        assert math.isnan(slide.thumbnail().mpp)
        np.testing.assert_array_equal(
            slide.read_level(3, 4, 50, 40, level=0).pixels, picture(80, 90)[4:44, 3:53]
        )
    with open_slide(tmp_path / "a.png", mpp=0.25) as slide:
        assert slide.mpp_source == "argument"
        np.testing.assert_array_equal(slide.read(3, 4, 50, 40).pixels, picture(80, 90)[4:44, 3:53])


@pytest.mark.parametrize("mpp", [0, -0.25, 40, 100, float("nan"), float("inf")])
def test_mpp_argument_is_checked_before_the_file(mpp):
    with pytest.raises(ValueError, match=r"mpp=.*0\.25 is usual at 40x"):
        open_slide("there-is-no-such-file.svs", mpp=mpp)


def test_boxes_are_checked(tiled):
    with open_slide(tiled) as slide:
        with pytest.raises(ValueError, match="width_px=0"):
            slide.read(0, 0, 0, 5)
        with pytest.raises(ValueError, match="x_px0=nan"):
            slide.read(float("nan"), 0, 5, 5)
        with pytest.raises(ValueError, match="level=3 does not exist; use 0 to 0"):
            slide.read_level(0, 0, 5, 5, level=3)


def test_closed_slide_says_so(tiled, tmp_path):
    Image.fromarray(picture(20, 20)).save(tmp_path / "a.png")
    for path in (tiled, tmp_path / "a.png"):
        with open_slide(path, mpp=0.25) as slide:
            pass
        with pytest.raises(SlideError, match="closed"):
            slide.read(0, 0, 5, 5)
        slide.close()


def one_line(info: pytest.ExceptionInfo, path: Path) -> str:
    text = str(info.value)
    assert "\n" not in text
    assert str(path) in text
    assert ";" in text, "the next step is missing"
    return text


def test_what_is_no_slide_is_named(tmp_path):
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.tif").write_text("this is no picture at all\n" * 100)
    (tmp_path / "magic.tif").write_bytes(b"II*\0" + bytes(range(256)) * 4)
    for name, words in {
        "missing.svs": "no such file",
        "empty.svs": "empty",
        "text.tif": "not a slide or picture",
        "magic.tif": "cannot be decoded",
        "": "folder",
    }.items():
        path = tmp_path / name if name else tmp_path
        with pytest.raises(SlideError) as info:
            open_slide(path)
        assert words in one_line(info, path)


@pytest.mark.parametrize("name", ["her2_wsi/core_score0.tif", "wsi/cmu-1-small-region.svs"])
def test_cut_off_slide_is_found(real, tmp_path, name):
    content = (real / name).read_bytes()
    path = tmp_path / Path(name).name
    for share in (0.001, 0.3, 0.7, 0.95, 0.999):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(SlideError) as info, open_slide(path) as slide:
            slide.thumbnail(max_px=4000)
        one_line(info, path)


def test_cut_off_tile_is_found_at_the_read(tiled, tmp_path):
    content = tiled.read_bytes()
    path = tmp_path / "cut.tif"
    path.write_bytes(content[: len(content) // 2])  # tifffile writes the directory first: opening works
    with pytest.raises(SlideError) as info, open_slide(path) as slide:
        slide.read(0, 0, 300, 410)
    one_line(info, path)


def test_aperio_without_mpp_has_none(real):
    with open_slide(real / "wsi/tcga-cr-7395-no-mpp.svs") as slide:
        assert slide.mpp is None
        assert slide.vendor == "aperio"
        assert slide.thumbnail(max_px=300).pixels.shape[1] == 300


def test_names(tiled, tmp_path):
    copy = shutil.copy(tiled, tmp_path / "Fall 12 (HER2).tif")
    with open_slide(str(copy)) as slide:
        assert slide.slide_id == "Fall 12 (HER2)"
        assert (slide.width_px0, slide.height_px0) == (300, 410)
        assert "0.25 um/px" in repr(slide)
