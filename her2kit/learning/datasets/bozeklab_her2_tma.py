"""HER2 IHC cores of gastro-oesophageal tissue microarrays, with score and HER2 status.

``train.csv`` (and others of its columns) names ``ihc-score``, ``her2-status`` and ``filename``; or, for a
selection with ``manifest.csv``, the label reads "score 2; status positive". The status is resolved by ISH
where the score is 2+: only there does it say something about ISH. File names begin with the score, too.

References
----------
https://github.com/bozeklab/HER2-overexpression (repository: Apache-2.0).
"""

import os
import re
from pathlib import PurePosixPath

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, manifest_table, skipped_table
from her2kit.learning.datasets.scan import Found, check_first_pictures, look_and_unpack, read_rows

KEY = "bozeklab-her2-tma"
LABELS = ("0", "1+", "2+", "3+")
MPP = 0.25
"""Inferred from the size of nuclei and cores; the files hold none."""
_STATUS = {"0": "negative", "1": "positive", "negative": "negative", "positive": "positive"}
_LABEL = re.compile(r"score ([0-3]); status (positive|negative)")
_SPLITS = {"train": "train", "val": "val", "test": "test"}


def load(folder: str | os.PathLike) -> Dataset:
    """Load the cores.

    Returns
    -------
    Dataset
        Table: the manifest's columns (``ish`` for cores of score 2+) and ``her2_status``.

    Raises
    ------
    DatasetError
        If no CSV names cores, a score or status is unknown, or two lines contradict each other.
    """
    found, unpacked = look_and_unpack(folder, enough=lambda seen: bool(seen.pictures))
    named, notes = _named(found)
    if not named:
        raise DatasetError(
            f"{found.folder} has no train.csv with ihc-score, her2-status and filename, and no manifest.csv "
            "of cores; fetch it again"
        )
    pictures = {parts[-1]: found.path(parts) for parts in found.pictures}
    skipped = list(found.left)
    for name, (where, _) in named.items():
        if name not in pictures:
            skipped.append((name, f"named in {where}, not in the folder"))
    skipped += [(path, "no line names it as a core") for name, path in pictures.items() if name not in named]
    rows = [row | {"path": pictures[name]} for name, (_, row) in named.items() if name in pictures]
    if not rows:
        raise DatasetError(
            f"{found.folder} holds none of the {len(named)} cores that its CSV names; fetch them"
        )
    check_first_pictures(row["path"] for row in rows)
    notes += [
        f"mpp is {MPP}, inferred: the files hold none",
        "patients are not named: several cores may be of one",
        *(f"{path} was unpacked beside itself" for path in unpacked),
    ]
    table = manifest_table(
        rows,
        dataset=KEY,
        stain="her2",
        mpp=MPP,
        guideline="gastric-resection",
        specimen="tissue microarray core",
    )
    return Dataset(KEY, found.folder, table, skipped_table(skipped), tuple(notes))


def _named(found: Found) -> tuple[dict[str, tuple[str, dict]], list[str]]:
    """Return file name to (where it is named, its row) from every CSV that names cores."""
    named: dict[str, tuple[str, dict]] = {}
    notes = []
    for parts in found.named(".csv"):
        path = found.path(parts)
        table = read_rows(path, ())
        split = _SPLITS.get(parts[-1].lower().split("_")[0].split(".")[0])
        if {"ihc-score", "her2-status", "filename"} <= set(table):
            lines = [
                (line, row["filename"], row["ihc-score"], row["her2-status"])
                for line, row in zip(table.index, table.to_dict("records"), strict=True)
            ]
        elif {"file", "label"} <= set(table):
            lines = [
                (line, file, *match.groups())
                for line, file, label in zip(table.index, table["file"], table["label"], strict=True)
                if (match := _LABEL.fullmatch(label))
            ]
            split = None
        else:
            continue
        notes.append(f"{len(lines)} cores are named in {path}")
        for line, file, score, status in lines:
            where = f"{path}, line {line}"
            name = PurePosixPath(file.replace("\\", "/")).name
            row = _row(where, name, score, status, split)
            if name in named and named[name][1] != row:
                raise DatasetError(f"{where}: {name} stands in {named[name][0]} with another label or split")
            named[name] = where, row
    return named, notes


def _row(where: str, name: str, score: str, status: str, split: str | None) -> dict:
    number = score.strip().removesuffix("+")
    if number not in ("0", "1", "2", "3"):
        raise DatasetError(f"{where}: ihc-score {score!r} is unknown; use 0, 1, 2 or 3")
    word = _STATUS.get(status.strip().lower())
    if word is None:
        raise DatasetError(f"{where}: her2-status {status!r} is unknown; use 0 (negative) or 1 (positive)")
    if name[:2] in ("0_", "1_", "2_", "3_") and name[0] != number:
        raise DatasetError(f"{where}: ihc-score is {score}, the file is called {name}; one is wrong")
    amplified = {"positive": "amplified", "negative": "not_amplified"}[word] if number == "2" else None
    return {
        "slide_id": name.rsplit(".", 1)[0],
        "label": LABELS[int(number)],
        "split": split,
        "ish": amplified,
        "her2_status": word,
    }
