"""Is the stain the same all over? Scores of squares and of tumour components, hot spot, and what they say.

Regions are squares of a grid, and components of tumour: cells whose surroundings touch. Each is scored by the
guideline's own rules as if it were the slide; with few cells that is a description, not a score. Takes the
graded cell table, draws nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import label

from her2kit.cells.table import CLASSES
from her2kit.scoring.counts import Counts, chain_levels, counted, evaluable
from her2kit.scoring.evenness import contiguity, entropies, morans_i
from her2kit.scoring.guideline import Guideline, Policies, guideline_of
from her2kit.scoring.rules import decide

SQUARE_UM = 500.0
"""Side of a square of the grid: about a field of a 40x objective (0.55 mm across)."""
LEAST_SQUARES, SMALLEST_UM = 12, 125.0
"""Where fewer squares hold enough cells, as on a core, the side is halved, down to this."""
LEAST_CELLS = 50
"""Regions with fewer counted cells are not described: their shares are mostly chance."""
TOUCH_UM = 50.0
"""Tumour cells belong to one component where squares of this side that hold them touch, corners included."""
COLUMNS = (
    *("region", "kind", "x_px0", "y_px0", "width_px0", "height_px0", "n_cells"),
    *(f"percent_{c}" for c in CLASSES),
    *("h_score_membrane_class", "score"),
)


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """What differs over a slide."""

    record: dict[str, Any]
    """The ``heterogeneity`` entry of ``score.json``."""
    regions: pd.DataFrame
    """One row a region with enough cells, columns `COLUMNS`; squares by place, then components by size."""


def heterogeneity(
    cells: pd.DataFrame,
    guideline: str | Guideline,
    *,
    mpp: float,
    tumour_known: bool,
    policies: Policies | None = None,
    square_um: float | None = None,
) -> Heterogeneity:
    """Score a slide region by region, and say how much regions differ.

    Parameters
    ----------
    cells
        The cell table, graded for the guideline.
    mpp
        Micrometres per level-0 pixel.
    tumour_known, policies
        As in `guideline.slide_score`.
    square_um
        Side of a square of the grid; None: `SQUARE_UM`, halved on small slides.

    Returns
    -------
    Heterogeneity
        Its record: ``square_um``, ``squares``, ``components`` and how many of each have which score;
        ``hot_spot`` and ``cold_spot`` (region, score, H-score; None without squares); ``h_score_range`` (5th
        and 95th percentile of the squares); ``entropy_bits`` of the slide and ``entropy_between`` (the share
        of it, 0..1, that lies between squares); ``morans_i`` and ``morans_p`` (None for fewer than 4 squares
        or equal ones); ``contiguity`` of the strongest cells; ``words``.

    Raises
    ------
    ValueError
        If `mpp` or `square_um` is not > 0.
    """
    if not mpp > 0 or not (square_um is None or square_um > 0):
        raise ValueError(f"mpp={mpp!r}, square_um={square_um!r}; pass micrometres > 0")
    guideline, policies = guideline_of(guideline), policies or Policies()
    which = counted(cells, tumour_known=tumour_known)
    levels = chain_levels(
        cells, which, organ=guideline.organ,
        complete_at=policies.complete_at, complete_faint_as=policies.complete_faint_as,
    )  # fmt: skip
    table = cells[which & evaluable(cells)]
    xy = table[["x_px0", "y_px0"]].to_numpy(np.float64)
    side = square_um or SQUARE_UM
    while True:
        place = _squares(xy, side / mpp)
        squares = _rows(xy, place, levels, guideline, policies, kind="square", side_px0=side / mpp)
        finer = len(_big_enough(_squares(xy, side / 2 / mpp)))
        if square_um or len(squares) >= LEAST_SQUARES or side / 2 < SMALLEST_UM or finer <= len(squares):
            break
        side /= 2
    parts = _rows(xy, _components(xy, TOUCH_UM / mpp), levels, guideline, policies, kind="component")
    regions = pd.concat([squares, parts], ignore_index=True)
    shares = squares[[f"percent_{c}" for c in CLASSES]].to_numpy(np.float64) / 100
    whole, between = entropies(shares, squares["n_cells"].to_numpy(np.float64))
    i, p = morans_i(
        squares[["x_px0", "y_px0"]].to_numpy(np.float64) * mpp / side,
        squares["h_score_membrane_class"].to_numpy(np.float64),
    )
    record: dict[str, Any] = {
        "square_um": side,
        "squares": _scores(squares),
        "components": _scores(parts),
        "hot_spot": _spot(squares, hot=True),
        "cold_spot": _spot(squares, hot=False),
        "h_score_range": [float(v) for v in np.percentile(squares["h_score_membrane_class"], [5, 95])]
        if len(squares)
        else None,
        "entropy_bits": whole,
        "entropy_between": between,
        "morans_i": i,
        "morans_p": p,
        "contiguity": contiguity(table, guideline, policies, mpp),
    }
    return Heterogeneity(record | {"words": _words(record)}, regions)


def _squares(xy: np.ndarray, side_px0: float) -> np.ndarray:
    """Return the square of each cell as one number; the grid starts at the slide's corner."""
    place = np.floor(xy / side_px0).astype(np.int64)
    return (
        np.unique(place[:, 1] * (1 << 31) + place[:, 0], return_inverse=True)[1] if len(xy) else place[:, 0]
    )


