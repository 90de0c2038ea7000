"""The type of normalised pixels, so that none of them is ever scored. Normalises nothing.

Normalisation rescales the amount of stain: a weak HER2 tile made to look like a strong one *is* a strong one
to whoever measures it. So a normalised tile is no array: what measures stain refuses it, and whoever wants
its pixels, to look at or to train on, says ``.pixels``.
"""

from dataclasses import dataclass

import numpy as np

STATUSES = ("normalised", "blank", "black")


@dataclass(frozen=True, slots=True, eq=False)
class NormalisedTile:
    """A picture in another slide's colours: for display, H&E models and augmentation, never for a score."""

    pixels: np.ndarray
    """uint8 (h, w, 3), RGB."""
    status: str
    """``normalised``; or ``blank`` (glass, hardly any stain) or ``black``: the pixels are then unchanged."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels is {self.pixels.dtype} {self.pixels.shape}; give uint8 (h, w, 3)")
        if self.status not in STATUSES:
            raise ValueError(f"status is {self.status!r}; use one of {', '.join(STATUSES)}")


def refuse_normalised(pixels: object) -> None:
    """Raise a TypeError if `pixels` is a `NormalisedTile`."""
    if isinstance(pixels, NormalisedTile):
        raise TypeError(
            "normalised pixels cannot be scored: normalising rescales the amount of stain; pass the raw tile"
        )
