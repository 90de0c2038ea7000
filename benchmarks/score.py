"""Real HER2 cores end to end, refusals, speed and memory. Prints tables, writes ``reports/bench/score.json``.

Seven cores prove little: they show that the kit does not fail on real stain, not that it is right.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from benchmarks.claims import Claim, real_folder, write_claims
from her2kit.measure import measure_slide
from her2kit.pipeline import grade_slide
from her2kit.settings import ScoreSettings

GUIDELINES = ("gastric-resection", "breast-asco-cap-2018")


def cores(real: Path, *, detector: str = "auto") -> list[Claim]:
    """Score the seven cores and their pyramids by both guidelines; check what is known of them."""
    manifest = pd.read_csv(real / "manifest.csv")
    rows = []
    for entry in manifest[manifest["file"].str.startswith(("her2_tma/", "her2_wsi/"))].to_dict("records"):
        mpp = 0.25 if entry["file"].startswith("her2_tma/") else None
        with measure_slide(real / entry["file"], ScoreSettings(mpp=mpp, detector=detector)) as measured:
            row = {"file": entry["file"], "label": entry["label"]}
            for guideline in GUIDELINES:
                record = grade_slide(measured, ScoreSettings(mpp=mpp, guideline=guideline)).record
                short = guideline.split("-")[0]
                row |= {f"{short}": record["score"], f"{short}_H": record["h_score_membrane_class"]}
                row |= {f"{short}_{k}": v for k, v in record["percent"].items()}
                row |= {"cells": record["n_cells"], f"{short}_status": record["status"]}
        rows.append(row)
    table = pd.DataFrame(rows)
    print(table.drop(columns=["label"]).round(1).to_string(index=False))
    print("Seven cores of one laboratory prove little.\n")
    core = table[table["file"].str.startswith("her2_tma/")].copy()
    core["name"] = core["file"].str.removeprefix("her2_tma/").str[:10]
    core = core.set_index("name")
    stained = 100 - core["gastric_0"]
    zero = ["0_9b0f64d1", "0_a6d0d6a6"]
    two = ["2_0123a214", "2_da5928b4"]
    low, high = [*zero, "1_154ae963"], [*two, "3_a1f1510c"]
    claims = [Claim(f"{n}: gastric score is 0", core.loc[n, "gastric"] == "0", "", "is true") for n in zero]
    claims += [Claim(f"{n}: cells at 1+ or more", stained[n], "%", "<= 1") for n in zero]
    claims += [Claim(f"{n}: gastric score is 2+", core.loc[n, "gastric"] == "2+", "", "is true") for n in two]
    claims += [Claim(f"{n}: cells at 3+", core.loc[n, "gastric_3+"], "%", "< 10") for n in two]
    claims += [
        Claim("3_a1f1510c: gastric score is 3+", core.loc["3_a1f1510c", "gastric"] == "3+", "", "is true"),
        Claim("3_a1f1510c: cells at 3+", core.loc["3_a1f1510c", "gastric_3+"], "%", ">= 50"),
        Claim(
            "1_154ae963: gastric score within one class of 1+",
            core.loc["1_154ae963", "gastric"] in ("0", "1+", "2+"),
            "",
            "is true",
        ),
    ]
    for name in high:
        gap = core.loc[name, "gastric_H"] - core.loc[low, "gastric_H"].max()
        claims.append(
            Claim(
                f"{name}: H-score above the highest of both 0 cores and the 1+ core", gap, "points", ">= 25"
            )
        )
    pairs = {"core_score0": zero[0], "core_score2_ishpos": two[0], "core_score3": "3_a1f1510c"}
    for pyramid, name in pairs.items():
        other = table.loc[table["file"] == f"her2_wsi/{pyramid}.tif", "gastric_H"].item()
        claims.append(
            Claim(
                f"{pyramid}: H-score from its JPEG",
                abs(other - core.loc[name, "gastric_H"]),
                "points",
                "<= 5",
            )
        )
    return claims


REFUSALS = (
    ("wsi/cmu-1-small-region.svs", None, "wrong_stain"),
    ("ki67/OS-1-detail.ome.tif", None, "wrong_stain"),
    ("wsi/tcga-cr-7395-no-mpp.svs", None, "mpp"),
    ("wsi/tcga-cr-7395-no-mpp.svs", 0.25, "wrong_stain"),
    ("ki67/OS-2-ndpi.ome.tif", None, "nuclear_stain"),
    ("ki67/OS-2-vsi.ome.tif", None, "nuclear_stain"),
    ("nuclei/22_2.png", 0.25, "nuclear_stain"),
    ("nuclei/34_3.png", 0.25, "nuclear_stain"),
    ("nuclei/Bladder1.png", 0.25, "nuclear_stain"),
    ("nuclei/Lung1.png", 0.25, "nuclear_stain"),
)


def refusals(real: Path, folder: Path) -> list[Claim]:
    """Check that each slide which is not a HER2 slide is refused by the right gate."""
    claims = []
    for file, mpp, gate in REFUSALS:
        path = real / file
        if file in ("nuclei/Bladder1.png", "nuclei/Lung1.png"):
            path = _first_panel(path, folder)
        settings = ScoreSettings(mpp=mpp)
        with measure_slide(path, settings) as measured:
            record = grade_slide(measured, settings).record
        found = " ".join(g["name"] for g in record["gates"] if g["level"] == "block") or record["score"]
        given = f" with mpp={mpp}" if mpp else ""
        print(f"{file + given:45} {record['status']:14} {found}")
        claims.append(Claim(f"{file}{given} is refused by {gate}", gate in found.split(), "", "is true"))
    return claims


def _first_panel(path: Path, folder: Path) -> Path:
    """Write the first 512 px panel (the IHC picture) of a six-panel picture."""
    from PIL import Image

    out = folder / path.name
    Image.open(path).convert("RGB").crop((0, 0, 512, 512)).save(out)
    return out


def speed(path: Path, name: str, *, repeats: int) -> list[Claim]:
    """Time cells and membranes of a slide, and merely reading the same boxes with OpenSlide, in one run."""
    from openslide import OpenSlide

    from her2kit.cells.detect import HALO_UM, find_cells, fit_cells
    from her2kit.slides.slide import open_slide
    from her2kit.slides.tiles import tile_grid, tissue_box
    from her2kit.slides.tissue import find_tissue
    from her2kit.slides.white_point import find_white_point

    threads = os.cpu_count() or 1
    with open_slide(path) as slide, OpenSlide(path) as plain:
        white = find_white_point(slide)
        tissue = find_tissue(slide, white)
        fit = fit_cells(slide, tissue, white, mpp=slide.mpp)
        grid = tile_grid(slide, tissue, tile_px=ScoreSettings().tile_px, halo_um=HALO_UM, mpp=slide.mpp)
        boxes = [tissue_box(slide, tissue, grid, row) for row in grid.table.itertuples()]
        tissue_px = tissue.area_mm2 * 1e6 / slide.mpp**2
        rates, ratios = [], []
        for _ in range(repeats):
            start = time.perf_counter()
            find_cells(slide, tissue, fit, threads=threads)
            ours = time.perf_counter() - start
            start = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda box: plain.read_region(box[:2], 0, box[2:]), boxes))
            rates.append(tissue_px / ours / 1e6)
            ratios.append((time.perf_counter() - start) / ours)
    return [
        Claim(f"{name}: cells and membranes, reading included", _median(rates), "Mpx tissue/s", ">= 12"),
        Claim(
            f"{name}: rate over merely reading the same boxes with OpenSlide", _median(ratios), "ratio", None
        ),
    ]


def _median(values: list[float]) -> float:
    return float(pd.Series(values).median())


def large(folder: Path, *, size_px: int = 20_000) -> list[Claim]:
    """Score a large phantom in a process of its own for its peak memory, then time its cells."""
    from her2kit.phantom.cohort import make_cohort

    cohort = make_cohort(folder / "large", slides=1, seed=404, size_px=size_px, mpp=0.25, sites=1)
    out = folder / "scores"
    command = [sys.executable, "-m", "her2kit.cli", "score", "--manifest", str(cohort), "--out", str(out)]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    slide = next((cohort.parent / "slides").glob("*.tif"))
    name = f"{size_px:,} x {size_px:,} px"
    return [
        Claim(f"{name}: peak memory", peak, "GB", "<= 1.5"),
        Claim(f"{name}: the whole command", seconds, "s", None),
        *speed(slide, name, repeats=2),
    ]


def import_time() -> list[Claim]:
    """Time ``import her2kit`` in new processes, less the interpreter's own start."""
    times = []
    for _ in range(5):
        code = "import time; t = time.perf_counter(); import her2kit; print(time.perf_counter() - t)"
        times.append(
            float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        )
    return [Claim("import her2kit", _median(times), "s", "<= 0.3")]


def main() -> None:
    """Run all parts."""
    claims = import_time()
    with tempfile.TemporaryDirectory() as name:
        real = real_folder()
        if real is not None:
            claims += cores(real) + refusals(real, Path(name))
            claims += speed(real / "her2_wsi/core_score3.tif", "3+ core", repeats=5)
        claims += large(Path(name))
    write_claims("score", claims)


if __name__ == "__main__":
    main()
