"""What is asked of a whole slide: its resolution, its stated stain, tissue at all, tumour on its map."""

import numpy as np

from her2kit.scoring import signature
from her2kit.scoring.gate import Gate

PLAUSIBLE_MPP = (0.05, 20.0)
"""Micrometres per pixel that a scanned slide can have: 100x oil to an overview."""
CAUTION_MPP, COARSEST_MPP = 0.30, 0.60
"""A 1+ membrane is .64 +- .10 um wide (Scheel et al. 2018, PMC5848460): from .30 on it is hardly two pixels,
beyond .60 it is under one, and 0 and 1+ cannot be told apart."""
DARK_LEVEL, DARK_SHARE = 50, 0.5
"""Grey level and share of pixels from which a picture is black: no light, or fluorescence."""
BLANK_LEVEL, BLANK_SHARE = 180, 0.98
"""Grey level and share of pixels from which an overview without tissue is blank glass."""
HER2_WORDS = ("her2", "erbb2", "cerbb2", "ihc", "hdab")
"""How a HER2 slide's stain may be called, letters and digits alone; what follows does not matter."""
LEAST_TUMOUR_MM2 = 0.02
"""About 100 tumour cells: less may as well be an error of the map."""
BLACK = "The picture is black: give a bright-field scan, not fluorescence or an empty channel."


def mpp_gate(mpp: float | None) -> Gate:
    """Check whether the resolution is known, can be true, and shows membranes.

    Parameters
    ----------
    mpp
        Micrometres per pixel at level 0, or None.
    """
    if mpp is None:
        return Gate("mpp", "block", None, "The file holds no mpp: give --mpp (0.25 is usual at 40x).")
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        words = f"An mpp of {mpp:g} cannot be true: give the right one with --mpp (0.25 is usual at 40x)."
        return Gate("mpp", "block", float(mpp), words)
    if mpp > COARSEST_MPP:
        words = f"At {mpp:g} um per pixel a faint membrane (0.64 um) is under one pixel: scan at 20x or more."
        return Gate("mpp", "block", float(mpp), words)
    if mpp > CAUTION_MPP:
        words = (
            f"At {mpp:g} um per pixel faint membranes (0.64 um) are hardly sampled: 0 and 1+ may be confused."
        )
        return Gate("mpp", "caution", float(mpp), f"{words} Scan at 40x if you can.")
    return Gate("mpp", "ok", float(mpp), f"{mpp:g} um per pixel shows faint membranes (0.64 um).")


def stain_gate(stain: str) -> Gate | None:
    """Refuse a slide that is known to be stained for something else than HER2; None for HER2.

    Parameters
    ----------
    stain
        What its manifest says.
    """
    word = "".join(c for c in stain.lower() if c.isalnum())
    if word.startswith(HER2_WORDS):
        return None
    words = f"The slide is stained for {stain}, not for HER2: no HER2 score can be read from it."
    if word == "pdl1":
        words += " Run her2kit pdl1 for TPS, CPS and TAP."
    else:
        words += " Write her2 in the manifest's column stain, or pass --stain her2, if that is wrong."
    return Gate("stain", "block", stain, words)


def tumour_map_gate(tumour_mm2: float) -> Gate:
    """Check whether a mapped slide holds invasive tumour to score.

    Parameters
    ----------
    tumour_mm2
        Area that the map calls invasive tumour.
    """
    if tumour_mm2 < LEAST_TUMOUR_MM2:
        words = (
            f"The tissue map shows {tumour_mm2:.3f} mm2 of invasive tumour, {LEAST_TUMOUR_MM2} is needed: "
            "look at the map, and draw the tumour (--tumour FILE) if it is there."
        )
        return Gate("tumour_map", "block", tumour_mm2, words)
    words = (
        f"A model that has learnt from synthetic slides alone says which {tumour_mm2:.2f} mm2 are invasive "
        "tumour: look at the map, or draw the tumour (--tumour FILE)."
    )
    return Gate("tumour_map", "caution", tumour_mm2, words)


def no_tissue_gate(overview: np.ndarray | None) -> Gate:
    """Say why no tissue was found: a black picture, blank glass, or something else.

    Parameters
    ----------
    overview
        The whole slide, small, uint8 (h, w, 3), or None.
    """
    if overview is not None:
        dark = signature.dark_share(overview, below=DARK_LEVEL)
        if dark > DARK_SHARE:
            return Gate("black", "block", dark, BLACK)
        bright = signature.bright_share(overview, above=BLANK_LEVEL)
        if bright > BLANK_SHARE:
            words = (
                "The slide is blank glass: check that this is the right file, and that the scan caught "
                "the tissue."
            )
            return Gate("blank", "block", bright, words)
    words = (
        "No tissue was found: check the slide's picture; very pale tissue may need a white point of its own."
    )
    return Gate("no_tissue", "block", 0.0, words)
