"""Sections read at one low magnification, with the tumour that was outlined on them, and tiles cut from them.

Two scanners never share their levels. Each section is read from its nearest finer level and averaged down to
one mpp, never magnified. Where stain is normalised, the whole section gets one fit; one whose stain cannot be
fitted keeps its raw pixels and says so, since a tile that turned black would teach that black is normal.
Nothing is learned here.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import shapely
from skimage.draw import polygon as draw_polygon

from her2kit.errors import ManifestError, StainError
from her2kit.exchange.geojson import Region, read_regions
from her2kit.slides.bulk import read_tiles
from her2kit.slides.slide import open_slide
from her2kit.slides.tiles import stitch, tile_grid
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point
from her2kit.slides.windows import check_window
from her2kit.stain.basis import StainBasis
from her2kit.stain.normalise import fit_slide, normalise

LOW_MPP = 3.536
"""Micrometres per pixel: level 4 of a scanner of 0.221, which HeLP 2019's winner read (905 um in 256 px)."""
LABELS = ("normal", "tumour")
"""Labels of a section, and the classes of its pixels."""
LEAST_TUMOUR = 0.05
"""Share of a tile that makes it a tumour tile: less of it is the tip of a tumour that its neighbour shows."""
LEAST_TISSUE = 0.05
"""Share of a tile that must be tissue."""
_GRID_PX = 128


@dataclass(frozen=True, slots=True)
class Section:
    """A whole slide at one low mpp."""

    slide_id: str
    pixels: np.ndarray
    """uint8 (h, w, 3), RGB; white where there is no tissue near."""
    tissue: np.ndarray
    """bool (h, w)."""
    mpp: float
    """Micrometres per pixel of both."""
    scale: float
    """Level-0 pixels per pixel of both."""
    status: str = "raw"
    """``raw``; ``normalised``; or ``raw: <why it could not be normalised>``."""


@dataclass(frozen=True, slots=True)
class TumourTiles:
    """Tiles with the tumour on them, row for row."""

    table: pd.DataFrame
    """``slide_id``, ``patient_id``, ``x_px``, ``y_px`` (in the section), ``tumour`` (its share), ``label``,
    ``status`` of the section."""
    pixels: np.ndarray
    """uint8 (n, tile_px, tile_px, 3), RGB."""
    masks: np.ndarray
    """uint8 (n, tile_px, tile_px): 1 in tumour."""


def read_section(
    path: str | Path,
    *,
    mpp: float = LOW_MPP,
    own_mpp: float | None = None,
    target: StainBasis | None = None,
    slide_id: str = "",
) -> Section:
    """Read a whole slide at a low mpp, tile by tile where there is tissue.

    Parameters
    ----------
    mpp
        Micrometres per pixel wanted; the nearest finer level is averaged down.
    own_mpp
        Of the slide's level 0, where its file does not say.
    target
        Colours to normalise to (`her2kit.stain.normalise.fit_slide` of one section); None leaves them raw.
    slide_id
        Name; empty takes the file's.

    Raises
    ------
    MppError
        If the slide has no mpp.
    ValueError
        If ``mpp`` is finer than the slide's own.
    SlideError
        If the slide cannot be read.
    """
    with open_slide(path, mpp=own_mpp) as slide:
        slide.scale_at(mpp)
        white = find_white_point(slide)
        tissue = find_tissue(slide, white, mpp=max(8.0, mpp))
        grid = tile_grid(slide, tissue, tile_px=_GRID_PX, mpp=mpp)
        status, own = "raw", None
        if target is not None:
            try:
                own = fit_slide(slide, tissue, white.rgb, method=target.method, mpp=mpp)
                status = "normalised"
            except StainError as error:
                status = f"raw: {error}"
        parts = (tile.pixels for _, tile in read_tiles(slide, grid))
        if own is not None and target is not None:
            parts = (normalise(pixels, own, target).pixels for pixels in parts)
        pixels = stitch(grid, parts, fill=255)
        if pixels.ndim == 2:  # no tissue at all
            pixels = np.full((*pixels.shape, 3), 255, np.uint8)
        y, x = ((np.arange(n) + 0.5) * grid.scale for n in pixels.shape[:2])
        columns, rows = np.meshgrid(x, y)
        inside = tissue.contains(columns.ravel(), rows.ravel()).reshape(columns.shape)
        return Section(slide_id or slide.slide_id, pixels, inside, grid.mpp, grid.scale, status)


