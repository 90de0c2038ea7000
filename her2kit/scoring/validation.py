"""A laboratory's own cases against its own readings, as tables: who was compared, on which slides, how well.

The reference is the manifest's ``label`` where it has one, else what more than half of a slide's readers
said. Slides that the kit refused are shown in every table and count against it in the stricter share, as
STARD asks of results that cannot be used. Draws nothing and reads no slide.

References
----------
Bossuyt PM et al. STARD 2015. BMJ 2015;351:h5527 (flow of cases, cross table with indeterminate results).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from her2kit.scoring.agreement import (
    Limits,
    codes,
    compare,
    confusion,
    fleiss_kappa,
    icc,
    krippendorff_alpha,
    limits_of_agreement,
    share,
)
from her2kit.scoring.readings import SCORES
from her2kit.scoring.reference import KIT, REFERENCE, none, read_by
from her2kit.statistics import Interval, clustered_bootstrap

FEW_CASES = 30
"""Fewer compared slides: intervals are wide, and the report says so."""


@dataclass(frozen=True, slots=True)
class HScores:
    """H-scores of the kit beside those of one reader."""

    reader: str
    theirs: np.ndarray
    ours: np.ndarray
    limits: Limits
    """Kit minus reader."""
    icc: Interval


@dataclass(frozen=True, slots=True)
class Validation:
    """All tables of one validation."""

    cases: pd.DataFrame
    """One row a slide: slide_id, patient, status, kit, reference, apart (kit minus reference, in categories,
    nan where one is missing), flags, and a column ``reader NAME`` for each."""
    reference_words: str
    """Where the reference comes from."""
    flow: list[tuple[str, int]]
    """Slides left after each step."""
    table: pd.DataFrame
    """STARD-like: measure, value, low, high, n; kit against reference."""
    matrix: pd.DataFrame
    """Slides by reference (rows) and kit (columns, the last one "not evaluable")."""
    pairs: pd.DataFrame
    """Every two of kit, label and readers: first, second, n; and agreement, kappa linear and kappa quadratic,
    each with its low and high."""
    readers: pd.DataFrame
    """Measures of all readers together, without the kit: measure, value, low, high, n."""
    h_scores: list[HScores]
    """Empty where no reader gave H-scores."""


def validate(
    cases: pd.DataFrame, readings: pd.DataFrame | None = None, *, draws: int = 2000, seed: int = 0
) -> Validation:
    """Compare the kit's scores with a laboratory's readings.

    Parameters
    ----------
    cases
        One row a slide: ``slide_id``, ``status`` (scored, not_evaluable, failed), ``score``; and, if there,
        ``label``, ``patient_id`` (a slide without one is a patient of its own), ``h_score_intensity``,
        ``flags``.
    readings
        As ``readings.read_readings`` gives them.
    draws, seed
        Of the bootstrap.

    Raises
    ------
    ManifestError
        If nobody read a slide, or a label is no score.
    """
    patients = _patients(cases)
    kit = codes(none(cases["score"].where(cases["status"] == "scored")))
    given = read_by(cases, readings)
    everyone = {KIT: kit} | ({REFERENCE: given.reference} if given.labelled else {}) | given.ratings
    found = _cases(cases, patients, kit, given.reference, given.ratings)
    by = _Bootstrap(patients, draws, seed)
    return Validation(
        cases=found,
        reference_words=given.words,
        flow=_flow(found),
        table=_table(kit, given.reference, by),
        matrix=_matrix(found, kit, given.reference),
        pairs=_pairs(everyone, by),
        readers=_readers(given.ratings, by),
        h_scores=_h_scores(cases, readings, by),
    )


def _patients(cases: pd.DataFrame) -> np.ndarray:
    own = "slide " + cases["slide_id"].astype(str)
    if "patient_id" not in cases:
        return own.to_numpy(object)
    known = cases["patient_id"].notna()
    return ("patient " + cases["patient_id"].astype(str)).where(known, own).to_numpy(object)


def _cases(
    cases: pd.DataFrame,
    patients: np.ndarray,
    kit: np.ndarray,
    reference: np.ndarray,
    ratings: dict[str, np.ndarray],
) -> pd.DataFrame:
    def words(values: np.ndarray) -> list[str | None]:
        return [None if math.isnan(v) else SCORES[int(v)] for v in values]

    table = pd.DataFrame(
        {
            "slide_id": cases["slide_id"],
            "patient": patients,
            "status": cases["status"],
            "kit": pd.Series(words(kit), dtype=object, index=cases.index),
            "reference": pd.Series(words(reference), dtype=object, index=cases.index),
            "apart": kit - reference,
            "flags": cases["flags"].fillna("") if "flags" in cases else "",
        }
    )
    for reader, values in ratings.items():
        table[f"reader {reader}"] = pd.Series(words(values), dtype=object, index=cases.index)
    return table


def _flow(cases: pd.DataFrame) -> list[tuple[str, int]]:
    scored, known = cases["kit"].notna(), cases["reference"].notna()
    return [
        ("slides in the manifest", len(cases)),
        ("patients", int(cases["patient"].nunique())),
        ("with a reference", int(known.sum())),
        ("of these, failed (could not be read)", int((known & (cases["status"] == "failed")).sum())),
        ("of these, refused as not evaluable", int((known & (cases["status"] == "not_evaluable")).sum())),
        ("compared", int((known & scored).sum())),
    ]


def _row(measure: str, found: Interval, n: int) -> dict[str, object]:
    return {"measure": measure, "value": found.estimate, "low": found.low, "high": found.high, "n": n}


@dataclass(frozen=True, slots=True)
class _Bootstrap:
    """Of whole patients; the same seed gives the same interval."""

    patients: np.ndarray
    draws: int
    seed: int

    def compare(self, first: np.ndarray, second: np.ndarray) -> dict[str, Interval]:
        return compare(first, second, self.patients, draws=self.draws, seed=self.seed)

    def interval(self, of: Callable[[np.ndarray], float], values: np.ndarray, which: np.ndarray) -> Interval:
        """Return a statistic of the rows ``which`` of a table of numbers."""
        kept = values[which]
        return clustered_bootstrap(
            lambda rows: of(kept[rows]), self.patients[which], draws=self.draws, seed=self.seed
        )


def _table(kit: np.ndarray, reference: np.ndarray, by: _Bootstrap) -> pd.DataFrame:
    """Return the measures of kit against reference."""
    known, both = ~np.isnan(reference), ~(np.isnan(kit) | np.isnan(reference))
    found = by.compare(reference, kit)
    rows = [_row(name, interval, _size(name, reference[both])) for name, interval in found.items()]
    strict = share((kit == reference)[known], by.patients[known])
    rows.insert(1, _row("agreement, refused and failed counted as wrong", strict, int(known.sum())))
    return pd.DataFrame(rows)


def _size(measure: str, reference: np.ndarray) -> int:
    """Return how many slides a measure of `compare` rests on."""
    kind, _, which = measure.partition(" ")
    if kind not in ("positive", "negative"):
        return len(reference)
    called = np.isin(reference, [SCORES.index(s) for s in which.split("/")])
    return int((called if kind == "positive" else ~called).sum())


def _matrix(cases: pd.DataFrame, kit: np.ndarray, reference: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(confusion(reference, kit), index=list(SCORES), columns=list(SCORES))
    unscored = cases[cases["kit"].isna()]["reference"].value_counts()
    table["not evaluable"] = [int(unscored.get(s, 0)) for s in SCORES]
    return table


def _pairs(everyone: dict[str, np.ndarray], by: _Bootstrap) -> pd.DataFrame:
    rows = []
    for first, second in combinations(everyone, 2):
        a, b = everyone[first], everyone[second]
        n = int((~(np.isnan(a) | np.isnan(b))).sum())
        if not n:
            continue
        found, row = by.compare(a, b), {"first": first, "second": second, "n": n}
        for name in ("agreement", "kappa linear", "kappa quadratic"):
            one = found[name]
            row |= {name: one.estimate, f"{name} low": one.low, f"{name} high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _readers(ratings: dict[str, np.ndarray], by: _Bootstrap) -> pd.DataFrame:
    """Return how the readers agree among themselves; empty for one reader."""
    rows = []
    if len(ratings) > 1:
        table = np.column_stack(list(ratings.values()))
        whole, some = ~np.isnan(table).any(axis=1), (~np.isnan(table)).sum(axis=1) > 1
        alike = (table == table[:, :1]).all(axis=1)
        if whole.any():
            n = int(whole.sum())
            rows.append(_row("all readers say the same", share(alike[whole], by.patients[whole]), n))
            rows.append(_row("Fleiss' kappa", by.interval(fleiss_kappa, table, whole), n))
        if some.any():
            alpha = by.interval(krippendorff_alpha, table, some)
            rows.append(_row("Krippendorff's alpha, ordinal", alpha, int(some.sum())))
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high", "n"])


def _h_scores(cases: pd.DataFrame, readings: pd.DataFrame | None, by: _Bootstrap) -> list[HScores]:
    """Return the kit's classical H-score, of intensity, beside each reader's."""
    if readings is None or "h_score_intensity" not in cases:
        return []
    ours = cases["h_score_intensity"].where(cases["status"] == "scored").to_numpy(np.float64)
    found = []
    for reader, rows in readings[readings["h_score"].notna()].groupby("reader", sort=False):
        theirs = rows.set_index("slide_id")["h_score"].reindex(cases["slide_id"]).to_numpy(np.float64)
        both = ~(np.isnan(theirs) | np.isnan(ours))
        if both.sum() < 2:
            continue
        interval = by.interval(icc, np.column_stack([theirs, ours]), both)
        limits = limits_of_agreement(theirs, ours)
        found.append(HScores(str(reader), theirs[both], ours[both], limits, interval))
    return found
