"""Loaders of tiles, in the layouts of the originals: what is planted comes back, faults are named."""

import shutil
import zipfile

import numpy as np
import pytest

from her2kit.errors import DatasetError, FetchError, ManifestError
from her2kit.learning.datasets import bci, fixtures, her2_ihc_40x, mihic, own_folder
from her2kit.learning.datasets.stock import LABELS, stock
from her2kit.learning.pictures import read_picture, write_picture
from her2kit.manifest import COLUMNS


def one_line(caught, *words) -> None:
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


# HER2-IHC-40x


@pytest.mark.parametrize("variant", her2_ihc_40x.VARIANTS)
@pytest.mark.parametrize("kind", [{}, {"short_names": True}, {"zipped": True}])
def test_her2_variants_are_told_by_content_whatever_the_folders_are_called(tmp_path, variant, kind):
    folder = fixtures.write_her2_ihc_40x(tmp_path / "d", variant=variant, per_class=2, **kind)
    loaded = her2_ihc_40x.load(folder)
    table = loaded.table
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert set(table["variant"]) == {variant}
    assert table.groupby(["split", "label"]).size().tolist() == [2] * 8
    assert f"{variant} variant, told by content" in loaded.report
    crossed = (table["split"] != table["name_split"]).any()
    assert crossed == (variant == "patch-split")
    assert loaded.verify().empty
    for row in table.itertuples():
        assert f"class_{row.label}/" in row.path
        assert f"/{row.split}" in row.path
    tile = table[(table["split"] == "train") & (table["label"] == "3+")].iloc[0]
    assert any((read_picture(tile["path"]) == planted).all() for planted in stock().tiles["3+"])


def test_her2_with_the_names_of_the_archives_exchanged(tmp_path):
    made = fixtures.write_her2_ihc_40x(tmp_path / "d", variant="slide-split")
    (made / "WSI-based-dataset").rename(made / "Patch-based-dataset")
    assert set(her2_ihc_40x.load(made).table["variant"]) == {"slide-split"}


def test_her2_with_both_variants_takes_the_split_by_slide_and_says_so(tmp_path):
    for variant in her2_ihc_40x.VARIANTS:
        fixtures.write_her2_ihc_40x(tmp_path / "d" / variant, variant=variant)
    loaded = her2_ihc_40x.load(tmp_path / "d")
    assert set(loaded.table["variant"]) == {"slide-split"}
    assert "the patch-split variant lies beside it, 24 pictures" in loaded.report
    other = her2_ihc_40x.load(tmp_path / "d", variant="patch-split")
    assert set(other.table["variant"]) == {"patch-split"}
    assert not set(other.table["path"]) & set(loaded.table["path"])
    shutil.rmtree(tmp_path / "d" / "patch-split")
    with pytest.raises(DatasetError, match="holds the slide-split variant, not patch-split"):
        her2_ihc_40x.load(tmp_path / "d", variant="patch-split")
    with pytest.raises(ValueError, match="variant='wsi'; use one of slide-split"):
        her2_ihc_40x.load(tmp_path / "d", variant="wsi")


def test_her2_counts_stand_beside_the_published_ones(tmp_path):
    counts = her2_ihc_40x.load(fixtures.write_her2_ihc_40x(tmp_path / "d")).counts()
    row = counts[(counts["split"] == "train") & (counts["label"] == "2+")].iloc[0]
    assert row["found"] == 3
    assert row["seen in her2-ihc-40x-wsi.zip"] == 523
    seen, article = (source.counts for source in her2_ihc_40x.PUBLISHED["slide-split"])
    assert sum(seen.values()) == sum(article.values()) == 9940
    for label in LABELS:  # the article's parts are not the archive's, its classes are
        assert sum(n for k, n in seen.items() if k[1] == label) == sum(
            n for k, n in article.items() if k[1] == label
        )
    assert sum(her2_ihc_40x.PUBLISHED["patch-split"][0].counts.values()) == 10997


def test_her2_names_that_hold_slides(tmp_path):
    made = fixtures.write_her2_ihc_40x(tmp_path / "d")
    for k, path in enumerate(sorted(made.rglob("*.png"))):
        part = "a" if "train" in str(path) else "b"
        path.rename(path.with_name(f"{part}{k % 3}_{k:03d}.png"))
    table = her2_ihc_40x.load(made).table
    assert set(table["slide_id"]) == {f"{part}{k}" for part in "ab" for k in range(3)}
    assert set(table["variant"]) == {"slide-split"}
    for k, path in enumerate(sorted(made.rglob("*.png"))):
        path.rename(path.with_name(f"{k:03d}.png"))
    with pytest.raises(DatasetError, match="do not tell a split by slide from one by tile"):
        her2_ihc_40x.load(made)


