"""Nuclei against hand-made labels, on HER2 cores, and their speed; writes ``reports/bench/nuclei.json``.

Four labelled Ki67 pictures (DeepLIIF), hit within 4 um, one to one. "One setting" is the kit's own; "left
out" is the picture's score with the free settings chosen on the other three from a small grid, which
tells how much of the figure is tuning. Four pictures prove little. The HER2 cores have no labels: counts
and sizes only.
"""

import dataclasses
import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.claims import Claim, real_folder, write_claims
from her2kit.cells.classical import SETTINGS, NucleusSettings, find_nuclei, fit_nuclei
from her2kit.cells.matching import match_points
from her2kit.slides.white_point import DEFAULT_WHITE
from her2kit.stain.separation import RUIFROK_JOHNSTON, StainMaps, fit_stain_vectors, separate

MPP = 0.25
HIT_UM = 4.0
PICTURES = ("Bladder1", "Lung1", "22_2", "34_3")
GRID = {
    "contrast_share": (0.2, 0.25, 0.3, 0.4),
    "smooth_um": (0.25, 0.35, 0.5),
    "open_um": (0.5, 0.75),
    "window_um": (12.0, 16.0),
    "floor_od": (0.015, 0.025),
}
CORE_WHITE = (234.0, 233.0, 243.0)  # measured on the cores' own glass

Labelled = dict[str, tuple[np.ndarray, np.ndarray]]


def labelled(real: Path) -> Labelled:
    """Read the pictures and the centres (x, y) in pixels of their labelled nuclei."""
    out = {}
    for name in PICTURES:
        pixels = _rgb(real / "nuclei" / f"{name}.png")
        if pixels.shape[1] > 512:  # six panels: the picture first, the labels last
            pixels, truth = pixels[:, :512], pixels[:, -512:]
        else:
            truth = _rgb(real / "nuclei" / f"{name}_truth.png")
        red, green, blue = (truth[..., c] > 128 for c in range(3))
        body = (red | blue) & ~green  # green is the edge
        _, _, stats, centres = cv2.connectedComponentsWithStats(body.astype(np.uint8), connectivity=4)
        real_ones = stats[1:, cv2.CC_STAT_AREA] >= 20  # smaller: broken pieces of an edge
        out[name] = (np.ascontiguousarray(pixels), centres[1:][real_ones] + 0.5)
    return out


def score(
    maps: dict[str, StainMaps], truth: dict[str, np.ndarray], settings: NucleusSettings, *, mpp: float
) -> pd.DataFrame:
    """Count hits, found and true nuclei of each picture."""
    rows = {}
    for name, m in maps.items():
        fit = fit_nuclei([m], mpp=mpp, marker="nuclear", settings=settings)
        points = find_nuclei(m, fit, mpp=mpp).table[["x_px", "y_px"]].to_numpy() * mpp
        matches = match_points(truth[name], points, max_distance=HIT_UM)
        rows[name] = (matches.n_hits, matches.n_found, matches.n_truth)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["hits", "found", "true"])


def f1(table: pd.DataFrame) -> float:
    """Return the F1 of all rows together."""
    return float(2 * table["hits"].sum() / (table["found"].sum() + table["true"].sum()))


def against_labels(real: Path) -> list[Claim]:
    """Score the four pictures with one setting, at other resolutions, and with each picture left out."""
    pictures = labelled(real)
    truth = {name: centres * MPP for name, (_, centres) in pictures.items()}

    def at(mpp: float) -> dict[str, StainMaps]:
        scale, how = MPP / mpp, cv2.INTER_AREA if mpp > MPP else cv2.INTER_LINEAR
        resized = {
            name: cv2.resize(p, None, fx=scale, fy=scale, interpolation=how) if mpp != MPP else p
            for name, (p, _) in pictures.items()
        }
        return {name: separate(p, DEFAULT_WHITE, RUIFROK_JOHNSTON) for name, p in resized.items()}

    base = SETTINGS["nuclear"]
    table = score(at(MPP), truth, base, mpp=MPP)
    print(table.assign(F1=[round(f1(table.loc[[name]]), 3) for name in table.index]).to_string())
    claims = [Claim("pooled F1, one setting", f1(table), "F1", ">= 0.84")]
    for name in table.index:
        claims.append(Claim(f"F1 of {name}, one setting", f1(table.loc[[name]]), "F1", ">= 0.7"))
    for mpp in (0.2, 0.389, 0.5):
        pooled = f1(score(at(mpp), truth, base, mpp=mpp))
        claims.append(Claim(f"pooled F1 at {mpp} um/px", pooled, "F1", ">= 0.8"))
    tried = []
    maps = at(MPP)
    for values in itertools.product(*GRID.values()):
        settings = dataclasses.replace(base, **dict(zip(GRID, values, strict=True)))
        tried.append(score(maps, truth, settings, mpp=MPP))
    left_out = []
    for name in PICTURES:
        best = max(tried, key=lambda t: f1(t.drop(index=name)))
        left_out.append(best.loc[[name]])
    every, out = sorted(f1(t) for t in tried), f1(pd.concat(left_out))
    return [
        *claims,
        Claim("pooled F1, each picture left out of the tuning", out, "F1", ">= 0.78"),
        Claim(f"lowest pooled F1 of {len(tried)} settings", every[0], "F1", None),
        Claim(f"median pooled F1 of {len(tried)} settings", every[len(every) // 2], "F1", None),
    ]


def on_cores(real: Path) -> list[Claim]:
    """Count and size nuclei on the HER2 cores, and time the detector on one of them."""
    rows, claims = {}, []
    for path in sorted((real / "her2_tma").glob("*.jpg")):
        pixels = _rgb(path)[600:4900, 600:4900]
        thin = pixels[::8, ::8].reshape(-1, 3)
        vectors = fit_stain_vectors(thin[thin.min(axis=1) < 215], CORE_WHITE)
        maps = separate(np.ascontiguousarray(pixels), CORE_WHITE, vectors)
        fit = fit_nuclei([maps.crop(slice(1000, 3000), slice(1000, 3000))], mpp=MPP)
        began = time.thread_time()
        nuclei = find_nuclei(maps, fit, mpp=MPP)
        seconds = time.thread_time() - began
        table, field = nuclei.table, round(100 / MPP)
        count = np.histogram2d(
            table["y_px"], table["x_px"], bins=[np.arange(0, s + 1, field) for s in maps.shape]
        )[0]
        per_mm2 = count.ravel() / 0.01  # fields of 100 um
        rows[path.stem[:10]] = {
            "nuclei": len(table),
            "area um2": table["area_um2"].median(),
            "axis ratio": table["axis_ratio"].median(),
            "per mm2, cellular": np.median(per_mm2[per_mm2 > 3000]) if (per_mm2 > 3000).any() else np.nan,
            **nuclei.rejected["reason"].value_counts().to_dict(),
            "Mpx/s": maps.dab.size / 1e6 / seconds,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").fillna(0)
    print(table.round(2).to_string())
    claims.append(Claim("lowest median nuclear area of a HER2 core", table["area um2"].min(), "um2", None))
    claims.append(Claim("highest median nuclear area of a HER2 core", table["area um2"].max(), "um2", None))
    claims.append(Claim("nuclei, one thread, best of the cores", table["Mpx/s"].max(), "Mpx/s", ">= 10"))
    return claims


def _rgb(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    folder = real_folder()
    write_claims("nuclei", [*against_labels(folder), *on_cores(folder)] if folder else [])
