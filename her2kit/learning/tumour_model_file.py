"""The second stage that goes into use: fitted on all slides, kept as safetensors with a card, read again.

A model that is kept must open without running code, so no pickle, and the choice is among those that can be
written down: linear models, as their weights, and XGBoost and LightGBM, as their libraries' own JSON and
text, wrapped as bytes. Forests, gradient boosting and kernel ridge of scikit-learn have no such form and stay
in the comparison (``tumour_models``). The model holds for maps of one mpp, as its scales are in pixels.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card, write_card
from her2kit.exchange.whole import whole_files
from her2kit.learning.splits import folds
from her2kit.learning.tumour_estimators import TASKS, Say, fitted_estimator, tune
from her2kit.learning.tumour_models import OFFSET, Fit, checked, feature_array
from her2kit.learning.weights import content_sha256
from her2kit.regions.map_features import FEATURES

LINEAR = ("linear", "ridge", "lasso", "elastic net")
BOOSTED = ("XGBoost", "LightGBM")
KEPT = (*LINEAR, *BOOSTED)
"""Models with a form that opens without running code."""
TASK = "tumour_model"
LIMITS = (
    "Research and teaching only.",
    "Learned from maps of one network at one mpp; maps of another ask for another model.",
    "The axis is that of the largest deposit; one that reaches the border of the map may go on outside.",
)


@dataclass(frozen=True, slots=True)
class TumourModel:
    """Calls slides tumour or normal and tells the longest diameter, from the features of their maps."""

    card: Card
    """``details`` names the features and the model of each task; ``mpp`` is that of the maps."""
    arrays: Mapping[str, np.ndarray]
    """What is kept, by ``<task>.<name>``: ``weights`` and ``intercept``, or ``model`` (uint8)."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the weights."""
        return tuple(self.card.details["features"])

    def predict(self, table: pd.DataFrame, *, mpp: float) -> pd.DataFrame:
        """Return ``probability`` of tumour, ``axis_um`` (0 where called normal) and ``status`` of each row.

        Parameters
        ----------
        table
            The features by name, in any order; other columns are not read.
        mpp
            Micrometres per pixel of the maps.

        Returns
        -------
        DataFrame
            With the index of ``table``. A row with a feature that is no number is not predicted, and its
            status, ``ok`` otherwise, says which.

        Raises
        ------
        ManifestError
            If a feature is missing.
        ValueError
            If the maps have another mpp than those it learned from.
        """
        if not abs(mpp / float(self.card.mpp or 0) - 1) < 0.01:
            raise ValueError(
                f"mpp={mpp:g}, and the model learned from maps of {self.card.mpp:g} um per pixel; "
                "map the slides at that"
            )
        x = feature_array(table, self.features)
        fine = np.isfinite(x).all(axis=1)
        out = pd.DataFrame({"probability": np.nan, "axis_um": np.nan, "status": "ok"}, index=table.index)
        if fine.any():
            fit = Fit(*(_say(task, self.card.details, self.arrays) for task in TASKS))
            out.loc[fine, ["probability", "axis_um"]] = np.stack(fit.predict(x[fine]), axis=1)
        for row in np.flatnonzero(~fine):
            name = self.features[int(np.argmin(np.isfinite(x[row])))]
            out.iloc[row, 2] = f"{name} is no number; map the slide again"
        return out

    def save(self, path: str | os.PathLike) -> Card:
        """Write ``path`` (.safetensors) and its card (.json), both or none, and return the card."""
        from safetensors.numpy import save

        path = Path(path)
        if path.suffix != ".safetensors":
            raise WeightsError(f"{path}: models are kept as .safetensors; name it so")
        data = save(dict(self.arrays))
        card = replace(self.card, sha256=hashlib.sha256(data).hexdigest())
        name = path.with_suffix(".json").name
        with whole_files(path.parent, last=name) as part:
            (part / path.name).write_bytes(data)
            write_card(part / name, card)
        return card


