"""Tell the tissue of a tile: EfficientNetV2 on the seven classes of MIHIC, with sharpness-aware steps.

The architecture, settings and figures follow a published system on the MIHIC tiles (lung, 12 markers); breast
has no alveoli, and the phantom puts fat in their place. The kit's classes are those of tiles, 128 px at
0.5 um/px: what needs more context, such as whether a gland is invasive, is for `tumour_map`.

References
----------
Tan M, Le QV. EfficientNetV2: smaller models and faster training. ICML 2021.
Wang R et al. MIHIC: a multiplex IHC histopathological image classification dataset for lung cancer immune
microenvironment quantification. Front Immunol 2024.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.augment import NONE, Augmentation
from her2kit.learning.classification import (
    Classification,
    TileSamples,
    balanced_weights,
    predict,
)
from her2kit.learning.datasets.mihic import LABELS, black_to_white
from her2kit.learning.model import build, from_card
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.training import Trained, fit

TASK = "tissue_classifier"
CLASSES = LABELS
"""Those of MIHIC, in its order; `her2kit.cells.table.TISSUES` for a phantom, with fat for alveoli."""
FAST, FULL = "tf_efficientnetv2_b0", "tf_efficientnetv2_s"
"""Networks for a CPU and for a GPU; ``tf_efficientnetv2_m`` and ``_l`` are larger."""
LIMITS = (
    "Research and teaching only.",
    "Knows tiles alone: carcinoma in situ and normal glands need context that a tile does not show.",
)


@dataclass(frozen=True, slots=True)
class TissueClassifier:
    """A trained network with its card."""

    net: Any
    """Torch module in evaluation mode."""
    card: Card
    trained: Trained | None = None
    """How it was trained; None for one that was loaded."""

    def probabilities(self, pixels: np.ndarray | Sequence[str | Path], *, device: str = "cpu") -> np.ndarray:
        """Return each tile's probability of each class, float32 (n, classes), from arrays or files.

        The mean over the eight ways in which a tile can lie.
        """
        return predict(self.net, self.card, pixels, prepare=black_to_white, turned=True, device=device)


def train(
    pixels: np.ndarray | Sequence[str | Path],
    labels: Sequence[Any] | np.ndarray,
    val_pixels: np.ndarray | Sequence[str | Path],
    val_labels: Sequence[Any] | np.ndarray,
    *,
    folder: str | Path,
    settings: TrainSettings,
    class_names: Sequence[str] = CLASSES,
    architecture: str = FAST,
    size_px: int = 128,
    mpp: float | None = 0.5,
    augmentation: Augmentation | None = None,
    balance: float = 0.5,
    pretrained: bool = False,
    softmax_first: bool = False,
    resume: bool = False,
) -> TissueClassifier:
    """Train on tiles of some slides, choose the best epoch on tiles of others.

    Parameters
    ----------
    pixels, val_pixels
        uint8 (n, h, w, 3) RGB, or n paths of pictures.
    labels, val_labels
        (n,) class names or numbers.
    folder
        Where weights, card and curves go.
    augmentation
        None takes the defaults of `Augmentation`.
    balance
        Weight of rare classes in the loss: 0 counts samples alike, 1 classes.
    softmax_first
        A fault of the published code, kept as a switch to see what it costs.

    Raises
    ------
    ValueError, TrainingError, WeightsError
        As `her2kit.learning.training.fit` and `her2kit.learning.model.build`.
    """
    augmentation = Augmentation() if augmentation is None else augmentation
    samples, held = (
        TileSamples(x, y, class_names, size_px=size_px, augmentation=how, prepare=black_to_white)
        for x, y, how in ((pixels, labels, augmentation), (val_pixels, val_labels, NONE))
    )
    absent = [name for i, name in enumerate(class_names) if i not in samples.labels]
    card = Card(
        TASK, architecture, tuple(class_names), mpp=mpp, input_px=size_px,
        limits=(*LIMITS, *([f"Trained without a tile of: {', '.join(absent)}."] if absent else [])),
    )  # fmt: skip
    net = build(architecture, len(class_names), seed=settings.seed, pretrained=pretrained)
    factors = balanced_weights(samples.labels, len(class_names), power=balance)
    task = Classification(
        net, card, augmentation=augmentation, class_weights=factors, softmax_first=softmax_first
    )
    trained = fit(task, samples, held, settings=settings, card=card, folder=folder, resume=resume)
    return TissueClassifier(net, trained.card, trained)


def load(path: str | Path, *, class_names: Sequence[str] | None = None) -> TissueClassifier:
    """Load a classifier that was saved, after checking its card.

    Raises
    ------
    WeightsError
        If file and card do not match, or it is another kind of model or has other classes.
    """
    net = from_card(read_card(path))
    card = weights.load(path, net, task=TASK, class_names=class_names)
    return TissueClassifier(net.eval(), card)
