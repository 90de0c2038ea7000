"""A changed threshold in the code and a swapped class in the results turn ``her2kit check`` red."""

import json
import shutil
import statistics
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from her2kit.course import commands
from her2kit.course.notebooks import all_notebooks
from her2kit.course.regression import GOOD, RED, Bounds, compare_runs, read_expected

ROOT = Path(__file__).parents[2]
NAMES = [path.stem for path in all_notebooks(ROOT / "notebooks")]
SCORE = """from her2kit.course.data import slide_or_phantom
from her2kit.pipeline import score_slide
from her2kit.settings import ScoreSettings
slide = slide_or_phantom(case="2+", size_px=1024, seed=10, folder="../data")
record = score_slide(slide.path, ScoreSettings(tumour=slide.tumour, workers=1)).record"""
RESULTS = """write_results(out_dir, {"score": record["score"], "planted_score": slide.planted_score,
                        "complete": record["cw"] + record["ci"], "n_cells": record["n_cells"]})"""
EXPECTED = "01_score: {score: '2+', planted_score: '2+', complete: {between: [100, 150], why: as planted}}\n"
PLANTED = {
    "score": ("scoring/rules.py", "return n // 10 + 1", "return 9 * n // 10 + 1"),
    "complete": ("cells/grade.py", "COMPLETE_AT = 0.80", "COMPLETE_AT = 0.999"),
}
"""What each changed line of the package must turn red."""


def call(*words):
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def scoring(put, sample, workplace):
    """Write a notebook that scores a small phantom, and what is expected of it."""
    notebook = sample()
    notebook.cells[4].source, notebook.cells[9].source = SCORE, RESULTS
    del notebook.cells[5:9]
    put("01_score", notebook)
    (workplace / "notebooks/expected.yaml").write_text(EXPECTED)


@pytest.mark.timeout(900)
def test_a_changed_threshold_turns_the_command_red(scoring, workplace, monkeypatch):
    healthy = call("check", "--workers", "1")
    assert healthy.exit_code == 0, healthy.output
    assert "her2kit: 3 metrics are as expected, none is red" in healthy.stderr
    for metric, (module, line, changed) in PLANTED.items():
        package = workplace / metric / "her2kit"
        shutil.copytree(ROOT / "her2kit", package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (package / module).read_text()
        assert line in text, f"{module} no longer says {line!r}: plant it elsewhere"
        (package / module).write_text(text.replace(line, changed))
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        planted = call("check", "--workers", "1", "--out", f"reports/{metric}")
        assert planted.exit_code == 1, planted.output
        red = [line.split()[1] for line in planted.stdout.splitlines() if line.endswith("RED")]
        assert metric in red, planted.stdout
        assert "planted_score" not in red
        assert planted.stderr.endswith("red: 01_score\n")


def fitting(wanted):
    """Return a value as expected."""
    return statistics.fmean([wanted.low, wanted.high]) if isinstance(wanted, Bounds) else wanted


def changed(wanted):
    """Return a value that is not: a step over a bound, a swapped class, one more, another word."""
    if isinstance(wanted, Bounds):
        return wanted.high + max(1e-6, 0.01 * abs(wanted.high))
    if isinstance(wanted, bool):
        return not wanted
    if isinstance(wanted, int):
        return wanted + 1
    return {"3+": "2+", "2+": "3+", "0": "1+"}.get(wanted, "") if isinstance(wanted, str) else []


@pytest.fixture
def judge(tmp_path):
    """Return a function that compares results of a notebook with the course's own ``expected.yaml``."""
    expected = read_expected(ROOT / "notebooks/expected.yaml")

    def compare(notebook, results):
        folder = tmp_path / notebook
        folder.mkdir(exist_ok=True)
        record = {"notebook": notebook, "status": "done", "seconds": 1.0, "failure": None}
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "results.json").write_text(json.dumps(results))
        return {v.metric: v.verdict for v in compare_runs([folder], expected)}

    compare.expected = expected
    return compare


@pytest.mark.parametrize("notebook", NAMES)
def test_what_is_expected_is_green_and_each_change_is_red(judge, notebook):
    expected = judge.expected[notebook]
    results = {metric: fitting(wanted) for metric, wanted in expected.items()}
    assert set(judge(notebook, results).values()) == {GOOD}
    for metric, wanted in expected.items():
        verdicts = judge(notebook, results | {metric: changed(wanted)})
        assert [name for name, verdict in verdicts.items() if verdict == RED] == [metric]
