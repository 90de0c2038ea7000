"""Simple texture features of a tile, to ask how well a small classifier tells phantom from real. No model of
its own.

Colour percentiles, contrast, skewness and kurtosis per octave, local binary patterns (Ojala et al. 2002),
coherence of gradients, and how much exceeds white.
"""

import cv2
import numpy as np
from skimage.feature import local_binary_pattern

TILE_PX = 256


def tiles_of(picture: np.ndarray, *, most: int, seed: int) -> list[np.ndarray]:
    """Return up to ``most`` tiles, uint8 (256, 256, 3), that are more than half tissue."""
    found = []
    for y in range(0, picture.shape[0] - TILE_PX + 1, TILE_PX):
        for x in range(0, picture.shape[1] - TILE_PX + 1, TILE_PX):
            tile = picture[y : y + TILE_PX, x : x + TILE_PX]
            if (cv2.GaussianBlur(tile.min(axis=-1), (0, 0), 3) < 225).mean() > 0.5:
                found.append(tile)
    order = np.random.default_rng(seed).permutation(len(found))[:most]
    return [found[i] for i in order]


def features(tile: np.ndarray) -> dict[str, float]:
    """Return the features of one tile by name."""
    density = -np.log10(np.maximum(tile, 1) / np.array([234.0, 233.0, 241.0]))
    light = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY).astype(np.float32)
    colour = tile[..., 2].astype(np.float32) - tile[..., 0]
    out: dict[str, float] = {}
    for index, name in enumerate("RGB"):
        for q in (5, 25, 50, 75, 95):
            out[f"OD {name} percentile {q}"] = np.percentile(density[..., index], q)
    for name, plane in (("light", light), ("colour", colour)):
        current = plane
        for sigma in (0.7, 1.4, 2.8, 5.6, 11.2):
            softer = cv2.GaussianBlur(plane, (0, 0), sigma)
            band = current - softer
            spread = band.std() + 0.1
            out[f"{name} contrast at {sigma} px"] = np.log(spread)
            out[f"{name} skewness at {sigma} px"] = (band**3).mean() / spread**3
            out[f"{name} kurtosis at {sigma} px"] = np.log((band**4).mean() / spread**4 + 0.1)
            current = softer
    soft = cv2.GaussianBlur(light, (0, 0), 1.5)
    for name, plane, radius in (("fine", light, 1), ("coarse", soft, 3)):
        codes = local_binary_pattern(plane.astype(np.uint8), 8, radius, "uniform").astype(int)
        for code, share in enumerate(np.bincount(codes.ravel(), minlength=10) / codes.size):
            out[f"binary pattern {name} {code}"] = share
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    a, b, c = (cv2.GaussianBlur(v, (0, 0), 8) for v in (gx * gx, gx * gy, gy * gy))
    out["coherence"] = np.mean(np.sqrt((a - c) ** 2 + 4 * b * b) / (a + c + 1))
    out["share above white"] = (light > 241).mean()
    out["share near white"] = (light > 228).mean()
    return {name: float(value) for name, value in out.items()}
