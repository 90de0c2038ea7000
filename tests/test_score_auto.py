"""``her2kit score --tumour auto``: its map, the cells that it counts, the slide without a tumour."""

import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from her2kit.cohort import jobs_of, score_cohort
from her2kit.exchange.geojson import read_regions
from her2kit.exchange.parquet import read_table
from her2kit.measure import measure_slide
from her2kit.phantom.plan import Mix, Plan
from her2kit.phantom.ready import ready_case
from her2kit.phantom.slide import make_slide
from her2kit.pipeline import grade_slide
from her2kit.regions.compartments import compartments_of
from her2kit.regions.tissue_map import TissueMap
from her2kit.rescore import rescore
from her2kit.settings import ScoreSettings

COMMON = {"size_px": (1536, 1536), "mpp": 0.5, "patterns": ("nests", "solid")}


@pytest.fixture(scope="module")
def slides(tmp_path_factory) -> Path:
    """Draw a 1+ tumour beside 3+ carcinoma in situ, and a slide of glands without any tumour."""
    folder = tmp_path_factory.mktemp("slides")
    strong = {("complete", "intense"): 1.0}
    tumour = Mix(invasive=0.45, in_situ=0.2, normal=0.05, immune=0.02, fat=0.05)
    make_slide(
        Plan(**ready_case("1+") | COMMON, slide_id="tumour", seed=3, mix=tumour, in_situ_fractions=strong),
        folder,
    )
    glands = Mix(invasive=0, in_situ=0, normal=0.2, immune=0.02, fat=0.1)
    make_slide(Plan(**ready_case("0-null") | COMMON, slide_id="glands", seed=4, mix=glands), folder)
    return folder


@pytest.fixture(scope="module")
def scored(slides, tmp_path_factory):
    """Score both with their planted tissue in the place of what a network would say."""

    def planted(slide, tissue, network, *, progress=None) -> TissueMap:
        raster = slides / "truth" / slide.slide_id / "regions.png"
        classes = np.asarray(cv2.imread(str(raster), cv2.IMREAD_GRAYSCALE))
        return TissueMap(classes, np.full_like(classes, 255), 1.0, 1 / slide.mpp, "planted")

    out = tmp_path_factory.mktemp("scores")
    paths = [slides / "slides" / f"{name}.tif" for name in ("tumour", "glands")]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as stdout:
        patch.setattr("her2kit.measure.shipped_network", lambda **_: "planted")
        patch.setattr("her2kit.measure.map_tissue", planted)
        assert score_cohort(jobs_of(paths, None, {"tumour": "auto"}), out) == []
    return out, stdout.getvalue()


def record_of(out: Path, name: str) -> dict:
    return json.loads((out / name / "score.json").read_text())


def test_carcinoma_in_situ_does_not_count(scored, slides):
    out, stdout = scored
    record = record_of(out, "tumour")
    planted = json.loads((slides / "truth/tumour/score.json").read_text())
    assert planted["score"] == "1+"
    assert record["score"] == "1+", stdout
    assert record["tumour"]["ungated"]["score"] in ("2+", "3+")
    assert record["percent"]["3+"] < 3 < record["tumour"]["ungated"]["percent"]["3+"]


def test_the_map_is_in_the_record_the_files_and_the_report(scored):
    out, _ = scored
    record = record_of(out, "tumour")
    assert {p.name for p in (out / "tumour").iterdir()} == {
        *("score.json", "cells.parquet", "cells.geojson", "regions.csv", "regions.geojson", "report.html")
    }
    tumour = record["tumour"]
    assert tumour["source"] == "auto"
    assert sum(tumour["areas_mm2"].values()) == pytest.approx(0.768**2, rel=0.03)
    gate = next(g for g in record["gates"] if g["name"] == "tumour_map")
    assert gate["level"] == "caution"
    assert gate["value"] == pytest.approx(tumour["areas_mm2"]["tumour"])
    regions = read_regions(out / "tumour/regions.geojson")
    um2 = sum(r.geometry.area for r in regions if r.name == "invasive") * 0.25
    assert um2 / 1e6 == pytest.approx(tumour["areas_mm2"]["tumour"], rel=0.05)
    cells = read_table(out / "tumour/cells.parquet")
    drawn = compartments_of(cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy(), regions)
    assert np.mean((drawn == "invasive") == (cells["compartment"] == "invasive")) > 0.98
    page = (out / "tumour/report.html").read_text()
    assert "What the tissue is" in page
    assert "Invasive tumour" in page


def test_a_slide_without_tumour_is_not_evaluable_and_says_why(scored):
    out, stdout = scored
    record = record_of(out, "glands")
    assert record["status"] == "not_evaluable"
    assert "tumour_map" in [g["name"] for g in record["gates"] if g["level"] == "block"]
    assert "glands: not evaluable (tumour_map: The tissue map shows" in stdout
    assert record["tumour"]["ungated"]["n_cells"] > 0
    assert pd.read_csv(out / "cohort.csv").set_index("slide_id").loc["glands", "blocked_by"] == "tumour_map"


def test_a_tumour_drawn_by_a_reader_goes_before_the_map(scored, tmp_path):
    out, _ = scored
    edited = tmp_path / "drawn.geojson"
    ring = [[100, 100], [1400, 100], [1400, 1400], [100, 1400], [100, 100]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumor"}},
    }
    edited.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    record = rescore(out / "glands", edited, by="A. Reader")
    assert record["tumour"]["source"] == "file"
    assert "tumour_map" not in [g["name"] for g in record["gates"]]


def test_resume_leaves_a_mapped_slide_alone(scored, slides):
    out, _ = scored
    before = (out / "tumour/score.json").stat().st_mtime_ns
    jobs = jobs_of([slides / "slides/tumour.tif"], None, {"tumour": "auto"})
    assert score_cohort(jobs, out, resume=True) == []
    assert (out / "tumour/score.json").stat().st_mtime_ns == before


def test_grading_with_auto_needs_a_map(slides):
    with (
        measure_slide(slides / "slides/glands.tif") as measured,
        pytest.raises(ValueError, match="measured without a tissue map"),
    ):
        grade_slide(measured, ScoreSettings(tumour="auto"))
