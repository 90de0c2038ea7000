"""Figures of the tumour call say what is in their tables."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.tumour_lab import R4_STEPS, at_scales
from her2kit.regions.map_features import FEATURES
from her2kit.regions.tumour_map import TumourMap
from her2kit.report import tumour_model_plots


@pytest.fixture(autouse=True)
def _close():
    import matplotlib

    matplotlib.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def words_of(ax) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_a_feature_pyramid_answers_at_every_level_and_a_u_net_at_one():
    pyramid, u_net = tumour_model_plots.networks().axes
    assert len(pyramid.texts) - len(u_net.texts) == 3  # an arrow a level
    assert any("every level" in words for words in words_of(pyramid))


def test_each_scale_has_its_length_or_says_there_is_none():
    chance = np.zeros((256, 256), np.uint8)
    chance[100:140, 60:200] = 255
    figure = tumour_model_plots.at_scales(
        at_scales(TumourMap("a", chance, chance >= 0, 7.0, 2.0)), um_per_px=7.0
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes[:4]]
    assert titles[0].startswith("1/4: 28 um\n1.0")
    assert titles[3] == "1/256: 1,792 um\nno tumour"


def test_28_numbers_as_kinds_and_scales():
    values = pd.Series(np.arange(28.0), index=list(FEATURES))
    table = tumour_model_plots.by_scale(values)
    assert table.shape == (7, 4)
    assert table.loc["mean", 64] == values["mean_64"]
    ax = tumour_model_plots.importance_grid(values / 100, label="loss")
    assert sorted(words_of(ax)) == sorted(f"{v / 100:.3f}" for v in values)


def test_published_and_own_bars_stand_side_by_side():
    alone = tumour_model_plots.ablation(R4_STEPS)
    assert len(alone.patches) == len(R4_STEPS)
    both = tumour_model_plots.ablation(R4_STEPS, {"FPN": 0.7, "FPN, min-max": 0.6})
    assert len(both.patches) == len(R4_STEPS) + 2
    names = [t.get_text() for t in both.get_yticklabels()]
    assert names == [*R4_STEPS, "FPN, min-max"]
    assert [t.get_text() for t in both.get_legend().get_texts()] == [
        "R4, real sections (published)",
        "ours, phantoms",
    ]
    widths = {round(p.get_width(), 4) for p in both.patches}
    assert {0.7, 0.6, 0.7079} <= widths
