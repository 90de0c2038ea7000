"""A small IGNITE in its exact layout, out of phantom tiles: both mask encodings, cells, several readers."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.exchange.coco import Coco, write_coco
from her2kit.learning.datasets.stock import LABELS, SIDE_PX, stock
from her2kit.learning.pictures import write_picture
from her2kit.phantom.folder import whole_folder

IDS = np.array([1, 2, 4, 5, 8, 7, 3], np.uint8)
"""Id in IGNITE of each tissue of a phantom."""
BOX_PX = {"pdl1": 40, "nuclei": 16}
"""Side of the boxes that stand for points."""
READERS = ("reader P1", "reader P2")
_NAMES = ("pd-l1 negative tumor cell", "pd-l1 positive tumor cell", "non-tumor cell")
_COLUMNS = ("name", "task", "split", "patient_id", "image_path", "annotation_path")


def write_ignite(folder: str | Path, *, regions: int = 4, seed: int = 0) -> Path:
    """Write a small IGNITE.

    Parameters
    ----------
    folder
        New; holds ``images``, ``annotations`` and ``data_overview.csv``.
    regions
        H&E regions, each with its mask, alone and with context; every second one is of the test part.
    """
    held = stock(seed=seed)
    with whole_folder(folder, overwrite=False) as part:
        rows = [_write_region(part, k, held) for k in range(regions)]
        for task in ("pdl1", "nuclei"):
            name = f"patient{len(rows) + 1}_{task}_roi1.png"
            write_picture(part / "images" / "pdl1" / task / name, held.pdl1)
            annotated = held.cells[held.cells[["x_px0", "y_px0"]].lt(SIDE_PX - 6).all(axis=1)]
            home = part / "annotations" / "pdl1" / task
            write_coco(home / f"{task}_annotations.json", _coco(annotated, task, name, [""], seed))
            write_coco(
                home / f"{task}_test_set_all_readers.json", _coco(annotated, task, name, READERS, seed)
            )
            place = f"pdl1/{task}/{name}"
            rows.append(
                [name[:-4], f"{task}_detection", "test", name.split("_")[0], f"../../data/images/{place}", ""]
            )
        with (part / "data_overview.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])
    return Path(folder)


def _write_region(part: Path, k: int, held) -> list[str]:
    """Write an H&E region with its masks and return its line of the overview."""
    label = LABELS[k % len(LABELS)]
    split = "test" if k % 2 else "train"
    name = f"patient{k // 2 + 1}_he_roi{k % 2 + 1}"
    around, ids = held.he[label][k % 4], IDS[held.tissue[label][k % 4]]
    inner = slice(8 + k, -8)  # regions differ in size
    for stem, pixels, mask in (
        (name, around[inner, inner], (256 - ids[inner, inner].astype(int)) % 256),
        (f"{name}_with_context", around, np.pad(ids[inner, inner], ((8 + k, 8), (8 + k, 8)))),
    ):
        write_picture(part / "images" / "he" / f"{stem}.png", pixels)
        write_picture(part / "annotations" / "he" / f"{stem}.png", mask.astype(np.uint8))
    paths = [f"../../data/{kind}/he/{name}.png" for kind in ("images", "annotations")]
    return [name, "he_tissue_segmentation", split, name.split("_")[0], *paths]


def _coco(cells: pd.DataFrame, task: str, name: str, readers, seed: int) -> Coco:
    """Return the cells as boxes, once a reader; readers after the first are up to 3 px off."""
    names = _NAMES if task == "pdl1" else ("nucleus",)
    side = BOX_PX[task]
    rng = np.random.default_rng([seed, 1])
    tumour = cells["compartment"].eq("invasive").to_numpy()
    kind = (
        np.where(tumour, cells["positive"].to_numpy().astype(int), 2)
        if task == "pdl1"
        else np.zeros(len(cells))
    )
    parts = []
    for r in range(len(readers)):
        xy = cells[["x_px0", "y_px0"]].to_numpy().round() + (rng.integers(-3, 4, (len(cells), 2)) if r else 0)
        boxes = pd.DataFrame(xy - side / 2, columns=["left_px", "top_px"])
        parts.append(boxes.assign(category_id=kind.astype(int) + 1 + r * len(names)))
    boxes = pd.concat(parts, ignore_index=True)
    boxes = boxes.assign(
        annotation_id=np.arange(len(boxes)), image_id=0, box_width_px=side, box_height_px=side
    )
    images = {"image_id": 0, "file_name": name, "width_px": SIDE_PX, "height_px": SIDE_PX}
    categories = [
        (1 + k + r * len(names), word, reader or "cell")
        for r, reader in enumerate(readers)
        for k, word in enumerate(names)
    ]
    return Coco(
        pd.DataFrame([images | {"annotated_xyxy": [0, 0, SIDE_PX - 6, SIDE_PX - 6]}]),
        pd.DataFrame(categories, columns=["category_id", "name", "supercategory"]),
        boxes,
    )
