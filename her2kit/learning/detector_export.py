"""A detector as one ONNX file that both runs without PyTorch and can be trained on.

Input ``pixels``, uint8 (n, h, w, 3), sides multiples of 32; output ``cells``, float32 (n, 4 + classes,
places): centre x and y, width and height in pixels, then a score of 0 to 1 a class. Any height and width.
Weights keep their names, and normalisation stays apart from convolution (onnxruntime joins them when it
loads), so that the same file is a start for another training.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.exchange.whole import whole_files

TOLERANCE_PX, TOLERANCE_SCORE = 0.02, 1e-3
"""Most that ONNX and torch may differ; single precision gives about a tenth of it."""
_OPSET = 17
_PREFIX = "net."


def export_detector(net: Any, card: Card, path: str | Path, *, seed: int = 0) -> Card:
    """Write ``path`` (.onnx) and its card (.json), and return the card with the file's sha256.

    Parameters
    ----------
    net
        Of `her2kit.learning.yolo_offline.detection_network`; it comes back as it was.
    seed
        Of the random pictures on which both are compared.

    Raises
    ------
    ValueError
        If ``path`` does not end in ``.onnx``.
    WeightsError
        If ONNX and torch answer otherwise than each other; nothing is written.
    """
    import onnxruntime
    import torch

    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"path={path}; give a name that ends in .onnx")
    place, training, head = next(net.parameters()).device, net.training, net.model[-1]
    before = head.export, head.dynamic, head.format
    whole = _whole(net.cpu()).eval()
    rng = np.random.default_rng(seed)
    shown = [rng.integers(0, 256, (2, h, w, 3), dtype=np.uint8) for h, w in ((96, 96), (160, 128))]
    try:
        with whole_files(path.parent, last=path.with_suffix(".json").name) as part, torch.no_grad():
            file = part / path.name
            head.export, head.dynamic, head.format = True, True, "onnx"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the exporter about itself
                torch.onnx.export(
                    whole, (torch.from_numpy(shown[0]),), str(file), dynamo=False, opset_version=_OPSET,
                    input_names=["pixels"], output_names=["cells"], do_constant_folding=False,
                    training=torch.onnx.TrainingMode.PRESERVE,
                    dynamic_axes={"pixels": {0: "n", 1: "h", 2: "w"}, "cells": {0: "n", 2: "places"}},
                )  # fmt: skip
            runner = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            for pixels in shown:
                gap = np.abs(
                    runner.run(["cells"], {"pixels": pixels})[0] - whole(torch.from_numpy(pixels)).numpy()
                )
                if not (gap[:, :4].max() <= TOLERANCE_PX and gap[:, 4:].max() <= TOLERANCE_SCORE):
                    raise WeightsError(
                        f"{path}: ONNX differs from torch by {gap[:, :4].max():.2g} px and "
                        f"{gap[:, 4:].max():.2g} of a score; nothing is written, use another architecture"
                    )
            card = replace(card, sha256=file_sha256(file))
            write_card(part / path.with_suffix(".json").name, card)
    finally:
        head.export, head.dynamic, head.format = before
        net.to(place).train(training)
    return card


def tensors_of(path: str | Path) -> dict[str, Any]:
    """Return the weights that a file holds, name to torch tensor.

    Raises
    ------
    WeightsError
        If it is neither safetensors nor an ONNX file of `export_detector`; nothing else is opened.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix != ".onnx":
        raise WeightsError(
            f"{path}: only .safetensors and .onnx are opened; other formats can run code, convert them first"
        )
    import onnx
    import torch

    graph = onnx.load(str(path)).graph
    held = {i.name: i for i in graph.initializer}
    # Of equal tensors the exporter keeps one, and lets Identity nodes stand for the others.
    same = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Identity" and n.input[0] in held}
    found = {name: held[same.get(name, name)] for name in [*held, *same] if name.startswith(_PREFIX)}
    return {
        name.removeprefix(_PREFIX): torch.from_numpy(onnx.numpy_helper.to_array(i).copy())
        for name, i in found.items()
    }


def _whole(net: Any) -> Any:
    """Return a module from pixels to cells."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, pixels: Any) -> Any:
            answer = self.net(pixels.permute(0, 3, 1, 2).float() / 255)
            return answer[0] if isinstance(answer, tuple) else answer

    return Whole()
