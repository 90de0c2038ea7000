"""Sliders over what a pixel holds: its size, and the stain that is read from its colour."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from her2kit.cells.grade import WEAK_OD
from her2kit.course import touch_pictures as draw
from her2kit.course.touch_widget import Step, Touch, nearest
from her2kit.report import plots
from her2kit.slides.slide import Tile, open_slide
from her2kit.stain.optical_density import optical_density
from her2kit.stain.separation import RUIFROK_JOHNSTON, StainMaps, StainVectors, separate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
MEMBRANE_UM = {"1+": 0.64, "2+": 1.00, "3+": 2.14}
"""Widths of membranes (Scheel AH et al. 2018, PMC5848460)."""
TURNS = tuple(np.arange(-15.0, 15.1, 2.5).tolist())
"""Degrees. A vector further than 15 from Ruifrok and Johnston's the kit takes for that of another stain."""
POINTS = 250
"""Pixels in the plane of optical densities."""


def mpp(
    slides: Mapping[str, str | os.PathLike], corner: tuple[float, float], *, side_px0: int = 192,
    sizes: Sequence[float] = SIZES,
) -> Touch:  # fmt: skip
    """Return a slider over the size of a pixel: one field of each slide, read ever coarser.

    Parameters
    ----------
    slides
        Class to the slide's file; shown side by side.
    corner
        Level-0 corner (x, y) of the field, the same in all.
    """
    steps = []
    for um in sizes:
        tiles = {}
        for name, path in slides.items():
            with open_slide(path) as slide:
                side = max(1, round(side_px0 * float(slide.mpp or 0) / um))
                tiles[name] = slide.read(*corner, side, side, mpp=um)
        wide = ", ".join(f"{name} {MEMBRANE_UM[name] / um:.1f}" for name in slides if name in MEMBRANE_UM)
        steps.append(
            Step(f"{um:g} µm per px", f"A membrane is so many pixels wide: {wide}.", partial(_fields, tiles))
        )
    still = [nearest(sizes, um) for um in (0.25, 0.5, 1.0)]
    return Touch("size of a pixel", steps, panels=[(3.4, 3.7)] * len(slides), first=0, still=still)


def stain_basis(
    pixels: np.ndarray, *, white: tuple[float, float, float], turns: Sequence[float] = TURNS
) -> Touch:
    """Return a slider that turns the DAB vector, in the plane of both stains, towards hematoxylin (+).

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), raw.
    white
        Grey level of glass in R, G, B.
    """
    rng = np.random.default_rng(0)
    some = rng.choice(pixels.reshape(-1, 3), POINTS)
    od = optical_density(some, white)
    steps = []
    for degrees in turns:
        vectors = turned(RUIFROK_JOHNSTON, degrees)
        maps = separate(pixels, white, vectors)
        words = (
            f"{100 * (maps.dab >= WEAK_OD).mean():.0f} % of the pixels hold DAB of OD {WEAK_OD:.2f} or more; "
            f"95th percentile of DAB {np.percentile(maps.dab, 95):.2f}."
        )
        steps.append(Step(f"{degrees:+g}° turned" if degrees else "0°, as published", words,
                          partial(_basis, od, some, vectors, maps)))  # fmt: skip
    still = [nearest(turns, degrees) for degrees in (-10, 0, 10)]
    return Touch(
        "turn of the DAB vector",
        steps,
        panels=[(3, 3.4)] * 3,
        first=still[1],
        still=still,
        still_panels=[0, 2],
    )


def turned(vectors: StainVectors, degrees: float) -> StainVectors:
    """Return the vectors with that of DAB turned towards hematoxylin, both staying in their plane."""
    dab, blue = np.array(vectors.dab), np.array(vectors.hematoxylin)
    across = blue - (blue @ dab) * dab
    angle = np.radians(degrees)
    r, g, b = np.cos(angle) * dab + np.sin(angle) * across / np.linalg.norm(across)
    return replace(vectors, dab=(float(r), float(g), float(b)))


def _fields(tiles: Mapping[str, Tile], axes: "Sequence[Axes]") -> None:
    for (name, tile), ax in zip(tiles.items(), axes, strict=True):
        plots.field(tile.pixels, ax, mpp=tile.mpp, title=name)
        ax.images[0].set_interpolation("nearest")


def _basis(
    od: np.ndarray, colours: np.ndarray, vectors: StainVectors, maps: StainMaps, axes: "Sequence[Axes]"
) -> None:
    draw.od_plane(od, colours, vectors, axes[0], title="pixels and vectors")
    draw.stain_map(maps.hematoxylin, axes[1], colours="Blues", title="hematoxylin, OD 0 to 0.6")
    draw.stain_map(maps.dab, axes[2], line=WEAK_OD, title=f"DAB, grey below OD {WEAK_OD:.2f}")
