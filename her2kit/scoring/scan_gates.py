"""What is asked of a scan, whatever it shows: noise, focus, JPEG, a resolution that is not its own."""

import numpy as np

from her2kit.scoring.gate import Gate

NOISE, SOME_NOISE = 12.0, 6.0
"""Grey levels of noise that hide a faint membrane, and from which to say so. Scanned slides .4-1.5, an
enlarged picture 4.7, pure noise 50."""
BLURRED, SOFT = 0.22, 0.33
"""Sharpness below which a field is out of focus, or soft. HER2 cores: fields .69 and more, .5-.7 when blurred
by 0.5 um, .23-.32 by 1 um, .15-.19 by 1.5 um. Scanners that do not sharpen (Ki67): fields .34 and more."""
SOME_BLURRED = 0.10
"""Share of blurred fields from which to say so."""
BLOCKY = 1.6
"""Steps on JPEG's grid over steps between. Seven HER2 cores 1.1-1.3, Ki67 fields 1.0-1.4, phantoms (quality
75-90) 1.0-1.2; at quality 10: cores 1.8-3.5, phantoms 2.0-2.6."""
BREAKS_OFF_DB = 5.3
"""Fall of the spectrum at a quarter cycle per pixel. Seven HER2 cores .5-2, the softest phantom site up to
4.4; the same enlarged twofold: 6.1-9."""


def noise_gate(level: float) -> Gate:
    """Check the noise, in grey levels (`signature.noise_level`)."""
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


def focus_gate(sharp: np.ndarray) -> Gate:
    """Check the focus, from the sharpness of each field (`signature.sharpness`), float (n,)."""
    middle, blurred = float(np.median(sharp)), float(np.mean(sharp < BLURRED))
    if middle < BLURRED:
        words = f"Out of focus: fine detail has {middle:.2f} times the contrast of coarse detail. Scan again."
        return Gate("focus", "block", middle, words)
    if middle < SOFT or blurred > SOME_BLURRED:
        some = blurred > SOME_BLURRED
        words = f"{blurred:.0%} of the fields are blurred" if some else "The picture is soft"
        words += ": faint stain may be missed. Scan again if you can."
        return Gate("focus", "caution", middle, words)
    return Gate("focus", "ok", middle, "The picture is in focus.")


def jpeg_gate(blocks: float) -> Gate:
    """Check what JPEG has left of the picture (`artefacts.blockiness`)."""
    if blocks >= BLOCKY:
        words = (
            f"Steps are {blocks:.1f} times as large on JPEG's grid as between: the picture was compressed "
            "hard, and faint membranes are gone or made up. Export it again at quality 80 or more."
        )
        return Gate("jpeg", "caution", blocks, words)
    return Gate("jpeg", "ok", blocks, "No blocks of JPEG are to be seen.")


def enlarged_gate(breaks_off_db: float) -> Gate:
    """Check whether the picture shows detail of its own resolution (`artefacts.breaks_off`).

    Told on four HER2 cores enlarged twofold by pixels, linear or cubic interpolation (5.4-10.8 dB; the cores
    themselves 0-1.6), at any JPEG quality. By Lanczos (-1.3 to 5.4) or another factor it is not.
    """
    if breaks_off_db >= BREAKS_OFF_DB:
        words = (
            "The picture holds no detail finer than twice its pixels, as one that was enlarged from 20x: the "
            "mpp says more than was scanned, and 0 and 1+ may be confused. Give the scan itself."
        )
        return Gate("enlarged", "caution", breaks_off_db, words)
    return Gate("enlarged", "ok", breaks_off_db, "The picture holds detail of its own resolution.")
