"""The recipe of the tissue model that ships; ``python -m her2kit.learning.ship_tissue FOLDER`` repeats it.

Phantoms of three sites are drawn, a small segmenter is trained on their overviews, judged on slides and on a
site that it has not seen, and exported to ONNX with its card. What is drawn and trained stays in the folder,
so that a run that was stopped goes on.

References
----------
Loshchilov I, Hutter F. SGDR: stochastic gradient descent with warm restarts. ICLR 2017.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from her2kit.cells.table import TISSUES
from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.exchange.whole import whole_file
from her2kit.learning.augment import Augmentation
from her2kit.learning.datasets.phantom_overviews import overview_plans, overviews
from her2kit.learning.export import export_onnx, keep, session
from her2kit.learning.segmentation import by_class, of_pixels, pixel_counts
from her2kit.learning.tissue_segmenter import train
from her2kit.learning.train_settings import TrainSettings
from her2kit.slides.windows import blended

NAME = "tissue_ihc.onnx"
ARCHITECTURE = "segformer-64:tu-mobilenetv3_small_100"
"""4 MB, a quarter of the work of SegFormer's usual decoder; this small encoder learns fast from nothing."""
MPP, WINDOW_PX = 2.0, 256
SITES, HELD_OUT_SITE = ("alder", "birch", "cedar"), "dogwood"
LIMITS = (
    "Trained on synthetic slides alone (her2kit.phantom, HER2 and PD-L1); never on a real one.",
    "Reads hematoxylin and DAB at 2 um per pixel; not H&E, not fluorescence.",
    "Knows carcinoma in situ as large round ducts without stroma, as the phantom draws it; the real one is "
    "told apart by a pathologist, often with a myoepithelial stain.",
    "Pen, folds, blur and necrosis of whole fields were not in the training.",
    "Research and teaching only, never for diagnosis.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Which slides are drawn for what."""

    slides: int
    seed: int
    sites: Sequence[str]
    site_jitter: float = 1.0
    mpp: float | None = 0.5
    """Micrometres per pixel that they are drawn at; None takes each site's own, 0.25 to 0.46."""
    cases: Sequence[str] | None = None
    """Ready-made cases that they are drawn from; None takes those of a phantom cohort."""
    zoom: float = 1.0


PARTS = {
    "train": Part(128, 201, SITES, zoom=1.25),
    "unstained": Part(64, 205, SITES, zoom=1.25, cases=("0-null", "0-null", "ultralow", "gastric-0")),
    "val": Part(24, 202, SITES),
    "test": Part(12, 203, SITES, mpp=None),
    "site": Part(12, 204, (HELD_OUT_SITE,), site_jitter=0.0, mpp=None),
}
"""``unstained``: tumour without stain, the hardest to find and the most common. ``test``: slides of the three
sites; ``site``: of one that training never saw; both as they are scanned."""
ROUNDS = ((60, ("train",)), (60, ("train",)), (30, ("train", "unstained")))
"""Epochs and slides of each round. It begins with the best weights of the one before, and the full learning
rate again (warm restarts)."""


def ship(
    folder: Path,
    *,
    rounds: Sequence[tuple[int, Sequence[str]]] = ROUNDS,
    parts: dict[str, Part] | None = None,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> Card:
    """Draw, train, judge and export; ``folder`` gets ``tissue_ihc.onnx`` and its card, which is returned.

    Parameters
    ----------
    rounds
        Epochs and names of the parts that each round learns from.
    parts
        How many slides are drawn; None takes `PARTS`.
    workers
        Threads that draw.
    say
        Told what is going on.
    """
    pictures: dict[str, list[np.ndarray]] = {}
    masks: dict[str, list[np.ndarray]] = {}
    for name, part in (parts or PARTS).items():
        say(f"{name}: {part.slides} slides")
        pictures[name], masks[name] = drawn(folder / "overviews" / name, part, workers=workers)
    start: Path | None = None
    for number, (epochs, names) in enumerate(rounds):
        segmenter = train(
            [p for name in names for p in pictures[name]],
            [m for name in names for m in masks[name]],
            pictures["val"],
            masks["val"],
            TISSUES,
            folder=(place := folder / f"training_{number + 1}"),
            settings=TrainSettings(epochs=epochs, batch_size=8, lr=2e-3, monitor="mean_dice", seed=number),
            architecture=ARCHITECTURE,
            window_px=WINDOW_PX,
            crops=2,
            mpp=MPP,
            augmentation=Augmentation(jitter=0.3),
            start=start,
            resume=True,
        )
        start = place / "best.safetensors"
    path = folder / NAME
    card = replace(segmenter.card, limits=LIMITS, licence="AGPL-3.0-or-later")
    export_onnx(segmenter.net, card, path, any_size=True)
    figures = dict(segmenter.card.figures)
    for name in ("test", "site"):
        found = judged(path, pictures[name], masks[name])
        say(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
        figures |= {f"{name}_{k}": v for k, v in found.items()}
    card = replace(card, figures=figures, sha256=file_sha256(path))
    write_card(path.with_suffix(".json"), card)
    return card


def drawn(folder: Path, part: Part, *, workers: int = 1) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return pictures and classes of a part's slides; those that ``folder`` holds are not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    plans = overview_plans(
        part.slides,
        seed=part.seed,
        sites=part.sites,
        site_jitter=part.site_jitter,
        mpp=part.mpp,
        cases=part.cases,
    )
    pictures, masks = [], []
    for plan in plans:
        path = folder / f"{plan.slide_id}.npz"
        if not path.is_file():
            picture, mask = next(overviews([plan], mpp=MPP, zoom=part.zoom, workers=workers, seed=plan.seed))
            with whole_file(path) as file, file.open("wb") as out:
                np.savez_compressed(out, picture=picture, mask=mask)
        with np.load(path) as held:
            pictures.append(held["picture"])
            masks.append(held["mask"])
    return pictures, masks


def judged(path: Path, pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> dict[str, float]:
    """Return pixel accuracy, mean Dice and IoU, and the Dice of each kind of tissue, of an exported model."""
    run, n = session(path), len(TISSUES)
    counts = np.zeros((n, n), np.int64)
    for picture, mask in zip(pictures, masks, strict=True):
        said = blended(run, picture, window_px=WINDOW_PX).argmax(axis=0)
        counts += pixel_counts(mask, said.astype(np.uint8), n)
    dice = by_class(counts, TISSUES)["dice"]
    return of_pixels(counts) | {f"dice_{name}": float(value) for name, value in dice.items()}


def main() -> None:
    """Make the model and, with ``--keep``, put it where the package finds it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for phantoms, training and the model")
    parser.add_argument("--workers", type=int, default=1, help="threads that draw")
    parser.add_argument("--keep", action="store_true", help="replace the model in her2kit/weights")
    given = parser.parse_args()
    card = ship(given.folder, workers=given.workers)
    print(card.figures)
    if given.keep:
        keep(given.folder / NAME)


if __name__ == "__main__":
    main()
