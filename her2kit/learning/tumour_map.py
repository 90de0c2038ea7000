"""Map the probability of tumour over a section: FPN or U-Net on tiles, stitched from overlapping windows.

What the winner of the HeLP 2019 challenge did at low magnification, with the common training loop. Two
outputs whose softmax is the sigmoid of their difference; loss is binary cross-entropy plus Jaccard. Says
nothing about a slide: that is read off the map (`her2kit.regions.map_features`).

References
----------
Lin TY et al. Feature pyramid networks for object detection. CVPR 2017. Ronneberger O et al. U-Net. MICCAI
2015. Both as segmentation-models-pytorch builds them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.augment import Augmentation
from her2kit.learning.model import build, from_card
from her2kit.learning.segmentation import IGNORE, RegionSamples
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.training import Trained, fit
from her2kit.learning.tumour_sections import LABELS, LOW_MPP, Section, TumourTiles, section_of
from her2kit.regions.tumour_map import TumourMap
from her2kit.slides.windows import blended
from her2kit.stain.basis import StainBasis

TASK = "tumour_map"
FULL, UNET = "fpn:resnet34", "unet:resnet34"
"""R4's network, and what it was compared with."""
FAST = "fpn-64:tu-test_resnet"
"""For a CPU: timm's smallest ResNet, with a narrow decoder; half a million weights."""
SETTINGS = TrainSettings(
    epochs=60, batch_size=32, lr=1e-3, optimizer="adam", weight_decay=0.0, warmup=0.0, cosine=False,
    plateau=3, patience=10, monitor="loss",
)  # fmt: skip
"""Adam from 1e-3, reduced when the validation loss stalls."""
FAST_SETTINGS = replace(
    SETTINGS, epochs=16, batch_size=8, lr=3e-3, warmup=0.1, cosine=True, plateau=None, patience=None
)
"""For a CPU: few epochs, so that the rate falls by plan and not on a plateau."""
INPUTS = ("scaled", "min-max", "whitened", "instance")
"""How a tile becomes input: 0..255 to -1..1; its own range to 0..1; its mean and s.d. to 0 and 1; the same
for each channel."""
LIMITS = ("Research and teaching only.",)


