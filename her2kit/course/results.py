"""What a notebook hands over: one ``results.json`` in its own folder, written by its last code cell.

The convention is two lines in every notebook. Its ``parameters`` cell holds ``out_dir =
"../reports/notebooks/NAME"``, and its cell tagged ``results`` calls ``write_results(out_dir, {...})``.
``her2kit run`` points ``out_dir`` to a folder of its own for each run. Regression compares the numbers, so
keep what depends on the machine (seconds, paths) out.
"""

import json
import math
import os
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from her2kit.exchange.whole import whole_file

RESULTS = "results.json"


def write_results(out_dir: str | os.PathLike, results: Mapping[str, Any]) -> None:
    """Write ``results`` as ``out_dir/results.json``, whole or not at all.

    Parameters
    ----------
    out_dir
        The notebook's parameter of that name; the folder is made.
    results
        Names and what was found: numbers, words, truth values, None, and lists or dicts of those. numpy's
        scalars are taken as plain numbers.

    Raises
    ------
    ValueError
        If there is nothing to write, a name is not text, or a value is of another type or not finite.
    """
    if not results:
        raise ValueError("results is empty; give at least one name and value")
    plain = _plain(results, "results")
    with whole_file(Path(out_dir) / RESULTS) as part:
        part.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(value: Any, name: str) -> Any:
    """Return ``value`` in JSON's own types; ``name`` says in an error where it stands."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{name} has the key {key!r}; use text as keys")
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; write None where there is no number")
        return float(value)
    if type(value).__module__ == "numpy" and type(value).__name__ == "bool":
        return bool(value)
    raise ValueError(f"{name} is a {type(value).__name__}; use numbers, words, lists or dicts of them")
