"""The page that links everything a run made: executed notebooks and slide reports, what failed first.

One HTML file without scripts; the pictures are inside it, the pages that it links lie beside it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from her2kit.report.page import write_page
from her2kit.report.pictures import data_uri, jpeg, shrunk

KINDS = {"slide": "Slides", "notebook": "Notebooks"}
STATUS = ("failed", "refused", "done")
"""In the order in which they are listed."""
_PICTURE_PX = 480


@dataclass(frozen=True, slots=True)
class Entry:
    """One notebook or slide."""

    kind: str
    """``slide`` or ``notebook``."""
    title: str
    href: str | None
    """Page, relative to the index; None where there is none (it failed)."""
    key: str
    """Its key figure, short: ``3+``, ``F1 0.86``."""
    words: str = ""
    """What the key figure is, or what went wrong; one sentence."""
    status: str = "done"
    """``done``, ``refused`` (a slide that a gate refused) or ``failed``."""
    ran: str = ""
    """When, how long and with what, in words."""
    picture: np.ndarray | None = None
    """uint8 RGB (h, w, 3)."""
    colour: str | None = None
    """Colour beside the key figure, such as that of a HER2 class."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}; use one of {', '.join(KINDS)}")
        if self.status not in STATUS:
            raise ValueError(f"status={self.status!r}; use one of {', '.join(STATUS)}")
        if self.href is not None and (":" in self.href.split("/")[0] or self.href.startswith("/")):
            raise ValueError(f"href={self.href!r}; pass a path relative to the index")


def write_index(path: str | os.PathLike, entries: Iterable[Entry], *, ran: str = "") -> Path:
    """Write the index of a run and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        ``reports/index.html``.
    entries : iterable of Entry
        In any order; within a kind those that failed come first, then the refused, then by title.
    ran : str
        What ran when on what, in words, for the head of the page.
    """
    path, entries = Path(path), list(entries)
    groups = []
    for kind, name in KINDS.items():
        of_kind = [e for e in entries if e.kind == kind]
        of_kind.sort(key=lambda e: (STATUS.index(e.status), e.title))
        if of_kind:
            groups.append((name, _heading(of_kind), [_card(e) for e in of_kind]))
    failed = sum(e.status == "failed" for e in entries)
    return write_page(path, "index", groups=groups, ran=ran, failed=failed, total=len(entries))


def _heading(entries: list[Entry]) -> str:
    counts = {s: sum(e.status == s for e in entries) for s in STATUS}
    return ", ".join(f"{n} {status}" for status, n in counts.items() if n)


def _card(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "title": entry.title,
        "href": quote(entry.href) if entry.href else None,
        "key": entry.key,
        "words": entry.words,
        "status": entry.status,
        "level": {"done": "ok", "refused": "caution", "failed": "block"}[entry.status],
        "ran": entry.ran,
        "colour": entry.colour,
        "picture": None if entry.picture is None else data_uri(jpeg(shrunk(entry.picture, _PICTURE_PX))),
    }
