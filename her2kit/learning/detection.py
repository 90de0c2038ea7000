"""Find cells: labelled pictures as samples, and the task for the training loop.

Training sees random squares of pictures, changed with their boxes; judging sees each picture whole,
unchanged. In multi-scale training each batch is resized to a side that is a multiple of the network's
largest stride. A network is judged by points: centres within 4 um of the truth, one to one, at the
confidence that serves best.

References
----------
Jocher G et al. Ultralytics YOLO (loss: task-aligned assignment, complete IoU, distribution focal loss).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from her2kit.cells.boxes import boxes_of
from her2kit.learning.detection_change import NO_CHANGE, Change, changed, cut
from her2kit.learning.point_boxes import LabelledPicture
from her2kit.learning.point_evaluation import PointCounts, best_confidence, sweep
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.weights import content_sha256
from her2kit.learning.yolo_offline import STRIDE, patches_undone

LEAST_CONFIDENCE = 0.05
"""Boxes below this are not looked at when a network is judged."""


class CellSamples:
    """Squares of labelled pictures, for `her2kit.learning.training.fit`.

    Parameters
    ----------
    pictures
        With their boxes; all at ``mpp``.
    class_names
        In the order of the boxes' class numbers.
    side_px
        Side of a square, a multiple of 32.
    mpp
        Micrometres per pixel of all pictures.
    crops
        Random squares of each picture an epoch; 0 shows the upper left square of each, unchanged, as judging
        does.
    change
        For random squares.
    vectors
        The two stain vectors of each picture, or None.

    Raises
    ------
    ValueError
        If sizes, classes or mpp do not fit.
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        class_names: Sequence[str],
        *,
        side_px: int,
        mpp: float,
        crops: int = 0,
        change: Change = NO_CHANGE,
        vectors: Sequence[np.ndarray | None] | None = None,
    ) -> None:
        check_side(side_px)
        for number, picture in enumerate(pictures):
            if not np.isclose(picture.mpp, mpp, rtol=0.02):
                raise ValueError(
                    f"picture {number} has mpp={picture.mpp:g}, not {mpp:g}; resample it, or train at its mpp"
                )
            if len(picture.boxes) and picture.boxes[:, 0].max() >= len(class_names):
                raise ValueError(
                    f"picture {number} holds class number {picture.boxes[:, 0].max():.0f}, and there are "
                    f"{len(class_names)} class names; name every class"
                )
        self.pictures, self.class_names, self.side_px, self.mpp = pictures, tuple(class_names), side_px, mpp
        self.crops, self.change = crops, change
        self.vectors = vectors or [None] * len(pictures)
        # A square holds no more boxes than its picture; with larger cells it holds fewer.
        self.room = max((len(p.boxes) for p in pictures), default=0) or 1

    def __len__(self) -> int:
        return len(self.pictures) * max(self.crops, 1)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return uint8 (3, side, side), and boxes float32 (room, 5), rows of -1 where there are no more."""
        import torch

        number = index // max(self.crops, 1)
        picture = self.pictures[number]
        if self.crops:
            rng = np.random.default_rng(int(torch.randint(2**62, ())))
            pixels, boxes = changed(
                picture.pixels, picture.boxes, self.vectors[number],
                side_px=self.side_px, change=self.change, rng=rng,
            )  # fmt: skip
        else:
            pixels, boxes = cut(picture.pixels, picture.boxes, left=0, top=0, side_px=self.side_px)
        padded = np.full((self.room, 5), -1, np.float32)
        padded[: len(boxes)] = boxes
        return torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(padded)

    def fingerprint(self) -> str:
        """Return a hash of pictures and boxes."""
        parts = [part for p in self.pictures for part in (p.pixels, p.boxes)]
        return content_sha256(*parts, list(self.class_names), self.side_px, self.mpp)

    def begin_epoch(self, progress: float) -> None:
        """Squares do not depend on how far the training is."""


class Detection:
    """Learn where cells are and which class each has.

    Parameters
    ----------
    net
        Of `her2kit.learning.yolo_offline.detection_network`.
    class_names
        In the order of its outputs.
    mpp
        Micrometres per pixel of the pictures.
    multi_scale
        Lowest and highest side in pixels that batches are resized to, multiples of 32; None leaves them.
    frozen
        How many of the network's first modules stay as they are: 11 is the whole backbone of YOLO11.
    keep_statistics
        Let all batch normalisation use the statistics that the network came with: a short training from
        good weights moves them faster than they can follow.
    """

    figures: tuple[str, ...] = ("loss", "f1", "macro_f1", "precision", "recall", "confidence", "centre_um")

    def __init__(
        self,
        net: Any,
        class_names: Sequence[str],
        *,
        mpp: float,
        multi_scale: tuple[int, int] | None = None,
        frozen: int = 0,
        keep_statistics: bool = False,
    ) -> None:
        import torch

        self.net, self.class_names, self.mpp = net, tuple(class_names), mpp
        self.sides = [] if multi_scale is None else sides_between(*multi_scale)
        self.still = list(net.model[:frozen])
        for module in self.still:
            module.requires_grad_(False)
        if keep_statistics:
            self.still += [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        self.criterion: Any = None

    def loss(self, net: Any, batch: Any) -> Any:
        """Return the loss of a batch (pixels, boxes), averaged over its pictures."""
        import torch

        for module in self.still:
            module.eval()
        pixels = batch[0].float() / 255
        target = self._target(batch)
        if self.sides and self.net.training:
            side = self.sides[int(torch.randint(len(self.sides), ()))]
            if side != pixels.shape[-1]:
                pixels = torch.nn.functional.interpolate(
                    pixels, (side, side), mode="bilinear", antialias=True
                )
        return self._criterion()(net(pixels), target)[0].sum() / len(pixels)

    def judge(self, net: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Return the loss, and the figures of points at the confidence of the best F1."""
        counts: list[PointCounts] = []
        loss, total = 0.0, 0
        for pixels, boxes in batches:
            answer, raw = net(pixels.float() / 255)
            loss += float(self._criterion()(raw, self._target((pixels, boxes)))[0].sum())
            total += len(pixels)
            for one, truth in zip(answer.float().cpu().numpy(), boxes.cpu().numpy(), strict=True):
                truth = truth[truth[:, 0] >= 0]
                found = boxes_of(one, confidence=LEAST_CONFIDENCE)
                counts.append(
                    PointCounts.of(
                        truth[:, 1:3] * self.mpp,
                        truth[:, 0].astype(int),
                        found.xywh[:, :2] * self.mpp,
                        found.label,
                        found.score,
                    )
                )
        table = sweep(counts, self.class_names)
        best = best_confidence(table)
        return {"loss": loss / total, "confidence": float(best)} | {
            name: float(table.loc[best, name])
            for name in ("f1", "macro_f1", "precision", "recall", "centre_um")
        }

    def _target(self, batch: Any) -> dict[str, Any]:
        """Return boxes as the library's loss takes them, in shares of the picture's sides."""
        pixels, boxes = batch
        there = boxes[..., 0] >= 0
        side = boxes.new_tensor([pixels.shape[3], pixels.shape[2]] * 2)
        rows = boxes[there]
        return {"batch_idx": there.nonzero()[:, 0], "cls": rows[:, 0], "bboxes": rows[:, 1:] / side}

    def _criterion(self) -> Any:
        """Return the library's loss, made when the network stands on its device."""
        with patches_undone():
            from ultralytics.utils.loss import v8DetectionLoss

        place = next(self.net.parameters()).device
        if self.criterion is None or self.criterion.device != place:
            self.criterion = v8DetectionLoss(self.net)
        return self.criterion


