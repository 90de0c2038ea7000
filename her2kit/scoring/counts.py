"""The few integers that the rules read, taken from the cell table. Decides no class and no score.

Which cells count: with a tumour region, tumour cells whose compartment is ``invasive``; without one, cells
that look like epithelium (``cell_type`` is ``tumour``, decided without DAB). Cells that could not be
evaluated are missing: left out and counted, never given a class.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES, CellType, Compartment, GradeSource, Intensity

_TUMOUR_TYPES = (str(CellType.TUMOUR), str(CellType.UNKNOWN))
_MIDDLE = (str(Intensity.WEAK), str(Intensity.MODERATE))
_STRONG = (str(Intensity.MODERATE), str(Intensity.INTENSE))
_NEEDED = ("cell_class", "cell_type", "compartment", "completeness", "evaluable", "grade_source", "intensity")
INTENSITY_WEIGHT = {
    str(Intensity.NONE): 0,
    str(Intensity.FAINT): 1,
    str(Intensity.WEAK): 2,
    str(Intensity.MODERATE): 2,
    str(Intensity.INTENSE): 3,
}
"""Weights of the intensity H-score: the guideline's steps faint, weak to moderate, intense (Wolff et al.
2018)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Integer counts of the cells that a score is made of."""

    n0: int
    """Evaluable cells of class 0."""
    n1: int
    """Of class 1+."""
    n2: int
    """Of class 2+."""
    n3: int
    """Of class 3+."""
    ci: int
    """Complete and intense membrane stain."""
    cw: int
    """Complete, weak or moderate. A 2+ cell whose completeness is unknown counts here."""
    im: int | None
    """Incomplete, moderate or intense. None: unknown, as no cell has a measured completeness."""
    unsplit: int = 0
    """Cells of class 2+ whose completeness is unknown (given by a reader or a network)."""
    missing: int = 0
    """Cells that count but could not be evaluated."""
    intensity_sum: int | None = None
    """Sum of the intensity weights 0..3; None where a cell's intensity is unknown."""

    def __post_init__(self) -> None:
        for name in ("n0", "n1", "n2", "n3", "ci", "cw", "unsplit", "missing"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}={value!r}; pass a whole number of cells >= 0")
        if self.ci + self.cw + (self.im or 0) > self.any:
            raise ValueError(
                f"ci + cw + im = {self.ci + self.cw + (self.im or 0)} exceeds the {self.any} stained cells; "
                "each cell belongs to one of them at most"
            )

    @property
    def n(self) -> int:
        """Evaluable cells, the denominator."""
        return self.n0 + self.n1 + self.n2 + self.n3

    @property
    def any(self) -> int:
        """Cells with any membrane stain."""
        return self.n1 + self.n2 + self.n3

    @property
    def by_class(self) -> dict[str, int]:
        """Cells of each class, keys "0", "1+", "2+", "3+"."""
        return dict(zip(CLASSES, (self.n0, self.n1, self.n2, self.n3), strict=True))

    @classmethod
    def four_classes(cls, n0: int, n1: int, n2: int, n3: int, *, missing: int = 0) -> "Counts":
        """Make the counts of cells that have a class alone: CI = n3, CW = n2, IM unknown."""
        return cls(n0, n1, n2, n3, ci=n3, cw=n2, im=None, unsplit=n2, missing=missing)

    def with_missing_as(self, cell_class: str) -> "Counts":
        """Return the counts with every missing cell taken for class "0" or "3+"."""
        if cell_class not in ("0", "3+"):
            raise ValueError(f"cell_class={cell_class!r}; missing cells are taken for '0' or '3+'")
        top = self.missing if cell_class == "3+" else 0
        return Counts(
            self.n0 + self.missing - top, self.n1, self.n2, self.n3 + top,
            ci=self.ci + top, cw=self.cw, im=self.im, unsplit=self.unsplit,
        )  # fmt: skip


def counted(cells: pd.DataFrame, *, tumour_known: bool, all_cells: bool = False) -> np.ndarray:
    """Return which cells a score counts, evaluable or not.

    Parameters
    ----------
    cells
        The cell table (``cells.table``).
    tumour_known
        Whether a tumour region is known: then only cells of the compartment ``invasive`` count.
    all_cells
        True drops the cell type from the question: the denominator that is printed beside the score.

    Returns
    -------
    bool (n,)
    """
    n = len(cells)
    inside = (
        (cells["compartment"] == Compartment.INVASIVE).to_numpy(bool) if tumour_known else np.ones(n, bool)
    )
    if all_cells:
        return inside
    types = _TUMOUR_TYPES if tumour_known else _TUMOUR_TYPES[:1]
    return inside & cells["cell_type"].isin(types).to_numpy(bool)


def check_table(cells: pd.DataFrame) -> None:
    """Raise a ValueError that names the first column which scoring needs and the table lacks."""
    for name in (*_NEEDED, "x_px0", "y_px0"):
        if name not in cells:
            raise ValueError(f"cells has no column {name}; pass cells.table.conform_cells(cells)")


