"""Looking at phantoms: planted profiles and readings come back; what is kept is not made twice."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course import data
from her2kit.course.look import cells_in, membrane_profile, planted_reading
from her2kit.errors import SlideError
from her2kit.slides.slide import Tile, open_slide


def ring_tile(*, mpp, radius_um=6.0, sigma_um=0.5, side_um=32.0, x_px0=100.0):
    """Return a tile, the DAB of a ring in its middle, and the ring's cell on a slide of 0.25 um/px."""
    side = round(side_um / mpp)
    grid = (np.arange(side) + 0.5) * mpp - side_um / 2
    away = np.hypot(grid[None, :], grid[:, None]) - radius_um
    dab = np.exp(-0.5 * (away / sigma_um) ** 2)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    middle = np.array([x_px0, 40.0]) + side_um / 2 / 0.25
    outline = middle + radius_um / 0.25 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cells = pd.DataFrame({"x_px0": [middle[0]], "y_px0": [middle[1]], "outline": [outline]})
    return Tile(np.zeros((side, side, 3), np.uint8), x_px0, 40.0, mpp, 0), dab, cells


@pytest.mark.parametrize("mpp", [0.25, 0.125, 0.5])
def test_a_planted_ridge_comes_back_in_its_place_and_width(mpp):
    tile, dab, cells = ring_tile(mpp=mpp)
    away, od = membrane_profile(dab, cells, tile, slide_mpp=0.25)
    assert abs(away[od.argmax()]) <= 0.15
    half = away[od > od.max() / 2]
    assert half[-1] - half[0] == pytest.approx(2.355 * 0.5, abs=0.3 if mpp < 0.5 else 0.45)


def test_profiles_that_leave_the_tile_are_refused_in_words():
    tile, dab, cells = ring_tile(mpp=0.25)
    with pytest.raises(ValueError, match="none of 1 outlines"):
        membrane_profile(dab[:20, :20], cells, tile, slide_mpp=0.25)


def test_cells_in_a_tile_are_taken_half_open():
    tile = Tile(np.zeros((10, 20, 3), np.uint8), 100.0, 40.0, 0.5, 0)  # 40 x 20 px at level 0
    cells = pd.DataFrame({"x_px0": [99.9, 100, 139.9, 140, 120], "y_px0": [50, 40, 59.9, 50, 60]})
    assert cells_in(cells, tile, slide_mpp=0.25).index.tolist() == [1, 2]


def test_only_invasive_cells_are_read():
    cell = {"completeness_word": "complete", "intensity": "intense", "compartment": "in_situ"}
    blank = {"completeness_word": "none", "intensity": "none", "compartment": "invasive"}
    assert planted_reading(pd.DataFrame([cell] * 20 + [blank] * 20)) == "0"
    assert planted_reading(pd.DataFrame([cell | {"compartment": "invasive"}] * 20 + [blank] * 20)) == "3+"
    assert planted_reading(pd.DataFrame([cell])) is None


def test_the_in_situ_phantom_holds_both_and_is_kept(tmp_path):
    slide = data.in_situ_phantom(size_px=1280, seed=1, folder=tmp_path)
    cells = slide.planted_cells()
    strong = cells[cells["cell_class"] == "3+"]
    assert set(strong["compartment"]) == {"in_situ"}
    assert {"invasive", "in_situ"} <= set(cells["compartment"])
    assert slide.planted_score == planted_reading(cells) == "0"
    with open_slide(slide.path) as opened:
        assert opened.mpp == pytest.approx(0.25, rel=1e-3)
    stamp = slide.path.stat().st_mtime_ns
    assert data.in_situ_phantom(size_px=1280, seed=1, folder=tmp_path).path.stat().st_mtime_ns == stamp


def test_nobody_planted_cells_in_a_slide_of_ones_own(tmp_path):
    path = tmp_path / "own.png"
    path.write_bytes(b"not looked at here")
    own = data.slide_or_phantom(str(path))
    assert own.planted_score is None
    with pytest.raises(SlideError, match="no phantom"):
        own.planted_cells()
