"""What a lesson must have is missed where it is missing, and named."""

import nbformat
import pytest

from her2kit.course.lesson import lesson_findings
from her2kit.course.verdict import Verdict

OPENING = """# 01 · How wide is a tile?

**Needs** nothing. **Takes** a minute to run and a minute to read.

A [tile](../docs/glossary.md#tile), its [mpp](../docs/glossary.md#mpp),
a [membrane](../docs/glossary.md#membrane) and a [score](../docs/glossary.md#h-score).
"""
ASK = 'predicted.ask("width", ..., unit="um")'
TELL = 'predicted.tell("width", 256)'
CHECK = "check_tile_um(tile_px=512, mpp=0.5, answer=...)"
QUESTION = """**{}. Which?**

<details><summary>a) one</summary><b>{}.</b> Because of this.</details>
<details><summary>b) two</summary><b>{}.</b> Because of that.</details>
<details><summary>c) three</summary><b>{}.</b> Because I < you.</details>
"""
PLACES = ["Right No No", "No Right No", "No No Right", "Right No No"]
QUIZ = "## Quiz\n\n" + "\n".join(QUESTION.format(n, *p.split()) for n, p in enumerate(PLACES, start=1))
END = "## Summary\n\n**Next:** [notebook 02](02_next.ipynb) asks: and how high?\n"


def markdown(text):
    return nbformat.v4.new_markdown_cell(text)


def code(source, tag=None, verdict=None):
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": [tag]} if tag else {})
    if verdict:
        data = {"text/plain": repr(verdict), "text/html": verdict._repr_html_()}
        cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
    return cell


@pytest.fixture
def found(tmp_path):
    """Return a function that changes sources of a good lesson, and returns what is wrong with it."""

    def look(*changes, cells=None):
        good = [
            markdown(OPENING),
            code(ASK, "predict", Verdict("Still open.", "open")),
            code(TELL),
            code("predicted.summary()"),
            markdown(QUIZ),
            markdown("## Exercises"),
            code(CHECK, "exercise", Verdict("Still open.", "open")),
            code(CHECK.replace("512", "256"), "exercise", Verdict("Still open: A.", "open")),
            markdown(END),
        ]
        notebook = nbformat.v4.new_notebook(cells=cells(good) if cells else good)
        for old, new in changes:
            assert any(old in cell.source for cell in notebook.cells), old
            for cell in notebook.cells:
                cell.source = cell.source.replace(old, new)
        nbformat.write(notebook, tmp_path / "01_tile.ipynb")
        (tmp_path / "02_next.ipynb").touch()
        return lesson_findings(tmp_path / "01_tile.ipynb")

    return look


def test_a_good_lesson_lacks_nothing(found):
    assert found() == []
    assert found(("Because of that.", "Because 2 * 3 is 2*3.")) == []
    assert found(("a minute to read", "2 to read")) == []  # within what a mended sentence changes


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("answer=...", "answer=256", "has no blank ... that a check_... judges"),
        (ASK, 'predicted.ask("width", 3)', "asks for a prediction without a blank"),
        (TELL, 'predicted.tell("with", 256)', "asks for 'width', and no later cell tells it"),
        (TELL, 'predicted.tell("with", 256)', "tells 'with', and no cell asks for it"),
        (TELL, TELL + "\npredicted.summary()\n" + TELL, ""),
        ("predicted.summary()", "predicted", "call predicted.summary()"),
        ("predicted.", "guessed.", "no prediction: write predicted.ask(name, ...)"),
        ("## Quiz", "## Questions", "0 headings '## Quiz'"),
        ("## Exercises", "## More", "the quiz must stand before the exercises"),
        ("**3. Which?**", "3. Which?", "the quiz has questions 1, 2, 4"),
        ("c) three", "d) three", "question 1 of the quiz must have the options a), b), c)"),
        ("<b>Right.</b> Because of that.", "<b>Yes.</b>", "question 2 of the quiz must have the options"),
        ("<b>No.</b> Because of that.", "<b>Right.</b> Because of that.", "question 1 of the quiz has 2"),
        ("<b>Right.</b> Because of that.", "<b>No.</b> It is not.", "question 2 of the quiz has 0"),
        ("Because of this.", "", "question 1 of the quiz: say why"),
        ("Because of that.", "Because of `that` one.", "in <details> only HTML shows"),
        ("Because of that.", "Because of *that* one.", "in <details> only HTML shows"),
        ("Because of that.", "Because of [that](x.md).", "in <details> only HTML shows"),
        ("#mpp", "", "3 links to words of the glossary; at least 4"),
        ("**Next:**", "Next:", "no line '**Next:**"),
        ("02_next", "03_gone", "leads to 03_gone.ipynb, which is no other notebook"),
        ("02_next", "01_tile", "leads to 01_tile.ipynb, which is no other notebook"),
        ("a minute to read", "some time to read", "say '**Takes** N minutes to run and M to read.'"),
        ("a minute to read", "9 to read", "says 9 minutes to read, the text takes 1; call make render"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(found, old, new, words):
    lines = found((old, new))
    assert any(words in line for line in lines) if words else lines == [], lines


def test_right_options_at_one_place_are_found(found):
    def same(cells):
        cells[4].source = "## Quiz\n\n" + "\n".join(
            QUESTION.format(n, "No", "Right", "No") for n in range(1, 5)
        )
        return cells

    assert found(cells=same) == ["the right options of the quiz are all at the same place"]


def test_too_few_or_too_many_exercises_are_found(found):
    assert "1 cells tagged 'exercise'; 2 to 4 are wanted" in found(cells=lambda c: c[:6] + c[7:])
    more = [code(CHECK, "exercise", Verdict("Still open.", "open")) for _ in range(3)]
    assert "5 cells tagged 'exercise'; 2 to 4 are wanted" in found(cells=lambda c: c[:6] + more + c[6:])


def test_tags_and_outputs_are_looked_at(found):
    def untag(place):
        return lambda cells: [*cells[:place], code(cells[place].source), *cells[place + 1 :]]

    assert any("has a blank and a check; tag it 'exercise'" in line for line in found(cells=untag(6)))
    assert any("asks for a prediction; tag it 'predict'" in line for line in found(cells=untag(1)))

    def answered(cells):
        return [*cells[:6], code(CHECK, "exercise", Verdict("Right.", "right")), *cells[7:]]

    assert [line.split(" under")[0] for line in found(cells=answered)] == ["cell 7 (tag exercise)"]
    assert "does not show that it is open" in found(cells=answered)[0]


def test_what_is_told_before_it_is_asked_is_found(found):
    def turned(cells):
        return [cells[0], cells[2], cells[1], *cells[3:]]

    assert any("and no later cell tells it" in line for line in found(cells=turned))


def test_two_predictions_in_one_cell(found):
    both = f'display({ASK}, predicted.ask("height", ...))'
    assert any("asks for 'height', and no later cell" in line for line in found((ASK, both)))
    assert found((ASK, both), (TELL, f'display({TELL}, predicted.tell("height", 3))')) == []
