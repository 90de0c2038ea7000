"""Find a dataset's files: pictures, archives that still wait, what an operating system left there.

Names alone are looked at, so that 310,000 tiles take seconds; ``Dataset.verify`` opens them.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from her2kit.errors import DatasetError, SlideError
from her2kit.learning.pictures import picture_size
from her2kit.learning.unpack import unpack

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
SPLITS = {
    **{"train": "train", "training": "train", "test": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
"""What folders that hold a part of a dataset are called, and the part that each is."""
_JUNK = ("thumbs.db", "desktop.ini", ".ds_store")


@dataclass(frozen=True, slots=True)
class Found:
    """The files below a folder."""

    folder: Path
    pictures: list[tuple[str, ...]]
    """Parts of each picture's path below the folder, sorted."""
    others: list[tuple[str, ...]]
    """The same of every other file."""
    left: list[tuple[str, str]]
    """(path, reason) of what no dataset holds: files that operating systems leave, empty files."""

    def path(self, parts: Iterable[str]) -> str:
        """Return the path of a file."""
        return os.path.join(self.folder, *parts)

    def named(self, ending: str) -> list[tuple[str, ...]]:
        """Return the other files whose name ends so, in any case."""
        return [parts for parts in self.others if parts[-1].lower().endswith(ending)]


def look_below(folder: str | os.PathLike) -> Found:
    """List the files below a folder.

    Raises
    ------
    DatasetError
        If the folder is missing, is a file, or holds no file at all.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DatasetError(f"{folder} {what}; give the folder of the dataset (her2kit data list shows it)")
    found = Found(folder, [], [], [])
    try:
        _list(found, (), frozenset([_identity(folder)]))
    except OSError as error:
        raise DatasetError(
            f"{error.filename}: cannot be read ({error.strerror}); check its rights"
        ) from error
    if not (found.pictures or found.others):
        raise DatasetError(
            f"{folder} holds no file; fetch the dataset (her2kit data fetch) or give its folder"
        )
    for files in (found.pictures, found.others, found.left):
        files.sort()
    return found


def _list(found: Found, place: tuple[str, ...], above: frozenset[tuple[int, int]]) -> None:
    """File what lies in a folder; ``above`` says which folders it lies in, since links may lead back."""
    with os.scandir(found.path(place)) as entries:
        for entry in entries:
            parts = (*place, entry.name)
            if entry.is_dir():
                this = _identity(entry.path)
                if entry.name != "__MACOSX" and not entry.name.startswith(".") and this not in above:
                    _list(found, parts, above | {this})
            elif entry.name.startswith("._") or entry.name.lower() in _JUNK:
                found.left.append((entry.path, "left by an operating system"))
            elif not entry.name.lower().endswith(ENDINGS):
                found.others.append(parts)
            elif not entry.is_file():
                found.left.append((entry.path, "link to a file that is not there"))
            elif entry.stat().st_size == 0:
                found.left.append((entry.path, "empty file"))
            else:
                found.pictures.append(parts)


def _identity(folder: str | os.PathLike) -> tuple[int, int]:
    about = os.stat(folder)
    return about.st_dev, about.st_ino


def unpack_waiting(found: Found) -> list[str]:
    """Unpack each zip that has no folder of its name beside it, and return their paths.

    Raises
    ------
    FetchError
        If an archive is unsafe or damaged; nothing of it is left.
    DatasetError
        If the folder cannot be written to.
    """
    done = []
    for parts in found.named(".zip"):
        archive = Path(found.path(parts))
        target = archive.with_suffix("")
        if target.exists():
            continue
        try:
            part = Path(tempfile.mkdtemp(dir=archive.parent, prefix=f".{archive.stem}-"))
            try:
                unpack(archive, part)
                part.chmod(0o755)
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        except OSError as error:
            raise DatasetError(
                f"{archive}: cannot be unpacked beside itself ({error.strerror}); unpack it by hand"
            ) from error
        done.append(str(archive))
    return done


def look_and_unpack(folder: str | os.PathLike, *, enough: Callable[[Found], bool]) -> tuple[Found, list[str]]:
    """List the files; where ``enough(found)`` says no, first unpack the archives that wait.

    Returns
    -------
    Found, list of str
        The files, and the archives that were unpacked.
    """
    found = look_below(folder)
    if enough(found) or not (done := unpack_waiting(found)):
        return found, []
    return look_below(folder), done


def check_first_pictures(paths: Iterable[str]) -> tuple[int, int]:
    """Read the heads of some pictures, at least one, and return the first one's (width, height).

    Raises
    ------
    DatasetError
        If one is no picture; the message names it.
    """
    sizes = []
    for path in paths:
        try:
            sizes.append(picture_size(path))
        except SlideError as error:
            raise DatasetError(str(error)) from error
    return sizes[0]


def named_like(parts: Iterable[str], words: Mapping[str, str]) -> str | None:
    """Return what belongs to the last part of a path that contains one of the words, in any case."""
    for part in reversed(list(parts)):
        for word, value in words.items():
            if word in part.lower():
                return value
    return None


def read_rows(path: str | os.PathLike, needed: Iterable[str]) -> pd.DataFrame:
    """Read a dataset's CSV as text, "" where empty; the index is the line in the file.

    Raises
    ------
    DatasetError
        If the file is not UTF-8 text with commas and these columns, or a line has too many fields.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not in UTF-8; save it as CSV (UTF-8)") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path} is not readable as CSV ({reason}); fetch it again") from error
    table.columns = table.columns.str.strip()
    if missing := [name for name in needed if name not in table]:
        if len(table.columns) == 1 and any(mark in table.columns[0] for mark in ";\t"):
            raise DatasetError(f"{path} separates its columns by semicolons or tabs; save it with commas")
        found = ", ".join(table.columns[:8])
        raise DatasetError(f"{path} has no column {missing[0]} (found: {found}); fetch it again")
    return table.set_axis(range(2, len(table) + 2))
