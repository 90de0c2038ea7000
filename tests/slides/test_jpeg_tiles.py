"""Reading JPEG tiles past OpenSlide: its very pixels everywhere, its errors for damaged tiles."""

import itertools
import os
import shutil
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import openslide
import pytest
import simplejpeg
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from her2kit.errors import SlideError
from her2kit.slides import jpeg_tiles
from her2kit.slides.jpeg_tiles import JpegTileSource
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import open_slide
from her2kit.slides.vendor import VendorSource

pytestmark = pytest.mark.skipif(not hasattr(os, "pread"), reason="OpenSlide reads everything on this system")
MORE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
REAL = ("her2_wsi/core_score0.tif", "her2_wsi/core_score3.tif", "wsi/cmu-1-small-region.svs")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return saturated colours with edges: what chroma subsampling and clipping change most."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def both(path: Path) -> tuple[JpegTileSource, VendorSource]:
    vendor = openslide.OpenSlide.detect_format(path)
    return JpegTileSource(path, vendor, need_mpp=False), VendorSource(path, vendor, need_mpp=False)


def same(ours: tuple, theirs: tuple) -> bool:
    return np.array_equal(ours[0], theirs[0]) and (
        ours[1] is theirs[1] is None or np.array_equal(ours[1], theirs[1])
    )


def assert_same_everywhere(path: Path, *, boxes: int = 12) -> JpegTileSource:
    ours, theirs = both(path)
    rng = np.random.default_rng(1)
    for level, (width, height) in enumerate(ours.dimensions):
        for _ in range(boxes):
            x, y = int(rng.integers(-90, width + 40)), int(rng.integers(-90, height + 40))
            w, h = (int(v) for v in rng.integers(1, 600, 2))
            assert same(ours.read(level, x, y, w, h), theirs.read(level, x, y, w, h)), (level, x, y, w, h)
            x_px0, y_px0 = (int(v * ours.downsamples[level]) + 1 for v in (x, y))
            assert same(ours.native(x_px0, y_px0, level, w, h), theirs.native(x_px0, y_px0, level, w, h))
    return ours


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory) -> Path:
    """Return an odd-sized pyramid, so that the downsamples of some levels are not whole."""
    return write_pyramid(
        tmp_path_factory.mktemp("jpeg") / "odd.tif", picture(1233, 1549), mpp=0.25, tile_px=64, levels=4
    )


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
@pytest.mark.parametrize("quality", [30, 90, 100])
def test_every_way_to_write_a_pyramid_reads_as_openslide_reads_it(tmp_path, subsampling, quality):
    path = tmp_path / "slide.tif"
    write_pyramid(path, picture(500, 421), mpp=0.25, tile_px=128, quality=quality, subsampling=subsampling)
    assert assert_same_everywhere(path)._layouts.keys() == {0}


@MORE
@given(
    st.integers(0, 3),
    st.integers(-200, 1700),
    st.integers(-200, 1400),
    st.integers(1, 500),
    st.integers(1, 500),
)
def test_any_box_is_openslides(pyramid, level, x, y, w, h):
    ours, theirs = both(pyramid)
    assert ours._layouts.keys() == {0, 1, 2, 3}
    assert same(ours.read(level, x, y, w, h), theirs.read(level, x, y, w, h))
    assert same(ours.native(x, y, level, w, h), theirs.native(x, y, level, w, h))


@pytest.mark.parametrize("name", REAL)
def test_real_slides_read_as_openslide_reads_them(real, name):
    ours = assert_same_everywhere(real / name)
    assert len(ours._layouts) == len(ours.dimensions)


def test_tiles_of_another_compression_are_left_to_openslide(real, tmp_path):
    assert not assert_same_everywhere(real / "wsi/tcga-cr-7395-no-mpp.svs", boxes=2)._layouts  # JPEG 2000
    path = tmp_path / "lossless.tif"
    tifffile.imwrite(path, picture(300, 200), photometric="rgb", tile=(64, 64), compression="deflate")
    assert not assert_same_everywhere(path, boxes=2)._layouts


