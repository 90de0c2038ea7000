"""The phantom's PD-L1 scores: by hand on a few cells, and against the kit's own on a drawn slide."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from her2kit.exchange.parquet import read_table
from her2kit.phantom.cohort import make_cohort
from her2kit.phantom.rule_pdl1 import BESIDE_UM, planted_pdl1
from her2kit.scoring.pdl1 import pdl1_score

CORNERS = np.array([(-5, -5), (5, -5), (5, 5), (-5, 5)], float)
MPP = 0.5


def cells(*rows: tuple[str, str, str, float, float]) -> pd.DataFrame:
    """Return squares of 10 um at places in um."""
    table = pd.DataFrame(rows, columns=["cell_type", "compartment", "intensity", "x_px0", "y_px0"])
    table[["x_px0", "y_px0"]] /= MPP
    table["outline"] = [(CORNERS / MPP + (x, y)) for x, y in zip(table["x_px0"], table["y_px0"], strict=True)]
    return table


def test_scores_of_a_few_cells():
    raster = np.full((400, 900), 2, np.uint8)  # stroma
    raster[100:200, 100:200] = 1
    raster[300:, :] = 4  # necrosis
    table = cells(
        ("tumour", "invasive", "weak", 150, 150),
        *[("tumour", "invasive", "none", 120, 120)] * 3,
        ("tumour", "in_situ", "intense", 150, 150),
        ("lymphocyte", "immune", "faint", 250, 150),  # beside the nest
        ("macrophage", "immune", "faint", 660, 120),  # in the same field, beyond the tumour's area
        ("lymphocyte", "immune", "faint", 860, 120),  # in another field
        ("lymphocyte", "immune", "none", 210, 150),
    )
    found = planted_pdl1(table, raster, mpp=MPP)
    assert found["tps"] == 25.0
    assert found["cps"] == 75.0
    y, x = np.mgrid[:400, :900]
    away = np.hypot(np.maximum(np.maximum(100 - x, x - 199), 0), np.maximum(np.maximum(100 - y, y - 199), 0))
    area = (away <= BESIDE_UM) & (raster != 4)
    assert found["tumour_area_um2"] == area.sum()
    assert found["tap"] == pytest.approx(100 * 2 * 100 / area.sum())


def test_nothing_to_divide_by():
    found = planted_pdl1(cells(), np.full((50, 50), 2, np.uint8), mpp=MPP)
    assert (found["tps"], found["cps"], found["tap"]) == (None, None, None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pdl1") / "cohort"
    manifest = pd.read_csv(make_cohort(folder, slides=2, seed=9, size_px=1536, stain="pdl1"))
    return folder, manifest


def test_the_kit_scores_planted_cells_as_planted(drawn):
    folder, manifest = drawn
    for row in manifest.to_dict("records"):
        truth = folder / "truth" / row["slide_id"]
        planted = json.loads((truth / "score.json").read_text())["pdl1"]
        raster = cv2.imread(str(truth / "regions.png"), cv2.IMREAD_GRAYSCALE)
        score = pdl1_score(
            read_table(truth / "cells.parquet"), stain=row["stain"], mpp=row["mpp"], tissue_map=raster
        )
        assert planted["n_tumour"] > 100
        assert score.tps == pytest.approx(planted["tps"], abs=0.5)
        assert score.cps == pytest.approx(planted["cps"], abs=0.5)
        assert score.tap == pytest.approx(planted["tap"], abs=0.5)
        assert 5 < planted["tap"] < 95


def test_no_her2_score_is_planted_on_it(drawn):
    folder, manifest = drawn
    assert manifest["label"].isna().all()
    for slide_id in manifest["slide_id"]:
        truth = json.loads((folder / "truth" / slide_id / "score.json").read_text())
        assert truth["status"] == "not_evaluable"
        assert truth["score"] is None
        assert truth["h_score_membrane_class"] is None
        assert truth["n_cells"] == truth["pdl1"]["n_tumour"]
