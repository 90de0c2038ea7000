"""Notebooks on the workers of a running cluster: done once, resumed, taken up again when a worker dies."""

import subprocess
import sys

import pytest

from her2kit.course.run_log import read_log

# The kernel's parent runs the notebook; that one's parent is the worker.
KILL = """import os, psutil
from pathlib import Path
if share == 0.25 and not Path("MARK").exists():
    Path("MARK").touch()
    psutil.Process().parent().parent().kill()
    raise SystemExit
stained = round(n_cells * share)"""


@pytest.fixture(scope="module")
def scheduler(environment_kept):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        yield cluster.scheduler_address


def call(*words):
    command = [sys.executable, "-c", "from her2kit.cli import main; main()", "run", "1", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=550)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a process that can be killed")
def test_a_sweep_on_a_cluster_survives_a_dead_worker_and_is_resumed(scheduler, put, sample, workplace):
    notebook = sample()
    del notebook.cells[5:7]  # the figure
    for cell in notebook.cells:
        if cell.source.startswith("stained ="):
            cell.source = KILL.replace("MARK", str(workplace / "died"))
    put("01_short", notebook)
    (workplace / "sweep.yaml").write_text("share: [0.25, 0.5]\n")
    words = ("--sweep", "sweep.yaml", "--scheduler", scheduler, "--out", "out")
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert (workplace / "died").exists()
    assert "[2/2] 01_short" in done.stderr
    events = [(row["event"], row["run"]) for row in read_log(workplace / "out")]
    names = ["01_short [share=0.25]", "01_short [share=0.5]"]
    assert [events.count(("done", name)) for name in names] == [1, 1]
    assert events.count(("started", names[0])) == 2
    assert not list((workplace / "out").glob(".her2kit-*"))

    again = call(*words, "--resume")
    assert again.returncode == 0, again.stderr
    assert [row["event"] for row in read_log(workplace / "out")][len(events) :] == ["kept", "kept"]


def test_here_and_there_at_once_and_nobody_there_are_wrong_calls(put, workplace):
    put("01_short")
    both = call("--workers", "2", "--scheduler", "tcp://a:1")
    assert both.returncode == 2
    assert "leave one out" in both.stderr
    nobody = call("--scheduler", "tcp://127.0.0.1:9")
    assert nobody.returncode == 2
    assert nobody.stderr.startswith("her2kit: --scheduler tcp://127.0.0.1:9: no Dask scheduler answers there")
    assert len(nobody.stderr.splitlines()) == 1
    assert not (workplace / "reports/runs/01_short/run.json").exists()
