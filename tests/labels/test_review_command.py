"""her2kit review: a round from the command line, through QuPath and back, and calls that cannot be done."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from her2kit.cli import app
from her2kit.errors import ReviewError
from her2kit.exchange.parquet import write_table
from her2kit.labels.qupath import UNCHANGED, export_reading, import_reading
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import CANNOT_LABEL, NOT_TUMOUR
from her2kit.labels.rounds import load_review, open_round


def run(*words):
    return CliRunner().invoke(app, ["review", *map(str, words)])


def line(result):
    """Return the one line of a call that cannot be done."""
    assert result.exit_code == 2, result.output
    (found,) = result.stderr.splitlines()
    return found


def square(x, y, half=8.0):
    return np.array(
        [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]], np.float32
    )


@pytest.fixture
def cells(tmp_path):
    """Return the path of a cell table beside a score.json that knows the mpp."""
    xy = np.random.default_rng(0).uniform(20, 980, (24, 2)).round(2)
    table = pd.DataFrame(
        {
            "slide_id": "s1",
            "cell_id": [f"c{i}" for i in range(24)],
            "tile_id": [f"t{i // 6}" for i in range(24)],
            "x_px0": xy[:, 0],
            "y_px0": xy[:, 1],
            "cell_class": (["0", "1+", "2+", "3+", "1+", None] * 4),
            "dab_od": 0.2,
        }
    )
    for name, half in (("outline", 8.0), ("nucleus_outline", 4.0)):
        table[name] = pd.Series([square(x, y, half) for x, y in xy], dtype=object)
    record = {"slide_id": "s1", "slide": {"mpp": 0.25}}
    (tmp_path / "score.json").write_text(json.dumps(record))
    return write_table(tmp_path / "cells.parquet", table)


@pytest.fixture
def folder(cells, tmp_path):
    assert (
        run("open", tmp_path / "r", "--cells", cells, "--readers", "A,B", "--overlap", "0.25").exit_code == 0
    )
    return tmp_path / "r"


def edit(path, out, change):
    """Write a GeoJSON with each Feature's class as `change(feature, class)` says."""
    held = json.loads(path.read_text())
    for feature in held["features"]:
        old = feature["properties"]["classification"]["name"]
        feature["properties"]["classification"] = {"name": change(feature, old)}
    out.write_text(json.dumps(held))
    return out


def test_a_round_from_open_to_labels(folder, tmp_path):
    assert load_review(folder).mpp == {"s1": 0.25}
    for reader in "AB":
        shown = run("export", folder, "--reader", reader)
        path = folder / "qupath" / f"s1_first_{reader}.geojson"
        assert shown.stdout.split() == [str(path)]
        edited = edit(path, tmp_path / "e.geojson", lambda _, old: "3+" if old == "2+" else old)
        done = run("import", folder, edited, "--by", reader, "--rest-is-right")
        assert done.exit_code == 0, done.stderr
        assert "15 of 15 cells decided" in done.stdout
    shown = run("status", folder).stdout
    assert "first round, open: 24 cells" in shown
    assert "A: 15 of 15 decided" in shown
    assert "A and B (first round): 100% of 6 cells alike" in shown
    closed = run("close", folder)
    assert closed.exit_code == 0
    assert "18 single, 6 agreed" in closed.stdout
    exported = run("export", folder, "--formats", "geojson,asap,yolo,coco,r1", "--tile-px", "512")
    assert exported.exit_code == 0
    labels = pd.read_csv(folder / "labels" / "labels.csv", dtype=str)
    assert set(labels["label"]) == {"0", "1+", "3+"}
    assert len(pd.read_csv(folder / "labels" / "left_out.csv")) == 4
    assert (
        run("open", folder, "--readers", "C", "--round", "final").stdout.splitlines()[-1]
        == "  C: 0 of 4 decided"
    )


def test_only_the_difference_comes_back_from_qupath(folder, tmp_path):
    with Reading(folder, "A") as reading:
        reading.decide(*reading.keys[0], "0", reason="first look")
        (path,) = export_reading(reading, tmp_path)
        first, second, third = (f["id"] for f in json.loads(path.read_text())["features"][1:4])
        words = {first: "Other", second: "Ignore*", third: "Tumor: 3+"}
        edited = edit(path, tmp_path / "e.geojson", lambda f, old: words.get(f["id"], old))
        given = reading.cells["given"].tolist()
        done = import_reading(reading, edited)
        entries = reading.log.entries()
        want = [NOT_TUMOUR, CANNOT_LABEL, "3+"]
        changed = [(i, w) for i, w in zip((1, 2, 3), want, strict=True) if (given[i] or CANNOT_LABEL) != w]
        assert done.changed == len(changed)
        assert entries["after"].tolist()[1:] == [w for _, w in changed]
        assert entries["cell_id"].tolist()[1:] == [reading.keys[i][1] for i, _ in changed]
        assert set(entries["reason"][1:]) == {"QuPath: e.geojson"}
        with pytest.raises(
            ReviewError, match=r"changes nothing; change classes in QuPath .* or --rest-is-right"
        ):
            import_reading(reading, edited)
        rest = import_reading(reading, edited, rest_is_right=True)
        assert rest.confirmed == len(reading.keys) - len(changed) - 1
        assert reading.next_place is None
        assert (reading.log.entries()["reason"] == UNCHANGED).sum() == rest.confirmed
        (again,) = export_reading(reading, tmp_path / "again")
        with pytest.raises(ReviewError, match="changes nothing"):
            import_reading(reading, again, rest_is_right=True)


