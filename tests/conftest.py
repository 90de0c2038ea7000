"""Fixtures that every room's tests share."""

import os
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
