"""Sort out tiles whose colours are unlike those of tumour: ink, blood, pigment, bare glass.

A tile's hues are counted, strong colours more than pale ones, and correlated with those of example slides of
tumour; the nearest slide counts, since the mean of a blue and a brown one is like neither. The threshold is
learnt with each example held against the *other* slides, so it promises what it does on a new one, and it is
shown, not hidden: it trades good tiles lost for bad tiles kept. Hue alone does not tell tumour from stroma of
the same stain; the tissue classifier does that.

References
----------
Swain MJ, Ballard DH. Color indexing. Int J Comput Vis 1991;7:11-32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

BINS = 36
"""Of the hue circle, 10 degrees each."""
COLOURED, LEAST_SHARE = 20, 0.05
"""Saturation of 255 below which a pixel has no hue to speak of, and the share of a tile's pixels that need
one. Empty glass of real slides, about (233, 233, 241), has 8."""
KEPT = 0.95
"""Share of good tiles that the threshold is to keep."""
TUMOUR_LIKE, ARTEFACT = "tumour-like", "artefact"


@dataclass(frozen=True, slots=True)
class ColourFilter:
    """What tumour looks like in hues, and how like it a tile must be."""

    references: np.ndarray
    """float64 (k, BINS): mean histogram of each example slide, each sums to 1."""
    names: tuple[str, ...]
    """Names of these slides."""
    threshold: float
    """Correlation with the nearest reference below which a tile is an artefact, -1 to 1."""

    def __post_init__(self) -> None:
        if self.references.shape != (len(self.names), BINS) or not self.names:
            raise ValueError(f"references is {self.references.shape}; give ({len(self.names)}, {BINS})")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold}; a correlation lies between -1 and 1")


def hue_histogram(pixels: np.ndarray) -> np.ndarray:
    """Return the share of each hue in a tile, float64 (BINS,), weighted by saturation; zeros for a grey one.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3) RGB.
    """
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0].ravel().astype(np.int64) * BINS // 180
    weight = hsv[..., 1].ravel().astype(np.float64)
    coloured = weight >= COLOURED
    if coloured.mean() < LEAST_SHARE:
        return np.zeros(BINS)
    counts = np.bincount(hue[coloured], weight[coloured], BINS)
    return counts / counts.sum()


def fit_filter(tiles: np.ndarray, slides: Sequence[str], *, kept: float = KEPT) -> ColourFilter:
    """Learn from example tiles what tumour looks like.

    Parameters
    ----------
    tiles
        uint8 (n, h, w, 3) RGB, tiles that hold tumour, of two slides or more.
    slides
        The slide of each tile.
    kept
        Share of the examples that the filter would keep if it had not met their slide: the threshold is the
        quantile 1 - ``kept`` of their correlations with the nearest other slide.

    Raises
    ------
    ValueError
        If there are fewer than two slides, or ``slides`` or ``kept`` do not fit.
    """
    if len(slides) != len(tiles):
        raise ValueError(f"slides names {len(slides)} tiles of {len(tiles)}; name each")
    if not 0 < kept <= 1:
        raise ValueError(f"kept={kept}; give a share between 0 and 1 ({KEPT} is usual)")
    slide_of, names = pd.factorize(np.asarray(slides, dtype=object), sort=True)
    if len(names) < 2:
        raise ValueError(f"slides names {len(names)} slides; give tiles of two or more, of every score")
    found = np.array([hue_histogram(tile) for tile in tiles])
    references = np.array([found[slide_of == k].mean(axis=0) for k in range(len(names))])
    others = _correlations(found, references)
    others[np.arange(len(tiles)), slide_of] = -1
    threshold = float(np.quantile(others.max(axis=1), 1 - kept))
    return ColourFilter(references, tuple(map(str, names)), threshold)


def judge(tiles: np.ndarray, colours: ColourFilter) -> pd.DataFrame:
    """Return for each tile, uint8 (n, h, w, 3): ``correlation``, ``like`` and ``verdict``.

    ``like`` names the nearest example slide; ``verdict`` is `TUMOUR_LIKE` or `ARTEFACT`.
    """
    found = np.array([hue_histogram(tile) for tile in tiles]).reshape(-1, BINS)
    all_of = _correlations(found, colours.references)
    best = all_of.max(axis=1)
    return pd.DataFrame(
        {
            "correlation": best,
            "like": np.array(colours.names, dtype=object)[all_of.argmax(axis=1)],
            "verdict": np.where(best >= colours.threshold, TUMOUR_LIKE, ARTEFACT).astype(object),
        }
    )


def _correlations(found: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each histogram with each reference, float64 (n, k); 0 for grey."""
    unit = []
    for rows in (found, references):
        centred = rows - rows.mean(axis=1, keepdims=True)
        unit.append(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12))
    return np.clip(unit[0] @ unit[1].T, -1, 1)
