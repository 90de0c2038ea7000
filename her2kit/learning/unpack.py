"""Unpack zip archives from strangers: nothing outside the folder, no links, no more than was agreed.

Archives inside an archive become folders of their names. Every size is counted while it is written, since an
archive may lie about it. What a Mac adds (``__MACOSX``, ``._*``, ``.DS_Store``) is left out.
"""

import hashlib
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from her2kit.errors import FetchError

TIMES = 20
"""How many times its own size an archive may unpack to: pictures hardly shrink, tables and COCO about
tenfold; a zip bomb grows a thousandfold."""
ALWAYS_BYTES = 64 << 20
"""Bytes that any archive may unpack to, so that a small one of text passes."""
MOST_MEMBERS = 2_000_000
"""MIHIC, the largest, has 310,000."""
DEEPEST = 3
"""Archives within archives."""
LONGEST_NAME = 255
"""Bytes of a file's name that file systems hold."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One file that came out of an archive."""

    path: str
    """Below the folder, with ``/``."""
    size: int
    sha256: str


def unpack(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    max_bytes: int | None = None,
    progress: Callable[[int], Any] = lambda done: None,
) -> list[Unpacked]:
    """Unpack a zip into a folder and return its files.

    Unpack into a new folder and rename it afterwards: what an archive holds is known only at its end.

    Parameters
    ----------
    archive
        A zip; those inside it are unpacked too, each into a folder of its name without ``.zip``.
    folder
        An existing folder; no file in it is replaced.
    max_bytes
        Bytes that may come out in all; default `TIMES` the archive's, at least `ALWAYS_BYTES`.
    progress
        Told the bytes written so far.

    Raises
    ------
    FetchError
        If the archive is damaged, needs a password, holds a link, a name that leads out of the folder or the
        same name twice, would fill the disk, or grows beyond ``max_bytes``. The message names the member.
    """
    archive = Path(archive)
    if max_bytes is None:
        max_bytes = max(TIMES * archive.stat().st_size, ALWAYS_BYTES)
    run = _Run(Path(folder), max_bytes, progress)
    run.unpack(archive, archive.name, PurePosixPath(), depth=1)
    return run.files


@dataclass(slots=True)
class _Run:
    """What is counted over an archive and those inside it."""

    folder: Path
    max_bytes: int
    progress: Callable[[int], Any]
    written: int = 0
    members: int = 0
    files: list[Unpacked] = field(default_factory=list)

    def unpack(self, archive: Path, shown: str, below: PurePosixPath, *, depth: int) -> None:
        try:
            with zipfile.ZipFile(archive) as opened:
                members = [m for m in opened.infolist() if not m.is_dir() and not _of_a_mac(m.filename)]
                self._check(members, shown)
                for member in members:
                    place = below / member.filename
                    self._write(opened, member, place, shown)
                    if place.suffix.lower() == ".zip":
                        self._inner(place, f"{shown}, {member.filename}", depth)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            words = " ".join(str(error).split())
            raise FetchError(f"{shown}: is damaged or no zip ({words}); fetch it again") from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            wanted = Path(error.filename).name
            raise FetchError(f"{shown}: two members want the place of {wanted}; unpack it by hand") from error
        except (NotImplementedError, RuntimeError) as error:
            raise FetchError(f"{shown}: cannot be unpacked ({error}); unpack it by hand") from error

    def _inner(self, place: PurePosixPath, shown: str, depth: int) -> None:
        """Unpack an archive that came out of an archive, and remove it."""
        if depth == DEEPEST:
            raise FetchError(f"{shown}: archives lie more than {DEEPEST} deep; unpack it by hand")
        self.files.pop()
        inner = self.folder / place
        self.unpack(inner, shown, place.with_suffix(""), depth=depth + 1)
        inner.unlink()

    def _check(self, members: list[zipfile.ZipInfo], shown: str) -> None:
        """Look at every name and size before a byte is written."""
        self.members += len(members)
        if self.members > MOST_MEMBERS:
            raise FetchError(f"{shown}: holds more than {MOST_MEMBERS:,} files; that is no dataset of ours")
        seen: set[str] = set()
        for member in members:
            where = f"{shown}: member {member.filename!r}"
            name = PurePosixPath(member.orig_filename)
            if (
                name.is_absolute()
                or ".." in name.parts
                or re.search(r"\\|\0|^[A-Za-z]:", member.orig_filename)
                or not member.filename.isprintable()
            ):
                raise FetchError(f"{where} would lie outside the folder; nothing was unpacked")
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise FetchError(f"{where} is a link or device, not a file; nothing was unpacked")
            if member.flag_bits & 1:
                raise FetchError(f"{where} needs a password; unpack it by hand")
            if any(len(part.encode()) > LONGEST_NAME for part in name.parts):
                raise FetchError(f"{where} has too long a name; unpack it by hand")
            if str(name) in seen:
                raise FetchError(f"{where} stands there twice; nothing was unpacked")
            seen.add(str(name))
        total, free = sum(m.file_size for m in members), shutil.disk_usage(self.folder).free
        if self.written + total > self.max_bytes:
            self._too_large(shown)
        if total > free:
            raise FetchError(f"{shown}: {total:,} bytes come out, {free:,} are free; make room")

    def _write(
        self, opened: zipfile.ZipFile, member: zipfile.ZipInfo, place: PurePosixPath, shown: str
    ) -> None:
        target, digest, size = self.folder / place, hashlib.sha256(), 0
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, open(target, "xb") as file:
            while piece := source.read(_CHUNK):
                size += len(piece)
                self.written += len(piece)
                if self.written > self.max_bytes:
                    self._too_large(shown)
                digest.update(piece)
                file.write(piece)
                self.progress(self.written)
        self.files.append(Unpacked(str(place), size, digest.hexdigest()))

    def _too_large(self, shown: str) -> None:
        raise FetchError(
            f"{shown}: more than {self.max_bytes:,} bytes come out, a zip bomb or no dataset of ours; "
            "unpack it by hand if you trust it"
        )


def _of_a_mac(name: str) -> bool:
    last = name.rsplit("/", 1)[-1]
    return name.startswith("__MACOSX/") or last.startswith("._") or last == ".DS_Store"
