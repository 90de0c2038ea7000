"""Frozen sections in H&E at low magnification: lymph nodes with or without a metastasis, and its true length.

Cheap enough for hundreds of slides: one kernel paints about 3.5 um per pixel, where a nucleus is two pixels
wide, so tissue is texture here and no cell has a place. The two sites stand at 16 x 0.221 and 8 x 0.389
um/px. Frozen sections have ice-crystal holes, ragged edges and folds, and each is stained a little otherwise.
Nodes with and without tumour hold scars and sheets of histiocytes, as pink as many a metastasis; metastases
grow in sheets or nests, with lymphocytes among them, and their border frays. Truth is a reader's smooth
outline: a mask, polygons, and the longest diameter of the largest deposit, satellites apart from it left out,
as pN staging measures it.

References
----------
Amin MB et al. AJCC Cancer Staging Manual, 8th ed., Breast: only the largest contiguous deposit is measured.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.errors import PlanError
from her2kit.exchange.geojson import Region, write_regions
from her2kit.exchange.whole import whole_file
from her2kit.phantom.cohort import MANIFEST
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.ground import step
from her2kit.phantom.noise import F, field, jit, value_noise
from her2kit.phantom.optics import blur, expose, to_light
from her2kit.phantom.regions import major_axis, polygons
from her2kit.phantom.site import SITES, Site
from her2kit.slides.pyramid import write_pyramid

FROZEN_SITES: tuple[Site, ...] = (
    replace(
        SITES["alder"], name="frozen-16x", mpp=3.536, blur_um=2.2, sharpen=0.6, sharpen_um=4.5, noise=1.2,
        drift=0.7, blotch=1.5,
    ),
    replace(
        SITES["birch"], name="frozen-8x", mpp=3.112, blur_um=2.0, sharpen=0.4, sharpen_um=4.5, noise=1.5,
        drift=0.7, blotch=1.5, hematoxylin_he=(0.60, 0.74, 0.30), eosin=(0.10, 0.92, 0.38),
    ),
)  # fmt: skip
_GLASS, _NODE, _FAT, _TUMOUR, _SCAR, _HISTIOCYTES = range(6)
_GAP_UM = 40.0
"""A reader's pen: gaps narrower than this are outlined as tumour, and strands thinner are left out."""


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """One frozen section."""

    slide_id: str
    patient_id: str
    site: Site
    tumour: bool
    """Whether the node holds a metastasis."""
    seed: int
    size_um: tuple[float, float] = (9000.0, 7000.0)

    def __post_init__(self):
        """Check the size."""
        if not 1500 <= min(self.size_um) <= max(self.size_um) <= 60_000:
            raise PlanError(f"size_um={self.size_um}; give sides between 1500 and 60000 um")


