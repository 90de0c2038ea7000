"""A cohort for the lesson on many slides: phantoms with readers, a damaged file, a reader who contests.

The readers are simulated eyes on the planted counts (`eye`). Their CSV and the manifest are those that
``her2kit validate`` takes; nothing here scores a slide.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES
from her2kit.course.data import kept_below
from her2kit.course.eye import Eye
from her2kit.course.processes import cores
from her2kit.exchange.cell_text import feature_id
from her2kit.exchange.parquet import read_table
from her2kit.exchange.whole import whole_file
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.plan import Mix
from her2kit.phantom.site import SITES
from her2kit.phantom.slide import make_slide
from her2kit.scoring.spatial_error import lay_blocks, share_error
from her2kit.statistics import wilson

CASES = (
    *("3+", "0-null", "2+", "1+", "hot-spot", "borderline-11", "ultralow", "borderline-9"),
    *("borderline-3+", "1+", "2+", "0-null", "borderline-1+", "3+"),
)
"""Plain breast cases, and those at a line, as they come over a week."""
TRAINING = (
    *("3+", "borderline-3+", "2+", "borderline-11", "1+", "borderline-9", "0-null", "borderline-1+"),
    *("borderline-12", "ultralow", "borderline-8", "2+"),
)
"""Cases that give fields of every score, many of them near a line."""
EYES = (Eye("Ahn", 0.0, 0.2), Eye("Berg", 0.3, 0.35), Eye("Costa", -0.35, 0.5))
"""Three readers: a steady one, one who sees too much, one who sees too little and wavers."""
MPP = 0.25
SITES_OF_COURSE = (SITES["alder"], SITES["cedar"])
"""Two laboratories whose scanners have this mpp."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """What a laboratory brings."""

    manifest: Path
    readers: Path | None
    """Readers' CSV, see ``scoring.readings``."""
    table: pd.DataFrame
    """The manifest, read."""


def cohort_or_phantoms(
    manifest_path: str = "",
    readers_path: str = "",
    *,
    slides: int = 14,
    size_px: int = 1536,
    seed: int = 0,
    cases: Sequence[str] = CASES,
    folder: str | Path = "../data/notebooks",
) -> Cohort:
    """Return the reader's own cohort, or phantoms of breast cases that are made once and kept.

    Parameters
    ----------
    manifest_path, readers_path
        Files of one's own; empty for phantoms.
    slides, size_px, seed, cases
        Of the phantoms; their mpp is 0.25. Some patients have two slides.
    """
    if manifest_path:
        own = Path(manifest_path)
        return Cohort(own, Path(readers_path) if readers_path else None, read_manifest(own))
    mark = "-".join(cases) if tuple(cases) != CASES else "course"
    home = kept_below(folder) / f"scored_{mark}_{slides}_{size_px}_{seed}"
    if not home.is_dir():
        _make(home, slides=slides, size_px=size_px, seed=seed, cases=cases)
    manifest = home / "manifest.csv"
    return Cohort(manifest, home / "readers.csv", read_manifest(manifest))


def training_slides(
    *, slides: int = 12, size_px: int = 1024, seed: int = 0, folder: str | Path = "../data/notebooks"
) -> pd.DataFrame:
    """Return the manifest of slides to train on; their stain lies anywhere, so a field is like its slide."""
    home = kept_below(folder) / f"training_{slides}_{size_px}_{seed}"
    if not home.is_dir():
        _make(home, slides=slides, size_px=size_px, seed=seed, cases=TRAINING, clustering=0.0)
    return read_manifest(home / "manifest.csv")


def _make(
    home: Path,
    *,
    slides: int,
    size_px: int,
    seed: int,
    cases: Sequence[str],
    clustering: float | None = None,
) -> None:
    """Make slides full of tumour from two laboratories, and let three eyes read them."""
    plans = plan_cohort(
        slides=slides, seed=seed, size_px=size_px, mpp=MPP, sites=SITES_OF_COURSE, cases=cases
    )
    with whole_folder(home, overwrite=False) as part:
        rows, read = [], []
        for place, plan in enumerate(plans):
            mix = replace(Mix(), invasive=0.85, in_situ=0, normal=0, necrosis=0, fat=0)
            spread = plan.clustering if clustering is None else clustering
            if plan.hot_spot:  # a spot needs something around it
                plan = replace(plan, size_px=(round(1.5 * size_px),) * 2)
            plan = replace(plan, mix=mix, patterns=("solid", "nests"), clustering=spread)
            planted = make_slide(plan, part, workers=cores())
            rows.append(
                {
                    "path": f"slides/{plan.slide_id}.tif", "dataset": "phantom",
                    "patient_id": plan.patient_id, "slide_id": plan.slide_id, "label": planted["score"],
                    "site": plan.site.name, "mpp": MPP, "stain": "her2", "guideline": plan.guideline,
                    "control_status": "valid", "tumour_path": f"truth/{plan.slide_id}/tumour.geojson",
                }
            )  # fmt: skip
            for number, eye in enumerate(EYES):
                score, h_score = eye.read(_pairs(planted), np.random.default_rng([seed, place, number]))
                read.append((plan.slide_id, eye.name, score, round(h_score)))
        pd.DataFrame(rows).to_csv(part / "manifest.csv", index=False)
        columns = ["slide_id", "reader", "score", "h_score"]
        pd.DataFrame(read, columns=columns).to_csv(part / "readers.csv", index=False)


def _pairs(planted: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(p.split()[0], p.split()[1]): k for p, k in planted["pairs"].items()}