def test_a_blind_reader_gets_no_classes_in_qupath(cells, tmp_path):
    run("open", tmp_path / "r", "--cells", cells, "--readers", "A", "--blind")
    run("export", tmp_path / "r", "--reader", "A")
    held = json.loads((tmp_path / "r" / "qupath" / "s1_first_A.geojson").read_text())
    assert {f["properties"]["classification"]["name"] for f in held["features"]} == {"not evaluable"}


def test_a_file_that_cannot_be_used_changes_nothing(folder, tmp_path):
    run("export", folder, "--reader", "A")
    path = folder / "qupath" / "s1_first_A.geojson"
    broken, unknown, region = (tmp_path / f"{n}.geojson" for n in ("broken", "unknown", "region"))
    broken.write_text(path.read_text()[:-40])
    edit(path, unknown, lambda f, old: "4+")
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    drawn = {"type": "Feature", "properties": {"objectType": "annotation"}}
    drawn["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    region.write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    assert "broken.geojson: not readable as GeoJSON" in line(run("import", folder, broken, "--by", "A"))
    assert "unknown.geojson: cell 1 has the class '4+'; use one of" in line(
        run("import", folder, unknown, "--by", "A")
    )
    assert "changes nothing" in line(run("import", folder, region, "--by", "A"))
    assert "no such file" in line(run("import", folder, tmp_path / "none.geojson", "--by", "A"))
    edited = edit(path, tmp_path / "e.geojson", lambda f, old: "3+")
    assert "cells are none of B's in the first round" in line(run("import", folder, edited, "--by", "B"))
    assert "Z has no cells in the first round; its readers are A, B" in line(
        run("import", folder, edited, "--by", "Z")
    )
    assert load_review(folder).entries().empty


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--readers", "A,a"], "each by an id of its own"),
        (["--readers", "A/B"], "reader 'A/B' cannot be an id"),
        (["--readers", ","], "name at least one"),
        (["--readers", "A", "--overlap", "2"], "overlap=2.0; give the share"),
        (["--readers", "A", "--round", "last"], "round 'last' is not known"),
        (["--readers", "A", "--by", "slide"], "unit='slide'"),
        (["--readers", "A", "--order", "gain"], "cells has no column 'gain'"),
        (["--readers", "A", "--label", "truth"], "cells: no column 'truth'"),
        (["--readers", "A", "--label", "tile_id"], "tile_id holds 't0'; use one of 0, 1+"),
        (["--readers", "A", "--mpp", "40"], "--mpp 40 is not micrometres per pixel"),
        (["--readers", "A", "--only", "some"], "only='some'"),
    ],
)
def test_a_wrong_call_is_one_line_and_makes_nothing(cells, tmp_path, words, said):
    assert said in line(run("open", tmp_path / "r", "--cells", cells, *words))
    assert not (tmp_path / "r").exists()


def test_other_wrong_calls(folder, cells, tmp_path):
    assert "cells is missing" in line(run("open", tmp_path / "n", "--readers", "A"))
    assert "no such file" in line(
        run("open", tmp_path / "n", "--readers", "A", "--cells", tmp_path / "n.parquet")
    )
    assert "holds a review already" in line(run("open", folder, "--readers", "A", "--cells", cells))
    assert "still open; close it first" in line(run("open", folder, "--readers", "A", "--round", "second"))
    assert "is not done: undecided are 15 of A, 15 of B" in line(run("close", folder))
    assert "holds no review" in line(run("status", tmp_path / "n"))
    assert "format 'pdf' is not known" in line(run("export", folder, "--formats", "pdf"))
    (folder / "logs" / "A.sqlite").write_text("no log")
    assert "no review log" in line(run("status", folder))


def test_most_draws_by_the_seed(cells, tmp_path):
    for name in ("a", "b"):
        run("open", tmp_path / name, "--cells", cells, "--readers", "A", "--most", "7", "--seed", "3")
    one, two = (load_review(tmp_path / name).assignment("first") for name in ("a", "b"))
    assert len(one) == 7
    assert one.equals(two)


def test_a_place_that_cannot_be_written_to(cells):
    with pytest.raises(ReviewError, match="put the review where you may write"):
        open_round(
            "/proc/her2kit-review",
            ["A"],
            cells=pd.read_parquet(cells).drop(columns=["outline", "nucleus_outline"]),
        )