def test_her2_faults(tmp_path):
    made = fixtures.write_her2_ihc_40x(tmp_path / "d")
    home = made / "WSI-based-dataset"
    some = sorted((home / "test_data_wsi" / "class_2+").iterdir())
    some[0].write_bytes(b"")
    (home / "stray.png").write_bytes(some[1].read_bytes())
    (home / "._x.png").write_bytes(b"x")
    loaded = her2_ihc_40x.load(made)
    reasons = dict(zip(loaded.skipped["reason"], loaded.skipped["path"], strict=True))
    assert set(reasons) == {"empty file", "lies in no class folder", "left by an operating system"}
    assert "left out, 1: empty file" in loaded.report

    some[1].write_bytes(some[1].read_bytes()[:90])
    (bad,) = loaded.verify().to_dict("records")
    assert bad["path"] == str(some[1])
    assert loaded.table.loc[bad["row"], "path"] == str(some[1])
    assert "cannot be decoded" in bad["problem"]
    some[1].write_bytes(b"<html>")
    with pytest.raises(DatasetError, match="is no picture that can be read") as caught:
        her2_ihc_40x.load(made)
    one_line(caught, some[1])

    (home / "test_data_wsi" / "class_2+").rename(home / "test_data_wsi" / "class_4+")
    with pytest.raises(DatasetError, match=r"the class '4\+' of its folder is unknown") as caught:
        her2_ihc_40x.load(made)
    one_line(caught, home / "test_data_wsi" / "class_4+")
    shutil.rmtree(home / "test_data_wsi" / "class_4+")
    with pytest.raises(DatasetError, match=r"test has no picture in class_2\+; unpack"):
        her2_ihc_40x.load(made)
    (home / "test_data_wsi").rename(home / "others")
    with pytest.raises(DatasetError, match="no folder above it is named after train or test"):
        her2_ihc_40x.load(made)


def test_her2_folders_whose_plus_was_dropped(tmp_path):
    made = fixtures.write_her2_ihc_40x(tmp_path / "d")
    for folder in made.rglob("class_*+"):
        folder.rename(folder.with_name(folder.name[:-1]))
    assert set(her2_ihc_40x.load(made).table["label"]) == set(LABELS)


def test_her2_same_file_twice(tmp_path):
    made = fixtures.write_her2_ihc_40x(tmp_path / "d")
    path = next((made / "WSI-based-dataset" / "train_data_wsi" / "class_0").iterdir())
    shutil.copy(path, path.parents[1] / "class_1+" / path.name)
    with pytest.raises(DatasetError, match="train holds another file of this name; remove one") as caught:
        her2_ihc_40x.load(made)
    one_line(caught, path.name)


