"""Grade a tile 0, 1+, 2+ or 3+ from its IHC, its H&E or both: ResNet-18, as a published system did on BCI.

That system pasted both pictures side by side and chose its best epoch on the test set. Here the validation
tiles are others than the test tiles, and the saved card says how the input was made. The class of a tile is
no slide score: HER2 is scored by counting cells on the whole slide (`her2kit.scoring`).

References
----------
He K et al. Deep residual learning for image recognition. CVPR 2016. Liu S et al. BCI. CVPR Workshops 2022.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.augment import NONE, Augmentation
from her2kit.learning.classification import Classification, TileSamples, balanced_weights, predict
from her2kit.learning.imbalance import need_every_class, resampled_rows
from her2kit.learning.model import build, from_card, to_input
from her2kit.learning.pairs import Form, Pairs
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.training import Trained, fit
from her2kit.learning.weights import content_sha256

TASK = "patch_grader"
CLASSES = ("0", "1+", "2+", "3+")
ARCHITECTURE = "resnet18"
"""The published network; ``resnet10t`` and ``test_resnet`` are smaller siblings for a CPU."""
LIMITS = (
    "Research and teaching only.",
    "Grades a tile, not a slide: a slide's score comes from counting its cells.",
)


class PairSamples(TileSamples):
    """Pairs with a class each: changed alike, then joined into the network's picture.

    The arguments are those of `TileSamples`, with pairs (or the pictures of one stain) for pixels.
    """

    def __init__(
        self,
        pairs: Pairs | np.ndarray,
        labels: Sequence[Any] | np.ndarray,
        class_names: Sequence[str],
        *,
        form: Form,
        size_px: int = 224,
        augmentation: Augmentation = NONE,
    ) -> None:
        super().__init__(form.stack(pairs), labels, class_names, size_px=size_px, augmentation=augmentation)
        self.form = form

    def keep(self, rows: np.ndarray) -> None:
        """Keep samples by number, int (n,); a number may stand there more than once."""
        self.pixels, self.labels = [self.pixels[row] for row in rows], self.labels[rows]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return uint8 (channels, h, w) and the number of the class."""
        import torch

        stacked, label = super().__getitem__(index)
        picture = self.form.picture(stacked.permute(1, 2, 0).numpy())
        return torch.from_numpy(picture).permute(2, 0, 1).contiguous(), label

    def fingerprint(self) -> str:
        """Return a hash of pixels, labels and form."""
        return content_sha256(*self.pixels, self.labels, list(self.class_names), self.form.record())


@dataclass(frozen=True, slots=True)
class PatchGrader:
    """A trained network with its card."""

    net: Any
    """Torch module in evaluation mode."""
    card: Card
    trained: Trained | None = None
    """How it was trained; None for one that was loaded."""

    @property
    def form(self) -> Form:
        """How its input is made of a pair."""
        return Form(**self.card.details["form"])

    def pictures(self, pairs: Pairs | np.ndarray) -> np.ndarray:
        """Return what the network sees, uint8 (n, h, w, channels), of pairs or of its one stain."""
        samples = PairSamples(pairs, np.zeros(len(pairs), int), self.card.class_names, form=self.form,
                              size_px=self.card.input_px)  # fmt: skip
        if not len(samples):
            return np.empty((0, self.card.input_px, self.card.input_px, self.card.channels), np.uint8)
        return np.stack([samples[k][0].permute(1, 2, 0).numpy() for k in range(len(samples))])

    def inputs(self, pairs: Pairs | np.ndarray) -> Any:
        """Return the network's input, a float tensor (n, channels, h, w)."""
        import torch

        pixels = torch.from_numpy(self.pictures(pairs)).permute(0, 3, 1, 2)
        return to_input(pixels, mean=self.card.mean, sd=self.card.sd)

    def probabilities(self, pairs: Pairs | np.ndarray, *, device: str = "cpu") -> np.ndarray:
        """Return each place's probability of each class, float32 (n, classes).

        Parameters
        ----------
        pairs
            For a grader of one stain also its pictures alone, uint8 (n, h, w, 3).

        Raises
        ------
        ValueError
            If a stain that it needs is missing.
        """
        return predict(self.net, self.card, self.pictures(pairs), device=device)


def train(
    pairs: Pairs | np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    val_pairs: Pairs | np.ndarray,
    val_labels: Sequence[Any] | np.ndarray,
    *,
    folder: str | Path,
    settings: TrainSettings,
    modality: str = "both",
    join: str = "side_by_side",
    wide: bool = False,
    gray: bool = False,
    class_names: Sequence[str] = CLASSES,
    architecture: str = ARCHITECTURE,
    size_px: int = 224,
    mpp: float | None = None,
    augmentation: Augmentation | None = None,
    imbalance: str = "none",
    pretrained: bool = False,
    resume: bool = False,
) -> PatchGrader:
    """Train on tiles of some slides, choose the best epoch on tiles of others.

    Parameters
    ----------
    pairs, val_pairs
        For one modality also its pictures alone, uint8 (n, h, w, 3).
    labels, val_labels
        (n,) class names or numbers.
    folder
        Where weights, card and curves go.
    modality, join, wide, gray
        How the input is made, see `Form`.
    size_px
        Height of the input; 224 and ``wide`` is the published 448 x 224.
    mpp
        Micrometres per pixel at that height, for the card.
    augmentation
        None takes the defaults of `Augmentation`; ``augment.NONE`` leaves it out.
    imbalance
        ``none``, ``undersample``, ``oversample`` or ``class_weights``; of weight decay see `TrainSettings`.

    Raises
    ------
    ValueError
        If a class has no training sample, a stain is missing, or as `her2kit.learning.training.fit`.
    TrainingError, WeightsError
        As `her2kit.learning.training.fit` and `her2kit.learning.model.build`.
    """
    form = Form(modality, join, wide, gray)
    augmentation = Augmentation() if augmentation is None else augmentation
    samples = PairSamples(pairs, labels, class_names, form=form, size_px=size_px, augmentation=augmentation)
    held = PairSamples(val_pairs, val_labels, class_names, form=form, size_px=size_px)
    need_every_class(samples.labels, class_names)
    samples.keep(resampled_rows(samples.labels, imbalance, seed=settings.seed))
    card = Card(
        TASK, architecture, tuple(class_names), mpp=mpp, input_px=size_px, channels=form.channels,
        limits=LIMITS, details={"form": form.record(), "imbalance": imbalance,
                                "augmentation": asdict(augmentation)},
    )  # fmt: skip
    net = build(
        architecture, len(class_names), channels=form.channels, seed=settings.seed, pretrained=pretrained
    )
    factors = balanced_weights(samples.labels, len(class_names)) if imbalance == "class_weights" else None
    task = Classification(net, card, augmentation=augmentation, class_weights=factors)
    trained = fit(task, samples, held, settings=settings, card=card, folder=folder, resume=resume)
    return PatchGrader(net, trained.card, trained)


def load(path: str | Path, *, class_names: Sequence[str] | None = None) -> PatchGrader:
    """Load a grader that was saved, after checking its card.

    Raises
    ------
    WeightsError
        If file and card do not match, or it is another kind of model or has other classes.
    """
    known = read_card(path)
    if known.task != TASK or "form" not in known.details:
        raise WeightsError(f"{path}: is a {known.task}, no patch_grader; load it with the module of its task")
    net = from_card(known)
    card = weights.load(path, net, task=TASK, class_names=class_names)
    return PatchGrader(net.eval(), card)
