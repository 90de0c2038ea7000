"""Area-averaging of a picture onto any output lattice, exact in phase. Reads no files.

An output pixel is the mean of the source area that it covers, with fractional weights at its borders. The
weights depend on the pixel's place on the slide's own lattice, never on where a read begins, and the sums run
in a fixed order. So two adjoining reads hold bit for bit what one large read holds.
``cv2.resize(INTER_AREA)`` gives the same means, but its phase starts anew with each array.
"""

from dataclasses import dataclass

import numba
import numpy as np

_SLIVER = 1e-6
"""Share of a source pixel that is only a rounding error of an edge."""


@dataclass(frozen=True, slots=True)
class Taps:
    """The source pixels, and their weights, of each output pixel along one axis."""

    first: np.ndarray
    """int64 (n,): first source pixel of each output pixel."""
    weights: np.ndarray
    """float32 (n, taps): weights of the source pixels from ``first`` on; each row sums to 1."""

    @property
    def start(self) -> int:
        """First source pixel of all."""
        return int(self.first[0])

    @property
    def stop(self) -> int:
        """One past the last source pixel that is read."""
        return int(self.first[-1]) + self.weights.shape[1]


def area_taps(index: int, phase: float, n: int, ratio: float) -> Taps:
    """Return the taps of output pixels ``index`` to ``index + n``.

    Output pixel i covers ``[(i + phase) * ratio, (i + 1 + phase) * ratio)`` in source pixels.

    Parameters
    ----------
    index, phase
        Place on the output lattice, as a whole number and a rest in [0, 1).
    ratio
        Source pixels to an output pixel, >= 1.
    """
    edges = (np.arange(index, index + n + 1) + phase) * ratio
    lower, upper = edges[:-1, None], edges[1:, None]
    first = np.floor(lower).astype(np.int64)
    pixel = first + np.arange(int(np.ceil(ratio)) + 1)
    weights = np.clip(np.minimum(upper, pixel + 1) - np.maximum(lower, pixel), 0, None)
    weights[weights < _SLIVER] = 0
    weights = weights[:, : 1 + np.flatnonzero(weights.any(axis=0))[-1]]
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(first[:, 0], weights.astype(np.float32))


def linear_taps(index: int, phase: float, n: int, ratio: float, size: int) -> Taps:
    """Return the taps that interpolate between the two nearest source pixels: for magnifying, ratio < 1.

    At the picture's border the outermost pixel is repeated up to its edge. ``size`` is the length of the
    source axis.
    """
    centre = (np.arange(index, index + n) + phase + 0.5) * ratio
    first = np.floor(centre - 0.5).astype(np.int64)
    rest = centre - 0.5 - first
    rest = np.where((first < 0) & (centre >= 0), 1.0, rest)
    rest = np.where((first + 1 >= size) & (centre < size), 0.0, rest)
    return Taps(first, np.stack([1 - rest, rest], axis=1).astype(np.float32))


def resample(source: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """Return the weighted means of ``source``.

    Parameters
    ----------
    source
        uint8 (rows.stop - rows.start, columns.stop - columns.start, channels).

    Returns
    -------
    uint8 (len(rows), len(columns), channels), rounded half up.
    """
    h, w, channels = source.shape
    out = np.empty((len(rows.first), len(columns.first), channels), np.uint8)
    flat = np.ascontiguousarray(source).reshape(h, w * channels)
    row_first, column_first = rows.first - rows.start, columns.first - columns.start
    _weigh(flat, row_first, rows.weights, column_first, columns.weights, channels, out)
    return out


@numba.njit(cache=True, nogil=True)
def _weigh(flat, row_first, row_weights, column_first, column_weights, channels, out):  # pragma: no cover
    total = np.empty(flat.shape[1], np.float32)
    for i in range(out.shape[0]):
        total[:] = 0
        for t in range(row_weights.shape[1]):
            weight = row_weights[i, t]
            if weight > 0:
                line = flat[row_first[i] + t]
                for k in range(total.shape[0]):
                    total[k] += weight * np.float32(line[k])
        if channels == 3:
            _weigh_colours(total, column_first, column_weights, out[i])
            continue
        for j in range(out.shape[1]):
            for c in range(channels):
                value = np.float32(0.5)
                for t in range(column_weights.shape[1]):
                    value += column_weights[j, t] * total[(column_first[j] + t) * channels + c]
                out[i, j, c] = _grey(value)


@numba.njit(cache=True, nogil=True)
def _weigh_colours(total, first, weights, out):  # pragma: no cover
    """Do what the general loop does, for three channels at once and with unsigned indices: twice as fast."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    for j in range(out.shape[0]):
        red = green = blue = np.float32(0.5)
        k = np.uint64(first[j]) * three
        for t in range(weights.shape[1]):
            weight = weights[j, t]
            red += weight * total[k]
            green += weight * total[k + one]
            blue += weight * total[k + two]
            k += three
        out[j, 0], out[j, 1], out[j, 2] = _grey(red), _grey(green), _grey(blue)


@numba.njit(cache=True, nogil=True)
def _grey(value):  # pragma: no cover
    return np.uint8(np.int32(min(value, np.float32(255))))
