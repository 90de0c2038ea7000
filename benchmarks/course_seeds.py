"""How far each notebook's figures move from seed to seed: what `notebooks/expected.yaml` allows them.

Each notebook runs at its default size with its own seed and then with seeds 0, 1, 2, ...; what it found is
kept below `reports/bench/course_seeds`, so a call that is stopped is taken up by the next, and one that asks
for more seeds runs the missing ones alone. What is kept is kept whatever the code: the table says how much of
it comes from other code than today's, and `--anew` runs that again. The notebook runs in a folder that is
removed, so no phantoms pile up.

`python -m benchmarks.course_seeds 01 10 --seeds 6`; all notebooks and three seeds where nothing is named.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import her2kit
from benchmarks.claims import ROOT, Claim, write_claims
from her2kit.course.notebooks import code_stamp, read_notebook, select_notebooks
from her2kit.course.parameters import read_parameters
from her2kit.course.plan import plan_runs
from her2kit.course.records import package_stamp
from her2kit.course.regression import Bounds, flatten, read_expected
from her2kit.course.runner import run_notebooks
from her2kit.exchange.whole import whole_file

KEEP = ROOT / "reports" / "bench" / "course_seeds"
SEEDS = 3
DEVIATIONS = 3.0
"""How many standard deviations a bound is wide, each way."""
RANGES = {
    (-1.0, 1.0): ("gap", "kappa", "worst_step", "all_random", "labels_shuffled", "_ridge", "total"),
    (0.0, 100.0): ("percent.",),
    (0.0, 1.0): (
        "f1", "dice", "iou", "accuracy", "recall", "auc", "agreement", "coverage", "share", "lift", "wrong_",
        "within_", "called_tumour", "peak_left", "labels_right", "quality", "folds_mean", "ece", "by_input",
        "by_label", "he_alone", "sensitivity", "specificity", "box_map", "limit_of_detection",
    ),
}  # fmt: skip
"""Ranges that metrics cannot leave, each with parts of their names; the first that fits the values counts."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the seeds that are missing, print the table, write it and the claims."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.course_seeds")
    parser.add_argument("notebooks", nargs="*", help="numbers or names; all where none is named")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each notebook (default {SEEDS})")
    parser.add_argument("--anew", action="store_true", help="run again what other code than today's found")
    parser.add_argument("--keep", type=Path, default=KEEP, help="folder of what is kept")
    parser.add_argument("--table", action="store_true", help="run nothing, only tabulate what is kept")
    asked = parser.parse_args(words)
    notebooks = select_notebooks(asked.notebooks)
    if not asked.table:
        for notebook in notebooks:
            run_seeds(notebook, asked.seeds, keep=asked.keep, anew=asked.anew)
    table = tabulate(select_notebooks([]), keep=asked.keep)
    with whole_file(asked.keep / "table.csv") as part:
        table.to_csv(part, index=False)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    write_claims("course_seeds", claims_of(table, asked.keep))


def run_seeds(notebook: Path, seeds: int, *, keep: Path, anew: bool = False) -> None:
    """Run one notebook with so many seeds, its own first; what is kept is not run again."""
    for seed in seeds_of(notebook, seeds):
        path = keep / notebook.stem / f"{seed}.json"
        known = _read(path)
        if known and not known["failure"] and not (anew and _is_old(known, notebook)):
            continue
        found = run_seed(notebook, seed)
        with whole_file(path) as part:
            part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        said = found["failure"]["error"] if found["failure"] else "done"
        print(f"{notebook.stem}, seed {seed}: {said}, {found['seconds']:.0f} s", flush=True)


def seeds_of(notebook: Path, seeds: int) -> list[int]:
    """Return the notebook's own seed and the first of the others.

    Raises
    ------
    SystemExit
        If the notebook has no parameter ``seed``: its figures cannot be judged over seeds.
    """
    known = read_parameters(read_notebook(notebook), where=notebook.stem)
    if "seed" not in known:
        raise SystemExit(f"{notebook.stem} has no parameter 'seed'; its bounds need one")
    own = int(known["seed"].default)
    return [own, *(seed for seed in range(seeds) if seed != own)][:seeds]


