"""Leakage: every planted leak is named with its rows, and a clean split passes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import LeakageError, ManifestError
from her2kit.learning.leakage import CHECKED, LEAKS, check_split, find_leaks
from her2kit.learning.near_duplicates import hash_pictures
from her2kit.learning.splits import folds, split


def tiles_of(slides: int = 20, per_slide: int = 4) -> pd.DataFrame:
    slide = np.repeat(np.arange(slides), per_slide)
    return pd.DataFrame(
        {
            "path": [f"tiles/{i:04d}.png" for i in range(len(slide))],
            "slide_id": [f"s{s:02d}" for s in slide],
            "patient_id": [f"p{s // 2:02d}" for s in slide],
            "label": np.array(["0", "3+"])[slide // 2 % 2],
        }
    )


@settings(deadline=None, max_examples=40)
@given(slides=st.integers(12, 60), per_slide=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_split_by_patient_leaks_nothing(slides, per_slide, seed):
    table = tiles_of(slides, per_slide)
    table["split"] = folds(table, k=3, unit="patient_id", seed=seed)
    checked = check_split(table)
    assert list(checked.columns) == list(CHECKED)
    assert (checked["leaks"] == 0).all()
    assert checked.set_index("check")["units"].to_dict() == {
        "picture": len(table),
        "slide_id": slides,
        "patient_id": -(-slides // 2),
        "copy": 0,
    }


def test_a_split_by_slide_leaks_the_patients_of_two_slides():
    table = tiles_of()
    table["split"] = split(table, unit="slide_id", parts={"train": 0.5, "test": 0.5}, seed=1)
    leaks = find_leaks(table)
    assert set(leaks["kind"]) == {"patient_id"}
    both = table.groupby("patient_id")["split"].nunique() > 1
    assert set(leaks["name"]) == set(both[both].index)
    with pytest.raises(LeakageError, match=r"split\(table, unit='patient_id'\)"):
        check_split(table)


def test_a_split_by_row_leaks_slides_and_every_named_row_is_one():
    table = tiles_of()
    table["split"] = split(table, unit="row", seed=0)
    leaks = find_leaks(table)
    assert list(leaks.columns) == list(LEAKS)
    parts = table.groupby("slide_id")["split"].nunique()
    assert (leaks["kind"] == "slide_id").sum() == (parts - 1).sum()
    for leak in leaks.itertuples():
        for row, part in ((leak.row, leak.part), (leak.other_row, leak.other_part)):
            assert table.loc[row, leak.kind] == leak.name
            assert table.loc[row, "split"] == part
        assert leak.part != leak.other_part


def test_one_planted_row_is_named_by_the_index_in_one_line():
    table = tiles_of().assign(patient_id=None).set_index(np.arange(1000, 1080))
    table["split"] = ["train"] * 60 + ["test"] * 20
    table.loc[1079, "slide_id"] = "s02"
    with pytest.raises(LeakageError) as caught:
        check_split(table)
    said = str(caught.value)
    assert "slide 's02' in test (row 1079) and train (row 1008)" in said
    assert "\n" not in said
    assert len(caught.value.leaks) == 1


def test_a_picture_that_stands_in_two_parts_is_named():
    table = tiles_of().drop(columns=["slide_id", "patient_id"]).assign(split=["train"] * 40 + ["test"] * 40)
    assert (find_leaks(table)["kind"] == "picture").sum() == 0
    table.loc[70, "path"] = "tiles/0003.png"
    with pytest.raises(
        LeakageError, match=r"picture 'tiles/0003.png' in test \(row 70\) and train \(row 3\)"
    ):
        check_split(table)


def test_places_of_one_slide_are_different_pictures():
    table = tiles_of().assign(path=lambda t: t["slide_id"] + ".tif", tile_id=[f"t{i}" for i in range(80)])
    table["split"] = split(table, unit="row")
    assert "picture" not in set(find_leaks(table)["kind"])


def test_a_mirrored_copy_in_another_part_is_named():
    from test_near_duplicates import tissue

    pictures = tissue(80)
    pictures[77] = pictures[5][:, ::-1]
    table = tiles_of().assign(split=["train"] * 40 + ["test"] * 40)
    hashes = hash_pictures(np.ascontiguousarray(p) for p in pictures)
    check_split(table)
    with pytest.raises(LeakageError, match=r"nearly the same picture in train \(row 5\) and test \(row 77\)"):
        check_split(table, hashes=hashes)
    checked = check_split(table, hashes=hashes, turned=False)
    assert checked.set_index("check").loc["copy", "units"] == 80
    check_split(table.assign(split="train"), hashes=hashes)


def test_rows_without_a_part_are_in_none():
    table = tiles_of().assign(split=["train"] * 40 + [None] * 20 + [""] * 20)
    table.loc[75, "slide_id"] = "s01"
    check_split(table)
    assert check_split(table)["units"].tolist() == [40, 10, 5, 0]


def test_a_long_list_is_cut_short_and_kept_whole_in_the_error():
    table = tiles_of().assign(split=["train", "test"] * 40)
    with pytest.raises(LeakageError, match="and 17 more") as caught:
        check_split(table)
    assert len(caught.value.leaks) == 30  # 20 slides and 10 patients


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="split"), "no column split"),
        (lambda t: t.assign(split=None), "split is empty in every row"),
        (lambda t: t.assign(path=None, slide_id=None, patient_id=None), "names no slide, patient or picture"),
        (lambda t: t.assign(patient_id=["p"] * 79 + [""]), "patient_id is empty in row 79"),
    ],
)
def test_a_table_that_cannot_be_checked_is_refused(change, words):
    with pytest.raises(ManifestError, match=words):
        check_split(change(tiles_of().assign(split="train")))


def test_hashes_of_other_rows_are_refused():
    table = tiles_of().assign(split="train")
    with pytest.raises(ValueError, match="hashes has 3 rows, the table 80"):
        check_split(table, hashes=np.zeros((3, 4), np.uint64))
