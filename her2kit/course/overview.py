"""``reports/index.html``: everything that notebooks and slides left behind, one card each, as ``make demo``
shows it.

A notebook's card shows the first entries of its results, whether they are as ``expected.yaml`` says, and the
figure of the cell tagged ``picture`` (else its first figure); a slide's card its score and a thumbnail. Reads
what is there and runs nothing.

``python -m her2kit.course.overview reports`` writes the page and prints where it is.
"""

import base64
import csv
import io
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2kit.course.notebooks import notebooks_folder, read_notebook, tagged, title_of
from her2kit.course.progress import failure_words
from her2kit.course.records import RECORD, computer, read_record, read_results
from her2kit.course.regression import GOOD, RED, Expected, compare_runs, flatten, read_expected
from her2kit.course.summary import TABLE
from her2kit.errors import Her2Error

if TYPE_CHECKING:
    import numpy as np

    from her2kit.report.index import Entry

RUNS, SCORES, INDEX = "runs", "scores", "index.html"
_PICTURE_PX = 480
_FIGURES = 3
"""How many results a card shows beside the first, and how many red ones it names."""
_LINKS = {
    "All slides on one page": f"{SCORES}/cohort.html",
    "All slides as a table": f"{SCORES}/cohort.csv",
    "All runs as a table": f"{RUNS}/{TABLE}",
}
_NOT_ENDED = {"cell": "no cell", "error": "it did not end", "lines": []}


def write_overview(reports: Path) -> Path:
    """Write ``reports/index.html`` from ``reports/runs`` and ``reports/scores``; return its path."""
    from her2kit.report.index import write_index

    runs = sorted(path.parent for path in (reports / RUNS).rglob(RECORD))
    expected = _expected()
    entries = [_notebook(folder, reports, expected) for folder in runs]
    entries += [_slide(row, reports) for row in _cohort(reports / SCORES)]
    links = {words: place for words, place in _LINKS.items() if (reports / place).is_file()}
    return write_index(reports / INDEX, entries, facts=_facts(runs, reports), links=links)


def _facts(runs: Iterable[Path], reports: Path) -> dict[str, str]:
    """Return when all of it ran, how long the notebooks took, on what and with which version."""
    records = [record for folder in runs if (record := read_record(folder)) and record.get("started")]
    begun = [(datetime.fromisoformat(r["started"]).timestamp(), r["seconds"]) for r in records]
    moments = [moment for start, seconds in begun for moment in (start, start + seconds)]
    moments += [path.stat().st_mtime for path in (reports / SCORES).glob("*/score.json")]
    if not moments:
        return {}
    facts = {"Ran": _span(min(moments), max(moments))}
    if records:
        facts["Notebooks took"] = _duration(sum(r["seconds"] for r in records))
    facts["On"] = "; ".join(dict.fromkeys(r.get("computer") or computer() for r in records)) or computer()
    return facts


def _span(first: float, last: float) -> str:
    start, end = (datetime.fromtimestamp(moment, UTC) for moment in (first, last))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}" + (f" to {until}" if f"{start:%H:%M}" != until else "") + " UTC"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _expected() -> Expected:
    """Return ``expected.yaml`` of the notebooks' folder; nothing where there is none."""
    try:
        path = notebooks_folder() / "expected.yaml"
    except ValueError:
        return {}
    return read_expected(path) if path.is_file() else {}


