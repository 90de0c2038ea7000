"""Cut labelled tiles out of slides whose tissue is known, for models that learn on tiles.

A tile's shares of tissue come from the slide's raster of regions (``mask_path``), its label from the tissue
that fills most of it, or from its slide, as HER2-IHC-40x and BCI do it. Only whole tiles inside the slide
count; the pixels are raw. The phantom writes such rasters (``her2kit phantom``); any manifest that has them
will do.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from her2kit.cells.table import TISSUES
from her2kit.errors import ManifestError
from her2kit.learning.pictures import read_raster, write_picture
from her2kit.slides.slide import Slide, open_slide

COLUMNS = (
    *("path", "dataset", "patient_id", "slide_id", "label", "split", "site", "mpp", "stain", "pair_path"),
    *("mask_path", "tile_id", "x_px0", "y_px0", "size_px0", "slide_label", "tissue", "tissue_fraction"),
)
"""Columns of a tile table; a column ``share_<tissue>`` for each tissue follows. ``mpp`` is the tile's."""


@dataclass(frozen=True, slots=True)
class LabelledTiles:
    """Tiles with what is known about them, row for row."""

    table: pd.DataFrame
    """`COLUMNS` and the shares: slides in the manifest's order, the tiles of each in reading order."""
    pixels: np.ndarray
    """uint8 (n, size_px, size_px, 3) RGB, raw."""
    pair_pixels: np.ndarray | None = None
    """The same places in the slides of ``pair_path``; None where they were not asked for."""

    def __post_init__(self) -> None:
        for name in ("pixels", "pair_pixels"):
            pixels = getattr(self, name)
            if pixels is not None and (pixels.dtype != np.uint8 or len(pixels) != len(self.table)):
                raise ValueError(
                    f"{name} is {pixels.dtype} of {len(pixels)} tiles; give uint8, {len(self.table)} tiles"
                )


def cut_tiles(
    table: pd.DataFrame,
    *,
    size_px: int = 128,
    mpp: float = 0.5,
    label: str = "tissue",
    at_least: Mapping[str, float] | None = None,
    purity: float = 0.0,
    per_label: int | None = None,
    pairs: bool = False,
    tissues: Sequence[str] = TISSUES,
    seed: int = 0,
) -> LabelledTiles:
    """Cut tiles without overlap out of the slides of a manifest.

    Parameters
    ----------
    table
        A manifest with ``path``, ``slide_id`` and ``mask_path``; ``label`` too for ``label="slide"``.
    size_px, mpp
        Side of a tile in pixels, and their size in micrometres.
    label
        ``tissue``: what fills most of the tile. ``slide``: the label of its slide.
    at_least
        Tissue to the share, 0 to 1, that a tile must hold of it, such as ``{"tumour": 0.5}``.
    purity
        Least share of the tissue that fills most of the tile.
    per_label
        At most so many tiles of a label from each slide, drawn at random; None takes all.
    pairs
        Also read the slide of ``pair_path`` at the same level-0 places.
    tissues
        What the values of the rasters mean.
    seed
        Of the draw. What is drawn from a slide does not depend on the other slides.

    Raises
    ------
    ValueError
        If an argument is out of range or names an unknown tissue.
    ManifestError
        If a slide lacks its raster, label or pair, or the raster does not fit.
    SlideError
        If a slide or raster cannot be read.
    """
    _check(size_px, mpp, label, at_least, purity, per_label, tissues)
    kept, pixels, pair_pixels = [], [], []
    for row in table.to_dict("records"):
        for name in (
            "mask_path",
            *(["label"] if label == "slide" else []),
            *(["pair_path"] if pairs else []),
        ):
            if not row.get(name) or pd.isna(row[name]):
                raise ManifestError(
                    f"slide {row['slide_id']} has no {name}; fill it in, or leave the slide out"
                )
        with open_slide(row["path"], mpp=_number(row.get("mpp"))) as slide:
            tiles = _tiles_of(slide, row, size_px, mpp, tissues)
            tiles["label"] = row.get("label") if label == "slide" else tiles["tissue"]
            tiles = _chosen(tiles, at_least or {}, purity, per_label, seed, tissues)
            pixels.append(_read(slide, tiles, size_px, mpp))
            size = slide.level_dimensions[0]
        if pairs:
            with open_slide(row["pair_path"], mpp=_number(row.get("mpp"))) as pair:
                if pair.level_dimensions[0] != size:
                    raise ManifestError(
                        f"{row['pair_path']}: its size differs from that of {row['path']}; "
                        "register the pair first"
                    )
                pair_pixels.append(_read(pair, tiles, size_px, mpp))
        kept.append(tiles)
    empty = np.empty((0, size_px, size_px, 3), np.uint8)
    names = [*COLUMNS, *(f"share_{name}" for name in tissues)]
    return LabelledTiles(
        pd.concat(kept, ignore_index=True)[names] if kept else pd.DataFrame(columns=names),
        np.concatenate([empty, *pixels]),
        np.concatenate([empty, *pair_pixels]) if pairs else None,
    )


def write_tiles(tiles: LabelledTiles, folder: str | Path) -> pd.DataFrame:
    """Write each tile as ``folder/<slide_id>/<tile_id>.png`` (and ``_pair.png``); return their table.

    In the table ``path`` and ``pair_path`` are the written pictures, and ``mask_path`` is None.
    """
    folder = Path(folder)
    table = tiles.table.assign(mask_path=None, pair_path=None)
    for name, stack, ending in (("path", tiles.pixels, ""), ("pair_path", tiles.pair_pixels, "_pair")):
        if stack is None:
            continue
        ids = zip(table["slide_id"], table["tile_id"], strict=True)
        paths = [folder / str(slide) / f"{tile}{ending}.png" for slide, tile in ids]
        for path, pixels in zip(paths, stack, strict=True):
            write_picture(path, pixels)
        table[name] = [str(path) for path in paths]
    return table


