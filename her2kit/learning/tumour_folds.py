"""Cross-validate tumour maps by patient: each slide is mapped by a network that never saw its patient.

Every fold begins with fresh weights. The patients that choose its best epoch are taken from those that it
learns from, so that the fold's own patients choose nothing. The second stage learns from these maps; were
they drawn by a network that had seen the slide, it would learn to trust maps better than any it will get.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.errors import ManifestError, SlideError
from her2kit.learning.splits import folds
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.tumour_map import SETTINGS, TumourMapper, train
from her2kit.learning.tumour_sections import (
    LABELS,
    LOW_MPP,
    TumourTiles,
    cut_tiles,
    one_to_one,
    own_mpp,
    true_axis_um,
    tumour_regions,
)
from her2kit.regions.tumour_map import TumourMap, load_map
from her2kit.slides.slide import open_slide
from her2kit.stain.basis import StainBasis

CHOOSE = 5
"""One in so many of a fold's patients chooses its best epoch and teaches nothing."""


def cross_validate(
    table: pd.DataFrame,
    *,
    folder: str | Path,
    k: int = 5,
    tile_px: int = 256,
    mpp: float = LOW_MPP,
    overlap: float = 0.5,
    per_slide: int | None = None,
    target: StainBasis | None = None,
    settings: TrainSettings = SETTINGS,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Train a network a fold and map each slide by the one that never saw its patient.

    Parameters
    ----------
    table
        A manifest with ``path``, ``slide_id``, ``patient_id``, ``label`` (tumour or normal), ``tumour_path``.
    folder
        ``fold_<i>/`` gets each fold's weights, card and curves, ``maps/<slide_id>.npz`` the maps.
    k
        Folds, dealt by patient, alike in labels.
    tile_px, mpp, overlap, per_slide, target
        As `her2kit.learning.tumour_sections.cut_tiles` takes them.
    seed
        Of folds, tiles and weights.
    resume
        Keep what an interrupted run finished.
    progress
        Told in words what begins.
    options
        Handed on to `her2kit.learning.tumour_map.train`: ``architecture``, ``scaling``, ...

    Returns
    -------
    DataFrame
        The manifest with ``fold``, ``map_path`` and ``stain_status``.

    Raises
    ------
    ManifestError
        If labels and outlines contradict each other, or a fold would learn from one label only.
    ValueError, SlideError, MppError, TrainingError
        As `cut_tiles` and `her2kit.learning.tumour_map.train`.
    """
    folder, tell = Path(folder), progress or (lambda words: None)
    for row in table.to_dict("records"):
        tumour_regions(row)
    if (twice := table["slide_id"].duplicated()).any():
        name = table.loc[twice, "slide_id"].iloc[0]
        raise ManifestError(f"slide_id {name!r} stands in two rows; give each slide its own")
    fold = folds(table, k=k, unit="patient_id", seed=seed).to_numpy()
    parts = [_parts(table, fold, number, seed) for number in range(k)]
    tell(f"cutting tiles out of {len(table)} sections")
    tiles = cut_tiles(
        table, tile_px=tile_px, mpp=mpp, overlap=overlap, per_slide=per_slide, target=target, seed=seed
    )
    status = pd.Series("raw", index=table.index)
    paths = [str(folder / "maps" / f"{name}.npz") for name in table["slide_id"]]
    for number, part in enumerate(parts):
        tell(f"fold {number + 1} of {k}: training")
        mapper = train(
            *(_of(tiles, part[part == name].index, seed) for name in ("train", "val")),
            folder=folder / f"fold_{number}", mpp=mpp, target=target, resume=resume,
            settings=replace(settings, seed=settings.seed + number), **options,
        )  # fmt: skip
        tell(f"fold {number + 1} of {k}: mapping")
        for place in np.flatnonzero(fold == number):
            row = table.iloc[place].to_dict()
            found = _kept(paths[place], mapper) if resume else None
            if found is None:
                found = mapper.map(mapper.read(row), device=device)
                found.save(paths[place])
            status.iloc[place] = found.status
    return table.assign(fold=fold, map_path=paths, stain_status=status)


def feature_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a slide for the second stage: what is known of it, its axis, its 28 features.

    Parameters
    ----------
    table
        From `cross_validate`, or any manifest with ``map_path``.

    Returns
    -------
    DataFrame
        ``slide_id``, ``patient_id``, ``site``, ``label``, ``fold`` (-1 where there is none);
        ``true_axis_um`` (0 for normal, nan where nothing is outlined or labelled); ``axis_um``, the longest
        diameter at 0.5, and ``touches_border``; then `her2kit.regions.map_features.FEATURES`.

    Raises
    ------
    ManifestError, RegionError, SlideError
        If there is no ``map_path``, or a map, slide or outline cannot be read.
    """
    if "map_path" not in table:
        raise ManifestError("the table has no column map_path; map the slides with cross_validate")
    rows = []
    for row in table.to_dict("records"):
        found = load_map(row["map_path"])
        axis = found.axis()
        known = {"slide_id": row["slide_id"], "patient_id": row.get("patient_id"), "site": row.get("site")}
        known |= {"label": row.get("label"), "fold": row.get("fold", -1), "true_axis_um": true_axis(row)}
        said = {"axis_um": axis.length_um, "touches_border": axis.touches_border}
        rows.append(known | said | found.features())
    return pd.DataFrame(rows)


def true_axis(row: dict[str, Any]) -> float:
    """Return the outlined tumour's longest diameter in um: 0 for normal, nan for a slide without label."""
    if row.get("label") not in LABELS:
        return float("nan")
    regions = tumour_regions(row)
    if not regions:
        return 0.0
    with open_slide(row["path"], mpp=own_mpp(row)) as slide:
        slide.scale_at(None)
        return true_axis_um(regions, mpp=float(slide.mpp or 0))


def _parts(table: pd.DataFrame, fold: np.ndarray, number: int, seed: int) -> pd.Series:
    """Return train or val for each slide that a fold learns from, by ``slide_id``."""
    rest = table[fold != number]
    n = min(CHOOSE, rest["patient_id"].nunique())
    chooses = folds(rest, k=n, unit="patient_id", seed=seed + 1) == 0
    dealt = chooses.map({True: "val", False: "train"})
    for name in ("train", "val"):
        labels = set(rest.loc[dealt == name, "label"])
        if labels != set(LABELS):
            raise ManifestError(
                f"fold {number}: the slides that {'teach' if name == 'train' else 'choose'} are all "
                f"{' or '.join(sorted(labels))}; give slides of both labels from more patients, or lower k"
            )
    return pd.Series(dealt.to_numpy(), index=rest["slide_id"].to_numpy())


def _of(tiles: TumourTiles, slides: pd.Index, seed: int) -> TumourTiles:
    """Return the tiles of some slides, tumour and normal one to one."""
    here = np.flatnonzero(tiles.table["slide_id"].isin(slides).to_numpy())
    rows = here[one_to_one(tiles.table.iloc[here], seed=seed)]
    return TumourTiles(tiles.table.iloc[rows].reset_index(drop=True), tiles.pixels[rows], tiles.masks[rows])


def _kept(path: str, mapper: TumourMapper) -> TumourMap | None:
    """Return a map that these very weights drew before, or None."""
    try:
        found = load_map(path)
    except SlideError:
        return None
    return found if found.model_sha256 == mapper.card.sha256 else None
