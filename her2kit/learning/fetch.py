"""Fetch a public dataset: licence first, then room on the disk, mirror, source, hash, and unpacking.

``HER2KIT_MIRROR``, a folder or URL that holds ``<key>/<file>``, is tried first, for networks without
internet. What is already in ``data/downloads/<key>``, placed there by hand, is taken as it is once its hash
fits. The dataset appears in ``data/<key>`` whole or not at all.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.errors import FetchError
from her2kit.learning.bring import MIRROR, Bringer, Published, is_url
from her2kit.learning.download import TIMEOUT, NotThere
from her2kit.learning.registry import Dataset, File
from her2kit.learning.store import Store, sha256_of
from her2kit.learning.unpack import Unpacked, unpack


class LicenceNotAccepted(ValueError):
    """Nobody has said yet that the licence is accepted."""


class CannotFetch(FetchError):
    """A file cannot be had; `files` and `folder` say what to place where by hand."""

    def __init__(self, message: str, files: list[File], folder: Path) -> None:
        super().__init__(message)
        self.files = files
        self.folder = folder


def fetch(
    dataset: Dataset,
    data: str | os.PathLike = "data",
    *,
    accept_licence: bool = False,
    mirror: str | None = None,
    tell: Callable[[str], Any] = lambda words: None,
    progress: Callable[[str, int, int | None], Any] = lambda name, done, total: None,
    pause: float = 1.0,
    timeout: tuple[float, float] = TIMEOUT,
) -> Path:
    """Return the folder of a dataset, fetching what is not there yet.

    Parameters
    ----------
    dataset
        See ``registry.find``.
    data
        The folder that all notebooks share.
    accept_licence
        That the licence was read and is accepted; noted, so that it is asked once.
    mirror
        A folder or an ``http(s)`` URL; default: the environment variable ``HER2KIT_MIRROR``.
    tell, progress
        Called with a line for people; with (file, bytes so far, bytes in all).
    pause, timeout
        Seconds, see ``download.Download``.

    Raises
    ------
    LicenceNotAccepted
        If it was not accepted, now or before.
    ValueError
        If the mirror is neither a folder nor an ``http(s)`` URL.
    FetchError
        If it cannot be had, is not what was published, or does not fit on the disk.
    """
    from filelock import FileLock, Timeout

    store = Store(dataset, Path(data))
    mirror = os.environ.get(MIRROR, "") if mirror is None else mirror
    if mirror and not is_url(mirror) and not Path(mirror).is_dir():
        raise ValueError(f"{MIRROR}={mirror!r} is no folder and no http(s) address; mend or unset it")
    if store.state in ("own", "fetched"):
        tell(f"{dataset.key}: is here already ({store.home})")
        return store.home
    if not (accept_licence or store.accepted()):
        raise LicenceNotAccepted(
            f"{dataset.key} is under {dataset.licence}; read {dataset.page}, then pass --accept-licence"
        )
    store.accept()
    try:
        with FileLock(store.downloads / ".lock", timeout=0):
            return _Fetch(store, Bringer(store, mirror, tell, progress, pause, timeout)).run()
    except Timeout:
        raise FetchError(f"{dataset.key} is being fetched by another process; wait for it") from None


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One call of `fetch`, behind its checks."""

    store: Store
    bringer: Bringer

    def run(self) -> Path:
        dataset, here = self.store.dataset, self.store.arrived()
        files = dataset.files or self._unnamed(here)
        unhashed = [f for f in files if not (f.sha256 or self.store.remembered(f.name))]
        published = self._published() if unhashed and dataset.record else {}
        self._check_room([f for f in files if f.name not in here], published)
        known: dict[str, str] = {}
        for file in files:
            try:
                known[file.name] = self.bringer.bring(file, published.get(file.name))
            except NotThere as error:
                if not file.optional:
                    raise self._by_hand(str(error), files) from error
                self.bringer.tell(f"{dataset.key}: {file.name} is not offered there; going on without it")
            except FetchError as error:
                raise self._by_hand(str(error), files) from error
        return self._assemble([f for f in files if f.name in known], known)

    def _unnamed(self, here: list[str]) -> tuple[File, ...]:
        """Return the archives of a dataset whose files have no names that we know."""
        folder = Path(self.bringer.mirror) / self.store.dataset.key
        names = set(here)
        if self.bringer.mirror and not is_url(self.bringer.mirror) and folder.is_dir():
            names |= {f.name for f in folder.glob("*.zip")}
        if not names:
            raise self._by_hand("the names of its files are not known here, so it is placed by hand", ())
        return tuple(File(name) for name in sorted(names))

    def _published(self) -> dict[str, Published]:
        """Return sizes and MD5 of the publisher's record; nothing, and a word, where it cannot be read."""
        import requests

        dataset = self.store.dataset
        try:
            answer = requests.get(dataset.record, timeout=self.bringer.timeout)
            answer.raise_for_status()
            return {
                f["key"]: Published(int(f["size"]), f["checksum"].removeprefix("md5:"))
                for f in answer.json()["files"]
            }
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError):
            self.bringer.tell(
                f"{dataset.key}: {dataset.record} cannot be read, so sizes and MD5 are not known"
            )
            return {}

    def _check_room(self, files: list[File], published: dict[str, Published]) -> None:
        """Raise if the files, and once more what comes out of them, do not fit on the disk."""
        sizes = [published[f.name].size if f.name in published else f.size or f.about for f in files]
        free = shutil.disk_usage(self.store.downloads).free
        key, total = self.store.dataset.key, sum(sizes)
        if files:
            self.bringer.tell(
                f"{key}: files to fetch: {len(files)}, {in_words(total)}; {in_words(free)} are free"
            )
        if 2 * total > free:
            needs = f"{in_words(2 * total)} for the files and what comes out of them"
            raise FetchError(
                f"{key} needs {needs}, {in_words(free)} are free "
                f"in {self.store.data}; make room, or pass another --data"
            )

    def _by_hand(self, reason: str, files: tuple[File, ...]) -> CannotFetch:
        """Return the error that says which files to place where."""
        store = self.store
        lacking = [f for f in files if not (store.downloads / f.name).is_file() and not f.optional]
        return CannotFetch(
            f"{store.dataset.key}: {reason}; get it from {store.dataset.page} and place it in "
            f"{store.downloads.resolve()}, or let {MIRROR} name a folder or URL that holds "
            f"{store.dataset.key}/<file>; then run this again",
            lacking,
            store.downloads.resolve(),
        )

    def _assemble(self, files: list[File], known: dict[str, str]) -> Path:
        """Unpack and copy everything into a new folder, and rename that to the dataset's."""
        store = self.store
        part = Path(tempfile.mkdtemp(dir=store.data, prefix=f".{store.dataset.key}-"))
        try:
            contents = [made for f in files for made in self._place(f, part, bool(known[f.name]))]
            for file in files:
                self.bringer.remember(file, known[file.name])
            store.write_contents(contents)
            part.chmod(0o755)
            part.rename(store.home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return store.home

    def _place(self, file: File, part: Path, vouched: bool) -> list[Unpacked]:
        """Unpack or copy one file; an archive that no hash vouches for and that fails is put aside."""
        source = self.store.downloads / file.name
        if source.suffix != ".zip":
            target = part / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return [Unpacked(file.name, target.stat().st_size, sha256_of(target))]
        self.bringer.tell(f"{self.store.dataset.key}: unpacking {file.name}")
        try:
            return unpack(source, part, progress=lambda done: self.bringer.progress("unpacking", done, None))
        except FetchError:
            if not vouched:
                source.replace(source.with_name(f"{source.name}.refused"))
            raise


def in_words(size: float) -> str:
    """Return bytes as people say them."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