def _check(size_px, mpp, label, at_least, purity, per_label, tissues) -> None:
    if size_px < 1:
        raise ValueError(f"size_px={size_px}; use 1 or more (128 is usual for tissue)")
    if not mpp > 0:
        raise ValueError(f"mpp={mpp}; give micrometres per pixel (0.5 at 20x)")
    if label not in ("tissue", "slide"):
        raise ValueError(f"label={label!r}; use tissue or slide")
    if per_label is not None and per_label < 1:
        raise ValueError(f"per_label={per_label}; use 1 or more, or None for all")
    for name, share in {**(at_least or {}), "purity": purity}.items():
        if name != "purity" and name not in tissues:
            raise ValueError(f"at_least names {name!r}; use one of {', '.join(tissues)}")
        if not 0 <= share <= 1:
            raise ValueError(f"{name}={share}; give a share from 0 to 1")


def _tiles_of(slide: Slide, row: Mapping, size_px: int, mpp: float, tissues: Sequence[str]) -> pd.DataFrame:
    """Return all whole tiles of a slide with their shares."""
    size_px0 = size_px * slide.scale_at(mpp)
    columns, rows = (int(side / size_px0 + 1e-6) for side in (slide.width_px0, slide.height_px0))
    mask = _mask(Path(str(row["mask_path"])), slide, tissues)
    down, right = (_shares(n, size_px0, side, pixels) for n, side, pixels in (
        (rows, slide.height_px0, mask.shape[0]), (columns, slide.width_px0, mask.shape[1])
    ))  # fmt: skip
    shares = [(right @ (down @ (mask == k).astype(np.float32)).T).T.ravel() for k in range(len(tissues))]
    r, c = (index.ravel() for index in np.indices((rows, columns)))
    out = pd.DataFrame({name: [row.get(name)] * len(r) for name in COLUMNS})
    out["slide_label"] = row.get("label")
    out["mpp"] = mpp
    out["tile_id"] = [f"r{a:04d}c{b:04d}" for a, b in zip(r, c, strict=True)]
    out["x_px0"], out["y_px0"], out["size_px0"] = c * size_px0, r * size_px0, size_px0
    out["tissue"] = np.array(tissues)[np.argmax(shares, axis=0)]
    out["tissue_fraction"] = 1 - shares[0]
    return out.assign(**{f"share_{name}": share for name, share in zip(tissues, shares, strict=True)})


def _mask(path: Path, slide: Slide, tissues: Sequence[str]) -> np.ndarray:
    """Return the raster of regions after checking that it covers the slide."""
    mask = read_raster(path)
    if mask.max(initial=0) >= len(tissues):
        raise ManifestError(
            f"{path}: holds the value {mask.max()}, tissues names {len(tissues)}; "
            "name every value in tissues="
        )
    across, down = slide.width_px0 / mask.shape[1], slide.height_px0 / mask.shape[0]
    if abs(across - down) > max(1 / mask.shape[1], 1 / mask.shape[0]) * max(across, down):
        raise ManifestError(
            f"{path}: {mask.shape[1]} x {mask.shape[0]} px do not fit the slide's {slide.width_px0} x "
            f"{slide.height_px0}; give a raster of the whole slide"
        )
    return mask


def _shares(n: int, size_px0: float, side_px0: int, pixels: int) -> sparse.csr_array:
    """Return weights (n, pixels): what each pixel of the raster gives to each tile along one axis."""
    edges = np.arange(n + 1) * size_px0 * pixels / side_px0
    first, last = np.floor(edges[:-1]).astype(int), np.minimum(np.ceil(edges[1:]).astype(int), pixels)
    weights = sparse.lil_array((n, pixels), dtype=np.float32)
    for k, (a, b) in enumerate(zip(first, last, strict=True)):
        place = np.arange(a, b)
        cover = np.minimum(place + 1, edges[k + 1]) - np.maximum(place, edges[k])
        weights[k, a:b] = cover / cover.sum()
    return weights.tocsr()


def _chosen(tiles, at_least, purity, per_label, seed, tissues) -> pd.DataFrame:
    """Return the tiles that hold enough, at most ``per_label`` of each label, in reading order."""
    keep = tiles[[f"share_{name}" for name in tissues]].max(axis=1) >= purity - 1e-6
    for name, share in at_least.items():
        keep &= tiles[f"share_{name}"] >= share - 1e-6
    tiles = tiles[keep]
    if per_label is None or tiles.empty:
        return tiles
    rng = np.random.default_rng([seed, zlib.crc32(str(tiles["slide_id"].iloc[0]).encode())])
    drawn = tiles.iloc[rng.permutation(len(tiles))].groupby("label", sort=False).head(per_label)
    return drawn.sort_index()


def _read(slide: Slide, tiles: pd.DataFrame, size_px: int, mpp: float) -> np.ndarray:
    out = np.empty((len(tiles), size_px, size_px, 3), np.uint8)
    for k, (x, y) in enumerate(zip(tiles["x_px0"], tiles["y_px0"], strict=True)):
        out[k] = slide.read(x, y, size_px, size_px, mpp=mpp).pixels
    return out


def _number(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(value)  # type: ignore[arg-type]