def section_of(row: Mapping[str, Any], *, mpp: float = LOW_MPP, target: StainBasis | None = None) -> Section:
    """Read the section of a manifest's row; its ``mpp`` goes before the file's."""
    slide_id = str(row["slide_id"])
    return read_section(row["path"], mpp=mpp, own_mpp=own_mpp(row), target=target, slide_id=slide_id)


def own_mpp(row: Mapping[str, Any]) -> float | None:
    """Return the manifest's ``mpp`` of a row; None where it is empty."""
    value = row.get("mpp")
    return None if value is None or value == "" or pd.isna(value) else float(value)


def tumour_regions(row: Mapping[str, Any]) -> list[Region]:
    """Return the outlined tumours of a manifest's row; none for a normal section.

    Raises
    ------
    ManifestError
        If the label is neither ``tumour`` nor ``normal``, or does not go with ``tumour_path``.
    RegionError
        If the outlines cannot be read.
    """
    label, path = row.get("label"), row.get("tumour_path")
    outlined = bool(path) and not pd.isna(path)
    if label not in LABELS:
        raise ManifestError(f"slide {row['slide_id']}: label is {label!r}; write tumour or normal")
    if outlined != (label == "tumour"):
        words = "has no tumour_path; outline it" if label == "tumour" else "has a tumour_path; remove it"
        raise ManifestError(f"slide {row['slide_id']}: is {label} and {words}, or correct the label")
    return read_regions(str(path)) if outlined else []


def tumour_mask(regions: Sequence[Region], section: Section) -> np.ndarray:
    """Return the pixels of a section whose centre lies in a tumour, bool (h, w); holes are left out."""
    out = np.zeros(section.tissue.shape, bool)
    for polygon in _polygons(regions):
        one = np.zeros_like(out)
        for value, rings in ((True, [polygon.exterior]), (False, polygon.interiors)):
            for ring in rings:
                x, y = np.array(ring.coords).T / section.scale - 0.5
                one[draw_polygon(y, x, out.shape)] = value
        out |= one
    return out


def true_axis_um(regions: Sequence[Region], *, mpp: float) -> float:
    """Return the longest diameter of the largest outlined tumour in um; 0 without any.

    Parameters
    ----------
    mpp
        Micrometres per level-0 pixel.
    """
    parts = _polygons(regions)
    if not parts:
        return 0.0
    corners = np.array(max(parts, key=lambda p: p.area).convex_hull.exterior.coords)
    return float(np.hypot(*(corners[:, None] - corners[None]).transpose(2, 0, 1)).max()) * mpp


