"""IGNITE: lung. H&E regions with tissue masks, PD-L1 IHC with cells, and with nuclei; mpp 0.5.

``images/`` and ``annotations/`` each hold ``he/``, ``pdl1/pdl1/`` and ``pdl1/nuclei/``; ``data_overview.csv``
names task, split and files. Masks come in two encodings (`read_mask` takes both): ids 0 to 16 as they are, or
256 - id. Cells are COCO files of boxes whose middles are the points that were marked; in
``*_test_set_all_readers.json`` the supercategory is the reader. A detection is a hit within `HIT_PX` of a
point.

References
----------
Spronck, van Eekelen et al. arXiv 2507.16855 (2025); https://zenodo.org/records/15674785 (CC BY-NC-SA 4.0).
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import DatasetError, SlideError
from her2kit.exchange.coco import Coco, read_coco
from her2kit.learning.datasets.dataset import Dataset, Published, manifest_table, skipped_table
from her2kit.learning.datasets.scan import Found, check_first_pictures, look_and_unpack, read_rows
from her2kit.learning.pictures import picture_size, read_raster

KEY = "ignite"
MPP = 0.5
CLASSES = (
    *("Unannotated", "Background", "Tumor epithelium", "Reactive epithelium", "Stroma", "Inflammation"),
    *("Alveolar tissue", "Fatty tissue", "Necrotic tissue", "Erythrocytes", "Bronchial epithelium"),
    *("Mucus/Plasma/Fluids", "Cartilage/Bone", "Macrophages", "Muscle", "Liver", "Keratinization"),
)
"""What the ids 0 to 16 of the masks mean."""
CELLS = {"pdl1": ("negative tumour cell", "positive tumour cell", "non-tumour cell"), "nuclei": ("nucleus",)}
"""Task to its cell classes, in the order of their category ids."""
HIT_PX = {"pdl1": 20, "nuclei": 8}
"""Task to the distance within which a detection is a hit, in pixels of 0.5 um."""
PUBLISHED = (Published("Spronck et al. 2025", {("he", "all"): 408}),)
_FOLDERS = {"he": ("he",), "pdl1": ("pdl1", "pdl1"), "nuclei": ("pdl1", "nuclei")}
_CONTEXT = "_with_context"
_SPLITS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}
_PATIENT = re.compile(r"(patient\d+)_")
_STRAY = {"patient69_he_roi3": 255}
"""Masks with a stray value in the published data: it is read as unannotated."""


def load(folder: str | os.PathLike) -> Dataset:
    """Load the regions of all three tasks, and the cells.

    Returns
    -------
    Dataset
        Table: the manifest's columns (``mask_path`` for H&E), ``task`` (he, pdl1, nuclei), ``tile_id``,
        ``context_path`` and ``context_mask_path`` (the same region with its surroundings), what
        ``data_overview.csv`` says beyond, and ``annotated_xyxy``, the part of a picture whose cells were
        marked. ``cells``: ``task``, ``file_name``, ``path``, ``reader`` ("" where readers agreed),
        ``class_id`` from 0, ``cell_class``, and ``x_px``, ``y_px`` in the picture.

    Raises
    ------
    DatasetError
        If no region is there, the overview cannot be read, or a category is unknown.
    LabelError
        If a COCO file is damaged or refers to what it does not hold.
    """
    found, unpacked = look_and_unpack(folder, enough=lambda seen: any(map(_below_images, seen.pictures)))
    index = {_below_images(parts): found.path(parts) for parts in found.pictures if _below_images(parts)}
    skipped = list(found.left)
    skipped += [
        (found.path(p), "lies neither in images nor in annotations")
        for p in found.pictures
        if not _below_images(p)
    ]
    rows, notes = _regions(found, index, skipped)
    if not rows:
        raise DatasetError(
            f"{found.folder} has no picture in images/he or images/pdl1; give the folder of IGNITE"
        )
    first = {row["task"]: row for row in rows[::-1]}
    check_first_pictures(row["path"] for row in first.values())
    cells, areas = _cells(found, index, skipped)
    notes += [f"{path} was unpacked beside itself" for path in unpacked]
    table = manifest_table(rows, dataset=KEY, mpp=MPP)
    table["annotated_xyxy"] = pd.Series([areas.get(path) for path in table["path"]], dtype=object)
    return Dataset(
        KEY,
        found.folder,
        table,
        skipped_table(skipped),
        tuple(notes),
        PUBLISHED,
        cells=cells,
        count_by=("task", "split"),
        read_mask=read_mask,
    )


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Read a tissue mask in either encoding as ids 0 to 16, uint8 (h, w).

    Raises
    ------
    DatasetError
        If a value is neither an id nor 256 - id, or both encodings are mixed.
    SlideError
        If the file is no raster.
    """
    values = read_raster(path)
    stray = _STRAY.get(Path(path).stem.removesuffix(_CONTEXT))
    held = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    direct, turned = held < len(CLASSES), (256 - held) % 256 < len(CLASSES)
    if stray is not None and stray in held and direct[held != stray].all():
        return np.where(values == stray, np.uint8(0), values)
    if direct.all():
        return values
    if turned.all():
        return (0 - values).astype(np.uint8)
    odd = held[~direct] if direct.sum() > turned.sum() else held[~turned]
    y, x = np.argwhere(values == odd[0])[0]
    raise DatasetError(
        f"{path}: the value {odd[0]} at ({x}, {y}) is no id from 0 to {len(CLASSES) - 1}, as it is or as 256 "
        "- id; fetch the mask again"
    )


