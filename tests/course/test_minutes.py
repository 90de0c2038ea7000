"""Minutes are measured: by the clock of the rendering, and by what is on the page."""

import nbformat
import pytest

from her2kit.course.minutes import (
    SECONDS_PER_CODE_LINE,
    SECONDS_PER_FIGURE,
    WORDS_PER_MINUTE,
    code_lines,
    prose_words,
    reading_minutes,
    said_minutes,
    write_minutes,
)


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def markdown(text):
    return nbformat.v4.new_markdown_cell(text)


def code(source, figures=0):
    outputs = [nbformat.v4.new_output("display_data", data={"image/png": "x"}) for _ in range(figures)]
    outputs.append(nbformat.v4.new_output("stream", text="printed " * 500))
    return nbformat.v4.new_code_cell(source, outputs=outputs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two words", 2),
        ("## A heading of 5 words", 5),
        ("Read the [mpp of it](../docs/glossary.md#mpp) first.", 6),
        ("![a picture](attachment:x.png) of it", 2),
        ("<details><summary>a) yes</summary><b>No.</b> Why not.</details>", 5),
        ("| a | b |\n|---|---|\n| 1 | 2 |", 4),
        ("OD < 0.1 and > 0", 4),
        ("**Takes** 12 minutes to run and 40 to read. Go on.", 2),
        ("**Takes** about a minute to run, and thirty to read.", 0),
    ],
)
def test_words_are_those_that_a_reader_sees(text, words):
    assert prose_words(text) == words


def test_words_lines_and_figures_add_up():
    minutes = reading_minutes(
        notebook(
            markdown("word " * WORDS_PER_MINUTE * 3),
            code("# why\n\nx = 1\ny = 2", figures=2),
            nbformat.v4.new_raw_cell("word " * 900),
        )
    )
    assert minutes == pytest.approx(3 + 2 * SECONDS_PER_CODE_LINE / 60 + 2 * SECONDS_PER_FIGURE / 60)


def test_blank_lines_and_comments_are_no_code():
    assert code_lines("# why\n\nx = 1  # y\n   \n  # z\nprint(x)") == 2


@pytest.mark.parametrize(
    ("seconds", "words", "said", "want"),
    [
        (20, 3, "**Takes** a minute to run and a minute to read.", (1, 1)),
        (89, 238 * 2, "**Takes** a minute to run and 2 to read.", (1, 2)),
        (91, 238 * 40, "**Takes** 2 minutes to run and 40 to read.", (2, 40)),
    ],
)
@pytest.mark.parametrize(
    "before", ["7 minutes to run and 9 to read.", "about a minute to run, and thirty to read."]
)
def test_what_is_measured_stands_in_the_sentence(seconds, words, said, want, before):
    opening = f"# A?\n\n**Needs** nothing. **Takes** {before}\n\n> Careful."
    page = notebook(markdown(opening), markdown("word " * (words - 4)))
    write_minutes(page, seconds)
    assert page.cells[0].source == f"# A?\n\n**Needs** nothing. {said}\n\n> Careful."
    assert said_minutes(page.cells[0].source) == want
    write_minutes(page, seconds)
    assert said_minutes(page.cells[0].source) == want


def test_without_the_sentence_nothing_is_written():
    page = notebook(markdown("# A?\n\nTakes a while."))
    write_minutes(page, 60)
    assert page.cells[0].source == "# A?\n\nTakes a while."
    assert said_minutes(page.cells[0].source) is None
