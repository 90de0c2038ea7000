"""R4's second stage: ten models and their mean tell tumour from normal, and measure its axis, by 28 features.

Options are chosen inside the training part of each outer fold, so that no figure is made of the slides that
chose. The models themselves are in ``tumour_estimators``, figures of the predictions in ``tumour_scores``,
and the model that goes into use in ``tumour_model_file``.

References
----------
The HeLP 2019 challenge and its winner's description. Varma S, Simon R. Bias in error estimation when using
cross-validation for model selection. BMC Bioinformatics 2006;7:91 (nested cross-validation).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import ManifestError
from her2kit.learning.splits import folds
from her2kit.learning.tumour_estimators import OPTIONS, TASKS, Say, Slides, fitted, tune
from her2kit.regions.map_features import FEATURES

CALLED_TUMOUR = 0.5
"""Least probability of a slide that is called tumour; below it the axis is given as 0."""
OFFSET = "major_axis_um_at_0.5_4"
"""The diameter on the finest scale: what an axis starts from."""
PLAIN = ("max_16", "axis_um")
"""What stands in for probability and axis where nothing is learned: the map's own maximum and diameter."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A call and an axis, fitted."""

    call: Say
    axis: Say

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return probability of tumour, 0..1, and axis in um: 0 where the slide is called normal."""
        probability = self.call(x)
        return probability, np.where(probability >= CALLED_TUMOUR, self.axis(x), 0.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` finds."""

    predictions: pd.DataFrame
    """One row a slide and model: ``slide_id``, ``patient_id``, ``true_axis_um``, ``fold``, ``model``,
    ``probability``, ``axis_um``. Models: those of `OPTIONS`; ``ensemble``, their mean; ``chosen``, in each
    fold the one that did best inside its training part; ``no model`` where `PLAIN` is in the table."""
    choices: pd.DataFrame
    """One row a fold, model and task: ``options``, and ``error`` inside the training part."""
    fits: Mapping[tuple[int, str], Fit] = field(repr=False)
    """What was fitted, by fold and model."""


