"""What a notebook runs on: the reader's own slide or a phantom, so that each runs alone and offline."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit import phantom
from her2kit.course.processes import cores
from her2kit.errors import SlideError
from her2kit.exchange.parquet import read_table
from her2kit.learning.datasets import fixture_ignite, fixtures
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import make_cohort, plan_cohort
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.plan import Mix
from her2kit.phantom.slide import make_slide

PLAIN_CASES = ("3+", "0-null", "2+", "1+", "borderline-3+", "ultralow", "2+", "borderline-9", "1+")
"""Breast cases that are neither pale nor overstained nor cytoplasmic, and whose score is that of the whole
slide. Nine, so that cases and the two or four sites of a cohort do not keep step."""


@dataclass(frozen=True, slots=True)
class CourseSlide:
    """A slide for a notebook, with its known answer where it has one."""

    path: Path
    tumour: str
    """GeoJSON of the invasive tumour, or ``none``: as ``ScoreSettings.tumour`` takes it."""
    planted_score: str | None
    """Score planted in a phantom; None for a slide of one's own."""
    truth: Path | None = None
    """Folder of a phantom's truth; None for a slide of one's own."""

    def planted_cells(self) -> pd.DataFrame:
        """Return the cells that were planted in a phantom.

        Raises
        ------
        SlideError
            If this is a slide of one's own: nobody knows its cells.
        """
        if self.truth is None:
            raise SlideError(f"{self.path.name} is no phantom, so no cells were planted; use a phantom")
        return read_table(self.truth / "cells.parquet")

    @property
    def tumour_name(self) -> str:
        """File name of the tumour regions, or ``none``."""
        return Path(self.tumour).name


def slide_or_phantom(
    slide_path: str = "",
    tumour_path: str = "",
    *,
    case: str = "2+",
    size_px: int = 3072,
    seed: int = 0,
    stain: str = "her2",
    folder: str | Path = "../data/notebooks",
) -> CourseSlide:
    """Return the reader's slide, or a phantom that is made once and kept below ``folder``.

    Parameters
    ----------
    slide_path
        A slide or picture; empty for a phantom.
    tumour_path
        GeoJSON of the invasive tumour; empty takes the phantom's own, or none for a slide of one's own.
    case, size_px, seed, stain
        Of the phantom, see ``phantom.cohort.make_cohort``; mpp is 0.25.

    Raises
    ------
    SlideError
        If ``slide_path`` is not a file.
    """
    if slide_path:
        if not Path(slide_path).is_file():
            raise SlideError(
                f"slide_path={slide_path!r} is not a file; give the path of a slide, or leave it empty"
            )
        return CourseSlide(Path(slide_path), tumour_path or "none", None)
    home = kept_below(folder) / f"{stain}_{case}_{size_px}_{seed}"
    if not home.is_dir():  # a cohort appears whole or not at all
        make_cohort(home, slides=1, seed=seed, size_px=size_px, mpp=0.25, sites=1, stain=stain, cases=[case])
    return _kept(home, tumour_path, scored=stain == "her2")


def phantom_cohort(
    *,
    slides: int,
    seed: int = 0,
    size_px: int = 1024,
    mpp: float | None = 0.5,
    sites: int = 4,
    cases: Sequence[str] | None = None,
    stain: str = "her2",
    degrade: str | None = None,
    with_he: bool = False,
    folder: str | Path = "../data/notebooks",
) -> pd.DataFrame:
    """Return the manifest of a cohort of phantoms that is made once and kept below ``folder``.

    The arguments are those of ``phantom.cohort.make_cohort``.
    """
    kind = (mpp, sites, list(cases or ()), stain, degrade, *(["with_he"] if with_he else []))
    mark = zlib.crc32(repr(kind).encode())
    home = kept_below(folder) / f"cohort_{slides}_{size_px}_{seed}_{mark:08x}"
    if not home.is_dir():  # a cohort appears whole or not at all
        make_cohort(
            home,
            slides=slides,
            seed=seed,
            size_px=size_px,
            mpp=mpp,
            sites=sites,
            cases=cases,
            stain=stain,
            degrade=degrade,
            with_he=with_he,
            workers=cores(),
        )
    return read_manifest(home / "manifest.csv")


def small_dataset(key: str, *, folder: str | Path = "../data/notebooks", **options: Any) -> Path:
    """Return a folder laid out like a public dataset, filled with phantom tiles; made once.

    Parameters
    ----------
    key
        As in ``learning.datasets.fixtures``, such as ``her2_ihc_40x``.
    options
        What its writer takes.
    """
    name = "_".join(f"{word}" for word in ("like", key, *map(str, options.values())))
    home = kept_below(folder) / name
    if not home.is_dir():
        writers = fixture_ignite if key == "ignite" else fixtures
        getattr(writers, f"write_{key}")(home, **options)
    return home


def in_situ_phantom(
    *, size_px: int = 1536, seed: int = 0, folder: str | Path = "../data/notebooks"
) -> CourseSlide:
    """Return a phantom of unstained invasive tumour (0) and intense carcinoma in situ; made once."""
    home = kept_below(folder) / f"in_situ_{size_px}_{seed}"
    if not home.is_dir():
        (plan,) = plan_cohort(slides=1, seed=seed, size_px=size_px, mpp=0.25, sites=1, cases=["0-null"])
        mix = Mix(invasive=0.45, in_situ=0.25, normal=0.0, immune=0.02, necrosis=0.0, fat=0.0)
        with whole_folder(home, overwrite=False) as part:
            make_slide(replace(plan, mix=mix, in_situ_fractions={("complete", "intense"): 1.0}), part)
    return _kept(home, "", scored=True)


def _kept(home: Path, tumour_path: str, *, scored: bool) -> CourseSlide:
    """Return the one slide that was made in ``home``."""
    path = next((home / "slides").glob("*.tif"))
    truth = home / "truth" / path.stem
    planted = json.loads((truth / "score.json").read_text())["score"] if scored else None
    return CourseSlide(path, tumour_path or str(truth / "tumour.geojson"), planted, truth)


@cache
def _phantom_mark() -> str:
    """Return eight digits that change with the phantom's code: slides of an older one are not used again."""
    mark = 0
    for module in sorted(Path(phantom.__file__).parent.glob("*.py")):
        mark = zlib.crc32(module.read_bytes(), mark)
    return f"{mark:08x}"


def kept_below(folder: str | Path) -> Path:
    """Return where phantoms are kept below ``folder``: another place once the phantom's code has changed."""
    return Path(folder) / f"phantoms-{_phantom_mark()}"


def densest_field(cells: pd.DataFrame, *, side_px0: int) -> tuple[int, int]:
    """Return the level-0 corner (x, y) of the square of a lattice that holds most cells."""
    corner = (cells[["x_px0", "y_px0"]] // side_px0).astype(int).value_counts()
    column, row = corner.index[0] if len(corner) else (0, 0)
    return column * side_px0, row * side_px0
