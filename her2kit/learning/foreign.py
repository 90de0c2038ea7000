"""Take over a detector that was trained elsewhere: a pickle of ultralytics, opened only on its stated sha256.

A ``.pt`` file is a pickle, and opening a pickle runs whatever its author put in it. So it is opened for who
has its sha256 from a source they trust, once, and leaves as safetensors with a card; the card's mpp and
classes are the caller's statement, since such a file knows neither.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, file_sha256
from her2kit.learning import weights
from her2kit.learning.cell_detector import TASK, CellDetector
from her2kit.learning.yolo_offline import detection_network


def take_over(
    path: str | Path,
    out: str | Path,
    *,
    sha256: str | None,
    architecture: str,
    class_names: Sequence[str],
    mpp: float | None,
    input_px: int = 640,
    confidence: float = 0.25,
) -> CellDetector:
    """Convert a foreign ``.pt`` to ``out`` (.safetensors) with a card, and return the detector.

    Parameters
    ----------
    sha256
        Of the file, from whoever made it; None refuses.
    architecture, class_names, mpp, input_px
        What the network is, and the micrometres per pixel that it was trained at.
    confidence
        Least score of a cell.

    Raises
    ------
    WeightsError
        If the sha256 is missing or another one, the mpp is missing, or the file holds another network.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give the .pt of a YOLO")
    found = file_sha256(path)
    if not sha256:
        raise WeightsError(
            f"{path}: is a pickle, which can run code when it is opened; if you trust its source, pass the "
            "sha256 that the source states"
        )
    if found != sha256.lower():
        raise WeightsError(
            f"{path}: sha256 {found[:12]}... is not the {sha256[:12]}... given; do not open it"
        )
    if not mpp or not mpp > 0:
        raise WeightsError(f"{path}: mpp={mpp}; state the micrometres per pixel that it was trained at")
    net = detection_network(architecture, len(class_names))
    _fill(net, _state(path), path)
    card = Card(
        TASK, architecture, tuple(class_names), mpp=mpp, input_px=input_px, mean=0.0, sd=1.0,
        details={"confidence": confidence, "foreign_sha256": found},
        limits=("Trained elsewhere; nothing about its data is known here.",),
    )  # fmt: skip
    return CellDetector(net.eval(), weights.save(out, net.state_dict(), card))


def _state(path: Path) -> dict[str, Any]:
    """Return the tensors of a checkpoint whose sha256 has been checked."""
    import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # a pickle raises whatever it likes
        raise WeightsError(f"{path}: cannot be opened ({type(error).__name__}); give another file") from error
    if isinstance(held, dict) and ("ema" in held or "model" in held):
        held = held.get("ema") or held["model"]
    state = held.state_dict() if hasattr(held, "state_dict") else held
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, no weights; give the .pt of a YOLO")
    return state


def _fill(net: Any, state: dict[str, Any], path: Path) -> None:
    own = net.state_dict()
    for name, value in own.items():
        if name not in state or tuple(state[name].shape) != tuple(value.shape):
            there = "misses it" if name not in state else f"has {tuple(state[name].shape)}"
            raise WeightsError(
                f"{path}: {name} is {tuple(value.shape)} in the network, the file {there}; give the "
                "architecture and classes that it was trained with"
            )
    net.load_state_dict({name: state[name].float() for name in own})
