"""A verdict is a string that knows its kind and shows as a box of its own."""

import copy
import json
import pickle

import pytest

from her2kit.course.verdict import KINDS, Verdict, shown_kind


def test_it_is_its_words():
    verdict = Verdict("Right.", "right")
    assert verdict == "Right."
    assert repr(verdict) == f"{verdict}" == "Right."
    assert json.dumps({"said": verdict}) == '{"said": "Right."}'
    assert verdict.kind == "right"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_keeps_the_kind(again):
    made = again(Verdict("Try again.", "not_yet"))
    assert (made, made.kind) == ("Try again.", "not_yet")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'wrong'; use one of open, not_yet, right, said"):
        Verdict("No.", "wrong")


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_shows_the_words_as_words_and_runs_nothing(kind):
    box = Verdict("5 < 6 & <script>alert('x')</script>\nnext line", kind)._repr_html_()
    assert "5 &lt; 6 &amp; &lt;script&gt;" in box
    assert "<script" not in box
    assert "<br>next line" in box
    assert KINDS[kind] in box
    assert f"her2kit-{kind}" in box


def test_ipython_shows_the_words_without_quotes_and_the_box():
    from IPython.core.formatters import DisplayFormatter

    data, _ = DisplayFormatter().format(Verdict("Still open.", "open"))
    assert data["text/plain"] == "Still open."
    assert data["text/html"].startswith("<div")


def test_the_kind_is_read_back_from_a_cell():
    import nbformat

    def show(*verdicts):
        outputs = [
            nbformat.v4.new_output("display_data", data={"text/html": v._repr_html_(), "text/plain": repr(v)})
            for v in verdicts
        ]
        return nbformat.v4.new_code_cell("check()", outputs=outputs)

    assert shown_kind(show(Verdict("No.", "not_yet"), Verdict("Yes.", "right"))) == "right"
    assert shown_kind(show()) is None
    printed = nbformat.v4.new_output("stream", text='<div class="her2kit-verdict her2kit-right">')
    assert shown_kind(nbformat.v4.new_code_cell("x", outputs=[printed])) is None
    assert shown_kind(nbformat.v4.new_markdown_cell("x")) is None
