"""Files appear whole or not at all: write beside the place, then rename.

A reader never sees half a file, and an interrupted run leaves no file that looks finished.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    The parent folder is made. On an error the temporary file is removed and ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_files(folder: str | os.PathLike, *, last: str) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; move its files into ``folder`` when the block ends well.

    Files in ``folder`` of other names stay. On an error nothing in ``folder`` changes.

    Parameters
    ----------
    folder
        Made if it is missing.
    last
        The file whose presence says that all are there: the old one goes first, the new one comes last.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        yield part
        folder.mkdir(exist_ok=True)
        (folder / last).unlink(missing_ok=True)
        for file in sorted(part.iterdir(), key=lambda file: file.name == last):
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
