"""The model that goes into use: written, read and used again, and what it refuses."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import ManifestError, WeightsError
from her2kit.learning import tumour_estimators
from her2kit.learning.tumour_estimators import fitted
from her2kit.learning.tumour_model_file import KEPT, fit, load
from her2kit.learning.tumour_models import OFFSET, checked
from her2kit.regions.map_features import FEATURES, map_features

MAP_MPP = 7.0


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Features of maps with an ellipse, blurred edges and specks."""
    rng, rows = np.random.default_rng(2), []
    y, x = np.mgrid[0:160, 0:200]
    for i in range(36):
        tumour = i % 2 == 0
        a, b = rng.uniform(15, 60), rng.uniform(10, 14)
        ellipse = ((x - 100) / a) ** 2 + ((y - 80) / b) ** 2
        chance = 1 / (1 + np.exp(6 * (ellipse - 0.9))) if tumour else np.zeros(x.shape)
        chance = np.clip(chance + rng.normal(0, 0.05, x.shape), 0, 1)
        known = {"slide_id": str(i), "patient_id": str(i // 2), "true_axis_um": 2 * a * MAP_MPP * tumour}
        rows.append(known | map_features(chance, um_per_px=MAP_MPP))
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(tumour_estimators, "TREES", 15)


@pytest.fixture
def kept(table, tmp_path):
    fit(table, mpp=MAP_MPP, models=("ridge",), inner=3).save(tmp_path / "stage_two.safetensors")
    return tmp_path / "stage_two.safetensors"


@pytest.mark.parametrize("offset", [OFFSET, None])
@pytest.mark.parametrize("name", KEPT)
def test_what_was_saved_says_the_same_and_as_its_library(name, offset, table, tmp_path):
    model = fit(table, mpp=MAP_MPP, models=(name,), offset=offset, inner=3)
    said = model.predict(table, mpp=MAP_MPP)
    model.save(tmp_path / "m.safetensors")
    pd.testing.assert_frame_equal(load(tmp_path / "m.safetensors").predict(table, mpp=MAP_MPP), said)
    slides = checked(table, FEATURES, offset)
    call, axis = (
        fitted(name, task, model.card.details[f"{task}_options"], slides, 0)(slides.x)
        for task in ("call", "axis")
    )
    assert said["probability"].to_numpy() == pytest.approx(call, abs=1e-9)
    assert said["axis_um"].to_numpy() == pytest.approx(np.where(call >= 0.5, axis, 0), abs=1e-6)


def test_it_measures_slides_it_has_not_seen(table):
    model = fit(table[:24], mpp=MAP_MPP, inner=3)
    assert model.card.details["call"] in KEPT
    said, truth = model.predict(table[24:], mpp=MAP_MPP), table["true_axis_um"][24:]
    assert ((said["probability"] > 0.5) == (truth > 0)).all()
    assert (said["axis_um"][truth > 0] / truth[truth > 0] - 1).abs().median() < 0.05


def test_names_count_and_not_the_order_of_columns(kept, table):
    model = load(kept)
    pd.testing.assert_frame_equal(
        model.predict(table[table.columns[::-1]], mpp=MAP_MPP), model.predict(table, mpp=MAP_MPP)
    )


def test_a_slide_without_a_feature_is_told_and_the_others_are_predicted(kept, table):
    model, broken = load(kept), table.copy()
    broken.loc[3, "max_256"] = np.nan
    said = model.predict(broken, mpp=MAP_MPP)
    assert said.loc[3, "status"] == "max_256 is no number; map the slide again"
    assert said.loc[3, ["probability", "axis_um"]].isna().all()
    pd.testing.assert_frame_equal(said.drop(index=3), model.predict(table.drop(index=3), mpp=MAP_MPP))
    assert model.predict(table[:0], mpp=MAP_MPP).empty


def test_wrong_tables_and_maps_are_refused(kept, table):
    model = load(kept)
    with pytest.raises(ManifestError, match=r"lacks 1 of 28 features \(std_64\)"):
        model.predict(table.drop(columns="std_64"), mpp=MAP_MPP)
    for mpp in (3.5, 0.0, float("nan")):
        with pytest.raises(ValueError, match=r"the model learned from maps of 7 um per pixel"):
            model.predict(table, mpp=mpp)


def test_models_without_a_safe_form_are_not_kept(table, tmp_path):
    with pytest.raises(ValueError, match="models that can be kept are linear, ridge"):
        fit(table, mpp=MAP_MPP, models=("random forest",))
    with pytest.raises(ValueError, match="mpp=0"):
        fit(table, mpp=0)
    with pytest.raises(ManifestError, match="0 normal slides"):
        fit(table[::2], mpp=MAP_MPP, inner=3)
    with pytest.raises(WeightsError, match=r"kept as \.safetensors"):
        fit(table, mpp=MAP_MPP, models=("ridge",), inner=3).save(tmp_path / "m.pkl")
    assert not list(tmp_path.iterdir())


def changed(path, **values):
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | values))


def test_files_that_do_not_belong_together_are_refused(kept):
    changed(kept, version=99)
    with pytest.raises(WeightsError, match="card of version 99"):
        load(kept)
    changed(kept, version=1, task="tissue_classifier")
    with pytest.raises(WeightsError, match="is a tissue_classifier, not a tumour_model"):
        load(kept)
    changed(kept, task="tumour_model", details={"features": ["a"], "call": "ridge", "axis": "ridge"})
    with pytest.raises(WeightsError, match="is not whole"):
        load(kept)
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="its card; the two come from different trainings"):
        load(kept)


def test_a_pickle_is_not_opened(kept):
    class Bomb:
        def __reduce__(self):
            return exit, ()

    from her2kit.exchange.card import file_sha256

    kept.write_bytes(pickle.dumps(Bomb()))
    changed(kept, sha256=file_sha256(kept))
    with pytest.raises(WeightsError, match=r"is no \.safetensors file"):
        load(kept)
