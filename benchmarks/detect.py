"""The cell detector: on labelled real pictures beside the classical one, on real cores, ONNX beside torch,
lesson.

``python -m benchmarks.detect`` runs all; ``python -m benchmarks.detect real cores onnx lesson review
colour`` runs the parts that are named, and keeps what the file says of the others. The labelled pictures are
four Ki67 fields: they judge what ships, and nothing was trained or chosen on them. Four pictures prove
little.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from benchmarks.claims import Claim, real_folder, run_parts
from benchmarks.nuclei import HIT_UM, MPP, f1, labelled
from benchmarks.score import cores
from her2kit.cells.boxes import boxes_of
from her2kit.cells.classical import SETTINGS, find_nuclei, fit_nuclei
from her2kit.cells.matching import match_points
from her2kit.cells.network import CellNetwork, load_cell_network, shipped_path
from her2kit.learning.detection import answers
from her2kit.settings import AUTO_DETECTOR
from her2kit.slides.white_point import DEFAULT_WHITE
from her2kit.stain.separation import RUIFROK_JOHNSTON, separate

SEEDS = (0, 1, 2, 3, 4)
REPEATS = 7


def real(folder: Path) -> list[Claim]:
    """Judge both detectors on the labelled pictures, hits within 4 um, one to one."""
    network = load_cell_network()
    rows: dict[str, dict[str, tuple[int, int, int]]] = {"classical": {}, "network": {}}
    for name, (pixels, centres) in labelled(folder).items():
        for way, points in (("classical", classical(pixels)), ("network", located(pixels, network))):
            pairs = match_points(centres * MPP, points, max_distance=HIT_UM)
            rows[way][name] = (pairs.n_hits, pairs.n_found, pairs.n_truth)
    claims, pooled = [], {}
    for way, found in rows.items():
        table = pd.DataFrame.from_dict(found, orient="index", columns=["hits", "found", "true"])
        print(way)
        print(table.assign(F1=[round(f1(table.loc[[n]]), 3) for n in table.index]).to_string())
        pooled[way] = f1(table)
        claims += [Claim(f"{way}: F1 of {n}", f1(table.loc[[n]]), "F1", None) for n in table.index]
    claims.append(Claim("classical: pooled F1 on real pictures", pooled["classical"], "F1", None))
    claims.append(Claim("network: pooled F1 on real pictures", pooled["network"], "F1", ">= 0.88"))
    return claims


def classical(pixels: np.ndarray) -> np.ndarray:
    """Return the nuclei of a Ki67 picture in um, by the classical detector."""
    maps = separate(pixels, DEFAULT_WHITE, RUIFROK_JOHNSTON)
    fit = fit_nuclei([maps], mpp=MPP, marker="nuclear", settings=SETTINGS["nuclear"])
    return find_nuclei(maps, fit, mpp=MPP).table[["x_px", "y_px"]].to_numpy() * MPP


def located(pixels: np.ndarray, network: CellNetwork) -> np.ndarray:
    """Return the nuclei of a picture in um, by a network at its own mpp."""
    scale = MPP / network.mpp
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return network.boxes(small, mpp=network.mpp).xywh[:, :2] * network.mpp


def on_cores(folder: Path) -> list[Claim]:
    """Hold what ``score`` claims of the real cores against slides whose nuclei the network located."""
    found = cores(folder, detector="network")
    broken = [c for c in found if c.holds is False]
    for c in broken:
        print(f"with the network: {c.claim}: {c.value:g} {c.unit}, bound {c.bound}")
    claims = [Claim("network: claims about real cores that fail", len(broken), "claims", None)]
    return [*claims, Claim("auto is the network", AUTO_DETECTOR == "network", "", None)]


def onnx_beside_torch() -> list[Claim]:
    """Time a picture of 1,024 px by onnxruntime and by torch, on all threads and on one; compare cells."""
    import torch

    from her2kit.learning.detector_export import tensors_of
    from her2kit.learning.yolo_offline import detection_network

    network = load_cell_network()
    net = detection_network(network.card.architecture, len(network.card.class_names)).eval()
    net.load_state_dict(tensors_of(shipped_path()), strict=False)
    pixels = field_of_cells(1024)[None]
    ratios = {n: times_faster(net, pixels, threads=n) for n in (torch.get_num_threads(), 1)}
    one, two = (
        boxes_of(run(pixels)[0], confidence=network.confidence)
        for run in (network.answer, lambda p: answers(net, p))
    )
    pairs = match_points(two.xywh[:, :2].astype(float), one.xywh[:, :2].astype(float), max_distance=1.0)
    print(f"{len(one)} cells by onnxruntime, {len(two)} by torch")
    same = pairs.n_hits == len(one) == len(two)
    return [
        *[
            Claim(f"torch's time over onnxruntime's, 1,024 px, {n} thread(s)", ratio, "ratio", ">= 2")
            for n, ratio in ratios.items()
        ],
        Claim("onnxruntime finds the cells that torch finds, within 1 px", same, "", "is true"),
        Claim("size of the shipped detector", shipped_path().stat().st_size / 1e6, "MB", "<= 12"),
    ]


def times_faster(net: Any, pixels: np.ndarray, *, threads: int) -> float:
    """Return torch's time over onnxruntime's, medians of turns that alternate."""
    import torch

    network, before = load_cell_network(threads=threads), torch.get_num_threads()
    torch.set_num_threads(threads)
    seconds: dict[str, list[float]] = {"onnx": [], "torch": []}
    for _ in range(REPEATS):
        for way, run in (("onnx", network.answer), ("torch", lambda p: answers(net, p))):
            began = time.perf_counter()
            run(pixels)
            seconds[way].append(time.perf_counter() - began)
    torch.set_num_threads(before)
    return float(np.median(seconds["torch"]) / np.median(seconds["onnx"]))


def field_of_cells(side_px: int) -> np.ndarray:
    """Return a phantom's tissue at 0.5 um/px, uint8 (side_px, side_px, 3)."""
    from her2kit.phantom.cohort import make_cohort
    from her2kit.slides.slide import open_slide

    with tempfile.TemporaryDirectory() as folder:
        made = make_cohort(Path(folder) / "c", slides=1, seed=5, size_px=side_px, mpp=0.5, sites=1)
        with open_slide(next((made.parent / "slides").glob("*.tif"))) as slide:
            return slide.read(0, 0, side_px, side_px, mpp=0.5).pixels


