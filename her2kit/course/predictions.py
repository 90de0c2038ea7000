"""Predict, then run: what a learner expected is kept, and held against what came out.

A prediction is asked for before a computation and told after it. Nothing here stops a notebook: an open
answer, a word for a number, or a cell that was skipped gets a line that says so. The first answer that was
told counts; it cannot be mended once the truth is on the screen.
"""

import difflib
import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from her2kit.course.judging import number, plain
from her2kit.course.verdict import Verdict


@dataclass(slots=True)
class _Question:
    """One prediction, from its asking to its telling."""

    unit: str = ""
    among: tuple[Any, ...] = ()
    answer: Any = ...
    truth: Any = ...
    """What came out when it was first told; ``...`` before."""
    right: bool | None = None
    """None where it is open, not told, or cannot be held against anything."""

    def words(self, value: Any) -> str:
        """Return a value as it is shown, with the unit of a number."""
        if not number(value):
            return "no value" if _is_nothing(value) else str(value)
        whole = isinstance(value, int) or abs(value) >= 1000
        return f"{value:{',.0f' if whole else '.4g'}} {self.unit}".rstrip()


class Predictions:
    """Predictions of one learner in one notebook."""

    def __init__(self) -> None:
        self._questions: dict[str, _Question] = {}

    def ask(self, name: str, answer: Any, *, unit: str = "", among: Sequence[Any] = ()) -> Verdict:
        """Keep what the learner expects, and say what was understood.

        An answer may be changed until it is told. One that cannot be read leaves the question open.

        Parameters
        ----------
        name
            What is predicted, in words; `tell` uses the same.
        answer
            A number or a word; ``...`` is open.
        unit
            Unit of the number, such as ``um``. A question with a unit takes numbers alone.
        among
            The answers on offer, where there are only a few.
        """
        question = self._questions.setdefault(name, _Question())
        if question.truth is not ...:
            kept = "open" if question.answer is ... else question.words(question.answer)
            return Verdict(f"{name}: the truth was told already. Your answer stays {kept}.", "said")
        question.unit, question.among = unit, tuple(plain(one) for one in among)
        answer = plain(answer)
        if answer is ...:
            question.answer = ...
            return Verdict(
                f"Still open: {name}. Replace ... by {_wanted(question)}, then run the cell.", "open"
            )
        before, question.answer = question.answer, ...
        if not _fits_question(question, answer):
            return Verdict(
                f"{name}: {reprlib.repr(answer)} is no answer. Give {_wanted(question)}.", "not_yet"
            )
        question.answer = answer
        instead = "" if before in (..., answer) else f" instead of {question.words(before)}"
        return Verdict(f"{name}: you say {question.words(answer)}{instead}. Run on and see.", "said")

    def tell(self, name: str, truth: Any, *, within: float = 0.1) -> Verdict:
        """Say what came out, what was expected, and whether it fits.

        Told again, as after a change of parameters, it shows the new truth; the first one goes on counting.

        Parameters
        ----------
        name
            As it was asked.
        truth
            What came out. None and NaN say that there is nothing to hold the answer against.
        within
            How far a number may be off, as a share of the truth. Words are compared exactly.

        Raises
        ------
        ValueError
            If ``within`` is negative or not finite, or ``truth`` is no single number or word.
        """
        if not (math.isfinite(within) and within >= 0):
            raise ValueError(f"within is {within}; use a share of the truth, such as 0.1")
        truth = plain(truth)
        if not (_is_nothing(truth) or isinstance(truth, str | int | float)):
            raise ValueError(f"truth of {name!r} is a {type(truth).__name__}; tell one number or word")
        if name not in self._questions:
            near = difflib.get_close_matches(name, self._questions, n=1)
            asked = f"asked was {near[0]!r}" if near else "run the cell above that asks for it"
            return Verdict(f"{name} is {_Question().words(truth)}. Nobody predicted it: {asked}.", "open")
        question = self._questions[name]
        is_so = f"{name} is {question.words(truth)}"
        if not (_is_nothing(truth) or _fits_question(question, truth)):
            is_so += ", which was not on offer" if question.among else ", which is no number"
        if question.truth is ...:
            question.truth = truth
            question.right = _fits(question.answer, truth, within)
        elif not _same(truth, question.truth):
            is_so += f" (first {question.words(question.truth)}, which counts)"
        if question.answer is ...:
            return Verdict(f"{is_so}. Your prediction is open.", "open")
        said = f"{is_so}. You said {question.words(question.answer)}"
        if question.right is None:
            return Verdict(f"{said}: there is nothing to hold it against.", "said")
        allowed = f", within {100 * within:g} %" if number(question.truth) and within else ""
        if question.right:
            return Verdict(f"{said}: right{allowed}.", "right")
        if number(question.truth) and not number(question.answer):
            return Verdict(f"{said}, which is no number. Write numbers without quotes.", "not_yet")
        return Verdict(f"{said}: not right{allowed}. What did you not take into account?", "not_yet")

    def summary(self) -> Verdict:
        """Say how many predictions were asked for, answered, and right."""
        asked = list(self._questions.values())
        answered = [q for q in asked if q.answer is not ...]
        right = [q for q in answered if q.right]
        if not answered:
            return Verdict(f"Predictions: {len(asked)} asked, all still open.", "open")
        words = f"Predictions: {len(asked)} asked, {len(answered)} answered, {len(right)} right."
        wrong = [name for name, q in self._questions.items() if q.right is False]
        if wrong:
            words += f"\nLook again at: {', '.join(wrong)}."
        untold = [name for name, q in self._questions.items() if q.truth is ...]
        if untold:
            words += f"\nNot told yet: {', '.join(untold)}."
        return Verdict(words, "right" if len(right) == len(asked) else "said")


def _fits_question(question: _Question, answer: Any) -> bool:
    """Return whether an answer is of the kind that was asked for."""
    if not isinstance(answer, str | int | float):
        return False
    if question.among:
        return any(_same(answer, one) for one in question.among)
    return number(answer) or (not question.unit and isinstance(answer, str | bool) and answer != "")


def _wanted(question: _Question) -> str:
    if question.among:
        return "one of " + ", ".join(repr(one) for one in question.among)
    return f"a number in {question.unit}, without quotes" if question.unit else "your prediction"


def _fits(answer: Any, truth: Any, within: float) -> bool | None:
    """Return whether the answer fits the truth; None where either is missing."""
    if answer is ... or _is_nothing(truth):
        return None
    if number(answer) and number(truth):
        return abs(answer - truth) <= within * abs(truth) * (1 + 1e-9)
    return _same(answer, truth)


def _same(a: Any, b: Any) -> bool:
    """Return whether two values are equal; a bool is no number, and nothing equals nothing."""
    if _is_nothing(a) or _is_nothing(b):
        return _is_nothing(a) and _is_nothing(b)
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _is_nothing(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
