"""Make a cohort: slides of many cases, patients and sites, their truth, a manifest, and readers of stated
skill.

Everything is written into a temporary folder beside the target and renamed at the end: a cohort is whole or
absent.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import PlanError
from her2kit.phantom.degrade import check_degradations
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.plan import PATTERNS, STAINS, Fractions, Mix, Plan
from her2kit.phantom.ready import COHORT, ready_case
from her2kit.phantom.site import SITES, Site
from her2kit.phantom.slide import make_slide

MANIFEST = (
    *("path", "dataset", "patient_id", "slide_id", "label", "split", "site", "mpp", "stain", "pair_path"),
    *("mask_path", "guideline", "specimen", "control_status", "ish", "tumour_path"),
)
"""Columns of the manifest, in order."""
READERS = {"expert": 0.95, "trained": 0.85, "novice": 0.65}
"""Readers and the share of slides that they read right; a wrong reading is one class off."""
_SMALL_UM = 300.0
"""A slide smaller than this holds little but tumour: it is there for quick tests."""
_SCORES = ("0", "1+", "2+", "3+")


def plan_cohort(
    *,
    slides: int,
    seed: int = 0,
    size_px: int | tuple[int, int] = 4096,
    mpp: float | None = None,
    sites: int | Sequence[Site] = 2,
    stain: str = "her2",
    cases: Sequence[str] | None = None,
    degrade: str | None = None,
) -> list[Plan]:
    """Return the plans of a cohort: one a slide, deterministic in ``seed``.

    Parameters
    ----------
    size_px
        Side, or width and height, of each slide.
    mpp
        ``None``: each site's own.
    sites
        How many of the ready-made sites take part, or the sites themselves.
    cases
        Names of ready-made cases, taken in turn; ``None``: a mixture that begins with 3+, 0, 2+ and 1+.
    degrade
        ``NAME`` or ``NAME=STRENGTH``, comma-separated, for every slide.

    Raises
    ------
    PlanError
        If a case, site or degradation is unknown, or a plan cannot be drawn.
    """
    if slides < 1:
        raise PlanError(f"slides={slides}; give at least 1")
    if seed < 0:
        raise PlanError(f"seed={seed}; give 0 or a positive whole number")
    if stain not in STAINS:
        raise PlanError(f"stain={stain!r}; use one of {', '.join(STAINS)}")
    places = _sites(sites)
    names = tuple(cases) if cases is not None else COHORT
    size = (size_px, size_px) if isinstance(size_px, int) else (size_px[0], size_px[1])
    spoiled = check_degradations(degrade)
    plans = []
    for index in range(slides):
        rng = np.random.default_rng([seed, index])
        case = ready_case(names[index % len(names)])
        place = places[index % len(places)]
        side_um = min(size) * (mpp or place.mpp)
        small = side_um < _SMALL_UM
        if "patterns" not in case:
            pick = rng.choice(len(PATTERNS) - 1, 2, replace=False)
            case["patterns"] = ("solid", "nests") if small else tuple(PATTERNS[i] for i in pick)
        case.setdefault("mix", Mix(0.85, 0, 0, 0.02, 0, 0, 0) if small else _mix(rng))
        case.setdefault("in_situ_fractions", _in_situ(rng))
        # Every third patient has two slides.
        patient = index - (index + 2) // 4 if index else 0
        plans.append(
            Plan(
                **case,
                slide_id=f"phantom_{seed}_{index:03d}",
                patient_id=f"patient_{seed}_{patient:03d}",
                size_px=size,
                mpp=mpp,
                site=place,
                seed=int(rng.integers(1 << 31)),
                stain=stain,
                degrade=spoiled,
                cell_spacing_um=float(rng.uniform(8.4, 9.6)),
                nucleus_um2=float(rng.uniform(42, 54)),
                heterogeneity_um=float(rng.uniform(90, 220)),
            )
        )
    return plans


def make_cohort(
    out: str | Path,
    *,
    slides: int = 4,
    seed: int = 0,
    size_px: int | tuple[int, int] = 4096,
    mpp: float | None = None,
    sites: int | Sequence[Site] = 2,
    stain: str = "her2",
    cases: Sequence[str] | None = None,
    with_he: bool = False,
    degrade: str | None = None,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a cohort below ``out`` and return the path of its manifest.

    The arguments up to ``cases`` are those of ``plan_cohort``.

    Raises
    ------
    ValueError
        If ``out`` exists and ``overwrite`` is not given.
    """
    out = Path(out)
    plans = plan_cohort(
        slides=slides,
        seed=seed,
        size_px=size_px,
        mpp=mpp,
        sites=sites,
        stain=stain,
        cases=cases,
        degrade=degrade,
    )
    with whole_folder(out, overwrite=overwrite) as part:
        rows = []
        for index, plan in enumerate(plans):
            tell = None if progress is None else (lambda share, i=index: progress((i + share) / len(plans)))
            score = make_slide(plan, part, with_he=with_he, workers=workers, progress=tell)
            rows.append(_row(plan, score, with_he))
        pd.DataFrame(rows, columns=list(MANIFEST)).to_csv(part / "manifest.csv", index=False)
        readings(rows, seed=seed).to_csv(part / "readers.csv", index=False)
    return out / "manifest.csv"


