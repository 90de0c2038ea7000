"""H&E and IHC of the same places, and the picture that a network is given of them.

One stain alone, both side by side (as the reference system pasted them), or both as six channels. Side by
side they fill a square, each half squeezed to half its width, or keep their shape (448 x 224 px). Gray
pictures have one channel a stain. Changes for training are made before the pictures are joined, the same to
both, so that the two halves go on showing one place.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from her2kit.errors import DatasetError
from her2kit.learning.datasets.bci import read_pair
from her2kit.learning.pictures import read_picture

MODALITIES = ("ihc", "he", "both")
JOINS = ("side_by_side", "channels")


@dataclass(frozen=True, slots=True)
class Pairs:
    """IHC and H&E of the same places, row for row; one of the two may be missing altogether."""

    ihc: np.ndarray | None
    """uint8 (n, h, w, 3) RGB."""
    he: np.ndarray | None = None
    """uint8 (n, h, w, 3) RGB."""

    def __post_init__(self) -> None:
        there = {name: x for name, x in (("ihc", self.ihc), ("he", self.he)) if x is not None}
        if not there:
            raise ValueError("neither ihc nor he is given; give one of them, or both")
        for name, x in there.items():
            if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3:
                raise ValueError(f"{name} is {x.dtype} {x.shape}; give uint8 (n, h, w, 3)")
        if self.ihc is None or self.he is None:
            return
        if len(self.ihc) != len(self.he):
            more = "H&E without its IHC" if len(self.he) > len(self.ihc) else "IHC without its H&E"
            raise ValueError(
                f"{len(self.ihc)} pictures of IHC and {len(self.he)} of H&E: {more} partner; give both of "
                "every place"
            )
        if self.ihc.shape != self.he.shape:
            sizes = [f"{x.shape[2]} x {x.shape[1]} px" for x in (self.ihc, self.he)]
            raise ValueError(f"the IHC is {sizes[0]}, the H&E {sizes[1]}; bring both to one size first")

    def __len__(self) -> int:
        return len(self.ihc if self.ihc is not None else self.he)  # type: ignore[arg-type]

    def rows(self, which: Any) -> "Pairs":
        """Return some of the pairs, by number or by truth values."""
        return Pairs(*(None if x is None else x[which] for x in (self.ihc, self.he)))


@dataclass(frozen=True, slots=True)
class Form:
    """How a pair becomes the picture that the network sees."""

    modality: str = "both"
    """``ihc``, ``he`` or ``both``."""
    join: str = "side_by_side"
    """Of both: ``side_by_side``, IHC at the left, or ``channels``, one behind the other."""
    wide: bool = False
    """Side by side, keep the shape of the halves (448 x 224); else squeeze them into a square (224 x 224)."""
    gray: bool = False
    """Brightness alone, one channel a stain."""

    def __post_init__(self) -> None:
        for name, words in (("modality", MODALITIES), ("join", JOINS)):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r}; use one of {', '.join(words)}")

    @property
    def channels(self) -> int:
        """Channels of the picture."""
        return (1 if self.gray else 3) * (2 if self.modality == "both" and self.join == "channels" else 1)

    def record(self) -> dict[str, Any]:
        """Return the form as plain words, for a card."""
        return asdict(self)

    def stack(self, pairs: Pairs | np.ndarray) -> np.ndarray:
        """Return what the form needs of pairs, uint8 (n, h, w, 3), or 6 for both; IHC first.

        Parameters
        ----------
        pairs
            For one stain also its pictures alone, uint8 (n, h, w, 3).

        Raises
        ------
        ValueError
            If a stain that the form needs is missing.
        """
        if isinstance(pairs, np.ndarray):
            if self.modality == "both":
                raise ValueError("modality='both' needs pairs; give Pairs(ihc, he), or choose one modality")
            pairs = Pairs(pairs)
            return np.asarray(pairs.ihc)
        wanted = ("ihc", "he") if self.modality == "both" else (self.modality,)
        for name in wanted:
            if getattr(pairs, name) is None:
                raise ValueError(f"modality={self.modality!r} needs the {_NAMES[name]} of every place; it is "
                                 "not given")  # fmt: skip
        parts = [getattr(pairs, name) for name in wanted]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=3)

    def picture(self, stacked: np.ndarray) -> np.ndarray:
        """Return the picture, uint8 (h, w, channels), of one place of a stack, uint8 (h, w, 3 or 6)."""
        parts = [stacked[..., k : k + 3] for k in range(0, stacked.shape[2], 3)]
        if self.gray:
            parts = [cv2.cvtColor(np.ascontiguousarray(p), cv2.COLOR_RGB2GRAY)[..., None] for p in parts]
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        if self.join == "channels":
            return np.concatenate(parts, axis=2)
        if not self.wide:
            height, width = stacked.shape[:2]
            left = width // 2
            parts = [_squeezed(p, n, height) for p, n in zip(parts, (left, width - left), strict=True)]
        return np.concatenate(parts, axis=1)


_NAMES = {"ihc": "IHC", "he": "H&E"}


def read_pairs(table: pd.DataFrame, *, size_px: int = 224, threads: int = 2) -> Pairs:
    """Read the pictures of a table of pairs, such as that of BCI, into memory, scaled to one height.

    Parameters
    ----------
    table
        ``path`` (IHC), ``pair_path`` (H&E); with ``side_by_side`` true for files that hold both.
    size_px
        Height of the pictures in pixels; their width follows. They are never magnified.

    Raises
    ------
    DatasetError
        If a row lacks a partner, a pair's sizes differ, or pictures come out in different sizes.
    SlideError
        If a picture does not open.
    """
    if not len(table):
        raise DatasetError("the table of pairs has no rows; give at least one pair")

    def one(row: Any) -> tuple[np.ndarray, np.ndarray]:
        lone = [name for name in ("path", "pair_path") if pd.isna(getattr(row, name, None))]
        if lone:
            there = getattr(row, "pair_path" if lone == ["path"] else "path", None)
            what = "H&E without its IHC" if lone == ["path"] else "IHC without its H&E"
            raise DatasetError(f"{there}: {what} partner; give {lone[0]}, or leave the row out")
        ihc, he = read_pair(row) if getattr(row, "side_by_side", False) else _two(row.path, row.pair_path)
        if ihc.shape != he.shape:
            sizes = [f"{x.shape[1]} x {x.shape[0]} px" for x in (ihc, he)]
            raise DatasetError(
                f"{row.path}: {sizes[0]}, its H&E {sizes[1]}; cut both to the same place and size first"
            )
        return _shrunk(ihc, size_px), _shrunk(he, size_px)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(one, table.itertuples()))
    shapes = {ihc.shape for ihc, _ in found}
    if len(shapes) > 1:
        sizes = " and ".join(f"{s[1]} x {s[0]}" for s in sorted(shapes)[:2])
        raise DatasetError(f"pictures of {sizes} px in one table; cut all to one size first")
    return Pairs(*(np.stack(pictures) for pictures in zip(*found, strict=True)))


def _two(ihc: str | os.PathLike, he: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    return read_picture(ihc), read_picture(he)


def _shrunk(picture: np.ndarray, size_px: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if height <= size_px:
        return picture
    size = (round(width * size_px / height), size_px)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _squeezed(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    out = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return out if out.ndim == 3 else out[..., None]
