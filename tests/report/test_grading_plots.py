"""Figures about graded tiles draw what they are given; wrong lengths are one line."""

import numpy as np
import pandas as pd
import pytest

from her2kit.report import grading_plots

pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_dots_stand_where_confidence_and_accuracy_are():
    bins = pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.4, 0.95], "n": [3, 30]})
    dots = grading_plots.reliability(bins).collections[-1]
    np.testing.assert_allclose(dots.get_offsets(), [[0.5, 0.4], [0.9, 0.95]])
    assert dots.get_sizes()[1] > dots.get_sizes()[0]


def test_models_stand_in_order_with_their_figures():
    table = pd.DataFrame(
        {"value": [0.9, 0.3], "low": [0.8, np.nan], "high": [0.95, np.nan]}, index=["IHC", "H&E"]
    )
    ax = grading_plots.accuracies(table, chance=0.25)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["IHC", "H&E"]
    assert {"0.90", "0.30", "always the commonest"} <= {t.get_text() for t in ax.texts}


def test_misread_tiles_carry_truth_and_reading_and_their_maps():
    table = pd.DataFrame({"truth": ["2+", "0"], "predicted": ["1+", "1+"], "probability": [0.8, 0.6]})
    pictures = [np.zeros((8, 16, 3), np.uint8)] * 2
    figure = grading_plots.gallery(pictures, table, maps=[np.zeros((4, 8))] * 2)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:2] == ["2+ read as 1+, 0.80", "0 read as 1+, 0.60"]
    assert sum(len(ax.images) for ax in figure.axes) == 4
    assert len(grading_plots.gallery([], table.iloc[:0]).axes) == 1
    with pytest.raises(ValueError, match="1 pictures or maps for 2 rows"):
        grading_plots.gallery(pictures[:1], table)


def test_effects_are_drawn_by_factor():
    rows = [("stain", "ihc", True, 0.0, 0.0, 0.0, 4), ("stain", "he", False, -0.5, -0.6, -0.4, 4)]
    columns = ["factor", "level", "reference", "effect", "low", "high", "n"]
    ax = grading_plots.effects(pd.DataFrame(rows, columns=columns))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ihc  (4)", "he  (4)"]
    assert {"stain", "-0.500"} <= {t.get_text() for t in ax.texts}
