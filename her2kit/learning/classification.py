"""Classify whole tiles: samples, the task for the training loop, prediction. Any classes, any network.

Pixels stay uint8 until the network: `her2kit.learning.model.to_input` turns them into its input, in training
and in prediction alike. What the classes mean is for `tissue_classifier` and `patch_grader` to say.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from her2kit.exchange.card import Card
from her2kit.learning import evaluate
from her2kit.learning.augment import NONE, Augmentation, TileChange, mixed, size_at
from her2kit.learning.model import to_input, to_probabilities
from her2kit.learning.pictures import read_picture
from her2kit.learning.task import ordered_batches
from her2kit.learning.weights import content_sha256


class TileSamples:
    """Tiles with a class each, from an array or from picture files, for `her2kit.learning.training.fit`.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, 3), or (n, h, w, 6) for two pictures of a place; or n paths of RGB pictures.
    labels
        (n,) class names, or their numbers.
    class_names
        In the order of the network's outputs.
    size_px
        Height that tiles are scaled to; their width follows, and must be one for all.
    augmentation
        For training; leave it out for samples that judge.
    prepare
        What is done to each picture first, array to array, in prediction too.

    Raises
    ------
    ValueError
        If there are not as many labels as tiles, or a label is no class.
    """

    def __init__(
        self,
        pixels: np.ndarray | Sequence[str | Path],
        labels: Sequence[Any] | np.ndarray,
        class_names: Sequence[str],
        *,
        size_px: int = 128,
        augmentation: Augmentation = NONE,
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        if len(pixels) != len(labels):
            raise ValueError(f"{len(pixels)} tiles and {len(labels)} labels; give one label a tile")
        if size_px < 8:
            raise ValueError(f"size_px={size_px}; use 8 or more (128 is usual)")
        if isinstance(pixels, np.ndarray) and (pixels.dtype != np.uint8 or pixels.ndim != 4):
            raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; give uint8 (n, h, w, channels)")
        self.pixels, self.size_px, self.augmentation = pixels, size_px, augmentation
        self.class_names, self.prepare = tuple(class_names), prepare
        self.labels = label_numbers(labels, class_names)
        self.begin_epoch(1.0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return uint8 (channels, h, w) and the number of the class."""
        import torch

        tile = self.pixels[index]
        picture = tile if isinstance(tile, np.ndarray) else read_picture(tile)
        if self.prepare is not None:
            picture = self.prepare(picture)
        height, width = picture.shape[:2]
        if height != self.side_px:
            size = (round(width * self.side_px / height), self.side_px)
            how = cv2.INTER_AREA if height > self.side_px else cv2.INTER_LINEAR
            picture = cv2.resize(picture, size, interpolation=how)
        changed = self.change(torch.from_numpy(picture).permute(2, 0, 1))
        return changed.contiguous(), int(self.labels[index])

    def fingerprint(self) -> str:
        """Return a hash of pixels (of files: their bytes) and labels."""
        pixels = [self.pixels] if isinstance(self.pixels, np.ndarray) else map(Path, self.pixels)
        return content_sha256(*pixels, self.labels, list(self.class_names))

    def begin_epoch(self, progress: float) -> None:
        """Take the size and strength of that point of the training."""
        self.side_px = size_at(self.augmentation, self.size_px, progress)
        self.change = TileChange(self.augmentation, progress)


