"""Figures of splits: what is drawn is what was handed in."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from her2kit.cells.table import CLASS_COLOURS
from her2kit.report.split_plots import pictures_in_rows, promises, tiles_of_slides, with_threshold
from her2kit.statistics import Interval


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def said(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_each_slide_has_a_bar_of_its_tiles_in_the_colour_of_its_label():
    tiles = pd.DataFrame(
        {"slide_id": list("aaabbc"), "site": list("xxxxxy"), "label": ["0"] * 3 + ["3+"] * 2 + ["2+"]}
    )
    ax = tiles_of_slides(tiles)
    assert [bar.get_height() for bar in ax.patches] == [3, 2, 1]
    colours = [CLASS_COLOURS[c] for c in ("0", "3+", "2+")]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [c.lower() for c in colours]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y"]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["0", "2+", "3+"]


def test_promise_delivery_and_gap_stand_where_they_were_found():
    found = {
        "tile promised": Interval(0.9, 0.8, 0.95),
        "tile delivered": Interval(0.5, 0.4, 0.6),
        "tile gap": Interval(0.4, 0.25, 0.55),
    }
    ax = promises(found, chance=0.3)
    dots = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"]
    assert dots == [0.9, 0.5]
    assert said(ax) == ["promised 0.90", "delivered 0.50", "gap +0.40\n+0.25 to +0.55", "chance"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["split by tile"]


def test_pictures_fill_rows():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    ax = pictures_in_rows(pictures, list("abcde"), columns=3)
    assert said(ax) == list("abcde")
    assert [tuple(image.get_extent()[::3]) for image in ax.images][3] == (0, pytest.approx(1.24))


def test_histograms_are_shares_of_their_own_group():
    ax = with_threshold({"few": np.full(3, 1.0), "many": np.full(300, 9.0)}, 5, xlabel="bits")
    heights = {patch.get_label(): patch.get_data().values.max() for patch in ax.patches if patch.get_label()}
    assert heights["few (3)"] == heights["many (300)"] == 1
    assert said(ax) == ["threshold 5"]
