"""Manifests: what is filled in, and one clear message for each fault."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import her2kit.manifest as manifest
from her2kit.errors import ManifestError
from her2kit.manifest import COLUMNS, read_manifest
from her2kit.scoring import category, guideline


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_path_alone_is_enough(tmp_path):
    table = read_manifest(write(tmp_path, "path\nslides/a.tif\n\nslides/b.ome.tif\n"))
    assert list(table) == list(COLUMNS)
    assert table["slide_id"].tolist() == ["a", "b.ome"]
    assert table["path"].tolist() == [str(tmp_path / "slides/a.tif"), str(tmp_path / "slides/b.ome.tif")]
    assert table["mpp"].dtype == np.float64
    rest = table.drop(columns=["path", "slide_id"])
    assert rest.isna().all(axis=None)
    assert table["ish"].tolist() == [None, None]


def test_every_column_comes_back(tmp_path):
    row = {name: f"{name}_1" for name in COLUMNS}
    row |= {"mpp": "0.389", "guideline": "gastric-biopsy", "control_status": "valid", "ish": "group3"}
    row |= {"path": "/far/a b, c.svs", "comment": "ä, 한국어"}
    path = tmp_path / "manifest.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    table = read_manifest(path)
    assert list(table) == [*COLUMNS, "comment"]
    got = table.iloc[0].to_dict()
    expected = row | {"mpp": 0.389}
    for name in ("pair_path", "mask_path", "tumour_path"):
        expected[name] = str(tmp_path / row[name])
    assert got == expected


def test_bom_and_spaces_are_forgiven(tmp_path):
    table = read_manifest(write(tmp_path, "path , label\r\n a.tif , 3+\r\n".encode("utf-8-sig")))
    assert table.loc[0, ["slide_id", "label"]].tolist() == ["a", "3+"]


def test_missing_files_are_not_asked_here(tmp_path):
    assert len(read_manifest(write(tmp_path, "path\nnowhere.svs\n"))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line names the columns"),
        ("path\n", "holds no slide"),
        ("file,label\na.tif,0\n", r"has no column path \(found: file, label\)"),
        ("path;label\na.tif;0\n", "separates its columns by semicolons or tabs; save it with commas"),
        ("path\tlabel\na.tif\t0\n", "semicolons or tabs"),
        ("path,label,label\na.tif,0,0\n", "the column label stands there twice"),
        ("path,label\na.tif,0\n,3+\n", "line 3: path is empty"),
        ("path,label\na.tif,0,1\n", "line 2: 3 fields under 2 column names"),
        ('path,label\n"a.tif,0\n', "line 2: .*close every double quote"),
        ("path\nx/a.tif\ny/a.tif\n", "line 3: slide_id 'a' stands in line 2 too"),
        ("path,slide_id\na.tif,s/1\n", "line 2: slide_id='s/1' cannot name a folder"),
        ("path,slide_id\na.tif,..\n", "cannot name a folder"),
        ("path,guideline\na.tif,breast\n", "line 2: guideline='breast' is not known; use one of breast-asco"),
        ("path,control_status\na.tif,ok\n", "line 2: control_status='ok' is not known; use one of valid"),
        ("path,ish\na.tif,positive\n", "line 2: ish='positive' is not known"),
        ("path,mpp\na.tif,40\n", "line 2: mpp='40' is not micrometres per pixel"),
        ("path,mpp\na.tif,nan\n", "line 2: mpp='nan' is not"),
        ('path,mpp\na.tif,"0,25"\n', "line 2: mpp='0,25' is not"),
        ("path,label\na.tif,\xe4\n".encode("latin-1"), "is not in UTF-8; save it as CSV"),
        ("path,label\na.tif,0\n".encode("utf-16"), "UTF-8; save it as CSV"),
        (b"PK\x03\x04rest", "is a spreadsheet or archive"),
    ],
)
def test_each_fault_is_one_line_that_names_the_file(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ManifestError, match=message) as raised:
        read_manifest(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_manifest_and_folder(tmp_path):
    with pytest.raises(ManifestError, match="does not exist; check the name"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="is a folder; name the CSV in it"):
        read_manifest(tmp_path)


def test_words_are_those_of_scoring():
    assert set(manifest.GUIDELINES) == set(guideline.GUIDELINES)
    assert manifest.CONTROL == guideline.CONTROL
    assert manifest.ISH == category.ISH


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (r"slides\a.tif,", "has backslashes; write it with /"),
        ('a.tif,"x\ny"', "cannot name a folder"),
        ("a.tif,../../evil", "cannot name a folder"),
        ("a.tif,/evil", "cannot name a folder"),
        (f"a.tif,{'슬' * 70}", "at most 200"),
    ],
)
def test_what_cannot_name_a_folder(tmp_path, row, words):
    with pytest.raises(ManifestError, match=words):
        read_manifest(write(tmp_path, f"path,slide_id\n{row}\n"))


def test_rows_that_are_tiles(tmp_path):
    path = tmp_path / "tiles.csv"
    path.write_text("path,slide_id,label\na.png,s,0\nb.png,s,1+\nc.png,,2+\n")
    table = read_manifest(path, tiles=True)
    assert table["slide_id"].tolist() == ["s", "s", None]
    path.write_text("path,slide_id\na.png,s\n./a.png,t\n")
    with pytest.raises(ManifestError, match=r"line 3: path '.*a\.png' stands in line 2 too; remove one"):
        read_manifest(path, tiles=True)


@pytest.mark.parametrize("folder", [".", "/", "/a", "a/b", "..", "a/"])
@pytest.mark.parametrize(
    "name",
    ["b.png", "./b", "../b", "b/", "a//b", "/abs/x", "a/./b", "b.", "..", ".", "a/..", ".b", "x/.b", "..."],
)
def test_paths_are_joined_as_pathlib_joins_them(folder, name):
    assert manifest._joined(str(Path(folder)), name) == str(Path(folder) / name)
