"""How a result came about: versions, parameters, the slide's hash, and the command that replays it."""

import hashlib
import os
import platform
import shlex
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from her2kit import __version__
from her2kit.settings import ScoreSettings

LIBRARIES = (
    "numpy",
    "numba",
    "opencv-python-headless",
    "openslide-python",
    "openslide-bin",
    "onnxruntime",
    "scipy",
    "pandas",
)
"""Those whose version can move a result."""


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of this package, of Python and of the named distributions."""
    return {"her2kit": __version__, "python": platform.python_version()} | {n: version(n) for n in names}


def replay_command(path: str | os.PathLike, settings: ScoreSettings) -> str:
    """Return the command line that scores the slide again in the same way; of policies, one has a flag."""
    default = ScoreSettings()
    words = ["her2kit", "score", str(path)]
    for name in ("mpp", "guideline", "tumour", "tumour_map", "ish", "control", "stain", "detector"):
        value = getattr(settings, name)
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if settings.policies.limit_of_detection is not None:
        words += ["--limit-of-detection", str(settings.policies.limit_of_detection)]
    return shlex.join(words)


def provenance(path: str | os.PathLike, settings: ScoreSettings) -> dict[str, Any]:
    """Return the ``provenance`` entry of ``score.json``."""
    path = Path(path)
    return {
        "slide": path.name,
        "sha256": sha256_of(path),
        "versions": versions(),
        "parameters": settings.record(),
        "seed": None,
        "command": replay_command(path, settings),
    }
