"""Compare what notebooks found with what is expected of them: counts exactly, metrics within stated bounds.

``notebooks/expected.yaml`` maps a notebook to metrics, and a metric to what is expected::

    10_score_a_slide:
      score: "2+"                                # exact: words and counts
      percent.3+: {between: [8.1, 9.4], why: three standard deviations over 20 seeds}

A dot steps into a nested result. It holds for default parameters; a run with others is not judged but is
named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from her2kit.course.records import RECORD, read_record, read_results
from her2kit.course.yaml_file import read_yaml
from her2kit.errors import Her2Error

GOOD, RED, NOT_JUDGED = "ok", "RED", "not judged"
NOTHING = "nothing"
"""Expected of a metric that ``expected.yaml`` does not name."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the comparison."""

    notebook: str
    metric: str
    expected: str
    got: str
    verdict: str
    """``ok``, ``RED`` or ``not judged``."""
    why: str = ""
    """Why this is expected, or where a run failed; empty where there is no more to say."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A metric's allowed range, ends included, and why it is so wide."""

    low: float
    high: float
    why: str

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"between [{self.low}, {self.high}] is empty; write the lower bound first")
        if not self.why.strip():
            raise ValueError("a bound needs a reason; write why: ...")


Expected = dict[str, dict[str, Any]]


def read_expected(path: Path) -> Expected:
    """Return ``expected.yaml``: notebook to metric to exact value or ``Bounds``.

    Raises
    ------
    Her2Error
        If the file cannot be read, or an entry is neither a value nor bounds with a reason.
    """
    table = read_yaml(path) or {}
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise Her2Error(f"{path}: write 'notebook: {{metric: expected}}'")
    return {
        notebook: {
            metric: _entry(value, f"{path}: {notebook}, {metric}") for metric, value in metrics.items()
        }
        for notebook, metrics in table.items()
    }


def _entry(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, float):
            raise Her2Error(f"{where}: {value} is not a count; write {{between: [low, high], why: ...}}")
        return value
    if (
        set(value) != {"between", "why"}
        or not isinstance(value["between"], list)
        or len(value["between"]) != 2
    ):
        raise Her2Error(f"{where}: write {{between: [low, high], why: ...}}, not {value}")
    try:
        return Bounds(float(value["between"][0]), float(value["between"][1]), str(value["why"] or ""))
    except (ValueError, TypeError) as error:
        raise Her2Error(f"{where}: {error}") from error


def run_folders(out: Path) -> list[Path]:
    """Return the folders of runs below ``out``, in order.

    Raises
    ------
    ValueError
        If there is none.
    """
    folders = sorted(path.parent for path in out.rglob(RECORD))
    if not folders:
        raise ValueError(f"no run in {out}; call her2kit run --out {out} first")
    return folders


def compare_runs(folders: Sequence[Path], expected: Mapping[str, Mapping[str, Any]]) -> list[Verdict]:
    """Return a verdict for each expected metric of each run, and one for each run that cannot be judged."""
    verdicts: list[Verdict] = []
    for folder in folders:
        record = read_record(folder)
        if record is None:
            verdicts.append(Verdict(folder.name, "run.json", "readable", "not readable", RED))
        elif record["status"] != "done":
            failure = record.get("failure") or {"error": "the run did not end"}
            place = failure.get("cell", "no cell")
            why = "" if place == "no cell" else f"in {place}"
            verdicts.append(Verdict(record["notebook"], "run", "done", failure["error"], RED, why))
        elif record.get("parameters"):
            words = ", ".join(f"{k}={v}" for k, v in record["parameters"].items())
            verdicts.append(Verdict(record["notebook"], "parameters", "defaults", words, NOT_JUDGED))
        elif record["notebook"] not in expected:
            verdicts.append(Verdict(record["notebook"], "expected.yaml", "an entry", "none", RED))
        else:
            results = read_results(folder) or {}
            verdicts += _compare(record["notebook"], expected[record["notebook"]], results)
    return verdicts


def _compare(notebook: str, expected: Mapping[str, Any], results: Mapping[str, Any]) -> list[Verdict]:
    flat = flatten(results)
    verdicts = []
    for metric, wanted in expected.items():
        got = flat.get(metric, "missing")
        verdict = GOOD if _fits(wanted, got) else RED
        why = wanted.why if isinstance(wanted, Bounds) else ""
        verdicts.append(Verdict(notebook, metric, words_of(wanted), words_of(got), verdict, why))
    rest = [name for name in flat if name not in expected]
    return verdicts + [Verdict(notebook, name, NOTHING, words_of(flat[name]), NOT_JUDGED) for name in rest]


def _fits(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, Bounds):
        return isinstance(got, int | float) and not isinstance(got, bool) and wanted.low <= got <= wanted.high
    return type(wanted) is type(got) and wanted == got


def flatten(results: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested results as one level, names joined by dots; lists stay as they are."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def words_of(value: Any) -> str:
    """Return an expected or found value as it is read."""
    if isinstance(value, Bounds):
        return f"{value.low:g} .. {value.high:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)
