"""What leakage buys, how fast a large table is split and checked, and whether copies are told from strangers.

The leakage lab runs on five cohorts of phantoms, each dealt five times into development and new slides, at
the sizes of notebook 02; the slides differ by what the phantom gives them anyway. Its time is that of one
cohort, slides made from nothing included. Times are processor seconds, which neighbours on the computer
change little; nearly all runs in one thread, so an idle computer needs no longer. Copies and strangers are
tiles of real cores, where they are at hand.
"""

import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.claims import Claim, real_folder, write_claims
from her2kit.course.data import PLAIN_CASES, phantom_cohort
from her2kit.learning.features import feature_table
from her2kit.learning.leakage import check_split, find_leaks
from her2kit.learning.leakage_lab import many_deals, what_it_buys
from her2kit.learning.near_duplicates import find_pairs, hash_pictures
from her2kit.learning.splits import MIHIC_PARTS, split
from her2kit.learning.tiles import cut_tiles
from her2kit.manifest import read_manifest
from her2kit.slides.slide import open_slide

SEEDS = range(5)
SLIDES, SIZE_PX, MPP, TILE_PX = 36, 1024, 0.5, 128
"""The defaults of notebook 02."""
ROWS, SLIDES_OF_ROWS = 310_000, 2_000
"""Of a manifest as large as MIHIC's (309,698 tiles)."""


def main() -> None:
    """Measure, print and write the claims."""
    claims = [*lab(), *large_table(), *copies()]
    write_claims("splits", claims)


def lab() -> list[Claim]:
    """Run the leakage lab on five cohorts; one of them is timed."""
    predictions, gaps, seconds = [], [], 0.0
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            found = predictions_of_cohort(seed, Path(folder))
            one = what_it_buys(found)
            seconds = seconds or time.process_time() - began
        gaps.append([one["tile gap"].estimate, one["slide gap"].estimate])
        print(f"cohort {seed}: gap of the split by tile {gaps[-1][0]:+.3f}, by slide {gaps[-1][1]:+.3f}")
        predictions.append(found)
    bought = what_it_buys(pd.concat(predictions, ignore_index=True))
    spread = np.std(gaps, axis=0, ddof=1)
    claims = [Claim("leakage lab, one cohort made and dealt five times", seconds, "s", "<= 90")]
    for k, way in enumerate(("tile", "slide")):
        gap = bought[f"{way} gap"]
        claims += [
            Claim(f"split by {way}: promised", bought[f"{way} promised"].estimate, "accuracy", None),
            Claim(
                f"split by {way}: delivered on new slides",
                bought[f"{way} delivered"].estimate,
                "accuracy",
                None,
            ),
            Claim(f"split by {way}: gap", gap.estimate, "accuracy", "> 0" if way == "tile" else None),
            Claim(
                f"split by {way}: gap, low end of 95 %", gap.low, "accuracy", "> 0" if way == "tile" else None
            ),
            Claim(f"split by {way}: gap, high end of 95 %", gap.high, "accuracy", None),
            Claim(f"split by {way}: gap, s.d. over cohorts", float(spread[k]), "accuracy", None),
        ]
    return claims


def predictions_of_cohort(seed: int, folder: Path) -> pd.DataFrame:
    """Return the predictions of five deals of one cohort."""
    manifest = phantom_cohort(
        slides=SLIDES, seed=seed, size_px=SIZE_PX, mpp=MPP, cases=PLAIN_CASES, folder=folder
    )
    tiles = cut_tiles(manifest, size_px=TILE_PX, mpp=MPP, label="slide", at_least={"tumour": 0.3})
    return many_deals(tiles.table, feature_table(tiles.pixels), seeds=SEEDS)


