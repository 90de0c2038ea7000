"""A sweep's file: which parameters take which values, and which of the combinations are run.

Three forms. ``name: [values]`` runs every combination. ``grid: {name: [values]}`` with ``cells: N`` runs a
part of them, drawn so that each value of each parameter comes up about equally often; ``fixed: {name:
value}`` holds for all of them and ``seed`` makes another draw. A list of ``{name: value}`` runs exactly
those.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.course.yaml_file import read_yaml
from her2kit.errors import Her2Error

_KEYS = {"grid", "cells", "fixed", "seed"}
_DRAWS = 60  # the best balanced of so many parts is taken


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep varies."""

    cases: list[dict[str, Any]]
    """Parameters of each run."""
    factors: dict[str, list[Any]] = field(default_factory=dict)
    """Name to values, the first of which the others are compared with; of a list of cases, in its order."""

    def variant(self, case: Mapping[str, Any]) -> str:
        """Return what sets a run apart, such as ``seed=1,slides=4``: a folder's name."""
        varied = {n: v for n, v in case.items() if len(self.factors.get(n, ())) > 1} or case
        return ",".join(f"{name}={_slug(value)}" for name, value in varied.items())


def read_sweep(path: Path) -> Sweep:
    """Return the sweep of a file.

    Raises
    ------
    Her2Error
        If the file is none of the three forms, or asks for more runs than there are combinations.
    """
    table = read_yaml(path)
    if isinstance(table, dict) and set(table) <= _KEYS and _is_grid(table.get("grid")):
        return _part_of_grid(table, path)
    if _is_grid(table):
        return Sweep(_combinations(table), table)
    if isinstance(table, list) and table and all(isinstance(case, dict) and case for case in table):
        names = dict.fromkeys(name for case in table for name in case)
        return Sweep(table, {name: _different(c[name] for c in table if name in c) for name in names})
    raise Her2Error(
        f"{path}: write 'name: [values]' for every combination, 'grid:' with 'cells:' for a part of them, or "
        "a list of 'name: value' cases"
    )


def _part_of_grid(table: Mapping[str, Any], path: Path) -> Sweep:
    grid, fixed, seed = table["grid"], table.get("fixed") or {}, table.get("seed", 0)
    every = _combinations(grid)
    n = table.get("cells", len(every))
    if type(n) is not int or not 1 <= n <= len(every):
        raise Her2Error(f"{path}: cells is {n!r}; give 1 to {len(every)}, the number of combinations")
    if not isinstance(fixed, dict) or set(fixed) & set(grid):
        raise Her2Error(f"{path}: fixed must map names that are not in grid to values, not hold {fixed!r}")
    if type(seed) is not int or seed < 0:
        raise Her2Error(f"{path}: seed is {seed!r}; give 0 or a positive whole number")
    cases = every if n == len(every) else _balanced(grid, n, seed)
    return Sweep([dict(fixed) | case for case in cases], grid)


def _balanced(grid: Mapping[str, list[Any]], n: int, seed: int) -> list[dict[str, Any]]:
    """Return ``n`` different combinations in which each value comes up about equally often."""
    rng = np.random.default_rng(seed)
    sizes = [len(values) for values in grid.values()]
    draws = [_drawn(sizes, n, rng) for _ in range(_DRAWS)]
    best = min(draws, key=lambda places: max(_spread([p[i] for p in places], k) for i, k in enumerate(sizes)))
    return [
        {name: values[k] for (name, values), k in zip(grid.items(), place, strict=True)} for place in best
    ]


def _drawn(sizes: list[int], n: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return ``n`` different places: the least used value of each parameter, ties by chance."""
    chosen: dict[tuple[int, ...], None] = {}
    used = [np.zeros(k, int) for k in sizes]
    while len(chosen) < n:
        place = tuple(int(rng.choice(np.flatnonzero(count == count.min()))) for count in used)
        while place in chosen:  # a twin is drawn freely
            place = tuple(int(rng.integers(k)) for k in sizes)
        chosen[place] = None
        for count, k in zip(used, place, strict=True):
            count[k] += 1
    return list(chosen)


def _spread(values: list[int], size: int) -> int:
    return int(np.ptp(np.bincount(values, minlength=size)))


def _combinations(grid: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _is_grid(table: Any) -> bool:
    return isinstance(table, dict) and bool(table) and all(isinstance(v, list) and v for v in table.values())


def _different(values: Any) -> list[Any]:
    out: list[Any] = []
    for value in values:
        if value not in out:
            out.append(value)
    return out


def _slug(value: Any) -> str:
    """Return ``value`` as a part of a folder's name."""
    return "".join(c if c.isalnum() or c in "._+-" else "_" for c in str(value))
