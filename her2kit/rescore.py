"""Contest a score: a reader's corrections in, a new score beside the old, both kept, who and when.

The program's own files stay as they are. Each correction is a folder of its own, ``corrections/1`` and so on,
with the edited file, the corrected cells and their score; the next one stands on the last. ``report.html`` is
made anew and shows every reading; the program's report is kept as ``corrections/original_report.html``.
"""

import base64
import contextlib
import io
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from her2kit.assess import assess
from her2kit.corrected import in_words, with_regions, with_words
from her2kit.errors import ManifestError, RegionError, SlideError
from her2kit.exchange.corrections import read_corrections
from her2kit.exchange.geojson import Region, read_regions, write_cells_geojson
from her2kit.exchange.parquet import read_table, write_table
from her2kit.exchange.whole import whole_file, whole_files
from her2kit.pipeline import pictures_of
from her2kit.provenance import sha256_of
from her2kit.regions.compartments import invasive_regions
from her2kit.scoring.gate import Gate
from her2kit.scoring.guideline import Policies
from her2kit.settings import ScoreSettings
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point

if TYPE_CHECKING:
    from her2kit.report.pictures import Pictures

HISTORY = "corrections"
ORIGINAL = "original_report.html"
CELL_GATES = ("cells", "control", "missing_cells", "nuclear_pattern", "cytoplasmic_pattern", "tumour_region")
TUMOUR_GATES = ("tumour_map",)