def readings(rows: Sequence[dict], *, seed: int) -> pd.DataFrame:
    """Return what readers of stated skill call each slide: ``reader, skill, slide_id, score``."""
    out = []
    for number, (reader, skill) in enumerate(READERS.items()):
        rng = np.random.default_rng([seed, 1000 + number])
        for row in rows:
            right, up = rng.random() < skill, rng.random() < 0.5
            if row["label"] is None:
                continue
            index = _SCORES.index(row["label"])
            if not right:
                index = index + 1 if (up and index < 3) or index == 0 else index - 1
            out.append(
                {"reader": reader, "skill": skill, "slide_id": row["slide_id"], "score": _SCORES[index]}
            )
    return pd.DataFrame(out, columns=["reader", "skill", "slide_id", "score"])


def _mix(rng: np.random.Generator) -> Mix:
    """Return a breast-like mixture of tissue; a third of the slides has no carcinoma in situ."""
    return Mix(
        invasive=float(rng.uniform(0.45, 0.72)),
        in_situ=float(max(0, rng.uniform(-0.025, 0.05))),
        normal=float(rng.uniform(0, 0.05)),
        immune=float(rng.uniform(0.01, 0.06)),
        necrosis=float(max(0, rng.uniform(-0.01, 0.02))),
        fat=float(rng.uniform(0, 0.12)),
    )


def _in_situ(rng: np.random.Generator) -> Fractions:
    """Return the stain of carcinoma in situ, which need not be that of the invasive part."""
    strong = float(rng.uniform(0, 0.7))
    return {
        ("complete", "intense"): strong,
        ("complete", "moderate"): 0.6 * (1 - strong),
        ("incomplete", "weak"): 0.2 * (1 - strong),
        ("none", "none"): 0.2 * (1 - strong),
    }


def _row(plan: Plan, score: dict, with_he: bool) -> dict:
    label = score["score"] if plan.stain == "her2" else None
    ish = "unknown"
    if label == "2+":
        ish = "amplified" if np.random.default_rng([plan.seed, 7]).random() < 0.3 else "not_amplified"
    return {
        "path": f"slides/{plan.slide_id}.tif",
        "dataset": "phantom",
        "patient_id": plan.patient_id,
        "slide_id": plan.slide_id,
        "label": label,
        "split": "",
        "site": plan.site.name,
        "mpp": plan.pixel_um,
        "stain": plan.stain,
        "pair_path": f"slides/{plan.slide_id}_he.tif" if with_he else "",
        "mask_path": f"truth/{plan.slide_id}/regions.png",
        "guideline": plan.guideline,
        "specimen": plan.specimen,
        "control_status": "valid",
        "ish": ish,
        "tumour_path": f"truth/{plan.slide_id}/tumour.geojson",
    }


def _sites(sites: int | Sequence[Site]) -> list[Site]:
    if not isinstance(sites, int):
        return list(sites)
    if not 1 <= sites <= len(SITES):
        raise PlanError(f"sites={sites}; give a number from 1 to {len(SITES)}")
    return list(SITES.values())[:sites]
