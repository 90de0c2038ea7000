"""Splits: whole units, the sizes that were asked for, and the same for any order of the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import ManifestError
from her2kit.learning.leakage import check_split
from her2kit.learning.split_table import balance, read_split, write_split
from her2kit.learning.splits import EIGHT_ONE_ONE, MIHIC_PARTS, folds, nested, split

MORE = settings(deadline=None, max_examples=30)
THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


def tiles_of(slides: int, *, per_slide: int = 3, classes: int = 4, seed: int = 0) -> pd.DataFrame:
    """Return a table of tiles: each slide has one label, each patient two slides."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), per_slide)
    label = rng.integers(0, classes, slides)[slide]
    return pd.DataFrame(
        {
            "path": [f"s{s:03d}.tif" for s in slide],
            "tile_id": [f"t{i % per_slide}" for i in range(len(slide))],
            "slide_id": [f"s{s:03d}" for s in slide],
            "patient_id": [f"p{s // 2:03d}" for s in slide],
            "label": [f"{k}+" for k in label],
        }
    )


def units(table: pd.DataFrame, parts: pd.Series, unit: str = "slide_id") -> pd.Series:
    """Return unit to part, after checking that each unit has one."""
    held = table.assign(split=parts).groupby(unit)["split"]
    assert (held.nunique() == 1).all()
    return held.first()


@MORE
@given(
    slides=st.integers(30, 120),
    classes=st.integers(1, 6),
    seed=st.integers(0, 9),
    parts=st.sampled_from([EIGHT_ONE_ONE, MIHIC_PARTS, THIRDS, {"train": 0.75, "test": 0.25}]),
    unit=st.sampled_from(["slide_id", "patient_id", "row"]),
)
def test_parts_have_their_sizes_and_units_stay_whole(slides, classes, seed, parts, unit):
    table = tiles_of(slides, classes=classes, seed=seed)
    found = split(table, unit=unit, parts=parts, seed=seed)
    names = table["path"] + table["tile_id"] if unit == "row" else table[unit]
    held = units(table.assign(name=names), found, "name")
    for name, share in parts.items():
        assert abs((held == name).sum() - share * len(held)) < 1
    rarest = table.groupby(names)["label"].agg(lambda labels: ",".join(sorted(set(labels))))
    if unit != "patient_id":  # a patient's two slides may differ in their label
        for label, here in held.groupby(rarest):
            for name, share in parts.items():
                assert abs((here == name).sum() - share * len(here)) < 2, label


@MORE
@given(slides=st.integers(12, 60), seed=st.integers(0, 99), data=st.data())
def test_the_order_of_rows_and_further_rows_of_a_unit_move_nothing(slides, seed, data):
    table = tiles_of(slides, seed=seed)
    before = split(table, seed=seed)
    order = data.draw(st.permutations(range(len(table))))
    shuffled = table.iloc[order]
    pd.testing.assert_series_equal(split(shuffled, seed=seed).sort_index(), before)
    more = pd.concat([table, shuffled.head(20).assign(tile_id="new")], ignore_index=True)
    pd.testing.assert_series_equal(split(more, seed=seed).head(len(table)), before)


@MORE
@given(slides=st.integers(12, 60), added=st.integers(1, 12), seed=st.integers(0, 99))
def test_with_an_earlier_split_no_old_unit_moves_and_new_ones_fill_up(slides, added, seed):
    table = tiles_of(slides + added, seed=seed, classes=2)
    old = table["slide_id"] < f"s{slides:03d}"
    earlier = units(table[old], split(table[old], seed=seed))
    later = units(table, split(table, seed=seed, keep=earlier))
    pd.testing.assert_series_equal(later[earlier.index], earlier)
    for name, share in EIGHT_ONE_ONE.items():
        assert abs((later == name).sum() - share * len(later)) < 2


