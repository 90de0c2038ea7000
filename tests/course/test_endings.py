"""What is said of a process that died and of a folder that cannot be written."""

import errno

import pytest

from her2kit.course.endings import cannot_write, how_it_ended, need_room


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (-9, "the kernel was killed (SIGKILL), most often because memory ran out; run fewer notebooks"),
        (-11, "the kernel was ended by SIGSEGV"),
        (-120, "the kernel was ended by signal 120"),
        (3, "the kernel ended by itself with status 3"),
        (0, "the kernel ended by itself"),
        (None, "the kernel ended by itself"),
    ],
)
def test_a_process_that_died_is_said_with_its_signal(status, said):
    words = how_it_ended("the kernel", status)
    assert words.startswith(said)
    assert ("memory" in words) == (status == -9)


@pytest.mark.parametrize(
    ("number", "next_step"),
    [
        (errno.ENOSPC, "make room, then go on with --resume"),
        (errno.EROFS, "give another --out, or the right to write there"),
        (errno.EACCES, "give another --out, or the right to write there"),
        (errno.ENOTDIR, "a file is where a folder should be: give another --out"),
    ],
)
def test_what_cannot_be_written_says_where_why_and_what_next(tmp_path, number, next_step):
    words = cannot_write(OSError(number, "why"), tmp_path)
    assert words == f"{tmp_path}: why; {next_step}"
    assert cannot_write(OSError(number, "why", "a.csv"), tmp_path) == f"a.csv: why; {next_step}"


def test_room_is_made_and_nothing_is_left(tmp_path):
    need_room(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    (tmp_path / "file").write_text("thesis")
    for folder in (tmp_path / "file", tmp_path / "file/runs"):
        with pytest.raises(ValueError, match=r"cannot write to .*file.*: give another --out"):
            need_room(folder)
    assert (tmp_path / "file").read_text() == "thesis"
