"""The ten models of R4's second stage as the libraries ship them, with fixed seeds, one thread, and options.

Every model has two tasks: to call a slide tumour or normal (``call``), learned from all slides, and to tell
the longest diameter in um (``axis``), learned from tumour slides alone. An axis may start from an offset, the
diameter that the map shows, so that its correction alone is learned: a few dozen slides teach a correction,
not a ruler. Options are chosen here, from folds that the caller deals; ``tumour_models`` compares, and
``tumour_model_file`` keeps.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from her2kit.errors import ManifestError

Grid = dict[str, tuple[float, ...]]
_C: Grid = {"C": (0.1, 1.0, 10.0)}
_ALPHA: Grid = {"alpha": (0.01, 0.03, 0.1, 0.3)}
_KERNEL: Grid = {"alpha": (0.01, 0.1, 1.0), "gamma": (0.003, 0.01)}
_LEAF: Grid = {"min_samples_leaf": (1, 3)}
_DEPTH: Grid = {"max_depth": (2, 3)}
_LEAVES: Grid = {"num_leaves": (4, 8)}
OPTIONS: dict[str, dict[str, Grid]] = {
    "linear": {"call": {}, "axis": {}},
    "ridge": {"call": _C, "axis": {"alpha": (1.0, 10.0, 100.0)}},
    "lasso": {"call": _C, "axis": _ALPHA},
    "elastic net": {"call": _C, "axis": _ALPHA},
    "kernel ridge": {"call": _KERNEL, "axis": _KERNEL},
    "random forest": {"call": _LEAF, "axis": _LEAF},
    "extra trees": {"call": _LEAF, "axis": _LEAF},
    "gradient boosting": {"call": _DEPTH, "axis": _DEPTH},
    "XGBoost": {"call": _DEPTH, "axis": _DEPTH},
    "LightGBM": {"call": _LEAVES, "axis": _LEAVES},
}
"""The models, and the options tried of each. To call a slide, linear is logistic regression without a
penalty; ridge, lasso and elastic net are logistic regression with theirs; kernel ridge fits 0 and 1, and its
answer is cut to that range."""
TASKS = ("call", "axis")
TREES = 100
Say = Callable[[np.ndarray], np.ndarray]
"""Takes features, float (n, features), and returns a number for each row."""


@dataclass(frozen=True, slots=True)
class Slides:
    """What the models learn from."""

    x: np.ndarray
    """Features, float64 (n, features)."""
    truth_um: np.ndarray
    """True axis, float64 (n,); 0 is a normal slide."""
    offset: int | None = None
    """Column of the diameter that an axis starts from; None learns it from nothing."""

    @property
    def tumour(self) -> np.ndarray:
        """bool (n,)."""
        return self.truth_um > 0

    def rows(self, which: np.ndarray) -> "Slides":
        """Return some of the slides."""
        return Slides(self.x[which], self.truth_um[which], self.offset)


def tune(name: str, task: str, slides: Slides, fold: np.ndarray, seed: int) -> tuple[dict[str, float], float]:
    """Return the options of a model with the least error over folds, the first of equals, and that error.

    The error is the Brier score of a call, and the mean relative error of an axis.
    """
    tumour, truth, found = slides.tumour, slides.truth_um, []
    for options in _grid(OPTIONS[name][task]):
        said = np.empty(len(truth))
        for number in np.unique(fold):
            test = fold == number
            said[test] = fitted(name, task, options, slides.rows(~test), seed)(slides.x[test])
        error = (said - tumour) ** 2 if task == "call" else np.abs(said[tumour] / truth[tumour] - 1)
        found.append((options, float(error.mean())))
    return min(found, key=lambda one: one[1])


def fitted(name: str, task: str, options: Mapping[str, float], slides: Slides, seed: int) -> Say:
    """Fit one model and return what says its answer: 0..1 for a call, um from 0 for an axis.

    Raises
    ------
    ManifestError
        If all slides are of one class, or fewer than three hold tumour.
    """
    estimator = fitted_estimator(name, task, options, slides, seed)
    if hasattr(estimator, "predict_proba"):
        return lambda x: estimator.predict_proba(x)[:, 1]
    most, offset = 1.0 if task == "call" else np.inf, slides.offset if task == "axis" else None
    return lambda x: np.clip(estimator.predict(x) + (0 if offset is None else x[:, offset]), 0.0, most)


def fitted_estimator(name: str, task: str, options: Mapping[str, float], slides: Slides, seed: int) -> Any:
    """Fit one model and return the estimator of its library, the offset not added; see `fitted`."""
    from sklearn.exceptions import ConvergenceWarning

    tumour = slides.tumour
    if tumour.all() or tumour.sum() < 3:
        raise ManifestError(
            f"a fold learns from {tumour.sum()} tumour and {(~tumour).sum()} normal slides; "
            "give more slides of both (three with tumour at least), or use fewer folds"
        )
    estimator = _estimator(name, task, options, seed)
    with warnings.catch_warnings():  # without a penalty a separable table has no end
        warnings.simplefilter("ignore", ConvergenceWarning)
        if task == "call":
            return estimator.fit(slides.x, tumour)
        x, truth = slides.x[tumour], slides.truth_um[tumour]
        return estimator.fit(x, truth if slides.offset is None else truth - x[:, slides.offset])


def _estimator(name: str, task: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return an estimator that is not fitted yet."""
    from sklearn import ensemble, linear_model
    from sklearn.kernel_ridge import KernelRidge

    call = task == "call"
    kind: Any
    trees: dict[str, Any] = {"n_estimators": TREES, "random_state": seed}
    match name:
        case "random forest":
            kind = ensemble.RandomForestClassifier if call else ensemble.RandomForestRegressor
            return kind(**trees, **options, n_jobs=1)
        case "extra trees":
            kind = ensemble.ExtraTreesClassifier if call else ensemble.ExtraTreesRegressor
            return kind(**trees, **options, n_jobs=1)
        case "gradient boosting":
            kind = ensemble.GradientBoostingClassifier if call else ensemble.GradientBoostingRegressor
            return kind(**trees, **options)
        case "XGBoost":
            import xgboost

            kind = xgboost.XGBClassifier if call else xgboost.XGBRegressor
            return kind(**trees, **options, learning_rate=0.1, n_jobs=1)
        case "LightGBM":
            import lightgbm

            kind = lightgbm.LGBMClassifier if call else lightgbm.LGBMRegressor
            return kind(
                **trees,
                **options,
                min_child_samples=5,
                n_jobs=1,
                deterministic=True,
                force_row_wise=True,
                verbose=-1,
            )
        case "kernel ridge":
            return _scaled(KernelRidge(kernel="rbf", **options), target=True)
    if call:
        share = {"linear": 0.0, "ridge": 0.0, "lasso": 1.0, "elastic net": 0.5}[name]
        solver = "saga" if share else "lbfgs"
        given = {"C": np.inf, **options}
        logistic = linear_model.LogisticRegression(
            l1_ratio=share, solver=solver, max_iter=1000, random_state=seed, **given
        )
        return _scaled(logistic, target=False)
    kinds: dict[str, Any] = {
        "linear": linear_model.LinearRegression,
        "ridge": linear_model.Ridge,
        "lasso": linear_model.Lasso,
        "elastic net": linear_model.ElasticNet,
    }
    return _scaled(kinds[name](**options), target=True)


def _scaled(estimator: Any, *, target: bool) -> Any:
    """Return an estimator that sees each feature, and its target, with mean 0 and s.d. 1."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    line = make_pipeline(StandardScaler(), estimator)
    return TransformedTargetRegressor(line, transformer=StandardScaler()) if target else line


def _grid(options: Mapping[str, Sequence[float]]) -> Iterator[dict[str, float]]:
    yield from (dict(zip(options, values, strict=True)) for values in product(*options.values()))
