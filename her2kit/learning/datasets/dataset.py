"""What a loader yields: a dataset as the manifest's table, what was left out and why, counts to compare.

One row is one picture: a tile, a region, a core or a slide. The columns are the manifest's, then those that
the dataset has beyond them. ``None`` (``nan`` for numbers) stands where nothing is known: nothing is guessed
to fill a column.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import Her2Error
from her2kit.learning.pictures import read_picture, read_raster
from her2kit.manifest import COLUMNS
from her2kit.slides.slide import open_slide

PICTURE_COLUMNS = ("path", "pair_path", "context_path")
"""Columns that name pictures."""
MASK_COLUMNS = ("mask_path", "context_mask_path")
"""Columns that name rasters."""
_SLIDE_ENDINGS = (".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms")


@dataclass(frozen=True, slots=True)
class Published:
    """Counts of a dataset as somebody published them."""

    source: str
    """Where they stand."""
    counts: Mapping[tuple[str, str], int]
    """Values of the dataset's ``count_by`` to pictures; ``all`` as the second sums over it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset on disk."""

    key: str
    """As in ``her2kit data list``."""
    folder: Path
    """Where it was found."""
    table: pd.DataFrame
    """One row a picture: the manifest's columns (`manifest.COLUMNS`), then the dataset's own."""
    skipped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["path", "reason"]))
    """``path`` and ``reason`` of what was found, or named, and is not in the table."""
    notes: tuple[str, ...] = ()
    """What the user must know: traps, second-hand facts, what the dataset does not say."""
    published: tuple[Published, ...] = ()
    """Counts to compare with."""
    cells: pd.DataFrame | None = None
    """Annotated cells, where the dataset has them."""
    count_by: tuple[str, str] = ("split", "label")
    """Columns by which ``counts`` counts."""
    read_mask: Callable[[str | os.PathLike], np.ndarray] = read_raster
    """Reads a raster of this dataset into its region numbers."""

    def counts(self) -> pd.DataFrame:
        """Return how many pictures there are by the columns ``count_by``, and how many were published.

        Returns
        -------
        DataFrame
            The two columns ("" where nothing is known), ``found``, and one column for each source.
        """
        first, second = self.count_by
        keys = self.table[[first, second]].fillna("").astype(str)
        found = keys.groupby([first, second]).size().to_dict()
        found |= {(key, "all"): int(n) for key, n in keys[first].value_counts().items()}
        named = dict.fromkeys(key for source in self.published for key in source.counts)
        every = dict.fromkeys([*named, *(key for key in sorted(found) if key[1] != "all")])
        rows = [
            {first: key[0], second: key[1], "found": found.get(key, 0)}
            | {source.source: source.counts.get(key) for source in self.published}
            for key in every
        ]
        sources = [source.source for source in self.published]
        table = pd.DataFrame(rows, columns=[first, second, "found", *sources])
        return table.astype(dict.fromkeys(["found", *sources], "Int64"))

    @property
    def report(self) -> str:
        """What was found, against what was published; what was left out; what to know. Plain text."""
        lines = [f"{self.key}: {len(self.table):,} pictures in {self.folder}"]
        if self.cells is not None:
            lines.append(f"{len(self.cells):,} annotated cells")
        counts = self.counts()
        lines += ["", counts.astype(object).where(counts.notna(), "-").to_string(index=False), ""]
        for reason, rows in self.skipped.groupby("reason", sort=False):
            lines.append(f"left out, {len(rows):,}: {reason}, such as {rows['path'].iloc[0]}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def verify(self, *, threads: int = 2) -> pd.DataFrame:
        """Decode every picture and every raster, and return what cannot be used.

        Returns
        -------
        DataFrame
            ``row`` (its label in the table), ``column``, ``path``, ``problem``; empty where all is well.
        """
        todo = [
            (row, column, path)
            for column in (*PICTURE_COLUMNS, *MASK_COLUMNS)
            if column in self.table
            for row, path in self.table[column].dropna().items()
        ]
        with ThreadPoolExecutor(threads) as pool:
            problems = list(pool.map(self._problem, todo))
        bad = [(*place, problem) for place, problem in zip(todo, problems, strict=True) if problem]
        return pd.DataFrame(bad, columns=["row", "column", "path", "problem"])

    def _problem(self, todo: tuple[object, str, str]) -> str:
        _, column, path = todo
        try:
            if column in MASK_COLUMNS:
                self.read_mask(path)
            elif path.lower().endswith(_SLIDE_ENDINGS):
                with open_slide(path) as slide:
                    slide.thumbnail(max_px=256)
            else:
                read_picture(path)
        except Her2Error as error:
            return str(error)
        return ""


def manifest_table(rows: Sequence[Mapping[str, object]] | pd.DataFrame, **fixed: object) -> pd.DataFrame:
    """Return rows as a table with every column of the manifest in order, the further ones behind.

    ``fixed`` fills columns with one value each. Empty text becomes None; ``mpp`` is float64.
    """
    table = pd.DataFrame(rows).assign(**fixed)
    for name in COLUMNS:
        if name not in table:
            table[name] = None
    table["mpp"] = pd.to_numeric(table["mpp"]).astype("float64")
    for name in COLUMNS:
        if name != "mpp":
            column = table[name].astype(object)
            table[name] = column.where(column.notna() & (column != ""), None)
    names = [*COLUMNS, *(name for name in table if name not in COLUMNS)]
    return table[names].reset_index(drop=True)


def skipped_table(pairs: Iterable[tuple[str | os.PathLike, str]]) -> pd.DataFrame:
    """Return (path, reason) pairs as the table of what was left out."""
    return pd.DataFrame([(str(path), reason) for path, reason in pairs], columns=["path", "reason"])
