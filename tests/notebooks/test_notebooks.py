"""Every notebook: its anatomy, its place in the tables beside it, and a run in its smallest size."""

from pathlib import Path

import pytest

from her2kit.course.anatomy import findings
from her2kit.course.notebooks import all_notebooks, read_notebook
from her2kit.course.parameters import check_parameters, read_parameters
from her2kit.course.plan import plan_runs, tier_values
from her2kit.course.processes import cores
from her2kit.course.regression import Bounds, flatten, read_expected
from her2kit.course.runner import run_notebooks
from her2kit.course.yaml_file import read_yaml

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = all_notebooks(FOLDER)
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.stem for p in NOTEBOOKS])


@each
def test_anatomy_and_outputs(path):
    assert findings(path) == []


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
    """Return the outcome of each notebook that tests ask for, at smoke tier, several at a time."""
    asking = [item for item in request.session.items if "smoke" in getattr(item, "fixturenames", ())]
    wanted = {item.callspec.params["path"] for item in asking}
    runs = plan_runs(sorted(wanted), out=tmp_path_factory.mktemp("runs"), tier="smoke")
    return {o.run.notebook: o for o in run_notebooks(runs, workers=max(1, min(len(runs), cores() // 2)))}


@each
@pytest.mark.timeout(1800)
def test_it_runs_in_its_smallest_size(smoke, path):
    outcome = smoke[path]
    assert outcome.failure is None, "\n".join(map(str, outcome.failure.values()))
    assert outcome.results, "it wrote no results.json into out_dir"
    expected = read_expected(FOLDER / "expected.yaml").get(path.stem, {})
    flat = flatten(outcome.results)
    assert set(expected) <= set(flat), "expected.yaml names a metric that results.json lacks"
