"""A planted noise matrix comes back; labels that look wrong are found; what cannot be is refused."""

import numpy as np
import pandas as pd
import pytest

from her2kit.labels.cell_model import FEATURES, cell_features, class_codes, out_of_fold
from her2kit.labels.noise import (
    confident_learning,
    from_anchors,
    noise_matrix,
    plant_noise,
    with_review,
)
from her2kit.labels.simulated_readers import neighbour_reader
from her2kit.labels.suspects import judge_signals, suspects

PLANTED = np.array(
    [[0.85, 0.1, 0.04, 0.01], [0.15, 0.7, 0.12, 0.03], [0.05, 0.15, 0.65, 0.15], [0.02, 0.05, 0.2, 0.73]]
)
BOUND = 0.05


@pytest.fixture(scope="module")
def cells() -> dict:
    """Return 8,000 cells of four overlapping classes on eight slides, with planted noise."""
    rng = np.random.default_rng(0)
    truth = np.tile(np.arange(4), 2000)
    od = truth * 0.25 + rng.normal(0, 0.07, len(truth))
    share = np.clip(truth / 3 + rng.normal(0, 0.2, len(truth)), 0, 1)
    given = plant_noise(truth, PLANTED, seed=1)
    slides = np.repeat(np.arange(8), 1000)
    guess = out_of_fold(np.c_[od, share], given, slides, trees=60)
    return {"truth": truth, "given": given, "guess": guess, "od": od}


def test_plant_noise_gives_what_was_asked(cells):
    assert np.abs(noise_matrix(cells["truth"], cells["given"]) - PLANTED).max() < 0.03
    assert (plant_noise(cells["truth"], PLANTED, seed=1) == cells["given"]).all()
    assert (plant_noise(cells["truth"], np.eye(4)) == cells["truth"]).all()
    with pytest.raises(ValueError, match="does not sum to 1"):
        plant_noise(cells["truth"], PLANTED * 2)


def test_anchors_find_the_planted_matrix(cells):
    planted = noise_matrix(cells["truth"], cells["given"])
    found = from_anchors(cells["given"], cells["guess"])
    assert np.abs(found.matrix - planted).max() < BOUND
    assert found.rate == pytest.approx((cells["truth"] != cells["given"]).mean(), abs=BOUND)
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert (found.posterior.argmax(axis=1) == cells["truth"]).mean() > (
        cells["given"] == cells["truth"]
    ).mean()


def test_confident_learning_is_cleanlabs(cells):
    """Where classes do not overlap and nothing is unsure, it is the planted matrix itself."""
    truth = cells["truth"]
    sure = np.full((len(truth), 4), 0.01) + 0.96 * np.eye(4)[truth]
    found = confident_learning(cells["given"], sure)
    np.testing.assert_allclose(found.matrix, noise_matrix(truth, cells["given"]), atol=0.01)
    overlapping = confident_learning(cells["given"], cells["guess"])
    assert overlapping.rate > 0.2


def test_a_review_drawn_at_random_holds_for_any_noise(cells):
    """Noise as R1's rule makes it: on some slides every 1+ is called 2+, on others none."""
    truth, rng = cells["truth"], np.random.default_rng(2)
    slide = np.repeat(np.arange(8), 1000)
    given = np.where((truth == 1) & (slide < 5), 2, truth)
    planted = noise_matrix(truth, given)
    rows = rng.permutation(len(truth))[:1000]
    blunt = with_review(given, np.full((len(truth), 4), 0.25), rows, truth[rows])
    assert np.abs(blunt.matrix - planted).max() < 0.1
    wrong_opinion = with_review(given, np.roll(np.eye(4)[truth], 1, axis=1), rows, truth[rows])
    assert np.abs(wrong_opinion.matrix - planted).max() < 0.1
    perfect = with_review(given, np.eye(4)[truth], rows, truth[rows])
    np.testing.assert_allclose(perfect.matrix, planted, atol=1e-9)
    unknown = with_review(given, np.full((len(truth), 4), np.nan), rows, truth[rows])
    np.testing.assert_allclose(unknown.matrix, blunt.matrix)


