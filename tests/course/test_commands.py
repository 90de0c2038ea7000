"""The command line: exit status 0, 1 or 2, results on stdout, one line on stderr for a wrong call."""

import json

import pytest
import typer
from typer.testing import CliRunner

from her2kit.course import commands

app = typer.Typer()
commands.register(app)


def call(*words):
    return CliRunner().invoke(app, list(words))


def test_run_then_check_then_red(put, workplace):
    put()
    (workplace / "notebooks/expected.yaml").write_text("01_sample: {stained: 10, label: '2+'}\n")
    done = call("run", "1", "--workers", "1")
    assert (done.exit_code, done.stdout) == (0, "01_sample: done  reports/runs/01_sample/01_sample.html\n")
    assert "[1/1] 01_sample: done in" in done.stderr

    checked = call("check", "reports/runs")
    assert checked.exit_code == 0, checked.output
    assert ["01_sample", "stained", "10", "10", "ok"] in [
        line.split() for line in checked.stdout.splitlines()
    ]

    (workplace / "notebooks/expected.yaml").write_text("01_sample: {stained: 11}\n")
    checked = call("check", "reports/runs")
    assert checked.exit_code == 1
    assert ["01_sample", "stained", "11", "10", "RED"] in [
        line.split() for line in checked.stdout.splitlines()
    ]


def test_a_notebook_that_raises_gives_status_1_and_the_other_its_parameters(put, sample, workplace):
    bad, short = sample(), sample()
    bad.cells[4].source = "raise RuntimeError('out of stain')"
    del short.cells[5:7]  # the figure
    put("02_bad", bad)
    put("01_sample", short)
    done = call("run", "-p", "share", "0.5", "2", "01_sample", "-p", "label=3+", "--out", "out")
    assert done.exit_code == 1
    assert 'failed in cell 5 under "Count the stained cells": RuntimeError: out of stain' in done.stderr
    assert "her2kit: 1 of 2 runs failed: 02_bad" in done.stderr
    assert "01_sample: done  out/01_sample/01_sample.html" in done.stdout
    results = json.loads((workplace / "out/01_sample/results.json").read_text())
    assert results == {"stained": 20, "share": 0.5, "label": "3+"}
    (workplace / "notebooks/expected.yaml").write_text("")
    assert call("check", "out").exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "1", "-p", "shar", "0.5"], "01_sample has no parameter 'shar'; there is: share"),
        (["run", "1", "-p", "share", "-1x"], "parameter share takes float, not '-1x'"),
        (["run", "1", "-p", "share"], "-p share lacks its value; write -p NAME VALUE"),
        (["run", "1", "-p", "out_dir", "x"], "out_dir is set by the run itself; use --out"),
        (["run", "7"], "no notebook '7'; there is: 01_sample"),
        (["run", "--tier", "huge"], "unknown tier 'huge'"),
        (["run", "--workers", "0"], "workers is 0; use 1 or more"),
        (
            ["run", "--sweep", "none.yaml"],
            "none.yaml cannot be read: No such file or directory; check the path",
        ),
        (["render", "7"], "no notebook '7'"),
        (["check", "nowhere"], "no run in nowhere; call her2kit run --out nowhere first"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(put, workplace, words, said):
    put()
    (workplace / "notebooks/expected.yaml").write_text("")
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (workplace / "reports").exists()


@pytest.mark.parametrize("out", ["taken", "taken/runs"])
def test_a_file_in_the_place_of_the_folder_is_one_line_and_nothing_runs(put, workplace, out):
    put()
    (workplace / "taken").write_text("years of work")
    (workplace / "notebooks/expected.yaml").write_text("01_sample: {stained: 10}\n")
    for command in ("run", "check"):
        done = call(command, "--out", out)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"her2kit: cannot write to {workplace}/{out}: ")
        assert done.stderr.endswith("a file is where a folder should be: give another --out\n")
        assert done.stderr.count("\n") == 1
    assert (workplace / "taken").read_text() == "years of work"


def test_check_runs_what_is_named_and_resumes(put, sample, workplace):
    short = sample()
    del short.cells[5:7]  # the figure
    put("01_short", short)
    put("02_other")
    (workplace / "notebooks/expected.yaml").write_text("01_short: {stained: 10}\n")
    first = call("check", "--only", "1")
    assert first.exit_code == 0, first.output
    assert "[1/1] 01_short: done in" in first.stderr
    assert first.stdout.splitlines()[-1].split() == ["01_short", "2", "more", "nothing", "not", "judged"]
    again = call("check", "--only", "01_short", "--resume", "--every")
    assert again.exit_code == 0, again.output
    assert "[1/1] 01_short: done before" in again.stderr
    assert ["01_short", "label", "nothing", "2+", "not", "judged"] in [
        line.split() for line in again.stdout.splitlines()
    ]
    assert "\x1b" not in again.stdout


def test_runs_of_other_sizes_are_not_judged_which_is_not_green(put, sample, workplace):
    short = sample()
    del short.cells[5:7]  # the figure
    put("01_short", short)
    (workplace / "notebooks/expected.yaml").write_text("01_short: {stained: 10}\n")
    assert call("run", "1", "-p", "share", "0.5").exit_code == 0
    judged = call("check", "reports/runs")
    assert judged.exit_code == 1
    assert "nothing was judged: expected.yaml holds for notebooks at their default" in judged.stderr


def test_render_writes_outputs_into_the_notebook(put, workplace):
    path = put()
    done = call("render")
    assert done.exit_code == 0, done.output
    assert "[1/1] 01_sample: rendered" in done.stderr
    assert "code_sha256" in path.read_text()
