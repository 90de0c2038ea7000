"""All cells of a slide: the tiling and the number of threads change nothing."""

import numpy as np
import pytest

from her2kit.cells.detect import find_cells, fit_cells
from her2kit.phantom.cohort import make_cohort
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    cohort = make_cohort(
        tmp_path_factory.mktemp("detect") / "cohort", slides=1, seed=3, size_px=1300, mpp=0.25, sites=1
    )
    with open_slide(next((cohort.parent / "slides").glob("*.tif"))) as slide:
        white = find_white_point(slide)
        tissue = find_tissue(slide, white)
        yield slide, tissue, fit_cells(slide, tissue, white, mpp=0.25)


@pytest.fixture(scope="module")
def whole(fitted):
    return find_cells(*fitted, tile_px=4096, threads=1)


def _same(a, b):
    for name in ("x_px0", "y_px0", "dab_od", "completeness", "width_um", "area_um2"):
        np.testing.assert_array_equal(a[name].to_numpy(), b[name].to_numpy())
    for name in ("cell_id", "cell_type", "evaluable"):
        assert a[name].tolist() == b[name].tolist()
    for one, other in zip(a["outline"], b["outline"], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tile_px", [257, 500, 1024, 1299])
def test_cells_do_not_change_with_the_tiling(fitted, whole, tile_px):
    assert len(whole) > 200
    _same(find_cells(*fitted, tile_px=tile_px, threads=2), whole)


def test_each_cell_lies_on_tissue_and_has_an_id_of_its_own(fitted, whole):
    _, tissue, _ = fitted
    assert tissue.contains(whole["x_px0"].to_numpy(), whole["y_px0"].to_numpy()).all()
    assert whole["cell_id"].is_unique


def test_progress_counts_every_tile(fitted):
    seen = []
    find_cells(*fitted, tile_px=600, progress=lambda done, total: seen.append((done, total)))
    assert [d for d, _ in seen] == list(range(1, seen[-1][1] + 1))
