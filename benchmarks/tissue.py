"""Tissue: the model that ships, the gate that it makes, speed, PD-L1. Writes ``reports/bench/tissue.json``.

Everything here is a phantom: what holds of them need not hold of real tissue. A part alone:
``python -m benchmarks.tissue gate``, or ``pdl1``, ``model``, ``speed``, ``pdl1_pixels``.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.claims import Claim, run_parts
from her2kit.exchange.parquet import read_table
from her2kit.measure import measure_slide
from her2kit.pdl1 import score_pdl1
from her2kit.phantom.cohort import make_cohort, plan_cohort
from her2kit.phantom.plan import PAIRS, Fractions, Mix, Plan
from her2kit.phantom.slide import make_slide
from her2kit.pipeline import grade_slide
from her2kit.regions.network import shipped_network
from her2kit.regions.tissue_map import HALO_PX, TILE_PX, map_tissue
from her2kit.scoring.pdl1 import pdl1_score
from her2kit.settings import ScoreSettings
from her2kit.slides.bulk import read_tiles
from her2kit.slides.slide import open_slide
from her2kit.slides.tiles import tile_grid
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point

THREADS = os.cpu_count() or 1
GATE_SEED, PDL1_SEED, UNSEEN_SEED = 616, 617, 618
"""Seeds that no training and no threshold has seen."""
SCORES = ("tps", "cps", "tap")


def model(slides: int = 12) -> list[Claim]:
    """Judge the model that ships on new slides of its three sites, and of a site that it never saw."""
    from her2kit.learning.ship_tissue import HELD_OUT_SITE, NAME, SITES, Part, drawn, judged

    path = Path(make_cohort.__code__.co_filename).parents[1] / "weights" / NAME
    claims = [Claim("the model that ships: its file", path.stat().st_size / 1e6, "MB", "<= 10")]
    with tempfile.TemporaryDirectory() as folder:
        for words, part in (
            ("new slides", Part(slides, UNSEEN_SEED, SITES, mpp=None)),
            ("a new site", Part(slides, UNSEEN_SEED + 1, (HELD_OUT_SITE,), site_jitter=0.0, mpp=None)),
        ):
            found = judged(path, *drawn(Path(folder, words), part, workers=THREADS))
            print(f"  {words}: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()), flush=True)
            claims += [
                Claim(f"the model that ships, {words}: mean Dice", found["mean_dice"], "", ">= 0.75"),
                Claim(f"the model that ships, {words}: Dice of tumour", found["dice_tumour"], "", None),
                Claim(
                    f"the model that ships, {words}: Dice of in situ and normal",
                    found["dice_other"],
                    "",
                    None,
                ),
            ]
    return claims


def gate_plans(slides: int, *, size_px: int = 3072) -> list[Plan]:
    """Return slides with carcinoma in situ and normal glands, whose stain knows nothing of the score.

    Four cases in turn (0, 1+, 2+, 3+); carcinoma in situ is unstained, or stained in any measure up to 3+.
    """
    plans = plan_cohort(
        slides=slides, seed=GATE_SEED, size_px=size_px, cases=("0-null", "1+", "2+", "3+"), sites=2
    )
    rng = np.random.default_rng(GATE_SEED)
    out = []
    for plan in plans:
        mix = Mix(
            invasive=float(rng.uniform(0.3, 0.5)),
            in_situ=float(rng.uniform(0.06, 0.18)),
            normal=float(rng.uniform(0.04, 0.12)),
            immune=0.03,
            fat=float(rng.uniform(0, 0.1)),
        )
        strong = float(max(0.0, rng.uniform(-0.5, 1)))
        shares: Fractions = {PAIRS[0]: 1 - strong, ("complete", "moderate"): 0.2 * strong}
        out.append(replace(plan, mix=mix, in_situ_fractions=shares | {("complete", "intense"): 0.8 * strong}))
    return out


def gate(slides: int = 100) -> list[Claim]:
    """Score slides with the mapped tumour, without any, and with the planted outlines."""
    from scipy.stats import binomtest

    rows = []
    for plan in gate_plans(slides):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            planted = make_slide(plan, folder, workers=THREADS)
            settings = ScoreSettings(tumour="auto", control="valid")
            drawn = str(folder / "truth" / plan.slide_id / "tumour.geojson")
            with measure_slide(folder / "slides" / f"{plan.slide_id}.tif", settings) as measured:
                scores = {
                    words: grade_slide(measured, replace(settings, tumour=tumour)).record["score"]
                    for words, tumour in (("auto", "auto"), ("none", "none"), ("planted", drawn))
                }
        rows.append({"slide": plan.slide_id, "site": plan.site.name, "truth": planted["score"], **scores})
        print("  ", *rows[-1].values(), flush=True)
    table = pd.DataFrame(rows)
    right = {words: table[words] == table["truth"] for words in ("auto", "none", "planted")}
    print(pd.DataFrame(right).groupby(table["truth"]).mean().round(2))
    better, worse = int((right["auto"] & ~right["none"]).sum()), int((~right["auto"] & right["none"]).sum())
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return [
        Claim(f"{slides} slides with in situ: right with the gate", 100 * right["auto"].mean(), "%", ">= 95"),
        Claim("the same without the gate", 100 * right["none"].mean(), "%", None),
        Claim("the same with the planted outlines", 100 * right["planted"].mean(), "%", None),
        Claim(f"gate mends {better} and spoils {worse}: McNemar's p, exact", p, "", "< 0.01"),
    ]  # fmt: skip


def speed(size_px: int = 20_000, *, repeats: int = 2) -> list[Claim]:
    """Time the tissue map of a large slide, and merely reading the same tiles, in one run."""
    network = shipped_network(threads=THREADS)
    with tempfile.TemporaryDirectory() as folder:
        manifest = make_cohort(
            Path(folder, "large"), slides=1, seed=404, size_px=size_px, mpp=0.25, sites=1, workers=THREADS
        )
        with open_slide(next((manifest.parent / "slides").glob("*.tif"))) as slide:
            tissue = find_tissue(slide, find_white_point(slide))
            mpp = network.mpp
            grid = tile_grid(slide, tissue, tile_px=TILE_PX, halo_um=HALO_PX * mpp, mpp=mpp)
            times: dict[str, list[float]] = {"map": [], "read": []}
            for _ in range(repeats):
                start = time.perf_counter()
                map_tissue(slide, tissue, network)
                times["map"].append(time.perf_counter() - start)
                start = time.perf_counter()
                for _ in read_tiles(slide, grid):
                    pass
                times["read"].append(time.perf_counter() - start)
    mapping, reading = np.median(times["map"]), np.median(times["read"])
    return [
        Claim(f"tissue map of {size_px:,} x {size_px:,} px, {THREADS} cores", mapping, "s", "<= 60"),
        Claim("the same over merely reading its tiles", mapping / reading, "ratio", None),
    ]


def pdl1_plans(slides: int, *, size_px: int = 2048) -> list[Plan]:
    """Return PD-L1 slides with 0 to 95 % of tumour and 0 to 60 % of immune cells positive."""
    rng = np.random.default_rng(PDL1_SEED)
    plans = plan_cohort(slides=slides, seed=PDL1_SEED, size_px=size_px, stain="pdl1", cases=("2+",))
    return [
        replace(plan, positive=(float(rng.uniform(0, 0.95)), float(rng.uniform(0, 0.6)))) for plan in plans
    ]


def pdl1(slides: int = 20) -> list[Claim]:
    """Hold TPS, CPS and TAP of the planted cells and tissue against the phantom's own rule."""
    rows = []
    for plan in pdl1_plans(slides):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            planted = make_slide(plan, folder, workers=THREADS)["pdl1"]
            truth = folder / "truth" / plan.slide_id
            raster = np.asarray(cv2.imread(str(truth / "regions.png"), cv2.IMREAD_GRAYSCALE))
            cells = read_table(truth / "cells.parquet")
            found = pdl1_score(cells, stain="pdl1", mpp=plan.pixel_um, tissue_map=raster).record()
        row = {
            f"{score}{words}": of[score]
            for score in SCORES
            for words, of in (("", planted), (" found", found))
        }
        rows.append({"slide": plan.slide_id, **row})
        print("  ", *(f"{v:.1f}" if isinstance(v, float) else v for v in rows[-1].values()), flush=True)
    return [
        Claim(f"{score.upper()} of {slides} slides, from planted cells: most off", off, "points", "<= 3")
        for score, off in _most_off(pd.DataFrame(rows)).items()
    ]