def cut_tiles(
    table: pd.DataFrame,
    *,
    tile_px: int = 256,
    mpp: float = LOW_MPP,
    overlap: float = 0.5,
    per_slide: int | None = None,
    target: StainBasis | None = None,
    seed: int = 0,
) -> TumourTiles:
    """Cut tiles with their tumour out of the sections of a manifest.

    Parameters
    ----------
    table
        A manifest: ``path``, ``slide_id``, ``patient_id``, ``label`` (tumour or normal) and ``tumour_path``.
    tile_px
        Side of a tile, a multiple of 32.
    overlap
        Share of a tile in common with the next, 0 to below 1.
    per_slide
        At most so many tiles of each label from a section, drawn at random; None takes all.
    mpp, target
        As `read_section` takes them.

    Raises
    ------
    ValueError
        If an argument is out of range.
    ManifestError, RegionError, SlideError, MppError
        As `tumour_regions` and `read_section`.
    """
    check_window(tile_px)
    if not 0 <= overlap < 1 or (per_slide is not None and per_slide < 1):
        raise ValueError(
            f"overlap={overlap}, per_slide={per_slide}; use 0 to below 1, and at least 1 or None for all"
        )
    rows, pixels, masks = [], [], []
    for row in table.to_dict("records"):
        regions = tumour_regions(row)
        section = section_of(row, mpp=mpp, target=target)
        mask = tumour_mask(regions, section).astype(np.uint8)
        found = _places(section, mask, tile_px, overlap)
        found = found.assign(slide_id=section.slide_id, patient_id=row["patient_id"], status=section.status)
        if per_slide is not None:
            order = np.random.default_rng([seed, zlib.crc32(section.slide_id.encode())]).permutation(
                len(found)
            )
            found = found.iloc[order].groupby("label", sort=False).head(per_slide).sort_index()
        rows.append(found)
        for place in found.itertuples():
            window = (slice(place.y_px, place.y_px + tile_px), slice(place.x_px, place.x_px + tile_px))
            pixels.append(_padded(section.pixels[window], tile_px, 255))
            masks.append(_padded(mask[window], tile_px, 0))
    names = ["slide_id", "patient_id", "x_px", "y_px", "tumour", "label", "status"]
    return TumourTiles(
        pd.concat(rows, ignore_index=True)[names] if rows else pd.DataFrame(columns=names),
        np.stack(pixels) if pixels else np.empty((0, tile_px, tile_px, 3), np.uint8),
        np.stack(masks) if masks else np.empty((0, tile_px, tile_px), np.uint8),
    )


def one_to_one(tiles: pd.DataFrame, *, seed: int = 0) -> np.ndarray:
    """Return rows of a tile table with as many tumour tiles as normal ones, drawn at random, in order.

    Raises
    ------
    ManifestError
        If one of the two labels is missing.
    """
    by_label = {name: np.flatnonzero((tiles["label"] == name).to_numpy()) for name in LABELS}
    n = min(len(found) for found in by_label.values())
    if not n:
        missing = next(name for name, found in by_label.items() if not len(found))
        raise ManifestError(
            f"{len(tiles)} tiles, none of them {missing}; add sections, or lower the number of folds"
        )
    rng = np.random.default_rng(seed)
    return np.sort(np.concatenate([rng.choice(found, n, replace=False) for found in by_label.values()]))


def _polygons(regions: Sequence[Region]) -> list[shapely.Polygon]:
    return [part for r in regions for part in getattr(r.geometry, "geoms", [r.geometry])]


def _places(section: Section, mask: np.ndarray, tile_px: int, overlap: float) -> pd.DataFrame:
    """Return the tiles that hold tissue, one row each."""
    step = max(1, round(tile_px * (1 - overlap)))
    last = [max(0, side - tile_px) for side in mask.shape]
    y, x = (sorted({*range(0, n, step), n}) for n in last)
    rows, columns = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    tissue, tumour = (_share(values, rows, columns, tile_px) for values in (section.tissue, mask))
    label = np.where(tumour >= LEAST_TUMOUR, "tumour", "normal")
    out = pd.DataFrame({"x_px": columns, "y_px": rows, "tumour": tumour, "label": label})
    clear = (tumour >= LEAST_TUMOUR) | (tumour == 0)
    return out[(tissue >= LEAST_TISSUE) & clear].reset_index(drop=True)


def _share(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, side: int) -> np.ndarray:
    total = cv2.integral(values.astype(np.uint8))
    bottom, right = np.minimum(rows + side, values.shape[0]), np.minimum(columns + side, values.shape[1])
    sums = total[bottom, right] - total[rows, right] - total[bottom, columns] + total[rows, columns]
    return sums / side**2


def _padded(values: np.ndarray, side: int, fill: int) -> np.ndarray:
    beyond = [(0, side - n) for n in values.shape[:2]] + [(0, 0)] * (values.ndim - 2)
    return np.pad(values, beyond, constant_values=fill)
