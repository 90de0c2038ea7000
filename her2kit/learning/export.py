"""Hand a trained network on as ONNX: pixels in, probabilities out, checked against torch before it is kept.

Scaling, network and softmax lie in the one file, so that whoever runs it prepares nothing: input ``pixels``,
uint8 (n, h, w, channels); output ``probabilities``, float32 (n, classes), of a segmenter (n, classes, h, w).
The card goes with it.
"""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.exchange.whole import whole_files
from her2kit.learning.model import to_input, to_probabilities

TOLERANCE = 1e-4
"""Most that a probability may differ between ONNX and torch; single precision gives about 1e-6."""
_OPSET = 17


def export_onnx(net: Any, card: Card, path: str | Path, *, any_size: bool = False, seed: int = 0) -> Card:
    """Write ``path`` (.onnx) and its card (.json), and return the card with the file's sha256.

    Parameters
    ----------
    net
        Torch module, float pictures in, logits out. It comes back as it was.
    any_size
        Let height and width vary, as for a segmenter; else they are the card's ``input_px``.
    seed
        Of the random pictures on which both are compared.

    Raises
    ------
    ValueError
        If ``path`` does not end in ``.onnx``.
    WeightsError
        If ONNX and torch give other probabilities than each other; nothing is written.
    """
    import torch

    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"path={path}; give a name that ends in .onnx")
    place, training = next(net.parameters()).device, net.training
    whole = _whole(net.cpu(), card).eval()
    rng = np.random.default_rng(seed)
    side = card.input_px
    sizes = [(side, side), (2 * side, side)] if any_size else [(side, side)]
    pictures = [rng.integers(0, 256, (2, *size, card.channels), dtype=np.uint8) for size in sizes]
    axes = {0: "n", 1: "h", 2: "w"} if any_size else {0: "n"}
    try:
        with whole_files(path.parent, last=path.with_suffix(".json").name) as part, torch.no_grad():
            file = part / path.name
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of the exporter about itself, and about sizes it takes as fixed
                torch.onnx.export(
                    whole, (torch.from_numpy(pictures[0]),), str(file), dynamo=False, opset_version=_OPSET,
                    input_names=["pixels"], output_names=["probabilities"], dynamic_axes={"pixels": axes},
                )  # fmt: skip
            run = session(file)
            for shown in pictures:
                theirs = whole(torch.from_numpy(shown)).numpy()
                gap = float(np.abs(run(shown) - theirs).max())
                if not gap <= TOLERANCE:
                    raise WeightsError(
                        f"{path}: ONNX differs from torch by {gap:.2g} at {shown.shape[1:3]} px, more than "
                        f"{TOLERANCE}; nothing is written, use another architecture"
                    )
            card = replace(card, sha256=file_sha256(file))
            write_card(part / path.with_suffix(".json").name, card)
    finally:
        net.to(place).train(training)
    return card


def keep(path: Path) -> None:
    """Copy an exported model and its card to where the package finds what ships."""
    shipped = Path(__file__).parents[1] / "weights"
    shipped.mkdir(exist_ok=True)
    for suffix in (".onnx", ".json"):
        shutil.copy(path.with_suffix(suffix), shipped)


def session(path: str | Path, *, threads: int = 0) -> Any:
    """Return a function from uint8 (n, h, w, channels) to probabilities, run by onnxruntime on the CPU.

    Parameters
    ----------
    threads
        0 takes what onnxruntime takes: a thread a core.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    runner = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda pixels: runner.run(["probabilities"], {"pixels": np.ascontiguousarray(pixels)})[0]


def _whole(net: Any, card: Card) -> Any:
    """Return a module from pixels to probabilities."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, pixels: Any) -> Any:
            pictures = to_input(pixels.permute(0, 3, 1, 2), mean=card.mean, sd=card.sd)
            return to_probabilities(self.net(pictures), card)

    return Whole()
