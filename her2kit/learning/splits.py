"""Split a table into parts by row, slide or patient: stratified, seeded, the same for any order of the rows.

Each unit draws a number from its own name and the seed, and the units of a stratum are dealt out in the order
of these numbers. So the order of the rows never matters, nor how many rows a unit has. A new unit is another
matter: whoever wants exact sizes has to move a border, and with it a unit beside it. Pass the earlier split
as ``keep``, and no old unit moves. Splitters of scikit-learn shuffle positions, so one row moved deals all of
them anew; `folds` fits its ``PredefinedSplit`` where scikit-learn wants a splitter. Whether a split leaks is
asked in ``leakage``.

References
----------
Sechidis K et al. On the stratification of multi-label data. ECML PKDD 2011:145-158 (rarest label first).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from her2kit.errors import ManifestError

EIGHT_ONE_ONE: dict[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
"""8:1:1, as IGNITE was split."""
MIHIC_PARTS: dict[str, float] = {"train": 0.64, "val": 0.16, "test": 0.20}
"""64:16:20, as MIHIC was split: a fifth for the test, and a fifth of the rest for validation."""


def split(
    table: pd.DataFrame,
    *,
    unit: str = "slide_id",
    parts: Mapping[str, float] = EIGHT_ONE_ONE,
    stratify: str | Sequence[str] | None = "label",
    seed: int = 0,
    keep: Mapping[str, str] | None = None,
) -> pd.Series:
    """Give each row a part; the rows of one unit share it.

    Sizes are counted in units, not in rows. Over all units they are exact to one unit, in each stratum to
    about one. A unit with several labels belongs to the stratum of the rarest.

    Parameters
    ----------
    table
        A manifest or a table of tiles.
    unit
        The column whose values stay together, such as ``patient_id``; ``row`` splits row by row.
    parts
        Name to share; the shares add up to 1.
    stratify
        Column, or columns taken together, whose values every part should hold alike; None for none.
    seed
        Another seed, another split.
    keep
        Unit to part, a mapping or Series, from an earlier split (`split_table.read_split`): these units stay
        where they are, and the new ones fill up the parts.

    Returns
    -------
    Series
        ``split``, with the index of ``table``.

    Raises
    ------
    ValueError
        If an argument cannot be used, or a part would stay empty.
    ManifestError
        If a column is missing, or empty in some row.
    """
    names, shares = _check_parts(parts)
    units = unit_names(table, unit)
    unit_of, order = pd.factorize(units, sort=True)
    strata = _strata(table, unit_of, stratify)
    fixed = _check_keep(keep, names)
    placed = np.array([names.index(fixed[u]) if u in fixed else -1 for u in order], dtype=int)
    ranks = np.array([_number(seed, u) for u in order], np.uint64)
    ahead = np.zeros(len(names))  # units that each part has so far beyond its share
    for stratum in np.unique(strata):
        here = np.flatnonzero(strata == stratum)
        held = np.bincount(placed[here][placed[here] >= 0], minlength=len(names))
        new = here[placed[here] < 0]
        new = new[np.argsort(ranks[new], kind="stable")]
        due = len(here) * shares - ahead
        counts = _dealt(due - held, len(new))
        placed[new] = np.repeat(np.arange(len(names)), counts)
        ahead = held + counts - due
    sizes = np.bincount(placed, minlength=len(names))
    if not sizes.all():
        empty = names[int(sizes.argmin())]
        raise ValueError(f"part {empty!r} gets none of {len(order)} units of {unit}; give it more")
    return pd.Series(
        np.array(names, dtype=object)[placed[unit_of]], index=table.index, name="split", dtype=object
    )


def folds(
    table: pd.DataFrame,
    *,
    k: int = 5,
    unit: str = "slide_id",
    stratify: str | Sequence[str] | None = "label",
    seed: int = 0,
    keep: Mapping[str, str] | None = None,
) -> pd.Series:
    """Give each row the number, 0 to k - 1, of the fold in which it is tested.

    ``sklearn.model_selection.PredefinedSplit(folds(...))`` is the splitter that goes with it. The other
    arguments are those of `split`, the parts in ``keep`` being "0", "1", ...

    Raises
    ------
    ValueError
        If ``k`` is below 2 or above the number of units.
    """
    found = len(np.unique(unit_names(table, unit)))
    if not 2 <= k <= found:
        raise ValueError(f"k={k} with {found} units of {unit}; use a number from 2 to the number of units")
    parts = {str(i): 1 / k for i in range(k)}
    named = split(table, unit=unit, parts=parts, stratify=stratify, seed=seed, keep=keep)
    return named.astype(int).rename("fold")


def nested(
    table: pd.DataFrame,
    *,
    outer: int = 5,
    inner: int = 4,
    unit: str = "slide_id",
    stratify: str | Sequence[str] | None = "label",
    seed: int = 0,
) -> Iterator[tuple[int, int, pd.Series]]:
    """Yield (outer fold, inner fold, parts ``train``, ``val`` and ``test`` of the rows).

    The outer fold is tested once, the inner ones choose: what is chosen on ``val`` never saw ``test``.

    Raises
    ------
    ValueError
        If a fold would stay empty.
    """
    tested = folds(table, k=outer, unit=unit, stratify=stratify, seed=seed)
    for i in range(outer):
        rest = table[(tested != i).to_numpy()]
        chosen = folds(rest, k=inner, unit=unit, stratify=stratify, seed=seed + 1)
        for j in range(inner):
            parts = np.full(len(table), "test", dtype=object)
            parts[(tested != i).to_numpy()] = np.where(chosen == j, "val", "train")
            yield i, j, pd.Series(parts, index=table.index, name="split", dtype=object)


def unit_names(table: pd.DataFrame, unit: str) -> np.ndarray:
    """Return the name of each row's unit, object (n,) of str."""
    if unit == "row":
        return _row_names(table)
    _check_column(table, unit)
    return table[unit].astype(str).to_numpy(dtype=object)