def work_manifest(table: pd.DataFrame, out: str | os.PathLike, *, cut_short: str | None = None) -> Path:
    """Write the manifest of a cohort into a folder, if asked with one slide cut short; return its path.

    Parameters
    ----------
    table
        From `manifest.read_manifest`.
    out
        The folder, made if it is not there.
    cut_short
        slide_id whose row is to point to a copy that ends in the middle, as after a broken transfer. The
        slide itself stays as it is.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = table.copy()
    for name in ("path", "pair_path", "mask_path", "tumour_path"):
        rows[name] = [None if pd.isna(p) else os.path.abspath(p) for p in rows[name]]
    if cut_short is not None:
        row = rows["slide_id"] == cut_short
        if not row.any():
            raise ValueError(f"cut_short={cut_short!r} is no slide_id; use one of the manifest's")
        whole = Path(rows.loc[row, "path"].iloc[0])
        copy = out / f"cut_short{whole.suffix}"
        with whole.open("rb") as source:
            copy.write_bytes(source.read(min(whole.stat().st_size // 2, 1 << 20)))
        rows.loc[row, "path"] = copy.name
    with whole_file(out / "manifest.csv") as part:
        rows.dropna(axis="columns", how="all").to_csv(part, index=False)
    return out / "manifest.csv"


def records_of(scores: str | os.PathLike, slides: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the records (``score.json``) of scored slides by slide_id; a slide without one is left out."""
    paths = {slide: Path(scores) / slide / "score.json" for slide in slides}
    return {slide: json.loads(p.read_text(encoding="utf-8")) for slide, p in paths.items() if p.is_file()}


def edited_cells(folder: str | os.PathLike, edits: int, *, up: bool) -> dict[str, str]:
    """Return other classes for the cells of a scored slide that lie nearest the border of its score.

    Parameters
    ----------
    folder
        What ``her2kit score`` wrote for one slide, with a score from 1+ on where `up` is false.
    edits
        How many cells.
    up
        True: the strongest cells below the next class are called that; false: the weakest of the score's own
        class are called the class below.

    Returns
    -------
    dict
        cell_id to class; fewer than `edits` where there are no more such cells.
    """
    folder = Path(folder)
    record = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    own = CLASSES.index(record["score"])
    if not 0 < own + up <= len(CLASSES) - 1:
        raise ValueError(f"score {record['score']} has no class {'above' if up else 'below'} it")
    cells = read_table(folder / "cells.parquet")
    which = (cells["cell_class"] == CLASSES[own]) & cells["evaluable"]
    if record["tumour"]["source"] != "none":
        which &= (cells["compartment"] == "invasive").to_numpy(bool)
    strength = (cells["dab_od"] * cells["completeness"])[which]
    nearest = strength.nlargest(edits) if up else strength.nsmallest(edits)
    return dict.fromkeys(cells.loc[nearest.index, "cell_id"], CLASSES[own + 1 if up else own - 1])


def write_edited(folder: str | os.PathLike, path: str | os.PathLike, edits: dict[str, str]) -> Path:
    """Write a slide's cells.geojson with other classes for some cells, as QuPath exports it after an edit."""
    folder, path = Path(folder), Path(path)
    slide_id = json.loads((folder / "score.json").read_text(encoding="utf-8"))["slide_id"]
    new = {feature_id(slide_id, cell): word for cell, word in edits.items()}
    found = json.loads((folder / "cells.geojson").read_text(encoding="utf-8"))
    for feature in found["features"]:
        if feature["id"] in new:
            feature["properties"]["classification"] = {"name": new[feature["id"]]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(json.dumps(found), encoding="utf-8")
    return path


def patchy_section(
    rng: np.random.Generator, *, share: float, cells: int, side_um: float, patch_um: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a section of a tumour in which a known share of cells is stained, in patches.

    Cells lie anywhere; a cell is stained where a smooth Gaussian field is high. The field is a sum of waves,
    so its law, and with it the share over all sections, is known exactly up to the number of waves.

    Parameters
    ----------
    share
        Of the tumour's cells, 0 to 1.
    patch_um
        Correlation length of the field; 0: each cell for itself.

    Returns
    -------
    float64 (cells, 2), bool (cells,)
        Places in um, and which cells are stained.
    """
    from scipy.special import ndtri

    xy = rng.uniform(0, side_um, (cells, 2))
    if patch_um <= 0:
        return xy, rng.random(cells) < share
    waves = rng.standard_normal((256, 2)) / patch_um
    height = np.sqrt(2 / 256) * np.cos(xy @ waves.T + rng.uniform(0, 2 * np.pi, 256)).sum(axis=1)
    return xy, height > ndtri(1 - share)


def coverage(
    *, sections: int, share: float, cells: int, side_um: float, patch_um: float, seed: int = 0
) -> pd.DataFrame:
    """Return two 95 % intervals for each of many sections of one tumour.

    Returns
    -------
    DataFrame
        Two rows a section: section, way (``binomial``: Wilson's, as if each cell were alone; ``patches``:
        her2kit's, `scoring.spatial_error`), percent, low, high (all in percent of cells), holds (whether
        `share` lies between).
    """
    rows = []
    for section in range(sections):
        rng = np.random.default_rng([seed, section])
        xy, stained = patchy_section(rng, share=share, cells=cells, side_um=side_um, patch_um=patch_um)
        naive = wilson(int(stained.sum()), cells)
        ends = {
            "binomial": (naive.low, naive.high),
            "patches": share_error(stained, lay_blocks(xy)).interval(),
        }
        for way, (low, high) in ends.items():
            rows.append(
                (section, way, 100 * stained.mean(), 100 * low, 100 * high, bool(low <= share <= high))
            )
    return pd.DataFrame(rows, columns=["section", "way", "percent", "low", "high", "holds"])
