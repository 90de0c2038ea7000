"""Does a map point at what the network needs? Take pixels away, or bring them, in the map's order.

Deletion covers the pixels that a map ranks highest first: the quicker the probability falls, the better the
map. Insertion begins with a covered tile and uncovers in the same order: the quicker it rises, the better.
What covers is glass, which every slide has, or the tile itself out of focus. Both are read against maps of
noise on the same grid: any order takes the class away in the end.

References
----------
Petsiuk V, Das A, Saenko K. RISE: randomized input sampling for explanation of black-box models. BMVC 2018.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pandas as pd

from her2kit.exchange.card import Card
from her2kit.learning.classification import predict
from her2kit.learning.explain import Maps

GLASS = 240
"""Grey level of empty glass, about that of the scanners in the kit."""
COVERS = ("glass", "blur")
_BLUR = 0.08
"""Standard deviation of the blur, as a share of the tile's side."""


@dataclass(frozen=True, slots=True)
class Curves:
    """What became of the probability of the class that a map speaks for."""

    table: pd.DataFrame
    """``share`` of the pixels, 0 to 1, and the mean over tiles of ``deletion`` and ``insertion``."""
    deletion: np.ndarray
    """float64 (n,), area under each tile's curve, 0 to 1; less is better. nan for an empty map."""
    insertion: np.ndarray
    """float64 (n,), as before; more is better."""


def deletion_insertion(
    net: Any, card: Card, pixels: np.ndarray, maps: Maps, *, steps: int = 12, cover: str = "glass"
) -> Curves:
    """Return both curves for the tiles that maps were made of.

    Parameters
    ----------
    pixels
        uint8 (n, h, w, channels).
    maps
        Of these tiles, with a class: EigenCAM's get one by ``maps.of(classes)``.
    steps
        In which pixels are covered, 2 or more.
    cover
        ``glass`` or ``blur``.

    Raises
    ------
    ValueError
        If an argument is not usable, or the maps name no class.
    """
    if cover not in COVERS:
        raise ValueError(f"cover={cover!r}; use one of {', '.join(COVERS)}")
    if steps < 2:
        raise ValueError(f"steps={steps}; use 2 or more (12 is enough for small tiles)")
    if len(maps) != len(pixels) or maps.size_px != pixels.shape[1:3]:
        raise ValueError(
            f"{len(maps)} maps of {maps.size_px} px and pixels {pixels.shape}; give the maps' own tiles"
        )
    if (maps.classes < 0).any():
        raise ValueError(f"{maps.method} names no class; pass maps.of(classes)")
    flat = maps.evidence().reshape(len(maps), -1)
    rank = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1, kind="stable")
    rank = rank.reshape(len(maps), *maps.size_px)[..., None]
    blank = _covered(pixels, cover)
    shares, rows = np.linspace(0, 1, steps + 1), np.arange(len(maps))
    found: dict[str, Any] = {"deletion": [], "insertion": []}
    for share in shares:
        first = rank < round(share * flat.shape[1])
        for name, picture in (
            ("deletion", np.where(first, blank, pixels)),
            ("insertion", np.where(first, pixels, blank)),
        ):
            found[name].append(predict(net, card, picture)[rows, maps.classes])
    each = {name: np.where(maps.empty, np.nan, np.array(values)) for name, values in found.items()}
    area = {name: np.trapezoid(values, shares, axis=0) for name, values in each.items()}
    told = ~maps.empty
    means = {name: values[:, told].mean(axis=1) if told.any() else np.full(len(shares), np.nan)
             for name, values in each.items()}  # fmt: skip
    return Curves(pd.DataFrame({"share": shares} | means), area["deletion"], area["insertion"])


def noise_like(maps: Maps, *, seed: int = 0) -> Maps:
    """Return maps of noise on the same grid, for the same classes: what chance would do."""
    rng = np.random.default_rng([seed, 7])
    return replace(maps, raw=rng.random(maps.raw.shape, dtype=np.float32), method="noise")


def _covered(pixels: np.ndarray, cover: str) -> np.ndarray:
    if cover == "glass":
        return np.full_like(pixels, GLASS)
    sigma = _BLUR * pixels.shape[1]
    return np.stack([cv2.GaussianBlur(p, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) for p in pixels])
