"""Flat pictures: what decodes is exact, what is broken is named, never shown as grey."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from her2kit.errors import SlideError
from her2kit.slides import flat
from her2kit.slides.slide import open_slide


def scene(height: int = 301, width: int = 403) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x * y // 50) % 256], axis=2).astype(np.uint8)


def whole(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_level(0, 0, slide.width_px0, slide.height_px0, level=0).pixels


TIFF_KINDS = {
    "strips": {},
    "lzw": {"compression": "lzw"},
    "deflate": {"compression": "zlib", "predictor": True},
    "jpeg2000 tiles": {"compression": "jpeg2000", "tile": (64, 64)},
    "webp tiles": {"compression": "webp", "compressionargs": {"lossless": True}, "tile": (64, 64)},
    "planar": {"planarconfig": "separate"},
}


@pytest.mark.parametrize("kind", TIFF_KINDS)
def test_tiff_kinds_are_read_exactly(tmp_path, kind):
    options = dict(TIFF_KINDS[kind])
    pixels = scene()
    if options.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), scene())


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_pictures_are_read_exactly(tmp_path, ending):
    Image.fromarray(scene()).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(whole(tmp_path / f"a.{ending}"), scene())


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    picture = Image.fromarray(scene()).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    with Image.open(path) as saved:
        np.testing.assert_array_equal(whole(path), np.asarray(saved.convert("RGB")))


def test_grey_tiff_and_inverted_grey(tmp_path):
    grey = scene()[..., 0]
    for kind, values in (("minisblack", grey), ("miniswhite", 255 - grey)):
        tifffile.imwrite(tmp_path / "a.tif", grey, photometric=kind)
        np.testing.assert_array_equal(whole(tmp_path / "a.tif"), np.repeat(values[..., None], 3, axis=2))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_transparent_pixels_are_white_and_counted(tmp_path, ending):
    pixels = np.dstack([scene(60, 80), np.full((60, 80), 255, np.uint8)])
    pixels[:10, :, 3] = 0
    pixels[10:20, :, 3] = 128
    path = tmp_path / f"a.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    else:
        Image.fromarray(pixels).save(path)
    with open_slide(path, mpp=0.25) as slide:
        tile = slide.read(0, 0, 80, 60)
        assert tile.outside_px == 800
        assert (tile.pixels[:10] == 255).all()
        half = (pixels[10:20, :, :3].astype(float) * 128 + 255 * 127) / 255
        np.testing.assert_allclose(tile.pixels[10:20], half, atol=0.501)
        np.testing.assert_array_equal(tile.pixels[20:], pixels[20:, :, :3])
        assert slide.read(0, 0, 40, 30, mpp=0.5).outside_px == 200


def test_levels_halve_and_keep_the_odd_border(tmp_path):
    pixels = np.full((1101, 1303, 3), 90, np.uint8)
    pixels[-1], pixels[:, -1] = 10, 10
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.25) as slide:
        assert slide.level_dimensions == ((1303, 1101), (652, 551), (326, 276))
        assert slide.level_downsamples == (1, 2, 4)
        tile = slide.read(0, 0, 652, 551, mpp=0.5)
        assert tile.outside_px == 0
        assert (tile.pixels[-1] == 10).all()
        assert (tile.pixels[:, -1] == 10).all()
        assert (tile.pixels[:-1, :-1] == 90).all()


def encoded(path: Path, kind: str) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 130, 3), np.uint8)
    if kind in ("jpg", "png", "bmp"):
        Image.fromarray(pixels).save(path.with_suffix("." + kind))
        return path.with_suffix("." + kind)
    if kind == "progressive":
        Image.fromarray(pixels).save(path.with_suffix(".jpg"), progressive=True)
        return path.with_suffix(".jpg")
    options = {"ome": {"ome": True, "compression": "zlib"}, "lzw": {"compression": "lzw"}, "raw": {}}[kind]
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=16, **options)
    return path


@pytest.mark.parametrize("kind", ["jpg", "progressive", "png", "bmp", "ome", "lzw", "raw"])
def test_a_cut_off_file_never_passes_with_other_pixels(tmp_path, kind):
    path = encoded(tmp_path / "a", kind)
    content, truth = path.read_bytes(), whole(path)
    found = []
    for n in np.linspace(1, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:n])
        try:
            np.testing.assert_array_equal(whole(path), truth)
        except SlideError as error:
            found.append(str(error))
    assert len(found) >= 57
    assert all(str(path) in text and "\n" not in text for text in found)


def test_cut_off_ome_tiff_is_found(real, tmp_path):
    content = (real / "ki67/OS-2-vsi.ome.tif").read_bytes()
    path = tmp_path / "a.ome.tif"
    for share in (0.01, 0.5, 0.99, 0.9999):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(SlideError, match="copy the file again"):
            open_slide(path)


def test_too_large_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(flat, "LARGEST_PX", 10_000)
    Image.fromarray(scene()).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", scene(), photometric="rgb")
    for name in ("a.png", "a.tif"):
        with pytest.raises(SlideError, match=rf"{name}: 403 x 301 px flat; too large.*pyramid"):
            open_slide(tmp_path / name)


def test_pillows_own_limit_is_worded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(scene()).save(tmp_path / "a.png")
    with pytest.raises(SlideError, match="too large"):
        open_slide(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (np.zeros((50, 60, 3), np.uint16), {"photometric": "rgb"}, "uint16"),
        (np.zeros((50, 60), np.float32), {}, "float32"),
        (
            np.zeros((4, 50, 60), np.uint8),
            {"planarconfig": "separate", "photometric": "minisblack"},
            "channel",
        ),
    ],
)
def test_other_pictures_are_refused(tmp_path, pixels, options, words):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(SlideError, match=f"{words}.*save it as 8-bit RGB"):
        open_slide(tmp_path / "a.tif")


def test_sixteen_bit_png_is_refused(tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(SlideError, match="8 bits a channel"):
        open_slide(tmp_path / "a.png")
