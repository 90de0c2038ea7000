"""How to train, checked before anything is loaded, and what follows from it: learning rate and optimiser."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPTIMIZERS = ("adamw", "adam", "sgd")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The choices of one training; those that can change its result are kept beside the weights."""

    epochs: int = 10
    batch_size: int = 32
    """Samples a step and device."""
    lr: float = 2e-4
    """Highest learning rate."""
    weight_decay: float = 0.01
    """Not on biases and normalisation."""
    optimizer: str = "adamw"
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises from 0."""
    cosine: bool = True
    """Let the learning rate fall to 0 along a cosine after that; False holds it."""
    plateau: int | None = None
    """Divide the learning rate by ten after more epochs than this without a lower validation loss (PyTorch's
    ``ReduceLROnPlateau``); None never does."""
    patience: int | None = None
    """Stop after so many epochs without a better figure; None never does."""
    monitor: str = "macro_f1"
    """Figure of the validation set that chooses the best weights: the highest, for ``loss`` the lowest."""
    sam_rho: float = 0.0
    """Radius of sharpness-aware minimisation, usually 0.05 to 0.2; 0 takes plain steps."""
    sam_adaptive: bool = False
    """Radius relative to each weight; takes a radius about ten times as large."""
    accelerator: str = "auto"
    """``cpu``, ``gpu`` (``cuda`` or ``mps``), or ``auto`` for what is there."""
    devices: int = 1
    """GPUs, or processes on a CPU, each with batches of its own."""
    precision: str = "auto"
    """``auto`` is mixed precision on a GPU and 32 bit on a CPU."""
    channels_last: bool = True
    """Keep a picture in memory pixel by pixel, the faster way for convolutions on most devices."""
    workers: int = 0
    """Processes that prepare samples; changes speed, never a result."""
    seed: int = 0
    progress: bool | None = None
    """A bar on stderr; None shows it on a terminal and in Jupyter."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("devices", 1), ("workers", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}; use {least} or more")
        for name, words in (
            ("optimizer", OPTIMIZERS),
            ("accelerator", ACCELERATORS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r}; use one of {', '.join(words)}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ValueError(f"lr={self.lr}; use a positive learning rate (2e-4 is usual)")
        if not (self.sam_rho >= 0 and math.isfinite(self.sam_rho)):
            raise ValueError(f"sam_rho={self.sam_rho}; use 0 for plain steps, or 0.05 to 0.2")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup={self.warmup}; use a share of the steps from 0 to below 1")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience}; use 1 epoch or more, or None")
        if self.plateau is not None and self.plateau < 0:
            raise ValueError(f"plateau={self.plateau}; use 0 epochs or more, or None")

    def record(self) -> dict[str, Any]:
        """Return the settings that can change a result."""
        plain = asdict(self)
        del plain["workers"], plain["progress"]
        return plain


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Return the learning rate of a step, 0 to ``steps`` - 1 over the whole training."""
    warm = math.ceil(settings.warmup * steps)
    if step < warm:
        return settings.lr * (step + 1) / (warm + 1)
    if not settings.cosine:
        return settings.lr
    return settings.lr * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def plateau_share(losses: Sequence[float], plateau: int | None) -> float:
    """Return the share of the learning rate that is left after these validation losses, one an epoch."""
    if plateau is None:
        return 1.0
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=plateau)
    for loss in losses:
        schedule.step(loss)
    return float(optimizer.param_groups[0]["lr"])


def make_optimizer(net: Any, settings: TrainSettings) -> Any:
    """Return the torch optimiser for a network."""
    import torch
    from timm.optim import param_groups_weight_decay

    groups = param_groups_weight_decay(net, settings.weight_decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, settings.lr, momentum=0.9, nesterov=True)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, settings.lr)
