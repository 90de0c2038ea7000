"""Find the two stain vectors of a sample of colours: Macenko's extremes of angle, or Vahadane's sparse atoms.

Both look only at pixels dark enough to have a colour. Nothing random, nothing bounded by time: the same
sample gives the same vectors on every machine. Chooses no sample and measures no amounts.

References
----------
Macenko M et al. A method for normalizing histology slides for quantitative analysis. ISBI 2009:1107-1110.
Vahadane A et al. Structure-preserving color normalization and sparse stain separation for histological
images. IEEE Trans Med Imaging 2016;35:1962-1971.
"""

import numpy as np

from her2kit.errors import StainError
from her2kit.stain.concentrations import moments

STAINED_OD_SUM = 0.15
"""OD sum of R, G and B from which a pixel is stained. Drift and noise of glass stay below .06 (s.d. 4.4 grey
levels at most on real cores)."""
SPARSITY = 0.004
"""Price of an amount while Vahadane's atoms are learned, decadic OD. Staintools' 0.043 (0.1 in natural OD)
draws the two atoms together: on phantoms 5.7 degrees off in the median instead of 2.7."""
LEAST_PIXELS = 500
"""Fewer stained pixels tell no direction."""
LEAST_ANGLE_DEG = 12.0
"""Closer together, Macenko's two vectors are one stain, its noise and JPEG: up to 11.0 degrees where one was
planted, from 13.2 degrees on real cores, 36 between pure hematoxylin and DAB."""
_COLOURED_OD_SUM, _DARKEST_SHARE = 0.35, 0.3
"""Macenko's angles are read from this OD sum on, or on the darkest 30 % of the stained pixels if they are
more: among paler ones the extremes are noise."""
_PERCENTILE = 2.0
"""Of the angles. Macenko et al. took 1: among all stained pixels that is 3.3 degrees off in the median on
phantoms, this 2.0."""
_STEPS = 300
_SETTLED = 1e-9
_DIGITS = 6  # beyond them the arithmetic of two processors may differ


def stain_vectors(od: np.ndarray, method: str) -> np.ndarray:
    """Return the two unit stain vectors, the one with more red OD (hematoxylin) first.

    Parameters
    ----------
    od
        float64 (n, 3), optical density of stained pixels.
    method
        ``macenko`` or ``vahadane``.

    Returns
    -------
    float64 (2, 3), none negative.

    Raises
    ------
    StainError
        If the pixels are too few, or show one stain only.
    """
    check_enough(len(od))
    total = od.sum(axis=1)
    dark = total >= min(_COLOURED_OD_SUM, np.percentile(total, 100 * (1 - _DARKEST_SHARE)))
    vectors = _extremes(od[dark])
    angle = np.degrees(np.arccos(np.clip(vectors[0] @ vectors[1], -1, 1)))
    if angle < LEAST_ANGLE_DEG:
        raise StainError(
            f"pixels show one stain only (two vectors {angle:.1f} degrees apart); take a picture with both "
            "stains, or method='reinhard'"
        )
    if method == "vahadane":
        vectors = _sparse_atoms(od, vectors)
    return np.round(vectors[np.argsort(-vectors[:, 0])], _DIGITS)


def check_enough(stained: int) -> None:
    """Raise a StainError where fewer pixels are stained than tell a colour."""
    if stained < LEAST_PIXELS:
        raise StainError(f"pixels hold {stained} stained ones, {LEAST_PIXELS} are needed; sample more tissue")


def _extremes(od: np.ndarray) -> np.ndarray:
    """Return the outermost directions in the plane through the origin that holds most of the light lost."""
    _, axes = np.linalg.eigh(od.T @ od)
    plane = np.stack([axes[:, 2] * np.sign(axes[:, 2].sum()), axes[:, 1]], axis=1)
    first, second = (od @ plane).T
    low, high = np.percentile(np.arctan2(second, first), [_PERCENTILE, 100 - _PERCENTILE])
    return _unit(np.array([[np.cos(low), np.sin(low)], [np.cos(high), np.sin(high)]]) @ plane.T)


def _sparse_atoms(od: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the atoms of a sparse non-negative dictionary: amounts and atoms improved in turn."""
    atoms = start.copy()
    for _ in range(_STEPS):
        before = atoms.copy()
        among, towards = moments(od, atoms, sparsity=SPARSITY)
        for k in range(2):
            if among[k, k] > 0:
                atoms[k] = np.maximum(atoms[k] + (towards[k] - among[k] @ atoms) / among[k, k], 0.0)
                atoms[k] /= np.linalg.norm(atoms[k])
        if np.abs(atoms - before).max() < _SETTLED:
            break
    return atoms


def _unit(vectors: np.ndarray) -> np.ndarray:
    positive = np.maximum(vectors, 0.0)
    return positive / np.linalg.norm(positive, axis=1, keepdims=True)
