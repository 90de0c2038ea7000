"""The limit of detection on the command line: a number, or slides that are known to be negative."""

import json

import pytest
from typer.testing import CliRunner

from her2kit.cli import app
from her2kit.errors import ManifestError
from her2kit.negatives import limit_of_detection
from her2kit.phantom.cohort import make_cohort
from her2kit.scoring.reading_error import negative_limit


def scored(folder, stained, n):
    folder.mkdir()
    (folder / "score.json").write_text(json.dumps({"any": stained, "n_cells": n}))
    return str(folder)


def test_a_number_is_taken_and_folders_are_measured(tmp_path):
    assert limit_of_detection(["0.03"]) == 0.03
    folders = [scored(tmp_path / "a", 4, 900), scored(tmp_path / "b", 9, 1100)]
    assert limit_of_detection(folders) == negative_limit([(4, 900), (9, 1100)])


@pytest.mark.parametrize("words", [["1.5"], ["-0.1"], ["nan"], ["0.1", "0.2"], ["0.1", "folder"]])
def test_numbers_that_cannot_be(words):
    with pytest.raises(ValueError, match="pass one share of cells"):
        limit_of_detection(words)


def test_folders_that_hold_no_score(tmp_path):
    with pytest.raises(ManifestError, match="name the folder of a scored negative slide"):
        limit_of_detection([str(tmp_path / "none")])
    with pytest.raises(ManifestError, match="no counted cell"):
        limit_of_detection([scored(tmp_path / "a", 0, 0)])
    (tmp_path / "a/score.json").write_text("[]")
    with pytest.raises(ManifestError, match="score the control first"):
        limit_of_detection([str(tmp_path / "a")])


def test_it_names_a_zero_on_the_command_line_and_is_replayed(tmp_path):
    cohort = make_cohort(
        tmp_path / "c", slides=1, seed=31, size_px=1024, mpp=0.25, sites=1, cases=["ultralow"]
    )
    call = ["score", "--manifest", str(cohort), "--out", str(tmp_path / "out")]
    names = []
    for limit in ("0.5", "0.0001"):
        done = CliRunner().invoke(app, [*call, "--limit-of-detection", limit])
        assert done.exit_code == 0, done.output
        record = json.loads(next((tmp_path / "out").glob("*/score.json")).read_text())
        names.append(record["category"])
        assert f"--limit-of-detection {float(limit)}" in record["provenance"]["command"]
    assert record["score"] == "0"
    assert names == ["ultralow or null not resolved", "ultralow"]
    wrong = CliRunner().invoke(app, [*call, "--limit-of-detection", "7"])
    assert wrong.exit_code == 2
