"""Weights as safetensors with a small JSON card that says what they are, and checks before they are used.

``name.safetensors`` holds numbers only, so that opening it runs no code; ``name.json`` beside it says which
network they belong to, what goes in and comes out, how they were trained, how good they are and where they
end. A file and its card belong together by sha256. Files of other kinds (pickles) are not opened.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit import __version__
from her2kit.errors import WeightsError
from her2kit.exchange.whole import whole_files

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


def save(path: str | os.PathLike, state: Mapping[str, Any], card: Card) -> Card:
    """Write ``path`` (.safetensors) and its card (.json) and return the card with the file's sha256.

    Parameters
    ----------
    state
        Name to tensor, as ``net.state_dict()`` gives it.
    """
    from safetensors.torch import save as to_bytes

    path = _suffixed(path)
    data = to_bytes({name: value.detach().cpu().contiguous() for name, value in state.items()})
    card = replace(card, sha256=hashlib.sha256(data).hexdigest())
    with whole_files(path.parent, last=path.with_suffix(".json").name) as part:
        (part / path.name).write_bytes(data)
        write_card(part / path.with_suffix(".json").name, card)
    return card


def write_card(path: str | os.PathLike, card: Card) -> None:
    """Write a card as JSON."""
    values = asdict(card)
    values["figures"] = {
        k: float(v) if v is not None and np.isfinite(v) else None for k, v in card.figures.items()
    }
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
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


def load(
    path: str | os.PathLike,
    net: Any,
    *,
    architecture: str | None = None,
    class_names: Sequence[str] | None = None,
    task: str | None = None,
) -> Card:
    """Load weights into a network after checking their card, and return the card.

    Parameters
    ----------
    net
        Torch module; unchanged where a check fails.
    architecture, class_names, task
        What the caller counts on; None leaves it to the card.

    Raises
    ------
    WeightsError
        If file and card do not match, or either is not what the caller or ``net`` needs.
    """
    from safetensors.torch import load_file

    path = _suffixed(path)
    card = read_card(path)
    for name, wanted in (("task", task), ("architecture", architecture)):
        if wanted is not None and getattr(card, name) != wanted:
            raise WeightsError(f"{path}: {name} is {getattr(card, name)!r}, not {wanted!r}; {_OTHER}")
    if class_names is not None and tuple(class_names) != card.class_names:
        n, m = len(card.class_names), len(class_names)
        words = f"{n} classes, not {m}" if n != m else f"classes {', '.join(card.class_names)}"
        raise WeightsError(f"{path}: has {words}; {_OTHER}")
    state, own = load_file(path), net.state_dict()
    if strange := sorted(state.keys() ^ own.keys()):
        raise WeightsError(
            f"{path}: {len(strange)} tensors are in the file or the network alone ({strange[0]}); {_OTHER}"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise WeightsError(
                f"{path}: {name} is {tuple(value.shape)}, in the network {tuple(own[name].shape)}; {_OTHER}"
            )
    net.load_state_dict(state)
    return card


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(*parts: Any) -> str:
    """Return a hash of arrays, tables, paths (their bytes) and plain values, in the order given."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, pd.DataFrame | pd.Series):
            digest.update(part.to_csv(index=False).encode())
        elif isinstance(part, os.PathLike):
            digest.update(file_sha256(part).encode())
        else:
            digest.update(json.dumps(part, default=_plain).encode())
        digest.update(b"\0")
    return digest.hexdigest()


_OTHER = "load other weights, or build the network that the card names"


def _suffixed(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path}: only .safetensors are opened; other formats can run code, convert them first"
        )
    return path


def _plain(value: Any) -> Any:
    """Return what JSON can hold of a NumPy value or an array."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to a card")