@MORE
@given(slides=st.integers(20, 80), seed=st.integers(0, 99))
def test_without_it_a_new_unit_moves_at_most_one_a_border(slides, seed):
    table = tiles_of(slides + 1, seed=seed)
    old = table["slide_id"] < f"s{slides:03d}"
    earlier, later = (units(t, split(t, seed=seed, stratify=None)) for t in (table[old], table))
    assert (later[earlier.index] != earlier).sum() <= len(EIGHT_ONE_ONE) - 1


def test_a_known_split_stays_what_it_was():
    """A change of the hash or of the dealing would move everybody's slides: it must not come unnoticed."""
    held = units(tiles_of(20), split(tiles_of(20), seed=7, stratify=None))
    moved = held[held != "train"].to_dict()
    assert moved == {"s004": "test", "s007": "val", "s010": "test", "s014": "val"}


def test_another_seed_deals_anew():
    table = tiles_of(60)
    found = {tuple(split(table, seed=seed)) for seed in range(5)}
    assert len(found) == 5


def test_over_many_seeds_each_unit_is_tested_as_often():
    """The dealing favours no slide: each is in the test part in a fifth of the seeds."""
    table = tiles_of(30, per_slide=1)
    tested = np.mean([split(table, parts=MIHIC_PARTS, seed=s) == "test" for s in range(300)], axis=0)
    assert abs(tested.mean() - 0.2) < 1e-9
    assert np.abs(tested - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 300)


def test_a_unit_with_several_labels_counts_for_its_rarest():
    """Necrosis lies on 10 of 100 slides, beside tumour: each part must get its share of these slides."""
    table = pd.DataFrame({"slide_id": [f"s{i:03d}" for i in range(100)] * 2, "label": "tumour"})
    table.loc[100:109, "label"] = "necrosis"
    held = balance(table, split(table, parts={"train": 0.5, "val": 0.2, "test": 0.3}))
    assert held["units"]["necrosis"].to_dict() == {"train": 5, "val": 2, "test": 3}
    assert held["rows"].to_numpy().sum() == 200


def test_two_columns_are_stratified_together():
    table = tiles_of(120, per_slide=1, classes=2).assign(site=lambda t: np.tile(["x", "y", "z"], 40))
    found = split(table, stratify=["label", "site"])
    for _, rows in table.assign(split=found).groupby(["label", "site"]):
        assert abs((rows["split"] == "test").mean() - 0.1) < 2 / len(rows)


