"""Run every benchmark of this folder, one after the other, and say at the end which claims hold.

One that fails does not stop the rest. Exit status 1 where a benchmark ended in an error or a claim does not
hold. ``python -m benchmarks score`` runs only those that are named.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
REPORTS = ROOT / "reports" / "bench"


def benchmarks() -> list[str]:
    """Return the names of the modules here that can be run by themselves."""
    return sorted(
        path.stem
        for path in FOLDER.glob("[a-z]*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    )


def main(names: list[str]) -> int:
    """Run the benchmarks and print the summary."""
    unknown = [name for name in names if name not in benchmarks()]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there is: {', '.join(benchmarks())}", file=sys.stderr)
        return 2
    started, broken, claims = time.time(), [], []
    for name in names or benchmarks():
        began = time.time()
        print(f"\n== {name}", flush=True)
        status = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT).returncode
        report = REPORTS / f"{name}.json"
        fresh = report.is_file() and report.stat().st_mtime >= began - 1
        rows = json.loads(report.read_text(encoding="utf-8")) if fresh else []
        claims += [(name, row) for row in rows]
        if status or not fresh:
            broken.append(f"{name} (status {status})" if status else f"{name} (wrote no claims)")
    print(f"\n== summary, {time.time() - started:.0f} s")
    width = max((len(row["claim"]) for _, row in claims), default=0)
    for name, row in claims:
        verdict = {True: "holds", False: "FAILS"}.get(row["holds"], "")
        value = f"{row['value']:.4g}" if isinstance(row["value"], float) else str(row["value"]).lower()
        print(
            f"{name:10}  {row['claim']:{width}}  {value:>10} {row['unit']:8} {row['bound'] or '':10}  "
            f"{verdict}".rstrip()
        )
    judged = [row["holds"] for _, row in claims if row["holds"] is not None]
    print(
        f"{sum(judged)} of {len(judged)} claims hold"
        + (f"; not finished: {', '.join(broken)}" if broken else "")
    )
    return 1 if broken or not all(judged) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
