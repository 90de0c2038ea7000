"""HER2-IHC-40x: HER2 tiles of breast, 1024 px at 40x, in two variants whose names are the wrong way round.

The article calls the variant that was split by slide "HER2-IHC-40x" and the one split by tile
"HER2-IHC-40x-WSI"; the archives are called the opposite (``...-wsi.zip`` holds the split by slide). So the
variant is told by content. A file is called ``her2-<score>-score_<train|test>_<n>.png``: where name and
folder agree on train and test throughout, the split is by slide; where the same group of names lies on both
sides, it is by tile, and tiles of one slide stand in train and test.

No file names its slide. The 107 slides can be kept apart between train and test of the split by slide, and
nowhere else: a validation part can only be drawn by tile.

References
----------
Nabi et al. Data in Brief 2025, 111922; https://zenodo.org/records/15179608 (CC BY-SA 4.0).
"""

import os
import re
from collections import Counter
from urllib.parse import unquote

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, Published, manifest_table, skipped_table
from her2kit.learning.datasets.scan import Found, check_first_pictures, look_and_unpack, named_like

KEY = "her2-ihc-40x"
LABELS = ("0", "1+", "2+", "3+")
VARIANTS = ("slide-split", "patch-split")
MPP = 0.25
"""Nominal at 40x; the files hold none."""
_CLASS = re.compile(r"class[ _-]?(.*)", re.IGNORECASE)
_NAME = re.compile(r"her2-(0|1\+|2\+|3\+)-score_(train|test)_\d+", re.IGNORECASE)
_NUMBER = re.compile(r"[ _-]?\d+$")
_SPLITS = {"train": "train", "test": "test"}


def _counts(train: tuple[int, ...], test: tuple[int, ...]) -> dict[tuple[str, str], int]:
    return {
        (split, label): n
        for split, ns in (("train", train), ("test", test))
        for label, n in zip(LABELS, ns, strict=True)
    }


PUBLISHED = {
    "slide-split": (
        Published("seen in her2-ihc-40x-wsi.zip", _counts((3131, 1837, 523, 2602), (658, 316, 111, 762))),
        Published("Nabi et al. 2025", _counts((3031, 1722, 507, 2691), (758, 431, 127, 673))),
    ),
    "patch-split": (Published("Nabi et al. 2025", _counts((3031, 2151, 905, 2710), (758, 538, 226, 678))),),
}
"""The article's counts of the split by slide are not those of its archive; the sums of each class are."""


def load(folder: str | os.PathLike, *, variant: str | None = None) -> Dataset:
    """Load one variant, from the archives as they come or from whatever they were unpacked to.

    Parameters
    ----------
    folder
        Holds the archives, or at any depth ``class_0`` ... ``class_3+`` below folders named after train and
        test. Archives are unpacked beside themselves.
    variant
        ``slide-split`` or ``patch-split``; None takes the split by slide where both are there.

    Returns
    -------
    Dataset
        Table: the manifest's columns, ``tile_id``, and what the file name says: ``name_split``,
        ``slide_score``.

    Raises
    ------
    DatasetError
        If a class folder is missing or unknown, train or test is missing, a file stands there twice, or the
        variant asked for is not there.
    """
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant={variant!r}; use one of {', '.join(VARIANTS)}")
    found, unpacked = look_and_unpack(folder, enough=lambda seen: any(map(_class_of, seen.pictures)))
    roots: dict[tuple[str, ...], list[dict]] = {}
    skipped = list(found.left)
    for parts in found.pictures:
        row = _row(found, parts)
        if row is None:
            skipped.append((found.path(parts), "lies in no class folder"))
        else:
            roots.setdefault(row.pop("root"), []).append(row)
    if not roots:
        raise DatasetError(f"{found.folder} has no picture in folders class_0 to class_3+; give its folder")
    seen: dict[str, tuple[list[dict], list[str]]] = {}
    for root, rows in roots.items():
        where = found.path(root)
        _check(where, rows)
        kind, why = _variant(where, rows)
        if kind in seen:
            raise DatasetError(f"{where} holds the {kind} variant, as another folder does; remove one")
        seen[kind] = rows, why
    chosen = variant or ("slide-split" if "slide-split" in seen else "patch-split")
    if chosen not in seen:
        raise DatasetError(
            f"{found.folder} holds the {', '.join(seen)} variant, not {chosen}; fetch the other zip"
        )
    rows, notes = seen.pop(chosen)
    for kind, (others, _) in seen.items():
        notes.append(
            f"the {kind} variant lies beside it, {len(others):,} pictures; load(..., variant={kind!r})"
        )
    notes += [f"{path} was unpacked beside itself" for path in unpacked]
    notes.append(f"mpp is {MPP}, nominal at 40x: the files hold none")
    if any(row["slide_id"] is None for row in rows):
        notes.append("files name no slide: a validation part can only be drawn by tile, and will flatter")
    table = manifest_table(
        rows, dataset=KEY, stain="her2", mpp=MPP, guideline="breast-asco-cap-2018", variant=chosen
    )
    return Dataset(KEY, found.folder, table, skipped_table(skipped), tuple(notes), PUBLISHED[chosen])