def run_seed(notebook: Path, seed: int) -> dict[str, Any]:
    """Return what the notebook found with this seed at its default size, and the code that found it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "notebooks")
        shutil.copytree(notebook.parent / "params", folder / "params")
        copy = Path(shutil.copy(notebook, folder))
        runs = plan_runs([copy], out=Path(scratch, "runs"), given=[("seed", str(seed))])
        (outcome,) = run_notebooks(runs, workers=1)
    return {
        "notebook": notebook.stem, "seed": seed, **code_of(notebook),
        "seconds": outcome.seconds, "failure": outcome.failure, "results": outcome.results,
    }  # fmt: skip


def code_of(notebook: Path) -> dict[str, str]:
    """Return what tells the code of a run: stamp of the notebook, version and stamp of the package."""
    return {
        "code_sha256": code_stamp(read_notebook(notebook)),
        "her2kit": her2kit.__version__,
        "package_sha256": package_stamp(),
    }


def tabulate(notebooks: Sequence[Path], *, keep: Path) -> pd.DataFrame:
    """Return one row a metric: mean, s.d. and bounds over the kept seeds, clipped to what is possible.

    Columns: notebook, metric, seeds, own (value with the notebook's own seed), mean, sd, low, high, least,
    most (smallest and largest value), old (seeds that other code than today's found).
    """
    rows = []
    for notebook in notebooks:
        kept = [k for path in (keep / notebook.stem).glob("*.json") if (k := _read(path)) and k["results"]]
        own = seeds_of(notebook, 1)[0]
        flat = {k["seed"]: flatten(k["results"]) for k in kept}
        old = sum(_is_old(k, notebook) for k in kept)
        for metric in dict.fromkeys(name for values in flat.values() for name in values):
            values = {s: v[metric] for s, v in flat.items() if _is_number(v.get(metric))}
            if len(values) < 2:
                continue
            mean, sd = statistics.fmean(values.values()), statistics.stdev(values.values())
            floor, roof = possible(metric, list(values.values()))
            rows.append({
                "notebook": notebook.stem, "metric": metric, "seeds": len(values), "own": values.get(own),
                "mean": mean, "sd": sd, "low": max(floor, mean - DEVIATIONS * sd),
                "high": min(roof, mean + DEVIATIONS * sd), "least": min(values.values()),
                "most": max(values.values()), "old": old,
            })  # fmt: skip
    columns = ["notebook", "metric", "seeds", "own", "mean", "sd", "low", "high", "least", "most", "old"]
    return pd.DataFrame(rows, columns=columns)


def possible(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """Return the range that a metric cannot leave, by its name, or else by its sign."""
    least, most = min(values), max(values)
    for (low, high), parts in RANGES.items():
        if any(part in metric for part in parts) and low <= least and most <= high:
            return low, high
    return (0.0 if least >= 0 else float("-inf")), float("inf")


def claims_of(table: pd.DataFrame, keep: Path) -> list[Claim]:
    """Return mean and s.d. of what `expected.yaml` bounds, and how many values keep those bounds."""
    expected = read_expected(ROOT / "notebooks" / "expected.yaml")
    claims = []
    for notebook, metrics in expected.items():
        bounds = {metric: b for metric, b in metrics.items() if isinstance(b, Bounds)}
        rows = table[(table["notebook"] == notebook) & table["metric"].isin(list(bounds))]
        within, judged = 0, 0
        for path in (keep / notebook).glob("*.json"):
            known = _read(path)
            values = flatten(known["results"] or {}) if known else {}
            inside = [b.low <= values[m] <= b.high for m, b in bounds.items() if _is_number(values.get(m))]
            within, judged = within + sum(inside), judged + len(inside)
        short = notebook[:2]
        for row in rows.itertuples():
            claims.append(Claim(f"{short} {row.metric}, mean of {row.seeds} seeds", row.mean, "", None))
            claims.append(Claim(f"{short} {row.metric}, s.d. over seeds", row.sd, "", None))
        if judged:
            claims.append(Claim(f"{short} values within expected.yaml", within / judged, "share", ">= 0.95"))
    return claims


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_old(known: dict[str, Any], notebook: Path) -> bool:
    return any(known[name] != value for name, value in code_of(notebook).items())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


if __name__ == "__main__":
    main()
