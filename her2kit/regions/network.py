"""A trained network that says what tissue it sees, run by onnxruntime alone; no PyTorch.

The file is an ONNX model with its card (`her2kit.exchange.card`): the card gives the mpp it reads at, the
names of its classes and how pixels are scaled. It answers one class a pixel (n, classes, h, w) or one a tile
(n, classes). Training one is `her2kit.learning`'s work.
"""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from her2kit.cells.table import TISSUES
from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.exchange.network_file import open_network

ALIASES = {"alveoli": "fat", "immune cells": "immune", "tumor": "tumour"}
"""MIHIC's words for the classes that are called otherwise here."""


SHIPPED = "tissue_ihc.onnx"
"""The model in `her2kit/weights` that maps a slide stained with hematoxylin and DAB."""


@dataclass(frozen=True, slots=True)
class TissueNetwork:
    """A loaded network and its card."""

    card: Card
    mpp: float
    """Micrometres per pixel that it reads at."""
    classes: np.ndarray
    """uint8 (n,): the `TissueClass` of each output."""
    session: Any
    """The onnxruntime session."""

    @property
    def judges_pixels(self) -> bool:
        """Whether it answers a class a pixel; else a class a tile."""
        return len(self.session.get_outputs()[0].shape) == 4

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probability of each of the seven kinds of tissue.

        Parameters
        ----------
        pixels
            uint8 (n, h, w, 3), RGB at ``mpp``.

        Returns
        -------
        numpy.ndarray
            float32 (n, 7, h, w), or (n, 7) from a network that judges whole tiles; they sum to 1.
        """
        found = self.session.run(["probabilities"], {"pixels": np.ascontiguousarray(pixels)})[0]
        out = np.zeros((len(found), len(TISSUES), *found.shape[2:]), np.float32)
        out[:, self.classes] = found
        return out


def shipped_network(*, threads: int = 0) -> TissueNetwork:
    """Load the model that comes with the kit; a WeightsError where it does not."""
    path = Path(str(files("her2kit"))) / "weights" / SHIPPED
    if not path.is_file():
        raise WeightsError(
            f"{path}: this copy of her2kit has no tissue network; draw the tumour and pass its GeoJSON, "
            "or train one: python -m her2kit.learning.ship_tissue"
        )
    return load_network(path, threads=threads)


def load_network(path: str | os.PathLike, *, threads: int = 0) -> TissueNetwork:
    """Load a network that classifies tissue.

    Parameters
    ----------
    path
        The ``.onnx`` file; its card lies beside it with the same name and ``.json``.
    threads
        Cores that it uses; 0 takes all.

    Raises
    ------
    WeightsError
        If file or card is missing, they do not belong together, the model is not ONNX, or its classes are not
        kinds of tissue.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise WeightsError(f"{path}: a tissue network is an .onnx file with its card; export it first")
    card = read_card(path)
    names = [ALIASES.get(name.lower(), name.lower()) for name in card.class_names]
    if strange := [name for name in names if name not in TISSUES]:
        raise WeightsError(f"{path}: its class {strange[0]!r} is no tissue; use one of {', '.join(TISSUES)}")
    if not card.mpp:
        raise WeightsError(f"{path}: its card gives no mpp, so no slide can be read for it; train it again")
    session, n_outputs = open_network(path, threads=threads)
    if n_outputs != len(names):
        raise WeightsError(
            f"{path}: its card names {len(names)} classes, the model has {n_outputs}; take both from one "
            "training"
        )
    classes = np.array([TISSUES.index(name) for name in names], np.uint8)
    return TissueNetwork(card, card.mpp, classes, session)
