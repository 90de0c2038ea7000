"""The index shows each run and each slide with its key figure, what failed, and links that lead somewhere."""

import base64
import csv
import io
import json
import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from her2kit.course.clean import clean_notebook
from her2kit.course.overview import _figure, write_overview


@pytest.fixture
def scores(workplace):
    """Write three slides' folders: scored, refused and failed."""
    folder = workplace / "reports/scores"
    rows = [
        {
            "path": "a.png",
            "slide_id": "a",
            "status": "scored",
            "guideline": "breast-asco-cap-2018",
            "error": "",
        },
        {"path": "b.png", "slide_id": "b", "status": "not_evaluable", "guideline": "", "error": ""},
        {"path": "c.png", "slide_id": "c", "status": "failed", "guideline": "", "error": "c.png is empty"},
    ]
    for row in rows[:2]:
        (folder / row["slide_id"]).mkdir(parents=True)
        (folder / row["slide_id"] / "report.html").write_text("<p>report")
    record = {
        "score": "2+",
        "category": "pending",
        "n_cells": 1234,
        "h_score_membrane_class": 151.2,
        "gates": [],
    }
    (folder / "a/score.json").write_text(json.dumps(record))
    gates = [
        {"name": "focus", "level": "ok", "words": "sharp"},
        {"name": "stain", "level": "block", "words": "H&E"},
    ]
    (folder / "b/score.json").write_text(json.dumps({"score": None, "gates": gates}))
    Image.fromarray(np.full((600, 900, 3), (200, 30, 30), np.uint8)).save("a.png")
    with (folder / "cohort.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def runs(sample, workplace):
    """Write two runs' folders: one done and with a figure, one that failed."""
    for name, cell in (("01_sample", 6), ("02_bad", None)):
        folder = workplace / "reports/runs" / name
        folder.mkdir(parents=True)
        notebook = sample()
        if cell:
            notebook.cells[cell].outputs = [figure(90)]
            results = {
                "stained_cells": 1310,
                "share": 0.25,
                "same": True,
                "by": {"a": 1},
                "list": [1],
                "z": 9,
            }
            (folder / "results.json").write_text(json.dumps(results))
        nbformat.write(notebook, folder / f"{name}.ipynb")
        (folder / f"{name}.html").write_text("<p>page")
        failure = {"cell": "cell 5", "error": "RuntimeError: out of stain", "lines": ["----> 2 raise"]}
        record = {
            "notebook": name, "variant": "", "tier": "fast" if cell else "smoke", "seconds": 3.2,
            "status": "done" if cell else "failed", "failure": None if cell else failure,
            "started": f"2026-11-21T19:{20 if cell else 40}:00+00:00", "computer": "Linux, 2 cores",
        }  # fmt: skip
        (folder / "run.json").write_text(json.dumps(record))


def figure(value):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
    data = {"image/png": base64.b64encode(file.getvalue()).decode()}
    return nbformat.v4.new_output("display_data", data=data)


def test_each_run_and_slide_has_a_card_and_every_link_leads_somewhere(runs, scores, workplace):
    index = write_overview(workplace / "reports")
    assert index == workplace / "reports/index.html"
    text = re.sub(r"\s+", " ", re.sub(r"data:image[^\"']*", "PICTURE", index.read_text()))
    for words in (
        "How many cells are stained?",
        "01_sample, 3 s<", "<span class=\"figure\">1,310</span>", "stained cells",
        "<tr><th>share</th><td>0.25</td></tr><tr><th>same</th><td>yes</td></tr>", "<td>1</td></tr></table>",
        "02_bad, 3 s, smoke tier<", "Failed in cell 5: RuntimeError: out of stain", "----&gt; 2 raise",
        "<dt>Notebooks</dt><dd>1 done, 1 failed</dd>", "<dt>Slides</dt><dd>1 done, 1 refused, 1 failed</dd>",
        "<dt>Ran</dt><dd>2026-11-21 19:20 to ", "<dt>On</dt><dd>Linux, 2 cores</dd>", "2 of 5 failed",
        "HER2 2+", "pending; 1,234 cells, H-score 151", "H&amp;E", "c.png is empty",
    ):  # fmt: skip
        assert words in text, words
    assert text.count('<img src="PICTURE"') == 2  # one notebook drew a figure, one slide can be opened
    links = re.findall(r'<a href="([^"]+)"', text)
    assert sorted(links) == [
        *("runs/01_sample/01_sample.html", "runs/02_bad/02_bad.html"),
        *("scores/a/report.html", "scores/b/report.html", "scores/cohort.csv"),
    ]
    assert all((index.parent / link).is_file() for link in links)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("stained_cells: 1310", '<span class="level ok">1 of 1 as expected</span>'),
        ("stained_cells: 1311", '<span class="level block">not as expected: stained_cells</span>'),
    ],
)
def test_a_card_says_whether_its_figures_are_as_expected(runs, workplace, entry, words):
    assert "as expected" not in write_overview(workplace / "reports").read_text()
    (workplace / "notebooks/expected.yaml").write_text(f"01_sample: {{{entry}}}\n")
    assert words in write_overview(workplace / "reports").read_text()


def test_without_anything_the_page_says_so(workplace):
    assert "Nothing has run yet" in write_overview(workplace / "reports").read_text()


def test_a_tagged_picture_goes_before_the_first(sample):
    notebook = sample()
    assert _figure(notebook) is None
    notebook.cells[4].outputs = [figure(10)]
    notebook.cells[6].outputs = [figure(20)]
    assert _figure(notebook)[0, 0, 0] == 10
    notebook.cells[6].metadata["tags"] = ["picture"]
    assert _figure(clean_notebook(notebook))[0, 0, 0] == 20
