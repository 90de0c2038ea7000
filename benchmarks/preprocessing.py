"""Whole preprocessing of a slide against R4's recipe and against merely reading; who reads tiles fastest.

Part of ``benchmarks.stain``. All ways are timed in turn in one run; ratios are medians over the rounds. Every
way may use two threads but R4's recipe, which had one; its staintools is timed on a sample of the tiles and
counted for all of them.
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile
from openslide import OpenSlide

from benchmarks.claims import Claim, real_folder
from her2kit.phantom.cohort import make_cohort
from her2kit.slides.bulk import read_tiles
from her2kit.slides.jpeg_tiles import VENDORS, JpegTileSource
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import open_slide
from her2kit.slides.thumbnail_mask import thumbnail_mask
from her2kit.slides.tiles import TileGrid, tile_grid
from her2kit.slides.tissue import find_tissue
from her2kit.slides.vendor import VendorSource
from her2kit.slides.white_point import find_white_point
from her2kit.stain.basis import StainBasis
from her2kit.stain.normalise import fit_slide, normalise
from her2kit.stain.staintools_reference import StaintoolsNormaliser, standardise

MPPS = (0.221, 0.25, 0.389, 0.499)
"""Micrometres per pixel of four scanners."""
SIDE_PX = 4096
WHOLE, TIMES = (0.25, 0.389), 4
"""Scanners whose slide is prepared as a whole. It is 16,384 px wide, 4 to 6 mm, and holds the phantom 4 x 4
times: one of that size would take minutes to draw. Its tiles are as many, its colours fewer."""
ONE_MPP = 0.5
TILE_PX = 256
ROUNDS = 5
SAMPLED = 12
"""Tiles of a slide on which staintools is timed."""


def preprocessing_claims() -> list[Claim]:
    """Measure on phantoms of four scanners, and read real slides too."""
    with tempfile.TemporaryDirectory() as name:
        slides = {mpp: _phantom(Path(name), mpp) for mpp in MPPS}
        target = _basis(slides[0.499])
        claims = []
        for mpp in WHOLE:
            claims += _whole(_repeated(slides[mpp], Path(name) / "large.tif"), f"{mpp} um/px", target)
        paths = list(slides.values())
        if real := real_folder():
            paths += [*sorted((real / "her2_wsi").glob("*.tif")), real / "wsi/cmu-1-small-region.svs"]
        return claims + _reading(paths)


def _phantom(folder: Path, mpp: float) -> Path:
    options = {"slides": 1, "seed": 3, "sites": 1, "stain": "he"}
    manifest = make_cohort(folder / str(mpp), size_px=SIDE_PX, mpp=mpp, **options)
    return next((manifest.parent / "slides").glob("*.tif"))


def _repeated(path: Path, place: Path) -> Path:
    """Write a slide that holds another `TIMES` across and down, and return its place."""
    with open_slide(path) as slide:
        pixels, mpp = slide.read(0, 0, SIDE_PX, SIDE_PX).pixels, slide.mpp
    tops = [y for _ in range(TIMES) for y in range(0, SIDE_PX, 256)]
    strips = (np.tile(pixels[y : y + 256], (1, TIMES, 1)) for y in tops)
    side = SIDE_PX * TIMES
    return write_pyramid(place, (side, side, strips), mpp=mpp, quality=75)


def _basis(path: Path) -> StainBasis:
    with open_slide(path) as slide:
        white = find_white_point(slide)
        return fit_slide(slide, find_tissue(slide, white), white.rgb, method="vahadane", mpp=ONE_MPP)


def _whole(path: Path, name: str, target: StainBasis) -> list[Claim]:
    """Time the whole preprocessing of a slide, merely reading its tiles in two ways, and R4's recipe."""
    with open_slide(path) as slide:
        grid = tile_grid(slide, find_tissue(slide, find_white_point(slide)), tile_px=TILE_PX, mpp=ONE_MPP)
    ways: dict[str, Callable[[int], object]] = {
        "prepared": lambda k: prepare(path, target, seed=k),
        "read by us": lambda k: read_by_us(path, grid),
        "read by OpenSlide": lambda k: read_by_openslide(path, grid, threads=2),
    }
    for way in ways.values():
        way(ROUNDS)
    rounds = [{key: _seconds(way, k) for key, way in ways.items()} for k in range(ROUNDS)]
    seconds = pd.DataFrame(rounds)
    seconds["R4's recipe"] = r4_seconds(path, grid)
    print(f"\n{name}: seconds for {len(grid.table)} tiles of {TILE_PX} px at {ONE_MPP} um/px")
    print(seconds.median().round(3).to_string())
    times = {key: (seconds[key] / seconds["prepared"]).median() for key in seconds}
    over = f"{name}: whole preprocessing, rate over merely reading"
    return [
        Claim(f"{name}: whole preprocessing, times R4's recipe", times["R4's recipe"], "x", ">= 60"),
        Claim(f"{over} with OpenSlide", 100 * times["read by OpenSlide"], "%", ">= 80"),
        Claim(f"{over} our way", 100 * times["read by us"], "%", ">= 80"),
    ]


