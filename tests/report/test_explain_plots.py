"""Figures about explanations: a map stays over its place, an empty one says so, every part has its point."""

import numpy as np
import pandas as pd
import pytest

plt = pytest.importorskip("matplotlib.pyplot")

from her2kit.report import explain_plots  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def tile(n=2, side=20):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_an_overlay_paints_where_the_map_is_and_nowhere_else():
    pixels = np.full((20, 30, 3), 200, np.uint8)
    heat = np.zeros((20, 30))
    plain = explain_plots.overlay(pixels, heat)
    assert len(np.unique(plain)) == 1
    heat[5:10, 20:] = 1
    painted = explain_plots.overlay(pixels, heat)
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal((painted != plain).any(axis=2), heat > 0)
    heat[:3] = -1
    both = explain_plots.overlay(pixels, heat)
    assert (both[0, 0] != both[6, 25]).any()
    with pytest.raises(ValueError, match="give both in one size"):
        explain_plots.overlay(pixels, heat.T)


def test_side_by_side_names_methods_and_says_which_map_is_empty():
    heats = {"one": np.zeros((2, 20, 20)), "two": np.ones((2, 20, 20))}
    heats["one"][0, 3] = 1
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 5:9, 5:9] = True
    figure = explain_plots.side_by_side(tile(), heats, captions=["a", "b"], masks=masks)
    assert [ax.get_title(loc="left") for ax in figure.axes[:3]] == ["tile", "one", "two"]
    assert [[t.get_text() for t in ax.texts] for ax in figure.axes] == [[], [], [], [], ["all zero"], []]
    assert figure.axes[3].get_ylabel() == "b"


def test_charts_show_what_the_tables_hold():
    shares = pd.DataFrame(
        {"times": [1.4, 0.7], "low": [1.2, 0.5], "high": [1.6, 0.9]}, index=["membrane", "stroma"]
    )
    ax = explain_plots.times_chance({"fine": shares, "coarse": shares})
    assert [t.get_text() for t in ax.get_yticklabels()] == ["membrane", "stroma"]
    assert len(ax.get_legend().get_texts()) == 2
    rows = [
        {"method": m, "part": p, "depth": d, "seed": s, "correlation": 0.5 / d}
        for m in ("a", "b")
        for d, p in enumerate(("fc", "stem"), 1)
        for s in (0, 1)
    ]
    ax = explain_plots.as_weights_go(pd.DataFrame(rows), 0.3)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, 0.5, 0.25])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["trained", "fc", "stem"]
    curve = pd.DataFrame({"share": [0, 1], "deletion": [0.9, 0.1], "insertion": [0.1, 0.9]})
    figure = explain_plots.deletion_insertion({"a": curve, "noise": curve})
    assert [t.get_text() for t in figure.axes[1].get_legend().get_texts()] == ["a", "noise"]
    ax = explain_plots.share_on_mark({"marked": np.array([0.7, np.nan]), "honest": np.array([0.1])}, 0.12)
    assert {t.get_text() for t in ax.texts} == {"chance", "half"}
