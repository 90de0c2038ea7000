"""A simulated eye: it estimates shares of cells, errs by a factor of the odds, and applies the guideline.

So it errs where a share lies near its line, as people do, and hardly ever far from it. For lessons on readers
whose truth is known; it looks at planted counts, never at a pixel, and stands for no person. Bias and noise
are chosen, not measured.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Pairs = Mapping[tuple[str, str], int]
"""Cells per (completeness, intensity), as planted."""
_STEPS = (("faint", "weak", "moderate", "intense"), ("weak", "moderate", "intense"), ("intense",))
"""Steps of the H-score as the kit counts them: faint 1, weak to moderate 2, intense 3 (`scoring.counts`)."""


@dataclass(frozen=True, slots=True)
class Eye:
    """One reader."""

    name: str
    bias: float = 0.0
    """Logarithm of the factor by which it sees the odds of stain too high; negative: too low."""
    noise: float = 0.0
    """Standard deviation of that logarithm from one reading to the next."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.bias) or not 0 <= self.noise < math.inf:
            raise ValueError(f"bias={self.bias!r}, noise={self.noise!r}; pass a number, and a number >= 0")

    def read(self, pairs: Pairs, rng: np.random.Generator) -> tuple[str, float]:
        """Return the breast score and the H-score (of intensity, 0 to 300) that the eye gives once.

        Raises
        ------
        ValueError
            If there is no cell.
        """
        n = sum(pairs.values())
        if n < 1:
            raise ValueError("pairs holds no cell; show the eye a field with tumour cells")
        shift = self.bias + self.noise * float(rng.standard_normal())
        ci, complete, unusual, stained = (_seen(share, shift) for share in shares(pairs).values())
        score = "3+" if ci > 0.1 else "2+" if max(complete, unusual) > 0.1 else "1+" if stained > 0.1 else "0"
        at_least = [
            sum(k for (_, intensity), k in pairs.items() if intensity in words) / n for words in _STEPS
        ]
        return score, 100 * sum(_seen(share, shift) for share in at_least)


def shares(pairs: Pairs) -> dict[str, float]:
    """Return the four shares, 0 to 1, that the breast rules hold against 10 %, from the strictest on."""
    n = sum(pairs.values())

    def share(*wanted: str) -> float:
        return sum(k for (how, strong), k in pairs.items() if f"{how} {strong}" in wanted) / n

    ci = share("complete intense")
    complete = ci + share("complete weak", "complete moderate")
    unusual = complete + share("incomplete moderate", "incomplete intense")
    return {
        "complete and intense": ci,
        "complete, weak or more": complete,
        "complete, or moderate": unusual,
        "any stain": 1 - share("none none"),
    }


def _seen(share: float, shift: float) -> float:
    """Return the share whose odds are exp(shift) times those of ``share``."""
    return share * math.exp(shift) / (1 - share + share * math.exp(shift))