def prepare(path: Path, target: StainBasis, *, seed: int) -> None:
    """Prepare a slide: tissue, stain fitted once, tiles at one mpp in the target's colours.

    Another seed is another fit, so that no table of colours is left from the round before.
    """
    with open_slide(path) as slide:
        white = find_white_point(slide)
        tissue = find_tissue(slide, white)
        own = fit_slide(slide, tissue, white.rgb, method="vahadane", mpp=ONE_MPP, seed=seed)
        for _, tile in read_tiles(slide, tile_grid(slide, tissue, tile_px=TILE_PX, mpp=ONE_MPP)):
            normalise(tile.pixels, own, target)


def read_by_us(path: Path, grid: TileGrid) -> None:
    """Read the tiles at one mpp."""
    with open_slide(path) as slide:
        for _ in read_tiles(slide, grid):
            pass


def read_by_openslide(path: Path, grid: TileGrid, *, threads: int) -> list[np.ndarray]:
    """Read the tiles from the nearest finer level, not yet at one mpp."""
    with OpenSlide(path) as slide, ThreadPoolExecutor(threads) as pool:
        level = slide.get_best_level_for_downsample(grid.scale)
        side = round(grid.size_px0 / slide.level_downsamples[level])
        places = [(round(r.x_px0), round(r.y_px0)) for r in grid.table.itertuples()]
        return list(pool.map(lambda at: np.asarray(slide.read_region(at, level, (side, side))), places))


def r4_seconds(path: Path, grid: TileGrid) -> float:
    """Return how long R4's recipe takes: threshold mask, tiles one by one, luminosity and Vahadane each."""
    start = time.perf_counter()
    with open_slide(path) as slide:
        thumbnail_mask(slide)
    tiles = [
        cv2.resize(tile[..., :3], (TILE_PX, TILE_PX)) for tile in read_by_openslide(path, grid, threads=1)
    ]
    seconds = time.perf_counter() - start
    reference = StaintoolsNormaliser("vahadane", iterations=None)
    richest = np.argsort(-grid.table["tissue_fraction"].to_numpy(), kind="stable")
    reference.fit(standardise(tiles[richest[0]]))
    sample = [tiles[i] for i in np.linspace(0, len(tiles) - 1, SAMPLED).astype(int)]
    each = [_seconds(lambda t: reference.transform(standardise(t)), tile) for tile in sample]
    return seconds + float(np.mean(each)) * len(tiles)


def _reading(paths: list[Path]) -> list[Claim]:
    """Hold the ways to read level 0 against each other, and their pixels on every tile of every level."""
    rows, same = [], True
    for path in paths:
        vendor = OpenSlide.detect_format(path)
        if vendor not in VENDORS:
            raise ValueError(f"{path} is {vendor}; name tiled TIFF or SVS")
        ours, theirs = (kind(path, vendor, need_mpp=True) for kind in (JpegTileSource, VendorSource))
        for level, size in enumerate(ours.dimensions):
            for box in _boxes(size):
                pairs = zip(ours.read(level, *box), theirs.read(level, *box), strict=True)
                same &= all(a is b is None or np.array_equal(a, b) for a, b in pairs)
        ours.close()
        theirs.close()
        ways: dict[str, Callable[[int], object]] = {
            "openslide": lambda k: _read_all(VendorSource, path, vendor, k),  # noqa: B023
            "ours": lambda k: _read_all(JpegTileSource, path, vendor, k),  # noqa: B023
            "tifffile": lambda k: tifffile.imread(path, key=0, maxworkers=k),  # noqa: B023
        }
        for threads in (1, 2):
            table = pd.DataFrame(
                [{key: _seconds(way, threads) for key, way in ways.items()} for _ in range(ROUNDS)]
            )
            rate = np.prod(ours.dimensions[0]) / 1e6 / table
            over = (rate["ours"] / rate["openslide"]).median()
            rows.append(
                {
                    "slide": path.stem,
                    "mpp": ours.mpp,
                    "threads": threads,
                    **rate.median().round(),
                    "over": over,
                }
            )
    table = pd.DataFrame(rows)
    print("\nreading level 0 in boxes of 1024 px, tifffile all at once; million pixels a second")
    print(table.round(3).to_string(index=False))
    return [
        Claim("JPEG tiles past OpenSlide: the same pixels on every level", same, "", "is true"),
        Claim("JPEG tiles past OpenSlide: times its rate, slowest slide", table["over"].min(), "x", ">= 2"),
    ]


def _boxes(size: tuple[int, int], *, side: int = 1024) -> list[tuple[int, int, int, int]]:
    return [(x, y, side, side) for y in range(0, size[1], side) for x in range(0, size[0], side)]


def _read_all(kind: type[VendorSource], path: Path, vendor: str, threads: int) -> None:
    """Open a slide and read its level 0."""
    source = kind(path, vendor, need_mpp=False)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda box: source.read(0, *box), _boxes(source.dimensions[0])):
            pass
    source.close()


def _seconds(way: Callable[[Any], object], argument: Any) -> float:
    start = time.perf_counter()
    way(argument)
    return time.perf_counter() - start
