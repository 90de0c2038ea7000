"""What to review first, what it gains, and what it would gain with readers who err."""

import numpy as np
import pytest

from her2kit.labels.ranking import expected_gain, lift, random_order, review_order
from her2kit.labels.simulated_readers import (
    Reader,
    label_f1,
    model_f1,
    neighbour_reader,
    review_curve,
    reviewed,
)

TRUTH = np.tile(np.arange(4), 500)
WRONG = np.random.default_rng(0).random(2000) < 0.3
GIVEN = np.where(WRONG, (TRUTH + 1) % 4, TRUTH)


def test_gain_is_the_chance_that_the_label_is_wrong():
    posterior = np.array([[0.7, 0.3, 0, 0], [0.0, 0.0, 0.0, 1.0], [np.nan] * 4])
    given = np.array([0, 0, 1])
    assert expected_gain(given, posterior) == pytest.approx([0.3, 1.0, 0.75])
    # A reader who is right nine times of ten spoils one label of ten that is right.
    gain = expected_gain(given, posterior, reader=neighbour_reader("r", 0.9).matrix)
    assert gain == pytest.approx([0.2, 0.9, 0.65])


def test_rare_classes_count_more():
    posterior = np.array([[0.5, 0.5, 0, 0]] * 9 + [[0.5, 0, 0, 0.5]])
    gain = expected_gain(np.zeros(10, int), posterior, value="classes")
    assert review_order(gain)[0] == 9
    assert review_order(expected_gain(np.zeros(10, int), posterior)).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "money"}, "value='money'; use one of labels, classes"),
        ({"reader": np.eye(3)}, "reader knows 3 classes, posterior 4"),
        ({"posterior": np.eye(4)[:2]}, "3 labels for a posterior of"),
    ],
)
def test_gain_checks_its_arguments(change, message):
    arguments = {"posterior": np.eye(4)[:3]} | change
    with pytest.raises(ValueError, match=message):
        expected_gain(np.zeros(3, int), **arguments)


@pytest.mark.parametrize(("rate", "attainable"), [(0.3, 1 / 0.3), (0.04, 10.0)])
def test_a_perfect_order_attains_all_and_a_random_one_a_lift_of_one(rate, attainable):
    wrong = np.random.default_rng(1).random(20_000) < rate
    perfect = lift(review_order(wrong.astype(float)), wrong)
    assert perfect.attained == pytest.approx(min(1, 0.1 / rate) / (0.1 * perfect.attainable), rel=0.02)
    assert perfect.attainable == pytest.approx(attainable, rel=0.05)
    assert perfect.attained == pytest.approx(1, abs=1e-9)
    assert lift(random_order(20_000, seed=3), wrong).lift == pytest.approx(1, abs=0.15)


def test_lift_refuses_what_has_no_answer():
    with pytest.raises(ValueError, match="no label is wrong"):
        lift(np.arange(4), np.zeros(4, bool))
    with pytest.raises(ValueError, match="share=0"):
        lift(np.arange(4), np.ones(4, bool), share=0)


def test_a_reader_errs_as_stated_and_by_seed():
    reader = neighbour_reader("novice", 0.8)
    truth = np.repeat(np.arange(4), 5000)
    said = reader.read(truth, seed=1)
    assert (said == truth).mean() == pytest.approx(0.8, abs=0.01)
    assert (np.abs(said - truth) <= 1).all()
    assert (reader.read(truth, seed=1) == said).all()
    assert (Reader("perfect", np.eye(4)).read(truth) == truth).all()
    with pytest.raises(ValueError, match=r"right=1\.2"):
        neighbour_reader("r", 1.2)
    with pytest.raises(ValueError, match="reader 'r' is no square of shares"):
        Reader("r", np.eye(4) * 2)


def test_review_replaces_the_first_labels_and_nothing_else():
    order = np.array([3, 1, 0, 2])
    given = np.array([0, 0, 0, 0])
    assert reviewed(given, np.array([1, 2, 3, 1]), order, 2).tolist() == [0, 2, 0, 1]
    assert given.tolist() == [0, 0, 0, 0]


def test_the_right_order_gains_more_and_all_cells_the_same():
    orders = {"ranked": review_order(WRONG.astype(float)), "random": random_order(2000)}
    features = np.c_[TRUTH + np.random.default_rng(3).normal(0, 0.3, 2000)]
    scores = {"labels": label_f1(TRUTH), "model": model_f1(features, features, TRUTH, trees=20)}
    curve = review_curve(
        GIVEN, TRUTH, orders, neighbour_reader("r", 0.95), portions=[0, 400, 2000], scores=scores, seed=5
    ).set_index(["order", "reviewed"])
    assert curve.loc[("ranked", 0), "labels"] == curve.loc[("random", 0), "labels"]
    assert curve.loc[("ranked", 0), "labels_gain"] == 0
    assert curve.loc[("ranked", 2000), "labels"] == curve.loc[("random", 2000), "labels"]
    assert curve.loc[("ranked", 400), "labels_per_1000"] > 2 * curve.loc[("random", 400), "labels_per_1000"]
    assert curve.loc[("ranked", 2000), "model"] >= curve.loc[("ranked", 0), "model"]
