"""The course's benchmarks: seeds are run once and tabulated, and offline is offline."""

import json
import sys

import nbformat
import pytest

from benchmarks.course_seeds import possible, run_seeds, seeds_of, tabulate
from benchmarks.offline import probe, run_offline

SOURCE = """from her2kit.course.results import write_results
write_results(out_dir, {"f1": 0.99 - 0.01 * seed, "n": 3, "word": "2+", "of": {"gap": 0.2 * seed - 0.3}})"""


@pytest.fixture
def notebook(tmp_path):
    """Return a notebook whose figures are known for each seed."""
    (tmp_path / "notebooks/params").mkdir(parents=True)
    cells = [
        nbformat.v4.new_code_cell("seed = 2\nout_dir = 'x'", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(SOURCE, metadata={"tags": ["results"]}),
    ]
    path = tmp_path / "notebooks/01_known.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_seeds_run_once_and_are_tabulated(notebook, tmp_path, capsys):
    keep = tmp_path / "keep"
    run_seeds(notebook, 2, keep=keep)
    assert sorted(path.name for path in (keep / "01_known").iterdir()) == ["0.json", "2.json"]
    run_seeds(notebook, 2, keep=keep)
    assert capsys.readouterr().out.count("done") == 2
    table = tabulate([notebook], keep=keep).set_index("metric")
    assert list(table.index) == ["f1", "n", "of.gap"]
    row = table.loc["f1"]
    assert (row["seeds"], row["own"], row["mean"], row["old"]) == (2, 0.97, pytest.approx(0.98), 0)
    assert row["sd"] == pytest.approx(0.0002**0.5)
    assert row["low"] == pytest.approx(0.98 - 3 * 0.0002**0.5)
    assert row["high"] == 1.0
    assert tuple(table.loc["n", ["low", "high"]]) == (3, 3)
    assert tuple(table.loc["of.gap", ["low", "high"]]) == pytest.approx((-0.9485, 0.7485), abs=1e-4)
    kept = json.loads((keep / "01_known/2.json").read_text())
    assert (kept["seed"], kept["results"]["word"], kept["failure"]) == (2, "2+", None)
    changed = nbformat.read(notebook, 4)
    changed.cells[1].source += "\nprint(1)"
    nbformat.write(changed, notebook)
    assert set(tabulate([notebook], keep=keep)["old"]) == {2}


def test_the_own_seed_comes_first_and_a_notebook_without_one_is_named(notebook):
    assert seeds_of(notebook, 4) == [2, 0, 1, 3]
    assert seeds_of(notebook, 1) == [2]
    seedless = nbformat.read(notebook, 4)
    seedless.cells[0].source = "n = 1"
    nbformat.write(seedless, notebook)
    with pytest.raises(SystemExit, match="01_known has no parameter 'seed'"):
        seeds_of(notebook, 2)


@pytest.mark.parametrize(
    ("metric", "values", "bounds"),
    [
        ("f1.tumour", [0.2, 0.9], (0, 1)),
        ("slide_gap", [-0.2, 0.3], (-1, 1)),
        ("site_gap.raw", [5.0, 26.0], (0, float("inf"))),
        ("percent.3+", [5.0, 9.0], (0, 100)),
        ("log_odds", [-3.0, 9.0], (float("-inf"), float("inf"))),
    ],
)
def test_a_bound_is_clipped_to_what_is_possible(metric, values, bounds):
    assert possible(metric, values) == bounds


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are blocked by a POSIX start-up")
def test_offline_is_offline_and_what_was_tried_is_told():
    ways = probe()
    assert all(ways[way] for way in ("address", "name", "page"))
    code = "import urllib.request, contextlib\nwith contextlib.suppress(OSError):\n"
    ended = run_offline([sys.executable, "-c", f"{code}    urllib.request.urlopen('http://example.org')"])
    assert (ended.status, ended.tried) == (0, ["example.org"])
    quiet = run_offline([sys.executable, "-c", "print('done')"])
    assert (quiet.status, quiet.said, quiet.tried) == (0, "done\n", [])
