"""Segment tissue in regions of any size: SegFormer, trained on crops, on the classes of IGNITE or any others.

The architecture follows a published system on IGNITE's H&E regions; the network comes from
segmentation-models-pytorch without pretrained weights. Its encoder sees overlapping patches at four scales,
its decoder is a few linear layers.

References
----------
Xie E et al. SegFormer: simple and efficient design for semantic segmentation with transformers. NeurIPS 2021.
Spronck J et al. IGNITE. arXiv 2507.16855 (2025).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.augment import Augmentation
from her2kit.learning.model import build, from_card, to_input, to_probabilities
from her2kit.learning.pictures import read_raster
from her2kit.learning.segmentation import Picture, RegionSamples, Segmentation, pixel_counts
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.training import Trained, fit
from her2kit.slides.windows import blended

TASK = "tissue_segmenter"
FAST, FULL = "segformer-64:mit_b0", "segformer:mit_b3"
"""Networks for a CPU, its decoder narrowed to 64 channels, and for a GPU; mit_b0 to mit_b5 are one family."""
LIMITS = ("Research and teaching only.",)


@dataclass(frozen=True, slots=True)
class TissueSegmenter:
    """A trained network with its card."""

    net: Any
    """Torch module in evaluation mode."""
    card: Card
    trained: Trained | None = None
    """How it was trained; None for one that was loaded."""

    def probabilities(self, picture: np.ndarray, *, overlap: float = 0.5, device: str = "cpu") -> np.ndarray:
        """Return the probability of each class, float32 (classes, h, w), of a picture uint8 (h, w, 3)."""
        import torch

        net = self.net.to(device).eval()

        def run(windows: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                pixels = torch.from_numpy(windows).to(device).permute(0, 3, 1, 2)
                logits = net(to_input(pixels, mean=self.card.mean, sd=self.card.sd))
                return to_probabilities(logits, self.card).cpu().numpy()

        return blended(run, picture, window_px=self.card.input_px, overlap=overlap)

    def classes(self, picture: np.ndarray, *, overlap: float = 0.5, device: str = "cpu") -> np.ndarray:
        """Return the most probable class of each pixel, uint8 (h, w)."""
        return self.probabilities(picture, overlap=overlap, device=device).argmax(axis=0).astype(np.uint8)

    def confusion(self, regions: RegionSamples, *, overlap: float = 0.5, device: str = "cpu") -> np.ndarray:
        """Return the confusion of pixels over whole regions, int64 (classes, classes)."""
        n = len(self.card.class_names)
        counts = np.zeros((n, n), np.int64)
        for number in range(len(regions.pictures)):
            picture, truth = regions.region(number)
            counts += pixel_counts(truth, self.classes(picture, overlap=overlap, device=device), n)
        return counts


def train(
    pictures: Sequence[Picture],
    masks: Sequence[Picture],
    val_pictures: Sequence[Picture],
    val_masks: Sequence[Picture],
    class_names: Sequence[str],
    *,
    folder: str | Path,
    settings: TrainSettings,
    architecture: str = FAST,
    window_px: int = 512,
    crops: int = 1,
    mpp: float | None = None,
    unannotated: int | None = None,
    augmentation: Augmentation | None = None,
    read_mask: Callable[[Any], np.ndarray] = read_raster,
    pretrained: bool = False,
    start: str | Path | None = None,
    resume: bool = False,
) -> TissueSegmenter:
    """Train on regions of some slides, choose the best epoch on regions of others.

    Parameters
    ----------
    pictures, masks, val_pictures, val_masks, class_names, window_px, unannotated, read_mask
        As `her2kit.learning.segmentation.RegionSamples` takes them.
    folder
        Where weights, card and curves go.
    settings
        ``monitor`` is one of loss, accuracy, mean_dice, mean_iou.
    crops
        Random crops of each region an epoch.
    mpp
        Micrometres per pixel of all pictures, for the card.
    augmentation
        None takes the defaults of `Augmentation`; validation is never augmented.
    start
        Weights of the same architecture and classes to begin with; None begins with random ones.

    Raises
    ------
    ValueError, TrainingError, WeightsError
        As `her2kit.learning.training.fit` and `her2kit.learning.model.build`.
    """
    if crops < 1:
        raise ValueError(f"crops={crops}; use 1 or more random crops of each region an epoch")
    common: dict[str, Any] = {"window_px": window_px, "unannotated": unannotated, "read_mask": read_mask}
    how = Augmentation() if augmentation is None else augmentation
    samples = RegionSamples(pictures, masks, class_names, crops=crops, augmentation=how, **common)
    held = RegionSamples(val_pictures, val_masks, class_names, **common)
    silent = "" if unannotated is None else class_names[unannotated]
    card = Card(
        TASK, architecture, tuple(class_names), unannotated=silent, mpp=mpp, input_px=window_px, limits=LIMITS
    )
    net = build(architecture, len(class_names), seed=settings.seed, pretrained=pretrained)
    if start is not None:
        weights.load(start, net, task=TASK, class_names=class_names)
    trained = fit(
        Segmentation(net, card), samples, held, settings=settings, card=card, folder=folder, resume=resume
    )
    return TissueSegmenter(net, trained.card, trained)


def load(path: str | Path, *, class_names: Sequence[str] | None = None) -> TissueSegmenter:
    """Load a segmenter that was saved, after checking its card.

    Raises
    ------
    WeightsError
        If file and card do not match, or it is another kind of model or has other classes.
    """
    net = from_card(read_card(path))
    card = weights.load(path, net, task=TASK, class_names=class_names)
    return TissueSegmenter(net.eval(), card)
