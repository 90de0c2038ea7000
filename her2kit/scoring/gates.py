"""The gates: what is checked before cells are looked for, and after. Each says what to do next.

Before: resolution, tissue, black or blank, grey, noise, focus, wrong stain, nuclear stain.
After: no cell in the tumour regions, too few cells, missing cells, control, nuclear pattern, cytoplasmic
pattern. A gate that blocks names the one thing that is wrong; checks that it makes meaningless are left out.
Thresholds come from real pictures (seven HER2 cores of
one laboratory, six Ki67 and five H&E pictures); what was measured on them stands beside each.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from her2kit.scoring import signature
from her2kit.scoring.case import Case
from her2kit.scoring.counts import counted, evaluable
from her2kit.scoring.gate import Gate
from her2kit.scoring.guideline import CONTROL, Guideline, Policies, guideline_of, missing_gate

PLAUSIBLE_MPP = (0.05, 20.0)
"""Micrometres per pixel that a scanned slide can have: 100x oil to an overview."""
CAUTION_MPP, COARSEST_MPP = 0.30, 0.60
"""A 1+ membrane is .64 +- .10 um wide (Scheel et al. 2018, PMC5848460): from .30 on it is hardly two pixels,
beyond
.60 it is under one, and 0 and 1+ cannot be told apart."""
DARK_LEVEL, DARK_SHARE = 50, 0.5
"""Grey level and share of pixels from which a picture is black: no light, or fluorescence."""
BLANK_LEVEL, BLANK_SHARE = 180, 0.98
"""Grey level and share of pixels from which an overview without tissue is blank glass."""
LEAST_COLOUR = 6.0
"""Grey levels between channels that the most colourful hundredth of a field reaches: grey
pictures 0, the palest HER2 core 23."""
NOISE, SOME_NOISE = 12.0, 6.0
"""Grey levels of noise that hide a faint membrane, and from which to say so. Scanned slides .4-1.5, an
enlarged
picture 4.7, pure noise 50."""
BLURRED, SOFT = 0.22, 0.33
"""Sharpness below which a field is out of focus, or soft. HER2 cores: fields .69 and more, .5-.7 when blurred
by
0.5 um, .23-.32 by 1 um, .15-.19 by 1.5 um. Scanners that do not sharpen (Ki67): fields .34 and more."""
PINK, SOME_PINK = 0.15, 0.05
"""Share of the stain that is pink. Five H&E pictures: .26 (pale lilac), .61-1.0. HER2: below .002, with a
white
point off by 3 grey levels too. Ki67: at most .08 (purple-brown nuclei)."""
BLOBS, LEAST_BROWN = 0.35, 0.005
"""Share of the brown area in solid blobs of nuclear size, asked where enough tissue is brown. Six Ki67
pictures:
.49-.93; HER2 1+ to 3+: at most .12, and .27 when blurred by 1 um."""
NUCLEAR, SOME_NUCLEAR = 0.30, 0.10
"""Share of stained cells that are darker inside the nucleus than along the membrane. With a detector that
keeps
brown nuclei: Ki67 .10-.43, HER2 at most .06; with the one for membrane markers: HER2 .00."""
NUCLEAR_OD, STAINED_OD = 0.15, 0.10
"""DAB OD of a stained nucleus and of a stained membrane: unstained cores reach .06 and .10."""
LEAST_RATIO = 2.2
"""Median of membrane over cytoplasm in stained cells: 1.7 with cytoplasmic stain, 2.9-4.0 in HER2 2+ and
3+."""
HER2_WORDS = ("her2", "erbb2", "cerbb2", "ihc", "hdab")
"""How a HER2 slide's stain may be called, letters and digits alone; what follows does not matter."""
LEAST_TUMOUR_MM2 = 0.02
"""About 100 tumour cells: less may as well be an error of the map."""
LEAST_STAINED = 30
"""Stained cells that the two patterns are judged on."""
_BLACK = "The picture is black: give a bright-field scan, not fluorescence or an empty channel."


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
        return _without_tissue(overview)
    gates = [Gate("tissue", "ok", float(tissue_area_mm2), f"{tissue_area_mm2:.2f} mm2 of tissue.")]
    if white_warning:
        gates.append(Gate("white_point", "caution", None, f"The white point is doubtful: {white_warning}."))
    dark = float(np.median([signature.dark_share(s, below=DARK_LEVEL) for s in samples]))
    if dark > DARK_SHARE:
        return [*gates, Gate("black", "block", dark, _BLACK)]
    colour = max(signature.colourfulness(s) for s in samples)
    if colour < LEAST_COLOUR:
        words = "The picture is grey: stain is told apart by colour, so give the picture in colour."
        return [*gates, Gate("grey", "block", colour, words)]
    noise = _noise(float(np.median([signature.noise_level(s) for s in samples])))
    gates.append(noise)
    if noise.level == "block":
        return gates
    sharp = np.array([signature.sharpness(s, mpp=mpp) for s in samples])
    focus = _focus(float(np.median(sharp)), float(np.mean(sharp < BLURRED)))
    stain = _stain(signature.pink_share(samples, white, mpp=mpp))
    gates += [focus, stain]
    if "block" in (focus.level, stain.level):
        return gates
    return [*gates, _nuclear_stain(*signature.solid_brown(samples, white, mpp=mpp))]


