"""A laboratory validates the kit: its slides scored, compared with its own readings, one report.

``OUT/validation.html`` is the report, ``validation.csv`` its table of measures, ``validation_cases.csv`` a
row a slide. The slides' own results lie beside them, as ``her2kit score`` writes them; those that are whole
and unchanged are not scored again.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit.cluster.slides import score_slides
from her2kit.cohort import TABLE, Job, jobs_of
from her2kit.exchange.whole import whole_file
from her2kit.manifest import read_manifest
from her2kit.provenance import versions
from her2kit.report.validation_report import write_validation_report
from her2kit.scoring.readings import read_readings
from her2kit.scoring.reference import read_by
from her2kit.scoring.validation import validate

REPORT, MEASURES, CASES = "validation.html", "validation.csv", "validation_cases.csv"


@dataclass(frozen=True, slots=True)
class Plan:
    """A validation whose files and settings were found to be right."""

    manifest: Path
    readers: Path | None
    given: Mapping[str, Any]
    table: pd.DataFrame
    """The manifest."""
    readings: pd.DataFrame | None
    jobs: list[Job]


def plan_validation(manifest: Path, readers: Path | None, given: Mapping[str, Any]) -> Plan:
    """Check everything that can be checked before a slide is opened.

    Parameters
    ----------
    manifest
        Its ``label`` is the reference, where it has one; ``patient_id`` holds a patient's slides together.
    readers
        A CSV, see ``scoring.readings``.
    given
        Settings that go before the manifest's, as for `cohort.jobs_of`.

    Raises
    ------
    ManifestError, ValueError
        If the manifest, the readers' file or a setting is wrong, or nobody read a slide.
    """
    table = read_manifest(manifest)
    readings = None if readers is None else read_readings(readers, slides=table["slide_id"])
    read_by(table, readings)
    return Plan(manifest, readers, given, table, readings, jobs_of([], manifest, given))


def run_validation(
    plan: Plan, out: Path, *, workers: int | None = 1, scheduler: str | None = None, seed: int = 0
) -> list[str]:
    """Score the slides into ``out``, which exists, compare, write the report; return the slides that failed.

    Parameters
    ----------
    plan
        From `plan_validation`.
    out
        An existing folder.
    workers, scheduler
        Who scores, see `cluster.slides.score_slides`.
    seed
        Of the bootstrap.
    """
    threads = plan.given.get("workers")
    failed = score_slides(plan.jobs, out, resume=True, workers=workers, threads=threads, scheduler=scheduler)
    scores = pd.read_csv(out / TABLE, dtype=str, keep_default_na=False, na_values=[""])
    scores = scores.reindex(columns=["slide_id", "status", "score", "h_score_intensity", "flags"])
    scores = scores.astype({"h_score_intensity": "float64"})
    cases = plan.table[["slide_id", "patient_id", "label"]].merge(scores, on="slide_id")
    found = validate(cases, plan.readings, seed=seed)
    for name, rows in ((MEASURES, found.table), (CASES, found.cases)):
        with whole_file(out / name) as part:
            rows.to_csv(part, index=False)
    command = ["her2kit", "validate", str(plan.manifest), "--out", str(out)]
    command += [] if plan.readers is None else ["--readers", str(plan.readers)]
    command += [
        word for name, value in plan.given.items() if name != "workers" for word in (f"--{name}", str(value))
    ]
    words = ", ".join(f"{name} {number}" for name, number in versions().items())
    provenance = {"command": shlex.join(command), "versions": words, "seed of the bootstrap": str(seed)}
    write_validation_report(out / REPORT, found, provenance)
    return failed
