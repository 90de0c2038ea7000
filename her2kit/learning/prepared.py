"""What was made of a slide once is not made again: arrays kept by the content they were made of.

The key is the SHA-256 of the file's bytes with the step's name, its parameters and the version of this
package. A slide that is moved or copied keeps its key; one byte or parameter changed is another. Keeps no
results of scoring.
"""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from her2kit import __version__
from her2kit.errors import SlideError
from her2kit.exchange.whole import whole_file

Arrays = Mapping[str, np.ndarray]
_ENDING = ".npz"
_KEYED = f"[!.]*-{'[0-9a-f]' * 32}"
"""Names of entries, without their ending; those of half-written ones begin with a dot."""
_NOT_NAMES = ("file", "allow_pickle")
"""Words of `np.savez`'s own."""


class Prepared:
    """A folder of arrays, bounded in size; several processes may use it at once.

    Parameters
    ----------
    folder
        Made when the first entry is.
    max_bytes
        Beyond it the entries that were unused the longest are removed.
    """

    def __init__(self, folder: str | os.PathLike, *, max_bytes: int = 10 * 2**30) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes={max_bytes}; use 0 or more (10 * 2**30 is usual)")
        self.folder, self.max_bytes = Path(folder), max_bytes

    def get(
        self,
        source: str | os.PathLike,
        step: str,
        parameters: Mapping[str, Any],
        make: Callable[[], Arrays],
    ) -> dict[str, np.ndarray]:
        """Return the arrays of a step, from the folder or else from ``make``.

        Parameters
        ----------
        source
            The slide.
        step
            What is made, in one word, such as ``tissue``.
        parameters
            All that the result depends on beside the slide: numbers, words, lists, dicts, dataclasses.
        make
            Called without arguments if there is no entry, by one process alone.

        Raises
        ------
        ValueError
            If a parameter is none of these, or an array holds Python objects.
        SlideError
            If there is no such file.
        """
        from filelock import FileLock

        path = self.path(source, step, parameters)
        found = _load(path)
        if found is not None:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _load(path)
            if found is None:
                found = {name: np.asarray(array) for name, array in make().items()}
                for name, array in found.items():
                    if array.dtype.hasobject or name in _NOT_NAMES:
                        raise ValueError(
                            f"array {name!r} holds {array.dtype}; give numbers or fixed text, "
                            f"under another name than {' or '.join(_NOT_NAMES)}"
                        )
                with whole_file(path) as part, part.open("wb") as file:
                    np.savez(file, **found)  # type: ignore[arg-type]
                self._trim()
        return found

    def path(self, source: str | os.PathLike, step: str, parameters: Mapping[str, Any]) -> Path:
        """Return where the entry lies or would lie."""
        if not step.isidentifier():
            raise ValueError(f"step={step!r}; give one word, such as tissue")
        text = json.dumps(
            {
                "content": content_hash(source),
                "step": step,
                "parameters": _plain(parameters),
                "her2kit": __version__,
            },
            sort_keys=True,
        )
        return self.folder / f"{step}-{hashlib.sha256(text.encode()).hexdigest()[:32]}{_ENDING}"

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Remove all entries and return their bytes; files of others in the folder stay."""
        freed = self.size
        for ending in (_ENDING, ".lock"):
            for path in self.folder.glob(_KEYED + ending):
                path.unlink(missing_ok=True)
        return freed

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Return (last use, bytes, path) of each entry, the longest unused first."""
        entries = []
        for path in self.folder.glob(_KEYED + _ENDING):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            entries.append((status.st_mtime, status.st_size, path))
        return sorted(entries)

    def _trim(self) -> None:
        entries = self._entries()
        size = sum(size for _, size, _ in entries)
        for _, freed, path in entries:
            if size <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
            size -= freed


def content_hash(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file; the bytes are read once a process, unless size or date changed."""
    path = Path(path).resolve()
    if not path.is_file():
        raise SlideError(f"{path}: is no file; check the path")
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: Path) -> dict[str, np.ndarray] | None:
    """Return an entry and note its use; None if there is none, or the disk has damaged it."""
    try:
        with np.load(path) as entry:
            found = dict(entry)
        os.utime(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return found


def _plain(value: Any, name: str = "parameters") -> Any:
    """Return a value as what JSON holds, so that equal parameters are equal text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__} | _plain(dataclasses.asdict(value), name)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 8.0 is 8
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}; give numbers, words, lists, dicts or dataclasses")
