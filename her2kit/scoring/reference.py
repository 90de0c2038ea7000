"""What a laboratory says of its slides: each reader's scores in the order of the slides, and the reference.

The reference is the manifest's ``label`` where it has one, else what more than half of its readers said.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2kit.errors import ManifestError
from her2kit.scoring.agreement import codes, majority
from her2kit.scoring.readings import SCORES, score_of

KIT, REFERENCE = "her2kit", "label"
"""Names of the kit and of the manifest's label among the readers."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a laboratory says of its slides, as codes (n,)."""

    reference: np.ndarray
    words: str
    """Where the reference comes from."""
    labelled: bool
    """Whether it is the manifest's label rather than made of the readers."""
    ratings: dict[str, np.ndarray]
    """By reader."""


def read_by(cases: pd.DataFrame, readings: pd.DataFrame | None = None) -> Given:
    """Return the readings of slides, and what counts as the reference; needs no score of the kit.

    Raises
    ------
    ManifestError
        If nobody read a slide, a label is no score, or a reader has a name that is taken.
    """
    labels, ratings = _labels(cases), _ratings(readings, cases["slide_id"].tolist())
    if labels is not None:
        return Given(labels, "the manifest's column label", True, ratings)
    if not ratings:
        raise ManifestError(
            "no slide has a reading; add a column label to the manifest or pass --readers FILE"
        )
    words = f"what more than half of {len(ratings)} readers said" if len(ratings) > 1 else "the one reader"
    return Given(majority(np.column_stack(list(ratings.values()))), words, False, ratings)


def none(values: pd.Series) -> pd.Series:
    """Return a column with None where it holds nothing."""
    return values.astype(object).where(values.notna(), None)


def _labels(cases: pd.DataFrame) -> np.ndarray | None:
    if "label" not in cases or cases["label"].isna().all():
        return None
    known = cases["label"].notna()
    scores = cases["label"].where(known, "").astype(str).map(score_of)
    strange = cases[known & scores.isna()]
    if len(strange):
        slide, label = strange["slide_id"].iloc[0], strange["label"].iloc[0]
        raise ManifestError(
            f"slide {slide}: label={label!r} is no score; use {', '.join(SCORES)}, or leave it empty"
        )
    return codes(none(scores))


def _ratings(readings: pd.DataFrame | None, slides: list[str]) -> dict[str, np.ndarray]:
    """Return each reader's codes in the order of the slides."""
    if readings is None:
        return {}
    found = {}
    for reader, rows in readings[readings["score"].notna()].groupby("reader", sort=False):
        if reader in (KIT, REFERENCE):
            raise ManifestError(
                f"a reader is called {reader!r}, which the report uses itself; rename the reader"
            )
        found[str(reader)] = codes(none(rows.set_index("slide_id")["score"].reindex(slides)))
    return found
