"""How long the course takes: all notebooks in sequence without a network, the smoke tier, the quick tests.

The notebooks run on two cores, one after the other, from an empty folder: phantoms are made as a reader's
first walk makes them, and what is imported has been imported before. Sockets are blocked, see
`benchmarks.offline`; that they are is tried first. Writes `reports/bench/course.json`.

Parts: `sequence` (the notebooks' own sizes), `smoke`, `hygiene`. `python -m benchmarks.course smoke 10` times
notebook 10 alone and writes nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.claims import ROOT, Claim, run_parts
from benchmarks.offline import probe, run_offline
from her2kit.course.notebooks import select_notebooks
from her2kit.course.records import RECORD, computer

MINUTES = {"fast": 25, "smoke": 4}
HYGIENE_SECONDS = 10
CORES = 2
WORKERS = {"fast": "1", "smoke": "2"}
CLI = (sys.executable, "-c", "from her2kit.cli import main; main()")
WARM = (
    "from her2kit.learning.torchvision_ops import ensure_torchvision; ensure_torchvision();"
    "import cv2, lightning, matplotlib.pyplot, numba, sklearn.ensemble, timm, torch, ultralytics"
)
RUN_NONE = "not smallest_size and not solution_is_right"
"""The tests of the notebooks but those that run them."""
HYGIENE = (
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "tests/notebooks",
    "-m",
    "not slow",
)


def main() -> None:
    """Measure all parts, or those that are named."""
    parts = {"sequence": partial(walk, "fast"), "smoke": partial(walk, "smoke"), "hygiene": hygiene}
    words = sys.argv[1:]
    names = [word for word in words if word[:1].isdigit()]
    wanted = [word for word in words if word not in names]
    if not names:
        run_parts("course", parts, wanted)
        return
    for part in wanted:
        if part not in parts or part == "hygiene":
            raise SystemExit(f"no part {part!r} for single notebooks; there is: sequence, smoke")
        for claim in walk({"sequence": "fast"}.get(part, part), names):
            print(f"  {claim.claim}: {claim.value:.3g} {claim.unit}")


def walk(tier: str, names: Sequence[str] = ()) -> list[Claim]:
    """Run the notebooks one after the other, offline, and return the minutes of each and of all."""
    use_cores(CORES)
    print(f"  {computer()}, load {os.getloadavg()[0]:.1f}", flush=True)
    ways = probe()
    blocked = [ways[way] for way in ("address", "name", "page")]
    subprocess.run([sys.executable, "-W", "ignore", "-c", WARM], cwd=ROOT, check=True)
    notebooks = select_notebooks(names)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "notebooks")
        shutil.copytree(ROOT / "notebooks" / "params", folder / "params")
        copies = [shutil.copy(path, folder) for path in notebooks]
        out = Path(scratch, "runs")
        words = [*CLI, "run", *map(str, copies), "--tier", tier, "--workers", WORKERS[tier]]
        words += ["--out", str(out)]
        began = time.monotonic()
        ended = run_offline(words, cwd=Path(scratch))
        minutes = (time.monotonic() - began) / 60
        records = [json.loads((out / p.stem / RECORD).read_text(encoding="utf-8")) for p in notebooks]
    failed = [record["notebook"] for record in records if record["status"] != "done"]
    print(f"  status {ended.status}; failed: {', '.join(failed) or 'none'}")
    print(f"  tried to reach beyond this computer: {', '.join(sorted(set(ended.tried))) or 'nobody'}")
    claims = [Claim(f"{tier} tier: {r['notebook']}", r["seconds"] / 60, "min", None) for r in records]
    whole = f"{tier} tier: all notebooks, {WORKERS[tier]} at a time, offline"
    return [
        Claim(whole, minutes, "min", f"<= {MINUTES[tier]}"),
        Claim(f"{tier} tier: notebooks that failed", len(failed) + bool(ended.status), "", "<= 0"),
        Claim(f"{tier} tier: addresses, names and pages are out of reach", all(blocked), "", "is true"),
        Claim(f"{tier} tier: out of reach below Python, too", float(ways["below_python"]), "", None),
        Claim(f"{tier} tier: attempts to reach beyond this computer", len(ended.tried), "", None),
        *claims,
    ]


def use_cores(count: int) -> None:
    """Keep this process and all it starts to so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def hygiene() -> list[Claim]:
    """Time the tests of the notebooks that run none: anatomy, outputs, stamps, tables."""
    use_cores(CORES)
    began = time.monotonic()
    status = subprocess.run(HYGIENE, cwd=ROOT, check=False).returncode
    return [
        Claim("hygiene and stamp tests", time.monotonic() - began, "s", f"<= {HYGIENE_SECONDS}"),
        Claim("hygiene and stamp tests pass", status == 0, "", "is true"),
    ]


if __name__ == "__main__":
    main()
