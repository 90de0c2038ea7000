"""Tiles: every tissue pixel and every point in exactly one, and pixels that fit across their borders."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2kit.errors import MppError
from her2kit.slides.slide import open_slide
from her2kit.slides.tiles import (
    COLUMNS,
    TileGrid,
    mask_share,
    owned,
    read_tile,
    read_tissue,
    stitch,
    tile_grid,
)
from her2kit.slides.tissue import Tissue

WIDTH, HEIGHT, MPP = 333, 257, 0.25
MORE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles") / "noise.tif"
    pixels = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    tags = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), **tags)
    with open_slide(path) as slide:
        yield slide


def tissue_of(mask: np.ndarray) -> Tissue:
    """Return a mask that covers the slide, its pixel 8 um = 32 level-0 pixels."""
    return Tissue(mask, 8.0, 32.0)


MASKS = arrays(bool, (math.ceil(HEIGHT / 32), math.ceil(WIDTH / 32)))
MPPS = st.one_of(st.just(None), st.sampled_from([0.25, 0.5]), st.floats(0.2501, 2))


@MORE
@given(mask=MASKS, tile_px=st.integers(1, 400), mpp=MPPS)
def test_tissue_is_shared_out_without_loss(slide, mask, tile_px, mpp):
    if (mpp or MPP) * tile_px < 1:
        tile_px = 4
    tissue = tissue_of(mask)
    grid = tile_grid(slide, tissue, tile_px=tile_px, mpp=mpp)
    rows, columns = grid.shape
    assert columns * grid.size_px0 >= WIDTH - 1e-6 > (columns - 1) * grid.size_px0 - 2e-6
    assert rows * grid.size_px0 >= HEIGHT - 1e-6 > (rows - 1) * grid.size_px0 - 2e-6
    table = grid.table
    assert (table["tissue_fraction"] > 0).all()
    assert (table["tissue_fraction"] <= 1 + 1e-9).all()
    on_lattice = mask.astype(float).repeat(32, 0).repeat(32, 1)
    on_lattice = on_lattice[: math.ceil(rows * grid.size_px0), : math.ceil(columns * grid.size_px0)]
    weights = [
        np.clip(n * grid.size_px0 - np.arange(size), 0, 1)
        for n, size in zip(grid.shape, on_lattice.shape, strict=True)
    ]
    total = np.einsum("y,x,yx->", *weights, on_lattice)
    assert (table["tissue_fraction"] * table["size_px0"] ** 2).sum() == pytest.approx(total, abs=1e-3)


@MORE
@given(
    mask=MASKS,
    tile_px=st.integers(3, 400),
    mpp=MPPS,
    points=st.lists(
        st.tuples(st.floats(0, WIDTH - 0.001), st.floats(0, HEIGHT - 0.001)), min_size=1, max_size=60
    ),
)
def test_each_tissue_point_has_one_owner_in_the_table(slide, mask, tile_px, mpp, points):
    tissue = tissue_of(mask)
    grid = tile_grid(slide, tissue, tile_px=tile_px, mpp=mpp)
    corners = [(r.x_px0, r.y_px0) for r in grid.table.head(20).itertuples()]
    x, y = np.array([p for p in points + corners if p[0] < WIDTH and p[1] < HEIGHT], float).T
    owners = sum(owned(x, y, grid, row).astype(int) for row in grid.table.itertuples())
    owners = np.zeros(len(x), int) + owners
    assert (owners <= 1).all()
    assert (owners[tissue.contains(x, y)] == 1).all()


@MORE
@given(
    tile_px=st.integers(3, 400),
    mpp=MPPS,
    points=st.lists(st.tuples(st.floats(-1e3, 1e4), st.floats(-1e3, 1e4)), min_size=1, max_size=40),
)
def test_every_point_has_one_owner_on_the_whole_lattice(slide, tile_px, mpp, points):
    grid = tile_grid(slide, tissue_of(np.ones((9, 11), bool)), tile_px=tile_px, mpp=mpp)
    assert len(grid.table) == grid.shape[0] * grid.shape[1]
    x, y = np.array(points).T
    owners = sum(owned(x, y, grid, row).astype(int) for row in grid.table.itertuples())
    assert (owners == 1).all()


def test_a_point_on_a_border_belongs_to_the_tile_that_begins_there(slide):
    for mpp in (0.25, 0.3, 0.7123):
        grid = tile_grid(slide, tissue_of(np.ones((9, 11), bool)), tile_px=17, mpp=mpp)
        for row in grid.table.itertuples():
            assert owned(np.array([row.x_px0]), np.array([row.y_px0]), grid, row).all()


@pytest.mark.parametrize("mpp", [None, 0.31, 0.5, 1.1])
@pytest.mark.parametrize("tile_px", [40, 64, 129, 700])
def test_pixels_fit_across_tiles(slide, mpp, tile_px):
    grid = tile_grid(slide, tissue_of(np.ones((9, 11), bool)), tile_px=tile_px, halo_um=3, mpp=mpp)
    assert (grid.halo_px - 1) * grid.mpp < 3 <= grid.halo_px * grid.mpp
    tiles = [read_tile(slide, grid, row) for row in grid.table.itertuples()]
    side = tile_px + 2 * grid.halo_px
    assert all(t.pixels.shape == (side, side, 3) for t in tiles)
    width, height = (math.ceil(v / grid.scale - 1e-9) for v in (WIDTH, HEIGHT))
    whole = slide.read(0, 0, width, height, mpp=mpp)
    np.testing.assert_array_equal(stitch(grid, (t.pixels for t in tiles)), whole.pixels)
    halo = grid.halo_px
    padded = slide.read(
        -halo * grid.scale, -halo * grid.scale, width + 2 * halo, height + 2 * halo, mpp=mpp
    ).pixels
    for tile, row in zip(tiles, grid.table.itertuples(), strict=True):
        r, c = grid.place(row)
        seen = padded[r * tile_px : r * tile_px + side, c * tile_px : c * tile_px + side]
        np.testing.assert_array_equal(tile.pixels[: seen.shape[0], : seen.shape[1]], seen)
        assert tile.x_px0 == pytest.approx(row.x_px0 - halo * grid.scale)
        assert tile.mpp == pytest.approx(grid.mpp)


@pytest.mark.parametrize(("tile_px", "mpp"), [(64, 0.5), (100, 0.5), (75, 0.8)])
def test_the_part_with_tissue_holds_all_of_it_with_its_halo(slide, tile_px, mpp):
    mask = np.zeros((math.ceil(HEIGHT / 32), math.ceil(WIDTH / 32)), bool)
    mask[1:3, 4:7] = mask[-2:, 2:3] = True
    tissue = tissue_of(mask)
    grid = tile_grid(slide, tissue, tile_px=tile_px, halo_um=6.0, mpp=mpp)
    for row in grid.table.itertuples():
        whole, part = read_tile(slide, grid, row), read_tissue(slide, tissue, grid, row)
        top, left = (round((getattr(part, k) - getattr(whole, k)) / grid.scale) for k in ("y_px0", "x_px0"))
        height, width = part.pixels.shape[:2]
        np.testing.assert_array_equal(whole.pixels[top : top + height, left : left + width], part.pixels)
        assert min(part.x_px0, part.y_px0) >= 0
        inside = np.argwhere(mask) * tissue.scale + tissue.scale / 2
        mine = inside[owned(inside[:, 1], inside[:, 0], grid, row)]
        halo = grid.halo_px * grid.scale
        low, high = mine.min(axis=0) - halo, mine.max(axis=0) + halo
        end = np.array([part.y_px0 + height * grid.scale, part.x_px0 + width * grid.scale])
        assert (np.maximum(low, 0) >= [part.y_px0, part.x_px0]).all()
        assert (np.minimum(high, [slide.height_px0, slide.width_px0]) <= end).all()


def test_stitched_labels_come_back_where_they_were(slide):
    mask = np.zeros((9, 11), bool)
    mask[2:5, 3:9] = True
    grid = tile_grid(slide, tissue_of(mask), tile_px=50)
    numbers = stitch(grid, grid.table["tissue_fraction"], fill=-1.0)
    assert numbers.shape == grid.shape == (6, 7)
    for row in grid.table.itertuples():
        assert numbers[grid.place(row)] == row.tissue_fraction
    assert (numbers == -1).sum() == 42 - len(grid.table)
    coarse = stitch(grid, [np.full((5, 5), i + 1, np.uint16) for i in range(len(grid.table))])
    assert coarse.dtype == np.uint16
    assert coarse.shape == (26, 34)
    assert set(np.unique(coarse)) == set(range(len(grid.table) + 1))


def test_table_has_the_promised_columns_also_when_empty(slide):
    for mask in (np.zeros((9, 11), bool), np.ones((9, 11), bool)):
        grid = tile_grid(slide, tissue_of(mask), tile_px=100)
        assert tuple(grid.table.columns) == COLUMNS
        assert [str(grid.table[c].dtype) for c in COLUMNS] == ["str", "str", *["float64"] * 4, "str"]
        assert grid.table["tile_id"].is_unique
    empty = tile_grid(slide, tissue_of(np.zeros((9, 11), bool)), tile_px=100)
    assert len(empty.table) == 0
    assert (stitch(empty, [], fill=7) == 7).all()
    assert stitch(empty, []).shape == empty.shape


def test_rows_of_any_kind_will_do(slide):
    grid = tile_grid(slide, tissue_of(np.ones((9, 11), bool)), tile_px=100)
    by_tuple, by_series = next(grid.table.itertuples()), grid.table.iloc[0]
    np.testing.assert_array_equal(
        read_tile(slide, grid, by_tuple).pixels, read_tile(slide, grid, by_series).pixels
    )


def test_arguments_are_checked(slide):
    tissue = tissue_of(np.ones((9, 11), bool))
    with pytest.raises(ValueError, match=r"tile_px=0; use 1 or more"):
        tile_grid(slide, tissue, tile_px=0)
    with pytest.raises(ValueError, match=r"halo_um=-1; use 0 or more"):
        tile_grid(slide, tissue, halo_um=-1)
    with pytest.raises(ValueError, match=r"mpp=0\.1 is finer"):
        tile_grid(slide, tissue, mpp=0.1)
    grid = tile_grid(slide, tissue, tile_px=200)
    with pytest.raises(ValueError, match="parts has fewer than the 4 tiles"):
        stitch(grid, [np.zeros((4, 4))])
    with pytest.raises(ValueError, match="parts has more than the 4 tiles"):
        stitch(grid, [1, 2, 3, 4, 5])
    with pytest.raises(ValueError, match="part 2 has shape"):
        stitch(grid, [np.zeros((4, 4)), np.zeros((5, 5)), np.zeros((4, 4)), np.zeros((4, 4))])
    with pytest.raises(ValueError, match="lacks the column 'x_px0'"):
        TileGrid(0.25, 4, 0, 1.0, (1, 1), 4, 4, grid.table.drop(columns="x_px0"))


def test_no_mpp_no_tiles():
    def no_scale(*_args, **_kwargs):
        raise MppError("slide has no mpp; pass mpp= (0.25 is usual at 40x)")

    bare = SimpleNamespace(scale_at=no_scale, mpp=None)
    with pytest.raises(MppError, match="no mpp"):
        tile_grid(bare, tissue_of(np.ones((9, 11), bool)))


@MORE
@given(mask=MASKS, tissue=MASKS, tile_px=st.integers(4, 400), mpp=MPPS)
def test_the_share_of_a_mask_in_each_tile_is_that_of_a_grid_of_its_own(slide, mask, tissue, tile_px, mpp):
    grid = tile_grid(slide, tissue_of(tissue), tile_px=tile_px, mpp=mpp)
    share = mask_share(grid, tissue_of(mask))
    assert share.shape == (len(grid.table),)
    own = tile_grid(slide, tissue_of(mask), tile_px=tile_px, mpp=mpp).table.set_index("tile_id")
    expected = own["tissue_fraction"].reindex(grid.table["tile_id"]).fillna(0)
    assert share == pytest.approx(expected.to_numpy(), abs=1e-5)
