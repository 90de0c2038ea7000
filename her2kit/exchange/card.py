"""The card of a trained network: what it is, what it takes and gives, how good it is and where it ends.

``name.json`` lies beside ``name.safetensors`` or ``name.onnx``, and belongs to it by sha256. An ``.onnx``
file of ours needs nothing prepared: input ``pixels``, uint8 (n, h, w, channels); output ``probabilities``,
float32 (n, classes), of a segmenter (n, classes, h, w).
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from her2kit import __version__
from her2kit.errors import WeightsError

CARD_VERSION = 1
"""Version of the card; another one is not read."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a file of weights is."""

    task: str
    """What it was trained for, such as ``tissue_classifier``."""
    architecture: str
    """Name that `her2kit.learning.model.build` knows."""
    class_names: tuple[str, ...]
    """In the order of the outputs."""
    unannotated: str = ""
    """The class that means nobody looked: it has an output, and is never predicted."""
    mpp: float | None = None
    """Micrometres per pixel that it was trained at."""
    input_px: int = 128
    """Side of its input in pixels."""
    channels: int = 3
    """Of the input: 3 is RGB, 6 is two pictures."""
    mean: float | tuple[float, ...] = 0.5
    """Subtracted from pixels of 0 to 1, for all channels or for each."""
    sd: float | tuple[float, ...] = 0.5
    """Divided by."""
    data_sha256: str = ""
    """Hash of what it was trained and validated on."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Resolved settings of the training."""
    details: dict[str, Any] = field(default_factory=dict)
    """What its task alone knows of, such as how two pictures become its input."""
    figures: dict[str, float | None] = field(default_factory=dict)
    """What it reached on its validation data; None where that is not defined."""
    limits: tuple[str, ...] = ()
    """What it does not do, in sentences."""
    licence: str = ""
    sha256: str = ""
    """Of the weights' file; filled in on saving."""
    her2kit: str = __version__
    version: int = CARD_VERSION

    def __post_init__(self) -> None:
        if not self.class_names or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class_names is {self.class_names!r}; give one name a class, each once")
        if self.unannotated and self.unannotated not in self.class_names:
            raise ValueError(f"unannotated={self.unannotated!r} is no class; leave it empty")


def write_card(path: str | os.PathLike, card: Card) -> None:
    """Write a card as JSON."""
    values = asdict(card)
    values["figures"] = {
        k: float(v) if v is not None and np.isfinite(v) else None for k, v in card.figures.items()
    }
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False, default=plain)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_card(path: str | os.PathLike) -> Card:
    """Read the card of a weights' file (its own name, or with ``.json``) and check that both fit together.

    Raises
    ------
    WeightsError
        If a file is missing, the card is of another version or incomplete, or the sha256 differs.
    """
    weights = Path(path)
    path = weights.with_suffix(".json")
    if weights == path:
        weights = next((p for p in map(path.with_suffix, (".safetensors", ".onnx")) if p.is_file()), path)
    if weights == path or not weights.is_file():
        raise WeightsError(f"{weights}: no such weights; pass a .safetensors or .onnx file with its card")
    if not path.is_file():
        raise WeightsError(f"{weights}: has no card; put {path.name} beside it")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["version"] != CARD_VERSION:
            raise WeightsError(
                f"{path}: card of version {values['version']}, this her2kit reads {CARD_VERSION}; "
                "use the her2kit that wrote it, or train again"
            )
        known = {f.name for f in fields(Card)}
        lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
        card = Card(**{name: v for name, v in (values | lists).items() if name in known})
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: is not a card of weights ({error}); train and save again") from error
    found = file_sha256(weights)
    if found != card.sha256:
        raise WeightsError(
            f"{weights}: sha256 {found[:12]}... is not the {card.sha256[:12]}... of its card; "
            "the two come from different trainings, take both from one"
        )
    return card


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """Return what JSON can hold of a NumPy value or an array."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to a card")