def _notebook(folder: Path, reports: Path, expected: Expected) -> "Entry":
    """Return the card of one run."""
    from her2kit.cells.table import CLASS_COLOURS
    from her2kit.report.index import Entry

    record = read_record(folder) or {"notebook": folder.name, "status": "failed", "seconds": 0.0}
    name = record["notebook"] + (f" [{record['variant']}]" if record.get("variant") else "")
    page, executed = folder / f"{record['notebook']}.html", folder / f"{record['notebook']}.ipynb"
    notebook = read_notebook(executed) if executed.is_file() else None
    done = record["status"] == "done"
    found = [
        (metric.replace("_", " ").replace(".", " "), _short(value))
        for metric, value in flatten(read_results(folder) or {} if done else {}).items()
        if not isinstance(value, list)
    ]
    key, value = found[0] if found else ("it wrote no results", "")
    failure = record.get("failure") or _NOT_ENDED
    colours = CLASS_COLOURS if key.endswith("score") else {}
    judged, red = _judged(folder, record, expected)
    sizes = f", {record['tier']} tier" if record.get("tier", "fast") != "fast" else ""
    return Entry(
        kind="notebook",
        title=(title_of(notebook) if notebook else "") or name,
        href=page.relative_to(reports).as_posix() if page.is_file() else None,
        key=value,
        words=key if done else f"Failed {failure_words(failure)}",
        status=("unexpected" if red else "done") if done else "failed",
        ran=f"{name}, {_duration(record['seconds'])}{sizes}",
        picture=_figure(notebook) if notebook else None,
        figures=tuple(found[1 : 1 + _FIGURES]),
        judged=judged,
        colour=colours.get(value),
        lines=() if done else tuple(failure["lines"]),
    )


def _judged(folder: Path, record: dict[str, Any], expected: Expected) -> tuple[str, bool]:
    """Return in words how many metrics are as expected, if any is judged, and whether one is not."""
    if record["status"] != "done" or record["notebook"] not in expected:
        return "", False
    verdicts = [v for v in compare_runs([folder], expected) if v.verdict in (GOOD, RED)]
    red = [v.metric for v in verdicts if v.verdict == RED]
    if red:
        more = f" and {len(red) - _FIGURES} more" if len(red) > _FIGURES else ""
        return f"not as expected: {', '.join(red[:_FIGURES])}{more}", True
    return (f"{len(verdicts)} of {len(verdicts)} as expected" if verdicts else ""), False


def _short(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
    return {"True": "yes", "False": "no", "None": "none"}.get(text, text)


def _figure(notebook: Any) -> "np.ndarray | None":
    """Return the figure that stands for the notebook, uint8 RGB, or None where it drew none."""
    import numpy as np
    from PIL import Image

    chosen = [notebook.cells[i] for i in tagged(notebook, "picture")]
    for cell in [*chosen, *notebook.cells]:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png:
                return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))
    return None


def _cohort(scores: Path) -> list[dict[str, str]]:
    """Return the rows of ``cohort.csv``; none where no slide was scored."""
    path = scores / "cohort.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _slide(row: dict[str, str], reports: Path) -> "Entry":
    """Return the card of one slide."""
    from her2kit.cells.table import CLASS_COLOURS
    from her2kit.report.index import Entry

    folder = reports / SCORES / row["slide_id"]
    record = (
        json.loads((folder / "score.json").read_text(encoding="utf-8")) if row["status"] != "failed" else {}
    )
    scored = row["status"] == "scored"
    blocks = [gate["words"] for gate in record.get("gates", []) if gate["level"] == "block"]
    words = row.get("error") or (blocks[0] if blocks else "It cannot be scored.")
    if scored:
        h_score = record["h_score_membrane_class"]
        words = f"{record['category']}; {record['n_cells']:,} cells, H-score {h_score:.0f}"
    page = folder / "report.html"
    return Entry(
        kind="slide",
        title=row["slide_id"],
        href=page.relative_to(reports).as_posix() if page.is_file() else None,
        key=f"HER2 {record['score']}" if scored else "",
        words=words,
        status={"scored": "done", "failed": "failed"}.get(row["status"], "refused"),
        ran=row.get("guideline") or "",
        picture=_thumbnail(Path(row["path"])),
        colour=CLASS_COLOURS[record["score"]] if scored else None,
    )


def _thumbnail(path: Path) -> "np.ndarray | None":
    """Return a small picture of the slide, or None where it is not to be had: the card then says so."""
    from her2kit.slides.slide import open_slide

    try:
        with open_slide(path) as slide:
            return slide.thumbnail(max_px=_PICTURE_PX).pixels
    except (Her2Error, OSError):
        return None


def main() -> None:
    """Write the index of the folder named on the command line."""
    print(write_overview(Path(sys.argv[1] if len(sys.argv) > 1 else "reports")).resolve())


if __name__ == "__main__":
    main()
