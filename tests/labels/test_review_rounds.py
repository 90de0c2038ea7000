"""Rounds: who reads what, how readings become labels, how well readers agree, what is exported."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import ReviewError
from her2kit.exchange.asap import read_asap
from her2kit.exchange.coco import points_of_coco, read_coco
from her2kit.exchange.frame import Frame
from her2kit.exchange.geojson import read_cells_geojson
from her2kit.exchange.parquet import read_table
from her2kit.exchange.r1_json import read_reviewed
from her2kit.exchange.yolo import read_yolo
from her2kit.labels.agreed import FORMATS, export_labels
from her2kit.labels.agreement import reader_agreement, round_agreement
from her2kit.labels.assignment import assign
from her2kit.labels.collect import collect_logs
from her2kit.labels.merge import merge_labels, read_logs, readings_of
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import CANNOT_LABEL, LABELS, NOT_TUMOUR, Decision, ReviewLog
from her2kit.labels.rounds import close_round, load_review, open_round, progress

KEY = ["slide_id", "cell_id"]


def table_of(n=40, slides=("s1",)):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "slide_id": [slides[i % len(slides)] for i in range(n)],
            "cell_id": [f"c{i}" for i in range(n)],
            "tile_id": [f"t{i // 5}" for i in range(n)],
            "x_px0": rng.uniform(10, 990, n).round(2),
            "y_px0": rng.uniform(10, 990, n).round(2),
            "cell_class": pd.Series(rng.choice(["0", "1+", "2+", "3+"], n).tolist(), dtype=object),
            "gain": rng.random(n),
        }
    )


def read(folder, reader, label_of):
    """Decide every cell of a reader; label_of takes the row and returns a label, or None to leave it."""
    with Reading(folder, reader) as reading:
        rows = [(r, label_of(r)) for r in reading.cells.to_dict("records")]
        reading.decide_all([(r["slide_id"], r["cell_id"], label, "") for r, label in rows if label])


@pytest.fixture
def folder(tmp_path):
    open_round(tmp_path / "r", ["A", "B"], cells=table_of(), overlap=0.25, mpp={"s1": 0.25})
    return tmp_path / "r"


# Who reads what


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 4),
    st.floats(0, 1),
    st.sampled_from(["cell", "tile"]),
    st.integers(0, 9),
)
def test_every_cell_is_read_and_the_shared_ones_by_all(n, k, overlap, unit, seed):
    cells, readers = table_of(n), list("ABCD"[:k])
    found = assign(cells, readers, overlap=overlap, unit=unit, seed=seed)
    times = found.groupby(KEY).size()
    assert len(times) == n
    assert set(times) <= {1, k}
    assert not found.duplicated([*KEY, "reader"]).any()
    units = cells["tile_id"].nunique() if unit == "tile" else n
    if k > 1 and unit == "cell":
        assert (times == k).sum() == round(overlap * units)
        assert np.ptp(found.groupby("reader").size().reindex(readers, fill_value=0)) <= 1
    if unit == "tile":
        owners = found.merge(cells, on=KEY).groupby(["slide_id", "tile_id"])["reader"].agg(frozenset)
        assert set(owners.map(len)) <= {1, k}
    for places in found.groupby("reader")["place"]:
        assert sorted(places[1]) == list(range(len(places[1])))


def test_the_seed_decides_and_not_the_order_of_rows():
    cells = table_of()
    one = assign(cells, ["A", "B"], overlap=0.2, seed=1)
    assert one.equals(assign(cells.sample(frac=1, random_state=3), ["A", "B"], overlap=0.2, seed=1))
    assert not one.equals(assign(cells, ["A", "B"], overlap=0.2, seed=2))


def test_cells_with_most_to_gain_are_read_first():
    cells = table_of()
    found = assign(cells, ["A", "B"], order="gain").merge(cells, on=KEY).sort_values(["reader", "place"])
    for _, part in found.groupby("reader"):
        assert part["gain"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"readers": []}, "name at least one, each by an id of its own"),
        ({"readers": ["A", "a"]}, "each by an id of its own"),
        ({"overlap": 1.2}, "overlap=1.2; give the share of cells that all readers get, 0 to 1"),
        ({"unit": "slide"}, "unit='slide'; use one of cell, tile"),
        ({"order": "rank"}, "cells has no column 'rank'"),
    ],
)
def test_a_wrong_dealing_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        assign(table_of(), change.pop("readers", ["A"]), **change)


# Rounds


def test_three_rounds_end_in_the_final_rounds_word(folder):
    cells = table_of()
    own = {"A": lambda r: r["cell_class"], "B": lambda r: r["cell_class"]}
    for reader, label_of in own.items():
        read(folder, reader, label_of)
    first = close_round(folder)
    assert first["label"].tolist() == cells["cell_class"].tolist()
    assert set(first["status"]) == {"single", "agreed"}
    assert (first["n_readings"] == 2).sum() == 10

    open_round(folder, ["A", "B"], name="second")
    before = load_review(folder).assignment("first").groupby(KEY)["reader"].agg(set)
    for row in load_review(folder).assignment("second").to_dict("records"):
        earlier = before[row["slide_id"], row["cell_id"]]
        assert row["reader"] not in earlier or earlier == {"A", "B"}
        assert row["given"] is not None
    wrong = set(cells["cell_id"][:6])
    for reader in "AB":
        read(folder, reader, lambda r: CANNOT_LABEL if r["cell_id"] in wrong else r["given"])
    second = close_round(folder)
    disputed = second[second["label"].isna() | (second["label"] == CANNOT_LABEL)]
    assert set(disputed["cell_id"]) <= wrong
    assert len(disputed)

    open_round(folder, ["C"], name="final")
    read(folder, "C", lambda r: NOT_TUMOUR)
    final = close_round(folder).set_index("cell_id")
    assert set(final.loc[disputed["cell_id"], "label"]) == {NOT_TUMOUR}
    assert set(final.loc[disputed["cell_id"], "status"]) == {"adjudicated"}
    rest = final.drop(disputed["cell_id"])
    assert rest["label"].tolist() == cells.set_index("cell_id").loc[rest.index, "cell_class"].tolist()
    assert read_table(folder / "final_labels.parquet")["label"].tolist() == final["label"].tolist()
    majority = load_review(folder).labels(rule="majority", rounds=["first", "second"]).set_index("cell_id")
    assert NOT_TUMOUR not in set(majority["label"])
    with pytest.raises(ReviewError, match="had its first, second, final round already"):
        open_round(folder, ["A"], name="second")


def test_reading_goes_on_where_the_log_ends(folder):
    with Reading(folder, "A") as reading:
        assert reading.next_place == 0
        for key in reading.keys[:3]:
            reading.decide(*key, "2+")
        reading.undo()
        assert reading.next_place == 2
    with Reading(folder, "A") as again:
        assert again.next_place == 2
        assert list(again.labels) == again.keys[:2]
        assert again.table()["label"].tolist()[:3] == ["2+", "2+", None]
        entry = again.decide(*again.keys[2], "0")
        assert entry.before == again.cells["given"].iloc[2]
    assert progress(load_review(folder), "first").set_index("reader").loc["A", "decided"] == 3


def test_a_round_is_closed_when_all_is_read(folder):
    with pytest.raises(ReviewError, match="the first round is not done: undecided are 25 of A, 25 of B"):
        close_round(folder)
    assert load_review(folder).open_round == "first"
    with Reading(folder, "A") as reading:
        reading.decide(*reading.keys[0], "3+")
        labels = close_round(folder, incomplete=True)
        with pytest.raises(ReviewError, match="the first round is closed"):
            reading.decide(*reading.keys[1], "3+")
    assert labels["status"].value_counts().to_dict() == {"unread": 39, "single": 1}
    with pytest.raises(ReviewError, match="no round is open"):
        close_round(folder)
    with pytest.raises(ReviewError, match="no round is open"):
        Reading(folder, "A")


def test_a_blind_round_keeps_the_given_label_for_the_log(tmp_path):
    open_round(tmp_path / "r", ["A"], cells=table_of(), blind=True)
    with Reading(tmp_path / "r", "A") as reading:
        assert reading.blind
        assert reading.decide(*reading.keys[0], "0").before == reading.cells["given"].iloc[0]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (table_of().drop(columns="x_px0"), "cells: no column 'x_px0'"),
        (table_of().assign(cell_class="4+"), "cell_class holds '4\\+'; use one of 0, 1\\+, 2\\+, 3\\+"),
        (table_of().assign(cell_id="c"), "cell c of slide s1 is there twice"),
        (table_of().assign(cell_id=None), "a slide_id or cell_id is empty"),
        (table_of(0), "no cell is left for the first round"),
    ],
)
def test_cells_that_cannot_be_read_are_refused_and_nothing_is_made(tmp_path, cells, words):
    with pytest.raises(ReviewError, match=words):
        open_round(tmp_path / "r", ["A"], cells=cells)
    assert not (tmp_path / "r").exists()


def test_what_a_reader_may_not_do(folder):
    with pytest.raises(ReviewError, match="Z has no cells in the first round; its readers are A, B"):
        Reading(folder, "Z")
    with Reading(folder, "A") as reading:
        with pytest.raises(
            ReviewError, match="cell 'c99' of slide 's1' is none of A's cells in the first round"
        ):
            reading.decide("s1", "c99", "0")
        with pytest.raises(ValueError, match="label='4' is not known"):
            reading.decide(*reading.keys[0], "4")
        with pytest.raises(ReviewError, match="none of A's cells"):
            reading.decide_all([(*reading.keys[0], "0", ""), ("s2", "c1", "0", "")])
        assert reading.log.entries().empty


def test_rounds_open_in_turn(folder, tmp_path):
    with pytest.raises(ReviewError, match="the first round is still open; close it first"):
        open_round(folder, ["A"], name="second")
    with pytest.raises(ReviewError, match="holds a review already"):
        open_round(folder, ["A"], cells=table_of())
    with pytest.raises(ReviewError, match="holds no review; her2kit review open"):
        open_round(tmp_path / "none", ["A"], name="second")
    with pytest.raises(ValueError, match="round 'third' is not known"):
        open_round(folder, ["A"], name="third")
    close_round(folder, incomplete=True)
    with pytest.raises(ValueError, match="reads the cells of the first"):
        open_round(folder, ["A"], name="second", cells=table_of())
    (folder / "review.json").write_text('{"version": 9}')
    with pytest.raises(ReviewError, match="has version 9"):
        load_review(folder)


# Several logs


def logs_of(tmp_path, *readers, review_id="r", cells="abc"):
    paths = []
    for reader in readers:
        path = tmp_path / f"{reader}.sqlite"
        with ReviewLog.create(path, reader=reader, review_id=review_id) as log:
            log.decide_all("first", [Decision("s1", c, "2+") for c in cells])
        paths.append(path)
    return paths


def test_two_logs_of_one_id_are_refused(tmp_path):
    a, b = logs_of(tmp_path, "A", "B")
    assert len(read_logs([a, b])) == 6
    copy = shutil.copy(a, tmp_path / "copy.sqlite")
    with pytest.raises(ReviewError, match="are copies of one log \\(reader A\\)"):
        read_logs([a, b, copy])
    (tmp_path / "other").mkdir()
    (again,) = logs_of(tmp_path / "other", "a")
    with pytest.raises(ReviewError, match="are both of the reader a; if two people used one id"):
        read_logs([a, again])
    (tmp_path / "elsewhere").mkdir()
    (c,) = logs_of(tmp_path / "elsewhere", "C", review_id="another")
    with pytest.raises(ReviewError, match=r"C\.sqlite: belongs to another review"):
        read_logs([a, c])
    with pytest.raises(ReviewError, match="no log to read"):
        read_logs([])


def test_logs_come_home_from_other_computers(folder, tmp_path):
    away = tmp_path / "away"
    shutil.copytree(folder, away)
    with Reading(away, "B") as reading:
        reading.decide(*reading.keys[0], "3+")
    log = load_review(away).log_path("B")
    assert collect_logs(load_review(folder), [log]) == [folder / "logs" / "B.sqlite"]
    with Reading(away, "B") as reading:
        reading.decide(*reading.keys[1], "0")
    collect_logs(load_review(folder), [log])
    assert len(load_review(folder).entries()) == 2
    shutil.copy(log, tmp_path / "B_old.sqlite")
    with Reading(folder, "B") as reading:
        reading.decide(*reading.keys[2], "0")
    with pytest.raises(ReviewError, match=r"B_old\.sqlite: lacks entries that .* has"):
        collect_logs(load_review(folder), [tmp_path / "B_old.sqlite"])
    review_id = load_review(folder).review_id
    with ReviewLog.create(tmp_path / "B.sqlite", reader="B", review_id=review_id):
        pass
    with pytest.raises(ReviewError, match="are two logs of the reader B; if two people used one id"):
        collect_logs(load_review(folder), [tmp_path / "B.sqlite"])
    with ReviewLog.create(tmp_path / "Z.sqlite", reader="Z", review_id=review_id):
        pass
    with pytest.raises(
        ReviewError, match="is the log of Z, who is no reader of this review; its readers are A, B"
    ):
        collect_logs(load_review(folder), [tmp_path / "Z.sqlite"])
    assert len(load_review(folder).entries()) == 3


def test_what_comes_home_after_the_round_was_closed_does_not_change_it(folder, tmp_path):
    away = tmp_path / "away"
    shutil.copytree(folder, away)
    with Reading(away, "B") as reading:
        reading.decide(*reading.keys[0], "3+")
    log = load_review(away).log_path("B")
    collect_logs(load_review(folder), [log])
    before = close_round(folder, incomplete=True)
    with Reading(away, "B") as reading:
        reading.decide(*reading.keys[1], "3+")
    with pytest.raises(
        ReviewError, match="holds 1 new entries of the first round, which is closed; let the reader"
    ):
        collect_logs(load_review(folder), [log])
    assert load_review(folder).labels().equals(before)
    open_round(folder, ["A", "B"], name="second")
    with Reading(folder, "B") as reading:
        reading.decide(*reading.keys[0], "0")
    shutil.copytree(folder, tmp_path / "third")
    with Reading(tmp_path / "third", "B") as reading:
        reading.decide(*reading.keys[1], "0")
    collect_logs(load_review(folder), [load_review(tmp_path / "third").log_path("B")])
    with (
        ReviewLog.open(load_review(folder).log_path("B")) as here,
        pytest.raises(ReviewError, match="is closed"),
    ):
        here.decide("first", Decision("s1", "c1", "0"))


# Labels


def readings(*rows):
    return pd.DataFrame(
        [("s1", cell, name, reader, label, reason, "") for cell, name, reader, label, reason in rows],
        columns=[*KEY, "round", "reader", "label", "reason", "time"],
    )


def test_merge_rules():
    given = readings(
        ("a", "first", "A", "2+", ""), ("a", "first", "B", "2+", "sure"),
        ("b", "first", "A", "2+", ""), ("b", "first", "B", "3+", ""),
        ("c", "first", "A", "0", ""), ("c", "first", "B", "1+", ""), ("c", "first", "D", "1+", ""),
        ("d", "first", "A", "0", ""), ("d", "second", "A", "1+", ""),
        ("e", "first", "A", "0", ""), ("e", "first", "B", "0", ""), ("e", "final", "C", CANNOT_LABEL, "fold"),
    )  # fmt: skip
    cells = pd.DataFrame({"slide_id": "s1", "cell_id": list("abcdef")})
    found = merge_labels(given, cells).set_index("cell_id")
    assert found["label"].tolist() == ["2+", None, "1+", "1+", CANNOT_LABEL, None]
    assert found["status"].tolist() == ["agreed", "disputed", "majority", "single", "adjudicated", "unread"]
    assert found.loc["c", "support"] == pytest.approx(2 / 3)
    assert found.loc["a", "reasons"] == "sure"
    majority = merge_labels(given, cells, rule="majority").set_index("cell_id")
    assert (majority.loc["e", "label"], majority.loc["e", "status"]) == ("0", "majority")
    with pytest.raises(ValueError, match="rule='loudest'"):
        merge_labels(given, cells, rule="loudest")
    with pytest.raises(ValueError, match="cell f of slide s1 is not among the cells"):
        merge_labels(readings(("f", "first", "A", "0", "")), cells.head(3))
    with pytest.raises(ValueError, match="label '5' is not known"):
        merge_labels(readings(("a", "first", "A", "5", "")), cells)


def test_a_reading_that_was_taken_back_does_not_count(tmp_path):
    with ReviewLog.create(tmp_path / "A.sqlite", reader="A", review_id="r") as log:
        log.decide("first", Decision("s1", "a", "0"))
        log.decide("first", Decision("s1", "a", "3+"))
        log.undo("first")
        log.decide("first", Decision("s1", "b", "1+"))
        log.undo("first")
    found = readings_of(read_logs([tmp_path / "A.sqlite"]))
    assert found[["cell_id", "label"]].to_numpy().tolist() == [["a", "0"]]


def test_agreement_between_readers_and_rounds():
    rng = np.random.default_rng(1)
    cells = table_of(200)
    truth = rng.choice(["0", "1+", "2+", "3+"], 200)
    slipped = np.where(rng.random(200) < 0.2, "3+", truth)
    rows = [(c, "first", "A", t, "") for c, t in zip(cells["cell_id"], truth, strict=True)]
    rows += [(c, "first", "B", t, "") for c, t in zip(cells["cell_id"], slipped, strict=True)]
    rows += [(c, "second", "A", t, "") for c, t in zip(cells["cell_id"], truth, strict=True)]
    (row,) = reader_agreement(readings(*rows), cells, draws=200).to_dict("records")
    assert (row["first"], row["second"], row["round"], row["n"]) == ("A", "B", "first", 200)
    assert row["agreement"] == pytest.approx((truth == slipped).mean())
    assert row["kappa_low"] < row["kappa_linear"] < row["kappa_high"] < 1
    (row,) = round_agreement(readings(*rows), cells, draws=200).to_dict("records")
    assert (row["first"], row["second"]) == ("first", "second")
    assert row["n"] == (truth == slipped).sum()  # disputed cells have no label in the first round
    assert row["agreement"] == 1
    assert reader_agreement(readings(rows[0]), cells).empty


# Files


def test_agreed_labels_are_the_same_in_every_format(tmp_path):
    cells = table_of(60, slides=("s1", "s2"))
    rng = np.random.default_rng(2)
    label = pd.Series(rng.choice([*LABELS], 60).tolist(), dtype=object)
    label[:4] = None
    labels = cells[KEY].assign(label=label, status="agreed", n_readings=2, support=1.0, reasons="a <b>, c")
    paths = export_labels(
        tmp_path, cells, labels, formats=FORMATS, mpp={"s1": 0.25, "s2": 0.5}, tile_px=256, tile_mpp=0.5
    )
    assert all(p.is_file() for p in paths)
    for slide, own in (("s1", 0.25), ("s2", 0.5)):
        here = cells["slide_id"] == slide
        graded = cells[here & label.isin(LABELS[:4])].assign(cell_class=label)
        wanted = sorted(graded[["x_px0", "y_px0", "cell_class"]].itertuples(index=False, name=None))

        def points(table):
            return sorted(table[["x_px0", "y_px0", "cell_class"]].itertuples(index=False, name=None))

        assert points(read_asap(tmp_path / f"{slide}.xml")) == wanted
        drawn = read_cells_geojson(tmp_path / f"{slide}.geojson")
        assert points(drawn[drawn["cell_class"].notna()]) == wanted
        assert set(drawn.loc[drawn["cell_class"].isna(), "classification"]) == {"Other"}
        tiles = pd.read_csv(tmp_path / f"{slide}_tiles.csv")
        frames = {
            t.tile: Frame(t.side_px, t.side_px, t.mpp, own, t.x_px0, t.y_px0) for t in tiles.itertuples()
        }
        yolo = pd.concat([read_yolo(tmp_path / "yolo" / f"{n}.txt", f) for n, f in frames.items()])
        assert points(yolo) == wanted
        assert (
            points(pd.concat(points_of_coco(read_coco(tmp_path / f"{slide}_coco.json"), frames).values()))
            == wanted
        )
        assert points(pd.concat(read_reviewed(tmp_path / f"{slide}_r1.json", frames).values())) == wanted
        assert tiles["graded"].sum() == len(graded)
        assert tiles["left_out"].sum() == (here & (label.isna() | (label == CANNOT_LABEL))).sum()
    left_out = pd.read_csv(tmp_path / "left_out.csv")
    assert set(left_out["cell_id"]) == set(cells.loc[label.isna() | (label == CANNOT_LABEL), "cell_id"])


def test_exports_that_cannot_be_made(tmp_path):
    cells = table_of(5)
    labels = cells[KEY].assign(label="2+", status="agreed", n_readings=2, support=1.0, reasons="")
    with pytest.raises(ReviewError, match="slide s1 has no mpp in this review, and yolo counts in tiles"):
        export_labels(tmp_path, cells, labels, formats=["yolo"])
    with pytest.raises(ValueError, match="format 'xlsx' is not known"):
        export_labels(tmp_path, cells, labels, formats=["xlsx"])
    odd = {"slide_id": "../s1"}
    with pytest.raises(ReviewError, match="cannot name a file"):
        export_labels(tmp_path, cells.assign(**odd), labels.assign(**odd))


def test_the_review_file_says_what_was_opened(folder):
    held = json.loads((folder / "review.json").read_text())
    (first,) = held["rounds"]
    assert (first["name"], first["readers"], first["overlap"], first["cells"]) == (
        "first",
        ["A", "B"],
        0.25,
        40,
    )
    assert first["closed"] is None
    assert held["mpp"] == {"s1": 0.25}
