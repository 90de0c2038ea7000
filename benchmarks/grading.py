"""How well tiles are graded with the fast tier, from which stain, and whether a killed sweep resumes.

Slides and settings are those of notebook 06, over several seeds of slides, split and training; test slides
are held out by patient. A part alone: ``python -m benchmarks.grading grades``, ``inputs``, ``labels``,
``leak``, ``resnet18`` or ``sweep``; what the file says of the others is kept.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import ROOT, Claim, run_parts
from her2kit.course.data import PLAIN_CASES, phantom_cohort
from her2kit.course.grading_lab import GradeTiles, dealt, phantom_tiles
from her2kit.course.run_log import read_log
from her2kit.learning.classification import label_numbers
from her2kit.learning.evaluate import evaluate
from her2kit.learning.patch_grader import CLASSES, train
from her2kit.learning.train_settings import TrainSettings

SEEDS = (0, 1, 2)
FAST: dict[str, Any] = {
    "architecture": "test_resnet",
    "input_px": 112,
    "epochs": 12,
    "batch_size": 8,
    "lr": 3e-3,
}
"""The defaults of notebook 06."""
SLIDES, SIZE_PX, TILE_UM = 64, 448, 56.0
INPUTS: dict[str, dict[str, Any]] = {
    "H&E and IHC side by side": {"wide": True},
    "H&E and IHC squeezed into a square": {},
    "H&E and IHC as channels": {"join": "channels"},
    "IHC alone": {"modality": "ihc"},
    "H&E alone": {"modality": "he"},
}
MAIN, BOTH = "IHC alone", "H&E and IHC as channels"
CELLS = 24


@cache
def tiles_of(seed: int) -> GradeTiles:
    """Return the tiles of a cohort, dealt by patient."""
    cohort = phantom_cohort(
        slides=SLIDES, seed=seed, size_px=SIZE_PX, mpp=0.5, sites=4, cases=PLAIN_CASES, with_he=True,
        folder=ROOT / "data/notebooks",
    )  # fmt: skip
    return dealt(phantom_tiles(cohort, tile_um=TILE_UM, tile_px=FAST["input_px"]), seed=seed)


def clear_of(tiles: GradeTiles) -> GradeTiles:
    """Return the tiles whose class does not hang on one cell."""
    return tiles.where(tiles.table["clear"])


def trained(tiles: GradeTiles, seed: int, *, label: str = "label", **changes: Any) -> Any:
    """Return a grader of the fast tier, with some of its choices changed."""
    how = FAST | {name: changes.pop(name) for name in FAST if name in changes}
    settings = TrainSettings(
        epochs=how["epochs"], batch_size=how["batch_size"], lr=how["lr"], optimizer="adam", weight_decay=0.0,
        seed=seed, progress=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        return train(
            *tiles.of("train", label=label), *tiles.of("val", label=label), folder=folder, settings=settings,
            architecture=how["architecture"], size_px=how["input_px"], mpp=tiles.mpp, **changes,
        )  # fmt: skip


def figures(model: Any, tiles: GradeTiles, *, label: str = "label") -> dict[str, float]:
    """Return the figures on held-out slides."""
    pairs, names = tiles.of("test", label=label)
    found = evaluate(model.probabilities(pairs), label_numbers(names, CLASSES), CLASSES).figures()
    print(
        {name: round(found[name], 3) for name in ("accuracy", "macro_f1", "kappa_quadratic", "ece")},
        flush=True,
    )
    return found


@cache
def of_input(name: str, seed: int) -> Any:
    """Return the grader of one way to feed it."""
    print(name, f"seed {seed}", flush=True)
    return trained(clear_of(tiles_of(seed)), seed, **INPUTS[name])


def grades() -> list[Claim]:
    """Return how well the fast tier grades, and the spread that regression allows for."""
    clear = [figures(of_input(MAIN, seed), clear_of(tiles_of(seed))) for seed in SEEDS]
    every = [figures(of_input(MAIN, seed), tiles_of(seed)) for seed in SEEDS]
    accuracy = [one["accuracy"] for one in clear]
    n = len(SEEDS)
    return [
        Claim(f"grades, clear tiles of held-out slides, fast tier, median of {n}",
              statistics.median(accuracy), "accuracy", ">= 0.85"),
        Claim("grades, least of the seeds", min(accuracy), "accuracy", None),
        Claim("grades, s.d. over seeds", statistics.stdev(accuracy), "accuracy", None),
        *(Claim(f"grades, clear tiles, {name}, median of {n}", _median(clear, name), name, None)
          for name in ("macro_f1", "kappa_quadratic", "ece")),
        Claim(f"grades, tiles near a threshold among them, median of {n}", _median(every, "accuracy"),
              "accuracy", None),
    ]  # fmt: skip


def inputs() -> list[Claim]:
    """Return accuracy by what the network is fed, each a mean over seeds, and what H&E adds to IHC."""
    found = {
        name: [figures(of_input(name, seed), clear_of(tiles_of(seed)))["accuracy"] for seed in SEEDS]
        for name in INPUTS
    }
    common = [np.bincount(label_numbers(clear_of(tiles_of(seed)).of("test")[1], CLASSES)) for seed in SEEDS]
    gain = [both - alone for both, alone in zip(found[BOTH], found[MAIN], strict=True)]
    return [
        *(Claim(f"input, {name}: mean of {len(SEEDS)} seeds", statistics.mean(values), "accuracy", None)
          for name, values in found.items()),
        Claim("input, always the commonest class", statistics.mean(c.max() / c.sum() for c in common),
              "accuracy", None),
        Claim("input, both as channels less IHC alone, mean", statistics.mean(gain), "accuracy", None),
        Claim("input, both as channels less IHC alone, s.d. over seeds", statistics.stdev(gain),
              "accuracy", None),
    ]  # fmt: skip


def labels() -> list[Claim]:
    """Return what labels of slides cost: taught by either, judged by either."""
    out = []
    by_slide = {seed: trained(tiles_of(seed), seed, label="slide_label", **INPUTS[MAIN]) for seed in SEEDS}
    for taught, model in (("tiles", lambda seed: of_input(MAIN, seed)), ("slides", by_slide.get)):
        for judge, label in (("tiles", "label"), ("slides", "slide_label")):
            values = [figures(model(seed), tiles_of(seed), label=label)["accuracy"] for seed in SEEDS]
            words = f"labels, taught by those of {taught}, judged by those of {judge}: mean of {len(SEEDS)}"
            out.append(Claim(words, statistics.mean(values), "accuracy", None))
    return out


def leak() -> list[Claim]:
    """Return what H&E alone seems to know of the slide's label, split by patient and tile by tile."""
    out = []
    for unit, words in (("patient_id", "patient"), ("row", "tile")):
        values = []
        for seed in SEEDS:
            tiles = tiles_of(seed)
            parts = dealt(
                GradeTiles(tiles.table.drop(columns="split"), tiles.pairs, tiles.mpp), unit=unit, seed=seed
            )
            model = trained(parts, seed, label="slide_label", modality="he")
            values.append(figures(model, parts, label="slide_label")["accuracy"])
        out.append(Claim(f"leak, H&E alone, split by {words}: mean of {len(SEEDS)}", statistics.mean(values),
                         "accuracy", None))  # fmt: skip
    return out