def check_side(side_px: int, stride: int = STRIDE) -> None:
    """Raise ValueError unless a side is a multiple of the network's largest stride."""
    if side_px < stride or side_px % stride:
        near = max(stride, round(side_px / stride) * stride)
        raise ValueError(f"side of {side_px} px; use a multiple of {stride}, such as {near}")


def sides_between(low: int, high: int, stride: int = STRIDE) -> list[int]:
    """Return the sides of multi-scale training: R1 took 256 to 512 in steps of 32."""
    for side in (low, high):
        check_side(side, stride)
    if low > high:
        raise ValueError(f"multi_scale from {low} to {high}; give the lower side first")
    return list(range(low, high + 1, stride))


def answers(net: Any, windows: np.ndarray, *, device: str = "cpu") -> np.ndarray:
    """Return a torch network's raw answer, float32 (n, 4 + classes, places), to uint8 (n, h, w, 3)."""
    ensure_torchvision()
    import torch

    net = net.to(device).eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(np.ascontiguousarray(windows)).to(device).permute(0, 3, 1, 2)
        return net(pixels.float() / 255)[0].float().cpu().numpy()


Runner = Callable[[np.ndarray], np.ndarray]


def judged(run: Runner, pictures: Sequence[LabelledPicture], *, confidence: float) -> Iterator[PointCounts]:
    """Yield the points that a network finds in whole pictures of any size, beside the true ones."""
    for picture in pictures:
        height, width = picture.pixels.shape[:2]
        padded = np.full((height + -height % STRIDE, width + -width % STRIDE, 3), 255, np.uint8)
        padded[:height, :width] = picture.pixels
        found = boxes_of(run(padded[None])[0], confidence=confidence)
        found = found.rows((found.xywh[:, 0] < width) & (found.xywh[:, 1] < height))
        yield PointCounts.of(
            picture.boxes[:, 1:3] * picture.mpp,
            picture.boxes[:, 0].astype(int),
            found.xywh[:, :2] * picture.mpp,
            found.label,
            found.score,
        )
