"""Spoil a slide on purpose: blur, pen, fold, faded, bubbles, dust, wrong stain; strengths from 0 to 1.

Every spoil is a function of the place on the slide, so it does not depend on blocks. ``fold``, ``faded``,
``dust`` and ``wrong_stain`` change amounts of stain, ``pen``, ``bubbles`` and ``blur`` change light.
``spoiled_at`` says what cannot be read at a place, for the truth.
"""

import math

import cv2
import numpy as np

from her2kit.errors import PlanError
from her2kit.phantom.noise import F, jit, small, unit, value_noise
from her2kit.phantom.plan import Plan

DEGRADATIONS = ("blur", "pen", "fold", "faded", "bubbles", "dust", "wrong_stain")
_INK_GREEN = (0.80, 0.28, 0.52)
"""OD of green felt pen per unit."""


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


def margin_px(plan: Plan) -> int:
    """Return how many more pixels than the optics a spoiled block depends on."""
    return math.ceil(3 * _blur_um(dict(plan.degrade).get("blur", 0.0)) / plan.pixel_um)


def _blur_um(strength: float) -> float:
    return 2.2 * strength


def spoil_amounts(plan: Plan, amounts: np.ndarray, x0: float, y0: float) -> None:
    """Change amounts of stain, float32 (4, h, w), in place."""
    spoils = dict(plan.degrade)
    mpp, seed = np.float32(plan.pixel_um), plan.seed % (1 << 30)
    width, height = plan.size_um
    if spoils.get("fold"):
        factor = np.empty(amounts.shape[1:], np.float32)
        _fold_depth(factor, F(x0), F(y0), mpp, F(width), F(height), seed)
        amounts *= 1 + (0.6 + 0.9 * spoils["fold"]) * np.clip(factor * spoils["fold"] * 4, 0, 1)
    if spoils.get("faded"):
        amounts[:2] *= np.float32(1 - 0.75 * spoils["faded"])
    if spoils.get("dust"):
        _dust(amounts, F(x0), F(y0), mpp, F(spoils["dust"]), seed)
    if spoils.get("wrong_stain"):
        # A nuclear marker or haematoxylin and eosin in place of the membrane marker: DAB turns into eosin.
        share = np.float32(spoils["wrong_stain"])
        tissue = amounts[0] + amounts[1]
        amounts[1] *= 1 - share
        amounts[0] *= 1 + 1.2 * share
        amounts[2] += share * 1.9 * np.minimum(tissue, 0.25)


def spoil_light(plan: Plan, light: np.ndarray, x0: float, y0: float) -> np.ndarray:
    """Return light, float32 (h, w, 3), with ink, bubbles and blur."""
    spoils = dict(plan.degrade)
    mpp, seed = np.float32(plan.pixel_um), plan.seed % (1 << 30)
    width, height = plan.size_um
    if spoils.get("blur"):
        sigma = _blur_um(spoils["blur"]) / plan.pixel_um
        soft = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        share = np.empty(light.shape[:2], np.float32)
        _blur_share(share, F(x0), F(y0), mpp, F(spoils["blur"]), seed)
        light = light + share[..., None] * (soft - light)
    if spoils.get("pen"):
        light = light.copy()
        _pen(
            light,
            F(x0),
            F(y0),
            mpp,
            F(width),
            F(height),
            F(spoils["pen"]),
            np.array(_INK_GREEN, np.float32),
            seed,
        )
    if spoils.get("bubbles"):
        light = light.copy()
        _bubbles(light, F(x0), F(y0), mpp, F(width), F(height), F(spoils["bubbles"]), seed)
    return light


