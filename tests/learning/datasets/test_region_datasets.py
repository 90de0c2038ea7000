"""Loaders of regions, cores and slides: IGNITE with masks and cells, HER2 cores, ACROBAT, phantoms."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import DatasetError, LabelError, ManifestError, SlideError
from her2kit.learning.datasets import acrobat, bozeklab_her2_tma, fixtures, ignite, phantom
from her2kit.learning.datasets.door import LOADERS, load
from her2kit.learning.datasets.fixture_ignite import IDS, READERS, write_ignite
from her2kit.learning.datasets.stock import LABELS, stock
from her2kit.learning.pictures import read_picture, read_raster, write_picture
from her2kit.learning.registry import DATASETS
from her2kit.phantom.cohort import make_cohort


def one_line(caught, *words) -> None:
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


# IGNITE


@pytest.fixture(scope="module")
def ignite_folder(tmp_path_factory):
    return write_ignite(tmp_path_factory.mktemp("ignite") / "d")


def test_ignite_regions(ignite_folder):
    loaded = ignite.load(ignite_folder)
    table = loaded.table.set_index("tile_id")
    assert table["task"].value_counts().to_dict() == {"he": 4, "pdl1": 1, "nuclei": 1}
    assert (table["mpp"] == 0.5).all()
    assert table.loc["patient1_he_roi2", "split"] == "test"
    assert table.loc["patient2_he_roi1", "patient_id"] == "patient2"
    assert table.loc["patient2_he_roi1", "stain"] == "he"
    he = table[table["task"] == "he"]
    assert he[["mask_path", "context_path", "context_mask_path"]].notna().all().all()
    assert loaded.skipped.empty
    assert loaded.verify().empty
    counts = loaded.counts().set_index(["task", "split"])
    assert counts.loc[("he", "all"), ["found", "Spronck et al. 2025"]].tolist() == [4, 408]


def test_ignite_masks_in_both_encodings(ignite_folder):
    for k, row in enumerate(ignite.load(ignite_folder).table.query("task == 'he'").itertuples()):
        planted = IDS[stock().tissue[LABELS[k]][k]]
        inner = slice(8 + k, -8)
        stored = read_raster(row.mask_path)
        assert ((stored == 0) | (stored >= 240)).all()  # 256 - id
        np.testing.assert_array_equal(ignite.read_mask(row.mask_path), planted[inner, inner])
        context = ignite.read_mask(row.context_mask_path)  # ids as they are
        np.testing.assert_array_equal(context[inner, inner], planted[inner, inner])
        assert context.shape == read_picture(row.context_path).shape[:2] == (64, 64)


@pytest.mark.parametrize("turned", [False, True])
def test_every_id_of_a_mask_comes_back(tmp_path, turned):
    ids = np.arange(17, dtype=np.uint8).reshape(1, 17)
    path = write_picture(tmp_path / "m.png", (256 - ids.astype(int)) % 256 if turned else ids)
    assert ignite.read_mask(path).tolist() == ids.tolist()


@pytest.mark.parametrize(("values", "bad"), [([0, 5, 17], 17), ([0, 250, 100], 100), ([3, 4, 250], 250)])
def test_a_mask_with_another_value(tmp_path, values, bad):
    path = write_picture(tmp_path / "patient1_he_roi1.png", np.array([values], np.uint8))
    with pytest.raises(DatasetError, match=rf"the value {bad} at \(2, 0\) is no id from 0 to 16") as caught:
        ignite.read_mask(path)
    one_line(caught, path)


def test_the_stray_value_in_the_published_masks_is_unannotated(tmp_path):
    path = write_picture(tmp_path / "patient69_he_roi3.png", np.array([[3, 255, 16]], np.uint8))
    assert ignite.read_mask(path).tolist() == [[3, 0, 16]]


def test_a_mask_that_is_no_raster(tmp_path):
    path = write_picture(tmp_path / "m.png", stock().tiles["3+"][0])
    with pytest.raises(SlideError, match="is no raster of labels"):
        ignite.read_mask(path)


def test_ignite_cells_are_the_planted_ones(ignite_folder):
    cells = ignite.load(ignite_folder).cells
    planted = stock().cells
    planted = planted[planted[["x_px0", "y_px0"]].lt(250).all(axis=1)]
    agreed = cells[(cells["task"] == "pdl1") & (cells["reader"] == "")]
    np.testing.assert_array_equal(agreed[["x_px", "y_px"]], planted[["x_px0", "y_px0"]].round())
    expected = np.where(
        planted["compartment"] != "invasive",
        "non-tumour cell",
        np.where(planted["positive"], "positive tumour cell", "negative tumour cell"),
    )
    assert agreed["cell_class"].tolist() == expected.tolist()
    assert set(expected) == set(ignite.CELLS["pdl1"])
    for task in ("pdl1", "nuclei"):
        first, second = (cells[(cells["task"] == task) & (cells["reader"] == r)] for r in READERS)
        assert first["class_id"].tolist() == second["class_id"].tolist()
        away = np.abs(first[["x_px", "y_px"]].to_numpy() - second[["x_px", "y_px"]].to_numpy())
        assert 0 < away.max() <= 3
    assert set(cells.loc[cells["task"] == "nuclei", "cell_class"]) == {"nucleus"}
    assert cells["path"].notna().all()


def test_ignite_annotated_area(ignite_folder):
    table = ignite.load(ignite_folder).table
    assert table.loc[table["task"] == "pdl1", "annotated_xyxy"].tolist() == [[0, 0, 250, 250]]
    assert table.loc[table["task"] == "he", "annotated_xyxy"].isna().all()


def test_ignite_without_its_overview(ignite_folder, tmp_path):
    made = shutil.copytree(ignite_folder, tmp_path / "d")
    (made / "data_overview.csv").unlink()
    loaded = ignite.load(made)
    assert loaded.table["split"].isna().all()
    assert set(loaded.table["patient_id"]) == {"patient1", "patient2", "patient5"} | {"patient6"}
    assert "splits are unknown" in loaded.report


def test_ignite_names_what_is_missing(ignite_folder, tmp_path):
    made = shutil.copytree(ignite_folder, tmp_path / "d")
    (made / "images" / "he" / "patient1_he_roi1.png").unlink()
    (made / "annotations" / "he" / "patient2_he_roi2.png").unlink()
    next((made / "images" / "pdl1" / "nuclei").iterdir()).unlink()
    write_picture(made / "annotations" / "he" / "patient2_he_roi1.png", np.zeros((9, 9), np.uint8))
    loaded = ignite.load(made)
    assert len(loaded.table) == 4
    assert loaded.table.set_index("tile_id").loc["patient2_he_roi1", "mask_path"] is None
    assert set(loaded.skipped["reason"]) == {
        "does not open or is not of its picture's size; the picture is kept",
        "named in data_overview.csv, not in the folder",
        "its mask is missing; the picture is kept",
        "named in nuclei_annotations.json, not in the folder",
        "named in nuclei_test_set_all_readers.json, not in the folder",
    }
    mask = made / "annotations" / "he" / "patient1_he_roi2.png"
    values = read_raster(mask)
    values[3, 5] = 77
    write_picture(mask, values)
    (bad,) = loaded.verify().to_dict("records")
    assert (bad["column"], bad["path"]) == ("mask_path", str(mask))
    assert "the value 77 at (5, 3)" in bad["problem"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "pdl1_annotations",
            lambda c: c["annotations"][4].update(image_id=9),
            "annotation 4 names image_id 9",
        ),
        ("pdl1_annotations", lambda c: c["categories"][0].update(id=8), "names category_id"),
        (
            "nuclei_annotations",
            lambda c: c["categories"].append({"id": 2, "name": "x"}),
            "category 2 is unknown",
        ),
        (
            "pdl1_test_set_all_readers",
            lambda c: c["categories"][0].pop("supercategory"),
            "category 1 names no reader",
        ),
    ],
)
def test_ignite_cells_that_are_damaged(ignite_folder, tmp_path, name, change, message):
    made = shutil.copytree(ignite_folder, tmp_path / "d")
    path = next(made.rglob(f"{name}.json"))
    held = json.loads(path.read_text())
    change(held)
    path.write_text(json.dumps(held))
    with pytest.raises((LabelError, DatasetError), match=message) as caught:
        ignite.load(made)
    one_line(caught, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_path;split\na;b\n", "separates its columns by semicolons"),
        ("a,b\n1,2\n", "has no column image_path"),
        ("", "not readable as CSV"),
        ("image_path,split\nä,b\n", "is not in UTF-8"),
    ],
)
def test_ignite_overview_that_is_damaged(ignite_folder, tmp_path, text, message):
    made = shutil.copytree(ignite_folder, tmp_path / "d")
    (made / "data_overview.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=message) as caught:
        ignite.load(made)
    one_line(caught, made / "data_overview.csv")


# HER2 cores


def test_cores(tmp_path):
    loaded = bozeklab_her2_tma.load(fixtures.write_bozeklab_her2_tma(tmp_path / "d"))
    table = loaded.table
    assert table["label"].tolist() == ["0", "1+", "2+", "2+", "3+"]
    assert table["ish"].tolist() == [None, None, "not_amplified", "amplified", None]
    assert table["her2_status"].tolist() == ["negative"] * 3 + ["positive"] * 2
    assert set(table["split"]) == {"train"}
    (skipped,) = loaded.skipped.to_dict("records")
    assert skipped["path"].startswith("3_00000005")
    assert "train.csv, line 7, not in the folder" in skipped["reason"]
    assert loaded.verify().empty


def test_real_cores(real):
    loaded = bozeklab_her2_tma.load(real)
    assert loaded.table["label"].value_counts().to_dict() == {"2+": 3, "0": 2, "1+": 1, "3+": 1}
    for row in loaded.table.itertuples():
        assert row.slide_id.startswith(f"{row.label[0]}_")
    assert loaded.table.query("label == '2+'")["ish"].value_counts().to_dict() == {
        "amplified": 2,
        "not_amplified": 1,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\n0,0", "\n4,0"), "line 2: ihc-score '4' is unknown"),
        (lambda t: t.replace("\n0,0", "\n0,2"), "line 2: her2-status '2' is unknown"),
        (lambda t: t.replace("\n0,0", "\n1,0"), "line 2: ihc-score is 1, the file is called 0_"),
        (lambda t: t + t.splitlines()[4].replace("2,1", "2,0"), "stands in .* with another label"),
        (lambda t: t.replace("ihc-score", "score"), "has no train.csv with ihc-score"),
    ],
)
def test_core_faults(tmp_path, change, message):
    made = fixtures.write_bozeklab_her2_tma(tmp_path / "d")
    text = (made / "train.csv").read_text()
    (made / "train.csv").write_text(change(text))
    with pytest.raises(DatasetError, match=message) as caught:
        bozeklab_her2_tma.load(made)
    one_line(caught, made)


def test_cores_that_are_not_there(tmp_path):
    made = fixtures.write_bozeklab_her2_tma(tmp_path / "d")
    shutil.rmtree(made / "data")
    with pytest.raises(DatasetError, match="holds none of the 6 cores"):
        bozeklab_her2_tma.load(made)


# ACROBAT


def test_acrobat(tmp_path):
    made = fixtures.write_acrobat(tmp_path / "d")
    loaded = acrobat.load(made)
    table = loaded.table.set_index("slide_id")
    assert sorted(table.index) == ["0_HE", "0_HER2", "0_KI67", "12_HE", "12_HER2", "7_ER", "7_HE"]
    assert table.loc["12_HER2", ["split", "stain", "patient_id"]].tolist() == ["val", "her2", "12"]
    assert table.loc["0_KI67", "pair_path"].endswith("0_HE_train.tif")
    assert table.loc["7_HE", "pair_path"] is None
    assert table["mpp"].isna().all()
    assert loaded.verify().empty
    counts = loaded.counts().set_index(["split", "stain"])
    assert counts.loc[("train", "all"), ["found", "Weitz et al. 2023 (?)"]].tolist() == [5, 3406]

    path = made / "train_0" / "0_HE_train.tif"
    path.with_name("0_he_val.tif").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="is the same slide; remove one"):
        acrobat.load(made)
    path.with_name("0_he_val.tif").rename(path.with_name("notes.tif"))
    assert acrobat.load(made).skipped["reason"].tolist() == ["not called as ACROBAT's slides are"]
    path.write_bytes(path.read_bytes()[:500])
    (bad, *_) = acrobat.load(made).verify().to_dict("records")
    assert bad["path"] == str(path)
    first = made / "train_0" / "0_HER2_train.tif"
    first.write_bytes(first.read_bytes()[:500])
    with pytest.raises(DatasetError, match="parts of the TIFF are missing") as caught:
        acrobat.load(made)
    one_line(caught, first)
    shutil.rmtree(made)
    write_picture(made / "x.png", stock().tiles["0"][0])
    with pytest.raises(DatasetError, match=r"holds no slide such as 0_HE_train\.tif"):
        acrobat.load(made)


# Phantoms


def test_phantom(tmp_path):
    make_cohort(tmp_path / "c", slides=2, size_px=256, mpp=0.5, seed=4)
    loaded = phantom.load(tmp_path / "c")
    planted = pd.read_csv(tmp_path / "c" / "manifest.csv", dtype=str)
    assert loaded.table["slide_id"].tolist() == planted["slide_id"].tolist()
    assert loaded.table["label"].tolist() == planted["label"].tolist()
    assert all(
        (pd.Series(loaded.table["truth_path"]) + "/cells.parquet").map(lambda p: pd.read_parquet(p).size > 0)
    )
    assert loaded.verify().empty
    path = next((tmp_path / "c" / "slides").iterdir())
    path.unlink()
    with pytest.raises(DatasetError, match=r"has no path at .* make the cohort again") as caught:
        phantom.load(tmp_path / "c")
    one_line(caught, path)
    with pytest.raises(ManifestError, match="does not exist"):
        phantom.load(tmp_path)


# The door


def test_every_public_dataset_has_a_loader():
    assert set(DATASETS) - set(LOADERS) == {"cmu-1-small-region"}  # one slide, no table


def test_the_door(tmp_path):
    made = fixtures.write_bci(tmp_path / "d")
    assert load("bci", made).key == "bci"
    with pytest.raises(ValueError, match="key='her2_ihc40x' has no loader; use her2-ihc-40x"):
        load("her2_ihc40x", made)
    with pytest.raises(ValueError, match="key='zzz' has no loader; use her2-ihc-40x, bci"):
        load("zzz", made)


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: fixtures.write_her2_ihc_40x(folder, variant="patch-split", zipped=True),
        fixtures.write_mihic,
        write_ignite,
        fixtures.write_acrobat,
    ],
)
def test_fixtures_are_the_same_bytes_again(tmp_path, write):
    one, two = (
        {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        for folder in (write(tmp_path / "one"), write(tmp_path / "two"))
    )
    assert one == two


def test_fixtures_check_their_arguments(tmp_path):
    with pytest.raises(ValueError, match="variant='wsi'"):
        fixtures.write_her2_ihc_40x(tmp_path / "d", variant="wsi")
    with pytest.raises(ValueError, match="per_class=1"):
        fixtures.write_her2_ihc_40x(tmp_path / "d", per_class=1)
    (tmp_path / "d").mkdir()
    with pytest.raises(ValueError, match="exists"):
        fixtures.write_bci(tmp_path / "d")
