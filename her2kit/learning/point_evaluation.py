"""How good a detector of cells is: of points with a class, against true ones, over any number of pictures.

A found point hits a true one within 4 um, one to one, as many pairs as can be (`her2kit.cells.matching`);
classes play no part in the pairing. Detection quality DQ is the F1 of points; classification quality CQ the
share of pairs whose classes agree; PQ is their product. A pair of two classes counts as R1 counts it: a miss
of the one class and a false alarm of the other. All sums run over all pictures together.

References
----------
Kirillov A et al. Panoptic segmentation. CVPR 2019 (DQ and PQ; there overlap of areas takes CQ's place).
Bunch PC et al. A free response approach to the measurement and characterization of radiographic observer
performance. Proc SPIE 1977;127 (FROC).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.cells.matching import match_points
from her2kit.learning.evaluate import confusion_counts, kappa

HIT_UM = 4.0
"""About the radius of a nucleus; R1 took 16 px at 0.25 um/px."""
STEPS = tuple(np.round(np.arange(0.05, 0.96, 0.05), 2).tolist())
"""Confidences of a sweep."""


@dataclass(frozen=True, slots=True)
class PointCounts:
    """True and found points of one picture. `of` checks them."""

    truth_um: np.ndarray
    """float64 (n, 2)."""
    truth_class: np.ndarray
    """int64 (n,)."""
    found_um: np.ndarray
    """float64 (m, 2)."""
    found_class: np.ndarray
    """int64 (m,)."""
    score: np.ndarray
    """float64 (m,), 0..1."""
    area_mm2: float = float("nan")
    """Of the picture; `froc` needs it."""

    @classmethod
    def of(
        cls,
        truth_um: np.ndarray,
        truth_class: np.ndarray,
        found_um: np.ndarray,
        found_class: np.ndarray,
        score: np.ndarray,
        *,
        area_mm2: float = float("nan"),
    ) -> "PointCounts":
        """Take points in um, with class numbers, and the score of each found one."""
        for name, xy, *rows in (
            ("truth", truth_um, truth_class),
            ("found", found_um, found_class, score),
        ):
            if any(len(row) != len(xy) for row in rows):
                raise ValueError(f"{name}: {len(xy)} points, {[len(r) for r in rows]} classes and scores")
        return cls(
            np.asarray(truth_um, float).reshape(-1, 2),
            np.asarray(truth_class, np.int64),
            np.asarray(found_um, float).reshape(-1, 2),
            np.asarray(found_class, np.int64),
            np.asarray(score, float),
            area_mm2,
        )

    def at(self, confidence: float, n_classes: int, hit_um: float = HIT_UM) -> tuple[np.ndarray, np.ndarray]:
        """Return counts, int64 (n_classes + 1, n_classes + 1), and the distances of the pairs in um.

        Truth down, found across; the last row holds found points without a partner, the last column missed
        ones.
        """
        kept = self.score >= confidence
        found, label = self.found_um[kept], self.found_class[kept]
        pairs = match_points(self.truth_um, found, max_distance=hit_um)
        truth_all = np.r_[self.truth_class, np.full(len(found) - pairs.n_hits, n_classes)]
        partner = np.full(len(self.truth_class), n_classes)
        partner[pairs.truth_index] = label[pairs.found_index]
        alone = np.ones(len(found), bool)
        alone[pairs.found_index] = False
        return confusion_counts(truth_all, np.r_[partner, label[alone]], n_classes + 1), pairs.distance


@dataclass(frozen=True, slots=True)
class PointReport:
    """What a detector reached at one confidence."""

    figures: dict[str, float]
    """``precision``, ``recall``, ``f1`` (DQ), ``cq``, ``pq``, ``centre_um`` (mean distance of pairs),
    ``macro_f1`` over the classes that occur, ``kappa_matched`` (quadratic, on pairs), ``kappa_all`` (plain,
    with missed and false points as a class of their own)."""
    per_class: pd.DataFrame
    """Index ``class``: ``precision``, ``recall``, ``f1``, ``n`` true, ``n_found``; nan where none is."""
    confusion: pd.DataFrame
    """Counts, truth down, found across; the last row and column are ``none``."""


def report(
    pictures: Iterable[PointCounts],
    class_names: Sequence[str],
    *,
    confidence: float = 0.0,
    hit_um: float = HIT_UM,
) -> PointReport:
    """Judge found points of this confidence or more.

    Parameters
    ----------
    pictures
        Of one slide or many; hits are counted over all together.
    class_names
        In the order of the class numbers.
    hit_um
        Largest distance of a hit.
    """
    n = len(class_names)
    counts, apart = np.zeros((n + 1, n + 1), np.int64), [np.zeros(0)]
    for picture in pictures:
        one, distance = picture.at(confidence, n, hit_um)
        counts += one
        apart.append(distance)
    true, found, hit = counts[:n].sum(axis=1), counts[:, :n].sum(axis=0), np.diag(counts)[:n]
    pairs = counts[:n, :n]
    n_pairs, n_true, n_found = pairs.sum(), true.sum(), found.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        per_class = pd.DataFrame(
            {
                "precision": hit / found,
                "recall": hit / true,
                "f1": np.where(true > 0, 2 * hit / (true + found), np.nan),
                "n": true,
                "n_found": found,
            },
            index=pd.Index(list(class_names), name="class"),
        )
    distances = np.concatenate(apart)
    dq = _share(2 * n_pairs, n_true + n_found)
    cq = _share(hit.sum(), n_pairs)
    figures = {
        "precision": _share(n_pairs, n_found),
        "recall": _share(n_pairs, n_true),
        "f1": dq,
        "cq": cq,
        "pq": dq * cq if n_pairs else 0.0 if n_true + n_found else float("nan"),
        "centre_um": float(distances.mean()) if len(distances) else float("nan"),
        "macro_f1": float(per_class["f1"].mean()),
        "kappa_matched": kappa(pairs),
        "kappa_all": kappa(counts, power=0),
    }
    names = [*class_names, "none"]
    table = pd.DataFrame(counts, pd.Index(names, name="truth"), pd.Index(names, name="found"))
    return PointReport(figures, per_class, table)


def sweep(
    pictures: Sequence[PointCounts],
    class_names: Sequence[str],
    *,
    confidences: Sequence[float] = STEPS,
    hit_um: float = HIT_UM,
) -> pd.DataFrame:
    """Return the figures of `report` at each confidence, the table's index, with ``f1 <class>`` besides."""
    rows = []
    for confidence in confidences:
        one = report(pictures, class_names, confidence=confidence, hit_um=hit_um)
        rows.append(one.figures | {f"f1 {name}": v for name, v in one.per_class["f1"].items()})
    return pd.DataFrame(rows, index=pd.Index(list(confidences), name="confidence"))


def best_confidence(table: pd.DataFrame, by: str = "f1") -> float:
    """Return the confidence of the highest figure of a sweep; of equals the lowest."""
    values = table[by].fillna(-1)
    return float(values.index[int(values.to_numpy().argmax())])


def froc(
    pictures: Sequence[PointCounts], *, hit_um: float = HIT_UM, confidences: Sequence[float] = STEPS
) -> pd.DataFrame:
    """Return recall against false points per mm2 (free-response curve), one row a confidence.

    Columns ``confidence``, ``false_per_mm2``, ``recall``. Classes play no part.

    Raises
    ------
    ValueError
        If a picture's area is not known.
    """
    area = sum(p.area_mm2 for p in pictures)
    if not area > 0:
        raise ValueError("a picture has no area_mm2; give it with its points")
    rows = []
    for confidence in confidences:
        hits = found = true = 0
        for picture in pictures:
            kept = picture.found_um[picture.score >= confidence]
            hits += match_points(picture.truth_um, kept, max_distance=hit_um).n_hits
            found, true = found + len(kept), true + len(picture.truth_um)
        rows.append((confidence, (found - hits) / area, _share(hits, true)))
    return pd.DataFrame(rows, columns=["confidence", "false_per_mm2", "recall"])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
