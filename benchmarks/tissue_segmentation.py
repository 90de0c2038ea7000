"""How well and how dearly tissue is segmented: SegFormer over several seeds, beside DeepLabV3 and PSPNet.

Regions of H&E phantoms at 4 um/px, as in notebook 05. Slides are dealt by patient; all slides of one
laboratory are kept for the end. The three networks see the same crops of the first seed for as many epochs,
from random weights. Judging takes whole regions without gaps, and the mean is over the classes that are
present.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.claims import Claim, write_claims
from her2kit.course.regions import UNANNOTATED, Regions, phantom_regions
from her2kit.course.tissue_lab import tissue_cohort
from her2kit.learning.augment import Augmentation
from her2kit.learning.segmentation import by_class, of_pixels
from her2kit.learning.tissue_segmenter import FAST, train
from her2kit.learning.train_settings import TrainSettings

NETWORKS = {"SegFormer": FAST, "DeepLabV3": "deeplabv3:resnet18", "PSPNet": "pspnet:resnet18"}
SLIDES, SIZE_UM, SEEDS = 40, 1024, (5, 6, 7)
MPP, WINDOW_PX, EPOCHS, CROPS, LR = 4.0, 64, 12, 8, 2e-3
"""The defaults of notebook 05."""
LEAST = ">= 0.75"
WORDS = {"test": "other patients", "site": "another laboratory"}


def main() -> None:
    """Measure, print and write the claims."""
    write_claims("tissue_segmentation", claims())


def claims(
    *,
    slides: int = SLIDES,
    size_um: int = SIZE_UM,
    epochs: int = EPOCHS,
    crops: int = CROPS,
    seeds: Sequence[int] = SEEDS,
) -> list[Claim]:
    """Train SegFormer once a seed, which is held to a bound, and the others on the first seed."""
    found: list[Claim] = []
    dice: dict[str, list[float]] = {part: [] for part in WORDS}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            cohort = tissue_cohort(
                slides=slides, seed=seed, size_px=size_um, mpp=1.0, stain="he", in_situ=0.12, folder=folder
            )
            regions = phantom_regions(
                cohort, mpp=MPP, new_site=max(cohort["site"]), per_slide=4, sides_um=(320, 640),
                parts={"train": 0.7, "val": 0.15, "test": 0.15}, seed=seed,
            )  # fmt: skip
            for name in NETWORKS if seed == seeds[0] else ("SegFormer",):
                millions, spent, one = of_network(
                    name, regions, Path(folder) / f"{name}_{seed}", epochs=epochs, crops=crops, seed=seed
                )
                if name == "SegFormer":
                    for part, value in one.items():
                        dice[part].append(value)
                if seed == seeds[0]:
                    seconds[name] = spent
                    found.append(Claim(f"{name}: parameters", millions, "million", None))
                    found += [
                        Claim(f"{name}: mean Dice, {WORDS[part]}, seed {seed}", value, "", None)
                        for part, value in one.items()
                    ]
    for part, values in dice.items():
        words = f"{WORDS[part]}, fast tier"
        middle = statistics.median(values)
        found.append(Claim(f"SegFormer: mean Dice, {words}, median of {len(values)}", middle, "", LEAST))
        if len(values) > 1:
            spread = statistics.stdev(values)
            found.append(Claim(f"SegFormer: mean Dice, {words}, s.d. over seeds", spread, "", None))
    for name in list(NETWORKS)[1:]:
        ratio = seconds[name] / seconds["SegFormer"]
        found.append(Claim(f"{name}: training, against SegFormer", ratio, "times", None))
    return found


def of_network(
    name: str, regions: Regions, folder: Path, *, epochs: int, crops: int, seed: int
) -> tuple[float, float, dict[str, float]]:
    """Train one network; return its million parameters, the seconds of its training, and Dice a part."""
    settings = TrainSettings(
        epochs=epochs, batch_size=8, lr=LR, monitor="mean_dice", seed=seed, accelerator="cpu", progress=False
    )
    began = time.process_time()
    segmenter = train(
        *regions.of("train"), *regions.of("val"), regions.names, folder=folder, settings=settings,
        architecture=NETWORKS[name], window_px=WINDOW_PX, crops=crops, mpp=MPP, unannotated=UNANNOTATED,
        augmentation=Augmentation(jitter=0.25),
    )  # fmt: skip
    seconds = time.process_time() - began
    millions = sum(p.numel() for p in segmenter.net.parameters()) / 1e6
    dice = {}
    for part, words in WORDS.items():
        counts = segmenter.confusion(regions.samples(part, window_px=WINDOW_PX), overlap=0.25)
        print(
            f"{name}, seed {seed}, {words}\n{by_class(counts, regions.names).dropna().round(3)}", flush=True
        )
        dice[part] = of_pixels(counts)["mean_dice"]
    return millions, seconds, dice


if __name__ == "__main__":
    main()
