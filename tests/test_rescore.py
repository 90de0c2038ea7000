"""Contesting a score: what the reader changed changes the score, both stay, and nothing is lost."""

import json
import shutil
from datetime import UTC, datetime

import pandas as pd
import pytest
import shapely
from typer.testing import CliRunner

from her2kit.cli import app
from her2kit.errors import ManifestError, RegionError, SlideError
from her2kit.exchange.geojson import Region, write_regions
from her2kit.exchange.parquet import read_table, write_table
from her2kit.phantom.cohort import make_cohort
from her2kit.pipeline import score_slide
from her2kit.rescore import CELL_GATES, rescore
from her2kit.scoring.gates import cell_gates
from her2kit.settings import ScoreSettings

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the slide and the folder of a small 1+ phantom, scored with its tumour region."""
    place = tmp_path_factory.mktemp("rescore")
    cohort = make_cohort(place / "c", slides=1, seed=77, size_px=1280, mpp=0.25, sites=1, cases=["1+"])
    row = pd.read_csv(cohort).iloc[0]
    slide = cohort.parent / row["path"]
    settings = ScoreSettings(tumour=str(cohort.parent / row["tumour_path"]), control="valid")
    report = score_slide(slide, settings, out=place / "scored")
    assert report.record["score"] in ("1+", "2+")
    return slide, place / "scored"


@pytest.fixture
def scored(made, tmp_path):
    """Return a copy of the scored folder that a test may change."""
    return shutil.copytree(made[1], tmp_path / "scored")


def edit(folder, out, change, *, only_changed=False):
    """Write the folder's cells with `change(properties, place among counted cells)` done to each."""
    table = read_table(folder / "cells.parquet")
    counts = (table["compartment"] == "invasive") & table["cell_type"].isin(["tumour", "unknown"])
    data = json.loads((folder / "cells.geojson").read_text())
    done, kept, seen = 0, [], 0
    for feature, counted, usable in zip(data["features"], counts, table["evaluable"], strict=True):
        if counted and usable:
            changed = change(feature["properties"], seen)
            seen, done = seen + 1, done + bool(changed)
            if changed or not only_changed:
                kept.append(feature)
        elif not only_changed:
            kept.append(feature)
    out.write_text(json.dumps({"type": "FeatureCollection", "features": kept}))
    return done


def make_three(share):
    """Return a change that makes one cell in so many a 3+."""

    def change(properties, number):
        if number % share:
            return False
        properties["classification"] = {"name": "3+"}
        return True

    return change


def test_a_tenth_more_3_plus_makes_it_3_plus_and_both_are_kept(scored, tmp_path):
    before = {f.name: f.read_bytes() for f in scored.iterdir()}
    old = json.loads(before["score.json"])
    n = edit(scored, tmp_path / "e.geojson", make_three(8))
    record = rescore(scored, tmp_path / "e.geojson", by="A. Reader", when=WHEN)
    assert record["score"] == "3+"
    assert record["counts"]["3+"] - old["counts"]["3+"] <= n
    assert record["n_cells"] == old["n_cells"]
    correction = record["correction"]
    assert correction["original"]["score"] == correction["before"]["score"] == old["score"]
    assert (correction["by"], correction["when"]) == ("A. Reader", "2026-03-04T05:06:07+00:00")
    assert correction["changed"]["class"] in (n, n - old["counts"]["3+"], n - 1)
    for name in ("score.json", "cells.parquet", "cells.geojson", "regions.csv"):
        assert (scored / name).read_bytes() == before[name], name
    kept = scored / "corrections"
    assert (kept / "original_report.html").read_bytes() == before["report.html"]
    assert (kept / "1/edited.geojson").read_bytes() == (tmp_path / "e.geojson").read_bytes()
    assert json.loads((kept / "1/score.json").read_text()) == record
    page = (scored / "report.html").read_text()
    assert "Corrected by A. Reader" in page
    assert "2026-03-04 05:06:07 UTC" in page
    cells = read_table(kept / "1/cells.parquet")
    assert (cells["grade_source"] == "reader").sum() == correction["changed"]["class"]
    assert record["uncertainty"]["p_score"]["3+"] > 0.5


