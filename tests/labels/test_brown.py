"""R1's brown-pixel rule: on planted colours, and in boxes read from a slide at any place and mpp."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from her2kit.labels.brown import brown_share, is_brown
from her2kit.slides.slide import open_slide

DAB, HEMATOXYLIN, GLASS, DARK_BROWN, BLACK = (
    (150, 100, 60), (110, 110, 170), (233, 233, 242), (80, 60, 55), (60, 60, 60)
)  # fmt: skip


def test_planted_colours():
    row = np.array([[DAB, HEMATOXYLIN, GLASS, DARK_BROWN, BLACK]], np.uint8)
    assert is_brown(row).tolist() == [[True, False, False, True, False]]
    with pytest.raises(ValueError, match="pixels is float64"):
        is_brown(row / 255)


@pytest.fixture
def slide(tmp_path):
    """Return a slide of 1600 x 1200 px at 0.25 um, brown in the columns from 1024 on."""
    picture = np.full((1200, 1600, 3), GLASS, np.uint8)
    picture[:, 1024:] = DAB
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, picture, resolution=(40_000, 40_000), resolutionunit="CENTIMETER", tile=(256, 256),
                     photometric="rgb")  # fmt: skip
    with open_slide(path, mpp=0.25) as opened:
        yield opened


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_boxes_over_the_seam_of_tiles_and_at_the_border(slide, mpp):
    cells = pd.DataFrame(
        {
            "x_px0": [500.0, 1024.0, 1032.0, 1500.0, 1600.0, 0.0],
            "y_px0": [600.0, 1024.0, 600.0, 3.0, 1200.0, 0],
        }
    )
    found = brown_share(slide, cells, mpp=mpp)
    assert found == pytest.approx([0, 0.5, 0.75, 1, 1, 0], abs=0.01)
    assert brown_share(slide, cells, mpp=mpp, box_um=64)[0] == 0


def test_many_cells_are_read_as_single_ones(slide):
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"x_px0": rng.uniform(980, 1070, 40), "y_px0": rng.uniform(0, 1200, 40)})
    together = brown_share(slide, cells)
    single = [brown_share(slide, cells.iloc[[k]])[0] for k in range(40)]
    assert together.tolist() == single
    assert len(brown_share(slide, cells.head(0))) == 0


def test_a_cell_outside_the_slide_is_named(slide):
    cells = pd.DataFrame({"x_px0": [10.0, 3200.0], "y_px0": [10.0, 10.0]})
    with pytest.raises(ValueError, match=r"cell 1 lies at \(3200, 10\), outside the slide of 1600 x 1200"):
        brown_share(slide, cells)