def _components(xy: np.ndarray, side_px0: float) -> np.ndarray:
    """Return the component of each cell, numbered."""
    if not len(xy):
        return np.zeros(0, np.int64)
    place = np.floor((xy - xy.min(axis=0)) / side_px0).astype(np.int64)
    held = np.zeros(place.max(axis=0) + 1, bool)
    held[place[:, 0], place[:, 1]] = True
    numbered, _ = label(held, structure=np.ones((3, 3)))
    return numbered[place[:, 0], place[:, 1]].astype(np.int64) - 1


def _rows(
    xy: np.ndarray,
    region_of: np.ndarray,
    levels: np.ndarray,
    guideline: Guideline,
    policies: Policies,
    *,
    kind: str,
    side_px0: float | None = None,
) -> pd.DataFrame:
    """Return a row for each region with enough cells."""
    if not len(xy):
        return pd.DataFrame({c: pd.Series(dtype=object) for c in COLUMNS})
    k, top = int(region_of.max()) + 1, 5 if guideline.organ == "breast" else 4
    of_level = np.bincount(region_of * top + levels, minlength=k * top).reshape(k, top)
    ends = [np.full((k, 2), v) for v in (np.inf, -np.inf)]
    np.minimum.at(ends[0], region_of, xy)
    np.maximum.at(ends[1], region_of, xy)
    rows = []
    for region in _big_enough(region_of):
        counts, n = _counts(of_level[region]), int(of_level[region].sum())
        low, high = ends[0][region], ends[1][region]
        if side_px0 is not None:
            low = np.floor(low / side_px0) * side_px0
            high = low + side_px0
        classes = counts.by_class
        rows.append(
            {
                "kind": kind,
                "x_px0": low[0],
                "y_px0": low[1],
                "width_px0": high[0] - low[0],
                "height_px0": high[1] - low[1],
                "n_cells": n,
                **{f"percent_{c}": 100 * classes[c] / n for c in CLASSES},
                "h_score_membrane_class": 100 * (counts.n1 + 2 * counts.n2 + 3 * counts.n3) / n,
                "score": decide(counts, guideline.rules, policies).score if guideline.rules else None,
            }
        )
    table = pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "region"])
    if kind == "component":
        table = table.sort_values(["n_cells", "x_px0"], ascending=[False, True], ignore_index=True)
    table.insert(0, "region", [f"{kind} {i + 1}" for i in range(len(table))])
    return table


def _big_enough(region_of: np.ndarray) -> np.ndarray:
    """Return the regions with enough cells."""
    return np.flatnonzero(np.bincount(region_of) >= LEAST_CELLS)


def _counts(of_level: np.ndarray) -> Counts:
    """Return the counts that a chain of levels stands for."""
    n = [int(v) for v in of_level]
    if len(n) == 4:
        return Counts(n[0], n[1], n[2], n[3], ci=n[3], cw=n[2], im=None)
    return Counts(n[0], n[1], n[2] + n[3], n[4], ci=n[4], cw=n[3], im=n[2])


def _scores(rows: pd.DataFrame) -> dict[str, int]:
    found = {c: int((rows["score"] == c).sum()) for c in CLASSES}
    return {"n": len(rows)} | (found if rows["score"].notna().any() else {})


def _spot(squares: pd.DataFrame, *, hot: bool) -> dict[str, Any] | None:
    if not len(squares):
        return None
    h = squares["h_score_membrane_class"].to_numpy(np.float64)
    row = squares.iloc[int(h.argmax() if hot else h.argmin())]
    return {
        "region": row["region"],
        "n_cells": int(row["n_cells"]),
        "score": row["score"],
        "h_score_membrane_class": float(row["h_score_membrane_class"]),
    }


def _words(record: dict[str, Any]) -> list[str]:
    """Return the same in sentences."""
    squares, hot, cold, lies = (record[k] for k in ("squares", "hot_spot", "cold_spot", "contiguity"))
    words = []
    if hot is None:
        words.append(
            f"No square of {record['square_um']:.0f} um holds {LEAST_CELLS} counted cells: too few to ask."
        )
    else:
        kinds = [f"{n} score {c}" for c, n in squares.items() if c != "n" and n]
        words.append(
            f"{squares['n']} squares of {record['square_um']:.0f} um with {LEAST_CELLS} cells or more"
            + (f": {', '.join(kinds)}." if kinds else ".")
        )
        words.append(
            f"H-score from {cold['h_score_membrane_class']:.0f} in the least stained square to "
            f"{hot['h_score_membrane_class']:.0f} in the hot spot."
        )
    if record["morans_i"] is not None:
        alike = record["morans_p"] < 0.05
        words.append(
            f"Squares beside each other are {'alike' if alike else 'no more alike than distant ones'}: "
            f"Moran's I {record['morans_i']:.2f}, p {record['morans_p']:.3f}."
        )
    if record["entropy_between"] is not None and squares["n"] > 1:
        words.append(
            f"{100 * record['entropy_between']:.0f} % of the mixture of classes lies between squares, "
            "the rest within them."
        )
    if lies["cells"]:
        words.append(
            f"Of {lies['cells']:,} of the strongest cells {100 * lies['in_largest']:.0f} % lie in one group "
            f"and {100 * lies['alone']:.0f} % alone (neighbours within {lies['neighbour_um']:g} um)."
        )
    return words