def test_only_the_changed_cells_are_enough(scored, tmp_path):
    edit(scored, tmp_path / "all.geojson", make_three(8))
    edit(scored, tmp_path / "few.geojson", make_three(8), only_changed=True)
    few = rescore(scored, tmp_path / "few.geojson", by="A", when=WHEN)
    shutil.rmtree(scored / "corrections")
    every = rescore(scored, tmp_path / "all.geojson", by="A", when=WHEN)
    assert few["counts"] == every["counts"]


def test_the_next_correction_stands_on_the_last(scored, tmp_path):
    old = json.loads((scored / "score.json").read_text())
    edit(scored, tmp_path / "one.geojson", make_three(8), only_changed=True)
    first = rescore(scored, tmp_path / "one.geojson", by="A", when=WHEN)

    def back(properties, number):
        properties["classification"] = {"name": "0"}
        return number % 8 == 0

    edit(scored, tmp_path / "two.geojson", back, only_changed=True)
    second = rescore(scored, tmp_path / "two.geojson", by="B", when=WHEN)
    assert second["correction"]["number"] == 2
    assert second["correction"]["before"]["score"] == first["score"] == "3+"
    assert second["correction"]["original"]["score"] == old["score"]
    assert second["counts"]["3+"] < first["counts"]["3+"]
    page = (scored / "report.html").read_text()
    assert "Corrected by B" in page
    assert "Correction 1" in page
    assert (scored / "corrections/1/score.json").is_file()


def test_cells_called_not_evaluable_or_lymphocytes_do_not_count(scored, tmp_path):
    old = json.loads((scored / "score.json").read_text())

    def change(properties, number):
        if number < 10:
            properties["classification"] = {"name": ["not evaluable", "Immune cells"][number % 2]}
        return number < 10

    edit(scored, tmp_path / "e.geojson", change)
    record = rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
    assert record["n_cells"] == old["n_cells"] - 10
    assert record["n_missing"] == old["n_missing"] + 5
    assert record["correction"]["changed"] == {"class": 0, "not_evaluable": 5, "type": 5}


def test_a_region_that_is_drawn_is_scored(scored, tmp_path):
    old = json.loads((scored / "score.json").read_text())
    half = shapely.box(0, 0, 640, 1280)
    write_regions(tmp_path / "e.geojson", [Region("Tumor", half)])
    record = rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
    cells = read_table(scored / "corrections/1/cells.parquet")
    assert set(cells.loc[cells["compartment"] == "invasive", "x_px0"] <= 640) == {True}
    assert record["n_cells"] != old["n_cells"]
    assert record["tumour"]["file"] == "e.geojson"
    write_regions(tmp_path / "f.geojson", [Region("Necrosis", shapely.box(0, 0, 320, 1280))])
    less = rescore(scored, tmp_path / "f.geojson", by="A", when=WHEN)
    assert 0 < less["n_cells"] < record["n_cells"]


def test_without_the_slide_the_report_shows_the_old_overview(made, scored, tmp_path):
    edit(scored, tmp_path / "e.geojson", make_three(8))
    here = made[0].rename(made[0].with_suffix(".away"))
    try:
        rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
        page = (scored / "report.html").read_text()
        assert "Corrected by A" in page
        assert 'id="overview-picture"' in page
        with pytest.raises(SlideError, match="not the file that was scored"):
            rescore(scored, _back(scored, tmp_path), by="A", slide=scored / "score.json")
        again = rescore(scored, _back(scored, tmp_path), by="A", slide=here, when=WHEN)
        assert again["correction"]["number"] == 2
    finally:
        here.rename(made[0])


def _back(scored, tmp_path):
    def change(properties, number):
        properties["classification"] = {"name": "0"}
        return number < 3

    edit(scored, tmp_path / "back.geojson", change)
    return tmp_path / "back.geojson"


