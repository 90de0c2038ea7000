"""Which reader reads which cell: dealt by chance, evenly, some of them to every reader.

The shared cells tell how well readers agree; nobody can see which they are. The same seed gives the same
cells to the same readers, whatever the order of the table's rows.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

KEY = ["slide_id", "cell_id"]
"""Columns that name a cell among the slides of a review."""
UNITS = ("cell", "tile")


def assign(
    cells: pd.DataFrame,
    readers: Sequence[str],
    *,
    overlap: float = 0.0,
    unit: str = "cell",
    seed: int = 0,
    order: str | None = None,
    read_by: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> pd.DataFrame:
    """Deal cells, or whole tiles of them, to readers.

    Parameters
    ----------
    cells : DataFrame
        ``slide_id``, ``cell_id``; ``tile_id`` where the unit is a tile.
    readers
        Their ids.
    overlap
        Share of the units that every reader gets, 0..1; each of the others goes to one reader.
    unit
        ``cell``, or ``tile``: cells of a tile stay together.
    seed
        Of the dealing and of the order in which cells are read.
    order
        A column of numbers: cells with high values are read first. None: by chance.
    read_by
        Readers who have read a cell before: they get it only where there is nobody else.

    Returns
    -------
    DataFrame
        ``slide_id``, ``cell_id``, ``reader``, ``place`` (from 0, the order in which that reader reads),
        sorted by reader and place.

    Raises
    ------
    ValueError
        If an argument is not usable; the message names it.
    """
    if not readers or len({r.casefold() for r in readers}) < len(readers):
        raise ValueError(f"readers={list(readers)}; name at least one, each by an id of its own")
    if not 0 <= overlap <= 1:
        raise ValueError(f"overlap={overlap}; give the share of cells that all readers get, 0 to 1")
    if unit not in UNITS:
        raise ValueError(f"unit={unit!r}; use one of {', '.join(UNITS)}")
    wanted = [*KEY, *(["tile_id"] if unit == "tile" else []), *([order] if order else [])]
    missing = [name for name in wanted if name not in cells]
    if missing:
        raise ValueError(f"cells has no column {missing[0]!r}; it holds {', '.join(cells.columns)}")
    table = cells[wanted].sort_values(KEY, ignore_index=True)
    rng = np.random.default_rng(seed)
    groups = ["slide_id", "tile_id"] if unit == "tile" else KEY
    number = table.groupby(groups, sort=True, dropna=False).ngroup().to_numpy()
    shuffled = rng.permutation(number.max() + 1 if len(number) else 0)
    rank = shuffled[number]  # of each cell's unit: in this order units are dealt
    if order:
        highest = table.groupby(number)[order].transform("max").to_numpy(float)
        rows = np.lexsort((rank, -np.nan_to_num(highest, nan=-np.inf)))
    else:
        rows = np.argsort(rank, kind="stable")
    shared = rng.permutation(len(shuffled))[number] < round(overlap * len(shuffled))
    dealt = _dealt(table, number, rows, shared, list(readers), read_by or {})
    out = pd.concat([table.loc[rows[dealt[r]], KEY].assign(reader=r) for r in readers], ignore_index=True)
    out["place"] = out.groupby("reader", sort=False).cumcount()
    return out


def _dealt(
    table: pd.DataFrame,
    number: np.ndarray,
    rows: np.ndarray,
    shared: np.ndarray,
    readers: list[str],
    read_by: Mapping[tuple[str, str], Collection[str]],
) -> dict[str, np.ndarray]:
    """Return for each reader which of the ordered rows are theirs, bool (n,)."""
    keys = list(zip(table["slide_id"], table["cell_id"], strict=True))
    known: dict[int, set[str]] = {}
    for row, unit in enumerate(number):
        known.setdefault(int(unit), set()).update(read_by.get(keys[row], ()))
    load = dict.fromkeys(readers, 0)
    sizes = np.bincount(number, minlength=len(known))
    owner: dict[int, str] = {}
    for row in rows.tolist():
        unit = int(number[row])
        if shared[row] or unit in owner:
            continue
        fresh = [r for r in readers if r not in known[unit]] or readers
        owner[unit] = min(fresh, key=lambda r: (load[r], readers.index(r)))
        load[owner[unit]] += int(sizes[unit])
    of = np.array([owner.get(int(u), "") for u in number[rows]], dtype=object)
    return {r: (of == r) | shared[rows] for r in readers}
