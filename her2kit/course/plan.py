"""What a call of ``her2kit run`` will do: which notebook, with which values, into which folder.

All of it is worked out and checked before the first notebook starts. Values come from the tier's file, then
from the sweep's file, then from ``-p``; the later goes before the earlier.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.course.notebooks import read_notebook
from her2kit.course.parameters import OUT_DIR, check_parameters, find_parameter, read_parameters
from her2kit.course.sweep import Sweep, read_sweep
from her2kit.course.yaml_file import read_yaml
from her2kit.errors import Her2Error

TIERS = ("smoke", "fast", "full")
"""smoke: about 15 s a notebook; fast: the notebooks' own defaults; full: a GPU and public data."""


@dataclass(frozen=True, slots=True)
class Run:
    """One notebook, run once."""

    notebook: Path
    variant: str
    """What sets this run of a sweep apart, such as ``seed=1,slides=4``; empty outside a sweep."""
    tier: str
    parameters: Mapping[str, Any]
    """Values that differ from the notebook's own, without ``out_dir``."""
    folder: Path
    """Where everything of this run goes, absolute."""

    @property
    def name(self) -> str:
        """Return the notebook's name, with the variant in brackets."""
        return self.notebook.stem + (f" [{self.variant}]" if self.variant else "")


def plan_runs(
    notebooks: Sequence[Path],
    *,
    out: Path,
    tier: str = "fast",
    given: Sequence[tuple[str, str]] = (),
    sweep: Path | None = None,
) -> list[Run]:
    """Return the runs that a call asks for.

    Parameters
    ----------
    notebooks
        Notebook files, of different names.
    out
        Folder of the runs: ``out/<notebook>`` or, in a sweep, ``out/<notebook>/<variant>``.
    tier
        One of ``TIERS``; values come from ``params/<tier>.yaml`` beside the notebook. ``fast`` has no file.
    given
        (name, YAML literal) pairs from the command line; each notebook must have every name.
    sweep
        YAML file, see ``course.sweep``.

    Raises
    ------
    ValueError
        If a name is unknown or a value has the wrong type, in any notebook: nothing has run then.
    Her2Error
        If a notebook or a YAML file cannot be read.
    """
    if tier not in TIERS:
        raise ValueError(f"unknown tier {tier!r}; use one of {', '.join(TIERS)}")
    planned = read_sweep(sweep) if sweep else Sweep([{}])
    runs = []
    for path in notebooks:
        known = read_parameters(read_notebook(path), where=path.stem)
        base = tier_values(path, tier)
        base = check_parameters(known, base, where=f"{path.stem}, params/{tier}.yaml")
        typed = {
            n: find_parameter(known, n, where=path.stem).parse(text, where=path.stem) for n, text in given
        }
        for case in planned.cases:
            swept = check_parameters(known, case, where=f"{path.stem}, {sweep}")
            values = base | swept | typed
            own = {
                n: v
                for n, v in values.items()
                if v != known[n].default or type(v) is not type(known[n].default)
            }
            variant = planned.variant(case)
            folder = (out / path.stem / variant if variant else out / path.stem).resolve()
            runs.append(Run(path, variant, tier, own, folder))
    double = _first_double(str(run.folder) for run in runs)
    if double:
        raise ValueError(f"two runs would write to {double}; give notebooks and sweep cases different names")
    return runs


def tier_values(notebook: Path, tier: str) -> dict[str, Any]:
    """Return the notebook's values of ``params/<tier>.yaml`` beside it; none for ``fast`` or where it is not
    named.

    Raises
    ------
    Her2Error
        If the file is missing or is not a mapping of notebook to values.
    """
    if tier == "fast":
        return {}
    path = notebook.parent / "params" / f"{tier}.yaml"
    if not path.is_file():
        raise Her2Error(f"no {path}; write it (notebook name: values) or use --tier fast")
    table = read_yaml(path) or {}
    values = table.get(notebook.stem) if isinstance(table, dict) else table
    if values is not None and not isinstance(values, dict):
        raise Her2Error(f"{path}: {notebook.stem} must map parameters to values, not hold {values!r}")
    return values or {}


def run_parameters(run: Run) -> dict[str, Any]:
    """Return the values that papermill injects: the run's own, and its folder as ``out_dir``."""
    known = read_parameters(read_notebook(run.notebook), where=run.notebook.stem)
    return dict(run.parameters) | ({OUT_DIR: str(run.folder)} if OUT_DIR in known else {})


def _first_double(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
