"""The tissue map in a slide report: painted over the slide, with its areas in mm2."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from her2kit.cells.table import TISSUE_COLOURS, TISSUES, TissueClass
from her2kit.report.pictures import Pictures, at_size, data_uri, jpeg, shrunk

WORDS = {"tumour": "Invasive tumour", "other": "Carcinoma in situ, normal glands, other"}
"""Names of kinds of tissue that the report spells out."""
_LONGEST_PX = 900
_OPACITY = 0.62


def tissue_section(record: Mapping[str, Any], pictures: Pictures) -> dict[str, Any] | None:
    """Return the painted map and one row a kind of tissue, the largest area first; None without a map."""
    areas = (record.get("tumour") or {}).get("areas_mm2")
    if not areas:
        return None
    tissue = {name: area for name, area in areas.items() if name != "background" and area > 0}
    total = sum(tissue.values())
    rows = [
        {
            "name": WORDS.get(name, name.capitalize()),
            "colour": TISSUE_COLOURS[TISSUES.index(name)],
            "area": f"{area:.3f}",
            "percent": f"{100 * area / total:.1f} %",
        }
        for name, area in sorted(tissue.items(), key=lambda item: -item[1])
    ]
    painted = None
    if pictures.tissue_classes is not None:
        painted = paint(shrunk(pictures.overview, _LONGEST_PX), pictures.tissue_classes)
    return {
        "picture": data_uri(jpeg(painted)) if painted is not None else "",
        "width": painted.shape[1] if painted is not None else 0,
        "height": painted.shape[0] if painted is not None else 0,
        "rows": rows,
    }


def paint(picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return a picture of a slide with its tissue map laid over it.

    Parameters
    ----------
    picture
        uint8 RGB (h, w, 3), the whole slide.
    classes
        uint8 of `TissueClass` values, the whole slide at any scale; background stays clear.
    """
    at = at_size(classes, picture.shape[:2])
    colours = np.array([list(bytes.fromhex(c[1:])) for c in TISSUE_COLOURS], float)
    share = np.where(at == TissueClass.BACKGROUND, 0.0, _OPACITY)[..., None]
    return np.rint(picture * (1 - share) + colours[at] * share).astype(np.uint8)
