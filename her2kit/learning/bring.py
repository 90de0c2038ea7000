"""Bring one file of a dataset into ``data/downloads``: from a mirror, or from its publisher; hash checked.

`pooch` checks the hash and puts the file in place; `download.Download` does the transport.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from her2kit.errors import FetchError
from her2kit.learning.download import Download
from her2kit.learning.registry import File
from her2kit.learning.store import Store

MIRROR = "HER2KIT_MIRROR"
"""Environment variable: a folder or URL that holds ``<key>/<file>``."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publisher's record says of a file."""

    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Bringer:
    """Brings files of one dataset; see ``fetch.fetch`` for the fields."""

    store: Store
    mirror: str
    tell: Callable[[str], Any]
    progress: Callable[[str, int, int | None], Any]
    pause: float
    timeout: tuple[float, float]

    def bring(self, file: File, published: Published | None) -> str:
        """Bring a file, unless it is there and its hash fits; return the hash it was checked with, or "".

        Raises
        ------
        FetchError
            If no source has it, or what the sources have is not what was published.
        """
        place, sha256 = self.store.downloads / file.name, file.sha256 or self.store.remembered(file.name)
        known = f"sha256:{sha256}" if sha256 else f"md5:{published.md5}" if published else ""
        if not (place.is_file() and self._fits(place, known)):
            self._download(file, place, known, published.size if published else file.size)
        return known

    def remember(self, file: File, known: str) -> None:
        """Record the hash of a file that has proved usable, and say so where no SHA-256 was known."""
        sha256 = self.store.remember(file.name)
        if not known.startswith("sha256:"):
            by = "its MD5 is the published one" if known else "no published hash is known"
            self.tell(f"{file.name}: {by}; its sha256 {sha256} is recorded and checked from now on")

    def _fits(self, place: Path, known: str) -> bool:
        import pooch

        kind, _, wanted = known.partition(":")
        if not known or pooch.file_hash(str(place), alg=kind) == wanted:
            return True
        self.tell(f"{place}: its {kind} is not {wanted}; fetching it again")
        return False

    def _download(self, file: File, place: Path, known: str, size: int | None) -> None:
        """Try one source after the other."""
        sources = self._sources(file)
        if not sources:
            raise FetchError(f"{file.name} cannot be fetched by program")
        for number, source in enumerate(sources, start=1):
            try:
                self._from(source, file, place, known, size)
                return
            except FetchError as error:
                if number == len(sources):
                    raise
                self.tell(str(error))

    def _from(self, source: str, file: File, place: Path, known: str, size: int | None) -> None:
        import pooch

        pooch.get_logger().setLevel(logging.WARNING)
        resume = Download(
            place.with_name(place.name + ".part"),
            size,
            at_most=shutil.disk_usage(self.store.downloads).free,
            known_hash=bool(known),
            progress=lambda done, total: self.progress(file.name, done, total),
            pause=self.pause,
            timeout=self.timeout,
        )
        by = resume if is_url(source) else _copy
        try:
            pooch.retrieve(source, known or None, file.name, self.store.downloads, downloader=by)
        except ValueError as error:  # how pooch says that the hash is another
            kind, _, wanted = known.partition(":")
            where = "" if file.sha256 or kind == "md5" else f", recorded in {self.store.ledger}"
            raise FetchError(
                f"{source}: is not the file that was published: its {kind} is not {wanted}{where}; "
                "it was thrown away"
            ) from error
        place.chmod(0o644)

    def _sources(self, file: File) -> list[str]:
        """Return where to look for a file, in order."""
        key, found = self.store.dataset.key, []
        if is_url(self.mirror):
            found.append(f"{self.mirror.rstrip('/')}/{key}/{quote(file.name)}")
        elif self.mirror and (Path(self.mirror) / key / file.name).is_file():
            found.append(str(Path(self.mirror) / key / file.name))
        return [*found, *([file.url] if file.url else [])]


def is_url(place: str) -> bool:
    """Return whether a place is on the web rather than on the disk."""
    return place.startswith(("http://", "https://"))


def _copy(source: str, output_file: str, pooch: object) -> None:
    """Copy a file of a mirror's folder."""
    shutil.copyfile(source, output_file)