def pdl1_pixels(slides: int = 20) -> list[Claim]:
    """The same from pixels alone, as ``her2kit pdl1`` does it: classical cells, mapped tissue."""
    rows = []
    for plan in pdl1_plans(slides):
        with tempfile.TemporaryDirectory() as name:
            planted = make_slide(plan, Path(name), workers=THREADS)["pdl1"]
            found = score_pdl1(Path(name, "slides", f"{plan.slide_id}.tif")).record
        if found["status"] == "scored":
            rows.append({f"{s}{w}": of[s] for s in SCORES for w, of in (("", planted), (" found", found))})
        print("  ", *(f"{s} {planted[s]:.1f} {found.get(s)}" for s in SCORES), flush=True)
    claims = [Claim("PD-L1 slides scored from pixels", float(len(rows)), f"of {slides}", None)]
    for score, off in _most_off(pd.DataFrame(rows)).items():
        claims.append(Claim(f"{score.upper()} from pixels: most off", off, "points", None))
    return claims


def _most_off(table: pd.DataFrame) -> dict[str, float]:
    return {s: float((table[f"{s} found"] - table[s]).abs().max()) for s in SCORES}


PARTS = {f.__name__: f for f in (pdl1, model, gate, speed, pdl1_pixels)}


if __name__ == "__main__":
    run_parts("tissue", PARTS, sys.argv[1:])
