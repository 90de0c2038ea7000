"""Datasets fetched, checked, verified and cleared; on a real server, a mirror folder, or by hand."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from broken_server import serving

from her2kit.errors import FetchError
from her2kit.learning.fetch import CannotFetch, LicenceNotAccepted, fetch, in_words
from her2kit.learning.registry import DATASETS, Dataset, File, find
from her2kit.learning.store import Store, sha256_of

HOW = {"accept_licence": True, "mirror": "", "pause": 0.0, "timeout": (2, 2)}


def zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return held.getvalue()


ARCHIVE = zipped(train__a=b"picture" * 200_000, train__b=b"x", test__c=b"y")
TABLE = b"name,label\na,1\n"


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def told():
    return []


@pytest.fixture
def small(server):
    """Return a dataset of an archive and a table on the server; no hash of either is known."""
    urls = {n: server.put(f"/files/{n}", c) for n, c in (("pictures.zip", ARCHIVE), ("t/table.csv", TABLE))}
    files = tuple(File(name, url, about=1000) for name, url in urls.items())
    return Dataset("small", "A small one", f"{server.url}/page", "CC BY 4.0", "Somebody 2025", files)


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_dataset_arrives_unpacked(small, tmp_path, told):
    home = fetch(small, tmp_path, tell=told.append, **HOW)
    assert home == tmp_path / "small"
    assert files_of(home) == {
        "train/a": b"picture" * 200_000, "train/b": b"x", "test/c": b"y", "t/table.csv": TABLE,
    }  # fmt: skip
    assert Store(small, tmp_path).state == "fetched"
    assert Store(small, tmp_path).verify() == []
    assert any("table.csv: no published hash is known; its sha256" in line for line in told)
    assert not list(tmp_path.glob(".*"))


def test_the_second_call_fetches_nothing(small, server, tmp_path):
    fetch(small, tmp_path, **HOW)
    asked = len(server.asked)
    fetch(small, tmp_path, **HOW)
    assert len(server.asked) == asked


def test_the_licence_is_accepted_once(small, server, tmp_path):
    with pytest.raises(
        LicenceNotAccepted, match=r"small is under CC BY 4.0; read http.*pass --accept-licence"
    ):
        fetch(small, tmp_path, **HOW | {"accept_licence": False})
    assert server.asked == []
    server.files.pop("/files/t/table.csv")
    with pytest.raises(FetchError):
        fetch(small, tmp_path, **HOW)
    server.put("/files/t/table.csv", TABLE)
    fetch(small, tmp_path, **HOW | {"accept_licence": False})


def test_a_changed_licence_is_asked_for_again(small, tmp_path):
    Store(small, tmp_path).accept()
    other = Dataset("small", small.title, small.page, "non-commercial", small.citation, small.files)
    with pytest.raises(LicenceNotAccepted, match="non-commercial"):
        fetch(other, tmp_path, **HOW | {"accept_licence": False})


def test_a_broken_fetch_goes_on_and_leaves_no_half_dataset(small, server, tmp_path):
    server.put("/files/pictures.zip", ARCHIVE, breaks=99, at=400_000, ranges=False)
    with pytest.raises(CannotFetch, match="broke off after 400000 of"):
        fetch(small, tmp_path, **HOW)
    assert Store(small, tmp_path).state == "absent"
    server.put("/files/pictures.zip", ARCHIVE)
    fetch(small, tmp_path, **HOW)
    assert server.ranges("/files/pictures.zip")[-1] == "bytes=400000-"
    assert Store(small, tmp_path).verify() == []


def test_the_first_hash_is_remembered_even_when_the_files_are_gone(small, server, tmp_path):
    fetch(small, tmp_path, **HOW)
    Store(small, tmp_path).clear()
    server.put("/files/t/table.csv", TABLE + b"b,0\n")
    with pytest.raises(FetchError, match=r"table.csv: is not the file that was published.*hashes.json"):
        fetch(small, tmp_path, **HOW)
    assert not (tmp_path / "downloads/small/t/table.csv").exists()


def test_a_wrong_file_is_thrown_away(small, server, tmp_path):
    known = Dataset(
        "small", "", "page", "CC0", "", (File("a.csv", server.put("/a", b"evil"), sha256="0" * 64),)
    )
    with pytest.raises(CannotFetch, match="its sha256 is not 0000"):
        fetch(known, tmp_path, **HOW)
    assert not (tmp_path / "small").exists()
    assert list((tmp_path / "downloads/small").glob("a.csv*")) == []


def test_a_record_gives_size_and_md5(server, tmp_path, told):
    import hashlib

    record = [{"key": "t.csv", "size": len(TABLE), "checksum": f"md5:{hashlib.md5(TABLE).hexdigest()}"}]
    dataset = Dataset(
        "zen", "", "page", "CC0", "", (File("t.csv", f"{server.url}/t"),), record=f"{server.url}/api"
    )
    server.put("/api", json.dumps({"files": record}).encode(), kind="application/json")
    server.put("/t", TABLE.replace(b"1", b"0"))
    with pytest.raises(FetchError, match="its md5 is not"):
        fetch(dataset, tmp_path, **HOW)
    server.put("/t", TABLE + b"longer")
    with pytest.raises(FetchError, match=f"is {len(TABLE) + 6} bytes long, not {len(TABLE)}"):
        fetch(dataset, tmp_path, **HOW)
    server.put("/t", TABLE)
    fetch(dataset, tmp_path, tell=told.append, **HOW)
    assert any("its MD5 is the published one" in line for line in told)


def test_a_record_that_cannot_be_read_is_said(server, tmp_path, told):
    file = File("t.csv", server.put("/t", TABLE))
    for answer in (b"[]", b"no json", b'{"files": [1]}'):
        dataset = Dataset(f"zen{len(answer)}", "", "page", "CC0", "", (file,), server.put("/api", answer))
        fetch(dataset, tmp_path, tell=told.append, **HOW)
    assert sum("sizes and MD5 are not known" in line for line in told) == 3


def test_a_mirror_folder_goes_first(small, server, tmp_path):
    for file, content in zip(small.files, (ARCHIVE, TABLE), strict=True):
        place = tmp_path / "mirror/small" / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    fetch(small, tmp_path / "data", **HOW | {"mirror": str(tmp_path / "mirror")})
    assert server.asked == []
    assert files_of(tmp_path / "mirror/small").keys() == {"pictures.zip", "t/table.csv"}


def test_a_mirror_address_goes_first_and_the_source_helps_out(small, server, tmp_path, told):
    server.put("/m/small/pictures.zip", ARCHIVE)
    fetch(small, tmp_path, tell=told.append, **HOW | {"mirror": f"{server.url}/m/"})
    asked = [path for path, _ in server.asked]
    assert asked == ["/m/small/pictures.zip", "/m/small/t/table.csv", "/files/t/table.csv"]
    assert any("/m/small/t/table.csv: the server has no such file" in line for line in told)


def test_a_mirror_with_the_wrong_file_is_passed_over(small, server, tmp_path, told):
    dataset = Dataset("small", "", "page", "CC0", "", (
        File("t.csv", server.put("/t", TABLE), sha256=hash_of(TABLE)),
    ))  # fmt: skip
    server.put("/m/small/t.csv", b"stale")
    fetch(dataset, tmp_path, tell=told.append, **HOW | {"mirror": f"{server.url}/m"})
    assert (tmp_path / "small/t.csv").read_bytes() == TABLE
    assert any("/m/small/t.csv: is not the file that was published" in line for line in told)


def hash_of(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("mirror", ["/no/such/folder", "ftp://mirror", "mirror.example.org"])
def test_a_mirror_that_is_none(small, tmp_path, mirror):
    with pytest.raises(ValueError, match=r"HER2KIT_MIRROR=.* is no folder and no http"):
        fetch(small, tmp_path, **HOW | {"mirror": mirror})


def test_a_closed_network_says_which_files_to_place_where_and_takes_them(small, tmp_path, told):
    with serving() as gone:
        address = gone.url
    files = tuple(File(f.name, f"{address}/{f.name}") for f in small.files)
    closed = Dataset("small", "", "https://page", "CC0", "", files)
    with pytest.raises(CannotFetch, match=r"cannot be reached.*get it from https://page") as caught:
        fetch(closed, tmp_path, **HOW)
    assert [f.name for f in caught.value.files] == ["pictures.zip", "t/table.csv"]
    folder = caught.value.folder
    assert folder == (tmp_path / "downloads/small").resolve()
    for name, content in (("pictures.zip", ARCHIVE), ("t/table.csv", TABLE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    fetch(closed, tmp_path, tell=told.append, **HOW)
    assert Store(closed, tmp_path).verify() == []


def test_a_placed_file_that_is_not_the_published_one_is_replaced(server, tmp_path, told):
    file = File("t.csv", server.put("/t", TABLE), sha256=hash_of(TABLE))
    dataset = Dataset("small", "", "page", "CC0", "", (file,))
    (tmp_path / "downloads/small").mkdir(parents=True)
    (tmp_path / "downloads/small/t.csv").write_bytes(b"half")
    fetch(dataset, tmp_path, tell=told.append, **HOW)
    assert (tmp_path / "small/t.csv").read_bytes() == TABLE
    assert any("t.csv: its sha256 is not" in line for line in told)


def test_archives_whose_names_nobody_knows_are_taken_from_where_they_are_placed(tmp_path):
    dataset = Dataset("hand", "", "https://page", "CC0", "")
    with pytest.raises(CannotFetch, match="it is placed by hand; get it from https://page"):
        fetch(dataset, tmp_path, **HOW)
    (tmp_path / "m/hand").mkdir(parents=True)
    (tmp_path / "m/hand/two.zip").write_bytes(zipped(two=b"2"))
    (tmp_path / "downloads/hand/one.zip").write_bytes(zipped(one=b"1"))
    home = fetch(dataset, tmp_path, **HOW | {"mirror": str(tmp_path / "m")})
    assert files_of(home) == {"one": b"1", "two": b"2"}


def test_a_file_that_may_be_missing(small, tmp_path, told):
    more = File("extra.csv", small.files[0].url + "x", optional=True)
    dataset = Dataset("small", "", "page", "CC0", "", (*small.files, more))
    fetch(dataset, tmp_path, tell=told.append, **HOW)
    assert any("extra.csv is not offered there; going on without it" in line for line in told)


def test_a_full_disk_is_seen_before_anything_is_fetched(small, server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 10**6, 3999)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        FetchError, match=r"small needs 4 kB for the files and what comes out of them, 4 kB are"
    ):
        fetch(small, tmp_path, **HOW)
    assert server.asked == []


def test_two_fetches_of_one_dataset_do_not_write_into_one_file(small, tmp_path):
    from filelock import FileLock

    Store(small, tmp_path).accept()
    with (
        FileLock(tmp_path / "downloads/small/.lock"),
        pytest.raises(FetchError, match="is being fetched by another process"),
    ):
        fetch(small, tmp_path, **HOW)


def test_a_damaged_archive_leaves_no_dataset_and_no_hash(small, server, tmp_path):
    server.put("/files/pictures.zip", ARCHIVE[:-200])
    with pytest.raises(FetchError, match=r"pictures.zip: is damaged or no zip"):
        fetch(small, tmp_path, **HOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["downloads"]
    server.put("/files/pictures.zip", ARCHIVE)
    fetch(small, tmp_path, **HOW)
    assert Store(small, tmp_path).verify() == []


def test_a_folder_of_ones_own_is_used_never_touched(small, server, tmp_path, told):
    (tmp_path / "small").mkdir()
    (tmp_path / "small/mine").write_text("mine")
    assert fetch(small, tmp_path, tell=told.append, **HOW) == tmp_path / "small"
    assert server.asked == []
    with pytest.raises(FetchError, match="was not fetched, so it is not removed"):
        Store(small, tmp_path).clear()
    assert (tmp_path / "small/mine").exists()


def test_verify_names_what_is_missing_or_changed(small, tmp_path):
    home = fetch(small, tmp_path, **HOW)
    (home / "train/a").write_bytes(b"Picture" * 200_000)
    (home / "train/b").unlink()
    (home / "test/c").write_bytes(b"yy")
    (tmp_path / "downloads/small/t/table.csv").write_bytes(TABLE.upper())
    wrong = Store(small, tmp_path).verify()
    assert [line.removeprefix(str(tmp_path)) for line in wrong] == [
        "/downloads/small/t/table.csv: has changed (its sha256 is not the recorded one)",
        "/small/train/a: has changed (its sha256 is not the recorded one)",
        "/small/train/b: is missing",
        "/small/test/c: has 2 bytes, not 1",
    ]


def test_clear_removes_what_came_and_nothing_else(small, tmp_path):
    home = fetch(small, tmp_path, **HOW)
    (home / "train/notes.txt").write_text("mine")
    (tmp_path / "other").mkdir()
    done = Store(small, tmp_path).clear()
    assert done.left == [home]
    assert files_of(home) == {"train/notes.txt": b"mine"}
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["hashes.json", "notes.txt"]
    assert (tmp_path / "other").is_dir()


def test_clear_does_not_follow_links(small, tmp_path):
    home = fetch(small, tmp_path, **HOW)
    elsewhere = tmp_path.parent / f"{tmp_path.name}_elsewhere"
    shutil.move(home / "train", elsewhere)
    (home / "train").symlink_to(elsewhere)
    Store(small, tmp_path).clear()
    assert {p.name for p in elsewhere.iterdir()} == {"a", "b"}
    shutil.rmtree(home)
    home.symlink_to(elsewhere)
    with pytest.raises(FetchError, match="is a link to"):
        Store(small, tmp_path).clear()
    assert {p.name for p in elsewhere.iterdir()} == {"a", "b"}


def test_clear_believes_no_note_that_leads_outside(small, tmp_path):
    home = fetch(small, tmp_path, **HOW)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine").write_text("mine")
    notes = Store(small, tmp_path).downloads / "contents.csv"
    notes.write_text(notes.read_text() + "../other/mine,4,0\n")
    Store(small, tmp_path).clear()
    assert (tmp_path / "other/mine").exists()
    assert not home.exists()


def test_damaged_notes_are_one_clear_line(small, tmp_path):
    fetch(small, tmp_path, **HOW)
    store = Store(small, tmp_path)
    (store.downloads / "contents.csv").write_text("path,size\na,b\n")
    with pytest.raises(FetchError, match=r"contents.csv is damaged; remove it and"):
        store.verify()
    for text in ("{", "[]", '{"small/pictures.zip": "x"}', '{"small/pictures.zip": {}}'):
        store.ledger.write_text(text)
        with pytest.raises(FetchError, match=r"hashes.json is damaged"):
            store.remembered("pictures.zip")


def test_what_is_fetched_is_what_its_loader_reads(tmp_path):
    """Both variants of her2-ihc-40x, as nested zips in a mirror's folder."""
    from her2kit.learning.datasets.fixtures import write_her2_ihc_40x
    from her2kit.learning.datasets.her2_ihc_40x import load

    for variant in ("slide-split", "patch-split"):
        write_her2_ihc_40x(tmp_path / variant, variant=variant, zipped=True)
        for archive in (tmp_path / variant).rglob("her2-ihc-40x-*.zip"):
            (tmp_path / "m/her2-ihc-40x").mkdir(parents=True, exist_ok=True)
            archive.rename(tmp_path / "m/her2-ihc-40x" / archive.name)
    files = tuple(File(f.name) for f in find("her2-ihc-40x").files)
    dataset = Dataset("her2-ihc-40x", "", "page", "CC0", "", files)
    home = fetch(dataset, tmp_path / "data", **HOW | {"mirror": str(tmp_path / "m")})
    for variant in ("slide-split", "patch-split"):
        assert len(load(home, variant=variant).table) == 24


