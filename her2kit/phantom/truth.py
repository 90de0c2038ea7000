"""Write what was planted: the cell table, the score by the phantom's own rule, the rasters.

``dab_od`` is read from the picture after the site's optics, before noise and JPEG: the mean, over the stained
angles (over all where nothing is stained), of the highest DAB across the membrane; ``dab_od_p90`` is the 90th
percentile over all angles. ``completeness``, ``intensity`` and ``cell_class`` are what was planned for the
cell, whatever its neighbours show.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.cells.table import conform_cells
from her2kit.exchange.geojson import write_regions
from her2kit.exchange.parquet import write_table
from her2kit.exchange.whole import whole_file
from her2kit.phantom import layout as lay
from her2kit.phantom.degrade import spoiled_at
from her2kit.phantom.plan import PAIRS
from her2kit.phantom.regions import (
    FineTissue,
    fine_tissue,
    major_axis,
    region_polygons,
    region_raster,
    tile_of,
    tile_table,
)
from her2kit.phantom.render import Block, Scene
from her2kit.phantom.rule import cell_class, planted_score
from her2kit.phantom.rule_pdl1 import planted_pdl1
from her2kit.phantom.shapes import EPITHELIAL, FIBROBLAST, LYMPHOCYTE, MACROPHAGE
from her2kit.phantom.stain import perimeter_share

_FWHM = 2.3548


class Truth:
    """Collect what the blocks of one slide show, then write everything. Call it with each block."""

    def __init__(self, scene: Scene):
        """Start with nothing seen."""
        width, height = (int(np.ceil(side)) for side in scene.plan.size_um)
        self.scene = scene
        self.membranes = np.zeros((height, width), np.uint8)
        self.crest = np.full(scene.cells.radius.shape, np.nan, np.float32)

    def __call__(self, block: Block) -> None:
        """Take one block's samples."""
        self.crest[block.rows] = block.crest
        (x, y), (h, w) = block.place_um, block.membrane.shape
        place = (slice(y, y + h), slice(x, x + w))
        self.membranes[place] = np.maximum(self.membranes[place], block.membrane)

    def cells(self) -> pd.DataFrame:
        """Return the planted cells in the kit's columns, with ``pair`` and ``planted_od`` behind."""
        scene = self.scene
        plan, cells, stain = scene.plan, scene.cells, scene.stain
        mpp = plan.pixel_um
        x, y = (cells.nucleus / mpp).astype(np.float64).T
        inside = (x >= 0) & (y >= 0) & (x < plan.size_px[0]) & (y < plan.size_px[1])
        keep = np.flatnonzero(inside)
        why = spoiled_at(plan, *cells.nucleus[keep].T)
        words = [PAIRS[i] for i in stain.pair[keep]]
        table = pd.DataFrame(
            {
                "cell_id": [f"{plan.slide_id}-{i}" for i in keep],
                "slide_id": plan.slide_id,
                "tile_id": tile_of(plan, x[keep], y[keep]),
                "x_px0": x[keep],
                "y_px0": y[keep],
                "area_um2": _areas(cells.profile[keep]),
                "outline": list(outlines(cells.nucleus[keep], cells.radius[keep], mpp)),
                "nucleus_outline": list(outlines(cells.nucleus[keep], cells.profile[keep], mpp)),
                "dab_od": self._along(keep),
                "completeness": stain.completeness[keep],
                "width_um": np.where(stain.pair[keep] > 0, stain.sigma[keep] * _FWHM, np.nan),
                "nuclear_dab_od": stain.nuclear[keep],
                "intensity": [intensity for _, intensity in words],
                "cell_class": [cell_class(*pair, guideline=plan.guideline) for pair in words],
                "cell_type": _cell_types(cells.what[keep], cells.kind[keep]),
                "compartment": _compartments(cells.what[keep], cells.kind[keep]),
                "evaluable": [word is None for word in why],
                "reason": why,
                "grade_source": "reader",
                "confidence": 1.0,
                "completeness_word": [completeness for completeness, _ in words],
                "dab_od_p90": np.percentile(self.crest[keep], 90, axis=1) if len(keep) else [],
                "completeness_perimeter": perimeter_share(cells.radius[keep], stain.arcs[keep]),
                "cytoplasm_dab_od": stain.cytoplasm[keep],
                "positive": stain.positive[keep],
            }
        )
        table["membrane_ratio"] = table["dab_od"] / np.maximum(table["cytoplasm_dab_od"], 0.01)
        return conform_cells(table)

    def _along(self, keep: np.ndarray) -> np.ndarray:
        """Return the mean DAB along the stained part of each membrane."""
        arcs = self.scene.stain.arcs[keep]
        weight = np.where(arcs.any(axis=1, keepdims=True), arcs, 1)
        return (self.crest[keep] * weight).sum(axis=1) / weight.sum(axis=1)

    def score(self, table: pd.DataFrame, tissue: FineTissue) -> dict:
        """Return the planted score and what the slide was made from.

        A HER2 score is planted on a HER2 slide alone, the three PD-L1 scores on a PD-L1 slide.
        """
        plan = self.scene.plan
        invasive = table[table["compartment"] == "invasive"]
        pairs = list(zip(invasive["completeness_word"], invasive["intensity"], strict=True))
        counts = {pair: pairs.count(pair) for pair in PAIRS}
        planted = planted_score(counts, plan.guideline)
        if plan.stain != "her2":
            planted = dict.fromkeys(planted) | {"status": "not_evaluable", "n_cells": len(invasive)}
        if plan.stain == "pdl1":
            planted["pdl1"] = planted_pdl1(table, region_raster(tissue), mpp=plan.pixel_um)
        return {
            "slide_id": plan.slide_id,
            **planted,
            "guideline": plan.guideline,
            "pairs": {" ".join(pair): count for pair, count in counts.items()},
            "n_by_compartment": table["compartment"].value_counts().sort_index().to_dict(),
            **major_axis(tissue.tumour),
            "case": plan.name,
            "site": plan.site.name,
            "stain": plan.stain,
            "mpp": plan.pixel_um,
            "size_px": list(plan.size_px),
            "seed": plan.seed,
            "stain_vectors": dict(
                zip(("hematoxylin", "dab", "eosin"), plan.site.vectors().tolist(), strict=True)
            ),
            "white": list(plan.site.white),
            "degrade": [list(item) for item in plan.degrade],
        }

    def write(self, folder: Path) -> dict:
        """Write all truth files into ``folder`` and return the score."""
        table = self.cells()
        write_table(folder / "cells.parquet", table)
        tissue = fine_tissue(self.scene.plan, self.scene.layout)
        score = self.score(table, tissue)
        del table
        raster = region_raster(tissue)
        write_table(folder / "tiles.parquet", tile_table(self.scene.plan, raster))
        regions = region_polygons(tissue, mpp=self.scene.plan.pixel_um)
        write_regions(folder / "regions.geojson", regions)
        write_regions(folder / "tumour.geojson", [r for r in regions if r.name == "tumour"])
        _write_png(folder / "regions.png", raster)
        _write_png(folder / "membranes.png", self.membranes)
        with whole_file(folder / "score.json") as part:
            part.write_text(json.dumps(score, indent=1) + "\n", encoding="utf-8")
        return score


