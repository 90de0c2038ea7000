"""Where a training runs: device, precision and processes as Lightning Fabric starts them, quietly."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from her2kit.learning.train_settings import TrainSettings


def resolved(settings: TrainSettings) -> TrainSettings:
    """Return the settings with the device and precision that this computer gives for ``auto``.

    Precision is bfloat16 on a GPU that has it, float16 on one older, 32 bit elsewhere.
    """
    import torch
    from lightning.fabric.accelerators import CUDAAccelerator, MPSAccelerator

    kind = settings.accelerator
    if kind in ("auto", "gpu"):
        found = (
            "cuda" if CUDAAccelerator.is_available() else "mps" if MPSAccelerator.is_available() else "cpu"
        )
        if kind == "gpu" and found == "cpu":
            raise ValueError("accelerator='gpu', and there is none; use 'cpu' or 'auto'")
        kind = found
    precision = settings.precision
    if precision == "auto":
        # Asking a GPU what it can do opens CUDA, and then no process can be forked for the others.
        old = kind == "cuda" and settings.devices == 1 and not torch.cuda.is_bf16_supported(False)
        precision = "32-true" if kind != "cuda" else "16-mixed" if old else "bf16-mixed"
    return replace(settings, accelerator=kind, precision=precision)


def make_fabric(settings: TrainSettings) -> Any:
    """Return the Fabric of resolved settings; several devices are started by forking this process."""
    from lightning.fabric import Fabric

    precision: Any = settings.precision
    strategy = "auto" if settings.devices == 1 else "ddp_fork"
    return Fabric(
        accelerator=settings.accelerator, devices=settings.devices, precision=precision, strategy=strategy
    )


def progress_bar(fabric: Any, settings: TrainSettings, done: int, total: int) -> Any:
    """Return a tqdm bar over steps, which shows itself where ``settings.progress`` says."""
    from tqdm import tqdm

    shown = settings.progress
    if shown is None:
        shown = sys.stderr.isatty() or "ipykernel" in sys.modules
    off = not (shown and fabric.is_global_zero)
    return tqdm(initial=done, total=total, desc="training", unit="step", leave=False, disable=off)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let Lightning speak up for warnings alone: it announces its settings, and its products."""
    import lightning.pytorch  # noqa: F401  (both halves set their own levels when they are first imported)

    loggers = [logging.getLogger(name) for name in ("lightning.fabric", "lightning.pytorch")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
