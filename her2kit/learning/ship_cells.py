"""The recipe of the nucleus detector that ships; ``python -m her2kit.learning.ship_cells FOLDER`` repeats it.

Fields of phantoms are drawn, YOLO11n learns to box their nuclei while stain, size, focus and noise change
from square to square, and the best epoch on fields of other laboratories is exported to ONNX with its card.
What is drawn stays in the folder, and a training that was stopped goes on.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.learning.cell_detector import DetectorSettings, train
from her2kit.learning.datasets.phantom_cells import NUCLEUS, Field, drawn_fields, field_plans
from her2kit.learning.detection import answers, judged
from her2kit.learning.detection_change import Change, StainChange, changed
from her2kit.learning.detector_export import export_detector
from her2kit.learning.export import keep
from her2kit.learning.point_boxes import LabelledPicture
from her2kit.learning.point_evaluation import report
from her2kit.learning.train_settings import TrainSettings

NAME = "cells_nucleus.onnx"
MPP, SIDE_PX = 0.5, 256
SITES, HELD_OUT_SITE = ("alder", "birch", "cedar"), "dogwood"
CHANGE = Change(
    scale=1.4,
    stain=StainChange(hematoxylin_gain=1.5, clear_od=0.08),
    blur_px=1.2,
    sharpen=1.0,
    noise=5.0,
    jpeg=(45, 95),
)
"""Of training squares: wide, since a real laboratory may lie anywhere."""
LIMITS = (
    "Trained on synthetic slides alone (her2kit.phantom: HER2, PD-L1 and a nuclear marker, randomly "
    "restained); "
    "never on a real one.",
    "Finds nuclei in hematoxylin and DAB at 0.5 um per pixel; not H&E, not fluorescence.",
    "Says where a nucleus is, not whose it is: tumour, stroma and immune cells alike.",
    "Research and teaching only, never for diagnosis.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Which fields are drawn for what."""

    fields: int
    seed: int
    sites: tuple[str, ...]


PARTS = {
    "train": Part(240, 301, SITES),
    "val": Part(24, 302, (*SITES, HELD_OUT_SITE)),
    "site": Part(16, 303, (HELD_OUT_SITE,)),
}


def ship(
    folder: Path,
    *,
    epochs: int = 18,
    crops: int = 4,
    parts: dict[str, Part] | None = None,
    resume: bool = True,
    say: Callable[[str], None] = print,
) -> Card:
    """Draw, train, judge and export; ``folder`` gets the model and its card, which is returned.

    Parameters
    ----------
    epochs, crops
        Of training, and random squares of each field an epoch.
    parts
        How many fields are drawn; None takes `PARTS`.
    resume
        Go on with a training that was stopped in ``folder``.
    say
        Told what is going on.
    """
    fields: dict[str, list[Field]] = {}
    for name, part in (parts or PARTS).items():
        say(f"{name}: {part.fields} fields")
        plans = field_plans(part.fields, seed=part.seed, sites=part.sites)
        fields[name] = drawn_fields(plans, folder / "fields" / name, mpp=MPP)
    detector = DetectorSettings(side_px=SIDE_PX, mpp=MPP, crops=crops, change=CHANGE)
    found = train(
        [f.picture for f in fields["train"]],
        [restained_square(f, seed) for seed, f in enumerate(fields["val"])],
        NUCLEUS,
        folder=folder / "training",
        settings=TrainSettings(
            epochs=epochs,
            batch_size=8,
            lr=1.5e-3,
            weight_decay=0.01,
            warmup=0.05,
            monitor="f1",
            precision="bf16-mixed",
        ),
        detector=detector,
        vectors=[f.vectors for f in fields["train"]],
        box_um="nucleus_outline",
        resume=resume,
    )
    path = folder / NAME
    card = replace(found.card, limits=LIMITS, licence="AGPL-3.0-or-later")
    export_detector(found.net, card, path)
    figures = dict(found.card.figures)
    squares = [restained_square(f, 10_000 + seed) for seed, f in enumerate(fields["site"])]
    counts = list(judged(lambda w: answers(found.net, w), squares, confidence=found.confidence))
    on_site = report(counts, NUCLEUS).figures
    figures |= {f"site_{k}": on_site[k] for k in ("f1", "precision", "recall", "centre_um")}
    say(", ".join(f"{k} {v:.3f}" for k, v in figures.items() if v is not None))
    card = replace(card, figures=figures, sha256=file_sha256(path))
    write_card(path.with_suffix(".json"), card)
    return card


def restained_square(field: Field, seed: int) -> LabelledPicture:
    """Return one fixed square of a field as another laboratory would show it."""
    pixels, boxes = changed(
        field.picture.pixels, field.picture.boxes, field.vectors,
        side_px=SIDE_PX, change=CHANGE, rng=np.random.default_rng([seed, 5]),
    )  # fmt: skip
    return LabelledPicture(pixels, boxes, MPP)


def main() -> None:
    """Make the model and, with ``--keep``, put it where the package finds it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for phantoms, training and the model")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--crops", type=int, default=4, help="squares of each field an epoch")
    parser.add_argument("--keep", action="store_true", help="replace the model in her2kit/weights")
    given = parser.parse_args()
    card = ship(given.folder, epochs=given.epochs, crops=given.crops)
    print(card.figures)
    if given.keep:
        keep(given.folder / NAME)


if __name__ == "__main__":
    main()
