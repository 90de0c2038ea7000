"""One million cells as GeoJSON and Parquet: rate and memory, a part of `benchmarks.cohort`."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claims import Claim
from her2kit.cells.table import conform_cells
from her2kit.exchange.geojson import write_cells_geojson
from her2kit.exchange.parquet import write_table

CELLS, TURNS = 1_000_000, 3
WAYS = ("geojson", "parquet")


def cell_table(n: int, *, seed: int = 0) -> pd.DataFrame:
    """Return n cells as a slide has them: outlines of 32 and 24 points, every number set."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 80_000, (n, 2))
    table = pd.DataFrame(
        {
            "cell_id": [f"c{i}" for i in range(n)], "slide_id": "s", "tile_id": "t0",
            "x_px0": xy[:, 0], "y_px0": xy[:, 1], "area_um2": rng.uniform(30, 90, n),
            "dab_od": rng.uniform(0, 1, n), "completeness": rng.uniform(0, 1, n),
            "width_um": rng.uniform(1, 3, n), "nuclear_dab_od": rng.uniform(0, 0.2, n),
            "membrane_ratio": rng.uniform(1, 4, n), "confidence": 1.0,
            "intensity": rng.choice(["none", "faint", "weak", "moderate", "intense"], n),
            "cell_class": rng.choice(["0", "1+", "2+", "3+"], n), "cell_type": "tumour",
            "compartment": "invasive", "evaluable": True, "grade_source": "membrane",
        }
    )  # fmt: skip
    for name, points, radius in (("outline", 32, 24.0), ("nucleus_outline", 24, 14.0)):
        angle = 2 * np.pi * np.arange(points) / points
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius
        table[name] = list((xy[:, None] + ring * rng.uniform(0.8, 1.2, (n, points, 1))).astype(np.float32))
    return conform_cells(table)


def measured(n: int = CELLS) -> dict[str, tuple[float, float]]:
    """Return seconds (median of turns that alternate) and growth of the peak memory in MB, by format."""
    table = cell_table(n)
    few = table.iloc[:2000]
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    growth = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        _write("geojson", out, few)  # compiled once
        _write("parquet", out, few)
        for _ in range(TURNS):
            for way in WAYS:
                before, began = _memory_mb(reset=True), time.perf_counter()
                _write(way, out, table)
                seconds[way].append(time.perf_counter() - began)
                growth[way] = max(growth.get(way, 0.0), _memory_mb() - before)
    return {way: (float(np.median(seconds[way])), growth[way]) for way in WAYS}


def report() -> None:
    """Print a line a format: name, seconds, growth in MB."""
    for name, (took, grown) in measured().items():
        print(name, took, grown)


def export() -> list[Claim]:
    """Measure in a process of its own, whose peak of memory is that of writing."""
    done = subprocess.run(
        [sys.executable, "-c", "from benchmarks.export import report; report()"],
        capture_output=True,
        text=True,
        check=True,
    )
    claims = []
    for line in done.stdout.splitlines():
        way, seconds, growth = line.split()
        rate = CELLS / float(seconds)
        claims += [
            Claim(f"1,000,000 cells written as {way}", rate, "cells/s", ">= 100000"),
            Claim(f"1,000,000 cells as {way}: growth of memory", float(growth), "MB", "<= 200"),
        ]
    return claims


def _write(way: str, out: Path, table: pd.DataFrame) -> None:
    if way == "geojson":
        write_cells_geojson(out / "cells.geojson", table, slide_id="s")
    else:
        write_table(out / "cells.parquet", table)


def _memory_mb(*, reset: bool = False) -> float:
    """Return the peak of resident memory since the last reset (Linux), which makes it what is held now."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
