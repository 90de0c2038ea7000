"""Annotated regions for notebook 05: cut from H&E phantoms, or those of IGNITE.

A region is a picture with the class of each of its pixels, and each has its own size, as an annotator would
draw it. Class 0 means that nobody looked. Phantoms know what lies under such a gap, people do not.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.table import TISSUE_COLOURS, TISSUES
from her2kit.learning.datasets import ignite
from her2kit.learning.datasets.phantom_overviews import class_at
from her2kit.learning.pictures import read_raster
from her2kit.learning.segmentation import RegionSamples
from her2kit.learning.splits import split
from her2kit.slides.slide import open_slide

UNANNOTATED = 0
"""Class number of what nobody looked at, as in IGNITE."""
NAMES = ("unannotated", *TISSUES)
COLOURS = ("#3A3A3A", *TISSUE_COLOURS)
_IGNITE_COLOURS = (
    *("#3A3A3A", "#F4F4F4", "#D7263D", "#8E6BB0", "#4FA36B", "#2F6DB5", "#BFE3EF", "#D9C9B3", "#F2C14E"),
    *("#A11D33", "#E58BB5", "#9FD6C2", "#7F8C8D", "#F28C28", "#B5651D", "#6B4F3A", "#C6C84A"),
)


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions with their classes, and which part of a study each belongs to."""

    table: pd.DataFrame
    """One row a region: ``slide_id``, ``patient_id``, ``site``, ``part`` (train, val, test, site)."""
    pictures: list[Any]
    """uint8 (h, w, 3), or paths."""
    masks: list[Any]
    """uint8 (h, w), or paths; ``UNANNOTATED`` where nobody looked."""
    whole: list[np.ndarray] | None
    """The classes without gaps; None where nobody knows them."""
    names: tuple[str, ...]
    colours: tuple[str, ...]
    mpp: float
    read_mask: Any = read_raster

    def of(self, part: str) -> tuple[list[Any], list[Any]]:
        """Return pictures and masks of a part."""
        rows = np.flatnonzero(self.table["part"] == part)
        return [self.pictures[i] for i in rows], [self.masks[i] for i in rows]

    def samples(self, part: str, *, window_px: int, **options: Any) -> RegionSamples:
        """Return the samples of a part, gaps left out."""
        common = {"window_px": window_px, "unannotated": UNANNOTATED, "read_mask": self.read_mask}
        return RegionSamples(*self.of(part), self.names, **(common | options))


def phantom_regions(
    cohort: pd.DataFrame,
    *,
    mpp: float = 2.0,
    per_slide: int = 3,
    sides_um: tuple[float, float] = (240.0, 640.0),
    gaps: float = 0.15,
    new_site: str | None = None,
    parts: dict[str, float] | None = None,
    seed: int = 0,
) -> Regions:
    """Cut regions of many sizes, by choice where rare tissue lies, and deal them by patient.

    Parameters
    ----------
    cohort
        Manifest of phantoms, such as ``course.data.phantom_cohort(stain="he")`` gives.
    mpp
        Micrometres per pixel of the regions.
    per_slide
        Regions of a slide; they may overlap.
    sides_um
        Shortest and longest side.
    gaps
        Share of the training and validation masks that is made ``UNANNOTATED``. Test masks have no gap.
    new_site
        All slides of this site form the part ``site``; its patients appear nowhere else.
    parts
        Shares of the other patients' slides; ``{"train": 0.6, "val": 0.2, "test": 0.2}`` if None.
    """
    rng = np.random.default_rng([seed, 5])
    cohort = cohort.reset_index(drop=True)
    part = _parts(cohort, new_site, parts or {"train": 0.6, "val": 0.2, "test": 0.2}, seed)
    slides = [_read(row, mpp) for row in cohort.itertuples()]
    counts = sum(np.bincount(mask.ravel(), minlength=len(NAMES)) for _, mask in slides)
    rarity = 1 / np.sqrt(np.maximum(counts, 1))
    rows, pictures, masks, whole = [], [], [], []
    for i, (picture, mask) in enumerate(slides):
        if not part[i]:
            continue
        for _ in range(per_slide):
            places = [_place(rng, mask.shape, sides_um, mpp) for _ in range(10)]
            place = places[int(np.argmax([rarity[mask[at]].mean() for at in places]))]
            pictures.append(np.ascontiguousarray(picture[place]))
            whole.append(np.ascontiguousarray(mask[place]))
            share = gaps if part[i] in ("train", "val") else 0.0
            masks.append(with_gaps(whole[-1], share=share, rng=rng))
            rows.append({**{k: cohort[k][i] for k in ("slide_id", "patient_id", "site")}, "part": part[i]})
    return Regions(pd.DataFrame(rows), pictures, masks, whole, NAMES, COLOURS, mpp)


