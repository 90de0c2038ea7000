"""A reader's corrections put on the cell table: classes and kinds by id, compartments by regions drawn.

A corrected cell has the grade source ``reader`` and a class alone: its intensity is not known any more.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import RegionError
from her2kit.exchange.cell_text import feature_id
from her2kit.exchange.corrections import NOT_EVALUABLE, Corrections
from her2kit.exchange.geojson import Region
from her2kit.regions.compartments import compartments_of, invasive_regions


def with_words(
    cells: pd.DataFrame, corrections: Corrections, slide_id: str, path: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the cells with the reader's words, and how many of which kind changed."""
    row_of = {feature_id(slide_id, c): i for i, c in enumerate(cells["cell_id"].tolist())}
    strange = [key for key in corrections.cells if key not in row_of]
    if strange:
        raise RegionError(
            f"{path}: {len(strange):,} of its {len(corrections.cells):,} cells are not on slide {slide_id} "
            f"(the first: {strange[0]}); edit the cells.geojson of this slide"
        )
    out = {
        n: cells[n].astype(object).to_numpy(copy=True)
        for n in ("cell_class", "intensity", "cell_type", "reason")
    }
    source, usable = (
        cells["grade_source"].astype(object).to_numpy(copy=True),
        cells["evaluable"].to_numpy(copy=True),
    )
    changed = {"class": 0, "not_evaluable": 0, "type": 0}
    for key, edit in corrections.cells.items():
        i = row_of[key]
        now = out["cell_class"][i] if usable[i] and isinstance(out["cell_class"][i], str) else NOT_EVALUABLE
        if edit.cell_class is not None and edit.cell_class != now:
            refused = edit.cell_class == NOT_EVALUABLE
            changed["not_evaluable" if refused else "class"] += 1
            out["cell_class"][i] = None if refused else edit.cell_class
            out["intensity"][i], source[i], usable[i] = None, "reader", not refused
            out["reason"][i] = out["reason"][i] if refused else None
        if edit.cell_type is not None and edit.cell_type != out["cell_type"][i]:
            changed["type"] += 1
            out["cell_type"][i] = edit.cell_type
    columns = {n: pd.Series(v, index=cells.index).astype(cells[n].dtype) for n, v in out.items()}
    columns["grade_source"] = pd.Series(source, index=cells.index).astype(cells["grade_source"].dtype)
    return cells.assign(**columns, evaluable=usable), changed


def with_regions(
    cells: pd.DataFrame, regions: Sequence[Region], known: bool, path: Path
) -> tuple[pd.DataFrame, bool]:
    """Return the cells with the compartments that were drawn, and whether the tumour is known."""
    if not regions:
        return cells, known
    found = compartments_of(cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy(), regions)
    if not invasive_regions(regions):
        if not known:
            names = ", ".join(sorted({r.name for r in regions}))
            raise RegionError(
                f"{path}: draws no invasive tumour, only {names}; draw the tumour to score too ('Tumor')"
            )
        found = np.where(found == "unknown", cells["compartment"].astype(object), found)
    return cells.assign(
        compartment=pd.Series(found, index=cells.index).astype(cells["compartment"].dtype)
    ), True


def in_words(changed: Mapping[str, int], regions: Sequence[Region]) -> str:
    """Return what was corrected, in a sentence."""
    names = {
        "class": "given another class",
        "not_evaluable": "called not evaluable",
        "type": "called another kind",
    }
    parts = [f"{n:,} {'cell' if n == 1 else 'cells'} {names[k]}" for k, n in changed.items() if n]
    if regions:
        parts.append(f"{len(regions)} {'region' if len(regions) == 1 else 'regions'} drawn")
    return f"{', '.join(parts)}. Both readings are kept."
