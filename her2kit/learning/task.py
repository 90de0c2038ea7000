"""What a task and its samples owe the training loop, and how samples become batches.

A sample draws from torch's default generator, which is seeded for each sample from the training's seed, the
epoch and the sample's number. So what is drawn depends neither on the number of loading processes nor on
where a training was interrupted.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np


class Samples(Protocol):
    """What is trained or judged on."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> Any:
        """Return a tuple of tensors or numbers; all samples of an epoch stack."""
        ...

    def fingerprint(self) -> str:
        """Return a hash of the data."""
        ...

    def begin_epoch(self, progress: float) -> None:
        """Note which share of the training is over, 0 to below 1."""
        ...


class Task(Protocol):
    """What to learn. ``loss`` and ``judge`` call the network they are given: it may be wrapped."""

    net: Any
    """Torch module."""
    figures: tuple[str, ...]
    """Names of what ``judge`` returns; of each more is better, but for ``loss``."""

    def loss(self, net: Any, batch: Any) -> Any:
        """Return the loss of a batch, a tensor of one number."""
        ...

    def judge(self, net: Any, batches: Iterable[Any]) -> dict[str, float]:
        """Return the figures of a whole set."""
        ...


class _Seeded:
    """Samples by (number, seed)."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, item: tuple[int, int]) -> Any:
        import torch

        torch.default_generator.manual_seed(item[1])
        return self.samples[item[0]]


def shuffled_batches(
    samples: Samples,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Yield (seed of the step, batch): whole batches of an epoch in its own order, one rank's share."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(samples))
    seeds = rng.integers(2**62, size=len(samples))
    steps = len(samples) // (batch_size * world)
    of_steps = rng.integers(2**62, size=(steps, world))[:, rank]
    places = np.arange(steps * batch_size) * world + rank
    batches = [[(int(order[i]), int(seeds[i])) for i in part] for part in places.reshape(steps, batch_size)]
    yield from zip(of_steps.tolist(), _loader(samples, batches, workers, pin), strict=True)


def ordered_batches(
    samples: Samples, batch_size: int, *, workers: int = 0, pin: bool = False
) -> Iterator[Any]:
    """Yield all samples in order; the last batch may be smaller."""
    starts = range(0, len(samples), batch_size)
    batches = [[(i, i) for i in range(a, min(a + batch_size, len(samples)))] for a in starts]
    yield from _loader(samples, batches, workers, pin)


def _loader(samples: Samples, batches: list[list[tuple[int, int]]], workers: int, pin: bool) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(_Seeded(samples), batch_sampler=batches, num_workers=workers, pin_memory=pin)  # type: ignore[arg-type]
