"""The one cell table: its columns, its vocabularies, one colour a class, the kinds of tissue. No measurement.

Coordinates are level-0 pixels (``x_px0`` to the right, ``y_px0`` down). Outlines are float32 arrays of shape
(n, 2), (x, y) in level-0 pixels, not closed (the last point differs from the first).
"""

from enum import IntEnum, StrEnum

import numpy as np
import pandas as pd


class CellClass(StrEnum):
    """Class of one cell by membrane stain (ASCO/CAP 2018 wording, or Ruschoff/Hofmann for gastric)."""

    NEGATIVE = "0"
    ONE = "1+"
    TWO = "2+"
    THREE = "3+"


class Intensity(StrEnum):
    """How strong the membrane stain is, in order."""

    NONE = "none"
    FAINT = "faint"
    WEAK = "weak"
    MODERATE = "moderate"
    INTENSE = "intense"


class CellType(StrEnum):
    """What kind of cell it is; ``tumour`` means epithelium-like where no model or reader has decided."""

    TUMOUR = "tumour"
    LYMPHOCYTE = "lymphocyte"
    MACROPHAGE = "macrophage"
    STROMAL = "stromal"
    OTHER = "other"
    UNKNOWN = "unknown"


class Compartment(StrEnum):
    """Where the cell lies. Only ``invasive`` cells count in a score once a tumour region is known."""

    INVASIVE = "invasive"
    IN_SITU = "in_situ"
    NORMAL = "normal"
    STROMA = "stroma"
    IMMUNE = "immune"
    NECROSIS = "necrosis"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a cell is not evaluable."""

    EDGE = "edge"
    BLUR = "blur"
    FOLD = "fold"
    NO_NUCLEUS = "no_nucleus"
    OVERLAP = "overlap"


class GradeSource(StrEnum):
    """Who gave the class."""

    MEMBRANE = "membrane"
    NETWORK = "network"
    READER = "reader"


CLASSES = tuple(str(c) for c in CellClass)
CLASS_COLOURS = {"0": "#3B6FB6", "1+": "#F6D04D", "2+": "#F08A24", "3+": "#C2182B"}
"""One colour a class, everywhere. Blue to red by way of yellow, told apart by the colour-blind."""
NOT_EVALUABLE_COLOUR = "#8A8A8A"


class TissueClass(IntEnum):
    """The seven kinds of tissue, numbered as MIHIC numbers them: the values of every tissue map."""

    BACKGROUND = 0
    TUMOUR = 1
    """Invasive carcinoma."""
    STROMA = 2
    IMMUNE = 3
    NECROSIS = 4
    FAT = 5
    """MIHIC's alveoli, which breast has not."""
    OTHER = 6
    """In-situ carcinoma, normal glands, and what is none of the above."""


TISSUES = tuple(c.name.lower() for c in TissueClass)
"""Their names, in order of their numbers."""
TISSUE_COLOURS = ("#F4F4F4", "#D7263D", "#4FA36B", "#2F6DB5", "#F2C14E", "#D9C9B3", "#8E6BB0")
"""One colour a kind of tissue, in order of their numbers; red, green, blue and yellow are R2's."""

# `None` stands for an empty string column value: null in the files.
COLUMNS: dict[str, str] = {
    "cell_id": "str",  # unique within the slide
    "slide_id": "str",
    "tile_id": "str",
    "x_px0": "float64",  # centre of the nucleus
    "y_px0": "float64",
    "area_um2": "float32",  # of the nucleus
    "outline": "object",  # the cell
    "nucleus_outline": "object",
    "dab_od": "float32",  # along the membrane
    "completeness": "float32",  # share of the perimeter that is stained, 0..1
    "width_um": "float32",  # of the membrane stain at half maximum; reported, never used to decide
    "membrane_ratio": "float32",  # membrane DAB over cytoplasm DAB (`cells.cytoplasm`)
    "nuclear_dab_od": "float32",  # mean DAB of the nucleus
    "intensity": "str",
    "cell_class": "str",
    "cell_type": "str",
    "compartment": "str",
    "evaluable": "bool",
    "reason": "str",
    "grade_source": "str",
    "confidence": "float32",  # 0..1
}

_VOCABULARY = {
    "cell_class": CellClass,
    "intensity": Intensity,
    "cell_type": CellType,
    "compartment": Compartment,
    "reason": Reason,
    "grade_source": GradeSource,
}


def empty_cells() -> pd.DataFrame:
    """Return a cell table without rows, with every column and its dtype."""
    return conform_cells(pd.DataFrame())


def conform_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with every column of ``COLUMNS``, in order and in its dtype.

    Missing columns are filled with null (``unknown`` for ``cell_type`` and ``compartment``, ``evaluable``
    with True, ``grade_source`` with ``membrane``). Further columns are kept behind.

    Raises
    ------
    ValueError
        If a column holds a word that its vocabulary lacks; the message names column and word.
    """
    fill = {"cell_type": "unknown", "compartment": "unknown", "evaluable": True, "grade_source": "membrane"}
    out = {}
    for name, dtype in COLUMNS.items():
        if name in cells:
            column = cells[name]
        elif dtype == "object":
            column = pd.Series([None] * len(cells), index=cells.index, dtype=object)
        else:
            missing = np.nan if dtype.startswith("float") else None
            column = pd.Series([fill.get(name, missing)] * len(cells), index=cells.index)
        out[name] = column.astype(dtype)
    for name, words in _VOCABULARY.items():
        found = set(out[name].dropna().unique())
        unknown = found - {str(w) for w in words}
        if unknown:
            raise ValueError(f"{name} holds {sorted(unknown)[0]!r}; use one of {', '.join(words)}")
    rest = {name: cells[name] for name in cells if name not in COLUMNS}
    return pd.DataFrame(out | rest).reset_index(drop=True)
