"""Weights as safetensors with a small JSON card that says what they are, and checks before they are used.

``name.safetensors`` holds numbers only, so that opening it runs no code; ``name.json`` beside it says which
network they belong to, what goes in and comes out, how they were trained, how good they are and where they
end. A file and its card belong together by sha256. Files of other kinds (pickles) are not opened.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, file_sha256, plain, read_card, write_card
from her2kit.exchange.whole import whole_files


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
            digest.update(json.dumps(part, default=plain).encode())
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