def test_her2_archives_that_are_unsafe_leave_nothing(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    with zipfile.ZipFile(folder / "her2-ihc-40x-wsi.zip", "w") as out:
        out.writestr("../evil.png", b"x")
    with pytest.raises(FetchError, match=r"'\.\./evil\.png' would lie outside the folder"):
        her2_ihc_40x.load(folder)
    with zipfile.ZipFile(folder / "her2-ihc-40x-wsi.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb.png", bytes(80 << 20))
    with pytest.raises(FetchError, match="a zip bomb or no dataset of ours"):
        her2_ihc_40x.load(folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "her2-ihc-40x-wsi.zip"]


# BCI


@pytest.mark.parametrize("side_by_side", [False, True])
def test_bci_pairs(tmp_path, side_by_side):
    loaded = bci.load(fixtures.write_bci(tmp_path / "d", side_by_side=side_by_side, copies=3))
    table = loaded.table
    assert table.groupby(["split", "label"]).size().tolist() == [2] * 8
    assert (table["side_by_side"] == side_by_side).all()
    assert loaded.skipped["reason"].tolist() == ['a copy, "(1)" in its name'] * (3 if side_by_side else 6)
    assert loaded.verify().empty
    for row in table.itertuples():
        ihc, he = bci.read_pair(row)
        n = int(row.tile_id[:5]) // 4
        np.testing.assert_array_equal(ihc, stock().tiles[row.label][n])
        np.testing.assert_array_equal(he, stock().he[row.label][n])


def test_bci_labels_come_from_the_name_of_each_file(tmp_path):
    made = fixtures.write_bci(tmp_path / "d", copies=0)
    for name in ("HE", "IHC"):  # another order in each listing must not matter
        path = made / "BCI_dataset" / name / "train" / "00000_train_0.png"
        path.rename(path.with_name("90000_train_0.png"))
    table = bci.load(made).table.set_index("tile_id")
    assert table.loc["90000_train_0", "label"] == "0"
    assert table.loc["90000_train_0", "path"].endswith("/IHC/train/90000_train_0.png")
    assert table.loc["90000_train_0", "pair_path"].endswith("/HE/train/90000_train_0.png")


def test_bci_faults(tmp_path):
    made = fixtures.write_bci(tmp_path / "d", copies=0)
    ihc = made / "BCI_dataset" / "IHC"
    (ihc / "train" / "00000_train_0.png").unlink()
    write_picture(ihc / "train" / "holiday.png", stock().tiles["0"][0])
    loaded = bci.load(made)
    assert len(loaded.table) == 15
    assert set(loaded.skipped["reason"]) == {
        "H&E without an IHC of its name",
        "not called as BCI's pictures are",
    }
    path = ihc / "test" / "00001_test_1+.png"
    path.rename(ihc / "train" / path.name)
    with pytest.raises(DatasetError, match="its name says test, its folder train; move it back") as caught:
        bci.load(made)
    one_line(caught, ihc / "train" / path.name)
    (ihc / "train" / path.name).rename(path)
    for other in ihc.rglob("*_2+.png"):
        other.unlink()
    with pytest.raises(DatasetError, match=r"train has no pair of class 2\+"):
        bci.load(made)
    shutil.rmtree(ihc)
    with pytest.raises(DatasetError, match="holds no pair such as"):
        bci.load(made)


def test_bci_lone_pictures_that_are_no_pair(tmp_path):
    path = write_picture(tmp_path / "train" / "00000_train_0.png", stock().tiles["0"][0])
    with pytest.raises(DatasetError, match=r"is no pair side by side \(64 x 64 px\)") as caught:
        bci.load(tmp_path)
    one_line(caught, path)


# MIHIC


@pytest.mark.parametrize("zipped", [False, True])
def test_mihic(tmp_path, zipped):
    loaded = mihic.load(fixtures.write_mihic(tmp_path / "d", zipped=zipped))
    table = loaded.table
    assert table.groupby(["split", "label"]).size().tolist() == [2] * 21
    assert table.groupby("class_id")["label"].unique().map(list).tolist() == [[name] for name in mihic.LABELS]
    assert set(table["stain"]) == {"cd3", "ki67"}
    assert set(table["patient_id"]) == {"100", "101", "102", "103", "104"}
    assert (table["mpp"] == mihic.MPP_20X).all()
    assert "1 of 5 patients stand in several parts" in loaded.report
    counts = loaded.counts().set_index(["split", "label"])
    assert counts.loc[("train", "all"), "found"] == 14
    assert counts.loc[("train", "all"), "seen in MIHIC_dataset.zip"] == 195001
    assert sum(mihic.PUBLISHED[0].counts.values()) == 309698


def test_mihic_mpp_is_what_the_user_says(tmp_path):
    made = fixtures.write_mihic(tmp_path / "d", per_class=1)
    assert mihic.load(made, mpp=mihic.MPP_40X).table["mpp"].tolist() == [pytest.approx(0.2264, abs=1e-4)] * 21
    with pytest.raises(ValueError, match="mpp=40; give MPP_20X"):
        mihic.load(made, mpp=40)


@pytest.mark.parametrize(
    ("name", "patient", "stain"),
    [
        ("12-CD20-3-7", "12", "cd20"),
        ("p_7_CD3_1_2", "p_7", "cd3"),
        ("12-D2-40-3-7", "12", "d2-40"),
        ("12-cyclin-3-7", "12", "cyclin-d1"),
        ("12-Ki-67-3-7", "12", "ki67"),
        ("0001", None, None),
    ],
)
def test_mihic_names(tmp_path, name, patient, stain):
    made = fixtures.write_mihic(tmp_path / "d", per_class=1)
    path = next((made / "MIHIC_dataset" / "dataset" / "val" / "Immune cells").iterdir())
    path.rename(path.with_name(f"{name}.png"))
    row = mihic.load(made).table.query("split == 'val' and label == 'immune'").iloc[0]
    assert (row["patient_id"], row["stain"]) == (patient, stain)


def test_mihic_black_is_missing(tmp_path):
    row = mihic.load(fixtures.write_mihic(tmp_path / "d", per_class=1)).table.iloc[0]
    pixels = read_picture(row["path"])
    assert (pixels[:4, :9] == 0).all()
    white = mihic.black_to_white(pixels)
    assert (white[:4, :9] == 255).all()
    np.testing.assert_array_equal(white[4:], pixels[4:])
    nearly = np.array([[[0, 0, 1], [0, 0, 0]]], np.uint8)
    assert mihic.black_to_white(nearly).tolist() == [[[0, 0, 1], [255, 255, 255]]]


def test_mihic_faults(tmp_path):
    made = fixtures.write_mihic(tmp_path / "d", per_class=1)
    home = made / "MIHIC_dataset" / "dataset"
    (home / "val" / "Stroma").rename(home / "val" / "Bone")
    with pytest.raises(DatasetError, match="the class 'Bone' of its folder is unknown"):
        mihic.load(made)
    shutil.rmtree(home / "val" / "Bone")
    with pytest.raises(DatasetError, match="val has no picture of stroma"):
        mihic.load(made)
    shutil.rmtree(home)
    (made / "readme.txt").write_text("x")
    with pytest.raises(DatasetError, match="has no picture in train/Tumor"):
        mihic.load(made)


# A folder of one's own


@pytest.mark.parametrize("with_csv", [True, False])
def test_own_folder(tmp_path, with_csv):
    made = fixtures.write_own_folder(tmp_path / "d", with_csv=with_csv)
    loaded = own_folder.load(made)
    assert loaded.table.groupby(["split", "label"]).size().tolist() == [2] * 8
    assert loaded.table["slide_id"].nunique() == (8 if with_csv else 0)
    assert loaded.verify().empty
    if with_csv:
        assert own_folder.load(made / "manifest.csv").table["path"].tolist() == loaded.table["path"].tolist()
        write_picture(made / "new.png", stock().tiles["0"][0])
        assert own_folder.load(made).skipped["reason"].tolist() == ["no row of manifest.csv names it"]


def csv_fault(tmp_path, change):
    made = fixtures.write_own_folder(tmp_path / "d")
    path = made / "manifest.csv"
    path.write_bytes(change(path.read_text()).encode("utf-8"))
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",", ";"), "separates its columns by semicolons or tabs"),
        (lambda text: text.replace(",", "\t"), "separates its columns by semicolons or tabs"),
        (lambda text: text + text.splitlines()[1], "line 18: path '.*' stands in line 2 too; remove one"),
        (
            lambda text: text.replace("train_0_0.png", "gone.png"),
            r"row 1 names path=.*gone\.png, which is not there",
        ),
        (lambda text: text.replace("path,", "file,"), "has no column path"),
        (lambda text: text.replace("0.5", "0,5"), "8 fields under 7"),
    ],
)
def test_own_csv_faults(tmp_path, change, message):
    made = csv_fault(tmp_path, change)
    with pytest.raises((ManifestError, DatasetError), match=message) as caught:
        own_folder.load(made)
    one_line(caught, made / "manifest.csv")