def test_a_readers_known_errors_are_taken_out(cells):
    truth, given = cells["truth"], cells["given"]
    planted = noise_matrix(truth, given)
    reader = neighbour_reader("novice", 0.8)
    rows = np.arange(len(truth))
    read = reader.read(truth, seed=4)
    opinion = np.full((len(truth), 4), 0.25)
    as_they_are = with_review(given, opinion, rows, read)
    taken_out = with_review(given, opinion, rows, read, reader=reader.matrix)
    assert np.abs(as_they_are.matrix - planted).max() > 0.08
    assert np.abs(taken_out.matrix - planted).max() < 0.03
    with pytest.raises(ValueError, match="tells classes apart"):
        with_review(given, opinion, rows, read, reader=np.full((4, 4), 0.25))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, p: confident_learning(g[:5], p), "5 labels for probabilities of"),
        (lambda g, p: from_anchors(np.zeros_like(g), p), "no label is of class 1"),
        (lambda g, p: from_anchors(g + 3, p), "classes are 0 to 3"),
        (lambda g, p: from_anchors(g, p * 2), "do not sum to 1"),
        (lambda g, p: from_anchors(g, np.full_like(p, 0.25)), "labelled alike"),
        (lambda g, p: with_review(g, p, np.arange(3), g[:2]), "3 rows and 2 readings"),
        (lambda g, p: with_review(g, p, np.array([], int), g[:0]), "0 rows and 0 readings"),
    ],
)
def test_what_does_not_fit_is_named(cells, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(cells["given"], cells["guess"])
    assert "\n" not in str(caught.value)


def test_out_of_fold_has_not_seen_the_slide():
    """A feature that names the slide tells nothing about it when the slide was left out."""
    slides = np.repeat(np.arange(6), 50)
    labels = slides % 2
    features = np.eye(6)[slides]
    guess = out_of_fold(features, labels, slides, k=6, trees=20)
    assert (guess[:, :2].argmax(axis=1) == labels).mean() < 0.7
    assert (guess[:, 2:] == 0).all()
    with pytest.raises(ValueError, match="names 1 slides"):
        out_of_fold(features, labels, np.zeros(300))
    with pytest.raises(ValueError, match="give one each a cell"):
        out_of_fold(features, labels[:4], slides)


def test_codes_and_features_name_what_is_missing():
    assert class_codes(["3+", "0"]).tolist() == [3, 0]
    with pytest.raises(ValueError, match="labels holds None in row 1"):
        class_codes(["0", None])
    with pytest.raises(ValueError, match="no column 'dab_od'"):
        cell_features(pd.DataFrame({"completeness": [1.0]}))
    table = pd.DataFrame({name: [1.0, np.inf] for name in FEATURES})
    assert cell_features(table).shape == (2, len(FEATURES))
    assert np.isnan(cell_features(table)[1]).all()
    assert cell_features(table.assign(brown_share=0.5)).shape == (2, len(FEATURES) + 1)


def test_each_signal_doubts_what_it_should():
    labels = pd.DataFrame(
        {"cell_class": ["0", "3+", "3+", "2+"], "confidence": [0.9, 0.9, 0.1, np.nan]}, index=[3, 5, 7, 9]
    )
    found = suspects(
        labels,
        measured=pd.Series(["0", "2+", "3+", None], index=labels.index),
        brown_share=np.array([0.0, 0.01, 0.5, 0.06]),
    )
    assert found["brown"].tolist() == [False, True, False, False]  # a 0 is never doubted
    assert found["membrane"].tolist() == [False, True, False, False]
    assert found["uncertain"].tolist() == [False, False, True, False]
    assert found["n_signals"].tolist() == [0, 2, 1, 0]
    assert found.index.tolist() == [3, 5, 7, 9]
    judged = judge_signals(found, np.array([False, True, True, True]))
    assert judged.loc["suspect"].tolist() == [2, 1.0, pytest.approx(2 / 3)]
    with pytest.raises(ValueError, match="brown_share has 1 rows for 4 labels"):
        suspects(labels, brown_share=np.zeros(1))
    with pytest.raises(ValueError, match="cell_class holds '9'"):
        suspects(labels.assign(cell_class="9"))


def test_the_classifier_doubts_wrong_labels_more_than_right_ones(cells):
    labels = pd.DataFrame({"cell_class": np.array(["0", "1+", "2+", "3+"])[cells["given"]]})
    found = suspects(labels, probabilities=cells["guess"])
    judged = judge_signals(found, cells["given"] != cells["truth"])
    assert judged.loc["classifier", "right"] > 0.6
    assert judged.loc["classifier", "found"] > 0.6
