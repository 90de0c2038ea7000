"""Where compiled kernels go: numba's own places where they can be written to, else a folder for the run."""

import os
from pathlib import Path

import pytest

from her2kit import kernels


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """Stand in for a container: a read-only installation, and a home that is a file."""
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    package = Path(kernels.__file__).parent
    monkeypatch.setattr(kernels.os, "access", lambda path, mode: Path(path) != package)
    return tmp_path


def test_a_folder_for_the_run_where_there_is_none(read_only, monkeypatch):
    monkeypatch.setattr(kernels.tempfile, "tempdir", str(read_only))
    words = kernels.keep_kernels()
    assert "NUMBA_CACHE_DIR" in words
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == read_only
    assert kernels.keep_kernels() is None


def test_nothing_changes_where_the_home_can_be_written_to(read_only, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(read_only / "cache"))
    assert kernels.keep_kernels() is None
    assert "NUMBA_CACHE_DIR" not in os.environ
