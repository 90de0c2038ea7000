"""Is a map about what the network learned? Weights made random must change it, and so must shuffled labels.

A method whose maps stay as they were when the network's weights are thrown away shows the picture, not the
network. Weights are replaced from the head downwards, part by part; the maps before and after are compared by
rank. The same comparison serves for a network that was trained on shuffled labels.

References
----------
Adebayo J et al. Sanity checks for saliency maps. NeurIPS 2018.
"""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from her2kit.exchange.card import Card
from her2kit.learning.classification import TileSamples
from her2kit.learning.explain import Maps, explain
from her2kit.learning.model import to_input
from her2kit.learning.task import ordered_batches

_IN_ROWS = ("blocks", "stages", "layers")
"""Parts that hold the stages of a network one after the other."""


def rank_correlations(maps: Maps, others: Maps) -> np.ndarray:
    """Return Spearman's correlation of two maps of each tile, place by place, float64 (n,).

    It is nan where a map is all zero or the same everywhere: there are no ranks.

    Raises
    ------
    ValueError
        If the maps are not as many or not of one grid.
    """
    from scipy.stats import rankdata

    if maps.raw.shape != others.raw.shape:
        raise ValueError(
            f"maps of {maps.raw.shape} and {others.raw.shape}; make both of one layer and the same tiles"
        )
    ranks = [rankdata(np.maximum(m.raw, 0).reshape(len(m), -1), axis=1) for m in (maps, others)]
    a, b = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), size, out=np.full(len(a), np.nan), where=size > 0)


def parts_from_the_top(net: Any) -> tuple[str, ...]:
    """Return the names of a network's parts that have weights, the head first."""
    names = []
    for name, child in net.named_children():
        inside = [f"{name}.{k}" for k, _ in child.named_children()] if name in _IN_ROWS else [name]
        names += [k for k in inside if any(True for _ in net.get_submodule(k).parameters())]
    return tuple(reversed(names))


def randomised(
    net: Any, card: Card, pixels: np.ndarray, *, parts: Sequence[str] | None = None, seed: int = 0
) -> Any:
    """Return a copy of a network with new random weights in some parts; it knows nothing there any more.

    Weights are normal with the variance 2 / fan-in, norms pass on what they get, and the running means of
    BatchNorm are taken anew from the tiles: signals keep their size, so that a map does not change for want
    of any.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, channels), tiles to take the means from.
    parts
        Names of modules; None takes all.

    References
    ----------
    He K et al. Delving deep into rectifiers. ICCV 2015 (the variance).
    """
    import torch

    new = copy.deepcopy(net).eval()
    chosen = [new] if parts is None else [new.get_submodule(name) for name in parts]
    norms = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in chosen:
            for name, weight in part.named_parameters():
                if weight.ndim > 1:
                    weight.normal_(0, float(np.sqrt(2 * weight.shape[0] / weight.numel())))
                elif name.endswith(("weight", "bias")):
                    weight.fill_(float(name.endswith("weight")))
            norms += [m for m in part.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
            norm.train()
        if norms:
            samples = TileSamples(pixels, np.zeros(len(pixels), int), card.class_names, size_px=card.input_px)
            for batch, _ in ordered_batches(samples, 32):
                new(to_input(batch, mean=card.mean, sd=card.sd))
    return new.eval()


def weight_randomisation(
    net: Any,
    card: Card,
    pixels: np.ndarray,
    *,
    methods: Sequence[str],
    layer: str | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> pd.DataFrame:
    """Return how alike maps stay while the weights are replaced from the head downwards.

    The maps are of the class that the trained network named, before and after.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, channels).
    methods, layer
        As `explain` takes them.
    seeds
        Of the random weights.

    Returns
    -------
    DataFrame
        ``method``, ``layer``, ``part`` down to which weights are random (the last one: all), ``depth``
        (how many parts), ``seed``, ``correlation`` (mean over tiles) and ``empty`` (maps that became all
        zero, which have no correlation).
    """
    names = parts_from_the_top(net)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*all zero")  # counted in the table
        before = {m: explain(net, card, pixels, method=m, layer=layer) for m in methods}
        called = explain(net, card, pixels, layer=layer).classes
        rows = []
        for seed in seeds:
            for depth in range(1, len(names) + 1):
                other = randomised(net, card, pixels, parts=names[:depth], seed=seed)
                for method, maps in before.items():
                    of = None if method == "eigencam" else called
                    after = explain(other, card, pixels, method=method, layer=layer, of=of)
                    rows.append(
                        {"method": method, "layer": maps.layer, "part": names[depth - 1], "depth": depth,
                         "seed": seed, "correlation": mean_of(rank_correlations(maps, after)),
                         "empty": int(after.empty.sum())}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def mean_of(values: np.ndarray) -> float:
    """Return the mean of what is defined, nan where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