def large_table() -> list[Claim]:
    """Load, split and check a manifest of 310,000 tiles, and search as many hashes."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        write_rows(path, rng)
        load = median_seconds(lambda: read_manifest(path, tiles=True))
        table = read_manifest(path, tiles=True)
    part = median_seconds(lambda: split(table, unit="slide_id", parts=MIHIC_PARTS))
    by_row = median_seconds(lambda: split(table, unit="row", parts=MIHIC_PARTS))
    table["split"] = split(table, unit="patient_id", parts=MIHIC_PARTS)
    slides = table[["slide_id", "split"]]
    check = median_seconds(lambda: check_split(slides))
    everything = median_seconds(lambda: check_split(table))
    leaking = table.assign(split=split(table, unit="row", parts=MIHIC_PARTS))
    named = len(find_leaks(leaking)["name"].unique())
    hashes = rng.integers(0, 1 << 63, (ROWS, 4)).astype(np.uint64)
    find_pairs(hashes[:100])
    search = median_seconds(lambda: find_pairs(hashes))
    return [
        Claim("310,000 rows: load and split by slide", load + part, "s", "<= 5"),
        Claim("310,000 rows: load and split by row", load + by_row, "s", "<= 5"),
        Claim("310,000 rows: check for leakage by slide", check, "s", "<= 2"),
        Claim("310,000 rows: check by picture, slide and patient", everything, "s", None),
        Claim("slides and patients named where a split by row leaks", named, "", f">= {SLIDES_OF_ROWS}"),
        Claim("310,000 hashes: all near pairs in eight positions", search, "s", None),
    ]


def write_rows(path: Path, rng: np.random.Generator) -> None:
    """Write a manifest of tiles: two slides a patient, seven classes."""
    slides = np.sort(rng.integers(0, SLIDES_OF_ROWS, ROWS))
    classes = np.array(["background", "tumour", "stroma", "immune", "necrosis", "alveoli", "other"])
    labels = classes[rng.integers(0, len(classes), ROWS)]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["path", "patient_id", "slide_id", "label", "mpp", "tile_id"])
        for k, (slide, label) in enumerate(zip(slides, labels, strict=True)):
            out.writerow([f"{slide}/{k}.png", f"p{slide // 2}", f"s{slide}", label, 0.5, f"t{k}"])


def copies() -> list[Claim]:
    """Count copies that are found and strangers that are taken for copies, on tiles of real cores."""
    real = real_folder()
    if real is None:
        return []
    tiles = [tile for path in sorted((real / "her2_tma").glob("*.jpg")) for tile in tiles_of(path)]
    hashes = hash_pictures(tiles)
    kept = np.flatnonzero(hashes.any(axis=1))
    pairs = len(kept) * (len(kept) - 1) // 2
    wrong = len(find_pairs(hashes[kept]))
    claims = [
        Claim("real tiles with a pattern, of all", len(kept) / len(tiles), "share", None),
        Claim("pairs of different real tiles", pairs, "", None),
        Claim("of them called copies", wrong, "", "<= 0"),
    ]
    for name, change in CHANGES.items():
        changed = hash_pictures(change(tiles[k]) for k in kept)
        pairs_found = find_pairs(np.concatenate([hashes[kept], changed]), apart=np.repeat([0, 1], len(kept)))
        found = (pairs_found["second"] - pairs_found["first"] == len(kept)).sum() / len(kept)
        claims.append(Claim(f"copies found: {name}", found, "share", None if name in BEYOND else ">= 0.95"))
    return claims


def tiles_of(path: Path) -> list[np.ndarray]:
    """Return the tiles of a core, 128 px at 0.5 um per pixel."""
    with open_slide(path, mpp=0.25) as slide:
        across, down = (side // (2 * TILE_PX) for side in (slide.width_px0, slide.height_px0))
        pixels = slide.read(0, 0, across * TILE_PX, down * TILE_PX, mpp=0.5).pixels
    rows = pixels.reshape(down, TILE_PX, across, TILE_PX, 3).swapaxes(1, 2)
    return list(np.ascontiguousarray(rows.reshape(-1, TILE_PX, TILE_PX, 3)))


def saved_again(pixels: np.ndarray) -> np.ndarray:
    """Return the picture after JPEG at quality 50."""
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG at quality 50": saved_again,
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "a tenth brighter": lambda p: np.clip(p * 1.1, 0, 255).astype(np.uint8),
    "gamma 1.3": lambda p: (255 * (p / 255) ** 1.3).astype(np.uint8),
    "turned and mirrored": lambda p: np.ascontiguousarray(np.rot90(p)[:, ::-1]),
    "cut by 2 px a side": lambda p: np.ascontiguousarray(p[2:-2, 2:-2]),
    "cut by a twentieth a side": lambda p: np.ascontiguousarray(p[6:-6, 6:-6]),
}
BEYOND = ("cut by 2 px a side", "cut by a twentieth a side")
"""Changes that the hash is not made for; printed as found."""


def median_seconds(work: Callable[[], object], *, times: int = 3) -> float:
    """Return the median of the processor seconds of some calls."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
