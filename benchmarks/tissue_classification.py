"""How well tiles of tissue are told apart with the fast tier, and what SAM, Mixup and two faults change.

Slides and settings are those of notebook 04, over several seeds of slides and training; test slides and one
laboratory are held out. The ablation and the faults are trained on smaller pictures, all for as many
epochs, so that a computer without a GPU gets through them. The tissue map of a slide, the gate and PD-L1 are
in ``tissue``. ``python -m benchmarks.tissue_classification steps`` measures one part alone: ``held_out``,
``steps``, ``ablation`` or ``faults``; what the file says of the others is kept.
"""

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import Claim, write_claims
from her2kit.course.tissue_lab import TissueTiles, dealt, purest_tiles, tissue_cohort
from her2kit.course.training_lab import gradient_of_a_mistake
from her2kit.exchange.card import Card
from her2kit.learning.augment import Augmentation
from her2kit.learning.classification import Classification, label_numbers
from her2kit.learning.evaluate import evaluate
from her2kit.learning.model import build
from her2kit.learning.sharpness_aware import perturbed
from her2kit.learning.step_cost import step_costs
from her2kit.learning.tissue_classifier import CLASSES, train
from her2kit.learning.train_settings import TrainSettings

SEEDS = (0, 1, 2)
FAST: dict[str, Any] = {
    "architecture": "test_efficientnet",
    "input_px": 96,
    "epochs": 20,
    "batch_size": 16,
    "lr": 4e-3,
    "sam_rho": 0.0,
}
"""The defaults of notebook 04."""
SMALL = {"input_px": 48, "epochs": 10}
"""What the ablation changes, on the first `ABLATED` seeds."""
ABLATED = 2
RHOS, BATCH_SIZES = (0.05, 0.1, 0.2), (16, 64)
SLIDES, PER_CLASS, PURITY, CONTEXT = 48, 10, 0.75, 1.5
NEW_SITE, JITTER, TILE_UM = "dogwood", 0.15, 64
PARTS = ("held_out", "steps", "ablation", "faults")


def main() -> None:
    """Measure, print and write the claims."""
    parts = sys.argv[1:] or PARTS
    if strange := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"{strange[0]!r} is no part of this benchmark; use {', '.join(PARTS)}")
    write_claims("tissue_classification", claims(parts), part=parts != PARTS)