def test_folds_cover_all_and_are_as_balanced_as_scikit_learns():
    """Gold standard: StratifiedGroupKFold on the same slides, measured by the worst class share of a fold."""
    from sklearn.model_selection import PredefinedSplit, StratifiedGroupKFold

    table = tiles_of(80, per_slide=5)
    ours = folds(table, k=5, seed=3)
    table = table.assign(split=ours)
    check_split(table.drop(columns="patient_id"))
    theirs = np.empty(len(table), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    for k, (_, test) in enumerate(splitter.split(table, table["label"], table["slide_id"])):
        theirs[test] = k
    whole = table["label"].value_counts(normalize=True)

    def worst(fold):
        found = table.groupby(np.asarray(fold))["label"].value_counts(normalize=True).unstack(fill_value=0)
        return (found - whole).abs().to_numpy().max()

    assert worst(ours) <= worst(theirs) + 0.02
    pairs = list(PredefinedSplit(ours).split())
    assert len(pairs) == 5
    assert sorted(np.concatenate([test for _, test in pairs])) == list(range(len(table)))


def test_nested_folds_never_choose_on_what_is_tested():
    table = tiles_of(40)
    tested = np.zeros(len(table), int)
    for i, j, parts in nested(table, outer=4, inner=3, unit="patient_id", seed=1):
        check_split(table.assign(split=parts))
        assert set(parts) == {"train", "val", "test"}
        tested[(parts == "test") & (j == 0)] += 1
        assert abs((parts == "val").sum() / (parts != "test").sum() - 1 / 3) < 0.1, (i, j)
    assert (tested == 1).all()


def test_a_split_comes_back_from_its_file(tmp_path):
    table = tiles_of(24)
    parts = split(table, seed=5)
    written = write_split(tmp_path / "out/split.csv", table, parts)
    assert written["rows"].sum() == len(table)
    assert (tmp_path / "out/split.csv").read_text().splitlines()[0] == "slide_id,split,rows"
    kept = read_split(tmp_path / "out/split.csv")
    pd.testing.assert_series_equal(split(table, seed=99, keep=kept), parts)


def test_names_that_look_like_numbers_or_nothing_survive_the_file(tmp_path):
    table = pd.DataFrame({"slide_id": ["001", "1", "NA", "nan", "a,b", 'q"'] * 3, "label": "x"})
    parts = split(table, parts=THIRDS)
    write_split(tmp_path / "split.csv", table, parts)
    assert set(read_split(tmp_path / "split.csv")) == {"001", "1", "NA", "nan", "a,b", 'q"'}


def test_rows_stay_where_they_are_when_their_folder_moves():
    table = tiles_of(20)
    moved = table.assign(path="elsewhere/" + table["path"])
    pd.testing.assert_series_equal(split(moved, unit="row"), split(table, unit="row"))
    files = table.drop(columns=["slide_id", "tile_id"]).assign(path=[f"a/{i}.png" for i in range(60)])
    moved = files.assign(path="C:\\data\\" + files["path"].str.replace("/", "\\"))
    pd.testing.assert_series_equal(split(moved, unit="row"), split(files, unit="row"))


def test_rows_of_one_file_name_are_not_mixed_up():
    paths = [f"site_{k}/class_0/{i}.png" for k in range(3) for i in range(40)]
    parts = split(pd.DataFrame({"path": paths, "label": "0"}), unit="row")
    assert parts.value_counts().to_dict() == {"train": 96, "val": 12, "test": 12}
    assert (parts.to_numpy().reshape(3, 40) != parts.to_numpy()[:40]).any()


def test_the_index_is_kept():
    table = tiles_of(20).set_index(np.arange(100, 160))
    assert split(table).index.equals(table.index)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parts": {"train": 0.8, "test": 0.1}}, "add up to 0.9"),
        ({"parts": {"train": 1.2, "test": -0.2}}, "a share above 0"),
        ({"parts": {}}, "a share above 0"),
        ({"parts": {"train": 0.999, "test": 0.001}}, "'test' gets none of 20 units"),
        ({"keep": {"s001": "exam"}}, "keep puts 's001' into 'exam'"),
    ],
)
def test_wrong_arguments(change, words):
    with pytest.raises(ValueError, match=words):
        split(tiles_of(20), **change)


@pytest.mark.parametrize("k", [1, 21])
def test_too_few_or_too_many_folds(k):
    with pytest.raises(ValueError, match=f"k={k} with 20 units"):
        folds(tiles_of(20), k=k)


def test_wrong_tables():
    table = tiles_of(20)
    with pytest.raises(ManifestError, match="no column block"):
        split(table, unit="block")
    with pytest.raises(ManifestError, match="no column grade"):
        split(table, stratify="grade")
    with pytest.raises(ManifestError, match="no rows"):
        split(table.head(0))
    table.loc[[4, 9], "patient_id"] = [None, ""]
    with pytest.raises(ManifestError, match="patient_id is empty in 2 rows, first in row 4"):
        split(table, unit="patient_id")


def test_wrong_split_files(tmp_path):
    path = tmp_path / "split.csv"
    with pytest.raises(ManifestError, match="is no split"):
        read_split(path)
    path.write_text("slide_id;split\ns1;train\n")
    with pytest.raises(ManifestError, match="second must be split"):
        read_split(path)
    path.write_text("slide_id,split\ns1,train\ns1,test\n")
    with pytest.raises(ManifestError, match="'s1' stands there twice"):
        read_split(path)
    table = tiles_of(20)
    with pytest.raises(ManifestError, match="'p000' has rows in two parts"):
        write_split(path, table, pd.Series(np.tile(["train", "test"], 30)), unit="patient_id")
