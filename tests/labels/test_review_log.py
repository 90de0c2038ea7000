"""A reader's log: rows are only added, acknowledged means on disk, and what is wrong is said in one line."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import ReviewError
from her2kit.labels.log_file import SCHEMA
from her2kit.labels.review_log import LABELS, MAX_REASON, Decision, ReviewLog, check_reader


def decision(cell, label="2+", **more):
    return Decision("s1", cell, label, **more)


@pytest.fixture
def log(tmp_path):
    with ReviewLog.create(tmp_path / "A.sqlite", reader="A", review_id="r") as log:
        yield log


def test_an_entry_holds_all_that_was_decided(log):
    entry = log.decide("first", decision("c1", "3+", given="1+", reason=" strong,\n complete "))
    assert (entry.number, entry.round, entry.slide_id, entry.cell_id) == (1, "first", "s1", "c1")
    assert (entry.action, entry.before, entry.after, entry.reason) == (
        "decide",
        "1+",
        "3+",
        "strong, complete",
    )
    assert entry.time.endswith("+00:00")
    second = log.decide("first", decision("c1", "2+", given="1+"))
    assert second.before == "3+"
    (row,) = log.entries().query("number == 2").to_dict("records")
    assert row["reader"] == "A"
    assert row["before"] == "3+"
    assert row["undoes"] is None


def test_undo_is_an_entry_and_goes_back_step_by_step(log):
    assert log.undo("first") is None
    log.decide("first", decision("c1", "0"))
    log.decide("first", decision("c2", "1+"))
    log.decide("first", decision("c1", "3+"))
    undone = log.undo("first")
    assert (undone.action, undone.undoes, undone.cell_id, undone.before, undone.after) == (
        "undo",
        3,
        "c1",
        "3+",
        "0",
    )
    assert log.standing("first") == {("s1", "c1"): "0", ("s1", "c2"): "1+"}
    assert log.undo("first").undoes == 2
    assert log.undo("first").after is None
    assert log.undo("first") is None
    assert log.standing("first") == {}
    assert len(log.entries()) == 6


def test_undo_stays_in_its_round(log):
    log.decide("first", decision("c1"))
    assert log.undo("second") is None
    assert log.standing("first") == {("s1", "c1"): "2+"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.one_of(st.tuples(st.sampled_from("abc"), st.sampled_from(LABELS)), st.none()), max_size=14)
)
def test_what_stands_is_what_a_stack_would_hold(steps):
    with tempfile.TemporaryDirectory() as folder:
        with ReviewLog.create(Path(folder, "A.sqlite"), reader="A", review_id="r") as log:
            stack = []
            for step in steps:
                if step is None:
                    log.undo("first")
                    stack = stack[:-1]
                else:
                    log.decide("first", decision(*step))
                    stack.append(step)
            assert log.standing("first") == {("s1", cell): label for cell, label in stack}
        with ReviewLog.open(Path(folder, "A.sqlite")) as again:
            assert again.standing("first") == {("s1", cell): label for cell, label in stack}


def test_several_decisions_are_added_all_or_none(log):
    def decisions():
        yield decision("c1")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        log.decide_all("first", decisions())
    assert log.entries().empty


def test_a_closed_round_takes_nothing_more_and_the_next_does(log):
    log.decide("first", decision("c1"))
    log.close_round("first")
    log.close_round("first")
    with pytest.raises(ReviewError, match="the first round is closed; decide in the next round"):
        log.decide("first", decision("c2"))
    with pytest.raises(ReviewError, match="closed"):
        log.undo("first")
    log.decide("second", decision("c2"))
    assert len(log.entries()) == 2


def test_rows_cannot_be_changed_or_removed(log):
    log.decide("first", decision("c1"))
    log.close()
    with sqlite3.connect(log.path) as db:
        for words in ("UPDATE decisions SET after = '0'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="rows are only added"):
                db.execute(words)
    db.close()


def test_a_row_changed_behind_the_triggers_back_is_found(log):
    for cell in "abc":
        log.decide("first", decision(cell))
    log.close()
    db = sqlite3.connect(log.path)
    db.execute("DROP TRIGGER no_change")
    db.execute("UPDATE decisions SET after = '0' WHERE number = 2")
    db.commit()
    db.close()
    with (
        ReviewLog.open(log.path) as changed,
        pytest.raises(ReviewError, match="entry 2 was changed after it was"),
    ):
        changed.entries()


def test_another_thread_may_write(log):
    """JupyterLab answers a widget in a thread of its own."""
    threads = [threading.Thread(target=log.decide, args=("first", decision(f"c{i}"))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.standing("first")) == 4
    assert log.entries()["number"].tolist() == [1, 2, 3, 4]


def test_two_open_logs_of_one_file_take_turns(log):
    with ReviewLog.open(log.path) as other:
        for i in range(6):
            (log if i % 2 else other).decide("first", decision("c1", LABELS[i % 4]))
        assert log.entries()["before"].tolist() == [None, *log.entries()["after"].tolist()[:-1]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: decision("c", "4+"),
            "label='4\\+' is not known; use one of 0, 1\\+, 2\\+, 3\\+, not tumour",
        ),
        (lambda: decision("c", given="positive"), "given='positive' is not known"),
        (lambda: decision("c", reason="x" * (MAX_REASON + 1)), "reason has 501 characters; use at most 500"),
        (lambda: check_reader("  "), "reader '' cannot be an id"),
        (lambda: check_reader("../A"), "cannot be an id; use 1 to 40 letters"),
        (lambda: check_reader("A" * 41), "cannot be an id"),
    ],
)
def test_arguments_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_logs_that_cannot_be_used_are_named(log, tmp_path):
    log.decide("first", decision("c1"))
    log.close()
    text, future = tmp_path / "t.sqlite", tmp_path / "f.sqlite"
    text.write_text("no database at all " * 9)
    shutil.copy(log.path, future)
    for path, words in (
        (future, f"PRAGMA user_version = {SCHEMA + 1}"),
        (tmp_path / "o.sqlite", "CREATE TABLE x (y)"),
    ):
        db = sqlite3.connect(path)
        db.execute(words)
        db.commit()
        db.close()
    cases = {
        "t.sqlite": "no review log, or a damaged one",
        "f.sqlite": f"is a log of version {SCHEMA + 1}, and this her2kit reads version {SCHEMA}",
        "o.sqlite": "is no review log; name the .sqlite file of a reader",
        "missing.sqlite": "no such log; correct the path",
        "A.db": "a log ends in .sqlite",
    }
    for name, words in cases.items():
        with pytest.raises(ReviewError, match=words) as caught:
            ReviewLog.open(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ReviewError, match="is the log of A, not of B"):
        ReviewLog.open(log.path, reader="B")
    with pytest.raises(ReviewError, match="belongs to another review"):
        ReviewLog.open(log.path, review_id="other")
    with pytest.raises(ReviewError, match="is there already"):
        ReviewLog.create(log.path, reader="A", review_id="r")
    with pytest.raises(ReviewError, match="no folder"):
        ReviewLog.create(tmp_path / "none" / "A.sqlite", reader="A", review_id="r")
    with pytest.raises(ReviewError, match="closed"):
        log.decide("first", decision("c2"))


def test_a_folder_that_cannot_be_written_to_takes_nothing_and_loses_nothing():
    folder = Path(tempfile.mkdtemp())
    path = folder / "A.sqlite"
    try:
        with ReviewLog.create(path, reader="A", review_id="r") as log:
            log.decide("first", decision("c1"))
        path.chmod(0o444)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:  # to root nothing is read-only
            os.seteuid(65534)
        try:
            with ReviewLog.open(path) as log:
                with pytest.raises(
                    ReviewError, match="cannot be written to; put the review where you may write"
                ):
                    log.decide("first", decision("c2"))
                assert list(log.standing("first")) == [("s1", "c1")]
            with pytest.raises(ReviewError, match="cannot be written to"):
                ReviewLog.create(folder / "B.sqlite", reader="B", review_id="r")
        finally:
            if root:
                os.seteuid(0)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


READER = """
import sys
from her2kit.labels.review_log import LABELS, Decision, ReviewLog
log = ReviewLog.open(sys.argv[1])
for i in range(int(sys.argv[2]), 10**6):
    entry = log.undo("first") if i % 7 == 6 else log.decide("first", Decision("s", f"c{i}", LABELS[i % 6]))
    print(entry.number, entry.action, entry.cell_id, entry.after, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path):
    """benchmarks/review.py does the same with a round of 1,000 decisions."""
    path, rng = tmp_path / "A.sqlite", random.Random(5)
    ReviewLog.create(path, reader="A", review_id="r").close()
    seen = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", READER, str(path), str(len(seen))], stdout=subprocess.PIPE, text=True
        )
        told = [process.stdout.readline() for _ in range(rng.randint(3, 12))]
        process.kill()
        seen += [line.split(maxsplit=2) for line in told + process.stdout.readlines() if line.endswith("\n")]
        process.wait()
        process.stdout.close()
        with ReviewLog.open(path) as log:
            rows = log.entries()
        kept = [[str(r.number), r.action, f"{r.cell_id} {r.after}\n"] for r in rows.itertuples()]
        assert kept[: len(seen)] == seen
        assert len(kept) - len(seen) <= 1  # on disk, and killed before it could say so
        seen = kept
    assert len(seen) >= 9
