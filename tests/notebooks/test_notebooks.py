"""Every notebook: its anatomy, its lesson, its solutions, and a run of them in its smallest size."""

import shutil
from pathlib import Path

import nbformat
import pytest

from her2kit.course import solutions
from her2kit.course.anatomy import findings
from her2kit.course.lesson import lesson_findings
from her2kit.course.notebooks import all_notebooks, cell_name, read_notebook, tagged, tags_of
from her2kit.course.parameters import check_parameters, read_parameters
from her2kit.course.plan import plan_runs, tier_values
from her2kit.course.processes import cores
from her2kit.course.regression import Bounds, flatten, read_expected
from her2kit.course.runner import run_notebooks
from her2kit.course.verdict import shown_kind
from her2kit.course.yaml_file import read_yaml
from her2kit.errors import Her2Error

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = all_notebooks(FOLDER)
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.stem for p in NOTEBOOKS])


@each
def test_anatomy_and_outputs(path):
    assert findings(path) == []


@each
def test_it_is_a_lesson_and_its_exercises_are_open(path):
    assert lesson_findings(path) == []


@each
def test_its_solutions_fit_and_were_not_run(path):
    assert solutions.findings(path) == []


def test_no_solutions_are_left_of_a_notebook_that_is_gone():
    assert {p.name for p in (FOLDER / "solutions").iterdir()} <= {p.name for p in NOTEBOOKS}


@each
@pytest.mark.parametrize("tier", ["smoke", "full"])
def test_tiers_hold_the_notebooks_own_parameters(path, tier):
    table = read_yaml(FOLDER / f"params/{tier}.yaml") or {}
    assert path.stem in table, (
        f"params/{tier}.yaml has no entry {path.stem}; write {path.stem}: {{}} for none"
    )
    known = read_parameters(read_notebook(path), where=path.stem)
    check_parameters(known, tier_values(path, tier), where=f"{path.stem}, params/{tier}.yaml")


def test_the_tables_name_no_notebook_that_is_gone():
    names = {p.stem for p in NOTEBOOKS}
    for table in ("params/smoke.yaml", "params/full.yaml", "expected.yaml"):
        assert set(read_yaml(FOLDER / table) or {}) <= names, table


@each
def test_something_is_expected_of_it(path):
    expected = read_expected(FOLDER / "expected.yaml").get(path.stem, {})
    assert expected, f"expected.yaml expects nothing of {path.stem}"
    assert any(not isinstance(value, Bounds) for value in expected.values())


@pytest.fixture(scope="session")
def smoke(request, tmp_path_factory):
    """Return the outcome of each notebook that tests ask for, solved, at smoke tier, several at a time."""
    asking = [item for item in request.session.items if "smoke" in getattr(item, "fixturenames", ())]
    folder = tmp_path_factory.mktemp("course") / "notebooks"
    shutil.copytree(FOLDER / "params", folder / "params")
    for path in sorted({item.callspec.params["path"] for item in asking}):
        try:
            nbformat.write(solutions.solved(path), folder / path.name)
        except Her2Error:  # has a test of its own; what else the notebook does is still of interest
            shutil.copy(path, folder)
    runs = plan_runs(all_notebooks(folder), out=folder.parent / "runs", tier="smoke")
    outcomes = run_notebooks(runs, workers=max(1, min(len(runs), cores() // 2)))
    return {FOLDER / outcome.run.notebook.name: outcome for outcome in outcomes}


@pytest.mark.slow
@each
@pytest.mark.timeout(1800)
def test_it_runs_in_its_smallest_size(smoke, path):
    outcome = smoke[path]
    assert outcome.failure is None, "\n".join(map(str, outcome.failure.values()))
    assert outcome.results, "it wrote no results.json into out_dir"
    expected = read_expected(FOLDER / "expected.yaml").get(path.stem, {})
    flat = flatten(outcome.results)
    assert set(expected) <= set(flat), "expected.yaml names a metric that results.json lacks"


@pytest.mark.slow
@each
@pytest.mark.timeout(1800)
def test_each_prediction_is_asked_before_it_is_told_and_could_be_right(smoke, path):
    executed = read_notebook(smoke[path].run.folder / path.name)
    told = [c for c in executed.cells if c.cell_type == "code" and "predicted.tell(" in c.source]
    assert told
    for cell in told:
        words = "\n".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
        assert words.count("Your prediction is open") == cell.source.count("predicted.tell("), words
        assert "not on offer" not in words
        assert "is no number" not in words


@pytest.mark.slow
@each
@pytest.mark.timeout(1800)
def test_each_solution_is_right(smoke, path):
    executed = read_notebook(smoke[path].run.folder / path.name)
    executed.cells = [c for c in executed.cells if "injected-parameters" not in tags_of(c)]
    said = {cell_name(executed, i): shown_kind(executed.cells[i]) for i in tagged(executed, "exercise")}
    assert said
    assert set(said.values()) == {"right"}, said