def resnet18() -> list[Claim]:
    """Return what the published network reaches on the same tiles, IHC alone, one seed."""
    seed = SEEDS[0]
    clear = clear_of(tiles_of(seed))
    model = trained(clear, seed, modality="ihc", architecture="resnet18", epochs=8, lr=5e-4)
    return [
        Claim("ResNet-18, IHC alone, 8 epochs, one seed", figures(model, clear)["accuracy"], "accuracy", None)
    ]


def sweep() -> list[Claim]:
    """Return what became of a sweep of notebook 06 that was killed in the middle and resumed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "runs")
        file = Path(folder, "sweep.yaml")
        file.write_text(SWEEP)
        call = [
            sys.executable,
            "-c",
            "from her2kit.cli import main; main()",
            "run",
            "06",
            "--sweep",
            str(file),
        ]
        call += ["--tier", "smoke", "--out", str(out)]
        first = subprocess.Popen(call, cwd=ROOT)
        while _counted(out, "done") < CELLS // 2:
            if first.poll() is not None:
                raise RuntimeError(f"the sweep ended before its middle, status {first.returncode}")
            time.sleep(0.5)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        before = read_log(out)
        subprocess.run([*call, "--resume"], cwd=ROOT, check=True)
        after = read_log(out)[len(before) :]
    done = [row["run"] for row in before if row["event"] == "done"]
    finished = [row["run"] for row in [*before, *after] if row["event"] == "done"]
    again = {row["run"] for row in after if row["event"] == "started"} & set(done)
    return [
        Claim("sweep, cells done before it was killed", len(done), f"of {CELLS}", None),
        Claim("sweep, different cells done in the end", len(set(finished)), "cells", f">= {CELLS}"),
        Claim("sweep, cells done twice", len(finished) - len(set(finished)), "cells", "<= 0"),
        Claim("sweep, done cells that were started again", len(again), "cells", "<= 0"),
    ]


SWEEP = """
grid:
  modality: [ihc, he, both]
  gray: [false, true]
  imbalance: [none, oversample]
  augment: [true, false]
fixed: {labels: [tile], compared: [], he_splits: []}
"""


def _counted(out: Path, event: str) -> int:
    return sum(row["event"] == event for row in read_log(out))


def _median(found: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in found)


PARTS: dict[str, Callable[[], list[Claim]]] = {
    "grades": grades,
    "inputs": inputs,
    "labels": labels,
    "leak": leak,
    "resnet18": resnet18,
    "sweep": sweep,
}


if __name__ == "__main__":
    run_parts("grading", PARTS, sys.argv[1:])
