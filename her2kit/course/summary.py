"""All runs below a folder as one table: what was varied beside what was found. Made for sweeps."""

import csv
from pathlib import Path
from typing import Any

from her2kit.course.notebooks import read_notebook
from her2kit.course.parameters import read_parameters
from her2kit.course.records import read_record, read_results
from her2kit.course.regression import flatten, run_folders
from her2kit.errors import Her2Error
from her2kit.exchange.whole import whole_file

TABLE = "runs.csv"
HEAD = ("notebook", "variant", "tier", "status", "started", "seconds")


def summary_rows(out: Path) -> list[dict[str, Any]]:
    """Return one row a run: notebook, variant, tier, status, started, seconds, ``p.NAME`` and results.

    A parameter that some run of a notebook changed stands in each of its rows, with the default where left.
    """
    rows: list[tuple[Path, dict[str, Any], dict[str, Any]]] = []
    for folder in run_folders(out):
        record = read_record(folder)
        if record is None:
            continue
        row: dict[str, Any] = {name: record.get(name) for name in HEAD}
        row |= {f"p.{name}": value for name, value in record.get("parameters", {}).items()}
        rows.append((folder, row, flatten(read_results(folder) or {})))
    changed: dict[str, set[str]] = {}
    for _, row, _ in rows:
        changed.setdefault(row["notebook"], set()).update(name for name in row if name.startswith("p."))
    return [
        _defaults(folder, changed[row["notebook"]] - set(row)) | row | found for folder, row, found in rows
    ]


def _defaults(folder: Path, columns: set[str]) -> dict[str, Any]:
    """Return the notebook's own values of parameters that a run left alone, as far as it was kept."""
    executed = next(iter(folder.glob("*.ipynb")), None)
    if executed is None or not columns:
        return {}
    try:
        known = read_parameters(read_notebook(executed), where=executed.stem)
    except Her2Error:
        return {}
    return {name: known[name[2:]].default for name in columns if name[2:] in known}


def write_summary(out: Path) -> Path:
    """Write ``out/runs.csv`` and return its path."""
    rows = summary_rows(out)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = sorted(names, key=lambda name: 0 if name in HEAD else 1 if name.startswith("p.") else 2)
    with whole_file(out / TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return out / TABLE
