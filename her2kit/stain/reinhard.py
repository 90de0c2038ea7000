"""Colours in CIE LAB and back, on the slide's own white, for Reinhard's transfer of mean and spread.

The white point of the slide, not of the monitor, is L* = 100, so that glass has one place whatever the
scanner. Fits and transfers nothing.

References
----------
Reinhard E et al. Color transfer between images. IEEE Comput Graph Appl 2001;21(5):34-41.
"""

import cv2
import numpy as np


def to_lab(pixels: np.ndarray, white: tuple[float, float, float]) -> np.ndarray:
    """Return L*, a*, b* of colours, uint8 (n, 3) to float32 (n, 3); brighter than glass counts as glass."""
    share = np.minimum(pixels / np.asarray(white, np.float32), 1).astype(np.float32)
    return cv2.cvtColor(share[None], cv2.COLOR_RGB2LAB)[0]


def from_lab(lab: np.ndarray, white: tuple[float, float, float]) -> np.ndarray:
    """Return grey levels, float32 (n, 3) to float32 (n, 3), not clipped to 255."""
    share = cv2.cvtColor(np.asarray(lab, np.float32)[None], cv2.COLOR_LAB2RGB)[0]
    return share * np.asarray(white, np.float32)
