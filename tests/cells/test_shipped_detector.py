"""The detector in ``her2kit/weights``: it fits its card, finds planted nuclei, scores a slide end to end."""

import json

import pandas as pd
import pytest

from her2kit.cells.matching import match_points
from her2kit.cells.network import load_cell_network, shipped_path
from her2kit.phantom.cohort import make_cohort
from her2kit.pipeline import score_slide
from her2kit.settings import ScoreSettings


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    made = make_cohort(
        tmp_path_factory.mktemp("shipped") / "cohort", slides=1, seed=11, size_px=1024, mpp=0.25, sites=1
    )
    return made.parent


def test_it_is_small_and_its_card_says_what_it_is():
    card = load_cell_network().card
    assert shipped_path().stat().st_size <= 12e6
    assert card.class_names == ("nucleus",)
    assert card.mpp == 0.5
    assert card.licence == "AGPL-3.0-or-later"
    assert any("synthetic" in words for words in card.limits)
    assert card.figures["site_f1"] >= 0.85


def test_it_finds_planted_nuclei_and_the_record_names_it(cohort):
    path = next((cohort / "slides").glob("*.tif"))
    report = score_slide(path, ScoreSettings(detector="network", workers=1))
    truth = pd.read_parquet(cohort / "truth" / path.stem / "cells.parquet")
    points = [t[["x_px0", "y_px0"]].to_numpy(float) * 0.25 for t in (truth, report.cells)]
    assert match_points(*points, max_distance=4.0).f1 >= 0.8
    record = json.loads(json.dumps(report.record, default=str))
    assert record["slide"]["detector"] == f"network {load_cell_network().card.sha256}"
    assert record["status"] == "scored"
