"""MIHIC: 309,698 IHC tiles of 128 px in seven classes of tissue, from lung tissue microarrays, 12 markers.

``{train,val,test}/{background,Tumor,Stroma,Immune cells,Necrosis,alveoli,Other}/*.png``. File names begin
with the patient and the marker (``<patient>-<marker>-...``, read second-hand): the split is by annotated
region, not by patient, so one patient's tissue may stand in several parts.

The slides were scanned at 40x; for the tiles, sources say 20x and 40x. ``mpp`` is a column, a tile's own.
Pixels that are missing were written as pure black; ``black_to_white`` makes them glass.

References
----------
Wang et al. Front Immunol 2024;15:1334348; https://zenodo.org/records/10065510
"""

import os
import re

import numpy as np

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, Published, manifest_table, skipped_table
from her2kit.learning.datasets.scan import SPLITS, Found, check_first_pictures, look_and_unpack

KEY = "mihic"
LABELS = ("background", "tumour", "stroma", "immune", "necrosis", "alveoli", "other")
"""In the order of their ids, 0 to 6: the kit's tissues, with alveoli in the place of fat."""
MPP_40X = 42660.87 / 188416
"""Of the scans: width of a section in um over its pixels, as the Zenodo record gives them."""
MPP_20X = 2 * MPP_40X
"""Of the tiles if they were cut at 20x."""
_FOLDERS = {
    **{"background": 0, "tumor": 1, "tumour": 1, "stroma": 2, "immune cells": 3, "immune": 3, "necrosis": 4},
    **{"nerosis": 4, "alveoli": 5, "other": 6},
}
_MARKERS = "CD3|CD20|CD34|CD38|CD68|CDK4|cyclin(?:[ _-]?D1)?|D2(?:[ _-]?40)?|FAP|Ki[ _-]?67|P53|SMA"
_NAME = re.compile(rf"(.+?)[-_ ]({_MARKERS})[-_ ].+", re.IGNORECASE)
PUBLISHED = (
    Published(
        "seen in MIHIC_dataset.zip", {("train", "all"): 195001, ("val", "all"): 49260, ("test", "all"): 65437}
    ),
)


def load(folder: str | os.PathLike, *, mpp: float = MPP_20X) -> Dataset:
    """Load the tiles.

    Parameters
    ----------
    folder
        Holds the archive, or ``train``, ``val`` and ``test`` at any depth.
    mpp
        Micrometres per pixel of the tiles: 20x, as R2 and the article's patches are described, or
        ``MPP_40X``.

    Returns
    -------
    Dataset
        Table: the manifest's columns (``stain`` is the marker), ``tile_id`` and ``class_id`` 0 to 6.

    Raises
    ------
    DatasetError
        If a part or a class folder is missing or unknown.
    """
    if not 0.05 <= mpp <= 5:
        raise ValueError(f"mpp={mpp}; give MPP_20X ({MPP_20X:.3f}) or MPP_40X ({MPP_40X:.3f})")
    found, unpacked = look_and_unpack(folder, enough=lambda seen: any(map(_split_of, seen.pictures)))
    rows, skipped = [], list(found.left)
    for parts in found.pictures:
        split = _split_of(parts)
        if split is None:
            skipped.append((found.path(parts), "lies in no folder train, val or test"))
        else:
            rows.append(_row(found, parts, split))
    _check(found, rows)
    unnamed = sum(row["patient_id"] is None for row in rows)
    notes = [
        f"mpp is {mpp:.4f}; sources say 20x ({MPP_20X:.4f}) and 40x ({MPP_40X:.4f}): see load(..., mpp=)",
        "black pixels stand for missing ones: black_to_white makes them glass",
        "published counts are those of the parts, without classes",
        *(f"{path} was unpacked beside itself" for path in unpacked),
    ]
    if unnamed < len(rows):
        notes.append("patients and markers are read from the file names, as a second hand describes them")
        sides: dict[str, set[str]] = {}
        for row in rows:
            if row["patient_id"]:
                sides.setdefault(row["patient_id"], set()).add(row["split"])
        both = sum(len(splits) > 1 for splits in sides.values())
        if both:
            notes.append(
                f"{both:,} of {len(sides):,} patients stand in several parts: the split is by region"
            )
    if unnamed:
        notes.append(f"{unnamed:,} file names tell no patient and no marker")
    table = manifest_table(rows, dataset=KEY, mpp=mpp)
    return Dataset(KEY, found.folder, table, skipped_table(skipped), tuple(notes), PUBLISHED)


def black_to_white(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels with pure black, which stands for missing, turned to white.

    Parameters
    ----------
    pixels : uint8 array of shape (..., 3)
        RGB.
    """
    return np.where((pixels == 0).all(axis=-1, keepdims=True), np.uint8(255), pixels)


def _split_of(parts: tuple[str, ...]) -> str | None:
    return SPLITS.get(parts[-3].lower()) if len(parts) > 2 else None


def _row(found: Found, parts: tuple[str, ...], split: str) -> dict:
    number = _FOLDERS.get(parts[-2].lower().replace("_", " ").strip())
    if number is None:
        raise DatasetError(
            f"{found.path(parts)}: the class {parts[-2]!r} of its folder is unknown; use Tumor, "
            "Stroma, Immune cells, Necrosis, alveoli, Other or background"
        )
    stem = parts[-1].rsplit(".", 1)[0]
    name = _NAME.fullmatch(stem)
    return {
        "path": found.path(parts),
        "patient_id": name[1] if name else None,
        "label": LABELS[number],
        "split": split,
        "stain": _marker(name[2]) if name else None,
        "tile_id": stem,
        "class_id": number,
    }


def _marker(word: str) -> str:
    word = re.sub(r"[ _-]", "", word.lower())
    return {"cyclin": "cyclin-d1", "cyclind1": "cyclin-d1", "d2": "d2-40", "d240": "d2-40"}.get(word, word)


def _check(found: Found, rows: list[dict]) -> None:
    if not rows:
        raise DatasetError(
            f"{found.folder} has no picture in train/Tumor or the like; give the folder of MIHIC"
        )
    for split in ("train", "val", "test"):
        there = {row["label"] for row in rows if row["split"] == split}
        if missing := [label for label in LABELS if label not in there]:
            raise DatasetError(
                f"{found.folder}: {split} has no picture of {', '.join(missing)}; unpack the archive again"
            )
    check_first_pictures({(row["split"], row["label"]): row["path"] for row in rows[::-1]}.values())
