"""A repository with nothing but ``notebooks``, and one good notebook that follows the anatomy."""

from pathlib import Path

import pytest

OPENING = """# How many cells are stained?

You will learn

- to count;
- to divide;
- to read a bar.

Needs: nothing. Produces: two numbers. **Takes** 7 minutes to run and 9 to read. Research and teaching only.
"""
PARAMETERS = """n_cells = 40  # cells
share = 0.25  # of cells that are stained
label = "2+"  # what a reader said
region: str | None = None  # GeoJSON file
cuts = [0.1, 0.5]  # shares
out_dir = "../reports/notebooks/01_sample"  # where results go"""
FIGURE = """import matplotlib.pyplot as plt
figure = plt.figure(figsize=(2, 1), dpi=60)
figure.gca().bar(["stained", "not"], [stained, n_cells - stained]);"""
PROSE = """## {}

Each cell is stained or not. We count the stained ones, divide by all, and draw both as bars, so that the
share can be seen at once. What you see in the bar is what the number says, and nothing else: look at it
before you read on.
"""


def markdown(text):
    import nbformat

    return nbformat.v4.new_markdown_cell(text)


def code(source, *tags):
    import nbformat

    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def good_notebook():
    """Return the good notebook, not yet run."""
    import nbformat

    cells = [
        markdown(OPENING),
        code("from her2kit.course.results import write_results"),
        code(PARAMETERS, "parameters"),
        markdown(PROSE.format("Count the stained cells")),
        code("stained = round(n_cells * share)\nprint(stained)"),
        markdown(PROSE.format("Draw them")),
        code(FIGURE),
        markdown("## What can go wrong\n\nA cell may be cut by the edge. It is left out, and counted."),
        code("results = {'stained': stained, 'share': stained / n_cells, 'label': label}", "exercise"),
        code("write_results(out_dir, results)", "results"),
        markdown("## Exercises\n\nHalve the share. What do you expect? Run it and see."),
        markdown("## Summary\n\nA share is a count over a count.\n\n## Sources\n\nNone."),
    ]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "x"}}
    )


@pytest.fixture
def sample():
    """Return the function that makes a good notebook."""
    return good_notebook


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """Return an empty repository: ``notebooks/params`` below the current folder."""
    (tmp_path / "notebooks/params").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def put(workplace):
    """Return a function that writes a notebook as ``notebooks/NAME.ipynb``."""

    def write(name="01_sample", notebook=None, **replaced):
        import nbformat

        notebook = notebook or good_notebook()
        for cell in notebook.cells:
            for old, new in replaced.items():
                cell.source = cell.source.replace(old, new)
        path = workplace / "notebooks" / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    return write
