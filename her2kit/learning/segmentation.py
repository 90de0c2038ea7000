"""Name the tissue of each pixel: samples of annotated regions, and the task for the training loop.

Training sees random crops, white where a region ends; judging sees windows that cover each region once, and
nothing random. Pixels without annotation count neither in the loss nor in any figure. Any classes, any
network that takes sides of multiples of 32 px.

References
----------
Milletari F et al. V-Net. 3DV 2016 (soft Dice loss).
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.exchange.card import Card
from her2kit.learning import evaluate
from her2kit.learning.augment import NONE, Augmentation, TileChange
from her2kit.learning.model import to_input, to_probabilities
from her2kit.learning.pictures import read_picture, read_raster
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.weights import content_sha256
from her2kit.slides.windows import check_window

IGNORE = 255
"""Class number of pixels that count nowhere."""

Picture = np.ndarray | str | Path


class RegionSamples:
    """Pieces of annotated regions, for `her2kit.learning.training.fit`.

    Parameters
    ----------
    pictures
        uint8 (h, w, 3) arrays, or paths; each region of its own size.
    masks
        uint8 (h, w) class numbers, or paths.
    class_names
        In the order of the class numbers.
    window_px
        Side of a piece, a multiple of 32.
    unannotated
        Class number that means nobody looked; None where every pixel is annotated.
    crops
        Random crops of each region an epoch; 0 covers each region once with windows, as judging does.
    augmentation
        For random crops; RandAugment is refused, since it would shift pictures and not masks.
    read_mask
        Reads a mask's file.

    Raises
    ------
    ValueError
        If picture and mask differ in number or size, or a mask holds what is no class.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        masks: Sequence[Picture],
        class_names: Sequence[str],
        *,
        window_px: int = 512,
        unannotated: int | None = None,
        crops: int = 0,
        augmentation: Augmentation = NONE,
        read_mask: Callable[[Any], np.ndarray] = read_raster,
    ) -> None:
        if len(pictures) != len(masks):
            raise ValueError(f"{len(pictures)} pictures and {len(masks)} masks; give one mask a picture")
        check_window(window_px)
        if augmentation.randaugment or augmentation.mix != "none" or augmentation.small < 1:
            raise ValueError(
                "augmentation: masks can follow turns alone; set randaugment=0, mix='none' and small=1"
            )
        self.pictures, self.masks, self.read_mask = pictures, masks, read_mask
        self.class_names, self.window_px, self.unannotated = tuple(class_names), window_px, unannotated
        self.crops, self.augmentation = crops, augmentation
        self.begin_epoch(1.0)
        self.windows = [] if crops else list(self._cover())

    def __len__(self) -> int:
        return len(self.pictures) * self.crops if self.crops else len(self.windows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return uint8 (3, side, side) and int64 (side, side), ``IGNORE`` where nothing is known."""
        import torch

        if not self.crops:
            number, top, left = self.windows[index]
            return self._piece(*self.region(number), top, left)
        picture, mask = self.region(index // self.crops)
        top, left = (
            int(torch.randint(min(0, n - self.window_px), max(0, n - self.window_px) + 1, ()))
            for n in mask.shape
        )
        piece, truth = self._piece(picture, mask, top, left)
        if self.augmentation.turn:
            turns, mirror = int(torch.randint(4, ())), bool(torch.randint(2, ()))
            piece, truth = (torch.rot90(x.flip(-1) if mirror else x, turns, (-2, -1)) for x in (piece, truth))
        return self.change(piece).contiguous(), truth.contiguous()

    def region(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a region's picture, uint8 (h, w, 3), and its classes, uint8 (h, w)."""
        picture, mask = self.pictures[number], self.masks[number]
        picture = picture if isinstance(picture, np.ndarray) else read_picture(picture)
        mask = mask if isinstance(mask, np.ndarray) else self.read_mask(mask)
        if picture.shape != (*mask.shape, 3):
            raise ValueError(f"region {number}: picture {picture.shape}, mask {mask.shape}; give equal sizes")
        if self.unannotated is not None:
            mask = np.where(mask == self.unannotated, np.uint8(IGNORE), mask)
        strange = mask[(mask >= len(self.class_names)) & (mask != IGNORE)]
        if len(strange):
            raise ValueError(
                f"region {number}: its mask holds {strange[0]}, and there are {len(self.class_names)} class "
                "names; name every class"
            )
        return picture, mask

    def fingerprint(self) -> str:
        """Return a hash of pictures and masks (of files: their bytes)."""
        parts = (
            p if isinstance(p, np.ndarray) else Path(p) for p in itertools.chain(self.pictures, self.masks)
        )
        return content_sha256(*parts, list(self.class_names), self.unannotated, self.window_px)

    def begin_epoch(self, progress: float) -> None:
        """Take the strength of that point of the training; turning is done together with the mask."""
        self.change = TileChange(replace(self.augmentation, turn=False), progress)

    def _cover(self) -> Iterable[tuple[int, int, int]]:
        for number in range(len(self.pictures)):
            height, width = self.region(number)[1].shape
            places = itertools.product(range(0, height, self.window_px), range(0, width, self.window_px))
            yield from ((number, top, left) for top, left in places)

    def _piece(self, picture: np.ndarray, mask: np.ndarray, top: int, left: int) -> tuple[Any, Any]:
        """Return the window at a place, which may reach beyond the region: white there, and not annotated."""
        import torch

        side = self.window_px
        shown, truth = np.full((side, side, 3), 255, np.uint8), np.full((side, side), IGNORE, np.uint8)
        inside = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
        height, width = mask[inside].shape
        place = (slice(max(-top, 0), max(-top, 0) + height), slice(max(-left, 0), max(-left, 0) + width))
        shown[place], truth[place] = picture[inside], mask[inside]
        return torch.from_numpy(shown).permute(2, 0, 1), torch.from_numpy(truth).long()


class Segmentation:
    """Learn the class of each pixel by soft Dice and cross-entropy, equally weighted.

    Parameters
    ----------
    net
        Torch module, pixels in, logits (n, classes, h, w) out.
    card
        Says what the network takes and which classes it knows.
    """

    figures: tuple[str, ...] = ("loss", "accuracy", "mean_dice", "mean_iou")

    def __init__(self, net: Any, card: Card) -> None:
        self.net, self.card = net, card

    def loss(self, net: Any, batch: Any) -> Any:
        """Return the loss of a batch (pixels, classes)."""
        return segmentation_loss(net(to_input(batch[0], mean=self.card.mean, sd=self.card.sd)), batch[1])

    def judge(self, net: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Return loss, pixel accuracy, and Dice and IoU averaged over the classes that occur."""
        n = len(self.card.class_names)
        counts, loss, total = np.zeros((n, n), np.int64), 0.0, 0
        for pixels, truth in batches:
            logits = net(to_input(pixels, mean=self.card.mean, sd=self.card.sd))
            loss += float(segmentation_loss(logits, truth)) * len(pixels)
            total += len(pixels)
            said = to_probabilities(logits, self.card).argmax(1)
            counts += pixel_counts(truth.cpu().numpy(), said.cpu().numpy(), n)
        return {"loss": loss / total} | of_pixels(counts)


def segmentation_loss(logits: Any, truth: Any) -> Any:
    """Return soft Dice loss plus cross-entropy over the annotated pixels; 0 where there are none.

    Parameters
    ----------
    logits
        float (n, classes, h, w).
    truth
        int64 (n, h, w), ``IGNORE`` where nothing is known.
    """
    ensure_torchvision()
    import torch
    from segmentation_models_pytorch.losses import DiceLoss

    logits = logits.float()
    known = (truth != IGNORE).sum().clamp(min=1)
    entropy = torch.nn.functional.cross_entropy(logits, truth, ignore_index=IGNORE, reduction="sum") / known
    return entropy + DiceLoss("multiclass", ignore_index=IGNORE)(logits, truth)


def pixel_counts(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the confusion of pixels, int64 (n_classes, n_classes), those of ``IGNORE`` left out."""
    known = truth != IGNORE
    return evaluate.confusion_counts(truth[known], predicted[known], n_classes)


def of_pixels(counts: np.ndarray) -> dict[str, float]:
    """Return ``accuracy``, ``mean_dice`` and ``mean_iou`` over the classes that occur; nan if none does."""
    by_class, there = evaluate.of_classes(counts), counts.sum(axis=1) > 0
    if not there.any():
        return dict.fromkeys(("accuracy", "mean_dice", "mean_iou"), float("nan"))
    return {
        "accuracy": float(np.diag(counts).sum() / counts.sum()),
        "mean_dice": float(by_class["f1"][there].mean()),
        "mean_iou": float(by_class["iou"][there].mean()),
    }


def by_class(counts: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return a row a class, index ``class``: dice, iou, precision, recall, n_px; nan where none is."""
    table = pd.DataFrame(evaluate.of_classes(counts), index=pd.Index(list(class_names), name="class"))
    table["n_px"] = counts.sum(axis=1)
    return table.rename(columns={"f1": "dice"})[["dice", "iou", "precision", "recall", "n_px"]]
