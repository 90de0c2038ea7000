"""What a run leaves in its folder beside the notebook: ``run.json`` and ``results.json``.

``run.json`` holds notebook, variant, tier, parameters, the stamp of the notebook's code, version and stamp of
the package, the computer, the status (running, done or failed), when it started (UTC), seconds and, where it
failed, cell, error and last lines.
"""

import functools
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import her2kit
from her2kit.cluster.threads import cores
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
    end = {
        "tier": run.tier, "status": status, "started": started, "seconds": seconds, "computer": computer(),
        "failure": failure,
    }  # fmt: skip
    with whole_file(run.folder / RECORD) as part:
        part.write_text(
            json.dumps(_identity(run) | end, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def computer() -> str:
    """Return in words what this runs on: system, processor, cores, Python."""
    processor = platform.machine() or "unknown processor"
    return f"{platform.system()} {processor}, {cores()} cores, Python {platform.python_version()}"


@functools.cache
def package_stamp() -> str:
    """Return the sha256 of the package's code and weights: what a run found holds for these alone."""
    digest, package = hashlib.sha256(), Path(her2kit.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def is_done(run: Run) -> bool:
    """Return whether the folder holds this very run, done: the same notebook, values and package."""
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
        "her2kit": her2kit.__version__,
        "package_sha256": package_stamp(),
    }
