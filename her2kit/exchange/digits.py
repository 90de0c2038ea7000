"""Coordinates as JSON text, fast: one compiled loop from integers to bytes. Knows nothing of GeoJSON.

Python's own formatting takes about 100 ns a number, and a cell has about 120 of them; this takes about 10 ns.
"""

import numba
import numpy as np

_PAIRS = np.frombuffer("".join(f"{pair:02d}" for pair in range(100)).encode(), dtype=np.uint8)
_BYTES_A_POINT = 36  # two numbers of at most 15 characters, brackets, commas


@numba.njit(cache=True, nogil=True)
def _put_hundredths(out: np.ndarray, at: int, value: int) -> int:
    """Write ``value / 100`` at ``at`` without trailing zeros; return the place behind it."""
    if value < 0:
        out[at] = 45  # minus
        at += 1
        value = -value
    ten, hundred = np.uint64(10), np.uint64(100)  # unsigned, so that the divisions become multiplications
    whole, part = np.uint64(value) // hundred, np.uint64(value) % hundred
    digits, bound = 1, ten
    while whole >= bound:
        digits += 1
        bound *= ten
    place = at + digits
    while whole >= hundred:  # two digits a division
        rest = whole // hundred
        pair = np.uint64(2) * (whole - rest * hundred)
        place -= 2
        out[place] = _PAIRS[pair]
        out[place + 1] = _PAIRS[pair + np.uint64(1)]
        whole = rest
    if whole >= ten:
        out[at] = _PAIRS[np.uint64(2) * whole]
        out[at + 1] = _PAIRS[np.uint64(2) * whole + np.uint64(1)]
    else:
        out[at] = np.uint64(48) + whole
    at += digits
    if part > 0:
        out[at] = 46  # point
        out[at + 1] = _PAIRS[np.uint64(2) * part]
        out[at + 2] = _PAIRS[np.uint64(2) * part + np.uint64(1)]
        at += 3 if part % ten > 0 else 2
    return at


@numba.njit(cache=True, nogil=True)
def _rings(points: np.ndarray, offsets: np.ndarray, out: np.ndarray, ends: np.ndarray) -> None:
    at = 0
    for ring in range(len(offsets) - 1):
        first, behind = offsets[ring], offsets[ring + 1]
        if behind > first:
            out[at] = 91  # [
            at += 1
            for k in range(first, behind + 1):
                j = k if k < behind else first  # the ring closes on its first point
                out[at] = 91
                at = _put_hundredths(out, at + 1, points[j, 0])
                out[at] = 44
                at = _put_hundredths(out, at + 1, points[j, 1])
                out[at] = 93  # ]
                out[at + 1] = 44
                at += 2
            out[at - 1] = 93
        ends[ring] = at


@numba.njit(cache=True, nogil=True)
def _simple(points: np.ndarray, offsets: np.ndarray, simple: np.ndarray) -> None:
    for ring in range(len(offsets) - 1):
        first, behind = offsets[ring], offsets[ring + 1]
        simple[ring] = False
        n = behind - first
        if n < 3:
            continue
        cx = points[first:behind, 0].sum() // n
        cy = points[first:behind, 1].sum() // n
        turns = 0  # edges that pass the ray from the centre to the right
        sign = 0
        for k in range(first, behind):
            j = k + 1 if k + 1 < behind else first
            ax, ay = points[k, 0] - cx, points[k, 1] - cy
            bx, by = points[j, 0] - cx, points[j, 1] - cy
            cross = ax * by - ay * bx
            if cross == 0 or (sign != 0 and (cross > 0) != (sign > 0)):
                turns = -1
                break
            sign = 1 if cross > 0 else -1
            if (ay < 0) != (by < 0) and (ay * (bx - ax) - ax * (by - ay)) * (1 if by < ay else -1) > 0:
                turns += 1
        simple[ring] = turns == 1


def surely_simple(hundredths: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Say of each ring whether it surely does not cross itself (False: it may, or has under three points).

    A ring seen from its mean point, whose corners go round strictly in one sense and exactly once, is
    star-shaped and so simple. Exact, since it is done in integers (points within 10^8 of each other). Most
    cells pass, which saves them the general test (`shapely.is_valid`, ten times as long).

    Parameters
    ----------
    hundredths, offsets
        As in `json_rings`.

    Returns
    -------
    bool array of shape (k,)
    """
    simple = np.empty(len(offsets) - 1, dtype=np.bool_)
    _simple(np.ascontiguousarray(hundredths, dtype=np.int64), offsets.astype(np.int64), simple)
    return simple


def json_rings(hundredths: np.ndarray, offsets: np.ndarray) -> list[bytes]:
    """Return each ring as JSON text, ``[[x,y],...,[x,y]]``, closed on its first point.

    Parameters
    ----------
    hundredths : int64 array of shape (m, 2)
        All points of all rings, in hundredths of a unit.
    offsets : int64 array of shape (k + 1,)
        Ring ``i`` holds the points ``offsets[i]`` to ``offsets[i + 1]``.

    Returns
    -------
    list of bytes
        One text a ring; empty for a ring without points.
    """
    out = np.empty((len(hundredths) + len(offsets)) * _BYTES_A_POINT, dtype=np.uint8)
    ends = np.empty(len(offsets) - 1, dtype=np.int64)
    _rings(np.ascontiguousarray(hundredths, dtype=np.int64), offsets.astype(np.int64), out, ends)
    text = out[: ends[-1] if len(ends) else 0].tobytes()
    starts = np.concatenate([[0], ends[:-1]]).tolist() if len(ends) else []
    return [text[a:b] for a, b in zip(starts, ends.tolist(), strict=True)]