def cell_gates(
    cells: pd.DataFrame,
    guideline: str | Guideline,
    *,
    policies: Policies | None = None,
    control: str = "unknown",
    mpp: float | None = None,
    tumour_known: bool | None = None,
) -> list[Gate]:
    """Check whether the cells that were found carry a score.

    Parameters
    ----------
    cells
        The cell table, graded for the guideline.
    guideline, policies, mpp, tumour_known
        As in `guideline.slide_score`.
    control
        A word of `guideline.CONTROL`.

    Returns
    -------
    list of Gate

    Raises
    ------
    ValueError
        If a word is not known or the table cannot be used with the guideline.
    """
    if control not in CONTROL:
        raise ValueError(f"control={control!r} is not known; use one of {', '.join(CONTROL)}")
    policies = policies or Policies()
    case = Case.of(cells, guideline_of(guideline), policies, mpp=mpp, tumour_known=tumour_known)
    if case.tumour_known and len(cells) and not (cells["compartment"] == "invasive").any():
        return [_nothing_inside(len(cells)), _control(control)]
    gates = [_enough_cells(case), _control(control)]
    gates.append(missing_gate(cells, guideline, policies=policies, mpp=mpp, tumour_known=tumour_known))
    chosen = cells[counted(cells, tumour_known=bool(case.tumour_known)) & evaluable(cells)]
    return [*gates, _nuclear_pattern(chosen), _cytoplasmic_pattern(chosen)]


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


def _without_tissue(overview: np.ndarray | None) -> list[Gate]:
    if overview is not None:
        dark = signature.dark_share(overview, below=DARK_LEVEL)
        if dark > DARK_SHARE:
            return [Gate("black", "block", dark, _BLACK)]
        bright = signature.bright_share(overview, above=BLANK_LEVEL)
        if bright > BLANK_SHARE:
            words = (
                "The slide is blank glass: check that this is the right file, and that the scan caught "
                "the tissue."
            )
            return [Gate("blank", "block", bright, words)]
    words = (
        "No tissue was found: check the slide's picture; very pale tissue may need a white point of its own."
    )
    return [Gate("no_tissue", "block", 0.0, words)]


def _noise(level: float) -> Gate:
    if level >= NOISE:
        return Gate(
            "noise", "block", level, f"Noise of {level:.0f} grey levels hides the stain: give a clean scan."
        )
    if level >= SOME_NOISE:
        words = (
            f"Noise of {level:.0f} grey levels: faint stain may be missed or made up. Scan again if you can."
        )
        return Gate("noise", "caution", level, words)
    return Gate("noise", "ok", level, f"Noise of {level:.1f} grey levels.")


def _focus(middle: float, blurred: float) -> Gate:
    if middle < BLURRED:
        words = f"Out of focus: fine detail has {middle:.2f} times the contrast of coarse detail. Scan again."
        return Gate("focus", "block", middle, words)
    if middle < SOFT or blurred > 0.1:
        words = f"The picture is soft, or {blurred:.0%} of the fields are blurred: faint stain may be missed."
        return Gate("focus", "caution", middle, f"{words} Scan again if you can.")
    return Gate("focus", "ok", middle, "The picture is in focus.")


