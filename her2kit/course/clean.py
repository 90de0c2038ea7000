"""An executed notebook made fit to be kept: what it says stays, what depends on the day or the machine goes.

Kept: sources, tags, outputs on stdout, tables, figures as PNG. Dropped: metadata of papermill and of
execution, stderr, the kernel's version. Cell ids come from the sources, so that a second rendering differs
only where something changed.
"""

import base64
import hashlib
import io
from typing import Any

from her2kit.course.notebooks import code_stamp, tags_of

MAX_BYTES = 500_000
"""A notebook above this is refused: clones grow with every rendering (design.md, Notebooks)."""
FIGURE_BYTES = 8_000
"""PNG figures above this are stored with a palette of 256 colours."""
STAMP = "her2kit"
"""Name of the notebook metadata that holds the stamp."""


def clean_notebook(executed: Any) -> Any:
    """Return a cleaned and stamped copy of an executed notebook.

    The stamp (``metadata.her2kit.code_sha256``) is the hash of the code cells that made the outputs.
    """
    import nbformat

    notebook = nbformat.from_dict(executed)
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in tags_of(c)]
    count = 0
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").split("\n"))
        tags = tags_of(cell)
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        digest = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type == "code":
            outputs = _joined([_clean_output(o) for o in cell.outputs if o.get("name") != "stderr"])
            count += 1
            cell.execution_count = count
            for output in outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
            cell.outputs = outputs
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            STAMP: {"code_sha256": code_stamp(notebook)},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def stamp_of(notebook: Any) -> str | None:
    """Return the hash of the code that made the notebook's outputs, or None where it was never rendered."""
    return notebook.metadata.get(STAMP, {}).get("code_sha256")


def _joined(outputs: list[Any]) -> list[Any]:
    """Return ``outputs`` with neighbouring pieces of stdout joined: where a stream was cut is chance."""
    joined: list[Any] = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _clean_output(output: Any) -> Any:
    """Return the output without metadata; of a figure only the PNG and its size in words are kept."""
    import nbformat

    output = nbformat.from_dict(output)
    if "metadata" in output:
        output.metadata = nbformat.from_dict({})
    if "image/png" in output.get("data", {}):
        kept = {k: v for k, v in output.data.items() if k in ("image/png", "text/plain")}
        kept["image/png"] = base64.b64encode(_smaller(base64.b64decode(kept["image/png"]))).decode()
        output.data = nbformat.from_dict(kept)
    return output


def _smaller(png: bytes) -> bytes:
    """Return the PNG packed as well as it goes; with a palette where it stays above ``FIGURE_BYTES``."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png))
    packed = _png(picture)
    if len(packed) > FIGURE_BYTES:
        packed = min(packed, _png(picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)), key=len)
    return min(packed, png, key=len)


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
