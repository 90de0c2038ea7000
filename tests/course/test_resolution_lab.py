"""Stain along planted outlines, coarser copies, cut-offs; and the checks of notebook 03's exercises."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.exercises_stain import MAY_NORMALISE, check_field_px, check_may_normalise
from her2kit.course.judging import OPEN, RIGHT
from her2kit.course.resolution import (
    balanced_accuracy,
    best_cut_off,
    coarse_copy,
    stain_along_outlines,
    stained_share,
)
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import Tile, open_slide


def ring(x: float, y: float, radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1).astype(np.float32)


def test_stain_along_a_planted_ring_is_read_back_at_another_mpp():
    row, column = np.mgrid[:64, :64] + 0.5
    dab = np.where(abs(np.hypot(row - 32, column - 32) - 20) < 3, 0.4, 0.0)
    tile = Tile(np.zeros((64, 64, 3), np.uint8), 100.0, 200.0, 0.5, 0, None)
    cells = pd.DataFrame({"outline": [ring(100 + 64, 200 + 64, 40), ring(100 + 64, 200 + 64, 10)]})
    assert stain_along_outlines(dab, cells, tile, slide_mpp=0.25) == pytest.approx([0.4, 0.0], abs=1e-6)


def test_a_coarse_copy_is_the_same_place_at_the_mpp_asked_for(tmp_path):
    pixels = np.full((512, 512, 3), 240, np.uint8)
    pixels[:, 256:] = 120
    write_pyramid(tmp_path / "fine.tif", pixels, mpp=0.25)
    copy = coarse_copy(tmp_path / "fine.tif", tmp_path / "coarse.tif", mpp=0.5)
    with open_slide(copy) as slide:
        assert slide.mpp == pytest.approx(0.5)
        assert (slide.width_px0, slide.height_px0) == (256, 256)
        assert slide.read(0, 0, 1, 1).pixels.mean() > 230 > 130 > slide.read(255, 0, 1, 1).pixels.mean()


def test_pairs_tell_who_is_stained():
    planted = pd.DataFrame({"x_px0": [0, 100, 200], "y_px0": [0, 0, 0], "cell_class": ["0", "1+", "2+"]})
    found = pd.DataFrame({"x_px0": [51, 1, 900], "y_px0": [0, 0, 0], "cell_class": ["0", "1+", "3+"]})
    both = stained_share(planted, found, planted_mpp=0.25, mpp=0.5)
    assert both.to_numpy().tolist() == [[False, True], [True, False]]


def test_best_cut_off_parts_two_groups():
    truth = np.repeat([False, True], 50)
    values = np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.2, 0.3, 50)])
    assert balanced_accuracy(truth, values > best_cut_off(truth, values)) == 1.0
    assert np.isnan(balanced_accuracy(np.ones(3, bool), np.ones(3, bool)))


def test_field_of_view_exercise():
    asked = {"um": 905.2, "mpp": 0.389, "level": 3}
    assert check_field_px(**asked, answer=...) == OPEN
    assert check_field_px(**asked, answer=291) == RIGHT
    assert "at level 0" in check_field_px(**asked, answer=2327)
    assert "Multiplied" in check_field_px(**asked, answer=905.2 * 0.389 * 8)
    assert "Not yet" in check_field_px(**asked, answer=145)


def test_what_may_be_normalised():
    assert check_may_normalise(dict.fromkeys(MAY_NORMALISE, ...)).startswith("Still open: score HER2")
    assert check_may_normalise(MAY_NORMALISE) == RIGHT
    wrong = check_may_normalise(MAY_NORMALISE | {"score HER2": "normalised"})
    assert "score HER2: what does a score read" in wrong
    assert "grades" not in wrong
    assert "'yes' is no answer" in check_may_normalise(MAY_NORMALISE | {"score HER2": "yes"})
