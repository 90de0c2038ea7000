"""What a training step costs: its time, and the memory that its forward pass holds for the backward pass.

For comparing choices (precision, memory layout, picture size, sharpness-aware steps) side by side on one
computer. Choices take turns within each round, so that what else runs there disturbs all alike.
"""

import statistics
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd

from her2kit.learning.fabric import make_fabric, quiet, resolved
from her2kit.learning.step import Stepper, set_up
from her2kit.learning.task import Task
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.train_settings import TrainSettings


def step_costs(choices: Mapping[str, tuple[Task, Any, TrainSettings]], *, rounds: int = 5) -> pd.DataFrame:
    """Time training steps of several choices against each other.

    Parameters
    ----------
    choices
        Name to task, batch and settings; the first is the one that others are compared with. Tasks are
        trained a few steps by this.
    rounds
        Timed steps of each choice, after one that is not timed.

    Returns
    -------
    DataFrame
        Index ``choice``: ``seconds`` (median), ``ratio`` (median over the rounds of the time over the first
        choice's in the same round), ``saved_mb`` (what the forward pass keeps, without
        weights), ``saved_ratio``.
    """
    ensure_torchvision()
    import torch

    if not choices or rounds < 1:
        raise ValueError(f"{len(choices)} choices and rounds={rounds}; give at least one of each")
    seconds: dict[str, list[float]] = {name: [] for name in choices}
    with quiet(), torch.random.fork_rng(devices=[]):
        ready: dict[str, tuple[Stepper, Any]] = {}
        for name, (task, batch, settings) in choices.items():
            settings = resolved(settings)
            stepper = set_up(make_fabric(settings), task, settings)
            task.net.train()
            ready[name] = stepper, stepper.placed(batch)
        saved = {name: _saved_bytes(*pair) / 2**20 for name, pair in ready.items()}
        for turn in range(rounds + 1):
            for name, (stepper, batch) in ready.items():
                begun = time.perf_counter()
                float(stepper.step(batch, lr=stepper.settings.lr, seed=turn))  # asking for it waits for a GPU
                if turn:
                    seconds[name].append(time.perf_counter() - begun)
    first = next(iter(choices))
    ratio = {
        name: statistics.median(a / b for a, b in zip(taken, seconds[first], strict=True))
        for name, taken in seconds.items()
    }
    return pd.DataFrame(
        {
            "seconds": {name: statistics.median(taken) for name, taken in seconds.items()},
            "ratio": ratio,
            "saved_mb": saved,
            "saved_ratio": {name: mb / saved[first] for name, mb in saved.items()},
        }
    ).rename_axis("choice")


def _saved_bytes(stepper: Stepper, batch: Any) -> int:
    """Return the bytes of all tensors that a forward pass keeps for the backward pass, each once."""
    import torch

    own = {p.untyped_storage().data_ptr() for p in stepper.task.net.parameters()}
    kept: dict[int, int] = {}
    alive = []  # an address may not be given out twice while we count

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        stepper.task.loss(stepper.net, batch)
    return sum(kept.values())
