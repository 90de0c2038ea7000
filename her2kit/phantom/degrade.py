"""Spoil a slide on purpose, each way with a strength from 0 to 1."""

import numpy as np

from her2kit.errors import PlanError

DEGRADATIONS = ("blur", "pen", "fold", "faded", "bubbles", "dust", "wrong_stain")


def check_degradations(text: str | None) -> tuple[tuple[str, float], ...]:
    """Return (name, strength) pairs from ``NAME`` or ``NAME=STRENGTH``, comma-separated.

    Without a strength it is 0.6.

    Raises
    ------
    PlanError
        If a name is unknown or a strength is not a number from 0 to 1.
    """
    out = []
    for item in (text or "").split(","):
        name, _, strength = item.strip().partition("=")
        if not name:
            continue
        if name not in DEGRADATIONS:
            raise PlanError(f"degradation {name!r} is unknown; use one of {', '.join(DEGRADATIONS)}")
        try:
            value = float(strength) if strength else 0.6
        except ValueError:
            raise PlanError(
                f"strength {strength!r} of {name} is not a number; give one from 0 to 1"
            ) from None
        if not 0 <= value <= 1:
            raise PlanError(f"strength {value} of {name}; give a number from 0 to 1")
        out.append((name, value))
    return tuple(out)


def margin_px(plan) -> int:
    return 0


def spoil_amounts(plan, amounts: np.ndarray, x0, y0, mpp) -> None:
    return None


def spoil_light(plan, light: np.ndarray, x0, y0, mpp) -> np.ndarray:
    return light
