"""The tumour map in a report: painted where it is probable, its diameter drawn to scale, its limits said."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from planted_slide import MPP, pictures, planted_cells, record

from her2kit.regions.map_features import major_axis
from her2kit.report.slide_report import write_slide_report
from her2kit.report.tumour_plots import against_truth, map_over_slide
from her2kit.report.tumour_section import TUMOUR_RGB, paint, tumour_section

matplotlib.use("Agg")


def bar(*, left: int = 20, right: int = 80) -> np.ndarray:
    """Return a map of 100 x 100 pixels, 10 um each on a slide of 1 mm, with one horizontal tumour."""
    probability = np.zeros((100, 100), np.uint8)
    probability[50, left:right] = 255
    return probability


def test_the_diameter_is_drawn_to_scale_and_said():
    found = tumour_section(replace(pictures(), tumour_probability=bar()))
    assert "0.60 mm" in found["words"]
    assert "border" not in found["words"]
    (x0, y0), (x1, y1) = sorted(found["ends"])
    assert (x0, x1) == pytest.approx((20.5 * 5, 79.5 * 5))
    assert y0 == y1 == pytest.approx(50.5 * 5)
    assert found["picture"].startswith("data:image/jpeg;base64,")


def test_what_the_map_cannot_say_is_said():
    assert tumour_section(pictures()) is None
    none = tumour_section(replace(pictures(), tumour_probability=np.full((100, 100), 100, np.uint8)))
    assert none["ends"] == []
    assert "no tissue tumour: its probability is nowhere above 0.5" in none["words"]
    outside = tumour_section(replace(pictures(), tumour_probability=bar(left=0)))
    assert "may go on outside" in outside["words"]
    blind = tumour_section(replace(pictures(mpp=None), tumour_probability=bar()))
    assert "unknown, since the slide has no mpp" in blind["words"]


def test_probable_tissue_is_green_and_the_rest_as_it_was():
    picture = np.full((40, 60, 3), 200, np.uint8)
    probability = np.zeros((20, 30), np.uint8)
    probability[:10] = 255
    painted = paint(picture, probability)
    assert (painted[20:] == 200).all()
    expected = 200 + 0.55 * (np.array(TUMOUR_RGB) - 200)
    assert np.abs(painted[:20] - expected).max() <= 1


@pytest.mark.parametrize("mapped", [True, False])
def test_a_report_shows_the_map_where_there_is_one(tmp_path, mapped):
    cells = planted_cells(60)
    shown = replace(pictures(), tumour_probability=bar() if mapped else None)
    text = write_slide_report(tmp_path / "r.html", record(cells), cells, shown).read_text("utf-8")
    assert ("Where the tumour map sees tumour" in text) == mapped
    assert ("M102.5 252.5L397.5 252.5" in text or "M397.5 252.5L102.5 252.5" in text) == mapped
    assert MPP == 0.25


def test_the_figure_labels_the_diameter_and_the_border():
    probability = bar(left=0)
    axis = major_axis(probability / 255, um_per_px=10.0)
    ax = map_over_slide(
        np.full((50, 50, 3), 200, np.uint8), probability, axis, um_per_px=10.0, truth=probability > 0
    )
    assert [t.get_text() for t in ax.texts] == ["0.80 mm or more", "200 µm"]
    empty = map_over_slide(
        np.full((50, 50, 3), 200, np.uint8),
        np.zeros((100, 100), np.uint8),
        major_axis(np.zeros((9, 9)), um_per_px=1),
        um_per_px=10.0,
    )
    assert [t.get_text() for t in empty.texts] == ["200 µm"]


def test_axes_within_the_band_are_counted():
    ax = against_truth(np.array([1000.0, 1000, 2000]), np.array([1040.0, 1100, 0]))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["within 5 %: 1", "beyond 5 %: 2"]
