"""What is asked of one tile: tissue, focus, ink, fold, bubbles, stain too pale or too dark; and of all tiles.

A tile that fails does not block its slide: `over_tiles` says on how many of them what was seen. Thresholds
come from seven HER2 cores of one laboratory and from phantoms, clean and spoiled.
"""

from collections.abc import Sequence

import numpy as np

from her2kit.scoring.artefacts import Colours, colours, cut_off_share, folded_share
from her2kit.scoring.gate import Gate
from her2kit.scoring.scan_gates import BLURRED, SOFT
from her2kit.scoring.signature import sharpness
from her2kit.scoring.stain_gates import FADED

LEAST_TISSUE = 0.02
"""Share of a tile: less is blank."""
PEN = 0.02
"""Share of the stained area with a colour of ink; cores and clean phantoms 0."""
FOLD = 0.02
"""Share of the tile 2.5 times as dense as the slide's tissue; cores at most .003, clean phantoms .008."""
BUBBLE = 0.003
"""Share of the tile that is dark and grey; cores at most .0005, clean phantoms .0004."""
CUT_OFF = 0.01
"""Share of the tile that is black in a channel; a 3+ core .0008, an overstained phantom .002."""
MANY = 0.10
"""Share of tiles from which stain that is cut off is said: a few dark cells are in every 3+ slide."""


def tile_gates(
    pixels: np.ndarray,
    white: tuple[float, float, float],
    *,
    mpp: float,
    red_od: float | None = None,
    seen: Colours | None = None,
    sharp: float | None = None,
) -> list[Gate]:
    """Check one tile; ``block`` means that nothing can be read from it.

    Parameters
    ----------
    pixels
        uint8 (h, w, 3), RGB, raw.
    white
        Grey level of glass in R, G, B.
    mpp
        Micrometres per pixel.
    red_od
        Median red OD of the slide's tissue, which a fold is held against; None: the tile's own.
    seen, sharp
        `artefacts.colours` and `signature.sharpness` of the tile, where they are known.

    Returns
    -------
    list of Gate
        ``blank``, ``blur``, ``pen``, ``fold``, ``bubble``, ``faded``, ``saturation``; the first alone where
        it blocks.
    """
    seen = seen or colours(pixels, white, mpp=mpp)
    if seen.tissue < LEAST_TISSUE:
        return [Gate("blank", "block", seen.tissue, "The tile holds no tissue.")]
    sharp = sharpness(pixels, mpp=mpp) if sharp is None else sharp
    dense = folded_share(seen, red_od=seen.red_od if red_od is None else red_od)
    dark = cut_off_share(pixels)
    blur = "block" if sharp < BLURRED else "caution" if sharp < SOFT else "ok"
    return [
        Gate("blank", "ok", seen.tissue, f"{seen.tissue:.0%} of the tile is tissue."),
        Gate("blur", blur, sharp, f"Fine detail has {sharp:.2f} times the contrast of coarse detail."),
        _said("pen", seen.foreign, PEN, f"{seen.foreign:.1%} of the stain has a colour of ink."),
        _said("fold", dense, FOLD, f"{dense:.1%} of the tile is far denser than the slide's tissue."),
        _said("bubble", seen.grey, BUBBLE, f"{seen.grey:.1%} of the tile is dark and grey."),
        Gate(
            "faded", "caution" if seen.depth < FADED else "ok", seen.depth,
            f"The stain reaches an OD sum of {seen.depth:.2f}.",
        ),
        _said("saturation", dark, CUT_OFF, f"{dark:.1%} of the tile is black in a channel."),
    ]  # fmt: skip


SLIDE_WORDS = {
    "pen": "show ink: draw a region without it",
    "fold": "hold a fold or crushed tissue, where two layers lie over each other: draw a region without it",
    "bubble": "hold dark grey lines or specks (rims of bubbles, dust, black ink): look at the overlay there",
    "saturation": "are so dark that more stain would not show: intensity is cut off there",
}
"""What is said of a slide on some of whose tiles a check spoke. Blur and fading are asked of the whole."""


def over_tiles(tiles: Sequence[Sequence[Gate]]) -> list[Gate]:
    """Return the slide's gates from those of its tiles: how many spoke, as a share of 0..1."""
    found = []
    for name, words in SLIDE_WORDS.items():
        asked = [g for gates in tiles for g in gates if g.name == name]
        spoke = sum(g.level != "ok" for g in asked)
        share = spoke / len(asked) if asked else 0.0
        if spoke and (name != "saturation" or share >= MANY):
            found.append(Gate(name, "caution", share, f"{spoke} of {len(asked)} fields {words}."))
        else:
            found.append(Gate(name, "ok", share, f"{spoke} of {len(asked)} fields spoke of it."))
    return found


def _said(name: str, value: float, least: float, words: str) -> Gate:
    return Gate(name, "caution" if value >= least else "ok", value, words)
