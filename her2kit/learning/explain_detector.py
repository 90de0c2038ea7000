"""Where a detector looks: maps of a YOLO of ultralytics, by way of the torch module inside it.

The object that ultralytics hands out is no plain network: its ``train`` starts a training, and so does its
``eval``, which torch defines as ``train(False)`` and which the grad-cam library calls first. The module
inside is an ordinary network. The place to look at is the finest of the levels that the detection head reads,
where a place is a few pixels wide and a nucleus fills several.

References
----------
Jocher G et al. Ultralytics YOLO. github.com/ultralytics/ultralytics (AGPL-3.0).
"""

from typing import Any

import numpy as np

from her2kit.learning.explain import METHODS, Maps, layer_maps, tell_empty
from her2kit.learning.explain_layers import find_layer
from her2kit.learning.torchvision_ops import ensure_torchvision

STRONGEST = 100
"""Boxes whose scores add up to what is explained; a tile of 640 px has some hundred cells."""


def inner_module(detector: Any) -> Any:
    """Return the torch module of a detector: what a YOLO object holds, or the module itself.

    Raises
    ------
    ValueError
        If there is no detection network inside.
    """
    inner = detector.model if hasattr(detector, "predictor") else detector
    layers = getattr(inner, "model", None)
    if layers is None or not hasattr(layers, "__getitem__") or not hasattr(layers[-1], "stride"):
        raise ValueError(
            f"detector is a {type(detector).__name__} without a detection head; give a YOLO of ultralytics, "
            "or use her2kit.learning.explain for a classifier"
        )
    return inner


def explain_detector(
    detector: Any,
    pixels: np.ndarray,
    *,
    method: str = "eigencam",
    layer: str | None = None,
    of: int | None = None,
    batch_size: int = 8,
    device: str = "cpu",
) -> Maps:
    """Return a map for each picture; nothing is trained, fused or fetched.

    Parameters
    ----------
    detector
        YOLO object of ultralytics, or its module.
    pixels
        uint8 (n, h, w, 3) RGB, sides multiples of the head's largest stride (32).
    method
        ``eigencam`` shows what stands out at the layer; the others what raises the scores of boxes.
    layer
        Name within the module, such as ``model.16``; None takes the finest level that the head reads.
    of
        Number of a class: explain its scores; None explains the score of each box's best class.

    Raises
    ------
    ValueError
        If an argument is not usable, or near layers' names if this one does not exist.
    """
    ensure_torchvision()
    import torch

    net = inner_module(detector).to(device).eval()
    head = net.model[-1]
    if method not in METHODS:
        raise ValueError(f"method={method!r}; use one of {', '.join(METHODS)}")
    if method == "eigencam" and of is not None:
        raise ValueError("method='eigencam' knows no classes; leave of out, or use hirescam")
    if of is not None and not 0 <= of < head.nc:
        raise ValueError(f"of={of}; the detector has classes 0 to {head.nc - 1}")
    name, module = find_layer(net, f"model.{head.f[0]}" if layer is None else layer)
    _check_pixels(pixels, int(max(head.stride)))

    def score(out: Any) -> Any:
        boxes = out[0] if isinstance(out, tuple) else out
        scores = boxes[:, 4 : 4 + head.nc]
        each = scores.amax(1) if of is None else scores[:, of]
        return each.topk(min(STRONGEST, each.shape[1])).values.sum(1)

    found = [np.empty((0, 1, 1), np.float32)]
    for start in range(0, len(pixels), batch_size):
        batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + batch_size]))
        x = batch.permute(0, 3, 1, 2).to(device).float() / 255
        found.append(layer_maps(net, module, x, method=method, score=score, name=name))
    classes = np.full(len(pixels), -1 if of is None else of)
    raw = np.concatenate(found[1:] or found)
    maps = Maps(raw, (pixels.shape[1], pixels.shape[2]), method, name, classes)
    tell_empty(maps)
    return maps


def _check_pixels(pixels: np.ndarray, stride: int) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"pixels is {pixels.dtype} {pixels.shape}; give uint8 (n, h, w, 3) RGB")
    if pixels.shape[1] % stride or pixels.shape[2] % stride:
        raise ValueError(
            f"pictures are {pixels.shape[2]} x {pixels.shape[1]} px; cut or pad them to multiples of {stride}"
        )
