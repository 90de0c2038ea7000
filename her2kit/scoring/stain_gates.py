"""What is asked of a slide's colours: hematoxylin and DAB and nothing else, enough of them, not in nuclei.

A membrane marker other than HER2 (PD-L1, E-cadherin) has the same colours in the same place: pixels cannot
tell it, and the words of ``wrong_stain`` say so in every report. Thresholds come from real pictures (seven
HER2 cores of one laboratory, six Ki67 and five H&E pictures) and from phantoms of four sites; what was
measured stands beside each.
"""

from collections.abc import Sequence

import numpy as np

from her2kit.scoring.artefacts import Colours
from her2kit.scoring.gate import Gate

LEAST_COLOUR = 6.0
"""Grey levels between channels that the most colourful hundredth of a field reaches: grey
pictures 0, the palest HER2 core 23."""
PINK, SOME_PINK = 0.15, 0.05
"""Share of the stain that is pink. Five H&E pictures: .26 (pale lilac), .61-1.0. HER2: below .002, with a
white point off by 3 grey levels too. Ki67: at most .08 (purple-brown nuclei)."""
BLOBS, LEAST_BROWN = 0.35, 0.005
"""Share of the brown area in solid blobs of nuclear size, asked where enough tissue is brown. Six Ki67
pictures: .49-.93; HER2 1+ to 3+: at most .12, and .27 when blurred by 1 um."""
FOREIGN, SOME_FOREIGN = 0.30, 0.02
"""Share of the stained area that is neither hematoxylin nor DAB nor pink. HER2 cores and phantoms: 0; Ki67:
at most .02; drawn and real photographs: .34-.9."""
BLUE_OUT, LEAST_BLUE = -0.145, 0.005
"""Median sine of the blue contrast's angle to the plane of both stains, and the share of contrast that is
blue. HER2 cores -.077 to -.114 (shares .03-.8), phantoms of four sites -.079 to -.134; with red and blue
exchanged -.156 to -.213. Two Ki67 scans of a scanner with other colours: -.21 and -.25."""
FADED = 0.17
"""95th percentile of the OD sum of a field, median over fields. The palest of seven HER2 cores .19, the
others .22-1.2; clean phantoms .27 and more."""


def grey_gate(colour: float) -> Gate | None:
    """Refuse a picture without colour (`signature.colourfulness`); None where it has some."""
    if colour >= LEAST_COLOUR:
        return None
    words = "The picture is grey: stain is told apart by colour, so give the picture in colour."
    return Gate("grey", "block", colour, words)


def foreign_gate(fields: Sequence[Colours]) -> Gate:
    """Check for colours that neither hematoxylin nor DAB nor eosin has."""
    share = float(np.mean([f.foreign for f in fields]))
    if share >= FOREIGN:
        words = (
            f"{share:.0%} of the picture has colours that no stain of a HER2 slide has, as a photograph has: "
            "check that this is the right file."
        )
        return Gate("foreign_colour", "block", share, words)
    if share >= SOME_FOREIGN:
        words = (
            f"{share:.0%} of the stain is neither hematoxylin nor DAB: ink, or another dye. Draw a region "
            "without it."
        )
        return Gate("foreign_colour", "caution", share, words)
    return Gate("foreign_colour", "ok", share, "No colours but those of stains.")


def wrong_stain_gate(pink: float) -> Gate:
    """Check for eosin (`signature.pink_share`)."""
    if pink >= PINK:
        words = (
            f"{pink:.0%} of the stain is pink, as in H&E; HER2 is read from a slide stained with "
            f"hematoxylin and DAB."
        )
        return Gate("wrong_stain", "block", pink, f"{words} Give the IHC slide.")
    if pink >= SOME_PINK:
        words = f"{pink:.0%} of the stain is pink, which is neither hematoxylin nor DAB: check the picture."
        return Gate("wrong_stain", "caution", pink, words)
    words = (
        "The colours are those of hematoxylin and DAB. Another membrane marker in DAB, such as PD-L1, looks "
        "alike: that this is HER2 is taken from the label."
    )
    return Gate("wrong_stain", "ok", pink, words)


def counterstain_gate(fields: Sequence[Colours]) -> Gate:
    """Check whether what is blue is hematoxylin: with red and blue exchanged, it is DAB."""
    weight = np.array([f.blue_weight for f in fields])
    all_contrast = sum(f.contrast_weight for f in fields)
    if not all_contrast:
        return Gate("counterstain", "ok", None, "Too little contrast to tell the colour of nuclei.")
    share = float(weight.sum() / all_contrast)
    if share < LEAST_BLUE:
        words = (
            "Nothing blue stands out from its surroundings: the counterstain is missing, or red and blue are "
            "exchanged (BGR read as RGB). Check the picture."
        )
        return Gate("counterstain", "caution", share, words)
    out = np.array([f.blue_out for f in fields])
    middle = float(np.average(out[weight > 0], weights=weight[weight > 0]))
    if middle < BLUE_OUT:
        words = (
            "The blue of this slide is not hematoxylin's: red and blue may be exchanged (BGR read as RGB), "
            "or the scanner's colours are others. Look at the picture; DAB must be brown."
        )
        return Gate("counterstain", "caution", middle, words)
    return Gate("counterstain", "ok", middle, "What is blue has the colour of hematoxylin.")


def faded_gate(depth: float) -> Gate:
    """Check the amount of stain, from the median `Colours.depth` of the fields.

    A slide that was deep and lost half of its stain looks like one that was stained weakly, and passes.
    """
    if depth < FADED:
        words = (
            f"The picture is pale (OD sum {depth:.2f} at most): the stain has faded or was never strong, and "
            "faint membranes may be missed. Compare with the control, or cut and stain again."
        )
        return Gate("faded", "caution", depth, words)
    return Gate("faded", "ok", depth, f"The stain reaches an OD sum of {depth:.2f}.")


def nuclear_stain_gate(brown: float, blobs: float) -> Gate:
    """Check whether the brown stain lies in nuclei (`signature.solid_brown`)."""
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
