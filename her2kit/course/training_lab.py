"""What a notebook shows of a classifier and its training: blocks, gates, steps up the loss, gradients left.

Each function measures one thing on a network that is there; nothing is trained here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2kit.exchange.card import Card
from her2kit.learning.model import to_input
from her2kit.learning.sharpness_aware import frozen_statistics, perturbed


def blocks(net: Any, side_px: int) -> pd.DataFrame:
    """Return one row a block of an EfficientNet of timm, for a square picture.

    Returns
    -------
    DataFrame
        ``kind`` (convolution, Fused-MBConv, MBConv), ``squeeze_excite``, ``channels`` that come out,
        ``side_px`` of what comes out, ``parameters``, and ``multiplications`` in millions a picture.
    """
    import torch

    rows: list[dict[str, Any]] = []
    work: list[float] = [0.0]

    def count(layer: Any, _: Any, out: Any) -> None:
        side = out.shape[-1] if out.ndim == 4 else 1
        work[0] += layer.weight.numel() * side**2 / 1e6

    def close(block: Any, _: Any, out: Any) -> None:
        name = type(block).__name__
        gated = any(type(part).__name__ == "SqueezeExcite" for part in block.modules())
        rows.append(
            {
                "kind": _KINDS.get(name, "convolution"),
                "squeeze_excite": gated,
                "channels": out.shape[1],
                "side_px": out.shape[-1],
                "parameters": sum(p.numel() for p in block.parameters()),
                "multiplications": work[0],
            }
        )
        work[0] = 0.0

    parts = [net.conv_stem, *(block for stage in net.blocks for block in stage)]
    layers = [m for part in parts for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    hooks += [part.register_forward_hook(close) for part in parts]
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, 3, side_px, side_px))
    finally:
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows).rename_axis("block")


_KINDS = {"EdgeResidual": "Fused-MBConv", "InvertedResidual": "MBConv"}


def gates(net: Any, card: Card, pixels: np.ndarray) -> np.ndarray:
    """Return what the last squeeze-and-excitation lets through, float (n, channels) of 0 to 1.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, 3).
    """
    import torch

    last = [m for m in net.modules() if type(m).__name__ == "SqueezeExcite"][-1]
    kept: list[np.ndarray] = []
    hook = last.gate.register_forward_hook(lambda *call: kept.append(call[2].flatten(1).numpy()))
    try:
        with torch.inference_mode():
            net.eval()(_input(card, pixels))
    finally:
        hook.remove()
    return kept[0]


def loss_uphill(
    net: Any, card: Card, pixels: np.ndarray, labels: np.ndarray, rhos: Sequence[float]
) -> pd.Series:
    """Return the loss of a batch at distances from the weights, straight up its gradient.

    This is the line that sharpness-aware minimisation looks along; the weights come back as they were.

    Parameters
    ----------
    pixels, labels
        uint8 (n, h, w, 3) and class numbers (n,).
    rhos
        Distances, 0 or more.
    """
    import torch

    net.eval()
    batch, target = _input(card, pixels), torch.from_numpy(np.asarray(labels, np.int64))
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(batch), target).backward()
    found = {}
    for rho in rhos:
        with _at(net, rho), torch.no_grad():
            found[float(rho)] = float(torch.nn.functional.cross_entropy(net(batch), target))
    net.zero_grad()
    return pd.Series(found, name="loss").rename_axis("distance")


def _at(net: Any, rho: float) -> Any:
    return perturbed(net.parameters(), rho=rho) if rho else frozen_statistics(net)


def two_passes(start: tuple[float, float], loss: Any, *, rho: float) -> dict[str, np.ndarray]:
    """Return the two passes of a sharpness-aware step on a landscape of two weights.

    Parameters
    ----------
    loss
        Torch function of a tensor (2,).

    Returns
    -------
    dict
        ``weights``, the ``first`` gradient there, the point ``uphill``, the ``second`` gradient, at that
        point; each float (2,).
    """
    import torch

    weights = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    (weights.grad,) = torch.autograd.grad(loss(weights), weights)
    first = weights.grad.numpy().copy()
    with perturbed([weights], rho=rho):
        uphill = weights.detach().numpy().copy()
        (second,) = torch.autograd.grad(loss(weights), weights)
    return {"weights": np.array(start), "first": first, "uphill": uphill, "second": second.numpy()}


def gradient_of_a_mistake(margins: Sequence[float], n_classes: int = 7) -> pd.DataFrame:
    """Return how strongly the loss pulls at the true class's logit when it lies behind another one.

    Parameters
    ----------
    margins
        Logit of the true class minus that of the one class that competes; the other classes' are 0.

    Returns
    -------
    DataFrame
        Index ``margin``; columns ``logits`` (cross-entropy as it is meant) and ``softmax first`` (the
        fault): size of the gradient.
    """
    import torch

    pulls = {}
    for margin in margins:
        row = {}
        for name in ("logits", "softmax first"):
            logits = torch.zeros(1, n_classes, dtype=torch.float64)
            logits[0, 0], logits[0, 1] = max(margin, 0.0), max(-margin, 0.0)
            logits.requires_grad_()
            given = logits.softmax(1) if name == "softmax first" else logits
            loss = torch.nn.functional.cross_entropy(given, torch.tensor([0]))
            row[name] = float(abs(torch.autograd.grad(loss, logits)[0][0, 0]))
        pulls[float(margin)] = row
    return pd.DataFrame(pulls).T.rename_axis("margin")


def _input(card: Card, pixels: np.ndarray) -> Any:
    """Return what the network takes, scaled to the size of its card."""
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    pictures = to_input(batch, mean=card.mean, sd=card.sd)
    if pictures.shape[-1] == card.input_px:
        return pictures
    return torch.nn.functional.interpolate(pictures, size=(card.input_px,) * 2, mode="area")
