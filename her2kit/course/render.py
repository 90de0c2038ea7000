"""Render notebooks: run them with their default parameters and write the cleaned outputs back into them.

This is the one way in which outputs get into the repository. A notebook that raises, or grows too large,
stays as it was. Nothing machine-made is in the outputs because the run happens in the notebook's own folder,
with relative paths. How long it took goes into the opening (``minutes``), so render on an idle computer.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from her2kit.course.clean import MAX_BYTES, clean_notebook
from her2kit.course.minutes import write_minutes
from her2kit.course.notebooks import cell_name, read_notebook
from her2kit.course.processes import Processes
from her2kit.exchange.whole import whole_file


def render_notebook(path: Path) -> str | None:
    """Run the notebook with its defaults; write the cleaned outputs and the measured minutes into it.

    Returns
    -------
    str or None
        What is wrong, in words; the file is unchanged then. None where it was rendered.
    """
    import nbformat

    with tempfile.TemporaryDirectory() as scratch:
        target, begun = Path(scratch, path.name), time.monotonic()
        failure = Processes(workers=1).execute(path, target, {}, lambda cells: None)
        if failure:
            return "\n    ".join([f"failed in {failure['cell']}: {failure['error']}", *failure["lines"]])
        seconds, executed = time.monotonic() - begun, read_notebook(target)
    write_minutes(executed, seconds)
    notebook = clean_notebook(executed)
    text = nbformat.writes(notebook, version=4) + "\n"
    if len(text.encode()) > MAX_BYTES:
        return f"{len(text.encode()):,} bytes, above {MAX_BYTES:,}; largest outputs: {_largest(notebook)}"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return None


def render_notebooks(paths: Sequence[Path], *, tell: Any) -> list[Path]:
    """Render each notebook; return those that stayed as they were.

    Parameters
    ----------
    paths
        Notebook files.
    tell
        Called with one line a notebook.
    """
    failed = []
    for number, path in enumerate(paths, start=1):
        wrong = render_notebook(path)
        tell(f"[{number}/{len(paths)}] {path.stem}: {wrong or 'rendered'}")
        if wrong:
            failed.append(path)
    return failed


def _largest(notebook: Any, n: int = 3) -> str:
    """Return the ``n`` cells with the largest outputs, in words."""
    sizes = [
        (len(str(cell.get("outputs", ""))), cell_name(notebook, i)) for i, cell in enumerate(notebook.cells)
    ]
    return "; ".join(f"{name} {size:,}" for size, name in sorted(sizes, reverse=True)[:n])
