"""What a run leaves in its folder beside the notebook: ``run.json`` and ``results.json``.

``run.json`` holds notebook, variant, tier, parameters, the stamp of the code, the version, the status
(running, done or failed), when it started (UTC), seconds and, where it failed, cell, error and last lines.
"""

import json
from pathlib import Path
from typing import Any

from her2kit import __version__
from her2kit.course.notebooks import code_stamp, read_notebook
from her2kit.course.plan import Run
from her2kit.course.results import RESULTS
from her2kit.exchange.whole import whole_file

RECORD = "run.json"


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return ``run.json`` of a run's folder, or None where it has none or an unreadable one."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"status", "notebook", "seconds"} <= set(record) else None


def read_results(folder: Path) -> dict[str, Any] | None:
    """Return ``results.json`` of a run's folder, or None where the notebook wrote none."""
    path = folder / RESULTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_record(
    run: Run, *, status: str, started: str, seconds: float, failure: dict[str, Any] | None
) -> None:
    """Write ``run.json`` of ``run``, whole or not at all."""
    end = {"tier": run.tier, "status": status, "started": started, "seconds": seconds, "failure": failure}
    with whole_file(run.folder / RECORD) as part:
        part.write_text(
            json.dumps(_identity(run) | end, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def is_done(run: Run) -> bool:
    """Return whether the folder holds this very run, done: the same code, values and version."""
    record = read_record(run.folder)
    if record is None or record["status"] != "done":
        return False
    page = run.folder / f"{run.notebook.stem}.html"
    return page.is_file() and all(record.get(name) == value for name, value in _identity(run).items())


def _identity(run: Run) -> dict[str, Any]:
    """Return what makes two runs the same run."""
    return {
        "notebook": run.notebook.stem,
        "variant": run.variant,
        "parameters": json.loads(json.dumps(dict(run.parameters))),
        "code_sha256": code_stamp(read_notebook(run.notebook)),
        "her2kit": __version__,
    }
