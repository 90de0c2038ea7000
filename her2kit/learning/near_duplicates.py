"""Find copies of pictures, also those that were saved again, resized, recoloured, mirrored or turned.

A picture becomes 256 bits: the signs of its lowest cosine frequencies, the 64 lowest first. Few bits differ
between copies, half of them between strangers. Candidates come from an index on the first 64 bits (two hashes
at most 7 bits apart share a quarter up to one bit), and all 256 decide. A copy that is cropped or shifted by
a few per cent of its side is another picture to these bits, and so is a neighbour on the slide: for those,
split by slide. Nearly blank pictures have no pattern and get no hash.

References
----------
Zauner C. Implementation and benchmarking of perceptual image hash functions. Hagenberg 2010 (hash of cosine
frequencies). Norouzi M et al. Fast search in Hamming space with multi-index hashing. CVPR 2012:3108-3115.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd
from numba import njit

from her2kit.learning.pictures import read_picture

MOST_BITS = 32
"""Of 256 bits that may differ between copies. Measured in ``benchmarks/splits.py`` on tiles of real HER2
cores (128 px, 0.5 um per pixel): copies are found of 97 in 100 tiles after JPEG at quality 50 or a tenth
brighter, of all at half the size; none of 2,275,911 pairs of different tiles is called a copy."""
FLAT = 2.0
"""Grey levels: below this standard deviation of the small picture a pattern is mostly noise and JPEG."""
_SIDE, _FREQUENCIES, _WORDS = 32, 16, 4
_CANDIDATE_BITS = 7
"""Of the first 64: by the pigeonhole principle one of four quarters then differs by at most one bit."""
TURNS = (
    *("as it is", "mirrored", "upside down", "half turn"),
    *("transposed", "quarter turn right", "quarter turn left", "transposed, half turn"),
)
"""The eight ways to lay a square on itself, by number: 4 swaps the axes, then 1 swaps left and right, 2 top
and bottom."""


def hash_pictures(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Return the hashes of pictures, uint64 (n, 4); zeros for one that is nearly blank.

    Parameters
    ----------
    pictures
        uint8 (h, w, 3) RGB each, of any size.
    """
    hashes = [_hash(pixels) for pixels in pictures]
    return np.array(hashes, np.uint64).reshape(-1, _WORDS)


def hash_files(paths: Iterable[str | os.PathLike], *, threads: int = 2) -> np.ndarray:
    """Return the hashes of picture files, as `hash_pictures`.

    Raises
    ------
    SlideError
        If a file is missing or cannot be decoded; it names the file.
    """
    with ThreadPoolExecutor(threads) as pool:  # each thread hashes what it reads: pictures do not pile up
        hashes = list(pool.map(lambda path: _hash(read_picture(path)), paths))
    return np.array(hashes, np.uint64).reshape(-1, _WORDS)


def find_pairs(
    hashes: np.ndarray, *, apart: np.ndarray | None = None, most: int = MOST_BITS, turned: bool = True
) -> pd.DataFrame:
    """Return the pairs of pictures whose hashes are nearly equal.

    Parameters
    ----------
    hashes
        uint64 (n, 4) of `hash_pictures`.
    apart
        (n,), the part of each picture: only pairs across parts are wanted, and of equal hashes in one part
        only the first takes part. None: all pairs, equal hashes being paired with the first of them alone.
    most
        Bits that may differ, 0 to 64.
    turned
        Also find mirrored and turned copies.

    Returns
    -------
    DataFrame
        ``first``, ``second`` (row numbers, first < second), ``bits`` that differ, ``turn`` (a word of
        `TURNS`, what was done to the first to get the second); ordered by these. A pair stands there once, as
        it differs least.

    Raises
    ------
    ValueError
        If the hashes are no hashes, or an argument does not fit.
    """
    if hashes.dtype != np.uint64 or hashes.ndim != 2 or hashes.shape[1] != _WORDS:
        raise ValueError(f"hashes is {hashes.dtype} {hashes.shape}; give what hash_pictures returns")
    if not 0 <= most <= 64:
        raise ValueError(f"most={most}; use 0 to 64 of 256 bits ({MOST_BITS} is usual)")
    if apart is not None and len(apart) != len(hashes):
        raise ValueError(f"apart has {len(apart)} parts for {len(hashes)} hashes; give one each")
    part = np.zeros(len(hashes), np.int64) if apart is None else pd.factorize(np.asarray(apart))[0]
    rows = np.flatnonzero(hashes.any(axis=1))
    keyed = pd.DataFrame(hashes[rows]).assign(part=part[rows])
    number = keyed.groupby(list(keyed.columns), sort=False).ngroup().to_numpy()
    heads = rows[np.unique(number, return_index=True)[1]]  # the first of each, in order
    found = [np.empty((0, 4), np.int64)]
    if apart is None:
        first = heads[number]
        copies = first != rows
        found.append(np.column_stack([first, rows, 0 * rows, 0 * rows])[copies])
    words = np.ascontiguousarray(hashes[heads])
    index = _index(words)
    swapped = _transposed(words) if turned else words
    for turn in range(len(TURNS) if turned else 1):
        query = (swapped if turn & 4 else words) ^ _swaps(turn)
        pairs = _search(query, *_index(query), words, *index, part[heads], apart is not None, most)
        pairs[:, :2] = heads[pairs[:, :2]]
        found.append(np.column_stack([pairs, np.full(len(pairs), turn)]))
    table = pd.DataFrame(np.concatenate(found), columns=["first", "second", "bits", "turn"])
    table = table.sort_values(["first", "second", "bits", "turn"]).drop_duplicates(["first", "second"])
    table["turn"] = np.array(TURNS, dtype=object)[table["turn"]]
    return table.reset_index(drop=True)


