"""Cells and regions as GeoJSON that QuPath opens, in level-0 pixels; written and read as a stream.

A cell is one Feature: `id` from slide and cell, `geometry` the cell, `nucleusGeometry` the nucleus, class
with colour, and every number of its row as a measurement under the table's own name. A region is an
annotation with a name. The layout is QuPath's (https://qupath.readthedocs.io, "Exporting annotations"); the
coordinates are pixels, so the files are GeoJSON (RFC 7946) in form only. Decides nothing about cells.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from shapely.geometry import MultiPolygon, Polygon

from her2kit.errors import RegionError
from her2kit.exchange.cell_text import CLASS_RGB, cell_lines, feature_id, rounded
from her2kit.exchange.features import read_features
from her2kit.exchange.whole import whole_file

_ROWS = 2_000  # cells formatted at a time, so that memory does not grow with the slide


@dataclass(frozen=True, slots=True)
class CellsWritten:
    """What `write_cells_geojson` had to mend."""

    cells: int
    """Features in the file."""
    repaired: int
    """Outlines (of cells or nuclei) that crossed themselves; their largest valid part was written."""
    points: int
    """Cells without a usable outline, written as a point at their centre."""

    def __post_init__(self) -> None:
        if min(self.cells, self.repaired, self.points) < 0:
            raise ValueError(f"counts must not be negative, found {self}")


@dataclass(frozen=True, slots=True)
class Region:
    """A named area of a slide."""

    name: str
    """Its class, for example ``invasive`` or ``in_situ``."""
    geometry: Polygon | MultiPolygon
    """Level-0 pixels, valid, not empty."""

    def __post_init__(self) -> None:
        if not isinstance(self.geometry, Polygon | MultiPolygon):
            raise ValueError(
                f"geometry of region {self.name!r} is {type(self.geometry).__name__}; pass a polygon"
            )
        if self.geometry.is_empty or not self.geometry.is_valid:
            raise ValueError(f"geometry of region {self.name!r} is empty or invalid; see shapely.make_valid")


def write_cells_geojson(path: str | os.PathLike, cells: pd.DataFrame, *, slide_id: str) -> CellsWritten:
    """Write a cell table as QuPath cells, one Feature a line; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write.
    cells : DataFrame
        `cell_id`, `x_px0`, `y_px0`, `outline`, `nucleus_outline` and `cell_class` (null: not evaluable), in
        level-0 pixels. Every number or flag becomes a measurement; missing numbers are left out.
    slide_id : str
        Together with `cell_id` it makes the Feature's id.

    Returns
    -------
    CellsWritten
        How many cells, how many outlines were mended, how many became points.

    Notes
    -----
    Coordinates are rounded to 0.01 px. Geometry that is then invalid goes through `shapely.make_valid` and
    `shapely.set_precision`, and its largest part is kept.
    """
    names = [n for n in cells.columns if pd.api.types.is_numeric_dtype(cells[n])]
    repaired = points = 0
    with whole_file(path) as part, part.open("wb", buffering=1 << 20) as out:
        out.write(b'{"type":"FeatureCollection","features":[')
        for start in range(0, len(cells), _ROWS):
            rows = cells.iloc[start : start + _ROWS]
            text, mended, dropped = cell_lines(rows, names, slide_id)
            out.write(b",\n" if start else b"\n")
            out.write(b",\n".join(text))
            repaired, points = repaired + mended, points + dropped
        out.write(b"\n]}\n")
    return CellsWritten(len(cells), repaired, points)


def read_cells_geojson(path: str | os.PathLike) -> pd.DataFrame:
    """Read cells that `write_cells_geojson` or QuPath wrote.

    Returns
    -------
    DataFrame
        `id`, `x_px0`, `y_px0` (the measurement of that name, else the centre of the geometry), `outline`,
        `nucleus_outline` (float32 (n, 2), not closed, or None), `cell_class` ("0", "1+", "2+", "3+" or None),
        `classification` (the name as it stands in the file), and one float column a measurement.

    Raises
    ------
    RegionError
        If the file is missing, is no GeoJSON, or a Feature lacks what it must have.
    """
    path = Path(path)
    records = []
    for number, feature in enumerate(read_features(path), start=1):
        try:
            properties = feature.get("properties") or {}
            measured = properties.get("measurements") or {}
            if isinstance(measured, list):  # QuPath 0.2 and 0.3: a list of {name, value}
                measured = {m["name"]: m["value"] for m in measured}
            outline, centre = _ring_and_centre(feature["geometry"])
            nucleus = feature.get("nucleusGeometry")
            name = (properties.get("classification") or {}).get("name")
            records.append(
                {"id": feature.get("id"), "x_px0": centre[0], "y_px0": centre[1], "outline": outline}
                | {"nucleus_outline": _ring_and_centre(nucleus)[0] if nucleus else None}
                | {"cell_class": name if name in CLASS_RGB else None, "classification": name}
                | {key: float(value) for key, value in measured.items() if value is not None}
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise RegionError(
                f"{path}: feature {number} is no cell ({error!r}); export the cells again"
            ) from error
    head = ["id", "x_px0", "y_px0", "outline", "nucleus_outline", "cell_class", "classification"]
    table = pd.DataFrame(records, columns=None if records else head)
    for name in ("outline", "nucleus_outline"):
        table[name] = pd.Series(list(table[name]), index=table.index, dtype=object)
    return table


def write_regions(
    path: str | os.PathLike, regions: Iterable[Region], *, colours: Mapping[str, str] | None = None
) -> Path:
    """Write regions as QuPath annotations, rounded to 0.01 px; the file appears whole or not at all.

    Parameters
    ----------
    colours
        Colour of a name, as ``#RRGGBB``; QuPath chooses one for a name that is not there.
    """
    path = Path(path)
    rgb = {name: list(bytes.fromhex(word[1:])) for name, word in (colours or {}).items()}
    features = []
    for number, region in enumerate(regions):
        geometry = shapely.set_precision(region.geometry, 0.01)
        features.append(
            {
                "type": "Feature",
                "id": feature_id(path.stem, f"region {number} {region.name}"),
                "geometry": rounded(shapely.geometry.mapping(geometry)),
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": region.name}
                    | ({"color": rgb[region.name]} if region.name in rgb else {}),
                },
            }
        )
    with whole_file(path) as part, part.open("w", encoding="utf-8") as out:
        out.write('{"type":"FeatureCollection","features":[')
        out.write(",".join("\n" + json.dumps(f, separators=(",", ":"), ensure_ascii=False) for f in features))
        out.write("\n]}\n")
    return path


def read_regions(path: str | os.PathLike) -> list[Region]:
    """Read every polygon of a GeoJSON file as a named region, in file order.

    The name is `properties.classification.name`, else `properties.name`, else `properties.class`, else
    ``unnamed``. Points and lines are passed over.

    Raises
    ------
    RegionError
        If the file is missing or unreadable, holds no polygon, or a polygon is invalid; one line with what
        to do.
    """
    path = Path(path)
    regions = []
    for number, feature in enumerate(read_features(path), start=1):
        name = _region_name(feature.get("properties"))
        region = region_of(path, number, name, feature.get("geometry"))
        if region is not None:
            regions.append(region)
    if not regions:
        raise RegionError(f"{path}: no polygon in it; draw a region in QuPath and export it as GeoJSON")
    return regions


def region_of(path: Path, number: int, name: str, geometry: object) -> Region | None:
    """Return what a Feature draws as a region; None for points and lines.

    Parameters
    ----------
    path, number
        The file and the Feature's place in it, from 1, for the message.

    Raises
    ------
    RegionError
        If the polygon cannot be read, is invalid, or has no area.
    """
    if not isinstance(geometry, dict) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    try:
        shape = shapely.geometry.shape(geometry)
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        shapely.errors.GEOSException,
    ) as error:
        raise RegionError(
            f"{path}: region {number} ({name}) has unreadable coordinates; draw it again"
        ) from error
    if not shape.is_valid:
        why = shapely.is_valid_reason(shape)
        raise RegionError(
            f"{path}: region {number} ({name}) is invalid ({why}); draw it again without crossing lines"
        )
    if shape.is_empty or shape.area == 0:
        raise RegionError(f"{path}: region {number} ({name}) has no area; draw it again")
    return Region(name, shape)


def _ring_and_centre(geometry: dict) -> tuple[np.ndarray | None, tuple[float, float]]:
    """Return the outer ring (of the largest part) without its closing point, and the centre."""
    shape = shapely.geometry.shape(geometry)
    if shape.geom_type == "MultiPolygon":
        shape = max(shape.geoms, key=lambda p: p.area)
    centre = (shape.centroid.x, shape.centroid.y)
    if shape.geom_type == "Point":
        return None, centre
    return shapely.get_coordinates(shape.exterior)[:-1].astype(np.float32), centre


def _region_name(properties: dict | None) -> str:
    properties = properties if isinstance(properties, dict) else {}
    classification = properties.get("classification")
    if isinstance(classification, dict) and classification.get("name"):
        return str(classification["name"])
    return str(properties.get("name") or properties.get("class") or "unnamed")
