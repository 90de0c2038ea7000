"""ultralytics without the network: its settings made before it is imported, its models built from their YAML.

Left alone, the library looks up hosts, fetches a font, syncs settings and installs packages. Here only its
architecture and its loss are used: a network is a plain torch module with weights from a seed, and trains in
the kit's own loop. No file of weights is ever named, so none can be fetched.

References
----------
Jocher G et al. Ultralytics YOLO. github.com/ultralytics/ultralytics (AGPL-3.0).
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from her2kit.learning.torchvision_ops import ensure_torchvision

ARCHITECTURES = ("yolo11n", "yolo11s", "yolo11m", "yolo11l", "yolo11x")
"""From 2.6 to 57 million numbers; n for a CPU, m is what R1 took."""
STRIDE = 32
"""Largest stride of YOLO11: sides of its pictures are multiples of it."""
BOX_GAIN, CLASS_GAIN, DISTRIBUTION_GAIN = 7.5, 0.5, 1.5
"""Weights of the three parts of the loss, the library's own and R1's card's; R1's files hold 2, 5, 0.5."""


def shipped_start() -> Path | None:
    """Return the weights of the nucleus detector that comes with the kit; None where it does not."""
    path = Path(str(files("her2kit"))) / "weights" / "cells_nucleus.onnx"
    return path if path.is_file() else None


def offline(folder: str | os.PathLike | None = None) -> Path:
    """Tell ultralytics to stay off the network, and return the folder that it may write settings to.

    Parameters
    ----------
    folder
        Default: ``YOLO_CONFIG_DIR``, else a folder of the user's among the temporary files.
    """
    place = folder or os.environ.get("YOLO_CONFIG_DIR")
    owner = os.getuid() if hasattr(os, "getuid") else 0
    place = Path(place or Path(tempfile.gettempdir()) / f"her2kit-yolo-{owner}")
    place.mkdir(parents=True, exist_ok=True)
    os.environ.update(YOLO_OFFLINE="True", YOLO_AUTOINSTALL="False", YOLO_CONFIG_DIR=str(place))
    os.environ.setdefault("YOLO_VERBOSE", "False")
    font = place / "Ultralytics" / "Arial.ttf"
    if not font.is_file():
        import matplotlib

        font.parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", font)
    return place


@contextmanager
def patches_undone() -> Iterator[None]:
    """Import ultralytics within; what it changes in Pillow, OpenCV, torch and environment is then put back.

    Its ``Image.open`` asks for a package that is not here as soon as a file is no picture, and its
    ``OMP_NUM_THREADS`` takes all cores but one from every process that is begun later.
    """
    import cv2
    import torch
    from PIL import Image

    replaced = ((Image, "open"), (cv2, "imread"), (cv2, "imwrite"), (cv2, "imshow"), (torch, "save"))
    before = [(module, name, getattr(module, name)) for module, name in replaced]
    threads, environment = cv2.getNumThreads(), dict(os.environ)
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)
        cv2.setNumThreads(threads)
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)


def detection_network(
    architecture: str,
    n_classes: int,
    *,
    seed: int = 0,
    box: float = BOX_GAIN,
    cls: float = CLASS_GAIN,
    dfl: float = DISTRIBUTION_GAIN,
) -> Any:
    """Return YOLO11's torch module with weights drawn from ``seed``.

    Parameters
    ----------
    architecture
        One of `ARCHITECTURES`.
    n_classes
        1 or more.
    box, cls, dfl
        Weights of the loss: place and size of boxes, class, and how sharply a box's sides are known.

    Raises
    ------
    ValueError
        If ``architecture`` or ``n_classes`` is not usable.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture={architecture!r}; use one of {', '.join(ARCHITECTURES)}")
    if n_classes < 1:
        raise ValueError(f"n_classes={n_classes}; give 1 or more")
    offline()
    ensure_torchvision()
    import torch

    with patches_undone():
        from ultralytics import settings
        from ultralytics.nn.tasks import DetectionModel

    if settings.get("sync"):
        settings.update(sync=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net: Any = DetectionModel(f"{architecture}.yaml", ch=3, nc=n_classes, verbose=False)
    net.args = SimpleNamespace(box=box, cls=cls, dfl=dfl)
    return net
