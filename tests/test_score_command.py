"""The command that users type: what it prints, writes and answers with, on good and on bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from her2kit.cohort import jobs_of, score_cohort


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
        assert names == {"score.json", "cells.parquet", "cells.geojson", "regions.csv", "report.html"}


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
        (["--threads", "0"], "threads"),
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


def test_two_runs_give_the_same_bytes_whatever_the_threads(cohort, scored, tmp_path):
    out, _ = scored
    result = her2kit("score", "--manifest", cohort / "manifest.csv", "--out", tmp_path, "--threads", 1)
    assert result.returncode == 0
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 12
    assert [f for f in files if (tmp_path / f).read_bytes() != (out / f).read_bytes()] == []


def test_tumour_regions_that_are_missing_or_elsewhere_fail_their_slide_alone(cohort, tmp_path):
    path = _picture(tmp_path / "grey.png", np.full((300, 300, 3), 128, np.uint8))
    square = [[5000, 5000], [6000, 5000], [6000, 6000], [5000, 6000], [5000, 5000]]
    outside = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": None,
    }
    (tmp_path / "far.geojson").write_text(json.dumps(outside))
    (tmp_path / "m.csv").write_text(
        "path,slide_id,tumour_path\n"
        "grey.png,far,far.geojson\ngrey.png,gone,gone.geojson\ngrey.png,café 슬라이드,\n"
    )
    result = her2kit("score", "--manifest", "m.csv", "--mpp", 0.25, "--out", tmp_path / "out", cwd=tmp_path)
    message = one_line(result)
    assert result.returncode == 1
    assert "far.geojson: its regions lie outside grey.png (300 x 300 px)" in message
    assert "gone.geojson: no such file" in message
    assert path.exists()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"cohort.csv", "cohort.html", "café 슬라이드"}


def test_resume_sees_another_slide_behind_the_same_name(tmp_path):
    path = _picture(tmp_path / "a.png", np.full((300, 300, 3), 128, np.uint8))
    her2kit("score", path, "--mpp", 0.25, "--out", tmp_path / "out")
    before = json.loads((tmp_path / "out/a/score.json").read_text())
    _picture(path, np.zeros((300, 300, 3), np.uint8))
    her2kit("score", path, "--mpp", 0.25, "--out", tmp_path / "out", "--resume")
    after = json.loads((tmp_path / "out/a/score.json").read_text())
    assert before["provenance"]["sha256"] != after["provenance"]["sha256"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_no_text_fails_that_slide(tmp_path):
    path = _picture(tmp_path / "b.png", np.full((64, 64, 3), 230, np.uint8))
    bad = tmp_path / os.fsdecode(b"a\xff.png")
    path.rename(bad)
    _picture(path, np.full((64, 64, 3), 230, np.uint8))
    result = her2kit("score", bad, path, "--mpp", 0.25, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "rename the file" in one_line(result)
    assert (tmp_path / "out/b/score.json").is_file()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device; check the place"),
        (MemoryError(), "fewer --workers"),
        (KeyError("x"), "please report"),
    ],
)
def test_whatever_fails_while_writing_leaves_nothing_and_the_others_finish(
    tmp_path, monkeypatch, capsys, error, words
):
    paths = [_picture(tmp_path / f"{n}.png", np.full((64, 64, 3), 230, np.uint8)) for n in "ab"]

    def fail(path, record, *rest, **more):
        if record["slide_id"] == "a":
            raise error
        path.write_text("report")

    monkeypatch.setattr("her2kit.report.slide_report.write_slide_report", fail)
    out = tmp_path / "out"
    assert score_cohort(jobs_of(paths, None, {"mpp": 0.25}), out) == ["a"]
    assert words in capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["b", "cohort.csv", "cohort.html"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_slide_without_a_name_is_a_wrong_call(tmp_path, name):
    result = her2kit("score", name, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "slide_id" in one_line(result)


def test_a_full_disk_behind_stdout_is_one_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = _picture(tmp_path / "a.png", np.full((64, 64, 3), 230, np.uint8))
    command = [sys.executable, "-m", "her2kit.cli", "score", path, "--mpp", "0.25", "--out", tmp_path / "out"]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 1
    assert "her2kit: stopped: stdout" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_slide_that_its_manifest_calls_pdl1_gets_no_her2_score(cohort, tmp_path):
    table = pd.read_csv(cohort / "manifest.csv").head(1)
    table["path"] = [str(cohort / path) for path in table["path"]]
    table["tumour_path"] = ""
    table.assign(stain="PD-L1").to_csv(tmp_path / "m.csv", index=False)
    result = her2kit("score", "--manifest", tmp_path / "m.csv", "--out", tmp_path / "out")
    assert result.returncode == 0
    assert "not evaluable (stain: The slide is stained for PD-L1, not for HER2" in result.stdout
    assert "her2kit pdl1" in result.stdout
    record = json.loads((tmp_path / "out" / table["slide_id"][0] / "score.json").read_text())
    assert (record["score"], record["n_cells"]) == (None, 0)
    assert [gate["name"] for gate in record["gates"]] == ["stain"]
    assert "--stain PD-L1" in record["provenance"]["command"]
    jobs = jobs_of([], tmp_path / "m.csv", {"stain": "her2"})
    assert jobs[0].settings.stain == "her2"


def test_a_library_that_cannot_be_loaded_is_one_line_with_the_next_step(tmp_path):
    (tmp_path / "openslide").mkdir()
    (tmp_path / "openslide/__init__.py").write_text("raise ImportError('no libopenslide')\n")
    command = [sys.executable, "-m", "her2kit.cli", "score", "a.svs", "--out", str(tmp_path / "out")]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert result.returncode == 1
    message = one_line(result)
    assert message == "her2kit: a library cannot be loaded: no libopenslide; her2kit doctor says what helps\n"


def test_a_full_disk_while_phantoms_are_drawn_is_one_line(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from her2kit.cli import app

    def full(*args, **options):
        raise OSError(28, "No space left on device", str(args[0]))

    monkeypatch.setattr("her2kit.phantom.cohort.make_cohort", full)
    result = CliRunner().invoke(app, ["phantom", str(tmp_path / "p")])
    assert result.exit_code == 1
    assert (
        "No space left on device; make room or choose another folder, then type this again" in result.output
    )
