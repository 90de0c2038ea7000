"""Labelled tiles: shares against a plain count, pixels against the slide's own, draws that stay put."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from her2kit.cells.table import TISSUES
from her2kit.errors import ManifestError, SlideError
from her2kit.learning.pictures import read_picture, write_picture
from her2kit.learning.tiles import COLUMNS, cut_tiles, write_tiles
from her2kit.phantom.regions import CLASSES
from her2kit.slides.slide import open_slide

WIDTH, HEIGHT, MPP = 400, 320, 0.25


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two slides of noise whose rasters (1 um) are noise too, and their table."""
    folder = tmp_path_factory.mktemp("cut")
    rng = np.random.default_rng(0)
    rows = []
    for name, label in (("a", "0"), ("b", "3+")):
        for kind in ("", "_he"):
            pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
            tifffile.imwrite(folder / f"{name}{kind}.tif", pixels, photometric="rgb", tile=(64, 64))
        write_picture(folder / f"{name}.png", rng.integers(0, 7, (80, 100), np.uint8))
        rows.append(
            {
                "path": str(folder / f"{name}.tif"),
                "pair_path": str(folder / f"{name}_he.tif"),
                "mask_path": str(folder / f"{name}.png"),
                **{"slide_id": name, "patient_id": f"p{name}", "label": label, "mpp": MPP, "site": "s"},
            }
        )
    return pd.DataFrame(rows)


def test_tissues_are_the_phantoms():
    assert TISSUES == CLASSES


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size_px=st.integers(20, 160), mpp=st.floats(0.25, 1))
def test_shares_are_the_counted_ones(cohort, size_px, mpp):
    if size_px * mpp / MPP > min(WIDTH, HEIGHT):
        size_px = 20
    tiles = cut_tiles(cohort.head(1), size_px=size_px, mpp=mpp)
    shares = tiles.table[[f"share_{name}" for name in TISSUES]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    fine = read_raster_at_level_0(cohort["mask_path"][0])
    row = tiles.table.iloc[-1]
    weights = [
        np.clip(np.minimum(np.arange(n) + 1, at + row.size_px0) - np.maximum(np.arange(n), at), 0, 1)
        for n, at in ((HEIGHT, row.y_px0), (WIDTH, row.x_px0))
    ]
    counted = [np.einsum("y,x,yx", *weights, fine == k) / row.size_px0**2 for k in range(7)]
    np.testing.assert_allclose(shares[-1], counted, atol=1e-4)
    assert row.tissue == TISSUES[int(np.argmax(shares[-1]))]
    assert row.tissue_fraction == pytest.approx(1 - counted[0], abs=1e-4)


def read_raster_at_level_0(path):
    return read_picture(path)[..., 0].repeat(4, 0).repeat(4, 1)


def test_pixels_are_those_of_the_slide_and_of_its_pair(cohort):
    tiles = cut_tiles(cohort, size_px=48, mpp=0.5, pairs=True)
    assert list(tiles.table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert len(tiles.table) == len(tiles.pixels) == len(tiles.pair_pixels) == 2 * 4 * 3
    for column, stack in (("path", tiles.pixels), ("pair_path", tiles.pair_pixels)):
        row = tiles.table.iloc[17]
        with open_slide(row[column], mpp=MPP) as slide:
            expected = slide.read(row.x_px0, row.y_px0, 48, 48, mpp=0.5).pixels
        np.testing.assert_array_equal(stack[17], expected)


def test_labels_of_tissue_and_of_the_slide(cohort):
    by_tissue = cut_tiles(cohort, size_px=40, mpp=0.25).table
    assert (by_tissue["label"] == by_tissue["tissue"]).all()
    by_slide = cut_tiles(cohort, size_px=40, mpp=0.25, label="slide").table
    assert by_slide.groupby("slide_id")["label"].unique().map(list).to_dict() == {"a": ["0"], "b": ["3+"]}
    assert (by_slide["slide_label"] == by_slide["label"]).all()


def test_what_a_tile_must_hold(cohort):
    every = cut_tiles(cohort, size_px=20).table
    some = cut_tiles(cohort, size_px=20, at_least={"tumour": 0.16}, purity=0.19).table
    expected = every[(every["share_tumour"] >= 0.16) & (every.filter(like="share_").max(axis=1) >= 0.19)]
    assert 0 < len(some) < len(every)
    pd.testing.assert_frame_equal(some, expected.reset_index(drop=True))


def test_a_draw_depends_on_its_slide_and_seed_alone(cohort):
    both = cut_tiles(cohort, size_px=20, per_label=3, seed=5).table
    turned = cut_tiles(cohort[::-1], size_px=20, per_label=3, seed=5).table
    assert both.groupby(["slide_id", "label"]).size().max() == 3
    for name in "ab":
        one, other = (t[t["slide_id"] == name].reset_index(drop=True) for t in (both, turned))
        pd.testing.assert_frame_equal(one, other)
    again = cut_tiles(cohort, size_px=20, per_label=3, seed=6).table
    assert not again["tile_id"].equals(both["tile_id"])


def test_nothing_fits_and_no_slides(cohort):
    assert cut_tiles(cohort, size_px=1000).pixels.shape == (0, 1000, 1000, 3)
    none = cut_tiles(cohort.head(0), pairs=True)
    assert len(none.table) == len(none.pair_pixels) == 0
    assert "share_tumour" in none.table


def test_written_tiles_come_back(cohort, tmp_path):
    tiles = cut_tiles(cohort, size_px=64, pairs=True)
    table = write_tiles(tiles, tmp_path / "out")
    for column, stack in (("path", tiles.pixels), ("pair_path", tiles.pair_pixels)):
        np.testing.assert_array_equal(np.stack([read_picture(p) for p in table[column]]), stack)
    assert table["mask_path"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_path": None}, "slide a has no mask_path"),
        ({"pair_path": ""}, "slide a has no pair_path"),
        ({"label": np.nan}, "slide a has no label"),
    ],
)
def test_a_slide_that_lacks_something(cohort, change, message):
    with pytest.raises(ManifestError, match=message):
        cut_tiles(cohort.assign(**change), label="slide", pairs=True)


def test_rasters_that_do_not_fit(cohort, tmp_path):
    for raster, message in (
        (np.zeros((80, 60), np.uint8), "do not fit the slide's 400 x 320"),
        (np.full((80, 100), 9, np.uint8), "holds the value 9, tissues names 7"),
    ):
        path = write_picture(tmp_path / "m.png", raster)
        with pytest.raises(ManifestError, match=message):
            cut_tiles(cohort.assign(mask_path=str(path)))
    (tmp_path / "m.png").write_bytes(b"")
    with pytest.raises(SlideError, match=r"m\.png: is no picture"):
        cut_tiles(cohort.assign(mask_path=str(tmp_path / "m.png")))
    small = write_picture(tmp_path / "small.png", np.zeros((8, 10, 3), np.uint8))
    with pytest.raises(ManifestError, match=r"small\.png: its size differs"):
        cut_tiles(cohort.assign(pair_path=str(small)), size_px=20, pairs=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size_px": 0}, "size_px=0"),
        ({"mpp": -1}, "mpp=-1"),
        ({"label": "cell"}, "label='cell'"),
        ({"per_label": 0}, "per_label=0"),
        ({"purity": 2}, "purity=2"),
        ({"at_least": {"liver": 0.5}}, "at_least names 'liver'"),
        ({"at_least": {"tumour": 1.5}}, "tumour=1.5"),
    ],
)
def test_arguments_are_checked(cohort, arguments, message):
    with pytest.raises(ValueError, match=message):
        cut_tiles(cohort, **arguments)