def _row_names(table: pd.DataFrame) -> np.ndarray:
    """Return names that outlive a moved folder: slide and tile, else folder and file, else the path."""
    if all(name in table and table[name].notna().all() for name in ("slide_id", "tile_id")):
        return table["slide_id"].astype(str).str.cat(table["tile_id"].astype(str), sep="\t").to_numpy(object)
    _check_column(table, "path")
    paths = table["path"].astype(str).to_numpy(dtype=object)
    short = np.array(["/".join(path.replace("\\", "/").rsplit("/", 2)[-2:]) for path in paths], dtype=object)
    return short if len(pd.unique(short)) == len(pd.unique(paths)) else paths


def _check_parts(parts: Mapping[str, float]) -> tuple[list[str], np.ndarray]:
    """Return names and shares, the smallest part first: a new unit then moves the fewest old ones."""
    if not parts or any(not share > 0 for share in parts.values()):
        raise ValueError(f"parts={dict(parts)}; give each part a name and a share above 0")
    if not math.isclose(sum(parts.values()), 1, abs_tol=1e-6):
        raise ValueError(f"parts={dict(parts)} add up to {sum(parts.values()):g}; make them add up to 1")
    names = sorted(parts, key=lambda name: (parts[name], name))
    return names, np.array([parts[name] for name in names], float)


def _check_keep(keep: Mapping[str, str] | None, names: Sequence[str]) -> dict[str, str]:
    fixed = {str(unit): str(part) for unit, part in dict({} if keep is None else keep).items()}
    strange = [(unit, part) for unit, part in fixed.items() if part not in names]
    if strange:
        unit, part = strange[0]
        raise ValueError(f"keep puts {unit!r} into {part!r}; use the parts {', '.join(sorted(names))}")
    return fixed


def _check_column(table: pd.DataFrame, name: str) -> None:
    if not len(table):
        raise ManifestError("the table has no rows; give at least one")
    if name not in table:
        raise ManifestError(
            f"the table has no column {name}; it has {', '.join(map(str, table.columns[:9]))}"
        )
    empty = table[name].isna().to_numpy() | (table[name] == "").to_numpy(bool, na_value=True)
    if empty.any():
        where = table.index[empty]
        raise ManifestError(
            f"{name} is empty in {len(where)} rows, first in row {where[0]}; fill it in, or leave them out"
        )


def _strata(table: pd.DataFrame, unit_of: np.ndarray, stratify: str | Sequence[str] | None) -> np.ndarray:
    """Return the stratum of each unit: the rarest value that its rows hold, as str."""
    count = int(unit_of.max()) + 1
    if stratify is None:
        return np.full(count, "")
    columns = [stratify] if isinstance(stratify, str) else list(stratify)
    for name in columns:
        _check_column(table, name)
    named = [table[name].astype(str) for name in columns]
    values = named[0] if len(named) == 1 else named[0].str.cat(named[1:], sep="\t")
    pairs = pd.DataFrame({"unit": unit_of, "value": values.to_numpy()}).drop_duplicates()
    pairs["held"] = pairs.groupby("value")["unit"].transform("size")
    pairs = pairs.sort_values(["unit", "held", "value"]).drop_duplicates("unit")
    return pairs["value"].to_numpy(dtype=str)


def _dealt(wanted: np.ndarray, n: int) -> np.ndarray:
    """Return whole numbers that add up to ``n``, each near what is wanted; one below zero gets 0."""
    wanted = np.maximum(wanted, 0)
    wanted *= n / max(wanted.sum(), 1e-12)
    counts = np.floor(wanted + 1e-9).astype(int)
    most_left = np.argsort(counts - wanted, kind="stable")
    counts[most_left[: n - counts.sum()]] += 1
    return counts


def _number(seed: int, unit: str) -> int:
    """Return a unit's own number for this seed: the same on every computer, whatever else is in the table."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\t{unit}".encode(), digest_size=8).digest(), "big")