def test_rgb_tiles_that_do_not_say_so_are_what_the_tiff_says(tmp_path):
    """Aperio writes RGB into JPEG streams without a marker of it; a decoder left to itself takes YCbCr."""
    path, pixels = tmp_path / "rgb.tif", picture(256, 384)
    tiles = []
    for y, x in itertools.product((0, 128), (0, 128, 256)):
        tile = np.ascontiguousarray(pixels[y : y + 128, x : x + 128])
        stream = imagecodecs.jpeg8_encode(
            tile, 90, colorspace="YCBCR", outcolorspace="YCBCR", subsampling="444"
        )
        start, length = stream.index(b"\xff\xe0"), int.from_bytes(stream[4:6], "big")
        tiles.append(stream[:start] + stream[start + 2 + length :])  # without JFIF, which means YCbCr
    kind = {"photometric": "rgb", "tile": (128, 128), "metadata": None}
    kind |= {"compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}}
    tifffile.imwrite(path, iter(tiles), shape=pixels.shape, dtype=np.uint8, **kind)
    ours = assert_same_everywhere(path)
    assert ours._layouts
    assert np.abs(ours.read(0, 0, 0, 384, 256)[0].astype(int) - pixels).mean() < 6


def break_tile(path: Path, number: int, damage: str) -> None:
    """Overwrite part of a tile of level 0 with zeros."""
    with tifffile.TiffFile(path) as tiff:
        offset, size = tiff.pages[0].dataoffsets[number], tiff.pages[0].databytecounts[number]
    first, last = {"zeros": (size // 2, size - 2), "cut": (size // 2, size), "no JPEG": (0, 40)}[damage]
    with path.open("r+b") as file:
        file.seek(offset + first)
        file.write(bytes(last - first))


@pytest.mark.parametrize("damage", ["zeros", "cut", "no JPEG"])
def test_a_damaged_tile_is_an_error_and_the_others_read_on(pyramid, tmp_path, damage):
    path = tmp_path / "damaged.tif"
    shutil.copy(pyramid, path)
    break_tile(path, 7, damage)
    with open_slide(path) as slide, open_slide(pyramid) as whole:
        assert np.array_equal(slide.read(0, 0, 400, 64).pixels, whole.read(0, 0, 400, 64).pixels)
        with pytest.raises(SlideError, match="OpenSlide cannot read it"):
            slide.read(7 * 64, 0, 64, 64)


def test_a_slide_opens_although_the_tile_that_is_probed_is_damaged(pyramid, tmp_path):
    path = tmp_path / "damaged.tif"
    shutil.copy(pyramid, path)
    with tifffile.TiffFile(path) as tiff:
        richest = int(np.argmax(tiff.pages[0].databytecounts))
    break_tile(path, richest, "cut")
    with open_slide(path) as slide, open_slide(pyramid) as whole:
        assert np.array_equal(slide.thumbnail(max_px=300).pixels, whole.thumbnail(max_px=300).pixels)
        assert np.array_equal(slide.read(0, 0, 64, 64).pixels, whole.read(0, 0, 64, 64).pixels)
        y, x = (64 * n for n in divmod(richest, -(-whole.width_px0 // 64)))
        with pytest.raises(SlideError, match="OpenSlide cannot read it"):
            slide.read(x, y, 64, 64)


def test_a_decoder_that_gives_other_pixels_is_not_used(pyramid, monkeypatch):
    decode = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *args: decode(*args, fastupsample=True))
    assert not assert_same_everywhere(pyramid, boxes=2)._layouts


def test_kept_tiles_stay_within_their_memory(pyramid, monkeypatch):
    monkeypatch.setattr(jpeg_tiles, "_RECENT_BYTES", 5 * 64 * 64 * 3)
    ours, theirs = both(pyramid)
    for x in range(0, 1500, 50):
        assert same(ours.read(0, x, 30, 50, 100), theirs.read(0, x, 30, 50, 100))
    assert 0 < sum(tile.nbytes for tile in ours._recent.values()) == ours._recent_bytes <= 5 * 64 * 64 * 3


def test_reading_after_closing_is_refused(pyramid):
    slide = open_slide(pyramid)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read(0, 0, 10, 10)


def test_tiles_that_a_writer_left_out_are_what_openslide_makes_of_them(tmp_path):
    path, pixels = tmp_path / "sparse.tif", picture(256, 384)
    corners = itertools.product((0, 128), (0, 128, 256))
    tiles = [np.ascontiguousarray(pixels[y : y + 128, x : x + 128]) for y, x in corners]
    tiles[1] = tiles[5] = None
    kind = {"photometric": "rgb", "compression": "jpeg", "tile": (128, 128), "metadata": None}
    tifffile.imwrite(path, iter(tiles), shape=pixels.shape, dtype=np.uint8, **kind)
    ours = assert_same_everywhere(path)
    assert ours._layouts
    assert ours.read(0, 100, 0, 120, 100)[1] is not None