def rescore(
    folder: str | os.PathLike,
    edited: str | os.PathLike,
    *,
    by: str,
    slide: str | os.PathLike | None = None,
    when: datetime | None = None,
) -> dict[str, Any]:
    """Apply an edited GeoJSON to a scored slide and write the correction; return its record.

    Parameters
    ----------
    folder
        What ``her2kit score`` wrote for one slide.
    edited
        ``cells.geojson`` of that folder (or of its last correction) as edited in QuPath. Cells that it lacks
        stay as they were. Regions in it replace the compartments; regions without invasive tumour only
        overlay them.
    by
        Who corrected.
    slide
        The slide's file, for the report's pictures; default: where it was when it was scored. Without it the
        report shows the old overview alone.
    when
        Default: now.

    Raises
    ------
    ValueError
        If `by` is empty.
    ManifestError
        If `folder` holds no scored cells of this version.
    RegionError
        If the edited file cannot be used with this slide; nothing is written then.
    """
    folder, edited, by = Path(folder), Path(edited), " ".join(by.split())
    if not by:
        raise ValueError("by is empty; say who corrected, for example --by 'A. Reader'")
    original = _record(folder)
    if not (folder / "cells.parquet").is_file():
        raise ManifestError(f"{folder} holds no cells (cells.parquet is gone); score the slide again")
    cells_sha256 = sha256_of(folder / "cells.parquet")
    number, base = _last(folder, cells_sha256)
    before = _record(base)
    settings = _settings(original, folder)
    corrections = read_corrections(edited)
    table = read_table(base / "cells.parquet")
    if table.empty:
        raise ManifestError(
            f"{folder}: a gate refused this slide before its cells were looked for; see its report"
        )
    cells, changed = with_words(table, corrections, original["slide_id"], edited)
    known = before["tumour"]["source"] != "none"
    cells, known = with_regions(cells, corrections.regions, known, edited)
    if not any(changed.values()) and not corrections.regions:
        raise RegionError(
            f"{edited}: changes nothing in {base}; change classes or draw a region, then export"
        )
    drawn = edited.name if corrections.regions else None
    found = assess(
        cells,
        settings,
        mpp=original["slide"]["mpp"],
        gates=[Gate(**g) for g in original["gates"] if g["name"] not in (*CELL_GATES, *TUMOUR_GATES)],
        tumour=_tumour(before, drawn) if known else None,
        tumour_gates=[] if drawn else [Gate(**g) for g in original["gates"] if g["name"] in TUMOUR_GATES],
    )
    record = {
        "slide_id": original["slide_id"],
        **found.record,
        "slide": original["slide"],
        "provenance": original["provenance"],
        "correction": {
            "number": number,
            "by": by,
            "when": (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
            "file": edited.name,
            "sha256": sha256_of(edited),
            "cells_sha256": cells_sha256,
            "changed": changed,
            "regions": len(corrections.regions),
            "words": in_words(changed, corrections.regions),
            "original": _short(original),
            "before": _short(before),
        },
    }
    with _pictures(folder, original, slide, corrections.regions) as pictures:
        _save(folder, base, edited, record, cells, found.regions, pictures)
    return record


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of a folder whose slide was measured."""
    path = folder / "score.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        mpp, _, _ = record["slide"]["mpp"], record["gates"], record["provenance"]["parameters"]
    except OSError as error:
        raise ManifestError(
            f"{path}: {error.strerror}; name the folder of one slide, as her2kit score wrote it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path}: not the record of a slide ({error!r}); score the slide again"
        ) from error
    if mpp is None:
        raise ManifestError(f"{folder}: this slide was refused as it has no mpp; score it again with --mpp")
    return record


def _last(folder: Path, cells_sha256: str) -> tuple[int, Path]:
    """Return the number of the next correction, and the folder that it stands on."""
    done = [
        int(p.name) for p in (folder / HISTORY).glob("*") if p.name.isdigit() and (p / "score.json").is_file()
    ]
    if not done:
        return 1, folder
    last = folder / HISTORY / str(max(done))
    same = _record(last).get("correction", {}).get("cells_sha256") == cells_sha256
    return max(done) + 1, last if same else folder  # the slide was scored anew since: its cells are others


def _settings(record: Mapping[str, Any], folder: Path) -> ScoreSettings:
    parameters = dict(record["provenance"]["parameters"])
    try:
        return ScoreSettings(**parameters | {"policies": Policies(**parameters["policies"])})
    except (TypeError, KeyError, ValueError) as error:
        raise ManifestError(
            f"{folder}: scored by another version of her2kit ({error}); score the slide again"
        ) from error


def _save(
    folder: Path,
    base: Path,
    edited: Path,
    record: dict[str, Any],
    cells: pd.DataFrame,
    regions: pd.DataFrame,
    pictures: "Pictures",
) -> None:
    """Write the correction's folder whole; then show it in the slide's report, whose first state is kept."""
    from her2kit.report.slide_report import write_slide_report

    history, report = folder / HISTORY, folder / "report.html"
    with whole_files(history / str(record["correction"]["number"]), last="score.json") as part:
        shutil.copyfile(edited, part / "edited.geojson")
        write_table(part / "cells.parquet", cells)
        write_cells_geojson(part / "cells.geojson", cells, slide_id=record["slide_id"])
        regions.to_csv(part / "regions.csv", index=False)
        page = write_slide_report(part / "report.html", record, cells, pictures, regions=regions).read_bytes()
        text = json.dumps(record, indent=1, allow_nan=False)
        (part / "score.json").write_text(text + "\n", encoding="utf-8")
    if base == folder and report.is_file():
        with whole_file(history / ORIGINAL) as kept:
            shutil.copyfile(report, kept)
    with whole_file(report) as new:
        new.write_bytes(page)


@contextlib.contextmanager
def _pictures(
    folder: Path, record: Mapping[str, Any], slide: str | os.PathLike | None, regions: Sequence[Region]
) -> Iterator["Pictures"]:
    """Yield pictures of the slide, or, where its file is not there, the overview of the old report.

    Raises
    ------
    SlideError
        If `slide` was named and is another file than the one that was scored.
    """
    source, mpp = record["provenance"], record["slide"]["mpp"]
    drawn = invasive_regions(regions) or _scored_regions(folder, record["tumour"])
    path = Path(shlex.split(source["command"])[2] if slide is None else slide)
    same = path.is_file() and sha256_of(path) == source["sha256"]
    if slide is not None and not same:
        raise SlideError(
            f"{path} is not the file that was scored ({source['slide']}); pass that, or leave it out"
        )
    if not same:
        yield _old_overview(folder, record, drawn)
        return
    with open_slide(path, mpp=mpp) as opened:
        yield pictures_of(opened, find_tissue(opened, find_white_point(opened)), drawn)


def _tumour(before: Mapping[str, Any], drawn: str | None) -> dict[str, Any]:
    """Return where the tumour regions come from: the edited file, or what the last score says."""
    if drawn:
        return {"source": "file", "file": drawn}
    return {name: value for name, value in before["tumour"].items() if name != "ungated"}


def _scored_regions(folder: Path, tumour: Mapping[str, Any]) -> list[Region]:
    """Return the tumour regions of the first score, where their file is still there."""
    path = folder / tumour["file"] if tumour["source"] == "auto" else tumour["file"]
    try:
        return invasive_regions(read_regions(path)) if path else []
    except RegionError:
        return []


def _old_overview(folder: Path, record: Mapping[str, Any], regions: Sequence[Region]) -> "Pictures":
    from PIL import Image

    from her2kit.report.pictures import Pictures

    report = folder / "report.html"
    found = None
    if report.is_file():
        found = re.search(
            r'id="overview-picture" src="data:image/jpeg;base64,([^"]+)"', report.read_text("utf-8")
        )
    width = record["slide"]["width_px0"]
    if found is None:  # a plain sheet of the slide's form
        height = max(1, round(400 * record["slide"]["height_px0"] / width))
        overview = np.full((height, 400, 3), 240, np.uint8)
    else:
        overview = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))
    return Pictures(
        overview,
        px0_per_px=width / overview.shape[1],
        mpp=record["slide"]["mpp"],
        tumour=[r.geometry for r in regions],
    )


def _short(record: Mapping[str, Any]) -> dict[str, Any]:
    names = ("status", "score", "category", "n_cells", "counts", "percent", "h_score_membrane_class")
    return {name: record[name] for name in names}
