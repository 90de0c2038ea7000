"""Many slides: the jobs, what is already done, ``cohort.csv`` and the cohort's page.

One slide after the other; `her2kit.cluster.slides` does several at a time. A slide that fails is listed and
the rest goes on. ``score.json`` is written last of a slide's files, so a folder that holds one is whole.
"""

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit import __version__
from her2kit.errors import Her2Error, ManifestError, SlideError
from her2kit.exchange.whole import whole_file
from her2kit.manifest import read_manifest
from her2kit.measure import Progress
from her2kit.pipeline import score_slide
from her2kit.provenance import sha256_of
from her2kit.regions.tumour_map import map_path
from her2kit.report.cohort_report import PAGE, write_cohort_report
from her2kit.settings import ScoreSettings

FROM_MANIFEST = {
    "mpp": "mpp",
    "guideline": "guideline",
    "ish": "ish",
    "control": "control_status",
    "tumour": "tumour_path",
    "stain": "stain",
}
"""Which manifest column gives which setting where the command line does not."""


TABLE = "cohort.csv"
"""Name of the table of all slides of a call, beside their folders."""


@dataclass(frozen=True, slots=True)
class Job:
    """One slide to score, with its settings."""

    path: Path
    slide_id: str
    settings: ScoreSettings
    label: str | None = None
    """The manifest's known answer, for the cohort's page; no score looks at it."""


def jobs_of(slides: Sequence[Path], manifest: Path | None, given: Mapping[str, Any]) -> list[Job]:
    """Return the slides to score, each with its settings: a given flag goes before the manifest's column.

    Raises
    ------
    ValueError
        If a setting is not allowed, or a slide's name cannot name a folder.
    ManifestError
        If the manifest cannot be read, or two slides would write to the same folder.
    """
    allowed = {f.name for f in fields(ScoreSettings)}
    given = {k: v for k, v in given.items() if k in allowed}
    tumour = given.get("tumour", "none")
    if tumour not in ("none", "auto") and not Path(tumour).is_file():
        raise ValueError(
            f"tumour={tumour!r} is not a file; pass none, auto, or a GeoJSON with the tumour regions"
        )
    if (tumour_map := given.get("tumour_map")) is not None and not Path(tumour_map).exists():
        raise ValueError(
            f"tumour_map={tumour_map!r} does not exist; pass a map (.npz), or a folder of <slide_id>.npz"
        )
    jobs = [Job(Path(path), Path(path).stem, ScoreSettings(**given)) for path in slides]
    if manifest is not None:
        for row in read_manifest(manifest).to_dict("records"):
            own = {k: row[c] for k, c in FROM_MANIFEST.items() if not pd.isna(row.get(c))}
            label = None if pd.isna(row.get("label")) else str(row["label"])
            jobs.append(Job(Path(row["path"]), row["slide_id"], ScoreSettings(**own | given), label))
    seen: dict[str, Path] = {}
    for job in jobs:
        if job.slide_id in ("", "..", TABLE, PAGE):
            raise ValueError(
                f"{str(job.path)!r} gives no usable slide_id; name a slide file, "
                "or give it a slide_id in a manifest"
            )
        if job.slide_id in seen:
            raise ManifestError(
                f"{seen[job.slide_id]} and {job.path} both have the slide_id {job.slide_id!r}; "
                "give them different ones in a manifest"
            )
        seen[job.slide_id] = job.path
    return jobs


Record = dict[str, Any]
"""What ``score.json`` holds; of a slide that failed, ``error`` in words and no more."""
Each = Callable[[Sequence[Job], Path, bool], Generator[tuple[int, Record]]]
"""Takes jobs, folder and ``resume``; yields each job's place and its record, in any order."""


def score_cohort(
    jobs: Sequence[Job], out: Path, *, resume: bool = False, each: Each | None = None
) -> list[str]:
    """Score every job into ``out/<slide_id>``, list all in ``out``; return the slides that failed.

    ``out`` must exist. Prints one line a slide on stdout, progress and failures on stderr.

    Parameters
    ----------
    resume
        Skip slides that are whole and unchanged.
    each
        How the jobs are done; default: one after the other, in this process.
    """
    rows: dict[int, dict[str, Any]] = {}
    failed = set()
    try:
        with contextlib.closing((each or _one_by_one)(jobs, out, resume)) as records:
            for place, record in records:
                job = jobs[place]
                if record["status"] == "failed":
                    failed.add(place)
                    print(f"{_prefix(jobs, place)}: failed: {record['error']}", file=sys.stderr, flush=True)
                else:
                    print(_line(record), flush=True)
                rows[place] = _row(job, record)
                with whole_file(out / TABLE) as part:
                    pd.DataFrame([rows[i] for i in sorted(rows)]).to_csv(part, index=False)
    except KeyboardInterrupt:
        done = f"[{len(rows)}/{len(jobs)}] stopped"
        print(f"{done}; what is finished is kept, --resume goes on from there", file=sys.stderr)
        raise
    write_cohort_report(out / PAGE, pd.DataFrame([rows[i] for i in sorted(rows)]))
    names = [jobs[place].slide_id for place in sorted(failed)]
    if names:
        print(f"{len(names)} of {len(jobs)} slides failed: {', '.join(names)}", file=sys.stderr)
    return names


