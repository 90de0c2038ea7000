"""``her2kit validate`` from phantom slides to the report, and its wrong calls."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from her2kit.errors import ManifestError
from her2kit.validation import plan_validation


def her2kit(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "her2kit.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    done = her2kit("phantom", folder, "--slides", 2, "--seed", 5, "--size-px", 1024)
    assert done.returncode == 0, done.stderr
    return folder


def test_slides_are_scored_once_and_compared(cohort, tmp_path):
    call = ["validate", cohort / "manifest.csv", "--readers", cohort / "readers.csv", "--out", tmp_path]
    done = her2kit(*call)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "validation.html")
    page = (tmp_path / "validation.html").read_text()
    assert "Few slides" in page
    cases = pd.read_csv(tmp_path / "validation_cases.csv", dtype=str)
    manifest = pd.read_csv(cohort / "manifest.csv", dtype=str)
    assert cases["slide_id"].tolist() == manifest["slide_id"].tolist()
    assert cases["reference"].tolist() == manifest["label"].tolist()
    assert {"reader expert", "reader trained", "reader novice"} <= set(cases)
    table = pd.read_csv(tmp_path / "validation.csv")
    assert list(table) == ["measure", "value", "low", "high", "n"]
    records = sorted(tmp_path.glob("*/score.json"))
    before = [p.stat().st_mtime_ns for p in records]
    again = her2kit(*call)
    assert again.returncode == 0
    assert [p.stat().st_mtime_ns for p in records] == before
    assert (tmp_path / "validation.html").read_text() == page


def test_a_slide_that_fails_is_listed_and_the_report_is_there(cohort, tmp_path):
    manifest = pd.read_csv(cohort / "manifest.csv", dtype=str)
    rows = pd.DataFrame(
        {
            "path": [str(cohort / manifest["path"][0]), "gone.svs"],
            "slide_id": ["here", "gone"],
            "label": [manifest["label"][0], "3+"],
        }
    )
    rows.to_csv(tmp_path / "manifest.csv", index=False)
    done = her2kit("validate", tmp_path / "manifest.csv", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "1 of 2 slides failed: gone" in done.stderr
    cases = pd.read_csv(tmp_path / "out/validation_cases.csv", dtype=str).set_index("slide_id")
    assert cases.loc["gone", "status"] == "failed"
    assert (tmp_path / "out/validation.html").is_file()


@pytest.mark.parametrize(
    ("manifest", "readers", "words"),
    [
        (
            "path\na.svs\n",
            None,
            "no slide has a reading; add a column label to the manifest or pass --readers",
        ),
        ("path,label\na.svs,high\n", None, "slide a: label='high' is no score"),
        ("path\na.svs\n", "slide_id,reader,score\nb,Kim,0\n", "line 2: slide_id 'b' is not in the manifest"),
        ("path\na.svs\n", "slide_id,reader,score\na,Kim,5+\n", "line 2: Kim called it '5+'"),
        ("path\na.svs\n", "slide_id,reader,score\na,Kim,0\na,kim,1+\n", "reader 'kim' looks like 'Kim'"),
        ("path\na.svs\n", "slide_id;reader;score\na;Kim;0\n", "separates its columns by semicolons"),
        ("path\na.svs\na.svs\n", None, "slide_id 'a' stands in line 2 too"),
        ("file\na.svs\n", None, "has no column path"),
    ],
)
def test_wrong_files_are_one_line_before_any_slide_is_opened(tmp_path, manifest, readers, words):
    (tmp_path / "m.csv").write_text(manifest)
    (tmp_path / "r.csv").write_text(readers or "")
    with pytest.raises(ManifestError) as caught:
        plan_validation(tmp_path / "m.csv", tmp_path / "r.csv" if readers else None, {})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m.csv", "--readers", "none.csv"], "none.csv does not exist"),
        (["m.csv", "--mpp", "0"], "mpp"),
        (["m.csv", "--out", "m.csv"], "--out m.csv cannot be a folder"),
    ],
)
def test_wrong_calls(tmp_path, words, said):
    (tmp_path / "m.csv").write_text("path,label\na.svs,0\n")
    done = her2kit("validate", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["m.csv"]
