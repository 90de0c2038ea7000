"""How much of two stains each optical density holds: sparse, never negative, in closed form.

With two stains the sparse code of Vahadane (a lasso without negative amounts) needs no solver: either both
amounts are positive and solve two equations, or one alone does best. Reads no pixels, fits no vectors.

References
----------
Vahadane A et al. Structure-preserving color normalization and sparse stain separation for histological
images. IEEE Trans Med Imaging 2016;35:1962-1971.
"""

import numba
import numpy as np


def concentrations(od: np.ndarray, vectors: np.ndarray, *, sparsity: float = 0.0) -> np.ndarray:
    """Return the amounts >= 0 that minimise ``|od - amounts @ vectors|^2 / 2 + sparsity * sum(amounts)``.

    Parameters
    ----------
    od
        float64 (n, 3), optical density of R, G, B.
    vectors
        float64 (2, 3), unit OD vectors.
    sparsity
        OD, >= 0; 0 is plain least squares.

    Returns
    -------
    float64 (n, 2), OD along each vector.
    """
    amounts = np.empty((len(od), 2))
    _unmix(od, vectors, sparsity, amounts)
    return amounts


def moments(od: np.ndarray, vectors: np.ndarray, *, sparsity: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of amount times amount, float64 (2, 2), and of amount times OD, float64 (2, 3).

    The amounts are those of `concentrations`, which need not be kept; summed pixel by pixel in order, so that
    no library's blocking shows in the result.
    """
    among, towards = np.zeros((2, 2)), np.zeros((2, 3))
    _sum_moments(od, vectors, sparsity, among, towards)
    return among, towards


@numba.njit(cache=True, nogil=True)
def _amounts(red, green, blue, vectors, overlap, sparsity):  # pragma: no cover - compiled
    first = red * vectors[0, 0] + green * vectors[0, 1] + blue * vectors[0, 2] - sparsity
    second = red * vectors[1, 0] + green * vectors[1, 1] + blue * vectors[1, 2] - sparsity
    a, b = first - overlap * second, second - overlap * first
    if a >= 0 and b >= 0:
        return a / (1 - overlap * overlap), b / (1 - overlap * overlap)
    if first >= second:  # the stain that alone explains more
        return max(first, 0.0), 0.0
    return 0.0, max(second, 0.0)


@numba.njit(cache=True, nogil=True)
def _unmix(od, vectors, sparsity, amounts):  # pragma: no cover - compiled
    overlap = (vectors[0] * vectors[1]).sum()
    for i in range(len(od)):
        a, b = _amounts(od[i, 0], od[i, 1], od[i, 2], vectors, overlap, sparsity)
        amounts[i, 0], amounts[i, 1] = a, b


@numba.njit(cache=True, nogil=True)
def _sum_moments(od, vectors, sparsity, among, towards):  # pragma: no cover - compiled
    overlap = (vectors[0] * vectors[1]).sum()
    for i in range(len(od)):
        a, b = _amounts(od[i, 0], od[i, 1], od[i, 2], vectors, overlap, sparsity)
        among[0, 0] += a * a
        among[0, 1] += a * b
        among[1, 1] += b * b
        for c in range(3):
            towards[0, c] += a * od[i, c]
            towards[1, c] += b * od[i, c]
    among[1, 0] = among[0, 1]
