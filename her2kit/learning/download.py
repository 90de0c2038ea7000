"""Download one file over HTTP so that a broken connection costs what was lost and nothing else.

What has arrived lies in a ``.part`` file with a note of where it came from; the next attempt, in this run or
a later one, asks for the rest alone (``Range`` with ``If-Range``, RFC 9110). A server that does not know
``Range``, or whose file has changed, makes it start anew. Whether it is the right file is for the hash to
say: `pooch` checks that, and takes `Download` as its downloader, since its own cannot resume.
"""

import email.message
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2kit import __version__
from her2kit.errors import FetchError

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 20
TRIES = 4
"""Attempts in a row that bring nothing new before it is given up."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two pieces of the file."""
LONGEST_PAUSE = 60.0
"""Seconds; a server that asks for more (``Retry-After``) is asked again then."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class NotThere(FetchError):
    """The server says that it has no such file."""


class _Broken(Exception):
    """An attempt ended early; the next may go on."""

    def __init__(self, words: str, pause: float = 0.0) -> None:
        super().__init__(words)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Download:
    """A downloader for `pooch.retrieve` that resumes.

    Raises
    ------
    FetchError
        If the file cannot be had: the server refuses, sends a web page, contradicts itself or the known size,
        or breaks off `TRIES` times in a row without bringing more. `NotThere` for 404 and 410.
    """

    part: Path
    """Where the pieces lie; kept when it fails."""
    size: int | None = None
    """Bytes of the file, where they are known exactly."""
    at_most: int | None = None
    """Bytes at which an unending answer is cut off."""
    known_hash: bool = False
    """Whether the file is checked afterwards; if not, pieces join only where the server vouches for them."""
    progress: Callable[[int, int | None], Any] = lambda done, total: None
    """Told (bytes so far, bytes in all)."""
    pause: float = 1.0
    """Seconds before the second attempt; they double."""
    timeout: tuple[float, float] = TIMEOUT

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Bring ``url`` to ``output_file``."""
        import requests

        self.part.parent.mkdir(parents=True, exist_ok=True)
        failures = 0
        with requests.Session() as session:
            session.headers.update({"Accept-Encoding": "identity", "User-Agent": f"her2kit/{__version__}"})
            while True:
                before = self._resumable(url)
                try:
                    self._attempt(session, url, before)
                    break
                except _hopeless() as error:
                    raise FetchError(
                        f"{url}: {_in_words(error)}; check the address and the network"
                    ) from error
                except (requests.RequestException, _Broken) as error:
                    gained = self._there() > before > 0
                    failures = 0 if gained else failures + 1
                    if failures >= TRIES:
                        raise FetchError(f"{url}: {_in_words(error)}; tried {TRIES} times") from error
                    asked = error.pause if isinstance(error, _Broken) else 0.0
                    time.sleep(min(max(asked, self.pause * 2 ** max(failures - 1, 0)), LONGEST_PAUSE))
        os.replace(self.part, output_file)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def _there(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _resumable(self, url: str) -> int:
        """Return how many bytes of this address may be kept; others are thrown away."""
        note = self._read_note()
        if note.get("url") != url or not (self.known_hash or note.get("validator")):
            self.part.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)
        return self._there()

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _attempt(self, session: "requests.Session", url: str, have: int) -> None:
        """Ask for the file, or what is missing of it, and append what comes."""
        headers, note = {}, self._read_note()
        if have:
            headers["Range"] = f"bytes={have}-"
            if note.get("validator"):
                headers["If-Range"] = note["validator"]
        with session.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            if answer.status_code == 416:  # nothing is missing, or the server's file is another
                said = {self.size, None if self.known_hash else note.get("total"), have} - {None}
                if said == {have} and _last_number(answer.headers.get("Content-Range", "")) == have:
                    return
                self._start_anew(f"says that {have} bytes are all there is")
            _check(answer, url)
            start, total = _extent(answer)
            if start not in (0, have):
                self._start_anew(f"sends from byte {start}, not {have}")
            if total is None:
                total = self.size
            if self.size not in (None, total):
                raise FetchError(
                    f"{url}: is {total} bytes long, not {self.size}; it is not what was published"
                )
            note = {"url": url, "validator": _validator(answer), "total": total}
            self._note.write_text(json.dumps(note), encoding="utf-8")
            self._write(answer, url, start, total)
        if total is not None and self._there() < total:
            raise _Broken(f"ended after {self._there()} of {total} bytes")

    def _write(self, answer: "requests.Response", url: str, start: int, total: int | None) -> None:
        from urllib3.exceptions import HTTPError

        limit = total if total is not None else self.at_most
        done = start
        with open(self.part, "r+b" if start else "wb") as file:
            file.seek(start)
            try:
                for piece in answer.raw.stream(CHUNK, decode_content=False):
                    done += len(piece)
                    if limit is not None and done > limit:
                        raise FetchError(f"{url}: sends more than {limit} bytes; it is not the file")
                    file.write(piece)
                    self.progress(done, total)
            except HTTPError as error:
                raise _Broken(f"broke off after {done} of {total or 'unknown'} bytes") from error

    def _start_anew(self, words: str) -> None:
        self.part.unlink(missing_ok=True)
        raise _Broken(words)


def _check(answer: "requests.Response", url: str) -> None:
    """Raise what an answer without the file means."""
    status = answer.status_code
    if status in (404, 410):
        raise NotThere(f"{url}: the server has no such file ({status})")
    if status in _AGAIN:
        asked = answer.headers.get("Retry-After", "")
        raise _Broken(f"answers {status} {answer.reason}", float(asked) if asked.isdecimal() else 0.0)
    if status not in (200, 206):
        raise FetchError(f"{url}: answers {status} {answer.reason}; a login or another address may be needed")
    kind = email.message.Message()
    kind["Content-Type"] = answer.headers.get("Content-Type", "application/octet-stream")
    if kind.get_content_type() == "text/html":
        raise FetchError(f"{url}: answers with a web page, not the file; a login or a proxy may be between")


def _extent(answer: "requests.Response") -> tuple[int, int | None]:
    """Return the first byte of the answer, and the bytes of the whole file if they are said."""
    if answer.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None:
            raise _Broken("sends a part without saying which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    return 0, _last_number(answer.headers.get("Content-Length", ""))


def _last_number(words: str) -> int | None:
    found = re.search(r"(\d+)$", words)
    return int(found[1]) if found else None


def _validator(answer: "requests.Response") -> str:
    """Return what tells this version of the file from another, strong ones alone."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _hopeless() -> tuple[type["requests.RequestException"], ...]:
    """Return what another attempt does not mend."""
    from requests import exceptions as e

    return (e.SSLError, e.ProxyError, e.TooManyRedirects, e.InvalidURL, e.InvalidSchema, e.MissingSchema)


def _in_words(error: Exception) -> str:
    """Return an error of the network in a few words."""
    from requests import exceptions as e

    for kind, words in (
        (_Broken, " ".join(str(error).split())),
        (e.ProxyError, "the proxy does not let it through"),
        (e.SSLError, "its certificate cannot be checked"),
        (e.TooManyRedirects, "leads in a circle"),
        (e.Timeout, "no answer in time"),
        (e.ConnectionError, "cannot be reached"),
    ):
        if isinstance(error, kind):
            return words
    return "is no address of a file"
