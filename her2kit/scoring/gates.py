"""The gates in their order: what is asked of a slide's pictures before cells are looked for.

``slide_gates`` asks of the whole slide, ``scan_gates`` of the scan, ``stain_gates`` of the colours,
``tile_gates`` of each field, ``cell_gates`` of the cells that were found. A gate that blocks names the one
thing that is wrong; checks that it makes meaningless are left out.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from her2kit.scoring import artefacts, scan_gates, signature, stain_gates
from her2kit.scoring.cell_gates import cell_gates
from her2kit.scoring.gate import Gate
from her2kit.scoring.slide_gates import (
    BLACK,
    DARK_LEVEL,
    DARK_SHARE,
    mpp_gate,
    no_tissue_gate,
    stain_gate,
    tumour_map_gate,
)
from her2kit.scoring.tile_gates import over_tiles, tile_gates

__all__ = ["cell_gates", "mpp_gate", "picture_gates", "stain_gate", "tile_gates", "tumour_map_gate"]


def picture_gates(
    samples: Sequence[np.ndarray],
    *,
    mpp: float,
    white: tuple[float, float, float],
    tissue_area_mm2: float,
    overview: np.ndarray | None = None,
    white_warning: str | None = None,
) -> list[Gate]:
    """Check whether the pictures of a slide can be a HER2 stain that is worth measuring.

    Parameters
    ----------
    samples
        Fields of tissue, uint8 (h, w, 3), RGB, raw; a dozen of 512 px are enough.
    mpp
        Micrometres per pixel of the fields.
    white
        Grey level of glass in R, G, B.
    tissue_area_mm2
        Area of the tissue that was found.
    overview
        The whole slide, small, uint8 (h, w, 3): tells black from blank where no tissue was found.
    white_warning
        What is doubtful about the white point (``WhitePoint.warning``), or None.

    Returns
    -------
    list of Gate
        In the order of the checks.
    """
    if not len(samples) or tissue_area_mm2 <= 0:
        return [no_tissue_gate(overview)]
    gates = [Gate("tissue", "ok", float(tissue_area_mm2), f"{tissue_area_mm2:.2f} mm2 of tissue.")]
    if white_warning:
        gates.append(Gate("white_point", "caution", None, f"The white point is doubtful: {white_warning}."))
    dark = _median(signature.dark_share(s, below=DARK_LEVEL) for s in samples)
    if dark > DARK_SHARE:
        return [*gates, Gate("black", "block", dark, BLACK)]
    grey = stain_gates.grey_gate(max(signature.colourfulness(s) for s in samples))
    if grey:
        return [*gates, grey]
    gates.append(scan_gates.noise_gate(_median(signature.noise_level(s) for s in samples)))
    if gates[-1].level == "block":
        return gates
    seen = [artefacts.colours(s, white, mpp=mpp) for s in samples]
    sharp = np.array([signature.sharpness(s, mpp=mpp) for s in samples])
    gates += [
        scan_gates.focus_gate(sharp),
        stain_gates.wrong_stain_gate(signature.pink_share(samples, white, mpp=mpp)),
        stain_gates.foreign_gate(seen),
    ]
    if any(g.level == "block" for g in gates):
        return gates
    gates.append(stain_gates.nuclear_stain_gate(*signature.solid_brown(samples, white, mpp=mpp)))
    if gates[-1].level == "block":
        return gates
    red_od = float(np.nanmedian([c.red_od for c in seen] or [np.nan]))
    tiles = [
        tile_gates(pixels, white, mpp=mpp, red_od=red_od, seen=c, sharp=float(s))
        for pixels, c, s in zip(samples, seen, sharp, strict=True)
    ]
    return [
        *gates,
        stain_gates.counterstain_gate(seen),
        stain_gates.faded_gate(_median(c.depth for c in seen)),
        scan_gates.jpeg_gate(_median(artefacts.blockiness(s) for s in samples)),
        scan_gates.enlarged_gate(_median(artefacts.breaks_off(s) for s in samples)),
        *over_tiles(tiles),
    ]


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
