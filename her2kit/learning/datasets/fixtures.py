"""Small datasets in the exact layouts of the public ones, out of phantom tiles, so that all runs offline.

Each writer makes a new folder, whole or not at all, and returns it; the loader of that name reads it. Names,
folders, archives, encodings and traps are those of the originals, sizes and numbers are not.
"""

import csv
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from her2kit.learning.datasets.stock import LABELS, MPP, stock
from her2kit.learning.pictures import write_picture
from her2kit.phantom.folder import whole_folder
from her2kit.slides.pyramid import write_pyramid


def write_her2_ihc_40x(
    folder: str | Path,
    *,
    variant: str = "slide-split",
    zipped: bool = False,
    short_names: bool = False,
    per_class: int = 3,
    seed: int = 0,
) -> Path:
    """Write one variant of HER2-IHC-40x.

    Parameters
    ----------
    folder
        New.
    variant
        ``slide-split`` (``her2-ihc-40x-wsi.zip``) or ``patch-split`` (``her2-ihc-40x-patch.zip``).
    zipped
        One archive that holds two, as published; else unpacked.
    short_names
        Unpacked into ``train`` and ``test``, as some do, not into folders called as the inner archives.
    per_class
        Tiles of each class in each part, 2 or more.
    """
    if variant not in ("slide-split", "patch-split"):
        raise ValueError(f"variant={variant!r}; use slide-split or patch-split")
    if per_class < 2:
        raise ValueError(f"per_class={per_class}; use 2 or more, or the variants cannot be told apart")
    word = "wsi" if variant == "slide-split" else "patch"
    home = f"{word.replace('wsi', 'WSI').replace('patch', 'Patch')}-based-dataset"
    tiles = stock(seed=seed).tiles
    with whole_folder(folder, overwrite=False) as part:
        number = 0
        for s, split in enumerate(("train", "test")):
            inner = split if short_names and not zipped else f"{split}_data_{word}"
            for label in LABELS:
                for k in range(per_class):
                    number += 1
                    origin, score = split, label
                    if variant == "patch-split":  # dealt out tile by tile, and some tiles got another class
                        origin = ("train", "train", "test")[k % 3] if per_class > 2 else ("train", "test")[k]
                        score = LABELS[LABELS.index(label) - 1] if k == 0 and label != "0" else label
                    name = f"her2-{score}-score_{origin}_{number * 7}.png"
                    pixels = tiles[label][(s * per_class + k) % len(tiles[label])]
                    write_picture(part / home / inner / f"class_{label}" / name, pixels)
            if zipped:
                _zip(part / home / f"{inner}.zip", part / home / inner)
        if zipped:
            _zip(part / f"her2-ihc-40x-{word}.zip", part / home, keep_name=True)
    return Path(folder)


def write_bci(
    folder: str | Path, *, side_by_side: bool = False, copies: int = 1, per_class: int = 2, seed: int = 0
) -> Path:
    """Write BCI: pairs below ``BCI_dataset``, or both halves in one file below ``datasets/BCI``.

    Parameters
    ----------
    copies
        So many files are there again with "(1)" in their name.
    """
    held = stock(seed=seed)
    with whole_folder(folder, overwrite=False) as part:
        for split in ("train", "test"):
            for k in range(per_class * len(LABELS)):
                label = LABELS[k % len(LABELS)]
                n = k // len(LABELS) % len(held.tiles[label])
                ihc, he = held.tiles[label][n], held.he[label][n]
                name = f"{k:05d}_{split}_{label}"
                if side_by_side:
                    home = part / "datasets" / "BCI" / split
                    pictures = {home / name: np.hstack([he, ihc])}
                else:
                    home = part / "BCI_dataset"
                    pictures = {home / "HE" / split / name: he, home / "IHC" / split / name: ihc}
                for path, pixels in pictures.items():
                    write_picture(path.with_name(f"{name}.png"), pixels)
                    if split == "train" and k < copies:
                        write_picture(path.with_name(f"{name} (1).png"), pixels)
    return Path(folder)


