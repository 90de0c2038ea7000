"""The one training loop, on Lightning Fabric: any task, and for the same seed the same result.

A task brings a network, a loss and a way to judge (`her2kit.learning.task`). The loop brings the schedule,
mixed precision, sharpness-aware steps, several GPUs, early stopping, the best weights by a named figure, and
going on after an interruption. Each step and each sample has a seed of its own, from the settings' seed and
its place in the training: a run that was killed and resumed ends in the same weights, bit for bit on a CPU.

It leaves ``best.safetensors`` and its card ``best.json``, ``curves.csv``, and ``last.ckpt`` to go on from.
"""

import math
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit.errors import TrainingError
from her2kit.exchange.card import Card
from her2kit.exchange.whole import whole_file
from her2kit.learning import weights
from her2kit.learning.fabric import make_fabric, progress_bar, quiet, resolved
from her2kit.learning.step import Stepper, set_up
from her2kit.learning.task import Samples, Task, ordered_batches, shuffled_batches
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.train_settings import TrainSettings, learning_rate, plateau_share

FILES = ("last.ckpt", "best.safetensors", "best.json", "curves.csv")
_CHECK_EVERY = 20  # steps between looks at the loss: each makes a GPU wait


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left."""

    card: Card
    """Of the best weights; its figures are those of the validation set at the best epoch."""
    weights: Path
    """The best weights. The task's network holds them, too, in evaluation mode on the CPU."""
    curves: pd.DataFrame
    """One row an epoch: ``epoch`` from 1, ``lr`` at its end, ``train_loss``, the figures as ``val_<name>``,
    ``seconds``."""
    best_epoch: int
    stopped: str
    """Why it ended, in words."""
    peak_gpu_mb: float
    """Most memory held on the GPU; nan on a CPU."""