def ignite_regions(folder: str | os.PathLike, *, seed: int = 0) -> Regions:
    """Return the H&E regions of IGNITE with its own test part; a tenth of the other patients validates."""
    table = ignite.load(folder).table
    table = table[(table["task"] == "he") & table["mask_path"].notna()].reset_index(drop=True)
    test = (table["split"] == "test").to_numpy()
    dealt = split(table[~test], unit="patient_id", parts={"train": 0.9, "val": 0.1}, stratify=None, seed=seed)
    table["part"] = "test"
    table.loc[~test, "part"] = dealt.to_numpy()
    names = tuple(name.lower() for name in ignite.CLASSES)
    pictures, masks = list(table["path"]), list(table["mask_path"])
    return Regions(table, pictures, masks, None, names, _IGNITE_COLOURS, ignite.MPP, ignite.read_mask)


def with_gaps(mask: np.ndarray, *, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a mask with soft-edged blots of ``UNANNOTATED`` that cover about ``share`` of it."""
    if not 0 <= share < 1:
        raise ValueError(f"share={share}; use 0 to below 1")
    if share == 0:
        return mask.copy()
    hills = cv2.GaussianBlur(rng.normal(size=mask.shape).astype(np.float32), (0, 0), 12)
    return np.where(hills > np.quantile(hills, 1 - share), np.uint8(UNANNOTATED), mask)


def painted(
    mask: np.ndarray, colours: Sequence[str], *, over: np.ndarray | None = None, strength: float = 0.6
) -> np.ndarray:
    """Return the colours of class numbers, uint8 (h, w, 3); ``over`` a picture they let it shine through."""
    from matplotlib.colors import to_rgb

    colour = (np.array([to_rgb(c) for c in colours]) * 255)[mask]
    if over is not None:
        colour = strength * colour + (1 - strength) * over
    return colour.round().astype(np.uint8)


def class_shares(masks: Sequence[Any], names: Sequence[str], read_mask: Any = read_raster) -> pd.Series:
    """Return which share of all pixels each class takes."""
    read = (m if isinstance(m, np.ndarray) else read_mask(m) for m in masks)
    counts = sum(np.bincount(m.ravel(), minlength=len(names)) for m in read)
    return pd.Series(counts / np.sum(counts), index=pd.Index(list(names), name="class"))


def _parts(cohort: pd.DataFrame, new_site: str | None, shares: dict[str, float], seed: int) -> list[str]:
    """Return the part of each slide; empty where its patient was seen at the new site, too."""
    part = pd.Series("", index=cohort.index)
    away = cohort["site"] == new_site
    part[away] = "site"
    home = ~away & ~cohort["patient_id"].isin(cohort.loc[away, "patient_id"])
    dealt = split(
        cohort[home].reset_index(drop=True), unit="patient_id", parts=shares, stratify=None, seed=seed
    )
    part[home] = dealt.to_numpy()
    return part.tolist()


def _read(row: Any, mpp: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a slide's overview and its classes, counted from 1."""
    with open_slide(row.path) as slide:
        width, height = (int(n / slide.scale_at(mpp)) for n in (slide.width_px0, slide.height_px0))
        picture = slide.read(0, 0, width, height, mpp=mpp).pixels
    return picture, class_at(read_raster(row.mask_path), picture.shape[:2], mpp) + np.uint8(1)


def _place(
    rng: np.random.Generator, shape: tuple[int, ...], sides_um: tuple[float, float], mpp: float
) -> tuple[slice, slice]:
    """Return a random place of a random size."""
    found = []
    for n in shape[:2]:
        side = min(n, round(rng.uniform(*sides_um) / mpp))
        start = int(rng.integers(0, n - side + 1))
        found.append(slice(start, start + side))
    return found[0], found[1]