def spoiled_at(plan: Plan, x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
    """Return why a place cannot be read, object (n,): fold, blur, overlap (ink, bubble) or None."""
    spoils = dict(plan.degrade)
    seed = plan.seed % (1 << 30)
    width, height = plan.size_um
    why = np.full(len(x_um), None, object)
    xs, ys = np.asarray(x_um, np.float32), np.asarray(y_um, np.float32)
    for name, word in (("blur", "blur"), ("pen", "overlap"), ("bubbles", "overlap"), ("fold", "fold")):
        if spoils.get(name):
            hit = _hits(name, xs, ys, F(width), F(height), F(spoils[name]), seed)
            why[hit] = word
    return why


def _hits(name, xs, ys, width, height, strength, seed) -> np.ndarray:
    which = {"blur": 0, "pen": 1, "bubbles": 2, "fold": 3}[name]
    return _hit_kernel(which, xs, ys, width, height, strength, seed)


@jit
def _hit_kernel(which, xs, ys, width, height, strength, seed):
    out = np.zeros(len(xs), np.bool_)
    for i in range(len(xs)):
        if which == 0:
            out[i] = strength * blur_share_at(xs[i], ys[i], strength, seed) > F(0.3)
        elif which == 1:
            out[i] = pen_at(xs[i], ys[i], width, height, strength, seed) > F(0.3)
        elif which == 2:
            out[i] = abs(bubble_at(xs[i], ys[i], width, height, strength, seed)) < F(6)
        else:
            out[i] = strength * fold_at(xs[i], ys[i], width, height, seed) * 4 > F(0.3)
    return out


@small
def blur_share_at(x, y, strength, seed):
    """Return how much of the blurred picture is seen, 0 to 1: patches that grow with the strength."""
    patch = value_noise(x / 420, y / 420, seed + 201) + F(2.2) * strength - F(0.4)
    return min(max(F(2.5) * patch, F(0)), F(1))


@small
def fold_at(x, y, width, height, seed):
    """Return how deep in a fold the place lies, 0 to 1: one wavy band across the slide."""
    t = F(0.25) + F(0.5) * unit(1, 1, seed + 211)
    across = (x - width * t) * F(0.9) + (y - height * F(0.5)) * F(0.35)
    across += F(0.05) * width * value_noise(y / (F(0.3) * height), F(0.5), seed + 212)
    half = max(F(0.03) * width, F(6))
    d = abs(across) / half
    return max(F(0), F(1) - d) if d < 1 else F(0)


@small
def pen_at(x, y, width, height, strength, seed):
    """Return the ink at the place, 0 to 1: one felt-pen stroke, wider with the strength."""
    t = F(0.3) + F(0.4) * unit(2, 1, seed + 221)
    middle = height * t + F(0.08) * height * value_noise(x / (F(0.4) * width), F(0.5), seed + 222)
    half = (F(0.02) + F(0.06) * strength) * height
    d = abs(y - middle) / half
    if d > F(1.15):
        return F(0)
    edge = F(1.0) + F(0.1) * value_noise(x / 20, y / 20, seed + 223)
    return max(F(0), min(F(1), (edge - d) * 9)) * (F(0.75) + F(0.25) * value_noise(x / 60, y / 9, seed + 224))


@small
def bubble_at(x, y, width, height, strength, seed):
    """Return the distance in um to the rim of the nearest bubble, negative inside it."""
    best = F(1e6)
    n = 1 + int(6 * strength)
    size = min(width, height)
    for k in range(n):
        cx, cy = width * unit(k, 1, seed + 231), height * unit(k, 2, seed + 231)
        r = size * (F(0.03) + F(0.10) * unit(k, 3, seed + 231))
        d = np.sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy)) - r
        if d < best:
            best = d
    return best


@jit
def _fold_depth(out, x0, y0, mpp, width, height, seed):
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            out[row, col] = fold_at(x0 + (col + F(0.5)) * mpp, y0 + (row + F(0.5)) * mpp, width, height, seed)


@jit
def _blur_share(out, x0, y0, mpp, strength, seed):
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            out[row, col] = blur_share_at(
                x0 + (col + F(0.5)) * mpp, y0 + (row + F(0.5)) * mpp, strength, seed
            )


@jit
def _pen(light, x0, y0, mpp, width, height, strength, ink, seed):
    for row in range(light.shape[0]):
        for col in range(light.shape[1]):
            a = pen_at(x0 + (col + F(0.5)) * mpp, y0 + (row + F(0.5)) * mpp, width, height, strength, seed)
            if a > 0:
                for k in range(3):
                    light[row, col, k] *= np.exp(F(-2.3026) * a * (F(0.5) + F(0.6) * strength) * ink[k])


@jit
def _bubbles(light, x0, y0, mpp, width, height, strength, seed):
    for row in range(light.shape[0]):
        for col in range(light.shape[1]):
            d = bubble_at(x0 + (col + F(0.5)) * mpp, y0 + (row + F(0.5)) * mpp, width, height, strength, seed)
            rim = np.exp(-((d / F(3.0)) ** 2)) * F(0.75) + np.exp(-(((d + 8) / F(5.0)) ** 2)) * F(0.2)
            shade = (F(1) - rim) * (F(0.94) if d < 0 else F(1.0))
            for k in range(3):
                light[row, col, k] *= shade


@jit
def _dust(amounts, x0, y0, mpp, strength, seed):
    pitch = F(60)
    rows, cols = amounts.shape[1], amounts.shape[2]
    for gy in range(int(np.floor(y0 / pitch)) - 1, int((y0 + rows * mpp) / pitch) + 2):
        for gx in range(int(np.floor(x0 / pitch)) - 1, int((x0 + cols * mpp) / pitch) + 2):
            if unit(gx, gy, seed + 241) > F(0.5) * strength:
                continue
            cx, cy = (gx + unit(gx, gy, seed + 242)) * pitch, (gy + unit(gx, gy, seed + 243)) * pitch
            radius = F(0.8) + F(7) * unit(gx, gy, seed + 244) ** 3
            dark = F(0.3) + F(0.8) * unit(gx, gy, seed + 245)
            reach = int(1.6 * radius / mpp) + 2
            col0, row0 = int((cx - x0) / mpp), int((cy - y0) / mpp)
            for row in range(max(0, row0 - reach), min(rows, row0 + reach + 1)):
                for col in range(max(0, col0 - reach), min(cols, col0 + reach + 1)):
                    dx, dy = x0 + (col + F(0.5)) * mpp - cx, y0 + (row + F(0.5)) * mpp - cy
                    u = np.sqrt(dx * dx + dy * dy) / radius
                    u *= F(1) + F(0.5) * value_noise(dx / 2 + gx, dy / 2 + gy, seed + 246)
                    if u < F(1.1):
                        amounts[3, row, col] = max(amounts[3, row, col], dark * min(F(1), 3 * (F(1.1) - u)))
