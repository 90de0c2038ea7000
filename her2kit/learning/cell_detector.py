"""The cell detector: YOLO11 on pictures of one stated mpp, trained by the kit's own loop.

One class finds nuclei, four grade them, three tell tumour cells with a membrane stain from those without and
from the rest: the code is the same. R1's card is `R1`, a named setting like any other.

What R1's card gets wrong, and what is done here:
- it trains at 0.5 um/px with the number written into the code, and at inference cuts squares at level 0: here
  the weights' card states the mpp, and pictures of another are resampled or refused;
- its jitter of saturation by 70 % and of value by 40 % makes 1+ look like 2+ while the label stays: here
  colour is left alone when classes are grades, and `R1` is there to be compared;
- its sides of 256 to 512 px show cells at half their size while the mpp is one: here the range is narrow.

References
----------
Jocher G et al. Ultralytics YOLO. github.com/ultralytics/ultralytics (AGPL-3.0).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.detection import CellSamples, Detection
from her2kit.learning.detection_change import Change
from her2kit.learning.detector_export import tensors_of
from her2kit.learning.point_boxes import BOX_UM, LabelledPicture
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.training import Trained, fit
from her2kit.learning.yolo_offline import BOX_GAIN, CLASS_GAIN, DISTRIBUTION_GAIN, detection_network

TASK = "cell_detector"
FAST, FULL = "yolo11n", "yolo11m"
"""For a CPU and for a GPU; m is R1's."""
BACKBONE = 11
"""Modules of YOLO11 before its neck."""
LIMITS = ("Research and teaching only, never for diagnosis.",)


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How a detector is trained, beside what any training takes (`TrainSettings`)."""

    architecture: str = FAST
    side_px: int = 320
    """Side of training squares, a multiple of 32."""
    mpp: float = 0.5
    multi_scale: tuple[int, int] | None = None
    """Lowest and highest side that batches are resized to, multiples of 32."""
    crops: int = 1
    """Random squares of each picture an epoch."""
    change: Change = field(default_factory=lambda: Change(scale=1.15))
    box: float = BOX_GAIN
    cls: float = CLASS_GAIN
    dfl: float = DISTRIBUTION_GAIN
    frozen: int = 0
    """First modules that stay as they are; `BACKBONE` freezes all that is not neck or head."""
    keep_statistics: bool = False
    """Normalise by the statistics that the weights came with, as short trainings from a start should."""


GRADES = DetectorSettings(multi_scale=(288, 352))
"""The kit's own for grades: colour is left alone, size within a tenth."""
R1 = DetectorSettings(
    architecture=FULL,
    side_px=512,
    multi_scale=(256, 512),
    change=Change(turn=True, scale=1.5, hsv=(0.015, 0.7, 0.4)),
)
"""R1's card: YOLO11m, 512 px at 0.5 um/px, sides 256 to 512. Its mosaic and shifts by a tenth are not taken
over: squares are cut at random places of the picture. Of its mirror image, turns are added."""
R1_TRAINING = TrainSettings(epochs=100, batch_size=16, lr=2e-4, weight_decay=5e-4, monitor="macro_f1")
"""What R1's notebooks ran; its card states rates of 1e-4 to 1e-2."""


@dataclass(frozen=True, slots=True)
class CellDetector:
    """A trained network with its card."""

    net: Any
    """Torch module in evaluation mode."""
    card: Card
    trained: Trained | None = None
    """How it was trained; None for one that was loaded."""

    @property
    def confidence(self) -> float:
        """Least score of a cell, chosen on the validation pictures."""
        return float(self.card.details["confidence"])


