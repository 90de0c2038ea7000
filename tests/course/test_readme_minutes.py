"""The README's column of minutes is what the notebooks say."""

import nbformat
import pytest

from her2kit.course.readme_minutes import with_minutes
from her2kit.errors import Her2Error

TABLE = """# A

| no. | question | afterwards | minutes |
|---|---|---|---|
| 01 | [What?](notebooks/01_what.ipynb) | see 1 + 2 | |
| 02 | [How?](notebooks/02_how.ipynb) | do | 9 + 9 |

| else | stays | | |
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name, words in {
        "01_what": "2 minutes to run and 31",
        "02_how": "a minute to run and a minute",
    }.items():
        cells = [
            nbformat.v4.new_markdown_cell("# T"),
            nbformat.v4.new_markdown_cell(f"**Takes** {words} to read."),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"notebooks/{name}.ipynb")
    return tmp_path


def test_rows_are_filled_and_nothing_else_changes(folder):
    filled = with_minutes(TABLE, folder)
    assert filled == TABLE.replace("| see 1 + 2 | |", "| see 1 + 2 | 2 + 31 |").replace(
        "| 9 + 9 |", "| 1 + 1 |"
    )
    assert with_minutes(filled, folder) == filled


def test_a_notebook_that_says_no_minutes_is_named(folder):
    nbformat.write(nbformat.v4.new_notebook(), folder / "notebooks/02_how.ipynb")
    with pytest.raises(Her2Error, match=r"02_how\.ipynb does not say"):
        with_minutes(TABLE, folder)


def test_a_readme_without_the_table_is_said(folder):
    with pytest.raises(Her2Error, match="no row"):
        with_minutes("# A\n", folder)
