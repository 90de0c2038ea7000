"""``reports/index.html``: everything that notebooks and slides left behind, one card each, as ``make demo``
shows it.

A notebook's card shows the first entry of its results and the figure of the cell tagged ``picture`` (else its
first figure); a slide's card its score and a thumbnail. Reads what is there and runs nothing.

``python -m her2kit.course.overview reports`` writes the page and prints where it is.
"""

import base64
import csv
import io
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2kit.course.notebooks import read_notebook, tagged, title_of
from her2kit.course.processes import cores
from her2kit.course.records import RECORD, read_record, read_results
from her2kit.course.regression import flatten
from her2kit.errors import Her2Error

if TYPE_CHECKING:
    import numpy as np

    from her2kit.report.index import Entry

RUNS, SCORES, INDEX = "runs", "scores", "index.html"
_PICTURE_PX = 480


def write_overview(reports: Path) -> Path:
    """Write ``reports/index.html`` from ``reports/runs`` and ``reports/scores``; return its path."""
    from her2kit.report.index import write_index

    runs = sorted(path.parent for path in (reports / RUNS).rglob(RECORD))
    entries = [_notebook(folder, reports) for folder in runs]
    entries += [_slide(row, reports) for row in _cohort(reports / SCORES)]
    ran = f"{time.strftime('%Y-%m-%d %H:%M')}, {platform.system()}, {cores()} cores"
    return write_index(reports / INDEX, entries, ran=ran)


def _notebook(folder: Path, reports: Path) -> "Entry":
    """Return the card of one run."""
    from her2kit.report.index import Entry

    record = read_record(folder) or {"notebook": folder.name, "status": "failed", "seconds": 0.0}
    name = record["notebook"] + (f" [{record['variant']}]" if record.get("variant") else "")
    page, executed = folder / f"{record['notebook']}.html", folder / f"{record['notebook']}.ipynb"
    notebook = read_notebook(executed) if executed.is_file() else None
    found = list(flatten(read_results(folder) or {}).items())[:1]
    failure = record.get("failure") or {}
    done = record["status"] == "done"
    return Entry(
        kind="notebook",
        title=(title_of(notebook) if notebook else "") or name,
        href=page.relative_to(reports).as_posix() if page.is_file() else None,
        key=_short(found[0][1]) if found and done else "",
        words=found[0][0].replace("_", " ") if found and done else _failure_words(failure),
        status="done" if done else "failed",
        ran=f"{name}, {record['seconds']:.0f} s",
        picture=_figure(notebook) if notebook else None,
    )


def _failure_words(failure: dict[str, Any]) -> str:
    return f"{failure['cell']}: {failure['error']}" if failure else "It wrote no results, or did not end."


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


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