def test_own_csv_in_another_encoding(tmp_path):
    made = fixtures.write_own_folder(tmp_path / "d")
    text = (made / "manifest.csv").read_text().replace("here", "Köln")
    (made / "manifest.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestError, match="is not in UTF-8; save it as CSV"):
        own_folder.load(made)


def test_links_between_folders(tmp_path):
    made = fixtures.write_own_folder(tmp_path / "d", with_csv=False)
    (made / "train").rename(tmp_path / "elsewhere")
    (made / "train").symlink_to(tmp_path / "elsewhere")  # followed
    (made / "test" / "0" / "back").symlink_to(made)  # not for ever
    (made / "test" / "0" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    loaded = own_folder.load(made)
    assert len(loaded.table) == 16
    assert loaded.skipped["reason"].tolist() == ["link to a file that is not there"]


def test_own_folder_faults(tmp_path):
    made = fixtures.write_own_folder(tmp_path / "d", with_csv=False)
    shutil.rmtree(made / "test" / "1+")
    with pytest.raises(DatasetError, match=r"test has no folder 1\+, other parts have"):
        own_folder.load(made)
    write_picture(made / "1+" / "x.png", stock().tiles["0"][0])
    with pytest.raises(DatasetError, match=r"x\.png: lies in no folder train, val or test, as others do"):
        own_folder.load(made)
    (tmp_path / "e").mkdir()
    with pytest.raises(DatasetError, match="holds no file"):
        own_folder.load(tmp_path / "e")
    write_picture(tmp_path / "e" / "x.png", stock().tiles["0"][0])
    with pytest.raises(DatasetError, match=r"holds no manifest\.csv and no picture in a class folder"):
        own_folder.load(tmp_path / "e")
    for name in "ab":
        (tmp_path / "e" / f"{name}.csv").write_text("path\nx.png\n")
    with pytest.raises(DatasetError, match=r"holds a\.csv, b\.csv; call the one"):
        own_folder.load(tmp_path / "e")
    with pytest.raises(DatasetError, match="does not exist; give the folder"):
        own_folder.load(tmp_path / "none")