def test_the_registry_is_whole():
    assert {"her2-ihc-40x", "bci", "mihic", "ignite", "bozeklab-her2-tma", "acrobat"} <= DATASETS.keys()
    for key, dataset in DATASETS.items():
        assert key == dataset.key
        assert all([dataset.title, dataset.licence, dataset.citation])
        assert dataset.page.startswith("https://")
        names = [f.name for f in dataset.files]
        assert len(set(names)) == len(names)
        for file in dataset.files:
            assert not file.url or file.url.startswith("https://")
            assert not file.sha256 or len(bytes.fromhex(file.sha256)) == 32
            assert ".." not in file.name
    with pytest.raises(ValueError, match="no dataset is called 'BIC'; did you mean bci"):
        find("BIC")


def test_known_hashes_are_those_of_the_real_files(real):
    wanted = {Path(f.name).name: f.sha256 for d in DATASETS.values() for f in d.files if f.sha256}
    found = {p.name: sha256_of(p) for p in real.glob("her2_tma/*.jpg")}
    found["CMU-1-Small-Region.svs"] = sha256_of(real / "wsi/cmu-1-small-region.svs")
    assert found == {name: wanted[name] for name in found}


def test_sizes_in_words():
    assert [in_words(n) for n in (1, 999, 1000, 1_938_955, 7.6e9, 1.2e12)] == [
        "1 bytes", "999 bytes", "1 kB", "1.94 MB", "7.6 GB", "1,200.0 GB",
    ]  # fmt: skip