def _stain(pink: float) -> Gate:
    if pink >= PINK:
        words = (
            f"{pink:.0%} of the stain is pink, as in H&E; HER2 is read from a slide stained with "
            f"hematoxylin and DAB."
        )
        return Gate("wrong_stain", "block", pink, f"{words} Give the IHC slide.")
    if pink >= SOME_PINK:
        words = f"{pink:.0%} of the stain is pink, which is neither hematoxylin nor DAB: check the picture."
        return Gate("wrong_stain", "caution", pink, words)
    return Gate("wrong_stain", "ok", pink, "The colours are those of hematoxylin and DAB.")


def _nuclear_stain(brown: float, blobs: float) -> Gate:
    if brown < LEAST_BROWN:
        words = "Too little dark brown stain to tell whether it lies in nuclei or along membranes."
        return Gate("nuclear_stain", "ok", None, words)
    if blobs >= BLOBS:
        words = (
            f"{blobs:.0%} of the brown stain lies in solid round nuclei, as with Ki67, ER or PR: give "
            f"the HER2 slide."
        )
        return Gate("nuclear_stain", "block", blobs, words)
    return Gate(
        "nuclear_stain", "ok", blobs, f"{blobs:.0%} of the brown stain lies in solid blobs of nuclear size."
    )


def _nothing_inside(n: int) -> Gate:
    words = (
        f"None of the slide's {n:,} cells lies in the tumour regions: check that they were drawn on this "
        "slide, in level-0 pixels and not in micrometres."
    )
    return Gate("tumour_region", "block", 0.0, words)


def _enough_cells(case: Case) -> Gate:
    n, least = case.counts.n, case.min_cells
    if n < least:
        words = f"{n} tumour cells could be evaluated, {least} are needed: "
        words += (
            "draw a larger tumour region, in level-0 pixels."
            if case.tumour_known
            else "score a larger area or draw the tumour."
        )
        return Gate("cells", "block", float(n), words)
    if case.guideline.rules and n < case.policies.caution_cells:
        words = f"Only {n} tumour cells could be evaluated: one more or less may change the score."
        return Gate("cells", "caution", float(n), words)
    return Gate("cells", "ok", float(n), f"{n:,} tumour cells could be evaluated.")


def _control(control: str) -> Gate:
    if control == "failed":
        return Gate("control", "block", control, "The control tissue failed: stain the case again.")
    if control == "unknown":
        return Gate(
            "control", "caution", control, "Control not documented: say --control valid once it was checked."
        )
    return Gate("control", "ok", control, "The control tissue is valid.")


def _nuclear_pattern(cells: pd.DataFrame) -> Gate:
    nucleus, membrane = (cells[c].to_numpy(np.float64) for c in ("nuclear_dab_od", "dab_od"))
    stained = (nucleus >= NUCLEAR_OD) | (membrane >= STAINED_OD)
    n = int(stained.sum())
    if n < LEAST_STAINED:
        return Gate("nuclear_pattern", "ok", None, f"{n} stained cells are too few to tell a pattern.")
    share = float(np.mean((nucleus >= NUCLEAR_OD) & (nucleus > membrane), where=stained))
    words = f"{share:.0%} of the stained cells are darker in the nucleus than along the membrane"
    if share >= NUCLEAR:
        return Gate(
            "nuclear_pattern", "block", share, f"{words}: this is no membrane stain; give the HER2 slide."
        )
    if share >= SOME_NUCLEAR:
        return Gate("nuclear_pattern", "caution", share, f"{words}: look at the overlay.")
    return Gate("nuclear_pattern", "ok", share, f"{words}.")


def _cytoplasmic_pattern(cells: pd.DataFrame) -> Gate:
    ratio = cells.loc[(cells["cell_class"] != "0") & cells["membrane_ratio"].notna(), "membrane_ratio"]
    if len(ratio) < LEAST_STAINED:
        return Gate(
            "cytoplasmic_pattern", "ok", None, f"{len(ratio)} stained cells are too few to tell a pattern."
        )
    middle = float(ratio.median())
    words = f"In stained cells the membrane is {middle:.1f} times as dark as the cytoplasm"
    if middle < LEAST_RATIO:
        words = (
            f"{words}; below {LEAST_RATIO} much of the stain is cytoplasmic, which does not count: look "
            f"at the overlay."
        )
        return Gate("cytoplasmic_pattern", "caution", middle, words)
    return Gate("cytoplasmic_pattern", "ok", middle, f"{words}.")
