"""Where fetched datasets lie in ``data``, what is known of each file, and what is whole.

``data/<key>`` is what loaders read: unpacked, as it was published. ``data/downloads/<key>`` holds the files
as they came. ``data/downloads/hashes.json`` remembers the SHA-256 of everything that was ever fetched; it
outlives `Store.clear`, so that the next download is compared with the first. Nothing here opens a network.
"""

import csv
import datetime
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.errors import FetchError
from her2kit.exchange.whole import whole_file
from her2kit.learning.registry import Dataset
from her2kit.learning.unpack import Unpacked

STATES = {
    "absent": "not here",
    "partly": "begun",
    "fetched": "fetched",
    "own": "your own copy",
}
"""In words. A folder that was not made here is its owner's: it is used, never checked and never removed."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What `Store.clear` did."""

    files: int
    size: int
    """Bytes."""
    left: list[Path]
    """Folders that stay, since they hold files that did not come with the dataset."""


@dataclass(frozen=True, slots=True)
class Store:
    """The place of one dataset."""

    dataset: Dataset
    data: Path

    @property
    def home(self) -> Path:
        """The folder that a loader reads."""
        return self.data / self.dataset.key

    @property
    def downloads(self) -> Path:
        """The folder of the files as they came, or as they are placed by hand."""
        return self.data / "downloads" / self.dataset.key

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.home.exists():
            return "fetched" if (self.downloads / "contents.csv").is_file() else "own"
        return "partly" if self.arrived() else "absent"

    def arrived(self) -> list[str]:
        """Return the names of the files that lie in `downloads`, fetched or placed there by hand."""
        if self.dataset.files:
            return [f.name for f in self.dataset.files if (self.downloads / f.name).is_file()]
        return sorted(f.name for f in self.downloads.glob("*.zip") if f.is_file())

    def accepted(self) -> bool:
        """Return whether this licence, word by word, was accepted before."""
        try:
            noted = json.loads((self.downloads / "accepted.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(noted, dict) and noted.get("licence") == self.dataset.licence

    def accept(self) -> None:
        """Note that the licence was accepted, and when."""
        _write_json(self.downloads / "accepted.json", {"licence": self.dataset.licence, "accepted": _today()})

    def remembered(self, name: str) -> str:
        """Return the SHA-256 of a file's first download; empty if there was none."""
        return self._ledger().get(f"{self.dataset.key}/{name}", {}).get("sha256", "")

    def remember(self, name: str) -> str:
        """Note the SHA-256 of a file in `downloads`, if none was noted before, and return it."""
        key, found = f"{self.dataset.key}/{name}", sha256_of(self.downloads / name)
        ledger = self._ledger()
        if key not in ledger:
            ledger[key] = {"sha256": found, "recorded": _today()}
            _write_json(self.ledger, ledger)
        return found

    @property
    def ledger(self) -> Path:
        """The file of all hashes that were recorded."""
        return self.data / "downloads" / "hashes.json"

    def _ledger(self) -> dict[str, dict[str, str]]:
        try:
            ledger = json.loads(self.ledger.read_text(encoding="utf-8"))
            if all(isinstance(entry["sha256"], str) for entry in ledger.values()):
                return ledger
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError, TypeError, KeyError):
            pass  # said below
        raise FetchError(f"{self.ledger} is damaged; mend it, or remove it and lose the hashes in it")

    def write_contents(self, files: Iterable[Unpacked]) -> None:
        """Note what `home` is going to hold."""
        with (
            whole_file(self.downloads / "contents.csv") as part,
            open(part, "w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows(
                [("path", "size", "sha256"), *((f.path, f.size, f.sha256) for f in files)]
            )

    def contents(self) -> list[Unpacked]:
        """Return what was written into `home`; nothing where it was not fetched.

        Raises
        ------
        FetchError
            If the note is damaged.
        """
        path = self.downloads / "contents.csv"
        try:
            with open(path, newline="", encoding="utf-8") as file:
                return [Unpacked(r["path"], int(r["size"]), r["sha256"]) for r in csv.DictReader(file)]
        except FileNotFoundError:
            return []
        except (KeyError, ValueError, TypeError) as error:
            raise FetchError(f"{path} is damaged; remove it and {self.home}, and fetch again") from error

    def verify(self, *, progress: Callable[[int, int], Any] = lambda done, total: None) -> list[str]:
        """Hash every file again and return one line for each that is missing or changed."""
        wrong, done, files = [], 0, self.contents()
        arrived = [(self.downloads / n, self.remembered(n)) for n in self.arrived()]
        checks = [
            *((path, path.stat().st_size, sha256) for path, sha256 in arrived if sha256),
            *((self.home / f.path, f.size, f.sha256) for f in files),
        ]
        total = sum(size for _, size, _ in checks)
        for path, size, sha256 in checks:
            if not path.is_file():
                wrong.append(f"{path}: is missing")
            elif path.stat().st_size != size:
                wrong.append(f"{path}: has {path.stat().st_size} bytes, not {size}")
            elif sha256_of(path) != sha256:
                wrong.append(f"{path}: has changed (its sha256 is not the recorded one)")
            done += size
            progress(done, total)
        return wrong

    def clear(self) -> Cleared:
        """Remove what was fetched; files that did not come with the dataset stay, and so do the hashes.

        Raises
        ------
        FetchError
            If one of the two folders is a link, or `home` was not fetched.
        """
        for folder in (self.home, self.downloads):
            if folder.is_symlink():
                raise FetchError(f"{folder} is a link to {folder.readlink()}; remove it by hand")
        if self.state == "own":
            raise FetchError(f"{self.home} was not fetched, so it is not removed; remove it by hand")
        came = [(self.home, self.home / f.path) for f in self.contents()]
        if self.downloads.is_dir():
            came += [(self.downloads, f) for f in self.downloads.rglob("*")]
        mine = [f for folder, f in came if f.is_file() and _inside(f, folder)]
        size = sum(f.stat().st_size for f in mine)
        for file in mine:
            file.unlink()
        for folder in (self.home, self.downloads):
            _remove_empty(folder)
        return Cleared(len(mine), size, [f for f in (self.home, self.downloads) if f.exists()])


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inside(path: Path, folder: Path) -> bool:
    """Return whether a path, its links followed, lies below a folder."""
    return path.parent.resolve().is_relative_to(folder.resolve())


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those below it, as far as they are empty."""
    for below, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(below):
            os.rmdir(below)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _write_json(path: Path, content: object) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