def lesson() -> list[Claim]:
    """Train notebook 09's detector over several seeds, on labels before and after a review."""
    from her2kit.course import detect_lab as lab

    rows = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(lab.lesson_figures(seed=seed, folder=Path(folder)))
            print({k: round(v, 3) for k, v in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    gain = table["after_macro_f1"] - table["before_macro_f1"]
    return [
        Claim("lesson: F1 of points on held-out slides, mean of seeds", table["f1"].mean(), "F1", ">= 0.85"),
        Claim("lesson: macro-F1 of grades, mean of seeds", table["after_macro_f1"].mean(), "F1", ">= 0.70"),
        Claim("lesson: lowest macro-F1 of grades", table["after_macro_f1"].min(), "F1", None),
        Claim("lesson: macro-F1 on labels before the review", table["before_macro_f1"].mean(), "F1", None),
        Claim("lesson: lowest gain of the review over seeds", gain.min(), "F1", "> 0"),
        Claim(
            "lesson: macro-F1, located cells, membranes measured",
            table["membrane_macro_f1"].mean(),
            "F1",
            None,
        ),
    ]


def colour() -> list[Claim]:
    """Train once with R1's jitter of saturation and value, once without: what it costs in grades."""
    from her2kit.course import detect_lab as lab
    from her2kit.learning.cell_detector import R1

    with tempfile.TemporaryDirectory() as folder:
        plain = lab.lesson_figures(seed=0, folder=Path(folder) / "plain", before=False)
        change = replace(lab.LESSON.change, hsv=R1.change.hsv)
        jitter = lab.lesson_figures(seed=0, folder=Path(folder) / "jitter", before=False, change=change)
    cost = plain["after_macro_f1"] - jitter["after_macro_f1"]
    return [Claim("macro-F1 of grades that R1's jitter of colour costs, one seed", cost, "F1", None)]


def calls() -> list[Claim]:
    """Train the auto-labelling detector at its fast tier, on phantom PD-L1, and judge it on another site."""
    from her2kit.learning import pdl1_detector as pdl1
    from her2kit.learning.yolo_offline import shipped_start

    with tempfile.TemporaryDirectory() as folder:
        learned, chosen = pdl1.phantom_pictures(32, seed=401), pdl1.phantom_pictures(6, seed=402)
        judging = pdl1.phantom_pictures(6, seed=403, sites=(pdl1.HELD_OUT_SITE,))
        figures = pdl1.train_calls(learned, chosen, judging, Path(folder), start=shipped_start()).figures
    return [
        Claim(
            f"auto-labelling detector, phantom PD-L1 of a new site: {name}",
            float(figures[key] or 0),
            "F1",
            None,
        )
        for name, key in (("F1 of points", "test_f1"), ("macro-F1 of its three calls", "test_macro_f1"))
    ]


PARTS: dict[str, Callable[[], list[Claim]]] = {
    "real": lambda: real(folder) if (folder := real_folder()) else [],
    "cores": lambda: on_cores(folder) if (folder := real_folder()) else [],
    "onnx": onnx_beside_torch,
    "lesson": lesson,
    "colour": colour,
    "calls": calls,
}


if __name__ == "__main__":
    run_parts("detect", PARTS, sys.argv[1:])
