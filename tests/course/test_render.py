"""Rendering keeps what a reader needs, drops what the machine left, and gives the same bytes twice."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from her2kit.course import render
from her2kit.course.anatomy import findings
from her2kit.course.clean import clean_notebook
from her2kit.course.notebooks import code_stamp, read_notebook
from her2kit.course.render import render_notebook, render_notebooks


def test_rendered_twice_is_the_same_bytes_and_follows_the_anatomy(put, workplace):
    rendered = put()
    assert render_notebook(rendered) is None
    first = rendered.read_bytes()
    assert findings(rendered) == []
    assert (workplace / "reports/notebooks/01_sample/results.json").is_file()

    notebook = read_notebook(rendered)
    assert notebook.metadata["her2kit"]["code_sha256"] == code_stamp(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "her2kit"}
    assert "**Takes** a minute to run and 2 to read." in notebook.cells[0].source
    assert notebook.cells[4].outputs[0].text == "10\n"
    assert notebook.cells[6].outputs[0].data["image/png"]
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3, 4, 5, 6]

    assert render_notebook(rendered) is None
    assert rendered.read_bytes() == first


def test_changed_code_makes_the_stamp_stale_and_prose_does_not(put, sample):
    rendered = put("01_sample", clean_notebook(sample()))
    notebook = read_notebook(rendered)
    notebook.cells[3].source += "\nOne more sentence."
    nbformat.write(notebook, rendered)
    assert findings(rendered) == []
    notebook.cells[4].source = notebook.cells[4].source.replace("print", "print ")
    nbformat.write(notebook, rendered)
    assert findings(rendered) == ["the code changed after the outputs were made; call make render"]


def test_a_notebook_that_raises_stays_as_it_was(put, sample, workplace):
    bad = sample()
    bad.cells[4].source = "stained = 1 / 0"
    path = put("01_bad", bad)
    before = path.read_bytes()
    said = []
    assert render_notebooks([path], tell=said.append) == [path]
    assert path.read_bytes() == before
    assert '[1/1] 01_bad: failed in cell 5 under "Count the stained cells": ZeroDivisionError' in said[0]


def test_a_notebook_that_grows_too_large_stays_as_it_was(put, sample, monkeypatch):
    def run(self, source, target, parameters, tell):
        big = sample()
        big.cells[4].outputs = [nbformat.v4.new_output(**stream("stdout", "x" * 600_000))]
        nbformat.write(big, target)

    monkeypatch.setattr(render.Processes, "execute", run)
    path = put()
    before = path.read_bytes()
    wrong = render_notebook(path)
    assert 'above 500,000; largest outputs: cell 5 under "Count the stained cells" 600,' in wrong
    assert path.read_bytes() == before


def executed(*outputs):
    cell = nbformat.v4.new_code_cell("show()", metadata={"tags": ["a"], "papermill": {}, "execution": {}})
    cell.outputs = [nbformat.v4.new_output(**o) for o in outputs]
    injected = nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["injected-parameters"]})
    return nbformat.v4.new_notebook(cells=[injected, cell, nbformat.v4.new_code_cell("show()")])


def stream(name, text):
    return {"output_type": "stream", "name": name, "text": text}


def test_what_the_machine_left_is_dropped_and_the_input_stays():
    given = executed(stream("stdout", "a"), stream("stderr", "w"), stream("stdout", "b"))
    before = nbformat.writes(given)
    notebook = clean_notebook(given)
    assert nbformat.writes(given) == before
    first, second = notebook.cells
    assert [o.text for o in first.outputs] == ["ab"]
    assert dict(first.metadata) == {"tags": ["a"]}
    assert second.id == first.id + "-2"
    nbformat.validate(notebook)


@pytest.mark.parametrize(("noise", "limit"), [(0, 5_000), (12, 160_000)])
def test_figures_keep_their_picture_and_become_small(noise, limit):
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 200, 400)[None, :, None] + np.array([0, 20, 40])
    pixels = np.clip(np.repeat(ramp, 300, axis=0) + rng.normal(0, noise, (300, 400, 3)), 0, 255).astype(
        np.uint8
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    data = {
        "image/png": base64.b64encode(file.getvalue()).decode(),
        "text/html": "<b>",
        "text/plain": "<Figure>",
    }
    notebook = clean_notebook(executed({"output_type": "display_data", "data": data}))
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"image/png", "text/plain"}
    png = base64.b64decode(output.data["image/png"])
    assert len(png) < limit
    assert len(png) <= len(file.getvalue())
    back = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(float)
    assert np.abs(back - pixels).mean() <= (0 if noise == 0 else 6)