def check_grading(cells: pd.DataFrame, complete_at: float, complete_faint_as: str) -> None:
    """Raise a ValueError if measured cells were not graded by the breast scheme with these policies."""
    graded = cells[evaluable(cells)]
    known, ci, cw, im = _patterns(graded, complete_at, complete_faint_as)
    wrong = known & ((ci != (graded["cell_class"] == "3+")) | ((cw | im) != (graded["cell_class"] == "2+")))
    if wrong.any():
        first = graded[wrong].iloc[0]
        raise ValueError(
            f"{int(wrong.sum())} cells do not have the class that the breast scheme gives them (the first: "
            f"completeness {first['completeness']:.2f}, {first['intensity']}, class {first['cell_class']}); "
            f"grade "
            f"them with grade_cells(cells, scheme='breast', complete_at={complete_at:g})"
        )


def evaluable(cells: pd.DataFrame) -> np.ndarray:
    """Return bool (n,): which cells could be evaluated and have a class."""
    return cells["evaluable"].to_numpy(bool) & cells["cell_class"].notna().to_numpy(bool)


def complete_intense(cells: pd.DataFrame, *, complete_at: float) -> np.ndarray:
    """Return bool (n,): evaluable cells whose membrane stain is complete and intense."""
    _, ci, _, _ = _patterns(cells, complete_at, "1+")
    return ci & evaluable(cells)


def count_cells(
    cells: pd.DataFrame, which: np.ndarray, *, complete_at: float, complete_faint_as: str = "1+"
) -> Counts:
    """Count the chosen cells by class and by pattern.

    Parameters
    ----------
    cells
        The cell table, graded.
    which
        bool (n,), from `counted`.
    complete_at
        Share of the perimeter, 0..1, from which stain is called complete.
    complete_faint_as
        ``1+`` or ``2+``: the class that the grading gave to complete but faint stain.

    Returns
    -------
    Counts
        Of cells whose class was given by a reader or a network the class alone is used.
    """
    usable = evaluable(cells)
    chosen = cells[which & usable]
    known, ci, cw, im = _patterns(chosen, complete_at, complete_faint_as)
    n0, n1, n2, n3 = (int((chosen["cell_class"] == c).sum()) for c in CLASSES)
    word = chosen["intensity"]
    weight = sum(w * int((word == name).sum()) for name, w in INTENSITY_WEIGHT.items())
    return Counts(
        n0,
        n1,
        n2,
        n3,
        ci=int(ci.sum()),
        cw=int(cw.sum()),
        im=int(im.sum()) if known.any() else (0 if not len(chosen) else None),
        unsplit=int((~known & (chosen["cell_class"] == "2+").to_numpy(bool)).sum()),
        missing=int((which & ~usable).sum()),
        intensity_sum=None if word.isna().any() else weight,
    )


def chain_levels(
    cells: pd.DataFrame, which: np.ndarray, *, organ: str, complete_at: float, complete_faint_as: str = "1+"
) -> np.ndarray:
    """Return where each chosen, evaluable cell stands in the chain of cells that the rules count.

    Every rule counts the cells from one level on: in breast 0 none, 1 any stain, 2 incomplete but moderate or
    intense, 3 complete but not intense, 4 complete and intense; in stomach 0 to 3, the class.

    Parameters
    ----------
    cells, which, complete_at, complete_faint_as
        As in `count_cells`.
    organ
        ``breast`` or ``gastric``.

    Returns
    -------
    int8 (k,)
        One level for each row of ``cells[which & evaluable(cells)]``.
    """
    chosen = cells[which & evaluable(cells)]
    classes = chosen["cell_class"].astype(object).to_numpy()
    rank = np.zeros(len(chosen), np.int8)
    for level, name in enumerate(CLASSES):
        rank[classes == name] = level
    if organ == "gastric":
        return rank
    _, ci, cw, im = _patterns(chosen, complete_at, complete_faint_as)
    return np.select([ci, cw, im, rank > 0], [4, 3, 2, 1], 0).astype(np.int8)


def _patterns(
    cells: pd.DataFrame, complete_at: float, complete_faint_as: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return whether the pattern was measured, and CI, CW, IM; bool (n,) each."""
    word = cells["intensity"]
    known = (
        cells["completeness"].notna() & word.notna() & (cells["grade_source"] == GradeSource.MEMBRANE)
    ).to_numpy(bool)
    complete = cells["completeness"].to_numpy(np.float32) >= np.float32(complete_at)
    middle = (Intensity.FAINT, *_MIDDLE) if complete_faint_as == "2+" else _MIDDLE
    stained = (cells["cell_class"] != "0").to_numpy(bool)
    intense = (word == Intensity.INTENSE).to_numpy(bool)
    of_class = {c: (cells["cell_class"] == c).to_numpy(bool) for c in ("2+", "3+")}
    ci = np.where(known, stained & complete & intense, of_class["3+"])
    cw = np.where(
        known, stained & complete & word.isin([str(w) for w in middle]).to_numpy(bool), of_class["2+"]
    )
    im = known & stained & ~complete & word.isin(_STRONG).to_numpy(bool)
    return known, ci, cw, im
