"""Files that appear together or not at all."""

import pytest

from her2kit.exchange.whole import whole_files


def test_files_replace_old_ones_and_leave_others(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("old")
    (folder / "notes.txt").write_text("mine")
    with whole_files(folder, last="one.txt") as part:
        (part / "one.txt").write_text("new")
        (part / "two.txt").write_text("new")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "one.txt": "new",
        "two.txt": "new",
        "notes.txt": "mine",
    }
    assert [p.name for p in folder.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_changes_nothing(tmp_path, error):
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "one.txt").write_text("old")

    def fill():
        with whole_files(folder, last="one.txt") as part:
            (part / "one.txt").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fill()
    assert [p.name for p in tmp_path.rglob("*")] == ["b", "one.txt"]
    assert (folder / "one.txt").read_text() == "old"


def test_an_error_makes_no_folder(tmp_path):
    def fail():
        with whole_files(tmp_path / "new", last="x"):
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fail()
    assert not list(tmp_path.iterdir())
