"""The command that users type: what it prints, writes and answers with, on good and on bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


def her2kit(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "her2kit.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def one_line(result: subprocess.CompletedProcess) -> str:
    """Return the message of a call that failed; it must be no traceback."""
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    result = her2kit("phantom", folder, "--slides", 2, "--seed", 77, "--size-px", 1536)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def scored(cohort, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    out = tmp_path_factory.mktemp("scores")
    result = her2kit("score", "--manifest", cohort / "manifest.csv", "--out", out)
    assert result.returncode == 0, result.stderr
    return out, result


def test_every_slide_gets_its_files(cohort, scored):
    out, _ = scored
    for slide_id in pd.read_csv(cohort / "manifest.csv")["slide_id"]:
        names = {p.name for p in (out / slide_id).iterdir()}
        assert names == {"score.json", "cells.parquet", "cells.geojson", "report.html"}


def test_the_record_adds_up(scored):
    out, _ = scored
    for path in out.glob("*/score.json"):
        record = json.loads(path.read_text())
        assert record["slide_id"] == path.parent.name
        assert sum(record["counts"].values()) == record["n_cells"]
        assert record["any"] == record["n_cells"] - record["counts"]["0"]
        if record["status"] == "scored":
            assert sum(record["percent"].values()) == pytest.approx(100)
            assert sum(entry["fired"] for entry in record["trace"]) >= 1
        else:
            assert any(gate["level"] == "block" for gate in record["gates"])
        assert "her2kit score" in record["provenance"]["command"]


def test_one_line_a_slide_on_stdout_and_a_row_in_the_table(scored):
    out, result = scored
    table = pd.read_csv(out / "cohort.csv")
    assert len(result.stdout.splitlines()) == len(table) == 2


def test_resume_scores_only_what_is_not_there(cohort, scored):
    out, _ = scored
    folders = sorted(p.parent for p in out.glob("*/score.json"))
    (folders[0] / "score.json").unlink()
    before = (folders[1] / "score.json").stat().st_mtime_ns
    result = her2kit("score", "--manifest", cohort / "manifest.csv", "--out", out, "--resume")
    assert result.returncode == 0
    assert (folders[0] / "score.json").is_file()
    assert (folders[1] / "score.json").stat().st_mtime_ns == before


def test_resume_scores_again_with_other_settings(cohort, scored, tmp_path):
    slide = sorted((cohort / "slides").glob("*.tif"))[0]
    her2kit("score", slide, "--out", tmp_path)
    result = her2kit("score", slide, "--out", tmp_path, "--resume", "--guideline", "gastric-resection")
    assert "gastric-resection" in result.stdout


def test_a_flag_goes_before_the_manifest(cohort, tmp_path):
    result = her2kit(
        "score", "--manifest", cohort / "manifest.csv", "--out", tmp_path, "--guideline", "gastric-resection"
    )
    guidelines = {json.loads(p.read_text())["guideline"] for p in tmp_path.glob("*/score.json")}
    assert result.returncode == 0
    assert guidelines == {"gastric-resection"}


def _picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_failing_slides_are_listed_and_the_others_finished(cohort, tmp_path):
    good = sorted((cohort / "slides").glob("*.tif"))[0]
    (tmp_path / "text.svs").write_text("this is not a slide")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "cut.tif").write_bytes(good.read_bytes()[:20_000])
    bad = [tmp_path / n for n in ("text.svs", "empty.tif", "cut.tif", "missing.svs")]
    (tmp_path / "folder.svs").mkdir()
    result = her2kit("score", *bad, tmp_path / "folder.svs", good, "--out", tmp_path / "out")
    message = one_line(result)
    assert result.returncode == 1
    for path in bad:
        assert path.name in message
    assert (tmp_path / "out" / good.stem / "score.json").is_file()
    assert not list((tmp_path / "out").glob("text/*"))
    table = pd.read_csv(tmp_path / "out/cohort.csv").set_index("slide_id")
    assert table.loc["text", "status"] == "failed"
    assert table.loc[good.stem, "status"] != "failed"


def test_a_picture_without_mpp_is_refused_not_failed(tmp_path):
    path = _picture(tmp_path / "flat.png", np.full((600, 600, 3), 200, np.uint8))
    result = her2kit("score", path, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out/flat/score.json").read_text())
    assert result.returncode == 0
    assert record["status"] == "not_evaluable"
    assert [g["name"] for g in record["gates"] if g["level"] == "block"] == ["mpp"]
    assert "flat" in (tmp_path / "out/flat/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--mpp", "0"], "mpp"),
        (["--mpp", "40"], "0.25"),
        (["--guideline", "lung"], "breast-asco-cap-2018"),
        (["--ish", "maybe"], "not_amplified"),
        (["--tumour", "nowhere.geojson"], "nowhere.geojson"),
        (["--detector", "magic"], "classical"),
        (["--workers", "0"], "workers"),
    ],
)
def test_a_wrong_call_is_status_2_and_says_what_is_right(tmp_path, words, expected):
    path = _picture(tmp_path / "a.png", np.full((64, 64, 3), 230, np.uint8))
    result = her2kit("score", path, "--out", tmp_path / "out", *words)
    assert result.returncode == 2
    assert expected in one_line(result)
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_a_wrong_call(tmp_path):
    path = _picture(tmp_path / "a.png", np.full((64, 64, 3), 230, np.uint8))
    (tmp_path / "out").write_text("mine")
    result = her2kit("score", path, "--mpp", "0.25", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "--out" in one_line(result)
    assert (tmp_path / "out").read_text() == "mine"


def test_no_slide_is_a_wrong_call(tmp_path):
    result = her2kit("score", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "--manifest" in one_line(result)


def test_a_manifest_without_path_is_a_wrong_call(tmp_path):
    (tmp_path / "cases.csv").write_text("slide,label\na.svs,0\n")
    result = her2kit("score", "--manifest", tmp_path / "cases.csv", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "path" in one_line(result)
    assert "cases.csv" in result.stderr


def test_unreadable_regions_fail_that_slide(cohort, tmp_path):
    good = sorted((cohort / "slides").glob("*.tif"))[0]
    (tmp_path / "bad.geojson").write_text("{not json")
    result = her2kit("score", good, "--tumour", tmp_path / "bad.geojson", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "bad.geojson" in one_line(result)
    assert not (tmp_path / "out" / good.stem / "score.json").exists()


def test_two_slides_of_one_name_are_a_wrong_call(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        _picture(tmp_path / folder / "same.png", np.full((64, 64, 3), 230, np.uint8))
    result = her2kit("score", tmp_path / "a/same.png", tmp_path / "b/same.png", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "same" in one_line(result)
