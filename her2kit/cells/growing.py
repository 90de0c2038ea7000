"""Compiled steps of the classical nucleus detector: local maxima and bounded growth.

All of it is local and bitwise independent of where a picture was cut: integer costs, ties broken by
position (the upper, then the left one wins). Nothing here knows a threshold or a micrometre. The growth
is an image foresting transform with additive integer costs: each pixel goes to the region with the least
path cost, as in a geodesic Voronoi diagram.

References
----------
Falcao AX, Stolfi J, Lotufo RA. The image foresting transform. IEEE TPAMI 2004;26:19-29.
Borgefors G. Distance transformations in digital images. CVGIP 1986;34:344-371 (steps 5 and 7).
"""

import numba
import numpy as np

STEP = 5
"""Cost of one pixel along a row or column."""
DIAGONAL = 7
"""Cost of one pixel along a diagonal."""


@numba.njit(cache=True, nogil=True)
def local_maxima(score, lowest, radius):  # pragma: no cover - compiled
    """Return (y, x) of the pixels that score highest within a disc of `radius` pixels and above `lowest`.

    Equal scores within the disc: the first in raster order stays. `score` is int32 (h, w); the result is
    int32 (n, 2), in raster order.
    """
    height, width = score.shape
    reach = int(np.floor(radius))
    limit = radius * radius + 1e-6
    n_offsets = 0
    offsets = np.empty(((2 * reach + 1) ** 2, 2), np.int64)
    for ring in range(1, 2 * reach * reach + 1):  # nearest first: most pixels fail at once
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if dy * dy + dx * dx == ring and ring <= limit:
                    offsets[n_offsets, 0] = dy
                    offsets[n_offsets, 1] = dx
                    n_offsets += 1
    found = np.empty((1024, 2), np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            value = score[y, x]
            if value <= lowest:
                continue
            highest = True
            for k in range(n_offsets):
                dy = offsets[k, 0]
                dx = offsets[k, 1]
                yy = y + dy
                xx = x + dx
                if yy < 0 or xx < 0 or yy >= height or xx >= width:
                    continue
                other = score[yy, xx]
                if other > value or (other == value and (dy < 0 or (dy == 0 and dx < 0))):
                    highest = False
                    break
            if highest:
                if n == len(found):
                    larger = np.empty((2 * n, 2), np.int32)
                    larger[:n] = found
                    found = larger
                found[n, 0] = y
                found[n, 1] = x
                n += 1
    return found[:n].copy()


@numba.njit(cache=True, nogil=True)
def grow(allowed, seeds, max_cost):  # pragma: no cover - compiled
    """Give each allowed pixel to the seed with the least path cost, ties to the lower seed number.

    The seeds grow one after the other, so that memory stays near; a seed does not pass a pixel that an
    earlier one reaches as cheaply. That changes nothing: what lies behind would be the other's, too.

    Parameters
    ----------
    allowed
        uint8 (h, w), where growth may go.
    seeds
        int32 (n, 2), (y, x) in raster order.
    max_cost
        8..255. Paths that reach this cost end there: a seed reaches less than ``max_cost / STEP`` pixels.

    Returns
    -------
    int32 (h, w)
        0, or 1 + number of the seed.
    """
    height, width = allowed.shape
    stride = width + 2
    labels = np.zeros((height + 2) * stride, np.int32)
    cost = np.zeros((height + 2) * stride, np.uint8)  # 0 where growth may not go, so a border too
    for y in range(height):
        for x in range(width):
            if allowed[y, x]:
                cost[(y + 1) * stride + x + 1] = max_cost
    steps = np.array([-stride, -1, 1, stride, -stride - 1, -stride + 1, stride - 1, stride + 1])
    head = np.full(max_cost + DIAGONAL, -1, np.int32)  # one stack of pixels a cost
    room = 4096
    pixel = np.empty(room, np.int32)
    below = np.empty(room, np.int32)
    for i in range(len(seeds)):
        p = (seeds[i, 0] + 1) * stride + seeds[i, 1] + 1
        cost[p] = 0
        labels[p] = i + 1
    for i in range(len(seeds)):
        label = i + 1
        pixel[0] = (seeds[i, 0] + 1) * stride + seeds[i, 1] + 1
        below[0] = -1
        head[0] = 0
        n = 1
        for c in range(max_cost - STEP):
            while head[c] >= 0:
                k = head[c]
                head[c] = below[k]
                p = pixel[k]
                if cost[p] != c or labels[p] != label:
                    continue
                if n + 8 > room:
                    room *= 2
                    pixel = _longer(pixel, room)
                    below = _longer(below, room)
                for direction in range(8):
                    q = p + steps[direction]
                    next_cost = c + STEP if direction < 4 else c + DIAGONAL
                    known = cost[q]
                    if next_cost > known or (next_cost == known and label >= labels[q]):
                        continue
                    if next_cost >= max_cost:
                        continue
                    cost[q] = next_cost
                    labels[q] = label
                    pixel[n] = q
                    below[n] = head[next_cost]
                    head[next_cost] = n
                    n += 1
        head[:] = -1
    return labels.reshape((height + 2, stride))[1:-1, 1:-1].copy()


@numba.njit(cache=True, nogil=True)
def _longer(array, room):  # pragma: no cover - compiled
    longer = np.empty(room, array.dtype)
    longer[: len(array)] = array
    return longer
