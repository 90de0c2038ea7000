"""results.json: numpy's numbers become plain ones, what is no result is refused with its place."""

import json

import numpy as np
import pytest

from her2kit.course.results import write_results


def test_plain_numbers_come_back(tmp_path):
    given = {
        "n": np.int64(3),
        "x": np.float32(0.5),
        "yes": np.bool_(True),
        "no": False,
        "word": "2+",
        "none": None,
    }
    nested = {"list": (1, np.uint8(2)), "nested": {"3+": np.float64(1.5)}}
    write_results(tmp_path / "new/folder", given | nested)
    got = json.loads((tmp_path / "new/folder/results.json").read_text())
    assert got == {
        **{"n": 3, "x": 0.5, "yes": True, "no": False, "word": "2+", "none": None},
        **{"list": [1, 2], "nested": {"3+": 1.5}},
    }


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({}, "results is empty"),
        ({"a": {"b": float("nan")}}, r"results\['a'\]\['b'\] is nan; write None"),
        ({"a": [1, object()]}, r"results\['a'\]\[1\] is a object"),
        ({1: 2}, "has the key 1; use text"),
        ({"a": np.zeros(3)}, r"results\['a'\] is a ndarray"),
    ],
)
def test_what_is_no_result_is_refused_and_nothing_written(tmp_path, results, words):
    with pytest.raises(ValueError, match=words):
        write_results(tmp_path, results)
    assert list(tmp_path.iterdir()) == []
