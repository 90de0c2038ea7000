"""What each factor of a sweep changes in a result: all main effects in one fit, with intervals.

Every factor is a set of levels, the first of the sweep being the one to compare with. Where a grid is
complete an effect is the plain difference of means; where it is a part of a grid, the fit takes apart what
the others did. Interactions are not fitted: what they do widens the intervals.

References
----------
Box GEP, Hunter JS, Hunter WG. Statistics for experimenters. Wiley 2005.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.course.records import read_record, read_results
from her2kit.course.regression import flatten, run_folders
from her2kit.exchange.whole import whole_file

COLUMNS = ("factor", "level", "reference", "effect", "low", "high", "n")


def effects_of(
    cells: pd.DataFrame, factors: Mapping[str, Sequence[Any]], result: str, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the effect of each level of each factor on ``result``, against the factor's first level.

    Parameters
    ----------
    cells
        One row a run: a column a factor, and the column ``result``; rows without a result are left out.
    factors
        Name to levels, in order. Factors of one level are left out.

    Returns
    -------
    DataFrame
        `COLUMNS`: ``level`` as text, ``reference`` true for the first level, ``effect`` in units of
        ``result``, ``low`` and ``high`` of its interval (nan where no cell is left to judge the scatter by),
        ``n`` cells at that level.

    Raises
    ------
    ValueError
        If a factor or the result has no column, or no cell has a result.
    """
    missing = [name for name in (*factors, result) if name not in cells]
    if missing:
        raise ValueError(f"the cells have no column {missing[0]!r}; there is: {', '.join(map(str, cells))}")
    there = cells[pd.to_numeric(cells[result], errors="coerce").notna()]
    if there.empty:
        raise ValueError(f"no cell has a result {result!r}; let the sweep end first")
    words = {name: [str(v) for v in levels] for name, levels in factors.items() if len(levels) > 1}
    terms = [(name, level) for name, levels in words.items() for level in levels[1:]]
    columns = [np.ones(len(there)), *((there[n].astype(str) == v).to_numpy(float) for n, v in terms)]
    x, y = np.stack(columns, axis=1), pd.to_numeric(there[result]).to_numpy(float)
    estimate, half = _fitted(x, y, confidence)
    found = {term: k for k, term in enumerate(terms, start=1)}
    rows = []
    for name, levels in words.items():
        for level in levels:
            k, n = found.get((name, level)), int((there[name].astype(str) == level).sum())
            seen = n > 0 and k is not None
            effect = 0.0 if k is None else estimate[k] if seen else np.nan
            reach = 0.0 if k is None else half[k] if seen else np.nan
            rows.append((name, level, k is None, effect, effect - reach, effect + reach, n))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _fitted(x: np.ndarray, y: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients and half the width of their intervals."""
    from scipy.stats import t

    inverse = np.linalg.pinv(x.T @ x)
    estimate = inverse @ x.T @ y
    estimate[np.abs(estimate) < 1e-12 * np.abs(y).max()] = 0.0  # what rounding leaves of no effect
    free = len(y) - np.linalg.matrix_rank(x)
    if free < 1:
        return estimate, np.full(len(estimate), np.nan)
    scatter = ((y - x @ estimate) ** 2).sum() / free
    return estimate, t.ppf((1 + confidence) / 2, free) * np.sqrt(scatter * np.diag(inverse))


def sweep_cells(folder: Path, defaults: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a finished run below ``folder``: its parameters, then its results with ``r.`` before.

    Parameters
    ----------
    folder
        Of one notebook in a sweep, ``reports/runs/<notebook>``.
    defaults
        The notebook's own values, for parameters that a run leaves as they are.
    """
    rows = []
    for place in run_folders(folder):
        record = read_record(place)
        if record is None or record["status"] != "done":
            continue
        found = flatten(read_results(place) or {})
        rows.append({**defaults, **record["parameters"], **{f"r.{k}": v for k, v in found.items()}})
    return pd.DataFrame(rows)


def key_figure(cells: pd.DataFrame) -> str | None:
    """Return the first column of results that holds numbers: by convention a notebook's key figure."""
    for name in cells:
        if str(name).startswith("r.") and pd.api.types.is_numeric_dtype(cells[name]):
            return str(name)
    return None


def write_effects(
    folder: Path, factors: Mapping[str, Sequence[Any]], defaults: Mapping[str, Any]
) -> pd.DataFrame | None:
    """Write ``effects.csv`` and ``effects.png`` of a notebook's sweep; None where nothing is to compare."""
    cells = sweep_cells(folder, defaults)
    result = key_figure(cells)
    varied = {name: levels for name, levels in factors.items() if len(levels) > 1}
    if result is None or not varied:
        return None
    table = effects_of(cells, varied, result)
    with whole_file(folder / "effects.csv") as part:
        table.to_csv(part, index=False)
    _draw(table, result.removeprefix("r."), len(cells), folder / "effects.png")
    return table


def _draw(table: pd.DataFrame, result: str, n: int, path: Path) -> None:
    import matplotlib

    from her2kit.report.grading_plots import effects

    with matplotlib.rc_context({"figure.dpi": 110}):
        import matplotlib.pyplot as plt

        ax = effects(table, xlabel=f"change of {result}, {n} runs")
        with whole_file(path) as part:
            ax.figure.savefig(part, format="png")  # type: ignore[union-attr]
        plt.close(ax.figure)  # type: ignore[arg-type]