def outlines(centre_um: np.ndarray, radius_um: np.ndarray, mpp: float) -> np.ndarray:
    """Return outlines in level-0 pixels, float32 (n, vertices, 2), from centres and radii by angle."""
    angle = 2 * np.pi * np.arange(radius_um.shape[1]) / radius_um.shape[1]
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return ((centre_um[:, None] + radius_um[..., None] * ring) / mpp).astype(np.float32)


def _areas(profile: np.ndarray) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi / profile.shape[1]) * (profile * np.roll(profile, -1, axis=1)).sum(axis=1)


def _cell_types(what: np.ndarray, kind: np.ndarray) -> np.ndarray:
    tumour = (kind == lay.INVASIVE) | (kind == lay.IN_SITU)
    return np.select(
        [(what == EPITHELIAL) & tumour, what == LYMPHOCYTE, what == MACROPHAGE, what == FIBROBLAST],
        ["tumour", "lymphocyte", "macrophage", "stromal"],
        "other",
    )


def _compartments(what: np.ndarray, kind: np.ndarray) -> np.ndarray:
    epithelial = what == EPITHELIAL
    return np.select(
        [
            epithelial & (kind == lay.INVASIVE),
            epithelial & (kind == lay.IN_SITU),
            epithelial & (kind == lay.NORMAL),
            (what == LYMPHOCYTE) | (what == MACROPHAGE),
        ],
        ["invasive", "in_situ", "normal", "immune"],
        "stroma",
    )


def _write_png(path: Path, picture: np.ndarray) -> None:
    with whole_file(path) as part:
        done, coded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        if not done:
            raise ValueError(f"{path}: OpenCV could not code a picture of shape {picture.shape}")
        part.write_bytes(coded.tobytes())
