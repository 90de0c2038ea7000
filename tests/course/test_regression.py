"""What notebooks found against what is expected: exact, within bounds, and never silently green."""

import json

import pytest

from her2kit.course.regression import (
    GOOD,
    NOT_JUDGED,
    RED,
    Bounds,
    compare_runs,
    flatten,
    read_expected,
    run_folders,
)
from her2kit.errors import Her2Error


@pytest.fixture
def run_of(tmp_path):
    """Return a function that writes the folder of a finished run."""

    def write(results, *, notebook="10_score", status="done", parameters=None):
        folder = tmp_path / "runs" / notebook
        folder.mkdir(parents=True)
        record = {"notebook": notebook, "status": status, "seconds": 1.0, "parameters": parameters or {}}
        (folder / "run.json").write_text(json.dumps(record | {"failure": None}))
        (folder / "results.json").write_text(json.dumps(results))
        return folder

    return write


def verdicts(folder, expected):
    return {v.metric: v.verdict for v in compare_runs([folder], {"10_score": expected})}


def test_counts_are_exact_and_metrics_within_bounds(run_of):
    folder = run_of({"n": 3, "score": "2+", "percent": {"3+": 9.5, "2+": 20.0}, "flag": True, "extra": 1})
    bounds = Bounds(9.0, 9.5, "seeds")
    assert verdicts(folder, {"n": 3, "score": "2+", "percent.3+": bounds, "flag": True}) == {
        **dict.fromkeys(["n", "score", "percent.3+", "flag"], GOOD),
        **dict.fromkeys(["percent.2+", "extra"], NOT_JUDGED),
    }
    wrong = {"n": 4, "score": "3+", "percent.3+": Bounds(9.6, 10, "seeds"), "flag": 1, "gone": 0}
    got = verdicts(folder, wrong)
    assert {metric: got[metric] for metric in wrong} == dict.fromkeys(wrong, RED)
    assert verdicts(folder, {"score": Bounds(0, 9, "seeds"), "flag": Bounds(0, 1, "seeds")})["flag"] == RED


def test_a_run_that_cannot_be_judged_is_red_or_named(run_of, tmp_path):
    failed = run_of({}, notebook="01_a", status="failed")
    unknown = run_of({"n": 1}, notebook="02_b")
    varied = run_of({"n": 1}, notebook="03_c", parameters={"seed": 4})
    empty = tmp_path / "runs/04_d"
    empty.mkdir()
    (empty / "run.json").write_text("{")
    assert run_folders(tmp_path / "runs") == [failed, unknown, varied, empty]
    got = compare_runs(run_folders(tmp_path / "runs"), {"03_c": {"n": 2}})
    assert [(v.metric, v.verdict) for v in got] == [
        ("run", RED), ("expected.yaml", RED), ("parameters", NOT_JUDGED), ("run.json", RED),
    ]  # fmt: skip
    assert (got[2].expected, got[2].got) == ("defaults", "seed=4")


def test_a_folder_without_runs_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"no run in .*; call her2kit run --out"):
        run_folders(tmp_path)


def test_expected_is_read(tmp_path):
    path = tmp_path / "expected.yaml"
    path.write_text("10_score:\n  n: 3\n  score: '2+'\n  h: {between: [1, 2.5], why: seeds}\n")
    assert read_expected(path) == {"10_score": {"n": 3, "score": "2+", "h": Bounds(1.0, 2.5, "seeds")}}
    path.write_text("# nothing yet\n")
    assert read_expected(path) == {}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("0.5", "10_score, h: 0.5 is not a count; write"),
        ("{between: [1, 2]}", "write {between"),
        ("{between: [1, 2], why: ''}", "a bound needs a reason"),
        ("{between: [2, 1], why: seeds}", "is empty; write the lower bound first"),
        ("{between: [a, 1], why: seeds}", "could not convert"),
    ],
)
def test_an_entry_that_cannot_be_judged_is_named(tmp_path, entry, words):
    path = tmp_path / "expected.yaml"
    path.write_text(f"10_score:\n  h: {entry}\n")
    with pytest.raises(Her2Error, match=r"expected\.yaml") as error:
        read_expected(path)
    assert words in str(error.value)


def test_flatten_joins_names():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}
