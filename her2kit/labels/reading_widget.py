"""What widgets on which people read with keys share: script, style, and a picture where nobody reads.

`labels.gallery` and the course's reader trainer are such widgets. Script and style come from the kernel;
nothing is fetched.
"""

import base64
import os
from pathlib import Path
from typing import Any

import anywidget

_ALIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")  # set where a front end started the kernel


def with_shared(path: Path) -> str:
    """Return a widget's own script or style behind the shared one."""
    shared = Path(__file__).with_suffix(path.suffix)
    return "\n".join(file.read_text(encoding="utf-8") for file in (shared, path))


class ReadingWidget(anywidget.AnyWidget):
    """A widget that leaves a picture in a notebook which is run or read without a front end."""

    def still(self) -> tuple[bytes, str]:
        """Return what stands in its place: a PNG, and words."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        """Return the widget where a front end may be listening, and a picture for where none is."""
        bundle, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        if not any(name in os.environ for name in _ALIVE):
            bundle = {}
        png, words = self.still()
        return bundle | {"image/png": base64.b64encode(png).decode(), "text/plain": words}, metadata
