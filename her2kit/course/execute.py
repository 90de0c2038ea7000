"""One notebook in one process: papermill runs it, this process tells its parent how far it is.

``python -m her2kit.course.execute JOB.json`` is started by ``her2kit.course.runner``, so that each notebook
has its own working folder and thread limits. What it says goes to stdout, one line each, marked by ``MARK``;
a last line holds the outcome. The executed notebook is written beside its place and renamed, also when a cell
raised: then it shows where.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from her2kit.course.endings import cannot_write
from her2kit.course.notebooks import cell_name, read_notebook
from her2kit.exchange.whole import whole_file

MARK = "@her2kit "
KERNEL = "python3"
"""The kernel of the Python that runs this: ipykernel installs it into each environment."""
LAST_LINES = 8
_HEAD = "Traceback (most recent call last)"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def execute_notebook(
    source: Path, target: Path, parameters: dict[str, Any], *, say: Any
) -> dict[str, Any] | None:
    """Run ``source`` in its own folder with ``parameters``, write the executed notebook to ``target``.

    Parameters
    ----------
    source, target
        Notebook to run, and where the executed one goes.
    parameters
        Values for the cell tagged ``parameters``; checked before.
    say
        Called with the number of cells done, after each.

    Returns
    -------
    dict or None
        None where every cell ran; else ``cell`` (its name), ``error`` (type and message) and ``lines`` (the
        last lines of the traceback).
    """
    import nbformat
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook as papermill_execute

    from her2kit.course.engine import register

    engine = register(say)
    read_notebook(source)  # one clear line where the file is no notebook
    failure = None
    with whole_file(target) as part:
        try:
            papermill_execute(
                source, part, parameters=parameters, engine_name=engine, kernel_name=KERNEL,
                language="python", progress_bar=False, cwd=source.parent,
            )  # fmt: skip
        except PapermillExecutionError as error:
            failure = _failure(nbformat.read(part, as_version=4), error)
    return failure


def _failure(executed: Any, error: Any) -> dict[str, Any]:
    """Return what went wrong, with the failing cell named as the reader of the source notebook finds it."""
    added = ("papermill-error-cell-tag", "injected-parameters")
    own = [c for c in executed.cells if not set(added) & set(c.metadata.get("tags", []))]
    raised = [i for i, c in enumerate(own) if any(o.output_type == "error" for o in c.get("outputs", []))]
    executed.cells = own
    text = _ANSI.sub("", "\n".join(error.traceback))
    said = f"{error.ename}: {_ANSI.sub('', error.evalue)}"
    lines = [line for line in text.splitlines() if line.strip(" -") and line != said and _HEAD not in line]
    return {
        "cell": cell_name(executed, raised[0]) if raised else "an unknown cell",
        "error": said,
        "lines": lines[-LAST_LINES:],
    }


def _leave_with(parent: int) -> None:
    """End this process once its parent is gone: what nobody waits for must not write beside a resumed run."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the job file named on the command line; a parent process reads what is printed."""

    def tell(**words: Any) -> None:
        print(MARK + json.dumps(words), flush=True)

    def leave(number: int, frame: Any) -> None:
        signal.signal(number, lambda number, frame: None)
        sys.exit(128 + number)

    # So the parent stops this process; leaving by SystemExit, once, ends the kernel and removes what is half
    # made. An interruption from the keyboard reaches all processes, but it is the parent that acts on it.
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    source, target = Path(job["source"]), Path(job["target"])
    try:
        failure = execute_notebook(source, target, job["parameters"], say=lambda n: tell(cells=n))
    except OSError as error:  # of this process, such as a full disk; the notebook's own are its cell's
        failure = {"cell": "no cell", "error": cannot_write(error, target), "lines": []}
    tell(outcome="failed" if failure else "done", failure=failure)


if __name__ == "__main__":
    main()
