"""The tumour map of a slide, and its file: how probable tumour is all over it, and how long it is there.

Draws no map: that needs a network that was trained (`her2kit.learning.tumour_map`). A file holds numbers and
words only, so that a stranger's map can be opened.
"""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from her2kit.errors import SlideError
from her2kit.exchange.whole import whole_file
from her2kit.regions.map_features import MajorAxis, major_axis, map_features

SUFFIX = ".npz"


@dataclass(frozen=True, slots=True)
class TumourMap:
    """The probability of tumour over one section."""

    slide_id: str
    probability: np.ndarray
    """uint8 (h, w), 255 times the probability."""
    tissue: np.ndarray
    """bool (h, w)."""
    mpp: float
    """Micrometres per pixel of the map."""
    scale: float
    """Level-0 pixels per pixel of the map."""
    status: str = "raw"
    """Of the section's stain."""
    model_sha256: str = ""
    """Of the weights that drew it."""

    def __post_init__(self) -> None:
        a = self.probability
        if a.dtype != np.uint8 or a.ndim != 2 or 0 in a.shape:
            raise ValueError(f"probability is {a.dtype} {a.shape}; pass uint8 (h, w)")
        if not (self.mpp > 0 and self.scale > 0):
            raise ValueError(f"mpp={self.mpp}, scale={self.scale}; both must be above 0")

    def axis(self, *, threshold: float = 0.5) -> MajorAxis:
        """Return the longest diameter of the largest tumour; of length 0 where there is none."""
        return major_axis(self.probability / 255.0, um_per_px=self.mpp, threshold=threshold)

    def features(self) -> dict[str, float]:
        """Return the 28 features, by `her2kit.regions.map_features.FEATURES`."""
        return map_features(self.probability / 255.0, um_per_px=self.mpp, tissue=self.tissue)

    def save(self, path: str | os.PathLike) -> None:
        """Write the map as ``.npz``, whole or not at all."""
        with whole_file(path) as part:
            np.savez_compressed(part, **{name: getattr(self, name) for name in self.__slots__})


def load_map(path: str | os.PathLike) -> TumourMap:
    """Read a map that was saved.

    Raises
    ------
    SlideError
        If the file is missing or is no tumour map.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            values = {name: found[name] for name in TumourMap.__slots__}
        return TumourMap(**{name: v if v.ndim else v.item() for name, v in values.items()})
    except FileNotFoundError as error:
        raise SlideError(f"{path}: no such tumour map; draw it first, or check the name") from error
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SlideError(f"{path}: is no tumour map ({type(error).__name__}); map the slide again") from error


def map_path(place: str | os.PathLike, slide_id: str) -> Path:
    """Return the file of a slide's map: ``place`` itself, or ``<slide_id>.npz`` where that is a folder."""
    path = Path(place)
    return path / f"{slide_id}{SUFFIX}" if path.is_dir() else path


def map_for(place: str | os.PathLike, slide_id: str, size_px0: tuple[int, int]) -> TumourMap:
    """Return the map of a slide, from a file or a folder (`map_path`).

    Parameters
    ----------
    size_px0
        Width and height of the slide in level-0 pixels.

    Raises
    ------
    SlideError
        If there is no such map, or it was drawn over another slide.
    """
    path = map_path(place, slide_id)
    found = load_map(path)
    if found.slide_id != slide_id:
        raise SlideError(f"{path} is the tumour map of {found.slide_id}, not of {slide_id}; pass its own")
    size = tuple(n * found.scale for n in found.probability.shape[::-1])
    if any(abs(said - n) > 2 * found.scale for said, n in zip(size, size_px0, strict=True)):
        raise SlideError(
            f"{path} covers {size[0]:.0f} x {size[1]:.0f} px of a slide of {size_px0[0]} x {size_px0[1]} px; "
            "map the slide again"
        )
    return found
