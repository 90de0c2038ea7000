"""The second stage: planted features whose answer is known, in nested cross-validation and in its figures."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from her2kit.errors import ManifestError
from her2kit.learning import tumour_estimators
from her2kit.learning.tumour_estimators import OPTIONS
from her2kit.learning.tumour_models import compare
from her2kit.learning.tumour_scores import by_size, figures, importance, scores

NAMES = ("measured", "max", "noise")
GIVEN = {"features": NAMES, "offset": "measured"}
QUICK = {**GIVEN, "models": ("ridge",), "outer": 4, "inner": 3}


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(tumour_estimators, "TREES", 15)


def planted(n: int = 48, *, shrunk: float = 0.9, noise_um: float = 10.0, seed: int = 0) -> pd.DataFrame:
    """Maps that show every tumour too short, by a tenth, and normal slides with specks."""
    rng = np.random.default_rng(seed)
    tumour = np.arange(n) % 2 == 0
    truth = np.where(tumour, np.exp(rng.uniform(np.log(300), np.log(2500), n)), 0.0)
    measured = np.where(tumour, truth * shrunk + rng.normal(0, noise_um, n), rng.uniform(0, 60, n))
    return pd.DataFrame(
        {
            "slide_id": [f"slide_{i}" for i in range(n)],
            "patient_id": [f"patient_{i // 2}" for i in range(n)],
            "true_axis_um": truth,
            "axis_um": measured,
            "max_16": np.where(tumour, 0.9, 0.2),
            "measured": measured,
            "max": np.where(tumour, 0.8, 0.3) + rng.normal(0, 0.1, n),
            "noise": rng.normal(size=n),
        }
    )


def test_every_model_predicts_every_slide_once_by_fits_that_never_saw_its_patient():
    table = planted()
    found = compare(table, **GIVEN, outer=3, inner=2)
    said = found.predictions
    assert set(said["model"]) == {*OPTIONS, "ensemble", "chosen", "no model"}
    for _, one in said.groupby("model"):
        assert sorted(one["slide_id"]) == sorted(table["slide_id"])
    assert (said.groupby("patient_id")["fold"].nunique() == 1).all()
    assert said["probability"].between(0, 1).all()
    assert (said["axis_um"] >= 0).all()
    table_of = scores(said, draws=50)
    assert (table_of["auc"] > 0.9).all()
    assert table_of.loc["no model", "within"] == 0  # a tenth too short, and nothing corrects it
    assert table_of.loc["ridge", "within"] > 0.8
    ensemble = said[said["model"] == "ensemble"].set_index("slide_id")["probability"]
    by_model = said[said["model"].isin(OPTIONS)].groupby("slide_id")["probability"].mean()
    assert ensemble.to_numpy() == pytest.approx(by_model.loc[ensemble.index].to_numpy())


def test_a_slide_called_normal_has_no_axis():
    said = compare(planted(), **QUICK).predictions
    fitted = said[said["model"] == "ridge"]
    assert (fitted.loc[fitted["probability"] < 0.5, "axis_um"] == 0).all()
    assert (fitted.loc[fitted["probability"] >= 0.5, "axis_um"] > 100).all()


@pytest.mark.parametrize("model", ["random forest", "XGBoost"])
def test_a_correction_is_learned_from_fewer_slides_than_a_ruler(model):
    table = planted(shrunk=1.0, noise_um=0.0)
    right = {}
    for offset in ("measured", None):
        said = compare(table, features=NAMES, offset=offset, models=(model,), outer=3, inner=2).predictions
        right[offset] = scores(said, draws=10).loc[model, "within"]
    assert right["measured"] > 0.9
    assert right[None] < 0.6


def test_labels_that_mean_nothing_are_not_learned():
    table = planted(60)
    pairs = np.random.default_rng(3).permutation(30)
    swap = np.repeat(pairs % 2 == 0, 2)
    other = table["true_axis_um"].to_numpy().reshape(-1, 2)[:, ::-1].ravel()
    table["true_axis_um"] = np.where(swap, other, table["true_axis_um"])
    found = compare(table, features=NAMES, offset=None, models=("lasso", "LightGBM"), outer=5, inner=3)
    assert 0.25 < scores(found.predictions, draws=10).loc["chosen", "auc"] < 0.75


def test_the_same_seed_gives_the_same_predictions_whatever_the_order_of_the_columns():
    table = planted()
    given = {**GIVEN, "models": ("extra trees", "LightGBM"), "outer": 3, "inner": 2}
    first, second = (compare(t, **given).predictions for t in (table, table[table.columns[::-1]]))
    pd.testing.assert_frame_equal(first, second)


def test_choices_are_made_inside_the_training_part():
    choices = compare(planted(), **{**QUICK, "models": ("ridge", "linear")}).choices
    assert len(choices) == 4 * 2 * 2
    assert set(choices["task"]) == {"call", "axis"}
    assert (choices["error"] >= 0).all()


def spoilt(**changes) -> pd.DataFrame:
    table = planted(16)
    for name, value in changes.items():
        table.loc[3, name] = value
    return table


@pytest.mark.parametrize(
    ("table", "given", "error", "words"),
    [
        (spoilt(max=np.nan), {}, ManifestError, "1 slides have features .* first max of slide slide_3"),
        (planted(16).assign(max="high"), {}, ManifestError, "16 slides have features .* first max of slide"),
        (planted(16), {"features": (), "offset": None}, ValueError, "features is empty"),
        (spoilt(true_axis_um=np.nan), {}, ManifestError, "true_axis_um of slide slide_3 is nan; give um"),
        (spoilt(true_axis_um=-4.0), {}, ManifestError, "is -4; give um, 0 for a normal slide"),
        (spoilt(slide_id="slide_2"), {}, ManifestError, "slide slide_2 stands twice"),
        (planted(16).drop(columns="max"), {}, ManifestError, r"lacks 1 of 3 features \(max\)"),
        (planted(16).drop(columns="patient_id"), {}, ManifestError, "has no column patient_id"),
        (planted(16)[::2], {}, ManifestError, "a fold learns from . tumour and 0 normal slides"),
        (planted(16)[1::2], {}, ManifestError, "a fold learns from 0 tumour"),
        (planted(4), {}, ValueError, "k=4 with 2 units of patient_id"),
        (planted(16), {"models": ("svm",)}, ValueError, "use some of linear, ridge"),
        (planted(16), {"models": ()}, ValueError, "use some of"),
        (planted(16), {"offset": "diameter"}, ValueError, "is none of the features"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_one_line(table, given, error, words):
    with pytest.raises(error, match=words) as found:
        compare(table, **{**QUICK, **given})
    assert "\n" not in str(found.value)


def test_figures_of_known_predictions():
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(80) < 0.5, rng.uniform(200, 900, 80), 0.0)
    probability = np.round(rng.random(80), 1)  # ties
    axis = np.where(truth > 0, truth * np.where(np.arange(80) % 4, 1.04, 1.06), 500.0)
    found = figures(truth, probability, axis)
    assert found["auc"] == pytest.approx(roc_auc_score(truth > 0, probability))
    assert found["within"] == pytest.approx(np.mean((np.arange(80) % 4 > 0)[truth > 0]))
    assert found["total"] == pytest.approx((found["auc"] + found["within"]) / 2)
    alone = figures(truth[truth == 0], probability[truth == 0], axis[truth == 0])
    assert np.isnan(alone["auc"])
    assert np.isnan(alone["within"])


def predictions_of(truth, **axes) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "slide_id": np.arange(len(truth)).astype(str),
                "patient_id": np.arange(len(truth)) // 2,
                "true_axis_um": truth,
                "fold": 0,
                "model": name,
                "probability": np.asarray(truth) / 5000,
                "axis_um": axis,
            }
        )
        for name, axis in axes.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_intervals_hold_the_figure_and_a_gain_is_paired():
    rng = np.random.default_rng(1)
    truth = np.where(np.arange(80) % 2, 0.0, rng.uniform(300, 2000, 80))
    rough = truth * (1 + rng.normal(0, 0.06, 80))
    better = truth + (rough - truth) * 0.75
    table = scores(predictions_of(truth, rough=rough, better=better), against="rough", draws=400)
    for name in ("auc", "within", "total", "gain"):
        assert (table[f"{name}_low"] <= table[name] + 1e-12).all()
        assert (table[name] <= table[f"{name}_high"] + 1e-12).all()
    assert table.loc["rough", ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]
    assert table.loc["better", "gain_low"] > 0
    assert table.loc["better", "total_low"] < table.loc["rough", "total_high"]  # each alone would not say so
    with pytest.raises(ValueError, match="against='x'; use one of rough, better"):
        scores(predictions_of(truth, rough=rough, better=better), against="x")


def test_five_percent_of_a_small_tumour_is_less_than_a_pixel():
    truth = np.array([100.0, 100, 100, 400, 400, 3000, 0, 0])
    said = truth + np.array([0, 0, 30, 10, 30, 100, 0, 0])
    table = by_size(predictions_of(truth, ruler=said), "ruler", map_mpp=7.0)
    assert table.index.tolist() == ["up to 200 um", "200 to 500 um", "over 2,000 um"]
    assert table["n"].tolist() == [3, 2, 1]
    assert table["within"].tolist() == pytest.approx([2 / 3, 0.5, 1])
    assert table["five_percent_px"].tolist() == pytest.approx([5 / 7, 20 / 7, 150 / 7])
    assert table["error_um"].tolist() == pytest.approx([0, 20, 100])
    with pytest.raises(ValueError, match="model='x' has no tumour slide"):
        by_size(predictions_of(truth, ruler=said), "x", map_mpp=7.0)
    with pytest.raises(ValueError, match="rising borders"):
        by_size(predictions_of(truth, ruler=said), "ruler", map_mpp=7.0, edges_um=(500, 200))


def test_importance_names_what_bears_and_twins_hide_each_other():
    table = planted(60)
    table["max"] = np.where(table["true_axis_um"] > 0, 0.9, 0.1)
    table["twin"] = table["max"]
    given = {"features": (*NAMES, "twin"), "offset": "measured"}
    found = compare(table, **given, models=("ridge",), outer=4, inner=3)
    alone = importance(found, table, "ridge", features=given["features"], repeats=5)
    assert alone.index[0] == "measured"
    assert abs(alone.loc["noise", "total"]) < 0.05
    groups = {"maxima": ["max", "twin"], "noise": ["noise"]}
    together = importance(found, table, "ridge", features=given["features"], groups=groups, repeats=5)
    assert together.index[0] == "maxima"
    assert together.loc["maxima", "total"] > alone.loc[["max", "twin"], "total"].max()
    with pytest.raises(ValueError, match="model='no model'; use one that was compared and fitted"):
        importance(found, table, "no model", features=given["features"])
    with pytest.raises(ValueError, match="repeats=0; use 1 or more"):
        importance(found, table, "ridge", features=given["features"], repeats=0)
    with pytest.raises(ManifestError, match="other slides than were compared"):
        importance(found, table[:10], "ridge", features=given["features"])
    with pytest.raises(ValueError, match="groups name 'x'"):
        importance(found, table, "ridge", features=given["features"], groups={"g": ["x"]})
