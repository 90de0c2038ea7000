"""Reading all tiles in threads: the same pixels, in order, bounded ahead, errors in place, threads ended."""

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import MppError, SlideError
from her2kit.slides import bulk
from her2kit.slides.bulk import read_tiles
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import Slide, open_slide
from her2kit.slides.tiles import TileGrid, read_tile, tile_grid
from her2kit.slides.tissue import Tissue

SITES = (0.221, 0.25, 0.389, 0.499)


def everything(slide: Slide) -> Tissue:
    """Return a mask that takes the whole slide for tissue."""
    shape = (-(-slide.height_px0 // 16), -(-slide.width_px0 // 16))
    return Tissue(np.ones(shape, bool), 16 * slide.mpp, 16.0)


def threads_alive() -> int:
    return sum(t.name.startswith("read_tiles") for t in threading.enumerate())


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict[float, Path]:
    """Return a slide of each site: the same picture of the world, 250 um wide, at the site's mpp."""
    folder, out = tmp_path_factory.mktemp("bulk"), {}
    for mpp in SITES:
        y, x = np.mgrid[0 : round(180 / mpp), 0 : round(250 / mpp)] * mpp
        waves = [np.sin(x / 9) * np.cos(y / 7), np.sin(y / 11), np.cos((x + y) / 13)]
        pixels = (127 + 90 * np.stack(waves, 2)).astype(np.uint8)
        out[mpp] = write_pyramid(folder / f"{mpp}.tif", pixels, mpp=mpp, quality=95, subsampling="444")
    return out


@pytest.fixture
def opened(paths):
    with open_slide(paths[0.25]) as slide:
        yield slide, tile_grid(slide, everything(slide), tile_px=96, halo_um=5, mpp=0.5)


@settings(deadline=None, max_examples=25)
@given(
    site=st.sampled_from(SITES),
    mpp=st.sampled_from([0.5, 0.75, 1.0]),
    tile_px=st.integers(40, 300),
    threads=st.integers(1, 4),
    ahead=st.integers(1, 9),
)
def test_tiles_are_read_tiles_in_the_tables_order(paths, site, mpp, tile_px, threads, ahead):
    with open_slide(paths[site]) as slide:
        grid = tile_grid(slide, everything(slide), tile_px=tile_px, halo_um=3, mpp=mpp)
        pairs = list(read_tiles(slide, grid, threads=threads, ahead=ahead))
        assert [row.tile_id for row, _ in pairs] == list(grid.table["tile_id"])
        for row, tile in pairs:
            alone = read_tile(slide, grid, row)
            assert np.array_equal(tile.pixels, alone.pixels)
            assert (tile.x_px0, tile.y_px0, tile.outside_px) == (alone.x_px0, alone.y_px0, alone.outside_px)


def test_the_sites_show_the_same_world_at_one_mpp(paths):
    """Places in micrometres agree: read at 0.5 um/px, four scanners differ by grey levels alone."""
    firsts = []
    for site in SITES:
        with open_slide(paths[site]) as slide:
            grid = tile_grid(slide, everything(slide), tile_px=128, mpp=0.5)
            assert grid.mpp == pytest.approx(0.5, rel=2e-3)
            assert grid.shape == (3, 4)
            firsts.append([tile.pixels for _, tile in read_tiles(slide, grid)][5].astype(float))
    for other in firsts[1:]:
        assert np.abs(other - firsts[0]).mean() < 1.5


def test_no_more_than_ahead_tiles_are_begun(opened, monkeypatch):
    slide, grid = opened
    begun = []
    monkeypatch.setattr(bulk, "read_tile", lambda s, g, row: begun.append(row) or read_tile(s, g, row))
    assert len(grid.table) > 12
    for done, _ in enumerate(read_tiles(slide, grid, threads=2, ahead=3), start=1):
        time.sleep(0.005)
        assert len(begun) <= done + 3


def test_leaving_early_ends_the_threads(opened):
    slide, grid = opened
    for _ in read_tiles(slide, grid, threads=3):
        break
    tiles = read_tiles(slide, grid, threads=3)
    next(tiles)
    assert threads_alive()
    tiles.close()
    assert not threads_alive()


def test_an_error_comes_in_its_place_and_names_the_tile(opened, monkeypatch):
    slide, grid = opened
    bad = grid.table["tile_id"][4]

    def read(slide: Slide, grid: TileGrid, row: object):
        if row.tile_id == bad:
            raise SlideError(f"{slide.path}: OpenSlide cannot read it")
        time.sleep(0.01)
        return read_tile(slide, grid, row)

    monkeypatch.setattr(bulk, "read_tile", read)
    tiles = read_tiles(slide, grid, threads=3)
    assert [next(tiles)[0].tile_id for _ in range(4)] == list(grid.table["tile_id"][:4])
    with pytest.raises(SlideError, match=f"^tile {bad}: .*cannot read it"):
        next(tiles)
    assert not threads_alive()


def test_part_of_a_table_and_an_empty_one(opened):
    slide, grid = opened
    some = dataclasses.replace(grid, table=grid.table.iloc[[7, 2]])
    assert [row.tile_id for row, _ in read_tiles(slide, some)] == list(grid.table["tile_id"][[7, 2]])
    assert list(read_tiles(slide, dataclasses.replace(grid, table=grid.table[:0]))) == []


@pytest.mark.parametrize(("name", "value"), [("threads", 0), ("ahead", 0), ("threads", -2)])
def test_wrong_arguments_are_named_at_the_call(opened, name, value):
    with pytest.raises(ValueError, match=f"{name}={value}.*use 1 or more"):
        read_tiles(*opened, **{name: value})


def test_a_grid_of_another_slide_is_refused(opened, paths):
    with open_slide(paths[0.389]) as other, pytest.raises(ValueError, match="another slide"):
        read_tiles(other, opened[1])
    with open_slide(paths[0.25], mpp=0.3) as other, pytest.raises(ValueError, match="another slide"):
        read_tiles(other, opened[1])


@pytest.mark.parametrize(
    ("resolution", "words"),
    [(None, "has no mpp; pass mpp="), (250, "an mpp of 40 .* cannot be true; pass mpp=")],
)
def test_a_slide_with_no_true_mpp_is_refused(opened, tmp_path, resolution, words):
    path = tmp_path / "slide.tif"
    tags = {"resolution": (resolution, resolution), "resolutionunit": "CENTIMETER"} if resolution else {}
    tifffile.imwrite(path, np.zeros((720, 1000, 3), np.uint8), photometric="rgb", tile=(64, 64), **tags)
    with open_slide(path) as slide, pytest.raises(MppError, match=words):
        read_tiles(slide, opened[1])


def test_a_closed_slide_is_refused(opened):
    slide, grid = opened
    slide.close()
    with pytest.raises(SlideError, match=r"^tile r0000c0000: .* closed"):
        next(read_tiles(slide, grid))
