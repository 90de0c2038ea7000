"""Compiled steps of the classical nucleus detector: local maxima and bounded growth.

All of it is local and bitwise independent of where a picture was cut: integer costs, ties broken by
position (the upper, then the left one wins). Nothing here knows a threshold or a micrometre. The growth is an
image foresting transform with additive integer costs: each pixel goes to the region with the least path cost,
as in a geodesic Voronoi diagram.

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
def grow(allowed, sources, first, max_cost):  # pragma: no cover - compiled
    """Give each allowed pixel to the region with the least path cost, ties to the lower region number.

    The regions grow one after the other, so that memory stays near; a region does not pass a pixel that an
    earlier one reaches at no more cost. That changes nothing: what lies behind would be the other's, too.

    Parameters
    ----------
    allowed
        uint8 (h, w), where growth may go.
    sources
        int32 (n, 2), (y, x) where growth begins.
    first
        int64 (regions + 1,); region i begins at ``sources[first[i]:first[i + 1]]``.
    max_cost
        1..255. Paths that reach this cost end there: a region reaches less than ``max_cost / STEP`` pixels.

    Returns
    -------
    int32 (h, w)
        0, or 1 + number of the region.
    """
    height, width = allowed.shape
    labels = np.zeros((height, width), np.int32)
    cost = np.full((height, width), max_cost, np.uint8)
    head = np.full(max_cost, -1, np.int32)  # one stack of pixels a cost
    room = 4096
    pixel = np.empty(room, np.int32)
    below = np.empty(room, np.int32)
    for i in range(len(first) - 1):
        for k in range(first[i], first[i + 1]):
            cost[sources[k, 0], sources[k, 1]] = 0
            labels[sources[k, 0], sources[k, 1]] = i + 1
    for i in range(len(first) - 1):
        label = i + 1
        n = 0
        for k in range(first[i], first[i + 1]):
            if n + 8 >= room:
                pixel, below, room = _double(pixel, below)
            pixel[n] = sources[k, 0] * width + sources[k, 1]
            below[n] = head[0]
            head[0] = n
            n += 1
        for c in range(max_cost):
            while head[c] >= 0:
                k = head[c]
                head[c] = below[k]
                y = pixel[k] // width
                x = pixel[k] - y * width
                if cost[y, x] != c or labels[y, x] != label:
                    continue
                if n + 8 >= room:
                    pixel, below, room = _double(pixel, below)
                for dy in range(-1, 2):
                    yy = y + dy
                    if yy < 0 or yy >= height:
                        continue
                    for dx in range(-1, 2):
                        xx = x + dx
                        if xx < 0 or xx >= width or allowed[yy, xx] == 0:
                            continue
                        next_cost = c + (STEP if dy == 0 or dx == 0 else DIAGONAL)
                        known = cost[yy, xx]
                        if next_cost < known or (next_cost == known and label < labels[yy, xx]):
                            cost[yy, xx] = next_cost
                            labels[yy, xx] = label
                            pixel[n] = yy * width + xx
                            below[n] = head[next_cost]
                            head[next_cost] = n
                            n += 1
    return labels


@numba.njit(cache=True, nogil=True)
def _double(pixel, below):  # pragma: no cover - compiled
    room = 2 * len(pixel)
    more_pixel = np.empty(room, np.int32)
    more_pixel[: len(pixel)] = pixel
    more_below = np.empty(room, np.int32)
    more_below[: len(below)] = below
    return more_pixel, more_below, room


@numba.njit(cache=True, nogil=True)
def outer_edges(labels, n):  # pragma: no cover - compiled
    """Return the labelled pixels with an unlabelled 4-neighbour by region, as `grow` takes them."""
    height, width = labels.shape
    first = np.zeros(n + 1, np.int64)
    sources = np.empty((0, 2), np.int32)
    place = np.zeros(n + 1, np.int64)
    for turn in range(2):  # count, then write
        for y in range(height):
            for x in range(width):
                label = labels[y, x]
                if label == 0 or not (
                    (y > 0 and labels[y - 1, x] == 0)
                    or (x > 0 and labels[y, x - 1] == 0)
                    or (y + 1 < height and labels[y + 1, x] == 0)
                    or (x + 1 < width and labels[y, x + 1] == 0)
                ):
                    continue
                if turn == 0:
                    first[label] += 1
                else:
                    sources[place[label - 1], 0] = y
                    sources[place[label - 1], 1] = x
                    place[label - 1] += 1
        if turn == 0:
            first = np.cumsum(first)
            place = first.copy()
            sources = np.empty((first[-1], 2), np.int32)
    return sources, first