def make_frozen_cohort(
    out: str | Path,
    *,
    slides: int = 20,
    seed: int = 0,
    size_um: tuple[float, float] = (9000.0, 7000.0),
    sites: Sequence[Site] = FROZEN_SITES,
    progress: Callable[[float], None] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write frozen sections, every other one with a metastasis, and return the manifest's path.

    Two sections of one patient come from one site; patients take turns at the ``sites``.
    Below ``out``: ``manifest.csv`` (``label`` is tumour or normal), ``slides/<slide_id>.tif`` and
    ``truth/<slide_id>/{tumour.png, tumour.geojson, score.json}``; ``score.json`` holds ``major_axis_um``.

    Raises
    ------
    ValueError
        If ``out`` exists and ``overwrite`` is not given.
    PlanError
        If ``slides`` or ``size_um`` cannot be.
    """
    if slides < 1 or not sites:
        raise PlanError(f"slides={slides}, {len(sites)} sites; give at least 1 of each")
    plans = [
        FrozenPlan(
            slide_id=f"frozen_{seed}_{index:03d}",
            patient_id=f"frozen_patient_{seed}_{index // 2:03d}",
            site=sites[(index // 2) % len(sites)],
            tumour=index % 2 == 0,
            seed=int(np.random.default_rng([seed, index]).integers(1 << 30)),
            size_um=size_um,
        )
        for index in range(slides)
    ]
    out = Path(out)
    with whole_folder(out, overwrite=overwrite) as part:
        rows = []
        for index, plan in enumerate(plans):
            make_frozen(plan, part)
            rows.append(_row(plan))
            if progress is not None:
                progress((index + 1) / len(plans))
        pd.DataFrame(rows, columns=list(MANIFEST)).to_csv(part / "manifest.csv", index=False)
    return out / "manifest.csv"


def make_frozen(plan: FrozenPlan, out: Path) -> dict:
    """Write one frozen section with its truth below ``out`` and return the content of ``score.json``."""
    mpp = plan.site.mpp
    kind, edge, frayed, look = _lay_out(plan)
    amounts = np.zeros((4, *kind.shape), np.float32)
    _paint(amounts, kind, edge, frayed, look, F(mpp), plan.seed)
    light = blur(to_light(amounts, plan.site, stain="he"), plan.site.blur_um / mpp)
    pixels = expose(light, plan.site, mpp=mpp, x0_px=0, y0_px=0, seed=plan.seed)
    write_pyramid(out / "slides" / f"{plan.slide_id}.tif", pixels, mpp=mpp, quality=plan.site.quality)
    mask = kind == _TUMOUR
    axis = major_axis(_largest(mask))
    score = {
        "slide_id": plan.slide_id,
        "label": "tumour" if plan.tumour else "normal",
        "mpp": mpp,
        "major_axis_um": axis["major_axis_um"] and axis["major_axis_um"] * mpp,
        "major_axis_ends_px0": axis["major_axis_ends_um"],
        "tumour_mm2": float(mask.sum() * mpp**2 / 1e6),
        "site": plan.site.name,
        "seed": plan.seed,
    }
    folder = out / "truth" / plan.slide_id
    write_regions(folder / "tumour.geojson", [Region("tumour", p) for p in polygons(mask, scale=1.0)])
    with whole_file(folder / "tumour.png") as part:
        _, coded = cv2.imencode(".png", mask.astype(np.uint8) * 255)
        part.write_bytes(coded.tobytes())
    with whole_file(folder / "score.json") as part:
        part.write_text(json.dumps(score, indent=1) + "\n", encoding="utf-8")
    return score


def _largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part of a mask."""
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]) if n > 1 else mask


