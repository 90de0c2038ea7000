"""Slides for the lessons on tissue: phantoms on which each of the seven kinds of tissue has room.

A breast slide is tumour and stroma for the most part; a class that fills three tiles can be neither learned
nor tested. So these slides hold more fat, necrosis, lymphoid tissue and glands than a patient's. Carcinoma in
situ is on them only where it is asked for: at the size of a tile it looks like invasive carcinoma, and the
lesson on tiles shows that.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.table import TISSUES, TissueClass
from her2kit.course.data import PLAIN_CASES, kept_below
from her2kit.course.processes import cores
from her2kit.learning.datasets.mihic import LABELS, load
from her2kit.learning.pictures import read_picture, read_raster
from her2kit.learning.splits import MIHIC_PARTS, split
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.folder import whole_folder
from her2kit.phantom.plan import Mix, Plan
from her2kit.phantom.slide import make_slide
from her2kit.slides.slide import open_slide

GROWTH = ("solid",)
"""Growth in sheets: a tile of a thin cord of tumour is mostly stroma."""
LOBULE, FREE = 0.38, 0.1
"""Normal glands lie in lobules with stroma between them, and who annotates rings the lobule: a tile is
``other`` from the first share of glands on, where tumour fills no more than the second, and ``stroma`` where
glands fill no more than the second. What lies between has no clean label and is left out."""

_KEPT = ("slide_id", "patient_id", "site")


@dataclass(frozen=True, slots=True)
class TissueTiles:
    """Tiles with a tissue each."""

    table: pd.DataFrame
    """One row a tile: ``slide_id``, ``patient_id``, ``site``, ``label``, ``purity`` where it is known, and
    ``split`` once they are dealt."""
    pixels: Any
    """uint8 (n, h, w, 3), or n paths."""
    class_names: tuple[str, ...]
    """In the order of the network's outputs."""

    def of(self, part: str) -> tuple[Any, np.ndarray]:
        """Return pixels (or paths) and labels of one part of the split."""
        rows = np.flatnonzero(self.table["split"] == part)
        labels = self.table["label"].to_numpy(str)[rows]
        return (
            self.pixels[rows] if isinstance(self.pixels, np.ndarray) else [self.pixels[i] for i in rows]
        ), labels

    def pictures(self, rows: Any) -> np.ndarray:
        """Return the pixels of some rows, uint8 (n, h, w, 3)."""
        return np.stack([p if isinstance(p := self.pixels[i], np.ndarray) else read_picture(p) for i in rows])


def mihic_tiles(folder: str | Path) -> TissueTiles:
    """Return the tiles of MIHIC by their paths; ``site`` is the marker that a tile is stained for."""
    table = load(folder).table
    kept = table.assign(site=table["stain"])[[*_KEPT, "label"]].reset_index(drop=True)
    return TissueTiles(kept, table["path"].tolist(), LABELS)


def dealt(tiles: TissueTiles, *, new_site: str, seed: int = 0) -> TissueTiles:
    """Return the tiles dealt by patient into train, val and test, a site put aside as ``site``.

    Patients seen at the new site alone are all ``site``. Of the others, tiles of the new site are ``site``
    for test patients, and left out for those that the network learns from.
    """
    table = tiles.table
    new = (table["site"] == new_site).to_numpy()
    only_new = ~table["patient_id"].isin(table.loc[~new, "patient_id"]).to_numpy()
    parts = np.full(len(table), "site", object)
    parts[~only_new] = split(table[~only_new], unit="patient_id", parts=MIHIC_PARTS, seed=seed)
    keep = ~new | only_new | (parts == "test")
    parts[new] = "site"
    rows = np.flatnonzero(keep)
    pixels = tiles.pixels[rows] if isinstance(tiles.pixels, np.ndarray) else [tiles.pixels[i] for i in rows]
    return TissueTiles(table.assign(split=parts)[keep].reset_index(drop=True), pixels, tiles.class_names)


def tissue_plans(
    *,
    slides: int,
    seed: int = 0,
    size_px: int = 1280,
    mpp: float = 0.5,
    sites: int = 4,
    stain: str = "her2",
    in_situ: float = 0.0,
) -> list[Plan]:
    """Return plans of slides that hold all kinds of tissue, each of a patient of its own.

    Parameters
    ----------
    slides, seed, size_px, mpp, sites, stain
        As `phantom.cohort.plan_cohort` takes them.
    in_situ
        Share of carcinoma in situ, about. Without any, tumour grows in sheets, so that whole tiles of it can
        be cut; with some it grows as it likes.
    """
    plans = plan_cohort(
        slides=slides, seed=seed, size_px=size_px, mpp=mpp, sites=sites, stain=stain, cases=PLAIN_CASES
    )
    return [
        replace(
            plan,
            mix=_mix(np.random.default_rng([seed, i, 4]), in_situ),
            patterns=plan.patterns if in_situ else GROWTH,
            patient_id=f"patient_{seed}_{i:03d}",
        )
        for i, plan in enumerate(plans)
    ]


