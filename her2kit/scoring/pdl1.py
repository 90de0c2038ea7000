"""TPS, CPS and TAP: the three PD-L1 scores, from typed cells and a tissue map. Never from a HER2 slide.

Which cell is positive is decided before (any membrane stain, partial or complete, of any strength); which
tissue is tumour too. No stain is read here. The scores are told apart by what they divide by: TPS and CPS by
viable tumour cells, TAP by the area of the tumour.

References
----------
TPS, CPS: Dako, PD-L1 IHC 22C3 pharmDx interpretation manuals (at least 100 viable tumour cells; immune
cells within the same 20x field as the tumour). TAP: Liu C. et al., Tumor Area Positivity (TAP) score of
PD-L1, Diagn Pathol 2023;18:48.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CellType, Compartment, TissueClass

MIN_TUMOUR_CELLS = 100
"""Viable tumour cells below which no PD-L1 score is given (22C3 manuals)."""
FIELD_RADIUS_UM = 550.0
"""Radius of a 20x field of field number 22: an immune cell further from all tumour cells shares no field."""
STROMA_UM = 100.0
"""How far beside a nest stroma belongs to the tumour's area: a policy, since TAP leaves it to the eye."""

_IMMUNE = (CellType.LYMPHOCYTE, CellType.MACROPHAGE)
_TUMOUR_AREA = (TissueClass.TUMOUR, TissueClass.STROMA, TissueClass.IMMUNE)


@dataclass(frozen=True, slots=True)
class Pdl1Score:
    """The three scores of one slide, unrounded, with what they were counted from."""

    status: str
    """"scored" or "not_evaluable"."""
    tps: float | None
    """Tumour proportion score, percent of tumour cells, 0..100; None where not evaluable."""
    cps: float | None
    """Combined positive score, 0..100, never below ``tps``."""
    tap: float | None
    """Tumour area positivity, percent of tumour area, 0..100; None also without a tissue map."""
    n_tumour: int
    """Viable tumour cells with a class."""
    n_positive_tumour: int
    """Those with any membrane stain."""
    n_positive_immune: int
    """Positive lymphocytes and macrophages in nests or adjacent stroma."""
    n_missing: int
    """Viable tumour cells without a class: in no count."""
    tumour_area_um2: float | None
    """Area that TAP divides by, in um2."""
    words: tuple[str, ...]
    """What was divided by what, or why there is no score."""

    def record(self) -> dict[str, Any]:
        """Return the fields as plain values, as JSON holds them."""
        return asdict(self) | {"words": list(self.words)}


def pdl1_score(
    cells: pd.DataFrame,
    *,
    stain: str,
    mpp: float,
    tissue_map: np.ndarray | None = None,
    map_um: float = 1.0,
    field_radius_um: float = FIELD_RADIUS_UM,
    stroma_um: float = STROMA_UM,
) -> Pdl1Score:
    """Score a PD-L1 slide.

    Parameters
    ----------
    cells
        The cell table; ``cell_type``, ``compartment`` and ``cell_class`` filled in. A class above "0" is
        positive. Tumour cells count where they are invasive (or nothing is known of the place).
    stain
        What the slide is stained for, as its manifest says. Pixels cannot tell PD-L1 from HER2.
    mpp
        Micrometres per level-0 pixel, > 0.
    tissue_map
        uint8 (h, w) of `TissueClass` values, its first pixel at the slide's corner; None leaves TAP out.
    map_um
        Side of a pixel of the map in um.
    field_radius_um
        Distance of an immune cell to the nearest tumour cell up to which it counts.
    stroma_um
        Distance to the nearest tumour tissue up to which stroma is tumour area.

    Raises
    ------
    ValueError
        If the slide is not stained for PD-L1, a column is missing, or no cell has a type.
    """
    check_stain(stain)
    if not (mpp > 0 and map_um > 0):
        raise ValueError(f"mpp={mpp!r}, map_um={map_um!r}; pass micrometres per pixel, > 0")
    _check(cells)
    place = cells["compartment"].to_numpy(object)
    kind = cells["cell_type"].to_numpy(object)
    classed = cells["cell_class"].notna().to_numpy()
    positive = classed & (cells["cell_class"] != "0").to_numpy()
    tumour = (kind == CellType.TUMOUR) & np.isin(place, (Compartment.INVASIVE, Compartment.UNKNOWN))
    viable = tumour & classed
    n = int(viable.sum())
    positive_tumour = viable & positive
    xy_um = cells[["x_px0", "y_px0"]].to_numpy(float) * mpp
    candidates = np.isin(kind, _IMMUNE) & positive & ~np.isin(place, (Compartment.NECROSIS,))
    immune = candidates & _near(xy_um, viable, field_radius_um)
    counts = {
        "n_tumour": n,
        "n_positive_tumour": int(positive_tumour.sum()),
        "n_positive_immune": int(immune.sum()),
        "n_missing": int((tumour & ~classed).sum()),
    }
    if n < MIN_TUMOUR_CELLS:
        words = f"{n} viable tumour cells, {MIN_TUMOUR_CELLS} are needed: score a larger area."
        return Pdl1Score("not_evaluable", None, None, None, **counts, tumour_area_um2=None, words=(words,))
    tps = 100 * counts["n_positive_tumour"] / n
    cps = min(100.0, 100 * (counts["n_positive_tumour"] + counts["n_positive_immune"]) / n)
    said = [
        f"TPS: {counts['n_positive_tumour']:,} positive of {n:,} viable tumour cells.",
        f"CPS: {counts['n_positive_immune']:,} positive immune cells within {field_radius_um:g} um of a "
        "tumour cell are added above the line, not below it.",
    ]
    tap, area_um2 = None, None
    if tissue_map is None:
        said.append("TAP: left out, since it needs a map of the tissue.")
    else:
        area = tumour_area(tissue_map, map_um=map_um, stroma_um=stroma_um)
        area_um2 = float(area.sum()) * map_um**2
        covered = _covered(cells["outline"][positive_tumour | immune], area.shape, mpp / map_um) & area
        tap = 100 * float(covered.sum()) * map_um**2 / area_um2 if area_um2 else None
        said.append(
            f"TAP: of {area_um2 / 1e6:.3g} mm2 of nests and stroma within {stroma_um:g} um of them."
            if area_um2
            else "TAP: left out, since the map holds no tumour."
        )
    return Pdl1Score("scored", tps, cps, tap, **counts, tumour_area_um2=area_um2, words=tuple(said))


