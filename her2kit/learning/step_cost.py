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
from her2kit.learning.task import Task
from her2kit.learning.torchvision_ops import ensure_torchvision
from her2kit.learning.train_settings import TrainSettings, make_optimizer
from her2kit.learning.training import placed, take_step


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
    ready: dict[str, Any] = {}
    with quiet(), torch.random.fork_rng(devices=[]):
        for name, (task, batch, settings) in choices.items():
            settings = resolved(settings)
            fabric = make_fabric(settings)
            if settings.channels_last:
                task.net.to(memory_format=torch.channels_last)
            net, optimizer = fabric.setup(task.net.train(), make_optimizer(task.net, settings))
            ready[name] = (fabric, task, net, optimizer, placed(fabric, batch, settings), settings)
        saved = {name: _saved_bytes(parts[1], parts[2], parts[4]) / 2**20 for name, parts in ready.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        for turn in range(rounds + 1):
            for name, (fabric, task, net, optimizer, batch, settings) in ready.items():
                begun = time.perf_counter()
                take_step(fabric, task, net, optimizer, batch, settings.lr, settings, turn)
                if fabric.device.type == "cuda":
                    torch.cuda.synchronize(fabric.device)
                if turn:
                    seconds[name].append(time.perf_counter() - begun)
    first = next(iter(ready))
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


def _saved_bytes(task: Task, net: Any, batch: Any) -> int:
    """Return the bytes of all tensors that a forward pass keeps for the backward pass, each once."""
    import torch

    own = {p.untyped_storage().data_ptr() for p in task.net.parameters()}
    kept: dict[int, int] = {}
    alive = []  # an address may not be given out twice while we count

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        task.loss(net, batch)
    return sum(kept.values())
