"""Fixtures that every room's tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real slides and pictures, or skip: they are not part of the product."""
    folder = Path(os.environ.get("HER2KIT_REAL", ROOT / "../shared/real")).resolve()
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no real pictures at {folder}; set HER2KIT_REAL to their folder")
    return folder


@pytest.fixture(scope="module")
def environment_kept() -> Iterator[None]:
    """Put the environment back when a module ends: a cluster of Dask's own leaves its threads in it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
