"""A small slide with planted cells, its record and its pictures, for the tests of the report."""

import numpy as np
import pandas as pd
from shapely.geometry import box

from her2kit.cells.grade import grade_cells
from her2kit.cells.table import conform_cells, empty_cells
from her2kit.report.pictures import Pictures
from her2kit.scoring.guideline import slide_score

MPP = 0.25


def ring(x, y, radius, n=16):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)]).astype(np.float32)


def planted_cells(n=600, *, side_px0=4000, seed=0, scheme="breast"):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(60, side_px0 - 60, (2, n))
    cells = conform_cells(
        pd.DataFrame(
            {
                "cell_id": [f"c{i}" for i in range(n)],
                "slide_id": "s",
                "x_px0": x,
                "y_px0": y,
                "area_um2": rng.uniform(20, 80, n),
                "outline": pd.Series([ring(a, b, 24) for a, b in zip(x, y, strict=True)], dtype=object),
                "nucleus_outline": pd.Series(
                    [ring(a, b, 13, 10) for a, b in zip(x, y, strict=True)], dtype=object
                ),
                "dab_od": rng.uniform(0, 0.9, n),
                "completeness": rng.uniform(0.2, 1, n),
                "width_um": rng.uniform(1, 3, n),
                "cell_type": np.where(rng.random(n) < 0.8, "tumour", "lymphocyte"),
                "evaluable": rng.random(n) > 0.03,
            }
        )
    )
    cells.loc[~cells["evaluable"], "reason"] = "blur"
    return conform_cells(grade_cells(cells, scheme=scheme))


def read(x_px0, y_px0, width_px, height_px, mpp):
    """Return a picture whose red and green tell the level-0 place: x / 20 and y / 20."""
    scale = mpp / MPP
    x = (x_px0 + (np.arange(width_px) + 0.5) * scale) / 20
    y = (y_px0 + (np.arange(height_px) + 0.5) * scale) / 20
    pixels = np.full((height_px, width_px, 3), 200, np.uint8)
    pixels[..., 0] = np.clip(x, 0, 255)[None, :]
    pixels[..., 1] = np.clip(y, 0, 255)[:, None]
    return pixels


def pictures(*, side_px0=4000, tumour=(), mpp=MPP, sharp=True):
    scale = side_px0 / 500
    return Pictures(
        overview=read(0, 0, 500, 500, MPP * scale),
        px0_per_px=scale,
        mpp=mpp,
        tissue=[box(40, 40, side_px0 - 40, side_px0 - 40)],
        tumour=list(tumour),
        read=read if sharp else None,
    )


def record(cells, *, guideline="breast-asco-cap-2018", gates=(), slide_id="s", tumour="none", **more):
    found = slide_score(cells, guideline, mpp=MPP, tumour_known=tumour != "none", **more).record()
    return {
        "slide_id": slide_id,
        **found,
        "gates": list(gates),
        "tumour": {"source": tumour, "file": None, "ungated": None},
        "uncertainty": None,
        "slide": {
            "width_px0": 4000,
            "height_px0": 4000,
            "vendor": "test",
            "mpp": MPP,
            "mpp_source": "argument",
        },
        "provenance": {
            "slide": "s.tif",
            "sha256": "0" * 64,
            "versions": {"her2kit": "0", "numpy": "2"},
            "parameters": {"mpp": MPP, "ish": "unknown", "control": "unknown"},
            "seed": None,
            "command": "her2kit score s.tif --mpp 0.25",
        },
    }


def refused_record(slide_id="s"):
    words = "the slide shows hematoxylin and eosin, not DAB: pass an IHC slide"
    gates = [
        {"name": "mpp", "level": "ok", "value": 0.25, "words": "0.25 um/px is plausible"},
        {"name": "wrong_stain", "level": "block", "value": 0.93, "words": words},
    ]
    return record(empty_cells(), gates=gates, slide_id=slide_id) | {
        "status": "not_evaluable",
        "score": None,
        "category": None,
        "trace": [],
        "reasons": [words],
    }