def tissue_cohort(
    *,
    slides: int,
    seed: int = 0,
    size_px: int = 1280,
    mpp: float = 0.5,
    sites: int = 4,
    stain: str = "her2",
    in_situ: float = 0.0,
    folder: str | Path = "../data/notebooks",
) -> pd.DataFrame:
    """Return the manifest of slides of `tissue_plans`, made once and kept below ``folder``."""
    home = kept_below(folder) / f"tissue_{stain}_{slides}_{size_px}_{seed}_{mpp:g}_{sites}_{in_situ:g}"
    if not home.is_dir():  # a cohort appears whole or not at all
        plans = tissue_plans(
            slides=slides, seed=seed, size_px=size_px, mpp=mpp, sites=sites, stain=stain, in_situ=in_situ
        )
        with whole_folder(home, overwrite=False) as part:
            with ProcessPoolExecutor(cores()) as pool:
                list(pool.map(make_slide, plans, [part] * slides))
            pd.DataFrame([_row(plan) for plan in plans]).to_csv(part / "manifest.csv", index=False)
    return read_manifest(home / "manifest.csv")


def _mix(rng: np.random.Generator, in_situ: float) -> Mix:
    usual = {"invasive": 0.28, "normal": 0.22, "immune": 0.14, "necrosis": 0.15, "fat": 0.09}
    if in_situ:
        usual = {
            "invasive": 0.34,
            "in_situ": in_situ,
            "normal": 0.12,
            "immune": 0.1,
            "necrosis": 0.08,
            "fat": 0.1,
        }
    drawn = {name: float(share * rng.uniform(0.85, 1.13)) for name, share in usual.items()}
    return Mix(**{"in_situ": 0.0, "vessels": 0.004} | drawn)


def _row(plan: Plan) -> dict[str, object]:
    return {
        "path": f"slides/{plan.slide_id}.tif",
        "dataset": "phantom",
        "patient_id": plan.patient_id,
        "slide_id": plan.slide_id,
        "label": None,
        "site": plan.site.name,
        "mpp": plan.pixel_um,
        "stain": plan.stain,
        "mask_path": f"truth/{plan.slide_id}/regions.png",
        "tumour_path": f"truth/{plan.slide_id}/tumour.geojson",
    }


def purest_tiles(
    table: pd.DataFrame,
    *,
    size_px: int = 128,
    mpp: float = 0.5,
    per_class: int = 20,
    purity: float = 0.6,
    context: float = 1.0,
) -> TissueTiles:
    """Cut from each slide the purest tiles of each tissue, as annotators choose them, not as a grid falls.

    Tiles of one slide overlap by half at most.

    Parameters
    ----------
    table
        A manifest with ``path``, ``slide_id`` and ``mask_path``.
    size_px, mpp
        Side of a tile in pixels, and their size in micrometres.
    per_class
        At most so many of a tissue from each slide.
    purity
        Least share of the tile that its tissue fills; of ``other`` see `LOBULE`.
    context
        Side of the picture in sides of the tile: 2 shows half a tile more on each side. The label, the place
        and the purity are always those of the tile, the middle of the picture.
    """
    if not context >= 1:
        raise ValueError(f"context={context}; use 1 for the tile alone, or 2 to show what lies around it")
    seen_px = round(size_px * context)
    rows, pixels = [], []
    for row in table.to_dict("records"):
        with open_slide(row["path"], mpp=row["mpp"]) as slide:
            mask = read_raster(row["mask_path"])
            scale = slide.width_px0 / mask.shape[1]
            side = size_px * slide.scale_at(mpp) / scale
            for place in _purest(mask, side, per_class, purity):
                x, y = place.pop("x") * scale, place.pop("y") * scale
                rows.append({name: row[name] for name in _KEPT} | {"x_px0": x, "y_px0": y} | place)
                halo = (seen_px - size_px) / 2 * slide.scale_at(mpp)
                pixels.append(slide.read(x - halo, y - halo, seen_px, seen_px, mpp=mpp).pixels)
    columns = [*_KEPT, "x_px0", "y_px0", "label", "purity"]
    empty = np.empty((0, seen_px, seen_px, 3), np.uint8)
    return TissueTiles(pd.DataFrame(rows, columns=columns), np.stack(pixels) if pixels else empty, TISSUES)


def _purest(mask: np.ndarray, side: float, per_class: int, purity: float) -> Iterator[dict[str, Any]]:
    """Yield places of a raster, the purest of each tissue first; ``side`` is in its pixels."""
    n, step = round(side), max(1, round(side / 8))
    down, across = (slice(0, size - n + 1, step) for size in mask.shape)
    shares = np.stack(
        [
            cv2.boxFilter((mask == code).astype(np.float32), -1, (n, n), anchor=(0, 0))[down, across]
            for code in range(len(TISSUES))
        ]
    )
    glands, tumour = (shares[kind] > FREE for kind in (TissueClass.OTHER, TissueClass.TUMOUR))
    shares[TissueClass.OTHER][tumour] = 0
    shares[TissueClass.STROMA][glands] = 0
    for share, name in zip(shares, TISSUES, strict=True):
        least = LOBULE if name == "other" else purity
        for _ in range(per_class):
            i, j = np.unravel_index(share.argmax(), share.shape)
            if share[i, j] < least:
                break
            yield {"x": j * step, "y": i * step, "label": name, "purity": float(share[i, j])}
            share[max(0, i - 3) : i + 4, max(0, j - 3) : j + 4] = 0