def compare(
    table: pd.DataFrame,
    *,
    features: Sequence[str] = FEATURES,
    offset: str | None = OFFSET,
    models: Sequence[str] = tuple(OPTIONS),
    outer: int = 5,
    inner: int = 4,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare models by nested cross-validation, patients kept together.

    Parameters
    ----------
    table
        One row a slide: ``slide_id``, ``patient_id``, ``true_axis_um`` (0 is a normal slide) and the
        features, from out-of-fold maps (`her2kit.learning.tumour_folds.feature_table`).
    offset
        The feature that an axis starts from, so that its correction is learned; None learns the axis from
        nothing, as R4 did.
    outer, inner
        Folds: each outer one is tested once, the inner ones choose options.
    seed
        Of folds and models; the same gives the same predictions.
    progress
        Told in words what begins.

    Raises
    ------
    ValueError
        If a model is not known, or there are fewer patients than folds.
    ManifestError
        If a column is missing, a value is not a number, or a fold would learn from one class.
    """
    names, tell = _known(models), progress or (lambda words: None)
    slides = checked(table, features, offset)
    labelled = table.assign(label=np.where(slides.tumour, "tumour", "normal"))
    outer_fold = folds(labelled, k=outer, unit="patient_id", seed=seed).to_numpy()
    parts, choices = [], []
    fits: dict[tuple[int, str], Fit] = {}
    for fold in range(outer):
        tell(f"fold {fold + 1} of {outer}")
        rest, test = np.flatnonzero(outer_fold != fold), np.flatnonzero(outer_fold == fold)
        inner_fold = folds(labelled.iloc[rest], k=inner, unit="patient_id", seed=seed + 1).to_numpy()
        each, tried = _fit_all(names, slides.rows(rest), inner_fold, seed)
        choices += [{"fold": fold, **row} for row in tried]
        fits |= {(fold, name): fit for name, fit in each.items()}
        predicted = {name: fit.predict(slides.x[test]) for name, fit in each.items()}
        if set(PLAIN) <= set(table):
            probability, axis = (table.iloc[test][column].to_numpy(float) for column in PLAIN)
            predicted["no model"] = probability, axis
        known = table.iloc[test][["slide_id", "patient_id"]]
        known = known.assign(true_axis_um=slides.truth_um[test], fold=fold)
        parts += [known.assign(model=n, probability=p, axis_um=a) for n, (p, a) in predicted.items()]
    return Comparison(pd.concat(parts, ignore_index=True), pd.DataFrame(choices), fits)


def _fit_all(
    names: Sequence[str], slides: Slides, inner_fold: np.ndarray, seed: int
) -> tuple[dict[str, Fit], list[dict[str, Any]]]:
    """Return each model, the ensemble and the chosen one, fitted, and what was tried of each."""
    said: dict[tuple[str, str], Say] = {}
    errors, tried = {}, []
    for name, task in product(names, TASKS):
        options, error = tune(name, task, slides, inner_fold, seed)
        said[name, task] = fitted(name, task, options, slides, seed)
        errors[name, task] = error
        tried.append({"model": name, "task": task, "options": options, "error": error})
    each = {name: Fit(said[name, "call"], said[name, "axis"]) for name in names}
    each["ensemble"] = Fit(*(_mean([said[name, task] for name in names]) for task in TASKS))
    call, axis = (min((errors[name, task], i) for i, name in enumerate(names))[1] for task in TASKS)
    each["chosen"] = Fit(said[names[call], "call"], said[names[axis], "axis"])
    return each, tried


def checked(table: pd.DataFrame, features: Sequence[str], offset: str | None = None) -> Slides:
    """Return features and true axes of a table, after a look at both.

    Raises
    ------
    ManifestError
        If a column is missing, a slide stands twice, or a value is not a number.
    ValueError
        If ``offset`` is no feature.
    """
    if offset is not None and offset not in features:
        raise ValueError(f"offset={offset!r} is none of the features; name one, or use None")
    x = feature_array(table, features)
    for name in ("slide_id", "patient_id", "true_axis_um"):
        if name not in table:
            raise ManifestError(f"the table of features has no column {name}; add it")
    slide = table["slide_id"].astype(str).to_numpy()
    if (twice := table["slide_id"].duplicated().to_numpy()).any():
        raise ManifestError(f"slide {slide[twice][0]} stands twice in the table; give one row a slide")
    if len(bad := np.argwhere(~np.isfinite(x))):
        row, column = bad[0]
        raise ManifestError(
            f"{len(np.unique(bad[:, 0]))} slides have features that are no number, first {features[column]} "
            f"of slide {slide[row]}; map them again, or leave them out"
        )
    truth = pd.to_numeric(table["true_axis_um"], errors="coerce").to_numpy(float, na_value=np.nan)
    if not (fine := truth >= 0).all():
        raise ManifestError(
            f"true_axis_um of slide {slide[~fine][0]} is {truth[~fine][0]:g}; give um, 0 for a normal slide"
        )
    return Slides(x, truth, None if offset is None else list(features).index(offset))


def feature_array(table: pd.DataFrame, features: Sequence[str]) -> np.ndarray:
    """Return the columns named ``features`` in that order, whatever theirs is; float64 (n, features)."""
    if missing := [name for name in features if name not in table]:
        raise ManifestError(
            f"the table lacks {len(missing)} of {len(features)} features ({missing[0]}); "
            "make it with tumour_folds.feature_table"
        )
    if not features:
        raise ValueError("features is empty; name at least one")
    numbers = table[list(features)].apply(pd.to_numeric, errors="coerce")  # words become nan, and are told
    return numbers.to_numpy(float, na_value=np.nan)


def _mean(all_of_them: Sequence[Say]) -> Say:
    return lambda new: np.mean([say(new) for say in all_of_them], axis=0)


def _known(models: Sequence[str]) -> tuple[str, ...]:
    strange = [name for name in models if name not in OPTIONS]
    if strange or not models:
        raise ValueError(f"models={list(models)}; use some of {', '.join(OPTIONS)}")
    return tuple(dict.fromkeys(models))
