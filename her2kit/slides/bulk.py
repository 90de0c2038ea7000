"""All tiles of a slide at one mpp, read ahead in threads. The pixels are those of ``tiles.read_tile``.

Threads and not processes: decoding and averaging let go of Python's lock. Whoever works on the tiles runs
beside the reading; what is read ahead is bounded, so memory does not grow with the slide.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from her2kit.errors import SlideError
from her2kit.slides.slide import SAME_SCALE, Slide, Tile
from her2kit.slides.tiles import TileGrid, read_tile


def read_tiles(
    slide: Slide, grid: TileGrid, *, threads: int = 2, ahead: int = 8
) -> Iterator[tuple[Any, Tile]]:
    """Yield (row of ``grid.table``, tile with its halo) for all tiles, in the table's order.

    Parameters
    ----------
    grid
        Laid over this slide (``tile_grid``) at the mpp wanted; part of its table will do
        (``dataclasses.replace(grid, table=some_rows)``).
    threads
        How many read at once.
    ahead
        At most so many tiles are read, or being read, beyond the one handed out.

    Raises
    ------
    SlideError
        In its place in the order, if a tile cannot be read; the message names the tile.
    MppError
        If the slide has no mpp.
    ValueError
        If ``threads`` or ``ahead`` is no whole number of 1 or more, or the grid was laid over another slide.

    Notes
    -----
    Leaving the loop early ends the threads, once they have finished the tiles they are at.
    """
    if not all(isinstance(n, int) and n >= 1 for n in (threads, ahead)):
        raise ValueError(f"threads={threads}, ahead={ahead}; use 1 or more (2 and 8 are usual)")
    same_size = (grid.width_px0, grid.height_px0) == (slide.width_px0, slide.height_px0)
    if not same_size or abs(slide.scale_at(grid.mpp) / grid.scale - 1) > SAME_SCALE:
        raise ValueError(f"grid was laid over another slide than {slide}; lay one with tile_grid(slide, ...)")
    return _read_ahead(slide, grid, threads, ahead)


def _read_ahead(slide: Slide, grid: TileGrid, threads: int, ahead: int) -> Iterator[tuple[Any, Tile]]:
    rows = grid.table.itertuples(index=False)
    running: deque[tuple[Any, Future[Tile]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read_tiles")
    try:
        for row in itertools.islice(rows, ahead):
            running.append((row, pool.submit(read_tile, slide, grid, row)))
        while running:
            row, future = running.popleft()
            try:
                tile = future.result()
            except SlideError as error:
                raise type(error)(f"tile {row.tile_id}: {error}") from error
            for next_row in itertools.islice(rows, 1):
                running.append((next_row, pool.submit(read_tile, slide, grid, next_row)))
            yield row, tile
    finally:
        pool.shutdown(cancel_futures=True)
