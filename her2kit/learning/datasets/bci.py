"""BCI: pairs of H&E and HER2 IHC tiles, 1024 px, as two folders of pictures or as both halves of one.

``{HE,IHC}/{train,test}/NNNNN_{train|test}_{0|1+|2+|3+}.png``, one name in both; or, made for pix2pix, one
file a pair (H&E left, IHC right) in ``{train,test}``. The label is the class of the SLIDE that a tile came
from. It is read from the file's own name: R5 joined labels by the order of directory listings. Copies with
"(1)" in their name are left out. Which of the 51 slides a tile came from is not said.

References
----------
Liu et al. BCI: Breast Cancer Immunohistochemical Image Generation through Pyramid Pix2pix. CVPR Workshops
2022 (terms of use: non-commercial, cite).
"""

import os
import re

import numpy as np

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, Published, manifest_table, skipped_table
from her2kit.learning.datasets.scan import Found, check_first_pictures, look_and_unpack
from her2kit.learning.pictures import read_picture

KEY = "bci"
LABELS = ("0", "1+", "2+", "3+")
MPP = 0.46
"""Of the article's scanner (Hamamatsu NanoZoomer S60), read second-hand; the files hold none."""
PUBLISHED = (
    Published(
        "seen in BCI_dataset",
        {("train", label): n for label, n in zip(LABELS, (202, 919, 1697, 1078), strict=True)}
        | {("test", label): n for label, n in zip(LABELS, (38, 235, 446, 258), strict=True)},
    ),
)
_NAME = re.compile(r"(\d+)_(train|test)_(0|1\+|2\+|3\+)( ?\(\d+\))?\.(?:png|jpe?g)", re.IGNORECASE)


def load(folder: str | os.PathLike) -> Dataset:
    """Load the pairs.

    Returns
    -------
    Dataset
        One row a pair: ``path`` is the IHC, ``pair_path`` the H&E. Side by side, both name one file;
        ``read_pair`` takes either. Further columns: ``tile_id``, ``side_by_side``.

    Raises
    ------
    DatasetError
        If no picture is called as BCI's are, a label is missing in a part, name and folder disagree, a pair
        stands there twice, or a lone picture is not two side by side.
    """
    found, unpacked = look_and_unpack(
        folder, enough=lambda seen: any(_NAME.fullmatch(p[-1]) for p in seen.pictures)
    )
    skipped = list(found.left)
    pictures: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {"he": {}, "ihc": {}, "": {}}
    for parts in found.pictures:
        match = _NAME.fullmatch(parts[-1])
        if match is None:
            skipped.append((found.path(parts), "not called as BCI's pictures are"))
        elif match[4]:
            skipped.append((found.path(parts), 'a copy, "(1)" in its name'))
        else:
            _keep(found, parts, match, pictures)
    both = _side_by_side(found, pictures[""])
    he, ihc = pictures["he"] | both, pictures["ihc"] | both
    for name, parts in he.items():
        if name not in ihc:
            skipped.append((found.path(parts), "H&E without an IHC of its name"))
    for name, parts in ihc.items():
        if name not in he:
            skipped.append((found.path(parts), "IHC without an H&E of its name"))
    rows = [
        {
            "path": found.path(ihc[name]),
            "pair_path": found.path(he[name]),
            "label": name[1],
            "split": name[0].rsplit("_", 1)[1],
            "tile_id": "_".join(name),
            "side_by_side": name in both,
        }
        for name in sorted(he.keys() & ihc.keys())
    ]
    _check(found, rows)
    notes = [
        "the label is the class of the slide that a tile came from, not of the tile",
        "which of the 51 slides a tile came from is not said: a validation part can only be drawn by tile",
        f"mpp is {MPP}, read second-hand: the files hold none",
        *(f"{path} was unpacked beside itself" for path in unpacked),
    ]
    table = manifest_table(rows, dataset=KEY, stain="her2", mpp=MPP, guideline="breast-asco-cap-2018")
    return Dataset(KEY, found.folder, table, skipped_table(skipped), tuple(notes), PUBLISHED)


def read_pair(row) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of a row of the table: IHC and H&E, uint8 (h, w, 3) each.

    Raises
    ------
    SlideError
        If a picture does not open.
    """
    if not row.side_by_side:
        return read_picture(row.path), read_picture(row.pair_path)
    pixels = read_picture(row.path)
    middle = pixels.shape[1] // 2
    return pixels[:, middle:], pixels[:, :middle]


def _keep(found: Found, parts: tuple[str, ...], match: re.Match, pictures: dict) -> None:
    """File a picture under its stain, after checking its name against its folders."""
    path = found.path(parts)
    folders = [part.lower() for part in parts[:-1]]
    split = match[2].lower()
    said = [word for part in folders for word in ("train", "test") if part == word]
    if said and said[-1] != split:
        raise DatasetError(f"{path}: its name says {split}, its folder {said[-1]}; move it back")
    stain = "ihc" if "ihc" in folders else "he" if "he" in folders else ""
    name = (f"{match[1]}_{split}", match[3])
    if name in pictures[stain]:
        raise DatasetError(f"{path}: {found.path(pictures[stain][name])} has its name; remove one")
    pictures[stain][name] = parts


def _side_by_side(found: Found, lone: dict) -> dict:
    """Return the pictures outside HE and IHC, after checking the first for two halves."""
    first = next(iter(lone.values()), None)
    if first is not None:
        path = found.path(first)
        width, height = check_first_pictures([path])
        if width != 2 * height:
            raise DatasetError(
                f"{path}: lies in no folder HE or IHC and is no pair side by side ({width} x {height} px); "
                "restore the folders"
            )
    return lone


def _check(found: Found, rows: list[dict]) -> None:
    if not rows:
        raise DatasetError(
            f"{found.folder} holds no pair such as 00000_train_1+.png in HE/train and in IHC/train; give the "
            "folder of BCI"
        )
    for split in ("train", "test"):
        there = {row["label"] for row in rows if row["split"] == split}
        if missing := [label for label in LABELS if label not in there]:
            raise DatasetError(
                f"{found.folder}: {split} has no pair of class {', '.join(missing)}; fetch or unpack it again"
            )
    first = {(row["split"], row["label"]): row for row in rows[::-1]}
    check_first_pictures(row["path"] for row in first.values())
    check_first_pictures(row["pair_path"] for row in first.values())
