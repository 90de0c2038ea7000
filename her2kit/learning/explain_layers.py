"""Layers of a network by name: which there are, which is a good one to look at, and how its output lies.

A layer's output is a picture with channels, (n, c, rows, columns). Some networks keep channels last, and
transformers keep a row of tokens with one or more in front that belong to no place; ``placed`` makes pictures
of both.
"""

import difflib
import math
import re
from typing import Any

import numpy as np
import pandas as pd


def default_layer(net: Any) -> str:
    """Return the last layer that still has places, of a network of timm.

    Of a transformer it is the norm before the last block's attention: behind that, only the token of the
    class has a part in the output.

    Raises
    ------
    ValueError
        If the network does not tell its stages.
    """
    stages = getattr(net, "feature_info", None)
    if not stages:
        raise ValueError(f"{type(net).__name__} does not tell its stages; name a layer, layer=")
    last = str(stages[-1]["module"])
    names = dict(net.named_modules())
    before = f"{last}.norm1"
    return before if hasattr(net, "num_prefix_tokens") and before in names else last


def find_layer(net: Any, layer: str) -> tuple[str, Any]:
    """Return name and module of a layer; ``layer4[1].conv2`` is ``layer4.1.conv2``.

    Raises
    ------
    ValueError
        If there is none of that name; near ones are named.
    """
    name = re.sub(r"\[(\d+)\]", r".\1", layer)
    known = dict(net.named_modules())
    known.pop("")
    if name in known:
        return name, known[name]
    near = difflib.get_close_matches(name, list(known), n=4, cutoff=0.5)
    near = (
        near or [k for k in known if k.startswith(name.split(".")[0])][:4] or list(dict(net.named_children()))
    )
    raise ValueError(f"layer={layer!r} does not exist; near: {', '.join(near)}")


def layer_table(net: Any, *, side_px: int, channels: int = 3) -> pd.DataFrame:
    """Return one row a stage of a network of timm: ``layer``, ``channels``, and ``rows`` and ``columns``.

    Parameters
    ----------
    side_px, channels
        Of the network's input; rows and columns are the places that the map of such a tile has.
    """
    import torch

    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(_: Any, __: Any, out: Any) -> None:
            shapes[name] = placed(out.detach().cpu().numpy(), net, name).shape[1:]

        return hook

    names = [str(stage["module"]) for stage in net.feature_info]
    hooks = [find_layer(net, name)[1].register_forward_hook(note(name)) for name in names]
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, channels, side_px, side_px))
    finally:
        for hook in hooks:
            hook.remove()
    table = pd.DataFrame([shapes[name] for name in names], columns=["channels", "rows", "columns"])
    return table.set_index(pd.Index(names, name="layer"))


def placed(values: np.ndarray, net: Any, name: str) -> np.ndarray:
    """Return a layer's output as (n, c, rows, columns).

    Raises
    ------
    ValueError
        If it has no places: a vector, one place alone, or tokens that fill no square.
    """
    if values.ndim == 3:
        tokens = values[:, getattr(net, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side * side == tokens.shape[1]:
            values = tokens.reshape(len(tokens), side, side, -1).transpose(0, 3, 1, 2)
    elif values.ndim == 4 and getattr(net, "output_fmt", "NCHW") == "NHWC":
        values = values.transpose(0, 3, 1, 2)
    if values.ndim != 4 or values.shape[2] * values.shape[3] < 2:
        raise ValueError(f"layer={name!r} gives {values.shape[1:]}, no map of places; use an earlier layer")
    return np.ascontiguousarray(values)
