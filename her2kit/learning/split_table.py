"""A split as a table: what each part holds, and which unit is where, written down and read again.

The written split is part of a result: with it others repeat the number, and next month's slides join without
moving the old ones (``splits.split(..., keep=read_split(path))``).
"""

import os
from pathlib import Path

import pandas as pd

from her2kit.errors import ManifestError
from her2kit.exchange.whole import whole_file
from her2kit.learning.splits import unit_names


def balance(
    table: pd.DataFrame, parts: pd.Series, *, by: str = "label", unit: str = "slide_id"
) -> pd.DataFrame:
    """Return how many units and rows of each value of ``by`` each part holds.

    Returns
    -------
    DataFrame
        Rows are the parts, the one with most rows first; columns (``units`` or ``rows``, value of ``by``);
        whole numbers.
    """
    grouped = pd.DataFrame(
        {"split": parts.to_numpy(), "by": table[by].to_numpy(), "unit": unit_names(table, unit)}
    ).groupby(["split", "by"], sort=True)["unit"]
    counts = {"units": grouped.nunique(), "rows": grouped.size()}
    table = pd.concat({name: found.unstack(fill_value=0) for name, found in counts.items()}, axis=1)
    order = table["rows"].sum(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order].rename_axis(columns=[None, by])


def write_split(
    path: str | os.PathLike, table: pd.DataFrame, parts: pd.Series, *, unit: str = "slide_id"
) -> pd.DataFrame:
    """Write a split as a CSV with one line a unit (name, ``split``, ``rows``), and return these lines.

    Raises
    ------
    ManifestError
        If a unit has rows in two parts.
    """
    frame = pd.DataFrame({unit: unit_names(table, unit), "split": parts.to_numpy()})
    counted = frame.groupby([unit, "split"], sort=True).size().rename("rows").reset_index()
    twice = counted[counted[unit].duplicated()]
    if len(twice):
        raise ManifestError(
            f"{unit} {twice[unit].iloc[0]!r} has rows in two parts; split by {unit}, or name a smaller unit"
        )
    with whole_file(path) as part:
        counted.to_csv(part, index=False)
    return counted


def read_split(path: str | os.PathLike) -> dict[str, str]:
    """Return unit to part of a split that `write_split` wrote, for ``keep``.

    Raises
    ------
    ManifestError
        If the file cannot be read, or names no unit, or one twice.
    """
    path = Path(path)
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise ManifestError(f"{path} is no split ({why}); give a CSV that write_split wrote") from error
    if len(frame.columns) < 2 or frame.columns[1] != "split":
        raise ManifestError(f"{path} has the columns {', '.join(frame.columns)}; its second must be split")
    units = frame.iloc[:, 0]
    if units.duplicated().any():
        raise ManifestError(f"{path}: {units[units.duplicated()].iloc[0]!r} stands there twice; remove one")
    return dict(zip(units, frame["split"], strict=True))