def claims(parts: Sequence[str] = PARTS) -> list[Claim]:
    """Return the claims of some parts about tile classification."""
    found: list[Claim] = []
    trained: dict[Any, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        seeds = SEEDS if "held_out" in parts else SEEDS[:ABLATED] if set(parts) - {"steps"} else ()
        tiles = {seed: tiles_of(seed, Path(folder)) for seed in seeds}
        few = {seed: tiles[seed] for seed in seeds[:ABLATED]}
        if "held_out" in parts:
            found += held_out(tiles)
        if "steps" in parts:
            found += [*definition(), *step_ratios()]
        if "ablation" in parts:
            found += ablation(few, trained)
        if "faults" in parts:
            found += faults(few, trained)
    return found


def tiles_of(seed: int, folder: Path) -> TissueTiles:
    """Return the tiles of a cohort, dealt by patient with one laboratory put aside."""
    cohort = tissue_cohort(slides=SLIDES, seed=seed, size_px=1280, folder=folder)
    tiles = purest_tiles(
        cohort, size_px=TILE_UM, mpp=1.0, per_class=PER_CLASS, purity=PURITY, context=CONTEXT
    )
    return dealt(tiles, new_site=NEW_SITE, seed=seed)


def score(tiles: TissueTiles, seed: int, **changes: Any) -> dict[str, float]:
    """Train once and return macro-F1 on held-out slides (``test``) and at the new laboratory (``site``)."""
    how = FAST | {"mix": "none", "softmax_first": False, "small": 1.0} | changes
    settings = TrainSettings(
        epochs=how["epochs"], batch_size=how["batch_size"], lr=how["lr"], sam_rho=how["sam_rho"], seed=seed,
        progress=False,
    )  # fmt: skip
    augmentation = Augmentation(jitter=JITTER, mix=how["mix"], small=how["small"])
    with tempfile.TemporaryDirectory() as folder:
        model = train(
            *tiles.of("train"), *tiles.of("val"), folder=folder, settings=settings,
            class_names=tiles.class_names, architecture=how["architecture"], size_px=how["input_px"],
            mpp=TILE_UM * CONTEXT / how["input_px"], softmax_first=how["softmax_first"],
            augmentation=augmentation,
        )  # fmt: skip
        found = {}
        for part in ("test", "site"):
            pixels, names = tiles.of(part)
            truth = label_numbers(names, tiles.class_names)
            figures = evaluate(model.probabilities(pixels), truth, tiles.class_names).figures()
            found[part] = figures["macro_f1"]
    print({name: value for name, value in changes.items()} or "defaults", f"seed {seed}", found, flush=True)
    return found


def held_out(tiles: Mapping[int, TissueTiles]) -> list[Claim]:
    """Return macro-F1 with the fast tier: median over seeds, and the spread that regression allows for."""
    found = [score(of, seed) for seed, of in tiles.items()]
    out = []
    for part, words in (("test", "held-out slides"), ("site", "a held-out laboratory")):
        values = [one[part] for one in found]
        out += [
            Claim(f"tissue, {words}, fast tier, median of {len(values)}", statistics.median(values),
                  "macro-F1", ">= 0.9"),
            Claim(f"tissue, {words}, s.d. over seeds", statistics.stdev(values), "macro-F1", None),
        ]  # fmt: skip
    return out


def definition() -> list[Claim]:
    """Return how far SAM's perturbed point lies from Foret's equation 2, worked out by hand in float64."""
    import torch

    torch.manual_seed(0)
    net = build(FAST["architecture"], len(CLASSES)).double()
    pictures, target = torch.randn(4, 3, 64, 64, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    torch.nn.functional.cross_entropy(net(pictures), target).backward()
    weights = [p for p in net.parameters() if p.grad is not None]
    before = [p.detach().clone() for p in weights]
    length = sum(float((p.grad**2).sum()) for p in weights if p.grad is not None) ** 0.5
    worst = 0.0
    with perturbed(weights, rho=0.05):
        for p, w in zip(weights, before, strict=True):
            if p.grad is not None:
                worst = max(worst, float((p.detach() - (w + 0.05 * p.grad / length)).abs().max()))
    back = all(torch.equal(p, w) for p, w in zip(weights, before, strict=True))
    return [
        Claim("SAM: perturbed point against the definition, worst weight", worst, "", "<= 1e-6"),
        Claim("SAM: weights after the step's first half are those before", back, "", "is true"),
    ]


def step_ratios() -> list[Claim]:
    """Return time and memory of a training step against a plain one, on the same batch."""
    import torch

    rng = np.random.default_rng(0)
    full = torch.from_numpy(rng.integers(0, 256, (32, 3, 128, 128), dtype=np.uint8))
    batch = [full, torch.from_numpy(rng.integers(0, len(CLASSES), 32))]
    half = [full[..., ::2, ::2].contiguous(), batch[1]]
    plain = TrainSettings(batch_size=32, accelerator="cpu", channels_last=False, precision="32-true")

    def choice(sample: list[Any], **changes: Any) -> tuple[Classification, list[Any], TrainSettings]:
        from dataclasses import replace

        card = Card("tissue_classifier", FAST["architecture"], CLASSES, input_px=128)
        return (
            Classification(build(FAST["architecture"], len(CLASSES)), card),
            sample,
            replace(plain, **changes),
        )

    costs = step_costs(
        {
            "plain": choice(batch),
            "SAM": choice(batch, sam_rho=0.05),
            "channels_last": choice(batch, channels_last=True),
            "bfloat16": choice(batch, precision="bf16-mixed"),
            "half the side (progressive resizing)": choice(half),
        },
        rounds=9,
    )
    out = [
        Claim(f"step, {name}: time", float(row["ratio"]), "plain steps", None)
        for name, row in costs.iloc[1:].iterrows()
    ]
    return out + [
        Claim(f"step, {name}: memory kept", float(row["saved_ratio"]), "of a plain step", None)
        for name, row in costs.iloc[1:].iterrows()
    ]


def ablation(tiles: Mapping[int, TissueTiles], trained: dict[Any, dict[str, float]]) -> list[Claim]:
    """Return macro-F1 on held-out slides of plain, SAM, Mixup and both, and of rho by batch size."""
    ways: dict[str, dict[str, Any]] = {
        "plain": {"sam_rho": 0.0},
        "SAM": {"sam_rho": 0.05},
        "Mixup": {"sam_rho": 0.0, "mix": "mixup"},
        "SAM and Mixup": {"sam_rho": 0.05, "mix": "mixup"},
        "SAM, progressive resizing": {"sam_rho": 0.05, "small": 0.5},
    }
    for batch_size in BATCH_SIZES:
        for rho in RHOS:
            ways[f"SAM, rho {rho:g}, batch {batch_size}"] = {"sam_rho": rho, "batch_size": batch_size}
    out = []
    for words, changes in ways.items():
        values = [_once(of, seed, changes, trained) for seed, of in tiles.items()]
        out.append(
            Claim(
                f"ablation, {words}: mean of {len(values)} seeds", statistics.mean(values), "macro-F1", None
            )
        )
    return out


def faults(tiles: Mapping[int, TissueTiles], trained: dict[Any, dict[str, float]]) -> list[Claim]:
    """Return what the published code's two faults cost, each seed against itself, and the lost pull."""
    right = {"sam_rho": 0.05}
    ways: dict[str, dict[str, Any]] = {
        "softmax before cross-entropy": right | {"softmax_first": True},
        "SAM off": {"sam_rho": 0.0},
        "both": {"softmax_first": True, "sam_rho": 0.0},
    }
    out = []
    for words, changes in ways.items():
        lost = [
            _once(of, seed, right, trained) - _once(of, seed, changes, trained) for seed, of in tiles.items()
        ]
        out.append(
            Claim(f"fault, {words}: lost, mean of {len(lost)} seeds", statistics.mean(lost), "macro-F1", None)
        )
    pull = gradient_of_a_mistake([-8.0]).iloc[0]
    share = float(pull["softmax first"] / pull["logits"])
    return [
        *out,
        Claim("fault, softmax first: pull on a mistake of margin 8", share, "of the right one", "< 0.05"),
    ]


def _once(
    tiles: TissueTiles, seed: int, changes: Mapping[str, Any], trained: dict[Any, dict[str, float]]
) -> float:
    """Return macro-F1 on held-out slides; what differs from the defaults in name alone is trained once."""
    how = FAST | SMALL | changes
    key = seed, *sorted((name, str(value)) for name, value in how.items())
    if key not in trained:
        trained[key] = score(tiles, seed, **SMALL | changes)
    return trained[key]["test"]


if __name__ == "__main__":
    main()
