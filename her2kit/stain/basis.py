"""The colours of a slide in a few numbers, fitted once: what `normalise` takes a slide from and to.

Two stain vectors with the amounts of stain (Macenko, Vahadane), or mean and spread in CIE LAB (Reinhard).
Fits and applies nothing.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

METHODS = ("macenko", "vahadane", "reinhard")

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class StainBasis:
    """How a slide is stained. Hashable, and the same after ``from_json(to_json())``."""

    method: str
    """``macenko``, ``vahadane`` or ``reinhard``."""
    white: Triple
    """Grey level of glass in R, G, B, each in 1..255."""
    vectors: tuple[Triple, ...] = ()
    """Two unit OD vectors in R, G, B: hematoxylin, then the other stain (eosin, DAB). Empty for Reinhard."""
    amounts: tuple[float, ...] = ()
    """OD along each vector that 99 % of the stained pixels stay below, > 0. Empty for Reinhard."""
    sparsity: float = 0.0
    """Price of an amount in the unmixing, OD: `concentrations` subtracts about half of it from each."""
    lab_mean: tuple[float, ...] = ()
    """CIE L*, a*, b* of stained pixels, glass being white. For Reinhard alone."""
    lab_sd: tuple[float, ...] = ()
    """Their standard deviations, > 0."""

    def __post_init__(self) -> None:
        for name in ("white", "vectors", "amounts", "lab_mean", "lab_sd"):
            object.__setattr__(self, name, _tuples(getattr(self, name)))  # lists cannot be hashed
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; use one of {', '.join(METHODS)}")
        if len(self.white) != 3 or not all(1 <= v <= 255 for v in self.white):
            raise ValueError(f"white is {self.white!r}; pass three grey levels in 1..255")
        if self.method == "reinhard":
            if not len(self.lab_mean) == len(self.lab_sd) == 3 or not min(self.lab_sd) > 0:
                raise ValueError(
                    f"lab_mean is {self.lab_mean}, lab_sd {self.lab_sd}; pass three numbers each, lab_sd > 0"
                )
            return
        if len(self.vectors) != 2:
            raise ValueError(f"vectors is {self.vectors!r}; pass two OD vectors")
        for vector in self.vectors:
            if len(vector) != 3 or not abs(math.hypot(*vector) - 1.0) <= 1e-3:
                raise ValueError(f"vectors holds {vector!r}; pass numbers of length 1 (vector / its norm)")
        if sum(a * b for a, b in zip(*self.vectors, strict=True)) > 0.9998:
            raise ValueError(f"vectors is {self.vectors!r}; pass two that are a degree apart or more")
        if len(self.amounts) != 2 or not min(self.amounts) > 0:
            raise ValueError(f"amounts is {self.amounts!r}; pass two optical densities above 0")
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity is {self.sparsity!r}; use 0 to 1, as 0.004")

    def to_json(self) -> str:
        """Return the basis as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StainBasis":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not JSON, or holds no valid basis.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(
                f"text is {text[:60]!r}, not a stain basis ({error}); pass what to_json wrote"
            ) from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value