def _below_images(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what of a path stands from ``images`` or ``annotations`` on; empty where neither is in it."""
    at = [i for i, part in enumerate(parts[:-1]) if part in ("images", "annotations")]
    return parts[at[-1] :] if at else ()


def _regions(found: Found, index: dict, skipped: list) -> tuple[list[dict], list[str]]:
    """Return one row a region, as the overview names them, or as they lie there without one."""
    overviews = [parts for parts in found.others if parts[-1] == "data_overview.csv"]
    notes = []
    if overviews:
        path = found.path(overviews[0])
        listed = read_rows(path, ("image_path", "split"))
        given = [
            (_below_images(tuple(re.split(r"[\\/]", row["image_path"]))), row)
            for row in listed.to_dict("records")
        ]
    else:
        path = "data_overview.csv"
        notes.append(
            "data_overview.csv is not there: splits are unknown, patients are read from the file names"
        )
        given = [(parts, {}) for parts in index if parts[0] == "images" and _CONTEXT not in parts[-1]]
    rows = []
    for parts, row in given:
        task = next((name for name, below in _FOLDERS.items() if parts[1:-1] == below), None)
        if task is None or parts not in index:
            skipped.append(
                (row.get("image_path") or index[parts], f"named in {Path(path).name}, not in the folder")
            )
            continue
        rows.append(_row(index, parts, task, row))
        if task == "he":
            _check_masks(rows[-1], skipped)
    return rows, notes


def _row(index: dict, parts: tuple[str, ...], task: str, given: dict) -> dict:
    stem, ending = os.path.splitext(parts[-1])
    context = (*parts[:-1], f"{stem}{_CONTEXT}{ending}")
    patient = _PATIENT.match(stem)
    more = {name: value for name, value in given.items() if name not in ("image_path", "annotation_path")}
    site = " ".join(filter(None, (given.get("source"), given.get("scanner"))))
    return more | {
        "path": index[parts],
        "patient_id": given.get("patient_id") or (patient[1] if patient else None),
        "split": _SPLITS.get(given.get("split", "").lower(), given.get("split")),
        "site": site,
        "stain": "he" if task == "he" else "pdl1",
        "mask_path": index.get(("annotations", *parts[1:])) if task == "he" else None,
        "task": task,
        "tile_id": stem,
        "context_path": index.get(context),
        "context_mask_path": index.get(("annotations", *context[1:])),
    }


def _check_masks(row: dict, skipped: list) -> None:
    """Take masks out of a row that are missing or not of their picture's size, and say so."""
    for picture, mask in (("path", "mask_path"), ("context_path", "context_mask_path")):
        if row[picture] is None:
            continue
        if row[mask] is None:
            skipped.append((row[picture], "its mask is missing; the picture is kept"))
            continue
        try:
            fits = picture_size(row[picture]) == picture_size(row[mask])
        except SlideError:
            fits = False
        if not fits:
            skipped.append((row[mask], "does not open or is not of its picture's size; the picture is kept"))
            row[mask] = None


def _cells(found: Found, index: dict, skipped: list) -> tuple[pd.DataFrame, dict[str, list]]:
    """Return the cells of all COCO files, and picture to the part of it whose cells were marked."""
    tables: list[pd.DataFrame] = []
    areas: dict[str, list] = {}
    for parts in found.named(".json"):
        task, _, kind = parts[-1].removesuffix(".json").partition("_")
        if task not in CELLS or kind not in ("annotations", "test_set_all_readers"):
            continue
        coco = read_coco(found.path(parts))
        folder = ("images", *_FOLDERS[task])
        paths = {name: index.get((*folder, Path(name).name)) for name in coco.images["file_name"]}
        for name, path in paths.items():
            if path is None:
                skipped.append((name, f"named in {parts[-1]}, not in the folder"))
        for image in coco.images.to_dict("records"):
            path, area = paths[image["file_name"]], image.get("annotated_xyxy")
            if path is not None and isinstance(area, list):
                areas[path] = area
        tables.append(_cell_table(found.path(parts), coco, task, paths, all_readers=kind != "annotations"))
    columns = ["task", "file_name", "path", "reader", "class_id", "cell_class", "x_px", "y_px"]
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)), areas


def _cell_table(where: str, coco: Coco, task: str, paths: dict, *, all_readers: bool) -> pd.DataFrame:
    names = CELLS[task]
    for row in coco.categories.itertuples():
        if not all_readers and row.category_id not in range(1, len(names) + 1):
            raise DatasetError(f"{where}: category {row.category_id} is unknown; use 1 to {len(names)}")
        if all_readers and not row.supercategory:
            raise DatasetError(f"{where}: category {row.category_id} names no reader as its supercategory")
    categories = coco.categories.set_index("category_id")
    marked = coco.annotations
    number = (marked["category_id"].astype("int64").to_numpy() - 1) % len(names)
    x, y = coco.centres().T
    files = marked["image_id"].map(coco.images.set_index("image_id")["file_name"])
    return pd.DataFrame(
        {
            "task": task,
            "file_name": files.to_numpy(),
            "path": files.map(paths).to_numpy(),
            "reader": marked["category_id"].map(categories["supercategory"]).to_numpy()
            if all_readers
            else "",
            "class_id": number,
            "cell_class": np.array(names, dtype=object)[number],
            "x_px": x,
            "y_px": y,
        }
    )
