"""What notebooks run on is made once, and another wish makes another folder."""

import pytest

from her2kit.course import data
from her2kit.course.data import phantom_cohort, small_dataset
from her2kit.learning.datasets.door import load


def test_a_cohort_is_made_once_and_another_wish_is_another_cohort(tmp_path):
    wish = {"slides": 2, "size_px": 256, "sites": 2, "folder": tmp_path}
    first = phantom_cohort(**wish)
    assert len(first) == 2
    assert first["site"].nunique() == 2
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tif")}
    again = phantom_cohort(**wish)
    assert again.equals(first)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tif")} == made
    other = phantom_cohort(**wish, cases=["3+"])
    assert set(other["label"]) == {"3+"}
    assert len(list(tmp_path.rglob("manifest.csv"))) == 2


def test_phantoms_of_older_code_are_not_used_again(tmp_path, monkeypatch):
    wish = {"slides": 1, "size_px": 256, "sites": 1, "folder": tmp_path}
    phantom_cohort(**wish)
    monkeypatch.setattr(data, "_phantom_mark", lambda: "00000000")
    phantom_cohort(**wish)
    assert len(list(tmp_path.rglob("manifest.csv"))) == 2


def test_a_small_dataset_is_read_by_its_loader(tmp_path):
    for variant in ("slide-split", "patch-split"):
        folder = small_dataset("her2_ihc_40x", folder=tmp_path, variant=variant)
        assert small_dataset("her2_ihc_40x", folder=tmp_path, variant=variant) == folder
        assert set(load("her2-ihc-40x", folder).table["variant"]) == {variant}
    with pytest.raises(AttributeError, match="write_nothing"):
        small_dataset("nothing", folder=tmp_path)