def _class_of(parts: tuple[str, ...]) -> str | None:
    """Return the class that a picture's folder is called after (some unpackers drop the +), or None."""
    match = _CLASS.fullmatch(unquote(parts[-2])) if len(parts) > 1 else None
    return {"1": "1+", "2": "2+", "3": "3+"}.get(match[1], match[1]) if match else None


def _row(found: Found, parts: tuple[str, ...]) -> dict | None:
    label = _class_of(parts)
    if label is None:
        return None
    path = found.path(parts)
    if label not in LABELS:
        raise DatasetError(f"{path}: the class {label!r} of its folder is unknown; use {', '.join(LABELS)}")
    split = named_like(parts[:-2], _SPLITS)
    if split is None:
        raise DatasetError(f"{path}: no folder above it is named after train or test; restore the folders")
    # The variant's root stands above the folders named after the split (train_data_wsi, or train in it).
    depth = max(i for i, part in enumerate(parts[:-2]) if split in part.lower())
    while depth and named_like([parts[depth - 1]], _SPLITS):
        depth -= 1
    stem = parts[-1].rsplit(".", 1)[0]
    name = _NAME.fullmatch(stem)
    group = _NUMBER.sub("", stem)
    return {
        "path": path,
        "label": label,
        "split": split,
        "slide_id": None if name or not group else group,
        "tile_id": stem,
        "name_split": name[2].lower() if name else None,
        "slide_score": name[1] if name else None,
        "root": parts[:depth],
    }


def _check(where: str, rows: list[dict]) -> None:
    """Check that each split has its four classes, and that no file stands there twice."""
    for split in _SPLITS:
        there = {row["label"] for row in rows if row["split"] == split}
        if missing := [label for label in LABELS if label not in there]:
            folders = ", ".join(f"class_{label}" for label in missing)
            raise DatasetError(f"{where}: {split} has no picture in {folders}; unpack the archive again")
    check_first_pictures({(row["split"], row["label"]): row["path"] for row in rows[::-1]}.values())
    times = Counter((row["split"], row["tile_id"]) for row in rows)
    for row in rows:
        if times[row["split"], row["tile_id"]] > 1:
            raise DatasetError(f"{row['path']}: {row['split']} holds another file of this name; remove one")


def _variant(where: str, rows: list[dict]) -> tuple[str, list[str]]:
    """Tell the variant by its file names, and say on what grounds."""
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(_NUMBER.sub("", row["tile_id"]), set()).add(row["split"])
    both = sorted(group for group, splits in sides.items() if len(splits) > 1)
    kind = "patch-split" if both else "slide-split"
    known = all(row["name_split"] for row in rows)
    if not known and ("" in sides or len(sides) > len(rows) / 2):  # only numbers, or no two names alike
        raise DatasetError(
            f"{where}: its file names (such as {rows[0]['tile_id']}) do not tell a split by slide from one "
            "by tile; restore the names"
        )
    words = (
        f"files called {both[0]}_... lie in train and in test: tiles of one slide stand on both sides, "
        "results on its test part say nothing about new slides"
        if both
        else "no group of file names lies in train and in test"
    )
    notes = [f"{kind} variant, told by content: {words}"]
    if kind == "patch-split":
        notes.append(
            "split it anew by name_split, which keeps the slides of the original train and test apart"
        )
    other = [row for row in rows if row["slide_score"] not in (None, row["label"])]
    if other:
        notes.append(
            f"{len(other):,} tiles have another class than their slide, such as {other[0]['tile_id']} in "
            f"class_{other[0]['label']}"
        )
    return kind, notes
