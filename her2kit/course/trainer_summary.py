"""Was anything learned? A session's first half against its second, with intervals; and a simulated learner.

Fields of one slide look alike, so slides are resampled, not fields. The two halves are equally hard by
construction (`trainer.training_fields`); that somebody was more awake in one of them, nothing here can tell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from her2kit.course.eye import Eye
from her2kit.course.trainer import Training
from her2kit.scoring.agreement import codes, confusion, kappa
from her2kit.statistics import Interval, clustered_bootstrap_many

LEAST_ANSWERS = 12
"""Fewer: no half of them tells anything."""


@dataclass(frozen=True, slots=True)
class Learning:
    """What a session shows."""

    n: int
    """Answers."""
    kappa: Mapping[str, Interval]
    """Quadratic kappa against the truth of the ``first half``, the ``second half``, and the ``change``."""
    agreement: Mapping[str, Interval]
    """Share of right answers, likewise."""

    @property
    def learned(self) -> bool:
        """Whether the change of kappa is beyond what chance explains."""
        return self.kappa["change"].low > 0

    @property
    def words(self) -> str:
        """The same in a sentence."""
        first, second, change = (self.kappa[k] for k in ("first half", "second half", "change"))
        said = (
            f"Kappa {first.estimate:.2f} in the first half, {second.estimate:.2f} in the second: "
            f"{change.estimate:+.2f}, 95 % interval {change.low:+.2f} to {change.high:+.2f}. "
        )
        if self.learned:
            return said + "More than chance explains."
        if change.high < 0:
            return said + "Worse by more than chance explains: a rest may help."
        return said + "Chance alone can do that; more fields would tell."


def learning(training: Training, *, draws: int = 2000, seed: int = 0) -> Learning:
    """Return what changed from the first half of the answers to the second.

    Parameters
    ----------
    draws, seed
        Of the bootstrap of slides.

    Raises
    ------
    ValueError
        If fewer than `LEAST_ANSWERS` fields were answered.
    """
    table = training.table()
    n = len(table)
    if n < LEAST_ANSWERS:
        raise ValueError(f"{n} answers; before and after need {LEAST_ANSWERS} or more")
    said, true = codes(table["answer"]), codes(table["truth"])
    late = np.arange(n) >= n // 2

    def both(rows: np.ndarray) -> dict[str, float]:
        found: dict[str, float] = {}
        for half, here in (("first half", rows[~late[rows]]), ("second half", rows[late[rows]])):
            found[f"kappa {half}"] = kappa(confusion(true[here], said[here]), weights="quadratic")
            found[f"right {half}"] = float((true[here] == said[here]).mean()) if len(here) else math.nan
        for what in ("kappa", "right"):
            found[f"{what} change"] = found[f"{what} second half"] - found[f"{what} first half"]
        return found

    every = clustered_bootstrap_many(both, table["slide_id"].to_numpy(), draws=draws, seed=seed)
    names = ("first half", "second half", "change")
    return Learning(n, {k: every[f"kappa {k}"] for k in names}, {k: every[f"right {k}"] for k in names})


def let_learn(training: Training, before: Eye, after: Eye, *, seed: int = 0) -> None:
    """Let a simulated reader answer all open fields; from field to field it turns from one eye into another.

    Parameters
    ----------
    before, after
        How it reads the first field and the last one. The same eye twice learns nothing.
    seed
        Of its errors.
    """
    last = max(len(training.fields) - 1, 1)
    while (place := training.next_place) is not None:
        share = place / last
        eye = Eye(
            before.name,
            (1 - share) * before.bias + share * after.bias,
            (1 - share) * before.noise + share * after.noise,
        )
        answer, _ = eye.read(training.fields[place].pairs, np.random.default_rng([seed, place]))
        training.answer(place, answer)
