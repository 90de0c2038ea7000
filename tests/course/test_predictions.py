"""What was expected is kept and held against what came out; nothing a learner writes stops the notebook."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from her2kit.course.predictions import Predictions

SCORES = ["0", "1+", "2+", "3+"]


@pytest.fixture
def predicted():
    return Predictions()


def test_a_number_fits_within_a_share_of_the_truth(predicted):
    said = predicted.ask("tile width", 120, unit="um")
    assert (said, said.kind) == ("tile width: you say 120 um. Run on and see.", "said")
    told = predicted.tell("tile width", 131.07)
    assert told == "tile width is 131.1 um. You said 120 um: right, within 10 %."
    assert told.kind == "right"
    assert predicted.summary() == "Predictions: 1 asked, 1 answered, 1 right."
    assert predicted.summary().kind == "right"


@pytest.mark.parametrize(
    ("answer", "truth", "within", "fits"),
    [
        (110, 100, 0.1, True),
        (0.3, 0.1 + 0.2, 0, False),
        (110.1, 100, 0.1, False),
        (-9, -10, 0.1, True),
        (-10, 10, 0.1, False),
        (0, 0, 0.1, True),
        (0.01, 0, 0.1, False),
        (3, 3, 0, True),
        (np.int64(9), np.float32(10), 0.1, True),
        (np.array(9), 10, 0.1, True),
    ],
)
def test_how_far_a_number_may_be_off(predicted, answer, truth, within, fits):
    predicted.ask("n", answer)
    assert predicted.tell("n", truth, within=within).kind == ("right" if fits else "not_yet")


def test_words_are_compared_exactly(predicted):
    predicted.ask("score", "2+", among=SCORES)
    assert predicted.tell("score", "1+") == (
        "score is 1+. You said 2+: not right. What did you not take into account?"
    )
    predicted.ask("field", "A")
    assert predicted.tell("field", "A").kind == "right"
    predicted.ask("leaks", True)
    assert predicted.tell("leaks", np.True_).kind == "right"
    assert predicted.summary() == "Predictions: 3 asked, 3 answered, 2 right.\nLook again at: score."


def test_open_is_no_error(predicted):
    assert predicted.summary() == "Predictions: 0 asked, all still open."
    asked = predicted.ask("tile width", ..., unit="um")
    assert (asked.kind, predicted.summary().kind) == ("open", "open")
    assert "Still open: tile width. Replace ... by a number in um" in asked
    told = predicted.tell("tile width", 131)
    assert (told, told.kind) == ("tile width is 131 um. Your prediction is open.", "open")
    assert predicted.summary() == "Predictions: 1 asked, all still open."


@pytest.mark.parametrize(
    ("answer", "options", "words"),
    [
        ("120", {"unit": "um"}, "'120' is no answer. Give a number in um, without quotes."),
        (True, {"unit": "um"}, "True is no answer"),
        (float("nan"), {"unit": "um"}, "nan is no answer"),
        (float("inf"), {}, "inf is no answer"),
        (None, {}, "None is no answer"),
        ("", {}, "'' is no answer"),
        ([1, 2], {}, "[1, 2] is no answer"),
        (np.arange(3), {"among": SCORES}, "is no answer. Give one of '0', '1+', '2+', '3+'."),
        (2, {"among": SCORES}, "2 is no answer. Give one of '0', '1+', '2+', '3+'."),
        ("2", {"among": SCORES}, "'2' is no answer"),
        (1, {"among": [True, False]}, "1 is no answer. Give one of True, False."),
    ],
)
def test_what_cannot_be_read_gets_a_line_and_leaves_the_question_open(predicted, answer, options, words):
    predicted.ask("x", options["among"][0] if "among" in options else 1, **options)
    refused = predicted.ask("x", answer, **options)
    assert words in refused
    assert refused.kind == "not_yet"
    assert predicted.tell("x", 1).kind == "open"


def test_a_long_answer_is_not_printed_whole(predicted):
    assert len(predicted.ask("x", list(range(10_000)), unit="um")) < 200


def test_a_word_where_a_number_came_out_is_said(predicted):
    predicted.ask("n", "twelve")
    assert "You said twelve, which is no number" in predicted.tell("n", 12)


def test_a_truth_that_could_not_be_chosen_is_said(predicted):
    predicted.ask("score", "2+", among=SCORES)
    told = predicted.tell("score", "refused")
    assert told.startswith("score is refused, which was not on offer. You said 2+: not right.")
    predicted.ask("width", 12, unit="um")
    assert predicted.tell("width", "wide").startswith("width is wide, which is no number. You said 12 um")


def test_an_answer_may_change_until_it_is_told_and_not_after(predicted):
    predicted.ask("n", 100)
    assert predicted.ask("n", 200) == "n: you say 200 instead of 100. Run on and see."
    assert predicted.tell("n", 1000).kind == "not_yet"
    assert predicted.ask("n", 1000) == "n: the truth was told already. Your answer stays 200."
    assert predicted.tell("n", 1000).kind == "not_yet"
    predicted.ask("m", ...)
    predicted.tell("m", 5)
    assert predicted.ask("m", 5) == "m: the truth was told already. Your answer stays open."
    assert predicted.summary() == "Predictions: 2 asked, 1 answered, 0 right.\nLook again at: n."


def test_told_twice_shows_the_new_truth_and_counts_the_first(predicted):
    predicted.ask("n", 100, unit="cells")
    first = predicted.tell("n", 101)
    assert predicted.tell("n", 101) == first
    again = predicted.tell("n", 1234)
    assert again.startswith("n is 1,234 cells (first 101 cells, which counts). You said 100 cells: right")
    assert predicted.summary().kind == "right"


def test_a_name_that_nobody_asked_for(predicted):
    assert "run the cell above that asks for it" in predicted.tell("tile width", 131)
    predicted.ask("tile width", 120)
    told = predicted.tell("tile with", 131)
    assert told == "tile with is 131. Nobody predicted it: asked was 'tile width'."
    assert told.kind == "open"
    assert predicted.summary().startswith("Predictions: 1 asked, 1 answered, 0 right.\nNot told yet")


@pytest.mark.parametrize("nothing", [None, float("nan"), np.nan, np.float32("inf"), pd.NA, pd.NaT])
def test_a_truth_that_is_missing_counts_for_nothing(predicted, nothing):
    predicted.ask("auc", 0.9)
    told = predicted.tell("auc", nothing)
    assert told == "auc is no value. You said 0.9: there is nothing to hold it against."
    assert predicted.tell("auc", nothing) == told
    assert predicted.summary() == "Predictions: 1 asked, 1 answered, 0 right."


def test_what_the_author_of_a_notebook_did_wrong_is_an_error(predicted):
    predicted.ask("n", 1)
    for within in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="within is"):
            predicted.tell("n", 1, within=within)
    for truth in (np.arange(2), [1], SimpleNamespace()):
        with pytest.raises(ValueError, match="tell one number or word"):
            predicted.tell("n", truth)
