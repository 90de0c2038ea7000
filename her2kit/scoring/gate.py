"""What a gate is: one check of a slide, with a level, a value and words that name the next step.

The checks themselves are in ``gates``.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

LEVELS = ("ok", "caution", "block")


@dataclass(frozen=True, slots=True)
class Gate:
    """One check."""

    name: str
    """Which check, a short word with underscores."""
    level: str
    """``ok``, ``caution`` (scored, and said) or ``block`` (not scored)."""
    value: float | str | None
    """What was measured."""
    words: str
    """What it means; what to do where the level is not ``ok``."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"level={self.level!r}; use one of {', '.join(LEVELS)}")
        if not self.name or not self.words:
            raise ValueError("a gate needs a name and words")

    def record(self) -> dict[str, Any]:
        """Return the entry of ``score.json``."""
        return asdict(self)


def blocking(gates: Iterable[Gate]) -> list[Gate]:
    """Return the gates that block, in their order."""
    return [g for g in gates if g.level == "block"]