def test_a_slide_scored_anew_does_not_stand_on_corrections_of_other_cells(made, scored, tmp_path):
    edit(scored, tmp_path / "e.geojson", make_three(8))
    rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
    table = read_table(scored / "cells.parquet")
    write_table(scored / "cells.parquet", table.assign(confidence=0.5))
    second = rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
    assert second["correction"]["number"] == 2
    assert second["correction"]["before"] == second["correction"]["original"]


def cell_file(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def feature(**more):
    point = {"type": "Point", "coordinates": [5, 5]}
    base = {"type": "Feature", "geometry": point, "properties": {"objectType": "cell"}}
    return base | more


def called(name):
    return {"objectType": "cell", "classification": {"name": name}}


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ([feature(id="nobody", properties=called("2+"))], "1 of its 1 cells are not on slide"),
        ([feature()], "cell 1 has no id"),
        ([feature(id="a", properties=called("4+"))], "'4\\+'; use one of"),
        ([feature(id="a"), feature(id="a", properties=called("2+"))], "twice, with different classes"),
        ([], "neither a cell nor a region"),
        ([feature(properties={"objectType": "annotation"})], "neither a cell nor a region"),
        ([feature(geometry={"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]},
                  properties={"classification": {"name": "Tumor"}})], "draw it again without crossing"),
    ],
)  # fmt: skip
def test_corrections_that_cannot_be_used_change_nothing(scored, tmp_path, features, words):
    before = {f: f.read_bytes() for f in scored.rglob("*") if f.is_file()}
    with pytest.raises(RegionError, match=words):
        rescore(scored, cell_file(tmp_path / "e.geojson", *features), by="A")
    assert {f: f.read_bytes() for f in scored.rglob("*") if f.is_file()} == before


def test_other_wrong_calls(scored, tmp_path):
    with pytest.raises(RegionError, match="changes nothing"):
        rescore(scored, scored / "cells.geojson", by="A")
    with pytest.raises(RegionError, match="no such file"):
        rescore(scored, tmp_path / "none.geojson", by="A")
    with pytest.raises(ValueError, match="say who corrected"):
        rescore(scored, scored / "cells.geojson", by="  ")
    with pytest.raises(ManifestError, match="name the folder of one slide"):
        rescore(tmp_path, scored / "cells.geojson", by="A")
    record = json.loads((scored / "score.json").read_text())
    (scored / "cells.parquet").rename(scored / "away")
    with pytest.raises(ManifestError, match="holds no cells"):
        rescore(scored, scored / "cells.geojson", by="A")
    (scored / "away").rename(scored / "cells.parquet")
    record["provenance"]["parameters"]["colour"] = "blue"
    (scored / "score.json").write_text(json.dumps(record))
    with pytest.raises(ManifestError, match="another version"):
        rescore(scored, scored / "cells.geojson", by="A")


def test_the_command_prints_both_scores_and_refuses_in_one_line(scored, tmp_path):
    edit(scored, tmp_path / "e.geojson", make_three(8))
    call = ["rescore", str(scored), "--corrections", str(tmp_path / "e.geojson"), "--by"]
    done = CliRunner().invoke(app, [*call, "A. Reader"])
    assert done.exit_code == 0, done.output
    assert "corrected by A. Reader 3+" in done.stdout
    wrong = CliRunner().invoke(app, [*call, " "])
    assert wrong.exit_code == 2
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_gates_of_cells_are_asked_anew_and_those_of_pictures_kept(scored, tmp_path):
    cells = read_table(scored / "cells.parquet")
    asked = cell_gates(cells, "breast-asco-cap-2018", mpp=0.25, tumour_known=True)
    nothing = cell_gates(
        cells.assign(compartment="stroma"), "breast-asco-cap-2018", mpp=0.25, tumour_known=True
    )
    assert {g.name for g in [*asked, *nothing]} <= set(CELL_GATES)
    edit(scored, tmp_path / "e.geojson", make_three(8))
    record = rescore(scored, tmp_path / "e.geojson", by="A", when=WHEN)
    old = json.loads((scored / "score.json").read_text())
    assert [g["name"] for g in record["gates"]] == [g["name"] for g in old["gates"]]