class Classification:
    """Learn classes by cross-entropy.

    Parameters
    ----------
    net
        Torch module, pixels in, logits out.
    card
        Says what the network takes and which classes it knows.
    augmentation
        Its ``mix`` is applied here, since it needs a whole batch.
    class_weights
        (classes,) factor on the loss of each class, see `balanced_weights`.
    softmax_first
        The fault of a published system: probabilities where the loss expects logits. For lessons only.
    """

    figures: tuple[str, ...] = (
        "loss", "accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision",
        "weighted_recall", "weighted_f1", "kappa_quadratic",
    )  # fmt: skip

    def __init__(
        self,
        net: Any,
        card: Card,
        *,
        augmentation: Augmentation = NONE,
        class_weights: np.ndarray | None = None,
        softmax_first: bool = False,
    ) -> None:
        if class_weights is not None and len(class_weights) != len(card.class_names):
            raise ValueError(
                f"class_weights has {len(class_weights)} numbers; give {len(card.class_names)}, one a class"
            )
        self.net, self.card, self.augmentation = net, card, augmentation
        self.class_weights, self.softmax_first = class_weights, softmax_first

    def loss(self, net: Any, batch: Any) -> Any:
        """Return the mean cross-entropy of a batch (pixels, labels), mixed if that was asked for."""
        pictures = to_input(batch[0], mean=self.card.mean, sd=self.card.sd)
        pictures, target = mixed(pictures, batch[1], len(self.card.class_names), self.augmentation)
        return self._cross_entropy(net(pictures), target)

    def judge(self, net: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Return loss and figures of a whole set."""
        n = len(self.card.class_names)
        counts, loss, total = np.zeros((n, n), np.int64), 0.0, 0
        for pixels, labels in batches:
            logits = net(to_input(pixels, mean=self.card.mean, sd=self.card.sd))
            loss += float(self._cross_entropy(logits, labels)) * len(labels)
            total += len(labels)
            counts += evaluate.confusion_counts(labels.cpu().numpy(), logits.argmax(1).cpu().numpy(), n)
        return {"loss": loss / total} | evaluate.of_counts(counts)

    def _cross_entropy(self, logits: Any, target: Any) -> Any:
        import torch

        logits, weight = logits.float(), None
        if self.class_weights is not None:
            weight = torch.as_tensor(self.class_weights, dtype=logits.dtype, device=logits.device)
        if self.softmax_first:
            logits = logits.softmax(1)
        return torch.nn.functional.cross_entropy(logits, target, weight=weight)


def predict(
    net: Any,
    card: Card,
    pixels: np.ndarray | Sequence[str | Path],
    *,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    batch_size: int = 64,
    turned: bool = False,
    device: str = "cpu",
) -> np.ndarray:
    """Return the probability of each class, float32 (n, classes), for tiles as in `TileSamples`.

    The network is left on ``device`` in evaluation mode.

    Parameters
    ----------
    turned
        Take the mean over the eight ways in which a tile can lie (quarter turns, mirrored or not), for tissue
        has no upright. Eight times the work.

    Raises
    ------
    ValueError
        If the pixels are not uint8 (n, h, w, channels) with the network's channels.
    """
    import torch

    if isinstance(pixels, np.ndarray) and pixels.ndim == 4 and pixels.shape[3] != card.channels:
        raise ValueError(f"pixels has {pixels.shape[3]} channels, the network takes {card.channels}")
    nothing = np.zeros(len(pixels), int)
    samples = TileSamples(pixels, nothing, card.class_names, size_px=card.input_px, prepare=prepare)
    out = [np.empty((0, len(card.class_names)), np.float32)]
    net = net.to(device).eval()
    with torch.inference_mode():
        for batch, _ in ordered_batches(samples, batch_size):
            views = _all_ways(batch) if turned else [batch]
            inputs = (to_input(view.to(device), mean=card.mean, sd=card.sd) for view in views)
            each = [to_probabilities(net(pictures), card) for pictures in inputs]
            out.append(torch.stack(each).mean(0).cpu().numpy())
    return np.concatenate(out)


def _all_ways(batch: Any) -> list[Any]:
    """Return a batch (n, channels, h, w) in its eight turns and mirror images."""
    import torch

    return [torch.rot90(x, turns, (-2, -1)) for x in (batch, batch.flip(-1)) for turns in range(4)]


def balanced_weights(labels: np.ndarray, n_classes: int, *, power: float = 1.0) -> np.ndarray:
    """Return a weight a class, float (n_classes,), larger for rarer ones; their mean over samples is 1.

    Parameters
    ----------
    labels
        Class numbers of the training samples. A class without samples gets 0.
    power
        1 makes all classes that occur count alike, 0 all samples; 0.5, between them, keeps a class of three
        samples from ruling the loss.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power={power}; use 0 to 1 (0.5 is usual)")
    n = np.bincount(labels, minlength=n_classes)
    weight = np.where(n > 0, np.maximum(n, 1.0) ** -power, 0.0)
    return weight * len(labels) / (weight * n).sum()


def label_numbers(labels: Sequence[Any] | np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Return class numbers, int64 (n,), of names or numbers.

    Raises
    ------
    ValueError
        If a label is no class; the message names it.
    """
    values = np.asarray(labels)
    if not len(values) or np.issubdtype(values.dtype, np.integer):
        strange = values[(values < 0) | (values >= len(class_names))] if len(values) else values
        out = values.astype(np.int64)
    else:
        number = {name: i for i, name in enumerate(class_names)}
        out = np.array([number.get(str(v), -1) for v in values], np.int64)
        strange = values[out < 0]
    if len(strange):
        raise ValueError(
            f"label {strange[:1].tolist()[0]!r} is no class; use {', '.join(class_names)}, or their numbers"
        )
    return out