def score_job(
    job: Job,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Record:
    """Score one slide into ``out/<slide_id>``; return its record, of whatever fails a failed one.

    With ``resume`` a slide that is whole and unchanged is not scored again.
    """
    folder = out / job.slide_id
    record = _finished(folder, job) if resume else None
    if record is not None:
        return record
    try:
        if _as_text(str(job.path)) != str(job.path):
            raise SlideError(f"{str(job.path)!r}: its name is not UTF-8; rename the file")
        report = score_slide(
            job.path, job.settings, out=folder, slide_id=job.slide_id, progress=progress, say=say
        )
        return report.record
    except Exception as error:  # whatever it is, the other slides go on
        return failed_record(job, _in_words(error, folder))


def failed_record(job: Job, words: str) -> Record:
    """Return the record of a slide that could not be scored."""
    return {"slide_id": job.slide_id, "status": "failed", "score": None, "error": words}


def _finished(folder: Path, job: Job) -> Record | None:
    """Return the record of a slide that is whole, else None.

    It must come from this version, the same slide and settings, and be younger than its tumour regions and
    map.
    """
    path, tumour, shown = folder / "score.json", job.settings.tumour, job.settings.tumour_map
    sources = [Path(tumour)] if tumour not in ("none", "auto") else []
    sources += [map_path(shown, job.slide_id)] if shown is not None else []
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        was = record["provenance"]
        same = (
            was["versions"]["her2kit"] == __version__
            and was["parameters"] == json.loads(json.dumps(job.settings.record()))
            and all(source.stat().st_mtime_ns < path.stat().st_mtime_ns for source in sources)
            and was["sha256"] == sha256_of(job.path)
        )
    except (OSError, ValueError, KeyError, TypeError):  # not there, not whole, or not ours
        return None
    return record if same else None


def _prefix(jobs: Sequence[Job], place: int) -> str:
    return f"[{place + 1}/{len(jobs)}] {jobs[place].slide_id}"


def _one_by_one(jobs: Sequence[Job], out: Path, resume: bool) -> Generator[tuple[int, Record]]:
    """Score one slide after the other, each with a bar over its tiles or, elsewhere, plain lines."""
    from tqdm import tqdm

    for place, job in enumerate(jobs):
        prefix = _prefix(jobs, place)
        bar: tqdm | None = None
        last = time.monotonic()

        def progress(stage: str, done: int, total: int, prefix: str = prefix) -> None:
            nonlocal bar, last
            if sys.stderr.isatty():
                bar = bar or tqdm(total=total, desc=prefix, unit="tile", leave=False)
                bar.update(done - bar.n)
            elif time.monotonic() - last > 15:
                last = time.monotonic()
                print(f"{prefix}: {stage} {done}/{total}", file=sys.stderr, flush=True)

        def say(words: str, prefix: str = prefix) -> None:
            print(f"{prefix}: {words}", file=sys.stderr, flush=True)

        try:
            record = score_job(job, out, resume=resume, progress=progress, say=say)
        finally:
            if bar is not None:
                bar.close()
        yield place, record


def _in_words(error: Exception, folder: Path) -> str:
    """Return one line that says what failed and what to do."""
    if isinstance(error, Her2Error):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        place = error.filename or folder
        return f"{place}: {error.strerror or error}; check the place, its rights and the free disk"
    if isinstance(error, MemoryError):
        return "not enough memory; pass fewer --workers or --threads"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{words} ({Path(frame.filename).name}, line {frame.lineno}): a fault in her2kit, please report it"


def _line(record: Mapping[str, Any]) -> str:
    """Return the one line that a slide prints on stdout."""
    if record["status"] != "scored":
        gate = next((g for g in record["gates"] if g["level"] == "block"), None)
        return (
            f"{record['slide_id']}: not evaluable ({gate['name']}: {gate['words']})"
            if gate
            else f"{record['slide_id']}: not evaluable"
        )
    shares = "  ".join(f"{k} {v:.1f}%" for k, v in record["percent"].items())
    return (
        f"{record['slide_id']}: HER2 {record['score']} ({record['category']}), {record['guideline']}, "
        f"{record['n_cells']:,} cells: {shares}, H-score {record['h_score_membrane_class']:.0f}"
        f"{', borderline' if (record.get('uncertainty') or {}).get('borderline') else ''}"
    )


def _row(job: Job, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the slide's row of ``cohort.csv``."""
    names = ("slide_id", "status", "score", "category", "guideline", "n_cells", "n_missing")
    row: dict[str, Any] = {"path": str(job.path), **{n: record.get(n) for n in names}}
    row |= {f"percent_{k}": v for k, v in (record.get("percent") or {}).items()}
    row |= {n: record.get(n) for n in ("h_score_membrane_class", "h_score_intensity")}
    row["label"] = job.label
    sure = record.get("uncertainty") or {}
    row["borderline"] = sure.get("borderline")
    row["p_score"] = (sure.get("p_score") or {}).get(record.get("score"))
    row["flags"] = " ".join(record.get("flags") or [])
    for column, level in (("blocked_by", "block"), ("cautions", "caution")):
        row[column] = " ".join(g["name"] for g in record.get("gates", []) if g["level"] == level)
    row["error"] = record.get("error")
    return {k: _as_text(v) if isinstance(v, str) else v for k, v in row.items()}


def _as_text(words: str) -> str:
    """Return words that can be written as UTF-8: a file's name may hold other bytes."""
    return words.encode(errors="backslashreplace").decode()
