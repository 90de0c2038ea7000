"""From file to score on phantoms: the planted answer comes back, and only what should change it does."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from her2kit.cells.matching import match_points
from her2kit.errors import RegionError
from her2kit.exchange.parquet import read_table
from her2kit.measure import measure_slide
from her2kit.phantom.cohort import make_cohort
from her2kit.pipeline import grade_slide, save_report, score_slide
from her2kit.scoring.guideline import Policies
from her2kit.settings import ScoreSettings

CASES = ("0-null", "1+", "2+", "3+")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Return the folder of four phantoms, one a score, of a seed that no constant was chosen on."""
    folder = tmp_path_factory.mktemp("pipeline") / "cohort"
    make_cohort(folder, slides=len(CASES), seed=9041, size_px=1792, mpp=0.25, sites=1, cases=CASES)
    return folder


@pytest.fixture(scope="module")
def measured(phantoms):
    """Return each phantom's manifest row, its settings and its measured cells."""
    out = []
    for row in pd.read_csv(phantoms / "manifest.csv").to_dict("records"):
        settings = ScoreSettings(tumour=str(phantoms / row["tumour_path"]), control="valid")
        out.append((row, settings, measure_slide(phantoms / row["path"], settings)))
    yield out
    for _, _, slide in out:
        slide.slide.close()


def test_the_planted_score_comes_back(measured):
    assert [grade_slide(m, s).record["score"] for _, s, m in measured] == [r["label"] for r, _, _ in measured]


def test_the_planted_invasive_cells_are_found(phantoms, measured):
    hits = planted = found = 0
    for row, settings, m in measured:
        truth = read_table(phantoms / f"truth/{row['slide_id']}/cells.parquet")
        tables = (t[t["compartment"] == "invasive"] for t in (truth, grade_slide(m, settings).cells))
        places = [t[["x_px0", "y_px0"]].to_numpy() * m.slide.mpp for t in tables]
        hits += match_points(*places, max_distance=4.0).n_hits
        planted, found = planted + len(places[0]), found + len(places[1])
    assert 2 * hits / (planted + found) >= 0.85


def test_counts_are_those_of_the_table(measured):
    for _, settings, m in measured:
        report = grade_slide(m, settings)
        inside = report.cells[(report.cells["compartment"] == "invasive") & report.cells["evaluable"]]
        tumour = inside[inside["cell_type"].isin(["tumour", "unknown"])]
        counts = tumour["cell_class"].value_counts().to_dict()
        assert {k: v for k, v in report.record["counts"].items() if v} == counts


def test_the_ungated_score_stands_beside_the_gated_one(measured):
    _, settings, m = measured[0]
    gated = grade_slide(m, settings).record
    ungated = grade_slide(m, replace(settings, tumour="none")).record
    assert gated["tumour"]["source"] == "file"
    assert gated["tumour"]["ungated"]["counts"] == ungated["counts"]
    assert ungated["tumour"] == {"source": "none", "file": None, "ungated": None}
    assert gated["n_cells"] < ungated["n_cells"]


def test_ish_moves_the_category_and_never_the_score(measured):
    _, settings, m = measured[2]
    records = [
        grade_slide(m, replace(settings, ish=i)).record for i in ("unknown", "amplified", "not_amplified")
    ]
    assert {r["score"] for r in records} == {"2+"}
    assert [r["category"] for r in records] == ["pending", "positive", "low"]


def test_a_stricter_policy_never_makes_more_cells_complete(measured):
    _, settings, m = measured[3]
    complete = []
    for at in (0.7, 0.8, 0.9, 0.95):
        record = grade_slide(m, replace(settings, policies=Policies(complete_at=at))).record
        complete.append(record["ci"] + record["cw"])
    assert complete == sorted(complete, reverse=True)
    assert complete[0] > complete[-1]


def test_a_failed_control_blocks_whatever_the_cells_say(measured):
    _, settings, m = measured[3]
    record = grade_slide(m, replace(settings, control="failed")).record
    assert record["status"] == "not_evaluable"
    assert record["score"] is None
    assert "control" in [g["name"] for g in record["gates"] if g["level"] == "block"]


def test_grading_changes_nothing_in_the_measurement(measured):
    _, settings, m = measured[1]
    before = m.cells.copy()
    grade_slide(m, settings)
    pd.testing.assert_frame_equal(m.cells, before)


def test_the_same_slide_gives_the_same_bytes(measured, tmp_path):
    _, settings, m = measured[1]
    one, two = (save_report(grade_slide(m, settings), tmp_path / n) for n in ("one", "two"))
    for name in ("score.json", "cells.parquet", "cells.geojson", "regions.csv", "report.html"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_he_is_refused_with_a_report(tmp_path):
    cohort = make_cohort(
        tmp_path / "he", slides=1, seed=5, size_px=1024, mpp=0.25, sites=1, stain="he", cases=["2+"]
    )
    report = score_slide(next((cohort.parent / "slides").glob("*.tif")), out=tmp_path / "out")
    assert report.record["status"] == "not_evaluable"
    assert [g["name"] for g in report.record["gates"] if g["level"] == "block"] == ["wrong_stain"]
    assert len(report.cells) == 0
    assert json.loads((tmp_path / "out/score.json").read_text()) == report.record
    assert "H&amp;E" in (tmp_path / "out/report.html").read_text()


def test_regions_without_tumour_are_an_error_before_the_work(phantoms, tmp_path):
    drawn = tmp_path / "stroma.geojson"
    text = (phantoms / next(phantoms.glob("truth/*/tumour.geojson")).relative_to(phantoms)).read_text()
    drawn.write_text(text.replace("invasive", "stroma").replace("tumour", "stroma"))
    slide = next((phantoms / "slides").glob("*.tif"))
    with pytest.raises(RegionError, match="only stroma"):
        score_slide(slide, ScoreSettings(tumour=str(drawn)))