def her2kit(*words, cwd, **variables) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "her2kit.cli", "data", *map(str, words)],
        capture_output=True, text=True, cwd=cwd, timeout=120, stdin=subprocess.DEVNULL,
        env=os.environ | {"HER2KIT_MIRROR": "", "PYTHONPATH": str(Path(__file__).parents[2])} | variables,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_the_command_from_a_mirror_to_clear(real, tmp_path):
    (tmp_path / "m/cmu-1-small-region").mkdir(parents=True)
    shutil.copy(real / "wsi/cmu-1-small-region.svs", tmp_path / "m/cmu-1-small-region/CMU-1-Small-Region.svs")
    call = ["fetch", "cmu-1-small-region"]
    told = her2kit(*call, cwd=tmp_path)
    assert told.returncode == 2
    assert "licence:  CC0" in told.stderr
    assert told.stderr.splitlines()[-1].endswith("then pass --accept-licence")
    done = her2kit(*call, "--accept-licence", cwd=tmp_path, HER2KIT_MIRROR=str(tmp_path / "m"))
    assert (done.returncode, done.stdout) == (0, "data/cmu-1-small-region\n"), done.stderr
    assert "cmu-1-small-region   fetched" in her2kit("list", cwd=tmp_path).stdout
    shown = her2kit("verify", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (0, "cmu-1-small-region: 1 files are as they came\n")
    (tmp_path / "data/cmu-1-small-region/CMU-1-Small-Region.svs").write_bytes(b"")
    shown = her2kit("verify", "cmu-1-small-region", cwd=tmp_path)
    assert shown.returncode == 1
    assert "has 0 bytes, not 1938955" in shown.stdout
    cleared = her2kit("clear", "cmu-1-small-region", cwd=tmp_path)
    assert cleared.returncode == 0
    assert not (tmp_path / "data/cmu-1-small-region").exists()
    assert her2kit("clear", "cmu-1-small-region", cwd=tmp_path).stdout.startswith(
        "cmu-1-small-region: 0 files"
    )


def test_the_command_without_a_network_lists_what_to_place(tmp_path):
    done = her2kit("fetch", "bci", "--accept-licence", cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[-1] == f"  place BCI_dataset.zip in {tmp_path}/data/downloads/bci"
    (tmp_path / "data/downloads/bci/BCI_dataset.zip").write_bytes(zipped(BCI_dataset__HE__a=b"a"))
    done = her2kit("fetch", "bci", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data/bci/BCI_dataset/HE/a").is_file()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["fetch", "her2"], 2, "no dataset is called 'her2'"),
        (["fetch", "../x", "--accept-licence"], 2, "no dataset is called '../x'; use one of"),
        (["clear", ".."], 2, "no dataset is called '..'"),
        (["verify", "mihic"], 1, "mihic: not here, nothing to verify; her2kit data fetch mihic"),
        (["list", "nope"], 2, "no dataset is called 'nope'"),
    ],
)
def test_wrong_calls_are_one_line(tmp_path, words, status, said):
    (tmp_path / "taken").write_text("a file")
    done = her2kit(*words, cwd=tmp_path)
    assert done.returncode == status
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("her2kit: ")]
    assert said in line
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(
    "command", [["list"], ["verify"], ["clear", "bci"], ["fetch", "bci", "--accept-licence"]]
)
def test_a_file_is_no_data_folder(tmp_path, command):
    (tmp_path / "taken").write_text("a file")
    done = her2kit(*command, "--data", "taken", cwd=tmp_path)
    assert done.returncode == 2
    assert "'taken' is a file" in " ".join(done.stderr.split())


def test_a_mirror_that_is_none_is_a_wrong_call(tmp_path):
    done = her2kit("fetch", "bci", "--accept-licence", cwd=tmp_path, HER2KIT_MIRROR="/no/where")
    assert done.returncode == 2
    assert "HER2KIT_MIRROR='/no/where' is no folder" in done.stderr