def fit(
    table: pd.DataFrame,
    *,
    mpp: float,
    features: Sequence[str] = FEATURES,
    offset: str | None = OFFSET,
    models: Sequence[str] = KEPT,
    inner: int = 5,
    seed: int = 0,
    figures: Mapping[str, float] | None = None,
) -> TumourModel:
    """Choose a model for each task by cross-validation, by patient, and fit it on all slides.

    Parameters
    ----------
    table, features, offset, seed
        As `her2kit.learning.tumour_models.compare` takes them.
    mpp
        Micrometres per pixel of the maps.
    models
        Of `KEPT`, to choose from.
    inner
        Folds.
    figures
        For the card: what nested cross-validation found.

    Raises
    ------
    ValueError
        If a model cannot be kept, or there are fewer patients than folds.
    ManifestError
        As `compare`.
    """
    if not models or any(name not in KEPT for name in models):
        raise ValueError(f"models={list(models)}; models that can be kept are {', '.join(KEPT)}")
    if not mpp > 0:
        raise ValueError(f"mpp={mpp}; give micrometres per pixel of the maps")
    slides = checked(table, features, offset)
    labelled = table.assign(label=np.where(slides.tumour, "tumour", "normal"))
    fold = folds(labelled, k=inner, unit="patient_id", seed=seed).to_numpy()
    details: dict[str, Any] = {"features": list(features), "offset": offset}
    arrays: dict[str, np.ndarray] = {}
    errors = {}
    for task in TASKS:
        tuned = {name: tune(name, task, slides, fold, seed) for name in models}
        best = min(models, key=lambda name: tuned[name][1])
        options, errors[task] = tuned[best]
        details |= {task: best, f"{task}_options": options}
        estimator = fitted_estimator(best, task, options, slides, seed)
        arrays |= {f"{task}.{name}": value for name, value in _written(best, task, estimator).items()}
    card = Card(
        task=TASK,
        architecture=f"{details['call']}, {details['axis']}",
        class_names=("normal", "tumour"),
        mpp=mpp,
        data_sha256=content_sha256(slides.x, slides.truth_um),
        settings={"inner": inner, "seed": seed, "models": list(models), "slides": len(table)},
        details=details,
        figures={"call_brier": errors["call"], "axis_relative_error": errors["axis"], **(figures or {})},
        limits=LIMITS,
    )
    return TumourModel(card, arrays)


def load(path: str | os.PathLike) -> TumourModel:
    """Read a model and its card.

    Raises
    ------
    WeightsError
        If file and card do not belong together, or are not of such a model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    card = read_card(path)
    if card.task != TASK:
        raise WeightsError(f"{path}: is a {card.task}, not a {TASK}; load the one that fit() kept")
    try:
        arrays = load_file(Path(path).with_suffix(".safetensors"))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: is no .safetensors file ({error}); fit and save again") from error
    model = TumourModel(card, arrays)
    try:
        model.predict(
            pd.DataFrame(np.zeros((1, len(model.features))), columns=list(model.features)), mpp=card.mpp or 0
        )
    except Exception as error:  # each library has its own
        raise WeightsError(f"{path}: is not whole ({error}); fit and save again") from error
    return model


def _written(name: str, task: str, estimator: Any) -> dict[str, np.ndarray]:
    """Return the arrays that a fitted estimator becomes."""
    if name == "XGBoost":
        return {"model": np.frombuffer(bytes(estimator.get_booster().save_raw("json")), np.uint8)}
    if name == "LightGBM":
        return {"model": np.frombuffer(estimator.booster_.model_to_string().encode(), np.uint8)}
    line = estimator if task == "call" else estimator.regressor_
    scaler, last = line[0], line[1]
    weights = np.ravel(last.coef_) / scaler.scale_
    intercept = np.ravel(last.intercept_) - weights @ scaler.mean_
    if task == "axis":
        back = estimator.transformer_
        weights, intercept = weights * back.scale_, intercept * back.scale_ + back.mean_
    return {"weights": weights, "intercept": intercept}


def _say(task: str, details: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Say:
    """Return what says the answer of kept arrays: 0..1 for a call, um from 0 for an axis."""
    raw = _raw(details[task], task, arrays)
    if task == "call":
        return raw
    start = details["features"].index(details["offset"]) if details["offset"] else None
    return lambda x: np.maximum(raw(x) + (0 if start is None else x[:, start]), 0.0)


def _raw(name: str, task: str, arrays: Mapping[str, np.ndarray]) -> Say:
    if name in LINEAR:
        from scipy.special import expit

        weights, intercept = arrays[f"{task}.weights"], arrays[f"{task}.intercept"]
        if task == "call":
            return lambda x: expit(x @ weights + intercept)
        return lambda x: x @ weights + intercept
    data = arrays[f"{task}.model"].tobytes()
    if name == "XGBoost":
        import xgboost

        trees = xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
        return lambda x: trees.predict(xgboost.DMatrix(x)).astype(float)
    import lightgbm

    leaves = lightgbm.Booster(model_str=data.decode())
    return lambda x: np.asarray(leaves.predict(x, num_threads=1))
