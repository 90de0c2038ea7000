"""How well and how dearly tissue is segmented: SegFormer beside DeepLabV3 and PSPNet, one training each.

Regions of H&E phantoms at 4 um/px, as in notebook 05. Slides are dealt by patient; all slides of one
laboratory are kept for the end. The three networks see the same crops for as many epochs, from random
weights. Judging takes whole regions without gaps, and the mean is over the classes that are present.
"""

import tempfile
import time
from pathlib import Path

from benchmarks.claims import Claim, write_claims
from her2kit.course.data import phantom_cohort
from her2kit.course.regions import UNANNOTATED, Regions, phantom_regions
from her2kit.learning.augment import Augmentation
from her2kit.learning.segmentation import by_class, of_pixels
from her2kit.learning.tissue_segmenter import FAST, train
from her2kit.learning.train_settings import TrainSettings

NETWORKS = {"SegFormer": FAST, "DeepLabV3": "deeplabv3:resnet18", "PSPNet": "pspnet:resnet18"}
SLIDES, SIZE_UM, SEED = 48, 1024, 5
MPP, WINDOW_PX, EPOCHS, CROPS = 4.0, 64, 24, 16
LEAST = ">= 0.75"


def main() -> None:
    """Measure, print and write the claims."""
    write_claims("tissue_segmentation", claims())


def claims(
    *, slides: int = SLIDES, size_um: int = SIZE_UM, epochs: int = EPOCHS, crops: int = CROPS
) -> list[Claim]:
    """Train each network once; SegFormer alone is held to a bound."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = phantom_cohort(
            slides=slides, seed=SEED, size_px=size_um, mpp=1.0, sites=4, stain="he", folder=folder
        )
        new_site = max(cohort["site"])
        regions = phantom_regions(cohort, mpp=MPP, new_site=new_site, seed=SEED)
        found, seconds = [], {}
        for name, architecture in NETWORKS.items():
            bound = LEAST if architecture == FAST else None
            one, seconds[name] = of_network(
                name, architecture, regions, Path(folder), epochs=epochs, crops=crops, bound=bound
            )
            found += one
    found.append(Claim("SegFormer: training", seconds["SegFormer"], "s", None))
    for name in list(NETWORKS)[1:]:
        ratio = seconds[name] / seconds["SegFormer"]
        found.append(Claim(f"{name}: training, against SegFormer", ratio, "times", None))
    return found


def of_network(
    name: str,
    architecture: str,
    regions: Regions,
    folder: Path,
    *,
    epochs: int,
    crops: int,
    bound: str | None,
) -> tuple[list[Claim], float]:
    """Train one network; return its claims and the seconds of its training."""
    settings = TrainSettings(
        epochs=epochs,
        batch_size=8,
        lr=3e-3,
        monitor="mean_dice",
        seed=SEED,
        accelerator="cpu",
        progress=False,
    )
    began = time.perf_counter()
    segmenter = train(
        *regions.of("train"),
        *regions.of("val"),
        regions.names,
        folder=folder / architecture.replace(":", "_"),
        settings=settings,
        architecture=architecture,
        window_px=WINDOW_PX,
        crops=crops,
        mpp=MPP,
        unannotated=UNANNOTATED,
        augmentation=Augmentation(jitter=0.25),
    )
    seconds = time.perf_counter() - began
    millions = sum(p.numel() for p in segmenter.net.parameters()) / 1e6
    found = [Claim(f"{name}: parameters", millions, "million", None)]
    for part, words in {"test": "other patients", "site": "another laboratory"}.items():
        counts = segmenter.confusion(regions.samples(part, window_px=WINDOW_PX), overlap=0.25)
        print(f"{name}, {words}\n{by_class(counts, regions.names).dropna().round(3)}")
        found.append(Claim(f"{name}: mean Dice, {words}", of_pixels(counts)["mean_dice"], "", bound))
    return found, seconds


if __name__ == "__main__":
    main()
