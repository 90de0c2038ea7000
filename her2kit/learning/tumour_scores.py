"""How good a tumour call and its axis are: AUC, share within 5 %, their mean; by size; by feature.

R4's challenge asked for the axis to a twentieth, whatever its length: of a small tumour that is less than a
pixel of the map, so the share is also given by size. Intervals come from resampling whole patients, the same
for all models, so that the gain of one over another has an interval of its own. Nothing is fitted here.

References
----------
Breiman L. Random forests. Mach Learn 2001;45:5-32 (permutation importance). Amin MB et al. AJCC Cancer
Staging Manual, 8th ed. (deposits above 0.2 and 2 mm).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from her2kit.errors import ManifestError
from her2kit.learning.tumour_models import Comparison, Fit, checked
from her2kit.regions.map_features import FEATURES
from her2kit.statistics import clustered_bootstrap_many, wilson

WITHIN = 0.05
"""Greatest relative error of an axis that counts as right (HeLP 2019)."""
SIZES_UM = (200.0, 500.0, 1000.0, 2000.0)
"""Borders of the sizes; 200 and 2,000 um are those of a micrometastasis."""


def figures(truth_um: np.ndarray, probability: np.ndarray, axis_um: np.ndarray) -> dict[str, np.ndarray]:
    """Return ``auc``, ``within`` (share of tumour slides whose axis is within 5 %) and ``total``, their mean.

    Parameters
    ----------
    truth_um
        True axis, (n,), 0 for a normal slide.
    probability, axis_um
        (n,) or (n, models).

    Returns
    -------
    dict
        float each, or (models,); nan where a class is missing.
    """
    from scipy.stats import rankdata

    tumour = np.asarray(truth_um) > 0
    n, m = int(tumour.sum()), int((~tumour).sum())
    if not n:
        nan = np.full(np.shape(probability)[1:], np.nan)
        return {"auc": nan, "within": nan, "total": nan}
    true = np.asarray(truth_um)[tumour]
    error = np.abs((np.asarray(axis_um)[tumour].T / true).T - 1)
    within = (error <= WITHIN).mean(axis=0)
    ranks = rankdata(probability, axis=0)[tumour].sum(axis=0)
    auc = (ranks - n * (n + 1) / 2) / (n * m) if m else np.full(np.shape(probability)[1:], np.nan)
    return {"auc": auc, "within": within, "total": (auc + within) / 2}


def scores(
    predictions: pd.DataFrame, *, against: str | None = None, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the figures of each model with 95 % intervals.

    Parameters
    ----------
    predictions
        Of `her2kit.learning.tumour_models.Comparison`.
    against
        A model; ``gain``, ``gain_low`` and ``gain_high`` then tell each total less its total.
    draws, seed
        Of the resampling of patients.

    Returns
    -------
    DataFrame
        Index ``model``, in the order of ``predictions``: ``auc``, ``within``, ``total``, each with ``_low``
        and ``_high``.

    Raises
    ------
    ValueError
        If ``against`` is no model of the table.
    """
    names = list(pd.unique(predictions["model"]))
    if against is not None and against not in names:
        raise ValueError(f"against={against!r}; use one of {', '.join(names)}")
    wide = predictions.pivot(index="slide_id", columns="model", values=["probability", "axis_um"])
    slides = predictions.drop_duplicates("slide_id").set_index("slide_id").loc[wide.index]
    truth = slides["true_axis_um"].to_numpy(float)
    both = [wide[column][names].to_numpy(float) for column in ("probability", "axis_um")]

    def statistic(rows: np.ndarray) -> dict[str, float]:
        found = figures(truth[rows], both[0][rows], both[1][rows])
        if against is not None:
            found["gain"] = found["total"] - found["total"][names.index(against)]
        return {f"{key} {name}": v[i] for key, v in found.items() for i, name in enumerate(names)}

    found = clustered_bootstrap_many(statistic, slides["patient_id"].to_numpy(), draws=draws, seed=seed)
    keys = ("auc", "within", "total", *(["gain"] if against is not None else []))
    rows = {}
    for name in names:
        some = {key: found[f"{key} {name}"] for key in keys}
        rows[name] = {
            f"{key}{end}": getattr(one, part)
            for key, one in some.items()
            for end, part in (("", "estimate"), ("_low", "low"), ("_high", "high"))
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def by_size(
    predictions: pd.DataFrame, model: str, *, map_mpp: float, edges_um: Sequence[float] = SIZES_UM
) -> pd.DataFrame:
    """Return one row a size of tumour: how many axes are within 5 %, and what 5 % means there.

    Parameters
    ----------
    map_mpp
        Micrometres per pixel of the maps.
    edges_um
        Borders between the sizes, rising; below the first and above the last is a size, too.

    Returns
    -------
    DataFrame
        Index ``size``; ``n``; ``within`` with ``low`` and ``high`` (Wilson); ``error_um`` (median);
        ``five_percent_um`` and ``five_percent_px``, of the median axis. Sizes without slides are left out.

    Raises
    ------
    ValueError
        If ``model`` is not in the table, or an argument is out of range.
    """
    if not map_mpp > 0 or list(edges_um) != sorted(set(edges_um)):
        raise ValueError(
            f"map_mpp={map_mpp}, edges_um={list(edges_um)}; use um per pixel, and rising borders"
        )
    here = predictions[(predictions["model"] == model) & (predictions["true_axis_um"] > 0)]
    if not len(here):
        raise ValueError(
            f"model={model!r} has no tumour slide in predictions; name a model that was compared"
        )
    true, error = here["true_axis_um"].to_numpy(float), (here["axis_um"] - here["true_axis_um"]).abs()
    size = np.digitize(true, edges_um)
    rows = {}
    for k in np.unique(size):
        which, n = size == k, int((size == k).sum())
        hit = wilson(int((error[which] <= WITHIN * true[which]).sum()), n)
        typical = WITHIN * float(np.median(true[which]))
        low, high = (f"{edges_um[i]:,.0f}" if 0 <= i < len(edges_um) else "" for i in (k - 1, k))
        name = f"{low} to {high} um" if low and high else f"over {low} um" if low else f"up to {high} um"
        rows[name] = {
            "n": n, "within": hit.estimate, "low": hit.low, "high": hit.high,
            "error_um": float(np.median(error[which])),
            "five_percent_um": typical, "five_percent_px": typical / map_mpp,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("size")


def importance(
    comparison: Comparison,
    table: pd.DataFrame,
    model: str,
    *,
    features: Sequence[str] = FEATURES,
    groups: Mapping[str, Sequence[str]] | None = None,
    repeats: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how much worse a model gets when a feature is shuffled among held-out slides.

    Features that say the same stand in for each other, so that each alone may look useless; shuffle them as
    a group to see what they bear together.

    Parameters
    ----------
    table
        The one that was compared.
    groups
        Name to the features shuffled together; None takes each by itself.
    repeats
        Shuffles of each.

    Returns
    -------
    DataFrame
        Index ``feature``, the most important first; ``auc``, ``within`` and ``total``: mean loss, each with
        ``_sd`` over the shuffles.

    Raises
    ------
    ValueError
        If the model was not compared, a group names a feature that is not there, or ``repeats`` is below 1.
    ManifestError
        If the table is not the one that was compared.
    """
    if repeats < 1:
        raise ValueError(f"repeats={repeats}; use 1 or more (10 is usual)")
    fits = {fold: fit for (fold, name), fit in comparison.fits.items() if name == model}
    if not fits:
        raise ValueError(f"model={model!r}; use one that was compared and fitted")
    groups = {name: [name] for name in features} if groups is None else groups
    if strange := [one for some in groups.values() for one in some if one not in features]:
        raise ValueError(f"groups name {strange[0]!r}; use features of the table")
    slides = checked(table, features)
    fold_of = comparison.predictions.drop_duplicates("slide_id").set_index("slide_id")["fold"]
    if set(fold_of.index) != set(table["slide_id"]):
        raise ManifestError("the table holds other slides than were compared; pass the one that was")
    fold = fold_of.loc[table["slide_id"]].to_numpy()
    whole = _figures_of(fits, slides.x, slides.truth_um, fold)
    rng, rows = np.random.default_rng(seed), {}
    for name, some in groups.items():
        columns = np.array([list(features).index(one) for one in some])
        losses = []
        for _ in range(repeats):
            shuffled = slides.x.copy()
            for number in fits:
                test = np.flatnonzero(fold == number)
                shuffled[np.ix_(test, columns)] = slides.x[np.ix_(rng.permutation(test), columns)]
            found = _figures_of(fits, shuffled, slides.truth_um, fold)
            losses.append({key: whole[key] - found[key] for key in whole})
        lost = pd.DataFrame(losses)
        rows[name] = {**lost.mean(), **lost.std(ddof=0).add_suffix("_sd")}
    out = pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")
    return out.sort_values("total", ascending=False, kind="stable")


def _figures_of(
    fits: Mapping[int, Fit], x: np.ndarray, truth: np.ndarray, fold: np.ndarray
) -> dict[str, float]:
    """Return the figures of all held-out slides, each predicted by the fit that never saw it."""
    said = np.empty((2, len(x)))
    for number, fit in fits.items():
        test = fold == number
        said[:, test] = fit.predict(x[test])
    return {name: float(value) for name, value in figures(truth, *said).items()}
