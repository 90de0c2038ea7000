"""The page that links everything a run made: executed notebooks and slide reports, what failed first.

One HTML file without scripts; the pictures are inside it, the pages that it links lie beside it.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from her2kit.report.page import write_page
from her2kit.report.pictures import data_uri, jpeg, shrunk

KINDS = {"slide": "Slides", "notebook": "Notebooks"}
STATUS = {"failed": "block", "unexpected": "block", "refused": "caution", "done": "ok"}
"""In the order in which they are listed, each with its colour."""
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
    """``done``, ``refused`` (a slide that a gate refused), ``unexpected`` (done, but figures are not as
    expected) or ``failed``."""
    ran: str = ""
    """When, how long and with what, in words."""
    picture: np.ndarray | None = None
    """uint8 RGB (h, w, 3)."""
    colour: str | None = None
    """Colour beside the key figure, such as that of a HER2 class."""
    figures: tuple[tuple[str, str], ...] = ()
    """Further figures: name and value."""
    judged: str = ""
    """What was held against what is expected, in words."""
    lines: tuple[str, ...] = ()
    """Last lines of what went wrong."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind={self.kind!r}; use one of {', '.join(KINDS)}")
        if self.status not in STATUS:
            raise ValueError(f"status={self.status!r}; use one of {', '.join(STATUS)}")
        if self.href is not None and (":" in self.href.split("/")[0] or self.href.startswith("/")):
            raise ValueError(f"href={self.href!r}; pass a path relative to the index")


def write_index(
    path: str | os.PathLike,
    entries: Iterable[Entry],
    *,
    facts: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> Path:
    """Write the index of a run and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        ``reports/index.html``.
    entries : iterable of Entry
        In any order. Those that failed stand at the top of the page with their last lines; within a kind the
        unexpected come first, then the refused, then by title.
    facts : mapping
        What ran when on what, for the head of the page: name to words.
    links : mapping
        Further pages and tables: words to a path relative to the index.
    """
    path, entries = Path(path), list(entries)
    entries.sort(key=lambda e: (list(KINDS).index(e.kind), list(STATUS).index(e.status), e.title))
    broken = [_card(e) for e in entries if e.status == "failed"]
    groups = []
    for kind, name in KINDS.items():
        of_kind = [e for e in entries if e.kind == kind]
        cards = [_card(e) for e in of_kind if e.status != "failed"]
        if cards:
            groups.append((name, cards))
    known = {
        KINDS[kind]: counts for kind in KINDS if (counts := _counts([e for e in entries if e.kind == kind]))
    }
    return write_page(
        path, "index", groups=groups, broken=broken, facts=known | dict(facts or {}),
        links={words: quote(place) for words, place in (links or {}).items()}, total=len(entries),
    )  # fmt: skip


def _counts(entries: list[Entry]) -> str:
    counts = {s: sum(e.status == s for e in entries) for s in reversed(STATUS)}
    words = {"unexpected": "not as expected"}
    return ", ".join(f"{n} {words.get(status, status)}" for status, n in counts.items() if n)


def _card(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "title": entry.title,
        "href": quote(entry.href) if entry.href else None,
        "key": entry.key,
        "words": entry.words,
        "status": entry.status,
        "level": STATUS[entry.status],
        "ran": entry.ran,
        "colour": entry.colour,
        "figures": entry.figures,
        "judged": entry.judged,
        "lines": "\n".join(entry.lines),
        "picture": None if entry.picture is None else data_uri(jpeg(shrunk(entry.picture, _PICTURE_PX))),
    }