def _hash(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(f"a picture is {pixels.dtype} {pixels.shape}; give uint8 (h, w, 3)")
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    if small.std() < FLAT:
        return np.zeros(_WORDS, np.uint64)
    return _packed(cv2.dct(small)[_DOWN, _ACROSS] > 0)


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return bool (..., 256) as uint64 (..., 4), bit 0 of a word first."""
    packed = np.packbits(np.ascontiguousarray(bits), axis=-1, bitorder="little")
    return packed.view("<u8").astype(np.uint64)


def _order() -> tuple[np.ndarray, np.ndarray]:
    """Return (down, across) of the 256 lowest frequencies, square by square; the mean comes last."""
    down, across = (axis.ravel() for axis in np.indices((_FREQUENCIES, _FREQUENCIES)))
    order = np.roll(np.lexsort((across, down + across, np.maximum(down, across))), -1)
    return down[order], across[order]


_DOWN, _ACROSS = _order()


def _transposed(words: np.ndarray) -> np.ndarray:
    """Return the hashes of the pictures with their axes swapped."""
    place = np.empty((_FREQUENCIES, _FREQUENCIES), np.int64)
    place[_DOWN, _ACROSS] = np.arange(len(_DOWN))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=-1, bitorder="little")
    return _packed(np.take(bits, place[_ACROSS, _DOWN], axis=-1))


def _swaps(turn: int) -> np.ndarray:
    """Return the bits that change, uint64 (4,): those of odd frequencies along a swapped axis."""
    return _packed(((_ACROSS % 2 == 1) & bool(turn & 1)) ^ ((_DOWN % 2 == 1) & bool(turn & 2)))


def _index(words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and first words ordered by each quarter of the first word, and where each value begins."""
    quarters = [((words[:, 0] >> np.uint64(16 * q)) & np.uint64(0xFFFF)).astype(np.uint16) for q in range(4)]
    rows = np.array([np.argsort(values, kind="stable") for values in quarters], np.int64).reshape(4, -1)
    counts = np.array([np.bincount(values, minlength=1 << 16) for values in quarters], np.int64)
    starts = np.concatenate([np.zeros((4, 1), np.int64), counts.cumsum(axis=1)], axis=1)
    return rows, words[rows, 0], starts


@njit(cache=True)
def _ones(x):
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _search(query, q_rows, q_firsts, q_starts, words, rows, firsts, starts, part, across, most):
    """Return (first, second, bits) of all pairs first < second that are near enough, int64 (n, 3)."""
    found = []
    for quarter in range(4):
        for value in range(1 << 16):
            q_begin, q_end = q_starts[quarter, value], q_starts[quarter, value + 1]
            if q_begin == q_end:
                continue
            for flip in range(17):
                other = value ^ (0 if flip == 16 else 1 << flip)
                for a in range(q_begin, q_end):
                    for b in range(starts[quarter, other], starts[quarter, other + 1]):
                        apart = q_firsts[quarter, a] ^ firsts[quarter, b]
                        bits = _ones(apart)
                        if bits > _CANDIDATE_BITS:
                            continue
                        i, j = q_rows[quarter, a], rows[quarter, b]
                        if j <= i or (across and part[i] == part[j]):
                            continue
                        again = False  # an earlier quarter has found this pair already
                        for earlier in range(quarter):
                            piece = (apart >> np.uint64(16 * earlier)) & np.uint64(0xFFFF)
                            again = again or _ones(piece) <= 1
                        for word in range(1, _WORDS):
                            bits += _ones(query[i, word] ^ words[j, word])
                        if not again and bits <= most:
                            found.append((i, j, bits))
    out = np.empty((len(found), 3), np.int64)
    for k in range(len(found)):
        out[k, 0], out[k, 1], out[k, 2] = found[k]
    return out