def write_mihic(folder: str | Path, *, zipped: bool = False, per_class: int = 2, seed: int = 0) -> Path:
    """Write MIHIC; patients and markers are in the file names, and some pixels are black for missing ones.

    A class's tiles are those of the phantom where most is that tissue; where the stock has none, others.
    """
    classes = ("background", "Tumor", "Stroma", "Immune cells", "Necrosis", "alveoli", "Other")
    held = stock(seed=seed)
    tiles = np.concatenate(list(held.tiles.values()))
    masks = np.concatenate(list(held.tissue.values()))
    share = np.stack([(masks == k).mean(axis=(1, 2)) for k in range(len(classes))])
    used = np.zeros(len(tiles), int)
    with whole_folder(folder, overwrite=False) as part:
        home = part / "MIHIC_dataset" / "dataset"
        for s, split in enumerate(("train", "val", "test")):
            for number, name in enumerate(classes):
                for k in range(per_class):
                    best = int(np.argmax(np.where(used == used.min(), share[number], -1)))
                    used[best] += 1  # no picture twice before all were used
                    pixels = tiles[best].copy()
                    pixels[:4, :9] = 0
                    marker = ("CD3", "Ki67", "cyclin")[k % 3]
                    stem = f"{100 + (s * per_class + k) % 5}-{marker}-{number}-{s * 100 + k}"
                    write_picture(home / split / name / f"{stem}.png", pixels)
        if zipped:
            _zip(part / "MIHIC_dataset.zip", home.parent, keep_name=True)
    return Path(folder)


def write_bozeklab_her2_tma(folder: str | Path, *, seed: int = 0) -> Path:
    """Write the cores with ``train.csv``, which names one that is not there, as the original does."""
    tiles = stock(seed=seed).tiles
    cores = [("0", 0), ("1", 0), ("2", 0), ("2", 1), ("3", 1)]
    rows = []
    with whole_folder(folder, overwrite=False) as part:
        for k, (score, status) in enumerate([*cores, ("3", 1)]):
            name = f"{score}_{k:08d}-0000-4000-8000-000000000000.jpg"
            if k < len(cores):
                pixels = np.vstack([np.hstack(list(tiles[LABELS[int(score)]][:2]))] * 2)
                write_picture(part / "data" / "example_images" / name, pixels)
            rows.append(
                [score, status, f"./data/example_images/{name}", int(score) + (int(score) + status > 2)]
            )
        _write_csv(
            part / "train.csv", [["ihc-score", "her2-status", "filename", "weighted_sampler_label"], *rows]
        )
    return Path(folder)


def write_acrobat(folder: str | Path, *, seed: int = 0) -> Path:
    """Write small pyramids of three patients, one of them in ``val``, in H&E and some of the IHC stains."""
    held = stock(seed=seed)
    slides = {"0": ("HE", "HER2", "KI67"), "7": ("HE", "ER"), "12": ("HE", "HER2")}
    with whole_folder(folder, overwrite=False) as part:
        for patient, stains in slides.items():
            split = "val" if patient == "12" else "train"
            for stain in stains:
                pixels = (held.he if stain == "HE" else held.tiles)["2+"][int(patient)]
                path = part / f"{split}_{patient}" / f"{patient}_{stain}_{split}.tif"
                path.parent.mkdir(exist_ok=True)
                write_pyramid(path, np.ascontiguousarray(np.tile(pixels, (2, 2, 1))), mpp=2 * MPP)
    return Path(folder)


def write_own_folder(folder: str | Path, *, with_csv: bool = True, seed: int = 0) -> Path:
    """Write what a reader might bring: tiles of slides and patients in a CSV, or in class folders alone."""
    tiles = stock(seed=seed).tiles
    with whole_folder(folder, overwrite=False) as part:
        rows = [["path", "patient_id", "slide_id", "label", "split", "site", "mpp"]]
        for s, split in enumerate(("train", "test")):
            for label in LABELS:
                for k in range(2):
                    name = f"{split}_{label}_{k}.png"
                    place = Path("pictures", name) if with_csv else Path(split, label, name)
                    write_picture(part / place, tiles[label][2 * s + k])
                    slide = f"slide_{split}_{label}"
                    rows.append(
                        [place.as_posix(), f"p_{split}_{label}", slide, label, split, "here", str(MPP)]
                    )
        if with_csv:
            _write_csv(part / "manifest.csv", rows)
    return Path(folder)


def _write_csv(path: Path, rows: Iterable[list]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _zip(archive: Path, folder: Path, *, keep_name: bool = False) -> None:
    """Move a folder's files into an archive: below its name, or without."""
    base = folder.parent if keep_name else folder
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                member = zipfile.ZipInfo(file.relative_to(base).as_posix())  # no date: the same bytes again
                out.writestr(member, file.read_bytes())
    shutil.rmtree(folder)
