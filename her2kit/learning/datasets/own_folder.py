"""A folder of one's own: a CSV with the manifest's columns, or pictures in folders named after their class.

The CSV is ``manifest.csv``, or the only one there. Without one, ``[train|val|test/]<class>/*.png`` at any
depth: what the class folders are called is the label. Slide and patient are known from a CSV alone, so only
with one can such data be split by slide.
"""

import os
from pathlib import Path

from her2kit.errors import DatasetError
from her2kit.learning.datasets.dataset import Dataset, manifest_table, skipped_table
from her2kit.learning.datasets.scan import SPLITS, Found, check_first_pictures, look_below
from her2kit.manifest import read_manifest

KEY = "own-folder"
_PATHS = ("path", "pair_path", "mask_path", "tumour_path")


def load(folder: str | os.PathLike) -> Dataset:
    """Load a folder, or a CSV.

    Parameters
    ----------
    folder
        The folder, or the CSV itself.

    Returns
    -------
    Dataset
        Table: the manifest's columns, and ``tile_id``, or those that the CSV has beyond.

    Raises
    ------
    ManifestError
        If the CSV cannot be read, names a picture twice, or a row holds what is not allowed.
    DatasetError
        If a file that is named is missing, there are several CSVs, or no picture lies in a class folder.
    """
    path = Path(folder)
    if path.is_file():
        return _from_csv(path)
    found = look_below(path)
    tables = [parts for parts in found.named(".csv") if len(parts) == 1]
    if ("manifest.csv",) in tables:
        return _from_csv(path / "manifest.csv")
    if len(tables) > 1:
        names = ", ".join(parts[0] for parts in tables)
        raise DatasetError(f"{path} holds {names}; call the one that lists the pictures manifest.csv")
    return _from_csv(path / tables[0][0]) if tables else _from_folders(found)


def _from_csv(path: Path) -> Dataset:
    table = read_manifest(path, tiles=True)
    for name in _PATHS:
        for row, file in table[name].dropna().items():
            if not Path(file).is_file():
                raise DatasetError(
                    f"{path}: row {row + 1} names {name}={file}, which is not there; correct the row"
                )
    pictures = {
        str(Path(file).resolve())
        for name in ("path", "pair_path", "mask_path")
        for file in table[name].dropna()
    }
    found = look_below(path.parent)
    unlisted = [found.path(parts) for parts in found.pictures]
    skipped = found.left + [
        (file, f"no row of {path.name} names it")
        for file in unlisted
        if str(Path(file).resolve()) not in pictures
    ]
    notes = [f"read from {path}"]
    if table["slide_id"].isna().any():
        notes.append("slide_id is empty in some rows: these cannot be split by slide")
    return Dataset(KEY, path.parent, table, skipped_table(skipped), tuple(notes))


def _from_folders(found: Found) -> Dataset:
    rows, skipped = [], list(found.left)
    for parts in found.pictures:
        folders = [part.lower() for part in parts[:-1]]
        split = next((SPLITS[part] for part in reversed(folders) if part in SPLITS), None)
        if not folders or folders[-1] in SPLITS:
            skipped.append((found.path(parts), "lies in no class folder"))
            continue
        rows.append(
            {
                "path": found.path(parts),
                "label": parts[-2],
                "split": split,
                "tile_id": parts[-1].rsplit(".", 1)[0],
            }
        )
    if not rows:
        raise DatasetError(
            f"{found.folder} holds no manifest.csv and no picture in a class folder; add a CSV with a column "
            "path, or put the pictures into folders named after their class"
        )
    _check(found, rows)
    notes = [
        "labels are the names of the folders",
        "slides and patients are unknown: add a CSV to split by them",
    ]
    return Dataset(
        KEY,
        found.folder,
        manifest_table(rows, dataset=found.folder.name),
        skipped_table(skipped),
        tuple(notes),
    )


def _check(found: Found, rows: list[dict]) -> None:
    """Check that all or no pictures are in a part, and that each part has every class."""
    splits = {row["split"] for row in rows}
    if None in splits and len(splits) > 1:
        row = next(row for row in rows if row["split"] is None)
        raise DatasetError(
            f"{row['path']}: lies in no folder train, val or test, as others do; move it into one"
        )
    labels = {row["label"] for row in rows}
    for split in sorted(splits - {None}):
        there = {row["label"] for row in rows if row["split"] == split}
        if missing := sorted(labels - there):
            raise DatasetError(
                f"{found.folder}: {split} has no folder {', '.join(missing)}, other parts have; add it, or "
                "spell the folders alike"
            )
    check_first_pictures({(row["split"], row["label"]): row["path"] for row in rows[::-1]}.values())
