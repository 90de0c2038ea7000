"""Sweeps: which cells are run, what is left of a sweep that was killed, what each factor changed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from her2kit.course.effects import effects_of
from her2kit.course.run_log import read_log
from her2kit.course.sweep import read_sweep
from her2kit.errors import Her2Error

MARK = "import os\nopen(f'ENDS/{share}_{seed}_{os.getpid()}', 'w').close()"


def test_a_part_of_a_grid_is_balanced_and_the_same_again(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("grid: {a: [1, 2, 3], b: [x, y], c: [true, false]}\ncells: 6\nfixed: {d: 5}\nseed: 3\n")
    sweep = read_sweep(path)
    assert len({json.dumps(case, sort_keys=True) for case in sweep.cases}) == 6
    for name, values in sweep.factors.items():
        assert Counter(str(case[name]) for case in sweep.cases) == {str(v): 6 // len(values) for v in values}
    assert all(case["d"] == 5 for case in sweep.cases)
    assert "d=" not in sweep.variant(sweep.cases[0])
    assert read_sweep(path).cases == sweep.cases
    path.write_text(path.read_text().replace("cells: 6", "cells: 12"))
    assert len({sweep.variant(case) for case in read_sweep(path).cases}) == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grid: {a: [1, 2]}\ncells: 3", "cells is 3; give 1 to 2, the number of combinations"),
        ("grid: {a: [1, 2]}\nfixed: {a: 2}", "fixed must map names that are not in grid"),
        ("grid: {a: [1, 2]}\nseed: -1", "seed is -1; give 0 or a positive whole number"),
        ("grid: {a: 1}", "write 'name: .values.' for every combination"),
    ],
)
def test_a_wrong_part_of_a_grid_is_one_line(tmp_path, text, words):
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(Her2Error, match=words) as caught:
        read_sweep(tmp_path / "sweep.yaml")
    assert "\n" not in str(caught.value)


def test_effects_are_planted_and_found():
    rng = np.random.default_rng(0)
    rows = [
        {"a": a, "b": b, "r": 0.7 + 0.1 * (a == "y") - 0.2 * (a == "z") + rng.normal(0, 0.01), "c": 0}
        for a in "xyz" for b in (1, 2) for _ in range(6)
    ]  # fmt: skip
    cells = pd.DataFrame(rows).drop(index=[3, 17])  # two runs failed: the fit takes the rest
    factors = {"a": ["x", "y", "z"], "b": [1, 2], "c": [0]}
    found = effects_of(cells, factors, "r").set_index(["factor", "level"])
    assert found.loc[("a", "x"), "reference"]
    for level, planted in (("y", 0.1), ("z", -0.2)):
        row = found.loc[("a", level)]
        assert row["low"] < planted < row["high"]
        assert row["high"] - row["low"] < 0.04
    assert found.loc[("b", "2"), "low"] < 0 < found.loc[("b", "2"), "high"]
    assert found.loc["a", "n"].sum() == len(cells)
    with pytest.raises(ValueError, match="no column 'q'"):
        effects_of(cells, factors, "q")
    with pytest.raises(ValueError, match="no cell has a result 'r'"):
        effects_of(cells.assign(r=np.nan), factors, "r")


def test_a_full_grid_gives_differences_of_means_and_two_cells_no_interval():
    cells = pd.DataFrame([{"a": a, "b": b, "r": a * 2.0 + b} for a in (0, 1) for b in (0, 1, 5)])
    found = effects_of(cells, {"a": [0, 1], "b": [0, 1, 5]}, "r")
    assert found["effect"].tolist() == pytest.approx([0, 2, 0, 1, 5])
    alone = effects_of(cells.iloc[[0, 3]], {"a": [0, 1]}, "r")
    assert alone["effect"].tolist() == pytest.approx([0, 2])
    assert np.isnan(alone["low"].iloc[1])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_sweep_killed_in_the_middle_does_no_cell_twice(put, sample, workplace):
    notebook, ends = sample(), workplace / "ends"
    ends.mkdir()
    del notebook.cells[5:7]  # the figure
    for cell in notebook.cells:
        if cell.source.startswith("n_cells"):
            cell.source = cell.source.replace("label =", "seed = 0  # of nothing\nlabel =")
        if cell.source.startswith("stained ="):
            cell.source += "\n" + MARK.replace("ENDS", str(ends))
    put("01_short", notebook)
    (workplace / "sweep.yaml").write_text("share: [0.25, 0.5]\nseed: [0, 1]\n")
    call = [sys.executable, "-c", "from her2kit.cli import main; main()", "run", "1"]
    call += ["--sweep", "sweep.yaml", "--workers", "2", "--out", "out"]
    first = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: sum(row["event"] == "done" for row in read_log(workplace / "out")) >= 1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    before = read_log(workplace / "out")
    done = {row["run"] for row in before if row["event"] == "done"}
    assert 1 <= len(done) < 4

    again = subprocess.run([*call, "--resume"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    after = read_log(workplace / "out")[len(before) :]
    # a run that was whole when its parent died, before the parent could log it, is kept too
    kept = {row["run"] for row in after if row["event"] == "kept"}
    assert done <= kept
    assert not kept & {row["run"] for row in after if row["event"] == "started"}
    finished = [row["run"] for row in before + after if row["event"] == "done"]
    assert len(finished) == len(set(finished))
    assert len(kept | set(finished)) == 4
    assert all(row["result"].startswith("stained=") for row in after if row["event"] != "started")
    assert all("share" in row["parameters"] or "seed" in row["run"] for row in after)
    for run in kept:  # the notebook itself ran once
        share, seed = (part.partition("=")[2] for part in run[run.index("[") + 1 : -1].split(","))
        assert len(list(ends.glob(f"{share}_{seed}_*"))) == 1

    table = pd.read_csv(workplace / "out/runs.csv")
    assert len(table) == 4
    assert table["status"].eq("done").all()
    assert sorted(table["p.share"]) == [0.25, 0.25, 0.5, 0.5]  # the default is written out, too
    assert sorted(table["p.seed"]) == [0, 0, 1, 1]
    assert table["started"].str.match(r"\d{4}-\d\d-\d\dT").all()
    assert sorted(table["stained"]) == [10, 10, 20, 20]
    effects = pd.read_csv(workplace / "out/01_short/effects.csv")
    assert effects.query("factor == 'share'")["effect"].tolist() == pytest.approx([0, 10])
    assert (workplace / "out/01_short/effects.png").stat().st_size > 2000
    assert "01_short: effects  out/01_short/effects.png" in again.stdout


def test_a_run_killed_before_its_first_record_is_begun_again(put, sample, workplace):
    put("01_short", sample())
    (workplace / "out/01_short").mkdir(parents=True)
    (workplace / "out/01_short/.run-k1ll3d.json").write_text('{"status": ')
    call = [sys.executable, "-c", "from her2kit.cli import main; main()", "run", "1", "--out", "out"]
    again = subprocess.run([*call, "--resume"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert not list((workplace / "out/01_short").glob(".run-*"))
    (workplace / "out/01_short/run.json").unlink()
    other = subprocess.run(call, capture_output=True, text=True)
    assert other.returncode == 2
    assert "holds something that is not a run" in other.stderr


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
