"""Archives of strangers: what is unpacked, and what is refused without a byte outside the folder."""

import hashlib
import io
import stat
import struct
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.errors import FetchError
from her2kit.learning.unpack import DEEPEST, unpack


def zipped(*members, compress=zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of (name or ZipInfo, content)."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compress) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return held.getvalue()


def unpacked(tmp_path: Path, content: bytes, **how):
    """Unpack into a folder beside a file that must stay as it is."""
    folder = tmp_path / "deep/folder"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "data.zip").write_bytes(content)
    return unpack(tmp_path / "data.zip", folder, **how), folder


def refused(tmp_path, content, words, **how):
    """Check that an archive is refused and that nothing lies outside the folder."""
    with pytest.raises(FetchError, match=words) as caught:
        unpacked(tmp_path, content, **how)
    assert "\n" not in str(caught.value)
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and "folder" not in p.parts]
    assert outside == [tmp_path / "data.zip"]
    return str(caught.value)


def test_files_come_out_with_their_hashes(tmp_path):
    files, folder = unpacked(tmp_path, zipped(("a/b.txt", b"one"), ("a/c.txt", b""), ("leer/", b"")))
    assert [(f.path, f.size) for f in files] == [("a/b.txt", 3), ("a/c.txt", 0)]
    assert files[0].sha256 == hashlib.sha256(b"one").hexdigest()
    assert (folder / "a/b.txt").read_bytes() == b"one"


def test_archives_inside_become_folders_of_their_names(tmp_path):
    """The layout of her2-ihc-40x."""
    inner = zipped(("class_1+/x.png", b"png"))
    whole = zipped(("Patch-based-dataset/train_data_patch.zip", inner), ("readme.txt", b"r"))
    files, folder = unpacked(tmp_path, whole)
    assert {f.path for f in files} == {
        "Patch-based-dataset/train_data_patch/class_1+/x.png",
        "readme.txt",
    }
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {
        f.path for f in files
    }


def test_what_a_mac_adds_is_left_out(tmp_path):
    files, _ = unpacked(
        tmp_path, zipped(("__MACOSX/._a", b""), ("d/._a", b""), ("d/.DS_Store", b""), ("a", b""))
    )
    assert [f.path for f in files] == ["a"]


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/etc/out", "..", "C:/out", "c:out", "a\\..\\..\\out", "..\\out", "x\x1b[2J"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_names_that_lead_outside_are_refused(tmp_path, name, nested):
    content = zipped(("good", b"g"), (name, b"bad"))
    words = refused(tmp_path, zipped(("inner.zip", content)) if nested else content, "would lie outside")
    assert repr(name) in words


def test_a_name_with_a_nul_is_refused(tmp_path):
    refused(tmp_path, zipped(("aQb", b"x")).replace(b"Q", b"\0"), "would lie outside")


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.sampled_from("ab/.\\:-~ "), min_size=1, max_size=12))
def test_no_name_gets_outside(tmp_path_factory, name):
    tmp_path = tmp_path_factory.mktemp("names")
    try:
        files, folder = unpacked(tmp_path, zipped((name, b"x")))
    except FetchError:
        files, folder = [], tmp_path / "deep/folder"
    there = {p for p in tmp_path.rglob("*") if p.is_file()} - {tmp_path / "data.zip"}
    assert there == {folder / f.path for f in files}
    assert all(p.resolve().is_relative_to(folder.resolve()) for p in there)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    member = zipfile.ZipInfo("link")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    refused(tmp_path, zipped((member, "/etc/passwd")), "member 'link' is a link or device")


def test_a_zip_bomb_is_refused_before_a_byte_is_written(tmp_path):
    bomb = zipped(("zeros", b"\0" * 200_000_000))
    assert len(bomb) < 1_000_000
    refused(tmp_path, bomb, "more than 67,108,864 bytes come out, a zip bomb")
    assert not any((tmp_path / "deep/folder").iterdir())


def test_bombs_inside_archives_are_counted_together(tmp_path):
    inner = zipped(("zeros", b"\0" * 1_000_000))
    whole = zipped(*[(f"{n}.zip", inner) for n in range(5)])
    refused(tmp_path, whole, "2.zip: more than 3,000,000 bytes", max_bytes=3_000_000)


def test_archives_too_deep_are_refused(tmp_path):
    content = zipped(("a", b"x"))
    for _ in range(DEEPEST):
        content = zipped(("in.zip", content))
    refused(tmp_path, content, f"more than {DEEPEST} deep")


def test_a_size_that_lies_is_noticed(tmp_path):
    content = bytearray(zipped(("a", b"x" * 5000), compress=zipfile.ZIP_STORED))
    directory = content.rindex(b"PK\1\2")
    content[directory + 24 : directory + 28] = struct.pack("<I", 100)
    refused(tmp_path, bytes(content), "data.zip: is damaged")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip at all", "data.zip: is damaged or no zip"),
        (b"", "data.zip: is damaged or no zip"),
        (zipped(("a", b"x" * 3000), compress=zipfile.ZIP_STORED).replace(b"xxx", b"yyy", 1), "Bad CRC-32"),
        (zipped(("a", b"1"), ("b", b"2")).replace(b"b", b"a"), "member 'a' stands there twice"),
        (zipped(("a", b"1"), ("a/b", b"2")), "two members want the place of a"),
        (zipped(("in.zip", b"no zip")), "data.zip, in.zip: is damaged or no zip"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, words):
    refused(tmp_path, content, words)


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    refused(tmp_path, zipped(("한" * 90 + ".png", b"x")), "has too long a name")


def test_a_password_is_asked_of_the_user_not_guessed(tmp_path):
    content = bytearray(zipped(("a", b"x")))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    refused(tmp_path, bytes(content), "member 'a' needs a password")


def test_a_full_disk_is_seen_before(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(100, 90, 10)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    refused(tmp_path, zipped(("a", b"x" * 11)), "11 bytes come out, 10 are free")


def test_no_file_is_replaced(tmp_path):
    unpacked(tmp_path, zipped(("a", b"1")))
    with pytest.raises(FetchError, match="two members want the place of a"):
        unpacked(tmp_path, zipped(("a", b"2")))
    assert (tmp_path / "deep/folder/a").read_bytes() == b"1"
