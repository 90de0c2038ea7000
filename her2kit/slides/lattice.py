"""Where the pixels of a scale lie on a slide. Plain arithmetic, no files."""

import math


def whole_scale(downsample: float, size: tuple[int, int], full: tuple[int, int]) -> float:
    """Return a level's scale: the whole number behind OpenSlide's quotient of rounded sizes (8.006 is 8).

    Scanners halve or quarter and drop or pad the odd rest, so sizes that fit a whole number within one pixel
    come from it; the quotient would be off by a pixel at the far edge.
    """
    whole = float(round(downsample))
    fits = all(abs(s - f / whole) < 1 for s, f in zip(size, full, strict=True))
    return whole if fits else downsample


def on_lattice(place_px0: float, scale: float) -> tuple[int, float]:
    """Return a place as (index, phase) on the lattice of ``scale``; a phase of rounding errors is 0."""
    place = place_px0 / scale
    index = math.floor(place + 0.5)
    if abs(place - index) < 1e-6:
        return index, 0.0
    index = math.floor(place)
    return index, round((place - index) * 2**20) / 2**20
