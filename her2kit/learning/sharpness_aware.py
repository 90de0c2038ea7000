"""Sharpness-aware minimisation: take the gradient not where the weights are, but at the worst point near by.

A step has two passes over one batch. The first tells which way the loss climbs; the weights move there by
``rho``; the second pass takes the gradient at that point; the weights move back, and any optimiser steps with
that gradient. Only the middle part is here. Running BatchNorm statistics must come from the first pass alone,
since no network is ever used at the second point. ``rho`` of 0.05 to 0.2 is usual; the adaptive form measures
distance relative to each weight and takes a ``rho`` about ten times as large.

References
----------
Foret P et al. Sharpness-aware minimization for efficiently improving generalization. ICLR 2021 (equation 2).
Kwon J et al. ASAM: adaptive sharpness-aware minimization. ICML 2021 (equation 9).
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

ETA = 0.01
"""Added to each weight's size in the adaptive form, so that weights at zero can move; as Kwon et al."""


@contextlib.contextmanager
def perturbed(parameters: Iterable[Any], *, rho: float, adaptive: bool = False) -> Iterator[None]:
    """Hold the parameters at ``w + e`` while the block runs, then put them back, bit for bit.

    With g the gradient, ``e = rho * g / |g|``; adaptive, with ``t = |w| + ETA``, ``e = rho t^2 g / |t g|``.
    Norms go over all parameters together. A factor on g, such as a loss scale, changes nothing; where g is
    zero or not finite, e is zero.

    Parameters
    ----------
    parameters
        Torch parameters; those without a gradient stay where they are.
    rho
        Radius of the neighbourhood, > 0.
    adaptive
        Measure distance relative to the size of each weight (ASAM).
    """
    import torch

    if not (rho > 0 and math.isfinite(rho)):
        raise ValueError(f"rho={rho}; use a positive radius (0.05 to 0.2 is usual)")
    moved = [p for p in parameters if p.grad is not None]
    with torch.no_grad():
        before = [p.clone() for p in moved]
        size = [p.abs().add_(ETA) if adaptive else None for p in moved]
        climb = [p.grad if t is None else p.grad * t for p, t in zip(moved, size, strict=True)]
        if climb:
            norm = torch.nn.utils.get_total_norm(climb)
            usable = torch.isfinite(norm) & (norm > 0)
            factor = torch.where(usable, rho / norm, 0.0)
            for p, c, t in zip(moved, climb, size, strict=True):
                step = c if t is None else c * t
                p.add_(torch.where(usable, step * factor, 0.0))
    try:
        yield
    finally:
        with torch.no_grad():
            for p, w in zip(moved, before, strict=True):
                p.copy_(w)


@contextlib.contextmanager
def frozen_statistics(net: Any) -> Iterator[None]:
    """Keep running BatchNorm statistics while the block runs; batches are normalised as always."""
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    buffers = [(b, b.clone()) for m in norms for b in m.buffers(recurse=False)]
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
