"""The phantom's own rule from planted cells to a slide score. Shares nothing with ``her2kit.scoring``.

It is the pure rule, written a second time from the guideline's text (Wolff et al., JCO 36:2105; gastric:
Ruschoff and Hofmann), with integers only. Floors and policies belong to the measurement, not to the truth.
"""

from collections.abc import Mapping

Pair = tuple[str, str]


def cell_class(completeness: str, intensity: str, *, guideline: str) -> str:
    """Return the class of one cell, "0" to "3+", from its planted pair."""
    if intensity == "none":
        return "0"
    if guideline.startswith("gastric"):
        return {"faint": "1+", "intense": "3+"}.get(intensity, "2+")
    if completeness == "complete":
        return {"faint": "1+", "intense": "3+"}.get(intensity, "2+")
    return "2+" if intensity in ("moderate", "intense") else "1+"


def planted_score(counts: Mapping[Pair, int], guideline: str) -> dict:
    """Return the score of a slide from how many invasive cells have each pair.

    Parameters
    ----------
    counts
        Cells per (completeness, intensity).

    Returns
    -------
    dict
        ``status``, ``score``, ``category``, ``n_cells``, ``counts`` and ``percent`` by class, ``ci``, ``cw``,
        ``im``, ``any``, ``h_score_membrane_class`` and ``h_score_intensity``.

    Notes
    -----
    ``gastric-biopsy`` needs positions and is scored here as the highest class with at least 5 cells.
    """
    n = sum(counts.values())
    classes = dict.fromkeys(("0", "1+", "2+", "3+"), 0)
    for pair, count in counts.items():
        classes[cell_class(*pair, guideline=guideline)] += count
    ci = counts.get(("complete", "intense"), 0)
    cw = counts.get(("complete", "weak"), 0) + counts.get(("complete", "moderate"), 0)
    im = counts.get(("incomplete", "moderate"), 0) + counts.get(("incomplete", "intense"), 0)
    stained = n - counts.get(("none", "none"), 0)
    score = None
    if n > 0:
        score = (
            _gastric(classes, n, guideline)
            if guideline.startswith("gastric")
            else _breast(ci, cw, im, stained, n)
        )
    weight = {"none": 0, "faint": 1, "weak": 1, "moderate": 2, "intense": 3}
    return {
        "status": "scored" if n else "not_evaluable",
        "score": score,
        "category": _category(score, stained, guideline),
        "n_cells": n,
        "counts": classes,
        "percent": {name: 100 * count / n if n else None for name, count in classes.items()},
        "ci": ci,
        "cw": cw,
        "im": im,
        "any": stained,
        "h_score_membrane_class": 100 * (classes["1+"] + 2 * classes["2+"] + 3 * classes["3+"]) / n
        if n
        else None,
        "h_score_intensity": 100 * sum(weight[p[1]] * c for p, c in counts.items()) / n if n else None,
    }


def _breast(ci: int, cw: int, im: int, stained: int, n: int) -> str:
    if 10 * ci > n:
        return "3+"
    if 10 * (ci + cw) > n or ci > 0 or 10 * (ci + cw + im) > n:
        return "2+"
    return "1+" if 10 * stained > n else "0"


def _gastric(classes: Mapping[str, int], n: int, guideline: str) -> str:
    reached = 0
    for name in ("3+", "2+", "1+"):
        reached += classes[name]
        if (guideline == "gastric-biopsy" and reached >= 5) or (
            guideline != "gastric-biopsy" and 10 * reached >= n
        ):
            return name
    return "0"


def _category(score: str | None, stained: int, guideline: str) -> str | None:
    if score is None:
        return None
    if score == "3+":
        return "positive"
    if score == "2+":
        return "pending"
    if guideline.startswith("gastric"):
        return "negative"
    if score == "1+":
        return "low"
    return "ultralow" if stained else "null"