def _lay_out(plan: FrozenPlan) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what a section is like.

    The kind of each pixel, uint8; the distance to the edge of the tissue in um, float32; the distance to the
    reader's outline of tumour in um, float32, positive inside; and the numbers that `_paint` calls ``look``.
    """
    rng = np.random.default_rng(plan.seed)
    mpp = plan.site.mpp
    width, height = (int(side / mpp) for side in plan.size_um)
    shape = (height, width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.uniform(-0.5, 0.5)
    u = (x - width / 2) * np.cos(turn) + (y - height / 2) * np.sin(turn)
    v = (y - height / 2) * np.cos(turn) - (x - width / 2) * np.sin(turn)
    size = min(width, height)
    bumpy = field(shape, 0.22 * size, rng) * 0.045 * size + field(shape, 40 / mpp, rng) * 8 / mpp
    node = 1 - np.hypot(u / (rng.uniform(0.34, 0.42) * width), v / (rng.uniform(0.30, 0.40) * height))
    edge = (node * 0.36 * size + bumpy) * mpp
    rim = rng.uniform(150, 500)
    kind = np.where(edge > 0, _NODE, np.where(edge > -rim, _FAT, _GLASS)).astype(np.uint8)
    inside = edge > 40
    for _ in range(int(rng.integers(1, 6))):
        what = _SCAR if rng.random() < 0.4 else _HISTIOCYTES
        patch = _blob(shape, inside, x, y, rng.uniform(80, 450) / mpp, rng, squeeze=rng.uniform(0.3, 1.0))
        kind[patch & inside] = what
    outline = np.zeros(shape, bool)
    if plan.tumour:
        outline = _metastasis(inside, x, y, size, mpp, rng)
        kind[outline] = _TUMOUR
    frayed = _signed_distance(outline) * mpp
    angle = rng.uniform(0, np.pi)
    look = np.array(
        [
            np.exp(rng.normal(0, 0.18)),  # hematoxylin: section thickness, minutes in the bath
            np.exp(rng.normal(0, 0.22)),  # eosin
            rng.uniform(-0.45, 0.15),  # how much of a tumour is stroma between its nests
            rng.uniform(0.18, 0.40),  # its nuclei
            rng.uniform(0.25, 0.75),  # above this noise it is full of lymphocytes
            rng.uniform(5, 35),  # um over which its border frays
            np.cos(angle), np.sin(angle),  # a fold, its direction
            rng.uniform(0.2, 0.8) * width * mpp * np.cos(angle)
            + rng.uniform(0.2, 0.8) * height * mpp * np.sin(angle),  # its place
            rng.choice([0, 0, 18, 30]),  # its width in um; half of the sections have none
        ],
        np.float32,
    )  # fmt: skip
    return kind, edge.astype(np.float32), frayed, look


def _blob(shape, inside, x, y, radius, rng, *, squeeze, at=None) -> np.ndarray:
    """Return an irregular round patch, bool ``shape``, around a point: ``at``, or any of ``inside``."""
    if at is None:
        ys, xs = np.nonzero(inside)
        pick = rng.integers(len(ys))
        at = xs[pick], ys[pick]
    turn = rng.uniform(0, np.pi)
    u = (x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)
    v = (y - at[1]) * np.cos(turn) - (x - at[0]) * np.sin(turn)
    noise = field(shape, max(0.6 * radius, 4), rng) * 0.22 * radius
    return radius - np.hypot(u, v / squeeze) + noise > 0


def _metastasis(inside, x, y, size, mpp, rng) -> np.ndarray:
    """Return the outline of one metastasis, often with satellites, inside the node; never empty."""
    ys, xs = np.nonzero(inside)
    radius = np.exp(rng.uniform(np.log(180), np.log(0.22 * size * mpp))) / mpp
    pick = rng.integers(len(ys))
    out = np.zeros(inside.shape, bool)
    for number in range(1 + int(rng.integers(0, 4))):
        r = radius if number == 0 else radius * rng.uniform(0.15, 0.45)
        at = np.array([xs[pick], ys[pick]], float)
        if number:
            away, turn = radius * rng.uniform(0.9, 1.6), rng.uniform(0, 2 * np.pi)
            at += away * np.array([np.cos(turn), np.sin(turn)])
        out |= _blob(inside.shape, inside, x, y, r, rng, squeeze=rng.uniform(0.6, 1.0), at=at)
    side = 2 * round(_GAP_UM / 2 / mpp) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smooth = (out & inside).astype(np.uint8)
    for how in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        smooth = cv2.morphologyEx(smooth, how, disc)
    return smooth.astype(bool) & inside


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Return pixels to the border of a mask, float32, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -1e6, np.float32)
    inner, outer = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 3) for m in (mask, ~mask))
    return np.where(mask, inner - 0.5, 0.5 - outer).astype(np.float32)


@jit
def _paint(amounts, kind, edge, frayed, look, mpp, seed):
    """Fill hematoxylin, eosin and grey for every pixel, in place."""
    for row in range(kind.shape[0]):
        y = F(row) * mpp
        for col in range(kind.shape[1]):
            x = F(col) * mpp
            what = kind[row, col]
            if what == 0:
                continue
            fine = value_noise(x / F(7.5), y / F(7.5), seed + 1)
            finer = value_noise(x / F(4.0), y / F(4.0), seed + 2)
            middle = value_noise(x / 24, y / 24, seed + 3)
            broad = value_noise(x / 300, y / 300, seed + 4)
            crack = F(0.6) * value_noise(x / 30, y / 30, seed + 5) + F(0.4) * value_noise(
                x / 11, y / 11, seed + 6
            )
            hole = step(crack + F(0.25) * broad, F(0.42), F(0.55))
            dots = step(fine + F(0.6) * finer, F(0.0), F(0.8))
            if what != 2 and frayed[row, col] > F(-120):
                fray = value_noise(x / 45, y / 45, seed + 11) + F(0.6) * middle
                if frayed[row, col] + look[5] * fray > 0:
                    what = 3
                elif what == 3:
                    what = 1
            if what == 3 and value_noise(x / 90, y / 90, seed + 12) + F(0.3) * middle > look[4]:
                what = 1
            h = e = F(0)
            if what == 1:
                follicle = step(value_noise(x / 260, y / 260, seed + 7), F(0.45), F(0.65))
                sinus = step(F(1) - abs(value_noise(x / 150, y / 150, seed + 8)) * 6, F(0.35), F(0.8))
                h = (F(0.16) + F(0.40) * dots) * (F(1) - F(0.40) * follicle) * (F(1) - F(0.55) * sinus)
                e = F(0.13) + F(0.06) * middle + F(0.10) * sinus
            elif what == 2:
                wall = F(1) - abs(value_noise(x / 45, y / 45, seed + 9)) * 7
                line = step(wall, F(0.2), F(0.8))
                band = step(edge[row, col], F(-45), F(-10))
                h = F(0.05) * line + F(0.06) * band * (1 + fine)
                e = F(0.16) * line + F(0.30) * band * (1 + F(0.3) * middle)
                hole *= F(1) - band
            elif what == 3:
                nests = step(
                    value_noise(x / 60, y / 60, seed + 10) + F(0.4) * middle, look[2], look[2] + F(0.4)
                )
                large = step(value_noise(x / 11, y / 11, seed + 13) + F(0.5) * fine, F(0.0), F(0.7))
                h = F(0.10) + (F(0.07) + look[3] * large) * nests + F(0.10) * dots * (1 - nests)
                e = F(0.20) + F(0.10) * (1 - nests) + F(0.05) * middle
            elif what == 4:
                along, across = x * look[6] + y * look[7], y * look[6] - x * look[7]
                streak = value_noise(across / 14 + F(2) * broad, along / 70, seed + 14)
                h = F(0.06) + F(0.22) * dots * step(streak, F(0.25), F(0.7))
                e = F(0.27) + F(0.08) * streak
            else:
                sparse = step(fine + F(0.5) * middle, F(0.45), F(0.95))
                h = F(0.09) + F(0.24) * sparse
                e = F(0.19) + F(0.06) * middle
            away = x * look[6] + y * look[7] - look[8] + F(60) * value_noise(x / 400, y / 400, seed + 15)
            fold = F(1) + F(0.8) * (F(1) - step(abs(away), look[9] * F(0.7), look[9] + F(0.1)))
            slow = (F(1) + F(0.18) * broad) * (F(1) - hole) * fold
            amounts[0, row, col] = h * slow * look[0]
            amounts[2, row, col] = e * slow * look[1]


def _row(plan: FrozenPlan) -> dict:
    return {
        "path": f"slides/{plan.slide_id}.tif",
        "dataset": "phantom-frozen",
        "patient_id": plan.patient_id,
        "slide_id": plan.slide_id,
        "label": "tumour" if plan.tumour else "normal",
        "split": "",
        "site": plan.site.name,
        "mpp": plan.site.mpp,
        "stain": "he",
        "pair_path": "",
        "mask_path": f"truth/{plan.slide_id}/tumour.png",
        "guideline": "",
        "specimen": "frozen",
        "control_status": "unknown",
        "ish": "unknown",
        "tumour_path": f"truth/{plan.slide_id}/tumour.geojson" if plan.tumour else "",
    }
