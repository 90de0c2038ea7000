"""What a notebook answers to a learner: words that stay a string, shown as a quiet box with a coloured edge.

The colour repeats what the words say and never stands alone. The box has no script and sets no colour of
text, so that it reads in light and dark JupyterLab, on a page that works offline, and as plain text.
"""

import html
import re
from typing import Any

KINDS = {"open": "#8a8f98", "not_yet": "#d08700", "right": "#1f8a52", "said": "#3b6fb6"}
"""Kind to the colour of the edge: nothing given yet, a hint, right, noted or told."""
_BOX = "border-left: 4px solid {}; background: rgba(128, 128, 128, 0.1); padding: 6px 12px; margin: 4px 0"
_CLASS = "her2kit-verdict her2kit-"


class Verdict(str):
    """Words for a learner, and of what kind they are; in all else a string.

    Parameters
    ----------
    words
        What is said; a line break stays one.
    kind
        One of ``KINDS``.
    """

    kind: str

    def __new__(cls, words: str, kind: str) -> "Verdict":
        """Return the words as a verdict."""
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
        made = super().__new__(cls, words)
        made.kind = kind
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        """Return what a copy is made of."""
        return str(self), self.kind

    def __repr__(self) -> str:
        """Return the words as they read, without quotes."""
        return str(self)

    def _repr_html_(self) -> str:
        words = html.escape(self).replace("\n", "<br>")
        return f'<div class="{_CLASS}{self.kind}" style="{_BOX.format(KINDS[self.kind])}">{words}</div>'


def shown_kind(cell: Any) -> str | None:
    """Return the kind of the last verdict in a code cell's outputs, or None where there is none."""
    pages = ["".join(o.get("data", {}).get("text/html", "")) for o in cell.get("outputs", [])]
    kinds = re.findall(rf'<div class="{_CLASS}(\w+)"', "\n".join(pages))
    return kinds[-1] if kinds else None
