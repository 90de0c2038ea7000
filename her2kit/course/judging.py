"""From a check's words to a verdict: an open blank and an answer of another kind never reach the check.

A check says what is right and what is wrong about an answer that it can read. `judged` says the rest: that a
blank is still open, and what kind of answer is wanted.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from her2kit.course.verdict import Verdict

OPEN = Verdict("Still open: replace ... by your answer and run the cell again.", "open")
RIGHT = Verdict("Right.", "right")

P = ParamSpec("P")


def judged(fits: Callable[[Any], bool], otherwise: str) -> Callable[[Callable[P, str]], Callable[P, Verdict]]:
    """Let a check return a `Verdict`, and see only answers of its kind.

    Parameters
    ----------
    fits
        Whether an answer is of the kind that the check can read, such as `number`. It is asked about the
        argument ``answer`` or ``answers``.
    otherwise
        What is said where it is not.

    Returns
    -------
    callable
        The decorator. Plain words of the check become a hint, of kind ``not_yet``.
    """

    def decorate(check: Callable[P, str]) -> Callable[P, Verdict]:
        signature = inspect.signature(check)
        name = next(n for n in ("answer", "answers") if n in signature.parameters)

        @functools.wraps(check)
        def judge(*args: P.args, **kwargs: P.kwargs) -> Verdict:
            given = signature.bind(*args, **kwargs)
            answer = given.arguments[name] = plain(given.arguments[name])
            if answer is ...:
                return OPEN
            if not fits(answer):
                return Verdict(otherwise, "not_yet")
            words = check(*given.args, **given.kwargs)
            return words if isinstance(words, Verdict) else Verdict(words, "not_yet")

        return judge

    return decorate


def plain(value: Any) -> Any:
    """Return numbers and arrays of numpy, pandas and torch as Python's own, also within lists and by name."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def number(value: Any) -> bool:
    """Return whether a value is a finite number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e100 < value < 1e100


def whole(value: Any) -> bool:
    """Return whether a value is an int."""
    return isinstance(value, int) and number(value)


def word(value: Any) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def by_name(value: Any) -> bool:
    """Return whether a value holds answers by name."""
    return isinstance(value, Mapping)


def pair(value: Any) -> bool:
    """Return whether a value holds two numbers."""
    return isinstance(value, list) and len(value) == 2 and all(map(number, value))


def list_of(*kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return what says whether a value is a list whose entries are of one of ``kinds`` each."""
    return lambda value: isinstance(value, list) and all(any(kind(v) for kind in kinds) for v in value)
