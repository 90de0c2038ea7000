"""All runs below a folder as one table: what was varied beside what was found. Made for sweeps."""

import csv
from pathlib import Path
from typing import Any

from her2kit.course.records import read_record, read_results
from her2kit.course.regression import flatten, run_folders
from her2kit.exchange.whole import whole_file

TABLE = "runs.csv"


def summary_rows(out: Path) -> list[dict[str, Any]]:
    """Return one row a run: notebook, variant, tier, status, started, seconds, ``p.NAME`` and results."""
    rows = []
    for folder in run_folders(out):
        record = read_record(folder)
        if record is None:
            continue
        row = {
            name: record.get(name) for name in ("notebook", "variant", "tier", "status", "started", "seconds")
        }
        row |= {f"p.{name}": value for name, value in record.get("parameters", {}).items()}
        rows.append(row | flatten(read_results(folder) or {}))
    return rows


def write_summary(out: Path) -> Path:
    """Write ``out/runs.csv`` and return its path."""
    rows = summary_rows(out)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(out / TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return out / TABLE
