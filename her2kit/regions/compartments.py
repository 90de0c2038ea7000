"""Which compartment each cell lies in, from drawn or mapped regions. Draws no region itself.

Region names are matched without case. A region without a name counts as invasive tumour: somebody who draws
one nameless outline means "score this".
"""

from collections.abc import Sequence

import numpy as np

from her2kit.cells.table import Compartment, TissueClass
from her2kit.exchange.geojson import Region
from her2kit.regions.tissue_map import TissueMap

NAMES: dict[str, Compartment] = {
    "unnamed": Compartment.INVASIVE,
    "invasive": Compartment.INVASIVE,
    "tumour": Compartment.INVASIVE,
    "tumor": Compartment.INVASIVE,
    "in_situ": Compartment.IN_SITU,
    "in situ": Compartment.IN_SITU,
    "dcis": Compartment.IN_SITU,
    "normal": Compartment.NORMAL,
    "stroma": Compartment.STROMA,
    "immune": Compartment.IMMUNE,
    "immune cells": Compartment.IMMUNE,
    "necrosis": Compartment.NECROSIS,
}
"""Region names that are understood, in lower case. "Tumor" is QuPath's own default class, and what follows a
colon is its derived class: "Tumor: Positive" is tumour."""

_OF_TISSUE = {
    TissueClass.TUMOUR: Compartment.INVASIVE,
    TissueClass.STROMA: Compartment.STROMA,
    TissueClass.IMMUNE: Compartment.IMMUNE,
    TissueClass.NECROSIS: Compartment.NECROSIS,
}
"""A map's other tissue is carcinoma in situ or a normal gland; which of them it does not say."""


def _compartment(name: str) -> Compartment | None:
    return NAMES.get(name.split(":")[0].strip().lower())


def invasive_regions(regions: Sequence[Region]) -> list[Region]:
    """Return the regions that hold invasive tumour."""
    return [r for r in regions if _compartment(r.name) is Compartment.INVASIVE]


def compartments_of(x_px0: np.ndarray, y_px0: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """Return the compartment of each point, as words.

    Parameters
    ----------
    x_px0, y_px0
        Points, float, shape (n,), level-0 pixels.
    regions
        Where two overlap, the later one in the order invasive, normal, in situ, stroma, immune, necrosis
        wins: a carcinoma in situ drawn inside a tumour outline is cut out of it.

    Returns
    -------
    object array of shape (n,): ``unknown`` where no region with an understood name holds the point.
    """
    import shapely

    words = np.full(len(x_px0), str(Compartment.UNKNOWN), dtype=object)
    order = (Compartment.INVASIVE, Compartment.NORMAL, Compartment.IN_SITU, Compartment.STROMA)
    for compartment in (*order, Compartment.IMMUNE, Compartment.NECROSIS):
        for region in regions:
            if _compartment(region.name) is compartment:
                shapely.prepare(region.geometry)
                words[shapely.contains_xy(region.geometry, x_px0, y_px0)] = str(compartment)
    return words


def compartments_on(tissue_map: TissueMap, x_px0: np.ndarray, y_px0: np.ndarray) -> np.ndarray:
    """Return the compartment of each point on a tissue map, as words; object array of shape (n,)."""
    words = [str(_OF_TISSUE.get(tissue, Compartment.UNKNOWN)) for tissue in TissueClass]
    return np.array(words, object)[tissue_map.at(x_px0, y_px0)]
