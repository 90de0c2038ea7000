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
            (folder / "results.json").write_text(json.dumps({"stained_cells": 1310, "share": 0.25}))
        nbformat.write(notebook, folder / f"{name}.ipynb")
        (folder / f"{name}.html").write_text("<p>page")
        failure = None if cell else {"cell": "cell 5", "error": "RuntimeError: out of stain", "lines": []}
        status = "done" if cell else "failed"
        record = {"notebook": name, "variant": "", "status": status, "seconds": 3.2, "failure": failure}
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
        "01_sample, 3 s", "<span class=\"figure\">1,310</span>", "stained cells",
        "02_bad, 3 s", "cell 5: RuntimeError: out of stain",
        "HER2 2+", "pending; 1,234 cells, H-score 151", "H&amp;E", "c.png is empty",
    ):  # fmt: skip
        assert words in text, words
    assert text.count('<img src="PICTURE"') == 2  # one notebook drew a figure, one slide can be opened
    links = re.findall(r'<a href="([^"]+)"', text)
    assert sorted(links) == [
        *("runs/01_sample/01_sample.html", "runs/02_bad/02_bad.html"),
        *("scores/a/report.html", "scores/b/report.html"),
    ]
    assert all((index.parent / link).is_file() for link in links)


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
