"""One door to all loaders, by the key that ``her2kit data list`` shows."""

import difflib
import importlib
import os
from typing import Any

from her2kit.learning.datasets.dataset import Dataset

LOADERS = {
    "her2-ihc-40x": "her2_ihc_40x",
    "bci": "bci",
    "mihic": "mihic",
    "ignite": "ignite",
    "bozeklab-her2-tma": "bozeklab_her2_tma",
    "acrobat": "acrobat",
    "own-folder": "own_folder",
    "phantom": "phantom",
}
"""Key to the module whose ``load`` reads it."""


def load(key: str, folder: str | os.PathLike, **options: Any) -> Dataset:
    """Load a dataset.

    Parameters
    ----------
    key
        One of `LOADERS`.
    folder
        Where it lies, such as ``data/bci``.
    options
        What the dataset's own loader takes, such as ``variant`` of her2-ihc-40x.

    Raises
    ------
    ValueError
        If there is no loader of that key; the nearest is offered.
    Her2Error
        As the loader says.
    """
    if key not in LOADERS:
        near = difflib.get_close_matches(key.lower().replace("_", "-"), LOADERS, n=1, cutoff=0.5)
        raise ValueError(f"key={key!r} has no loader; use {near[0] if near else ', '.join(LOADERS)}")
    return importlib.import_module(f"her2kit.learning.datasets.{LOADERS[key]}").load(folder, **options)
