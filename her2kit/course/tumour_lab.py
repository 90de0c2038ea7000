"""What notebook 12 shows and does not keep: frozen sections, a network's inside, maps that leak, R4's steps.

Sections, maps and models come from `her2kit.learning`; here they are made small, opened and held against
each other.
"""

import json
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.course.data import kept_below
from her2kit.course.processes import cores
from her2kit.learning.tumour_map import load, tumour_logit
from her2kit.learning.tumour_sections import Section, section_of, tumour_mask, tumour_regions
from her2kit.manifest import read_manifest
from her2kit.phantom.frozen import make_frozen_cohort
from her2kit.regions.map_features import SCALES, MajorAxis, major_axis
from her2kit.regions.tumour_map import TumourMap, load_map

R4_STEPS: dict[str, float] = {
    "U-Net": 0.5507, "FPN": 0.5867, "FPN, CycleGAN": 0.5362, "FPN, whitened": 0.6087,
    "+ stain normalisation": 0.6357, "+ features": 0.6512, "+ models": 0.6752, "+ rescaled": 0.7079,
}  # fmt: skip
"""R4's total after each step, on the challenge's real sections (HeLP 2019)."""
R4_RESULT = {"auc": 0.8908, "within": 0.5249, "total": 0.7079}
"""R4's final figures."""
_BATCHES = 2


@dataclass(frozen=True, slots=True)
class ScaleView:
    """A map as one scale sees it."""

    scale: int
    """Side of its blocks in pixels of the map."""
    mean: np.ndarray
    """float (h, w): mean probability of each block."""
    axis: MajorAxis
    """Longest diameter at 0.5; its ends are in blocks."""


def frozen_sections(
    *,
    slides: int,
    seed: int = 0,
    size_um: tuple[float, float] = (3600.0, 3000.0),
    folder: str | Path = "../data/notebooks",
) -> pd.DataFrame:
    """Return the manifest of frozen sections of two sites, half of them with tumour, made once and kept.

    Parameters
    ----------
    slides
        A multiple of 8, so that both sites and both labels have their share.
    size_um
        Width and height of a section.

    Raises
    ------
    ValueError
        If ``slides`` is no multiple of 8.
    """
    if slides < 8 or slides % 8:
        raise ValueError(f"slides={slides}; use a multiple of 8")
    home = kept_below(folder) / f"frozen_{slides}_{seed}_{size_um[0]:g}_{size_um[1]:g}"
    places = [home / str(number) for number in range(_BATCHES)]
    missing = [number for number, place in enumerate(places) if not place.is_dir()]
    if missing:  # a batch appears whole or not at all
        make = partial(make_frozen_cohort, slides=slides // _BATCHES, size_um=size_um)
        with ProcessPoolExecutor(min(cores(), len(missing))) as pool:
            made = [pool.submit(make, places[n], seed=_BATCHES * seed + n) for n in missing]
            for one in made:
                one.result()
    return pd.concat([read_manifest(place / "manifest.csv") for place in places], ignore_index=True)


def truth_mask(row: Mapping[str, Any], found: TumourMap) -> np.ndarray:
    """Return the outlined tumour of a manifest's row in the pixels of its map, bool (h, w)."""
    empty = np.zeros((*found.tissue.shape, 3), np.uint8)
    return tumour_mask(
        tumour_regions(row), Section(found.slide_id, empty, found.tissue, found.mpp, found.scale)
    )


def at_the_border(row: Mapping[str, Any], section: Section, side_px: int) -> np.ndarray:
    """Return a square of a section with the left border of its tumour, uint8 (side_px, side_px, 3)."""
    height, width = section.tissue.shape
    y, x = np.nonzero(tumour_mask(tumour_regions(row), section))
    left, top = int(x.min() - side_px // 3), int(y[x.argmin()] - side_px // 2)
    left, top = (max(0, min(v, n - side_px)) for v, n in ((left, width), (top, height)))
    return section.pixels[top : top + side_px, left : left + side_px]


def dice_of(table: pd.DataFrame, column: str = "map_path") -> pd.Series:
    """Return Dice of the map at 0.5 against the outline, of each tumour slide, by ``slide_id``."""
    out = {}
    for row in table[table["label"] == "tumour"].to_dict("records"):
        found = load_map(row[column])
        said, true = found.probability > 127, truth_mask(row, found)
        out[row["slide_id"]] = 2 * float((said & true).sum()) / max(1.0, float(said.sum() + true.sum()))
    return pd.Series(out, dtype=float)


def maps_that_saw(table: pd.DataFrame, folder: str | Path) -> pd.DataFrame:
    """Map each slide by the next fold's network, which learned from it, as one carried over folds would do.

    Parameters
    ----------
    table
        From `her2kit.learning.tumour_folds.cross_validate`.
    folder
        Its folder; the maps go below ``saw``.

    Returns
    -------
    DataFrame
        The table with ``map_path`` of these maps.
    """
    folder, k, paths = Path(folder), int(table["fold"].max()) + 1, {}
    for fold, slides in table.groupby("fold"):
        mapper = load(folder / f"fold_{(int(fold) + 1) % k}" / "best.safetensors")
        for row in slides.to_dict("records"):
            path = folder / "saw" / f"{row['slide_id']}.npz"
            mapper.map(section_of(row, mpp=float(mapper.card.mpp or 0))).save(path)
            paths[row["slide_id"]] = str(path)
    return table.assign(map_path=table["slide_id"].map(paths))


def pyramid(net: Any, card: Any, pixels: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return how strongly an FPN answers at each level, fine to coarse, before and after its way down.

    Parameters
    ----------
    pixels
        uint8 (side, side, 3), of the side that the network learned on.

    Returns
    -------
    dict
        ``encoder`` and ``pyramid``: four arrays each, float (h, w), mean absolute
        activation over channels, 0..1.
    """
    import torch

    kept: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            kept[name] = output

        return hook

    levels = ("p2", "p3", "p4", "p5")
    watched = {"encoder": net.encoder, **{name: getattr(net.decoder, name) for name in levels}}
    handles = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    try:
        with torch.inference_mode():
            tumour_logit(net.eval(), torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None], card)
    finally:
        for handle in handles:
            handle.remove()
    encoder = [_strength(one) for one in kept["encoder"][-4:]]
    return {"encoder": encoder, "pyramid": [_strength(kept[name]) for name in levels]}


def at_scales(found: TumourMap) -> list[ScaleView]:
    """Return a map as each scale of the 28 features sees it; blocks at the border hold what is there."""
    from skimage.measure import block_reduce

    chance, out = found.probability / 255.0, []
    for scale in SCALES:
        whole = block_reduce(np.ones_like(chance), scale, np.sum)
        mean = block_reduce(chance, scale, np.sum) / whole
        out.append(ScaleView(scale, mean, major_axis(mean, um_per_px=found.mpp * scale)))
    return out


def measured_steps(folder: str | Path) -> dict[str, float]:
    """Return our totals of R4's steps from the benchmark's file in ``folder``; empty where it never ran."""
    out = {}
    for name in ("tumour_ablation.json", "tumour.json"):
        path = Path(folder) / name
        if path.is_file():
            for row in json.loads(path.read_text(encoding="utf-8")):
                if step := re.fullmatch(r"ablation, phantoms, total: (.+?)( \(R4.*\))?", row["claim"]):
                    out[step[1]] = float(row["value"])
    return out


def _strength(activation: Any) -> np.ndarray:
    values = activation[0].abs().mean(0).numpy()
    return (values - values.min()) / max(float(np.ptp(values)), 1e-9)
