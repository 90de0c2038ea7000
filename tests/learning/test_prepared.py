"""Kept intermediates: keyed by content, made once even by two processes, whole, bounded."""

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from her2kit.errors import SlideError
from her2kit.learning import prepared
from her2kit.learning.prepared import Prepared


@dataclass(frozen=True)
class Options:
    mpp: float
    window: tuple[int, int] = (3, 5)


@pytest.fixture
def slide(tmp_path) -> Path:
    path = tmp_path / "slide.tif"
    path.write_bytes(os.urandom(5000))
    return path


@pytest.fixture
def store(tmp_path) -> Prepared:
    return Prepared(tmp_path / "kept")


class Maker:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.calls += 1
        return {"mask": np.eye(self.calls + 3, dtype=bool), "mpp": 8.0, "names": np.array(["a", "bc"])}


def test_the_second_time_it_is_there(store, slide):
    make = Maker()
    first = store.get(slide, "tissue", {"mpp": 8}, make)
    second = store.get(slide, "tissue", {"mpp": 8}, make)
    assert make.calls == 1
    assert first.keys() == second.keys() == {"mask", "mpp", "names"}
    for name in first:
        assert second[name].dtype == first[name].dtype
        assert np.array_equal(second[name], first[name])


def test_the_key_is_the_content_and_nothing_of_place_name_or_date(store, slide, tmp_path):
    make = Maker()
    store.get(slide, "tissue", {"mpp": 8}, make)
    copy = shutil.copy(slide, tmp_path / "renamed.svs")
    os.utime(copy, (1, 1))
    store.get(copy, "tissue", {"mpp": 8.0}, make)
    assert make.calls == 1
    changed = bytearray(slide.read_bytes())
    changed[2500] ^= 1
    slide.write_bytes(changed)
    store.get(slide, "tissue", {"mpp": 8}, make)
    assert make.calls == 2


@pytest.mark.parametrize(
    ("step", "parameters"),
    [("tiles", {"mpp": 8}), ("tissue", {"mpp": 4}), ("tissue", {}), ("tissue", {"mpp": 8, "seed": 0})],
)
def test_another_step_or_parameter_is_another_entry(store, slide, step, parameters):
    make = Maker()
    store.get(slide, "tissue", {"mpp": 8}, make)
    store.get(slide, step, parameters, make)
    assert make.calls == 2


def test_another_version_of_the_package_makes_it_anew(store, slide, monkeypatch):
    make = Maker()
    store.get(slide, "tissue", {}, make)
    monkeypatch.setattr(prepared, "__version__", "99.0")
    store.get(slide, "tissue", {}, make)
    assert make.calls == 2


def test_parameters_may_be_nested_and_in_any_order(store, slide):
    path = store.path(slide, "s", {"a": Options(0.25), "b": [1, 2.5], "c": {"x": None, "y": True}})
    assert path == store.path(
        slide, "s", {"c": {"y": True, "x": None}, "b": (1, 2.5), "a": Options(np.float64(0.25))}
    )
    assert path != store.path(slide, "s", {"a": Options(0.26), "b": [1, 2.5], "c": {"x": None, "y": True}})


def test_what_fails_leaves_nothing_and_a_damaged_entry_is_made_again(store, slide):
    make = Maker()
    with pytest.raises(ZeroDivisionError):
        store.get(slide, "tissue", {}, lambda: {"x": np.zeros(3), "y": 1 / 0})
    with pytest.raises(ValueError, match="array 'x' holds object; give numbers"):
        store.get(slide, "tissue", {}, lambda: {"x": np.array([None])})
    with pytest.raises(ValueError, match=r"'file'.* under another name"):
        store.get(slide, "tissue", {}, lambda: {"file": np.zeros(3)})
    assert store.size == store.clear() == 0
    assert not any(store.folder.iterdir())
    store.get(slide, "tissue", {}, make)
    path = store.path(slide, "tissue", {})
    path.write_bytes(path.read_bytes()[:200])
    store.get(slide, "tissue", {}, make)
    assert make.calls == 2
    store.get(slide, "tissue", {}, make)
    assert make.calls == 2


def test_the_longest_unused_goes_first(tmp_path, slide):
    store = Prepared(tmp_path / "kept", max_bytes=25_000)
    made = []

    def get(n: int) -> None:
        store.get(slide, "tile", {"n": n}, lambda: made.append(n) or {"x": np.zeros(1000)})
        path = store.path(slide, "tile", {"n": n})
        os.utime(path, (tick := 1_000_000 + len(used), tick))
        used.append(n)

    used: list[int] = []
    for n in (0, 1, 2, 0, 3):  # of 8.3 kB each; 0 was used since 1
        get(n)
        assert store.size <= 25_000
    get(0)
    get(1)
    assert made == [0, 1, 2, 3, 1]


def test_an_entry_larger_than_the_store_is_handed_over_and_not_kept(tmp_path, slide):
    store = Prepared(tmp_path / "kept", max_bytes=100)
    assert store.get(slide, "tile", {}, lambda: {"x": np.ones(1000)})["x"].sum() == 1000
    assert store.size == 0


def test_clear_removes_what_is_its_own(store, slide):
    store.get(slide, "tissue", {}, Maker())
    mine = store.folder / "notes.npz"
    mine.write_bytes(b"x")
    size = store.size
    assert size > 0
    assert store.clear() == size
    assert [p.name for p in store.folder.iterdir()] == ["notes.npz"]
    assert Prepared(store.folder / "absent").clear() == 0


def test_two_processes_make_it_once(store, slide, tmp_path):
    code = textwrap.dedent("""
        import sys, time, numpy as np
        from her2kit.learning.prepared import Prepared
        folder, slide, log = sys.argv[1:]
        def make():
            open(log, "a").write("made\\n")
            time.sleep(0.4)
            return {"x": np.arange(5)}
        assert Prepared(folder).get(slide, "slow", {}, make)["x"].sum() == 10
    """)
    log = tmp_path / "log"
    command = [sys.executable, "-c", code, str(store.folder), str(slide), str(log)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    assert log.read_text().splitlines() == ["made"]


def test_wrong_arguments_are_named(store, slide, tmp_path):
    with pytest.raises(ValueError, match=r"parameters\['x'\] is a ndarray; give numbers"):
        store.get(slide, "tissue", {"x": np.zeros(3)}, Maker())
    with pytest.raises(ValueError, match="step='a/b'; give one word"):
        store.get(slide, "a/b", {}, Maker())
    with pytest.raises(ValueError, match="max_bytes=-1"):
        Prepared(tmp_path, max_bytes=-1)
    with pytest.raises(SlideError, match=r"absent\.tif: is no file; check the path"):
        store.get(tmp_path / "absent.tif", "tissue", {}, Maker())
