"""Which pixels belong to which nucleus: each pixel goes to the nearest one, up to a few micrometres.

An exact Euclidean nearest-label map with bounded reach, in two sweeps (vertical distances, then rows), after
the separable distance transform of Meijster et al. Ties go to the source straight above or below before the
ones beside, above before below, left before right: by position, never by label number. So a pixel's answer
depends on the labels within `reach` of it and on nothing else, whatever the tile.

References
----------
Meijster A, Roerdink JBTM, Hesselink WH. A general algorithm for computing distance transforms in linear time.
Mathematical Morphology and its Applications to Image and Signal Processing 2000:331-340.
"""

import numba
import numpy as np

GRID = 16  # centres and outlines are kept on a grid of 1/16 px: exact in float32, so the same in every tile


def territories(labels: np.ndarray, *, mpp: float, reach_um: float) -> np.ndarray:
    """Give each pixel to the nucleus nearest to it.

    Parameters
    ----------
    labels
        int32 (h, w), 0 = background, i+1 = nucleus i.
    mpp
        Micrometres per pixel, > 0.
    reach_um
        Distance from the nucleus (um, >= 0) beyond which a pixel belongs to none.

    Returns
    -------
    int32 (h, w)
        Label of the nearest nucleus, 0 where none is near. Equals `labels` inside the nuclei.
    """
    if labels.dtype != np.int32 or labels.ndim != 2:
        raise ValueError(f"labels has dtype {labels.dtype} and {labels.ndim} axes; pass int32 (h, w)")
    reach_px = reach_um / mpp
    return _nearest(labels, int(np.floor(reach_px)), int(np.floor(reach_px * reach_px)))


@numba.njit(cache=True, nogil=True)
def _nearest(labels, reach, reach2):  # pragma: no cover - compiled
    height, width = labels.shape
    far = reach + 1
    gap = np.empty((height, width), np.int16)  # vertical distance to the nearest nucleus of this column
    source = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] != 0:
                gap[y, x] = 0
                source[y, x] = labels[y, x]
            elif y > 0 and gap[y - 1, x] < reach:
                gap[y, x] = gap[y - 1, x] + 1
                source[y, x] = source[y - 1, x]
            else:
                gap[y, x] = far
    for y in range(height - 2, -1, -1):
        for x in range(width):
            if gap[y + 1, x] + 1 < gap[y, x]:
                gap[y, x] = gap[y + 1, x] + 1
                source[y, x] = source[y + 1, x]
    out = np.zeros((height, width), np.int32)
    left = np.empty(width, np.int32)  # distance to the nearest column that holds anything, on the left
    never = reach2 + 1
    gap2 = np.full(width + 2 * reach, never, np.int32)  # this row's squared gaps, padded
    for y in range(height):
        run = far
        for x in range(width):
            g = np.int32(gap[y, x])
            gap2[x + reach] = g * g if g < far else never
            run = 0 if g < far else run + 1
            left[x] = run
        run = far
        for x in range(width - 1, -1, -1):
            run = 0 if gap[y, x] < far else run + 1
            if gap[y, x] == 0:
                out[y, x] = labels[y, x]
                continue
            best = never
            nearest = x
            here = x + reach
            for d in range(min(run, left[x]), reach + 1):
                d2 = d * d
                if d2 >= best:
                    break
                if d2 + gap2[here - d] < best:
                    best = d2 + gap2[here - d]
                    nearest = x - d
                if d2 + gap2[here + d] < best:
                    best = d2 + gap2[here + d]
                    nearest = x + d
            if best < never:
                out[y, x] = source[y, nearest]
    return out


@numba.njit(cache=True, nogil=True)
def centres(labels, n):  # pragma: no cover - compiled
    """Return the centroid (x, y) of each label on a grid of 1/16 px, int64 (n, 2).

    Pixel centres lie at +0.5. Sums are integers and taken from the nucleus's own corner, so that a shift of
    the picture by whole pixels shifts the centres by exactly as much.
    """
    height, width = labels.shape
    count = np.zeros(n, np.int64)
    sums = np.zeros((n, 2), np.int64)
    first = np.full((n, 2), np.int64(2**40))
    for y in range(height):
        for x in range(width):
            i = labels[y, x] - 1
            if i >= 0:
                count[i] += 1
                sums[i, 0] += x
                sums[i, 1] += y
                first[i, 0] = min(first[i, 0], x)
                first[i, 1] = min(first[i, 1], y)
    out = np.zeros((n, 2), np.int64)
    for i in range(n):
        k = count[i]
        if k == 0:
            continue
        for a in range(2):
            inside = sums[i, a] - k * first[i, a]
            out[i, a] = GRID * first[i, a] + (2 * GRID * inside + GRID * k + k) // (2 * k)
    return out
