"""Readers' files: long and wide, and one clear line for each thing that can be wrong."""

import math

import pytest

from her2kit.errors import ManifestError
from her2kit.scoring.readings import COLUMNS, read_readings


def write(folder, text):
    path = folder / "readers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LONG = "slide_id,reader,score,h_score\na,Kim,1+,80\na,Park,2+,\nb,Kim,,210\nb,Park,3,\nc,Kim,0,0\n"
WIDE = "slide_id,Kim,Park,patient_id\na,1+,2+,p\nb,,3,q\nc,0,,q\n"


def rows(table):
    return [tuple(r) for r in table[["slide_id", "reader", "score"]].itertuples(index=False)]


def test_a_long_file(tmp_path):
    table = read_readings(write(tmp_path, LONG))
    assert list(table) == list(COLUMNS)
    assert rows(table) == [
        ("a", "Kim", "1+"), ("a", "Park", "2+"), ("b", "Kim", None), ("b", "Park", "3+"), ("c", "Kim", "0"),
    ]  # fmt: skip
    assert table["h_score"].tolist()[:4] == pytest.approx([80, math.nan, 210, math.nan], nan_ok=True)


def test_a_wide_file_says_the_same(tmp_path):
    assert rows(read_readings(write(tmp_path, WIDE))) == [
        ("a", "Kim", "1+"), ("a", "Park", "2+"), ("b", "Park", "3+"), ("c", "Kim", "0"),
    ]  # fmt: skip


def test_readers_of_a_phantom_cohort_are_read(tmp_path):
    from her2kit.phantom.cohort import readings

    made = readings([{"slide_id": f"s{i}", "label": "2+"} for i in range(5)], seed=1)
    made.to_csv(tmp_path / "readers.csv", index=False)
    table = read_readings(tmp_path / "readers.csv", slides=[f"s{i}" for i in range(5)])
    assert table["score"].tolist() == made["score"].tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            LONG.replace("2+", "2+?"),
            r"line 3: Park called it '2\+\?'; use 0, 1\+, 2\+, 3\+, or leave it empty",
        ),
        (LONG.replace("0,0", "4,0"), "line 6: Kim called it '4'"),
        (WIDE.replace("3,q", "positive,q"), "line 3: Park called it 'positive'"),
        (LONG.replace("210", "310"), "line 4: h_score='310' is no H-score"),
        (LONG.replace("210", "viel"), "h_score='viel'"),
        (LONG.replace("210", "nan"), "h_score='nan'"),
        (
            LONG.replace("b,Park", "b,park "),
            "line 5: reader 'park' looks like 'Park' .line 3.; use one spelling",
        ),
        (LONG.replace("b,Park", "b,P-ark"), "reader 'P-ark' looks like 'Park'"),
        (LONG + "a,Kim,2+,\n", "line 7: Kim read a in line 2 too; keep one"),
        (LONG.replace("a,Kim", ",Kim"), "line 2: slide_id is empty"),
        (LONG.replace("a,Kim", "a,"), "line 2: reader is empty"),
        (LONG.replace("c,", "d,"), "line 6: slide_id 'd' is not in the manifest; correct it"),
        (LONG.replace("slide_id", "slide"), "has no column slide_id"),
        (LONG.replace("score,h", "call,h"), "has a column reader, but no column score"),
        (LONG.replace(",", ";"), "separates its columns by semicolons"),
        (LONG.encode("utf-16"), "is not in UTF-8"),
        (LONG.replace("Kim", "Müller").encode("latin-1"), "is not in UTF-8"),
        ("slide_id,patient_id\na,p\n", "names no reader"),
        ("slide_id,Kim\na,\n", "holds no reading"),
        ("slide_id,Kim,Kim\na,0,0\n", "the column Kim stands there twice"),
        ("", "is empty; its first line names the columns, with at least slide_id"),
    ],
)
def test_one_clear_line_for_each_fault(tmp_path, text, words):
    with pytest.raises(ManifestError, match=words) as caught:
        read_readings(write(tmp_path, text), slides=["a", "b", "c"])
    assert "\n" not in str(caught.value)
    assert "readers.csv" in str(caught.value)


def split(one, two):
    """Return readings of two names that never read the same slide."""
    return f"slide_id,reader,score\na,{one},0\nb,{two},0\n"


@pytest.mark.parametrize(
    ("one", "two"), [("Kowalski", "Kovalski"), ("Kowalski", "Kowlaski"), ("Petersen", "Peterssen")]
)
def test_one_letter_apart_and_never_on_the_same_slide_is_one_reader(tmp_path, one, two):
    with pytest.raises(ManifestError, match=f"reader '{two}' looks like '{one}'.*if they are two people"):
        read_readings(write(tmp_path, split(one, two)))
    both = split(one, two) + f"a,{two},1+\n"
    assert len(read_readings(write(tmp_path, both))) == 3


@pytest.mark.parametrize(
    ("one", "two"),
    [("reader A", "reader B"), ("reader 1", "reader 2"), ("reader I", "reader II"), ("Kim", "Kin"),
     ("R1 main", "R2 main"), ("expert", "novice")],
)  # fmt: skip
def test_two_people_stay_two(tmp_path, one, two):
    assert set(read_readings(write(tmp_path, split(one, two)))["reader"]) == {one, two}


def test_a_misspelt_slide_gets_a_hint(tmp_path):
    with pytest.raises(
        ManifestError, match=r"'slide_1O' is not in the manifest \(2 such slides\); did you mean"
    ):
        read_readings(
            write(tmp_path, "slide_id,Kim\nslide_1O,0\nslide_2O,0\n"), slides=["slide_10", "slide_20"]
        )