def check_stain(stain: str) -> None:
    """Raise ValueError if a slide is not stained for PD-L1."""
    if stain.lower().replace("-", "") != "pdl1":
        raise ValueError(
            f"stain={stain!r}; TPS, CPS and TAP are defined for PD-L1 alone, so pass a slide whose stain is "
            "'pdl1', or score HER2 with slide_score"
        )


def tumour_area(tissue_map: np.ndarray, *, map_um: float, stroma_um: float = STROMA_UM) -> np.ndarray:
    """Return where the tumour's area lies: nests and the stroma and immune cells beside them.

    Parameters
    ----------
    tissue_map
        uint8 (h, w) of `TissueClass` values.
    map_um
        Side of its pixels in um.
    stroma_um
        Largest distance to tumour tissue.

    Returns
    -------
    numpy.ndarray
        bool (h, w); necrosis, fat, glass, glands and in-situ carcinoma are out.
    """
    from scipy.ndimage import distance_transform_edt

    if tissue_map.ndim != 2 or tissue_map.dtype != np.uint8:
        raise ValueError(
            f"tissue_map has shape {tissue_map.shape} and dtype {tissue_map.dtype}; pass uint8 (h, w)"
        )
    nests = tissue_map == TissueClass.TUMOUR
    if not nests.any():
        return nests
    near = distance_transform_edt(~nests) * map_um <= stroma_um
    return near & np.isin(tissue_map, [int(c) for c in _TUMOUR_AREA])


def _check(cells: pd.DataFrame) -> None:
    needed = ("x_px0", "y_px0", "cell_type", "cell_class", "compartment", "outline")
    missing = [name for name in needed if name not in cells]
    if missing:
        raise ValueError(f"cells lacks the column {missing[0]!r}; pass a cell table (her2kit.cells.table)")
    if len(cells) and (cells["cell_type"] == CellType.UNKNOWN).all():
        raise ValueError("cell_type is unknown for every cell; give the cells their types first")


def _near(xy_um: np.ndarray, tumour: np.ndarray, radius_um: float) -> np.ndarray:
    """Return which cells lie within ``radius_um`` of a tumour cell."""
    from scipy.spatial import KDTree

    if not tumour.any():
        return np.zeros(len(xy_um), bool)
    distance, _ = KDTree(xy_um[tumour]).query(xy_um, distance_upper_bound=np.nextafter(radius_um, np.inf))
    return np.isfinite(distance)


def _covered(outlines: Sequence[np.ndarray], shape: tuple[int, int], scale: float) -> np.ndarray:
    """Return which pixels of the map have their centre in an outline; where cells overlap, once."""
    from skimage.draw import polygon

    picture = np.zeros(shape, bool)
    for outline in outlines:
        if outline is not None:
            x, y = (np.asarray(outline, float) * scale - 0.5).T
            picture[polygon(y, x, shape)] = True
    return picture
