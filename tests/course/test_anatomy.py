"""Each fault that a notebook can have is found, and named so that it can be mended."""

import nbformat
import pytest

from her2kit.course.anatomy import findings
from her2kit.course.clean import STAMP
from her2kit.course.notebooks import code_stamp


@pytest.fixture
def found(put, sample):
    """Return a function that changes the good notebook, stamps it and returns what is wrong."""

    def look(change):
        notebook = sample()
        change(notebook)
        if STAMP not in notebook.metadata:
            notebook.metadata[STAMP] = {"code_sha256": code_stamp(notebook)}
        return findings(put("01_sample", notebook))

    return look


def test_the_good_notebook_has_no_fault(found):
    assert found(lambda notebook: None) == []


def printed(text):
    return output(output_type="stream", name="stdout", text=text)


def source(index, old, new):
    def change(notebook):
        assert old in notebook.cells[index].source
        notebook.cells[index].source = notebook.cells[index].source.replace(old, new)

    return change


def output(**fields):
    return lambda notebook: notebook.cells[4].outputs.append(nbformat.v4.new_output(**fields))


def tags(index, *names):
    return lambda notebook: notebook.cells[index].metadata.update(tags=list(names))


LONG = "\n".join(f"x{i} = {i}" for i in range(26))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (source(0, "?", "."), "title as a question"),
        (source(0, "- to divide;", ""), "three things that the reader will learn"),
        (source(0, "Needs", "Takes"), "say 'needs'"),
        (source(0, "Research and teaching only", "Enjoy"), "say 'research and teaching only'"),
        (source(2, "  # cells", ""), "say unit or meaning of the parameter in a comment: n_cells = 40"),
        (source(2, "= 40", "= 4 * 10"), "n_cells = 4 * 10 is not a literal"),
        (source(2, "out_dir", "folder"), "lacks out_dir = '../reports/notebooks/01_sample'"),
        (tags(2), "one code cell must carry the tag 'parameters', not 0"),
        (tags(8, "results"), "one code cell must carry the tag 'results', not 2"),
        (source(9, "write_results(", "print("), "must call write_results"),
        (source(7, "What can go wrong", "Notes"), "no heading with 'what can go wrong'"),
        (
            source(4, "print(stained)", LONG),
            'under "Count the stained cells" has 27 lines of code; at most 25',
        ),
        (output(output_type="error", ename="ValueError", evalue="", traceback=[]), "ends in ValueError"),
        (output(output_type="stream", name="stderr", text="careful"), "shows stderr"),
        (printed("see /home/kim/x.svs"), "a path of one machine: /home/kim"),
        (printed(r"see C:\Users"), r"a path of one machine: C:\Users"),
        (printed("<A at 0x7f00aa11bb>"), "a memory address: at 0x7f00aa"),
        (lambda notebook: notebook.metadata.update({STAMP: {}}), "never rendered; call make render"),
        (lambda notebook: notebook.metadata.update({STAMP: {"code_sha256": "0"}}), "the code changed"),
    ],
)
def test_a_fault_is_found(found, change, words):
    assert any(words in line for line in found(change)), found(change)


def test_long_cells_and_little_prose_are_found(found):
    def change(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
                cell.source += "\n" + "\n".join(f"value = stained + {i}" for i in range(9))
        for cell in notebook.cells[3:6]:
            cell.source = cell.source[:60]

    lines = found(change)
    assert any("the median code cell has" in line for line in lines)
    assert any("write as much prose as code" in line for line in lines)


def test_results_must_follow_parameters(found):
    def change(notebook):
        notebook.cells.insert(1, notebook.cells.pop(9))

    assert "the cell tagged results stands before the one tagged parameters" in found(change)
