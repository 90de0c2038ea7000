"""Agreed labels as files: for QuPath, for ASAP, and per tile for YOLO, COCO and R1's JSON.

Cells that are disputed or unread are left out, and so are cells that cannot be labelled; ``left_out.csv``
names each with its reason. "Not tumour" goes to QuPath as ``Other`` and makes no box: to a detector of tumour
cells it is background. ``tiles.csv`` counts, for each tile, what was left out of it, since a detector that
learns from a tile with cells left out learns that these are background, too.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES
from her2kit.errors import ReviewError
from her2kit.exchange.asap import write_asap
from her2kit.exchange.coco import coco_of_points, write_coco
from her2kit.exchange.frame import Frame
from her2kit.exchange.geojson import write_cells_geojson
from her2kit.exchange.r1_json import write_reviewed
from her2kit.exchange.whole import whole_file
from her2kit.exchange.yolo import BOX_UM, write_yolo
from her2kit.labels.assignment import KEY
from her2kit.labels.qupath import for_qupath
from her2kit.labels.review_log import CANNOT_LABEL

SLIDE_FORMATS, TILE_FORMATS = ("geojson", "asap"), ("yolo", "coco", "r1")
FORMATS = (*SLIDE_FORMATS, *TILE_FORMATS)


def export_labels(
    out: str | os.PathLike,
    cells: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    formats: Sequence[str] = FORMATS,
    mpp: Mapping[str, float] | None = None,
    tile_px: int = 1024,
    tile_mpp: float | None = None,
) -> list[Path]:
    """Write labels in one or more formats; return the files.

    Parameters
    ----------
    out
        A folder; made if missing.
    cells : DataFrame
        The cell table of the review.
    labels : DataFrame
        As `merge.merge_labels` returns it, one row a cell.
    formats
        Of `FORMATS`. ``labels.csv`` and ``left_out.csv`` are always written.
    mpp
        Micrometres per level-0 pixel of each slide; needed by formats that count in tiles.
    tile_px, tile_mpp
        Side of a tile in its own pixels, and their size in micrometres; default: the slide's own.

    Raises
    ------
    ValueError
        If a format is unknown.
    ReviewError
        If a tile format is asked for a slide whose mpp is not known, or a slide's name cannot name a file.
    """
    strange = [f for f in formats if f not in FORMATS]
    if strange:
        raise ValueError(f"format {strange[0]!r} is not known; use {', '.join(FORMATS)}")
    columns = ["label", "status", "n_readings", "support", "reasons"]
    plain = cells.reset_index(drop=True).drop(columns=columns, errors="ignore")
    out, table = Path(out), plain.merge(labels, on=KEY, validate="one_to_one")
    for slide_id in table["slide_id"].unique():
        if Path(slide_id).name != slide_id:
            raise ReviewError(f"slide_id {slide_id!r} cannot name a file; rename the slide in the cell table")
    known = table["label"].notna() & (table["label"] != CANNOT_LABEL)
    paths = [
        _csv(out / "labels.csv", table.loc[known, [*KEY, "x_px0", "y_px0", *columns]]),
        _csv(out / "left_out.csv", table.loc[~known, [*KEY, "x_px0", "y_px0", *columns]]),
    ]
    for slide_id, rows in table.groupby("slide_id", sort=True):
        usable, graded = rows[known[rows.index]], rows[rows["label"].isin(CLASSES)]
        points = graded[[*KEY, "x_px0", "y_px0"]].assign(cell_class=graded["label"].to_numpy(object))
        if "geojson" in formats:
            path = out / f"{slide_id}.geojson"
            drawn = for_qupath(usable, usable["label"]).drop(columns=columns, errors="ignore")
            write_cells_geojson(path, drawn, slide_id=str(slide_id))
            paths.append(path)
        if "asap" in formats:
            paths.append(write_asap(out / f"{slide_id}.xml", points))
        tiled = [f for f in formats if f in TILE_FORMATS]
        if tiled:
            own = (mpp or {}).get(str(slide_id))
            if own is None:
                raise ReviewError(
                    f"slide {slide_id} has no mpp in this review, and {tiled[0]} counts in tiles; pass --mpp"
                )
            paths += _write_tiles(
                out, str(slide_id), rows, points, known, tiled, own, tile_px, tile_mpp or own
            )
    return paths


def _write_tiles(
    out: Path,
    slide_id: str,
    rows: pd.DataFrame,
    points: pd.DataFrame,
    known: pd.Series,
    formats: Sequence[str],
    own: float,
    tile_px: int,
    mpp: float,
) -> list[Path]:
    """Write the files of one slide that count in pixels of tiles."""
    side = tile_px * mpp / own
    at = np.floor(rows[["x_px0", "y_px0"]].to_numpy(float) / side).astype(int)
    names = [f"{slide_id}_{x}_{y}" for x, y in (at * side).round().astype(int).tolist()]
    tile_of = pd.Series(names, index=rows.index)
    corner = dict(zip(names, (at * side).tolist(), strict=True))
    frames = {n: Frame(tile_px, tile_px, mpp, own, *corner[n]) for n in sorted(corner)}
    groups = {n: points[tile_of[points.index] == n].reset_index(drop=True) for n in frames}
    paths = []
    if "yolo" in formats:
        paths += [write_yolo(out / "yolo" / f"{n}.txt", groups[n], frames[n]) for n in frames]
    if "coco" in formats:
        path = out / f"{slide_id}_coco.json"
        paths.append(write_coco(path, coco_of_points(groups, frames, box_um=BOX_UM)))
    if "r1" in formats:
        paths.append(write_reviewed(out / f"{slide_id}_r1.json", groups, frames))
    counts = pd.DataFrame({"tile": list(frames)})
    counts["x_px0"], counts["y_px0"] = zip(*(corner[n] for n in frames), strict=True)
    counts["mpp"], counts["side_px"] = mpp, tile_px
    counts["graded"] = [len(groups[n]) for n in frames]
    counts["left_out"] = counts["tile"].map((~known[rows.index]).groupby(tile_of).sum()).astype(int)
    paths.append(_csv(out / f"{slide_id}_tiles.csv", counts))
    return paths


def _csv(path: Path, table: pd.DataFrame) -> Path:
    with whole_file(path) as part:
        table.to_csv(part, index=False)
    return path
