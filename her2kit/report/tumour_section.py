"""A tumour map in a slide report: laid over the slide, with the longest diameter of the largest tumour.

Shows a map that somebody drew (`her2kit.learning.tumour_map` draws one); it takes no part in the score.
"""

from typing import Any

import numpy as np

from her2kit.regions.map_features import major_axis
from her2kit.report.pictures import Pictures, at_size, data_uri, jpeg, shrunk

TUMOUR_RGB = (0, 158, 115)
"""Bluish green of Okabe and Ito: far from eosin and hematoxylin, and colour-blind readers see it."""
THRESHOLD = 0.5
"""Probability above which the map says tumour (R4)."""
_LONGEST_PX = 900
_OPACITY = 0.55


def tumour_section(pictures: Pictures) -> dict[str, Any] | None:
    """Return the painted map, the ends of the diameter in its pixels, and words; None without a map."""
    if pictures.tumour_probability is None:
        return None
    painted = paint(shrunk(pictures.overview, _LONGEST_PX), pictures.tumour_probability)
    rows, columns = pictures.tumour_probability.shape
    um_per_px = (pictures.mpp or 1.0) * pictures.size_px0[0] / columns
    axis = major_axis(pictures.tumour_probability / 255.0, um_per_px=um_per_px, threshold=THRESHOLD)
    height, width = painted.shape[:2]
    if axis.ends_px is None:
        words = f"The map calls no tissue tumour: its probability is nowhere above {THRESHOLD:g}."
    else:
        length = f"{axis.length_um / 1000:.2f} mm" if pictures.mpp else "unknown, since the slide has no mpp"
        words = f"Longest diameter of the largest tumour above a probability of {THRESHOLD:g}: {length}."
        if axis.touches_border:
            words += " It reaches the border of the slide and may go on outside: this is the least it can be."
    return {
        "picture": data_uri(jpeg(painted)),
        "width": width,
        "height": height,
        "ends": [(x * width / columns, y * height / rows) for x, y in axis.ends_px or ()],
        "words": words,
    }


def paint(picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return a picture of a slide with its tumour map laid over it, the denser the more probable.

    Parameters
    ----------
    picture
        uint8 RGB (h, w, 3), the whole slide.
    probability
        uint8 (h, w), 255 times the probability of tumour, the whole slide at any scale.
    """
    share = _OPACITY * at_size(probability, picture.shape[:2])[..., None] / 255.0
    return np.rint(picture * (1 - share) + np.array(TUMOUR_RGB, float) * share).astype(np.uint8)