class TumourSegmentation:
    """Learn tumour pixels by binary cross-entropy plus Jaccard loss.

    Parameters
    ----------
    net
        Torch module, pictures in, logits (n, 2, h, w) out.
    card
        ``details["input"]`` is one of `INPUTS`.
    """

    figures: tuple[str, ...] = ("loss", "dice", "iou")

    def __init__(self, net: Any, card: Card) -> None:
        self.net, self.card = net, card

    def loss(self, net: Any, batch: Any) -> Any:
        """Return the loss of a batch (pixels, classes)."""
        return tumour_loss(tumour_logit(net, batch[0], self.card), batch[1])

    def judge(self, net: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Return the loss, and Dice and IoU of tumour over all pixels together."""
        both = either = n = 0
        loss = 0.0
        for pixels, truth in batches:
            logit = tumour_logit(net, pixels, self.card)
            loss += float(tumour_loss(logit, truth)) * len(pixels)
            n += len(pixels)
            said, known = logit > 0, truth != IGNORE
            tumour = truth == 1
            both += int((said & tumour).sum())
            either += int(((said & known) | tumour).sum())
        iou = both / either if either else 1.0
        return {"loss": loss / n, "dice": 2 * iou / (1 + iou), "iou": iou}


def tumour_logit(net: Any, pixels: Any, card: Card) -> Any:
    """Return the logit of tumour, float (n, h, w), for pixels uint8 (n, 3, h, w)."""
    logits = net(_to_input(pixels, card.details.get("input", "scaled"))).float()
    return logits[:, 1] - logits[:, 0]


def tumour_loss(logit: Any, truth: Any) -> Any:
    """Return binary cross-entropy plus Jaccard loss over the known pixels.

    Parameters
    ----------
    logit
        float (n, h, w).
    truth
        int64 (n, h, w): 1 tumour, 0 none, ``IGNORE`` unknown.
    """
    ensure_torchvision()
    import torch
    from segmentation_models_pytorch.losses import JaccardLoss

    known = truth != IGNORE
    said, true = logit[known], truth[known].float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(said, true)
    return entropy + JaccardLoss("binary")(said.reshape(1, 1, -1), true.reshape(1, 1, -1))


@dataclass(frozen=True, slots=True)
class TumourMapper:
    """A trained network with its card."""

    net: Any
    """Torch module in evaluation mode."""
    card: Card
    trained: Trained | None = None
    """How it was trained; None for one that was loaded."""

    @property
    def target(self) -> StainBasis | None:
        """Colours that sections take before they are mapped; None leaves them raw."""
        stain = self.card.details.get("stain")
        return StainBasis.from_json(stain) if stain else None

    def read(self, row: Mapping[str, Any]) -> Section:
        """Read the section of a manifest's row as the network learned to see it."""
        return section_of(row, mpp=float(self.card.mpp or LOW_MPP), target=self.target)

    def map(self, section: Section, *, overlap: float = 0.5, device: str = "cpu") -> TumourMap:
        """Return the tumour map of a section; windows without tissue are not looked at.

        Raises
        ------
        ValueError
            If the section was read at another mpp than the network learned, or raw where it learned
            normalised stain, or the other way round. One whose stain could not be fitted is mapped.
        """
        import torch

        if self.card.mpp and abs(section.mpp / self.card.mpp - 1) > 0.02:
            raise ValueError(
                f"section {section.slide_id} is at {section.mpp:g} um/px, the network learned at "
                f"{self.card.mpp:g}; read it with mpp={self.card.mpp:g}"
            )
        if (section.status == "raw") == (self.target is not None):
            raise ValueError(
                f"section {section.slide_id} is {section.status}, and the network learned "
                f"{'normalised' if self.target else 'raw'} stain; read it with mapper.read(row)"
            )
        net = self.net.to(device).eval()

        def run(windows: np.ndarray) -> np.ndarray:
            out = np.zeros((len(windows), 1, *windows.shape[1:3]), np.float32)
            shown = np.flatnonzero((windows < 255).any(axis=(1, 2, 3)))
            if len(shown):
                with torch.inference_mode():
                    pixels = torch.from_numpy(windows[shown]).to(device).permute(0, 3, 1, 2)
                    out[shown, 0] = tumour_logit(net, pixels, self.card).sigmoid().cpu().numpy()
            return out

        found = blended(run, section.pixels, window_px=self.card.input_px, overlap=overlap)[0]
        return TumourMap(
            section.slide_id, np.rint(found * 255).astype(np.uint8), section.tissue, section.mpp,
            section.scale, section.status, self.card.sha256,
        )  # fmt: skip


def train(
    tiles: TumourTiles,
    val_tiles: TumourTiles,
    *,
    folder: str | Path,
    mpp: float,
    settings: TrainSettings = SETTINGS,
    architecture: str = FULL,
    scaling: str = "scaled",
    target: StainBasis | None = None,
    augmentation: Augmentation | None = None,
    pretrained: bool = False,
    resume: bool = False,
) -> TumourMapper:
    """Train on tiles of some patients, choose the best epoch on tiles of others.

    Parameters
    ----------
    tiles, val_tiles
        From `her2kit.learning.tumour_sections.cut_tiles`, tumour and normal one to one.
    folder
        Where weights, card and curves go.
    mpp
        Micrometres per pixel of the tiles.
    settings
        ``monitor`` is loss, dice or iou.
    scaling
        One of `INPUTS`.
    target
        What the tiles were normalised to, for the card.
    augmentation
        None takes turns, mirror images and a little colour.

    Raises
    ------
    ValueError, TrainingError, WeightsError
        As `her2kit.learning.training.fit` and `her2kit.learning.model.build`.
    """
    if scaling not in INPUTS:
        raise ValueError(f"scaling={scaling!r}; use one of {', '.join(INPUTS)}")
    side = tiles.pixels.shape[1]
    how = Augmentation() if augmentation is None else augmentation
    learned = sorted({*tiles.table["patient_id"], *val_tiles.table["patient_id"]})
    card = Card(
        TASK, architecture, LABELS, mpp=mpp, input_px=side, limits=LIMITS,
        details={"input": scaling, "stain": target and target.to_json(), "patients": learned},
    )  # fmt: skip
    net = build(architecture, len(LABELS), seed=settings.seed, pretrained=pretrained)
    samples = RegionSamples(
        list(tiles.pixels), list(tiles.masks), LABELS, window_px=side, crops=1, augmentation=how
    )
    held = RegionSamples(list(val_tiles.pixels), list(val_tiles.masks), LABELS, window_px=side)
    task = TumourSegmentation(net, card)
    trained = fit(task, samples, held, settings=settings, card=card, folder=folder, resume=resume)
    return TumourMapper(net, trained.card, trained)


def load(path: str | Path) -> TumourMapper:
    """Load a mapper that was saved, after checking its card.

    Raises
    ------
    WeightsError
        If file and card do not match, or it is another kind of model.
    """
    net = from_card(read_card(path))
    card = weights.load(path, net, task=TASK, class_names=LABELS)
    return TumourMapper(net.eval(), card)


def _to_input(pixels: Any, scaling: str) -> Any:
    """Return float (n, 3, h, w) of uint8 pixels, scaled as `INPUTS` says."""
    values = pixels.float() / 255
    if scaling == "scaled":
        return 2 * values - 1
    axes = (2, 3) if scaling == "instance" else (1, 2, 3)
    if scaling == "min-max":
        low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
        return (values - low) / (high - low).clamp(min=1e-3)
    return (values - values.mean(axes, keepdim=True)) / values.std(axes, keepdim=True).clamp(min=1e-3)
