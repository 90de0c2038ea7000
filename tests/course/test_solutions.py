"""Solutions are held against their exercises before they are put in their place."""

import nbformat
import pytest

from her2kit.course.solutions import findings, solved
from her2kit.errors import Her2Error

TITLE = "01 · How wide is a tile?"
WHY = "One pixel shows half a micrometre, so 512 of them, side by side, show 256."
BLANK = "check_tile_um(tile_px=512, mpp=0.5, answer=...)"
FILLED = "check_tile_um(tile_px=512, mpp=0.5, answer=256)"
READING = 'mine = {"A": ..., "B": ...}\ncheck_reading(planted, mine)'
READ = 'mine = {letter: "2+" for letter in planted}\ncheck_reading(planted, mine)'


@pytest.fixture
def pair(tmp_path):
    """Return a function that writes a notebook and its solutions from the sources of their code cells."""

    def write(exercises, solutions, *, title=f"# Solutions to {TITLE}", why=WHY):
        new = nbformat.v4
        book = new.new_notebook(cells=[new.new_markdown_cell(f"# {TITLE}"), new.new_code_cell("n = 1")])
        answers = new.new_notebook(cells=[new.new_markdown_cell(title)])
        for source in exercises:
            book.cells.append(new.new_code_cell(source, metadata={"tags": ["exercise"]}))
        for source in solutions:
            answers.cells.append(new.new_markdown_cell(why))
            answers.cells.append(new.new_code_cell(source, metadata={"tags": ["solution"]}))
        (tmp_path / "solutions").mkdir(exist_ok=True)
        nbformat.write(answers, tmp_path / "solutions/01_tile.ipynb")
        nbformat.write(book, tmp_path / "01_tile.ipynb")
        return tmp_path / "01_tile.ipynb"

    return write


def test_each_blank_is_filled_and_the_rest_stays(pair):
    path = pair([BLANK, READING], [FILLED, READ])
    before = path.read_bytes()
    notebook = solved(path)
    assert [c.source for c in notebook.cells if c.cell_type == "code"] == ["n = 1", FILLED, READ]
    assert notebook.cells[2].metadata.tags == ["exercise"]
    assert path.read_bytes() == before
    assert findings(path) == []


@pytest.mark.parametrize(
    ("exercises", "solutions", "words"),
    [
        ([BLANK, READING], [FILLED], "has 2 cells tagged 'exercise', solutions/01_tile.ipynb has 1 tagged"),
        ([BLANK], [FILLED, READ], "has 1 cells tagged 'exercise', solutions/01_tile.ipynb has 2"),
        ([BLANK, READING], [READ, FILLED], "the solution must call check_tile_um"),
        ([BLANK], [FILLED.replace("512", "256")], "argument tile_px is 512 in the exercise; keep it"),
        ([BLANK], ["check_tile_um(mpp=0.5, answer=256)"], "argument tile_px is 512"),
        ([READING], [READ.replace("planted, ", "other, ")], "argument 1 is planted"),
        ([BLANK], [BLANK], "still has a blank"),
        ([FILLED], [FILLED], "the exercise has no check_... call, or no blank"),
        (["answer = ..."], ["answer = 1"], "the exercise has no check_... call"),
        ([BLANK], ["check_tile_um(answer="], "the solution is no Python"),
        ([BLANK], ["answer = 256"], "must call check_tile_um"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(pair, exercises, solutions, words):
    path = pair(exercises, solutions)
    with pytest.raises(Her2Error) as raised:
        solved(path)
    assert words in str(raised.value)
    assert len(findings(path)) == 1


def test_a_notebook_without_solutions_is_named(pair):
    path = pair([BLANK], [FILLED])
    (path.parent / "solutions/01_tile.ipynb").unlink()
    with pytest.raises(Her2Error, match=r"no solutions/01_tile.ipynb; write one cell"):
        solved(path)


def test_title_reasons_and_outputs_are_looked_at(pair):
    assert "the title must be" in findings(pair([BLANK], [FILLED], title="# Answers"))[0]
    assert "why this is the answer" in findings(pair([BLANK], [FILLED], why="It is 256."))[0]
    path = pair([BLANK], [FILLED])
    file = path.parent / "solutions/01_tile.ipynb"
    answers = nbformat.read(file, as_version=4)
    answers.cells[2].outputs = [nbformat.v4.new_output("stream", text="Right.")]
    nbformat.write(answers, file)
    (found,) = findings(path)
    assert found.startswith("cell 3 (tag solution)")
    assert found.endswith("was run; clear its outputs")