def fit(
    task: Task,
    train: Samples,
    val: Samples,
    *,
    settings: TrainSettings,
    card: Card,
    folder: str | Path,
    resume: bool = False,
) -> Trained:
    """Train ``task.net``; leave its best weights in the network and, with their card, in ``folder``.

    Parameters
    ----------
    card
        What is known beforehand; settings, hash of the data and figures are filled in.
    folder
        Made if it is missing; what another training left there is overwritten.
    resume
        Go on from where a killed training stopped in ``folder``, if there was one.

    Raises
    ------
    ValueError
        If ``settings.monitor`` is no figure of the task, or there are too few samples.
    TrainingError
        If the loss is not finite before there are any good weights (afterwards the training ends with the
        best ones and a warning), or ``resume`` finds a training of other settings, network or data.
    """
    ensure_torchvision()
    import torch

    if settings.monitor not in task.figures:
        raise ValueError(f"monitor={settings.monitor!r}; use one of {', '.join(task.figures)}")
    if settings.plateau is not None and "loss" not in task.figures:
        raise ValueError(f"plateau={settings.plateau}, and this task has no validation loss; use None")
    least = 2 * settings.devices
    if len(train) < least or not len(val):
        raise ValueError(
            f"{len(train)} samples to train and {len(val)} to validate on; give at least {least} and 1"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    data = weights.content_sha256(train.fingerprint(), val.fingerprint())
    with quiet(), torch.random.fork_rng(devices=[]):
        settings = resolved(settings)
        card = replace(card, settings=settings.record(), data_sha256=data)
        peak = make_fabric(settings).launch(_run, task, train, val, settings, card, folder)
    state = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    if not state["best_epoch"]:
        raise TrainingError(f"{state['stopped']}, before any good weights; lower lr={settings.lr:g}")
    if state["broken"]:
        warnings.warn(f"{state['stopped']}; kept the weights of epoch {state['best_epoch']}", stacklevel=2)
    path = folder / "best.safetensors"
    best = weights.load(path, task.net.cpu().to(memory_format=torch.contiguous_format).eval())
    return Trained(best, path, pd.DataFrame(state["curves"]), state["best_epoch"], state["stopped"], peak)


def _run(
    fabric: Any, task: Task, train: Samples, val: Samples, settings: TrainSettings, card: Card, folder: Path
) -> float:
    """Train in this process, which may be one of several, and return its peak of GPU memory in MB."""
    import torch

    stepper = set_up(fabric, task, settings)
    state = _begin(stepper, card, folder)
    gpu = fabric.device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(fabric.device)
    batch_size = min(settings.batch_size, len(train) // fabric.world_size)
    steps = len(train) // (batch_size * fabric.world_size)
    with progress_bar(fabric, settings, state["epoch"] * steps, settings.epochs * steps) as bar:
        while not state["stopped"]:
            begun = time.perf_counter()
            train.begin_epoch(state["epoch"] / settings.epochs)
            share = plateau_share([row.get("val_loss", 0.0) for row in state["curves"]], settings.plateau)
            losses, lr = _one_epoch(stepper, train, state["epoch"], batch_size, steps, share, bar)
            seen = _together(fabric, losses).cpu()
            if seen.isfinite().all():
                row = {"epoch": state["epoch"] + 1, "lr": lr, "train_loss": float(seen.mean())}
                _note(state, row, _judged(stepper, val), settings)
                state["curves"][-1]["seconds"] = time.perf_counter() - begun
                bar.set_postfix_str(
                    f"best {settings.monitor} {state['figures'].get(settings.monitor, math.nan):.3f}"
                )
            else:
                first = int((~seen.isfinite()).nonzero()[0]) + 1
                state["stopped"] = f"the loss is not finite at step {first} of epoch {state['epoch'] + 1}"
                state["broken"] = True
            if fabric.is_global_zero:
                _keep(state, stepper, card, folder)
            fabric.barrier()
    return torch.cuda.max_memory_allocated(fabric.device) / 2**20 if gpu else math.nan


def _one_epoch(
    stepper: Stepper, train: Samples, epoch: int, batch_size: int, steps: int, share: float, bar: Any
) -> tuple[list[Any], float]:
    """Take the steps of an epoch, up to one that is not finite; return their losses and the last rate."""
    fabric, settings, losses, lr = stepper.fabric, stepper.settings, [], 0.0
    stepper.task.net.train()
    batches = shuffled_batches(
        train, batch_size, seed=settings.seed, epoch=epoch, rank=fabric.global_rank, world=fabric.world_size,
        workers=settings.workers, pin=fabric.device.type == "cuda",
    )  # fmt: skip
    for step, (seed, batch) in enumerate(batches):
        lr = share * learning_rate(epoch * steps + step, settings.epochs * steps, settings)
        losses.append(stepper.step(stepper.placed(batch), lr=lr, seed=seed))
        bar.update()
        look = len(losses) % _CHECK_EVERY == 0
        if look and not _together(fabric, losses[-_CHECK_EVERY:]).isfinite().all():
            break
    return losses, lr


def _judged(stepper: Stepper, val: Samples) -> dict[str, float]:
    """Return the figures of the validation set, those of the first process for all."""
    import torch

    fabric, settings = stepper.fabric, stepper.settings
    stepper.task.net.eval()
    held = ordered_batches(
        val, settings.batch_size, workers=settings.workers, pin=fabric.device.type == "cuda"
    )
    with torch.no_grad():
        figures = stepper.task.judge(stepper.net, (stepper.placed(batch) for batch in held))
    return fabric.broadcast({name: float(value) for name, value in figures.items()})


def _begin(stepper: Stepper, card: Card, folder: Path) -> dict[str, Any]:
    """Return the state to go on from: the saved one, put into network and optimiser, or that of a start."""
    import torch

    known = {name: getattr(card, name) for name in ("task", "architecture", "class_names", "data_sha256")}
    mine = known | {f"settings.{name}": value for name, value in card.settings.items()}
    path = folder / "last.ckpt"
    if not path.is_file():
        start: dict[str, Any] = {"epoch": 0, "best": None, "best_epoch": 0, "figures": {}, "curves": []}
        return start | {"stopped": "", "broken": False, "of": mine}
    try:
        state = torch.load(path, map_location=stepper.fabric.device, weights_only=True)
    except Exception as error:  # damage raises whatever it happens to look like
        raise TrainingError(
            f"{path}: cannot be read ({type(error).__name__}); give resume=False to begin anew"
        ) from error
    for name, value in mine.items():
        if state["of"].get(name) != value:
            raise TrainingError(
                f"{path}: was trained with {name}={state['of'].get(name)!r}, not {value!r}; "
                "give resume=False to begin anew, or another folder"
            )
    stepper.task.net.load_state_dict(state.pop("net"))
    stepper.optimizer.load_state_dict(state.pop("optimizer"))
    return state


def _note(
    state: dict[str, Any], row: dict[str, Any], figures: dict[str, float], settings: TrainSettings
) -> None:
    """Take an epoch into the state: its row, whether it is the best, whether to stop."""
    state["curves"].append(row | {f"val_{name}": value for name, value in figures.items()})
    state["epoch"] = row["epoch"]
    value = figures[settings.monitor]
    better = -value if settings.monitor == "loss" else value
    if not math.isfinite(value):
        state |= {"stopped": f"{settings.monitor} is not finite after epoch {row['epoch']}", "broken": True}
    elif state["best"] is None or better > state["best"]:
        state |= {"best": better, "best_epoch": row["epoch"], "figures": figures}
    elif settings.patience is not None and row["epoch"] - state["best_epoch"] >= settings.patience:
        state["stopped"] = f"no better {settings.monitor} in {settings.patience} epochs"
    if row["epoch"] == settings.epochs and not state["stopped"]:
        state["stopped"] = f"all {settings.epochs} epochs done"


def _keep(state: dict[str, Any], stepper: Stepper, card: Card, folder: Path) -> None:
    """Write what this epoch left: the weights if they are the best, the curves, the state to go on from."""
    import torch

    net = stepper.task.net.state_dict()
    if state["best_epoch"] == state["epoch"] and not state["broken"]:
        weights.save(folder / "best.safetensors", net, replace(card, figures=state["figures"]))
    with whole_file(folder / "curves.csv") as part:
        pd.DataFrame(state["curves"]).to_csv(part, index=False)
    with whole_file(folder / "last.ckpt") as part:
        torch.save(state | {"net": net, "optimizer": stepper.optimizer.state_dict()}, part)


def _together(fabric: Any, losses: list[Any]) -> Any:
    """Return the losses of some steps, averaged over all devices."""
    import torch

    return fabric.all_reduce(torch.stack(losses), reduce_op="mean")