def train(
    pictures: Sequence[LabelledPicture],
    val_pictures: Sequence[LabelledPicture],
    class_names: Sequence[str],
    *,
    folder: str | Path,
    settings: TrainSettings,
    detector: DetectorSettings = GRADES,
    start: str | Path | None = None,
    vectors: Sequence[np.ndarray | None] | None = None,
    box_um: float | str = BOX_UM,
    resume: bool = False,
) -> CellDetector:
    """Train on pictures of some slides, choose the best epoch on pictures of others.

    Parameters
    ----------
    pictures, val_pictures
        All at ``detector.mpp``, no smaller than a square of ``detector.side_px``.
    class_names
        In the order of the boxes' class numbers.
    folder
        Where weights, card and curves go.
    settings
        ``monitor`` is one of loss, f1, macro_f1, precision, recall.
    start
        Weights of a detector to begin with (.safetensors with its card, or an .onnx file of this kit); where
        it has other classes, its head's last layer begins anew.
    vectors
        Stain vectors of each picture, where ``detector.change`` varies the stain.
    box_um
        For the card: side of the boxes, or the outline that they enclose.

    Raises
    ------
    ValueError, TrainingError, WeightsError, LabelError
        As `her2kit.learning.training.fit`, and if pictures, classes or ``start`` do not fit.
    """
    common: dict[str, Any] = {"side_px": detector.side_px, "mpp": detector.mpp}
    samples = CellSamples(
        pictures, class_names, crops=max(1, detector.crops), change=detector.change, vectors=vectors, **common
    )
    held = CellSamples(val_pictures, class_names, **common)
    net = detection_network(
        detector.architecture, len(class_names), seed=settings.seed,
        box=detector.box, cls=detector.cls, dfl=detector.dfl,
    )  # fmt: skip
    details: dict[str, Any] = {"detector": asdict(detector), "box_um": box_um}
    if start is not None:
        details["start_sha256"] = begin_with(net, start, detector)
    card = Card(
        TASK, detector.architecture, tuple(class_names), mpp=detector.mpp, input_px=detector.side_px,
        mean=0.0, sd=1.0, details=details, limits=LIMITS,
    )  # fmt: skip
    task = Detection(
        net, class_names, mpp=detector.mpp, multi_scale=detector.multi_scale, frozen=detector.frozen,
        keep_statistics=detector.keep_statistics,
    )  # fmt: skip
    trained = fit(task, samples, held, settings=settings, card=card, folder=folder, resume=resume)
    details |= {"confidence": trained.card.figures["confidence"]}
    card = weights.save(trained.weights, net.state_dict(), replace(trained.card, details=details))
    return CellDetector(net, card, trained)


def begin_with(net: Any, start: str | Path, detector: DetectorSettings) -> str:
    """Put the weights of another detector into a network, all that fit, and return their sha256.

    Raises
    ------
    WeightsError
        If they are of another architecture or mpp, or no weights of this kit.
    """
    start = Path(start)
    card = read_card(start)
    if card.task != TASK or card.architecture != detector.architecture:
        raise WeightsError(
            f"{start}: is a {card.task} {card.architecture}, not a {TASK} {detector.architecture}; give "
            "other weights, or architecture="
        )
    if card.mpp != detector.mpp:
        raise WeightsError(
            f"{start}: was trained at mpp {card.mpp:g}, not {detector.mpp:g}; resample the pictures to it"
        )
    own, theirs = net.state_dict(), tensors_of(start)
    fitting = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    strange = [k for k in own if k not in theirs and not k.endswith("num_batches_tracked")]
    if strange:
        raise WeightsError(f"{start}: lacks {len(strange)} tensors ({strange[0]}); export it again")
    net.load_state_dict(fitting, strict=False)
    return card.sha256


def load(path: str | Path, *, class_names: Sequence[str] | None = None) -> CellDetector:
    """Load a detector that was saved (.safetensors with its card), after checking its card.

    Raises
    ------
    WeightsError
        If file and card do not match, or it is another kind of model or has other classes.
    """
    card = read_card(path)
    if card.task != TASK:
        raise WeightsError(f"{path}: task is {card.task!r}, not {TASK!r}; load other weights")
    net = detection_network(card.architecture, len(card.class_names))
    card = weights.load(path, net, task=TASK, class_names=class_names)
    return CellDetector(net.eval(), card)
