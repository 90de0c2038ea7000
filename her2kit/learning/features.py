"""Colour and texture of a tile as a handful of named numbers, for small models of scikit-learn.

Colour in HSV and in stains (how much hematoxylin, how much DAB), texture by grey-level co-occurrence and
local binary patterns. Raw pixels in, no white point fitted, nothing normalised: what the laboratory did to
the colours is still in the numbers. No deep features.

References
----------
Haralick RM et al. IEEE Trans Syst Man Cybern 1973;3:610-621 (co-occurrence). Ojala T et al. IEEE TPAMI
2002;24:971-987 (local binary patterns). Ruifrok AC, Johnston DA. Anal Quant Cytol Histol 2001;23:291-299.
"""

import numpy as np
import pandas as pd

_PERCENTILES = (5, 25, 50, 75, 95)
_LEVELS = 16
"""Grey levels of the co-occurrence matrix: enough for texture, few enough for small tiles."""
_DISTANCES_PX = (1, 4)
_POINTS, _RADIUS_PX = 8, 1
"""Neighbours and radius of the local binary patterns, the smallest of Ojala et al."""
_TEXTURES = ("contrast", "homogeneity", "energy", "correlation")


def colour_texture(pixels: np.ndarray) -> dict[str, float]:
    """Return the features of one tile by name, always the same names in the same order.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3) RGB, at least 8 pixels a side.

    Raises
    ------
    ValueError
        If ``pixels`` is no such picture.
    """
    from skimage.color import rgb2gray, rgb2hed, rgb2hsv
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < 8:
        raise ValueError(
            f"pixels is {pixels.dtype} {pixels.shape}; give uint8 (h, w, 3), 8 px a side or more"
        )
    out: dict[str, float] = {}
    stains, hsv = rgb2hed(pixels), rgb2hsv(pixels)
    planes = {"red": pixels[..., 0], "green": pixels[..., 1], "blue": pixels[..., 2]}
    planes |= {"saturation": hsv[..., 1], "hematoxylin": stains[..., 0], "dab": stains[..., 2]}
    for name, plane in planes.items():
        for percent, value in zip(_PERCENTILES, np.percentile(plane, _PERCENTILES), strict=True):
            out[f"{name}_p{percent:02d}"] = value
        out[f"{name}_sd"] = plane.std()
    angle = 2 * np.pi * hsv[..., 0]  # a circle: 0.99 and 0.01 are neighbours
    weight = hsv[..., 1] + 1e-6
    out["hue_x"] = np.average(np.cos(angle), weights=weight)
    out["hue_y"] = np.average(np.sin(angle), weights=weight)
    grey = np.round(rgb2gray(pixels) * 255).astype(np.uint8)
    matrix = graycomatrix(
        grey // (256 // _LEVELS), _DISTANCES_PX, [0, np.pi / 2], _LEVELS, symmetric=True, normed=True
    )
    for name in _TEXTURES:
        for px, value in zip(_DISTANCES_PX, graycoprops(matrix, name).mean(axis=1), strict=True):
            out[f"{name}_{px}px"] = value
    codes = local_binary_pattern(grey, _POINTS, _RADIUS_PX, "uniform").astype(int)
    for code, share in enumerate(np.bincount(codes.ravel(), minlength=_POINTS + 2) / codes.size):
        out[f"pattern_{code}"] = share
    return {name: float(value) for name, value in out.items()}


def feature_table(pixels: np.ndarray) -> pd.DataFrame:
    """Return the features of many tiles, uint8 (n, h, w, 3): one row a tile, one column a feature."""
    rows = [colour_texture(tile) for tile in pixels]
    names = list(rows[0] if rows else colour_texture(np.zeros((8, 8, 3), np.uint8)))
    return pd.DataFrame(rows, columns=names, dtype=float)
