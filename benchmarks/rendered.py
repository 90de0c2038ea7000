"""Rendered phantoms, made, read once and kept: what was found and what was planted, without the pictures.

For `benchmarks.reading`, which measures how cells are misread, and `benchmarks.cohort`, which judges scores
on slides of other seeds. A slide that is kept is not made again, so a run can be stopped and taken up. A
fifth of the slides lies near a line on purpose: their plans are ready-made cases moved to a drawn share.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.assess import assess
from her2kit.cells.grade import grade_cells
from her2kit.exchange.geojson import read_regions
from her2kit.exchange.parquet import read_table, write_table
from her2kit.exchange.whole import whole_files
from her2kit.measure import measure_slide
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.plan import Plan
from her2kit.phantom.ready import COHORT, READY
from her2kit.phantom.site import SITES
from her2kit.phantom.slide import make_slide
from her2kit.regions.compartments import compartments_of
from her2kit.scoring.gate import Gate
from her2kit.scoring.guideline import GUIDELINES
from her2kit.settings import ScoreSettings

SIDE_UM = 560.0
"""Side of a slide: some 600 tumour cells, a second or two to make and to read."""
CLEAR = tuple(name for name in COHORT if not name.startswith("borderline"))
NEAR = ("borderline-9", "borderline-3+", "borderline-1+", "gastric-1+", "gastric-2+")
"""Cases that are moved to a drawn share of their deciding cells."""
BAND = (0.07, 0.13)
DECIDING = {
    "borderline-9": (("complete", "weak"), ("complete", "moderate")),
    "borderline-3+": (("complete", "intense"),),
    "borderline-1+": (("incomplete", "faint"),),
    "gastric-1+": (("incomplete", "faint"), ("incomplete", "weak")),
    "gastric-2+": (("incomplete", "intense"), ("complete", "intense")),
}
"""Patterns whose share is drawn within `BAND`; the others keep their proportions."""


@dataclass(frozen=True, slots=True)
class Read:
    """One phantom: its cells as found, and as planted."""

    slide_id: str
    facts: dict[str, Any]
    """``mpp``, ``site``, ``case``, ``guideline``, ``planted`` (by the phantom's own rule), ``degrade``,
    ``gates`` (those before cells were looked for)."""
    found: pd.DataFrame
    """Not graded, with compartments, without outlines."""
    truth: pd.DataFrame
    """Invasive cells."""

    def record(self, guideline: str | None = None) -> dict[str, Any]:
        """Return what scoring says of the slide: the middle part of its ``score.json``."""
        guideline = guideline or self.facts["guideline"]
        cells = graded(self.found, GUIDELINES[guideline].scheme)
        settings = ScoreSettings(guideline=guideline, control="valid", tumour="planted")
        gates = [Gate(**g) for g in self.facts["gates"]]
        drawn = {"source": "file", "file": "planted"}
        return assess(cells, settings, mpp=self.facts["mpp"], gates=gates, tumour=drawn).record


def graded(found: pd.DataFrame, scheme: str) -> pd.DataFrame:
    """Return the found cells with the classes of an organ's scheme."""
    new = grade_cells(found, scheme=scheme)
    return found.assign(intensity=new["intensity"], cell_class=new["cell_class"])


def plans_of(slides: int, *, seed: int, near: int = 4, degrade: Sequence[str] = ()) -> list[Plan]:
    """Return the plans of slides of all sites; every ``near``-th one lies within `BAND` of a line.

    Parameters
    ----------
    degrade
        Taken in turn; none: as they are.
    """
    sites, plans = list(SITES.values()), []
    for index in range(slides):
        rng = np.random.default_rng([seed, index])
        close = near > 0 and index % near == 0
        names = NEAR if close else CLEAR
        name = names[int(rng.integers(len(names)))]
        site = sites[int(rng.integers(len(sites)))]
        (plan,) = plan_cohort(
            slides=1, seed=int(rng.integers(1 << 31)), cases=[name], sites=[site],
            size_px=round(SIDE_UM / site.mpp), degrade=degrade[index % len(degrade)] if degrade else None,
        )  # fmt: skip
        if close:
            plan = replace(plan, fractions=_moved(name, float(rng.uniform(*BAND))))
        plans.append(replace(plan, slide_id=f"rendered_{seed}_{index:03d}"))
    return plans


def _moved(name: str, share: float) -> dict[tuple[str, str], float]:
    """Return the fractions of a case with its deciding cells at a share, the others in proportion."""
    old = READY[name]["fractions"]
    deciding = [pair for pair in DECIDING[name] if old.get(pair)]
    before = sum(old[pair] for pair in deciding)
    return {
        pair: value * (share / before if pair in deciding else (1 - share) / (1 - before))
        for pair, value in old.items()
    }


def read_all(plans: Sequence[Plan], keep: Path, *, most: int | None = None) -> list[Read]:
    """Make and read the phantoms that are not kept yet, ``most`` of them at a call; return all there are."""
    made = 0
    for plan in plans:
        if (keep / plan.slide_id / "facts.json").is_file() or (most is not None and made >= most):
            continue
        with tempfile.TemporaryDirectory() as folder:
            _read(plan, Path(folder), keep / plan.slide_id)
        made += 1
        print(f"  {plan.slide_id} {plan.name} {plan.site.name}", flush=True)
    return [_kept(keep / p.slide_id) for p in plans if (keep / p.slide_id / "facts.json").is_file()]


def _read(plan: Plan, folder: Path, out: Path) -> None:
    planted = make_slide(plan, folder)
    with measure_slide(
        folder / "slides" / f"{plan.slide_id}.tif", ScoreSettings(workers=1), slide_id=plan.slide_id
    ) as measured:
        cells = measured.cells.drop(columns=["outline", "nucleus_outline"])
        gates = [g.record() for g in measured.gates]
    truth = folder / "truth" / plan.slide_id
    xy = cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy()
    cells["compartment"] = compartments_of(*xy, read_regions(truth / "tumour.geojson"))
    invasive = read_table(truth / "cells.parquet").drop(columns=["outline", "nucleus_outline"])
    facts = {
        "mpp": plan.pixel_um, "site": plan.site.name, "case": plan.name, "guideline": plan.guideline,
        "planted": planted["score"], "degrade": [list(d) for d in plan.degrade], "gates": gates,
    }  # fmt: skip
    with whole_files(out, last="facts.json") as part:
        write_table(part / "found.parquet", cells)
        write_table(part / "truth.parquet", invasive[invasive["compartment"] == "invasive"])
        (part / "facts.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _kept(folder: Path) -> Read:
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return Read(
        folder.name, facts, read_table(folder / "found.parquet"), read_table(folder / "truth.parquet")
    )
