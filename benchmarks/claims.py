"""What a benchmark measured, held against its bound: printed as a table, written as JSON.

A bound is what a reader understands and the code evaluates: ``<= 0.3``, ``>= 12``, ``is true``, or None for a
figure that is only printed.
"""

import json
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from her2kit.exchange.whole import whole_file

ROOT = Path(__file__).parents[1]
_COMPARE = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure."""

    claim: str
    value: float | bool
    unit: str
    bound: str | None

    @property
    def holds(self) -> bool | None:
        """Whether the value keeps its bound; None without a bound. A value that is not a number does not."""
        if self.bound is None:
            return None
        if self.bound == "is true":
            return bool(self.value)
        sign, number = self.bound.split()
        return bool(_COMPARE[sign](float(self.value), float(number)))


def write_claims(name: str, claims: Sequence[Claim], *, part: bool = False) -> Path:
    """Print the claims and write ``reports/bench/<name>.json``; return its path.

    ``part`` says that only a part of the benchmark was run: what the file says of the others is kept.
    """
    path = ROOT / "reports/bench" / f"{name}.json"
    if part and path.is_file():
        fresh = {c.claim for c in claims}
        old = [r for r in json.loads(path.read_text(encoding="utf-8")) if r["claim"] not in fresh]
        claims = [*claims, *(Claim(r["claim"], r["value"], r["unit"], r["bound"]) for r in old)]
    width = max((len(c.claim) for c in claims), default=0)
    print(f"\n{name}")
    for c in claims:
        value = str(bool(c.value)).lower() if c.bound == "is true" else f"{float(c.value):.4g} {c.unit}"
        verdict = {True: "holds", False: "FAILS", None: ""}[c.holds]
        print(f"  {c.claim:{width}}  {value:>22}  {c.bound or '':10}  {verdict}")
    rows = [
        {
            "claim": c.claim,
            "value": bool(c.value) if c.bound == "is true" else float(c.value),
            "unit": c.unit,
            "bound": c.bound,
            "holds": c.holds,
        }
        for c in claims
    ]
    with whole_file(path) as whole:
        whole.write_text(json.dumps(rows, indent=1) + "\n")
    return path


def run_parts(name: str, parts: Mapping[str, Callable[[], list[Claim]]], wanted: Sequence[str]) -> None:
    """Run the wanted parts of a benchmark, or all, and write their claims; SystemExit for an unknown part."""
    if unknown := [part for part in wanted if part not in parts]:
        raise SystemExit(f"no part {unknown[0]!r}; there is: {', '.join(parts)}")
    claims: list[Claim] = []
    for part in wanted or parts:
        print(part, flush=True)
        claims += parts[part]()
    write_claims(name, claims, part=bool(wanted))


def real_folder() -> Path | None:
    """Return the folder of real slides (``HER2KIT_REAL``, default ``../shared/real``), or None and say so."""
    folder = Path(os.environ.get("HER2KIT_REAL", ROOT / "../shared/real")).resolve()
    if (folder / "manifest.csv").is_file():
        return folder
    print(f"no real pictures at {folder}: figures on real tissue are left out (set HER2KIT_REAL)")
    return None
