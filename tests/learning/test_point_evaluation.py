"""Points judged against a planted truth, with every figure counted by hand."""

import numpy as np
import pytest

from her2kit.learning.point_evaluation import PointCounts, best_confidence, froc, report, sweep

NAMES = ("0", "1+")


def planted():
    truth = [[0, 0], [20, 0], [40, 0], [60, 0]]
    found = [[1, 0], [20, 2], [40, 5], [60, 0], [90, 0]]
    return PointCounts.of(
        np.array(truth), np.array([0, 0, 1, 1]),
        np.array(found), np.array([0, 1, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.6, 0.3]), area_mm2=0.5,
    )  # fmt: skip


def test_every_figure_is_what_the_definitions_say():
    # Pairs: (0,0) right, (20,0) called 1+, (60,0) right; (40,5) is too far, so a miss and a false alarm.
    found = report([planted()], NAMES)
    figures = found.figures
    assert figures["precision"] == pytest.approx(3 / 5)
    assert figures["recall"] == pytest.approx(3 / 4)
    assert figures["f1"] == pytest.approx(6 / 9)
    assert figures["cq"] == pytest.approx(2 / 3)
    assert figures["pq"] == pytest.approx(6 / 9 * 2 / 3)
    assert figures["centre_um"] == pytest.approx(1.0)
    # Class 0: 1 hit of 2 true, 2 found; class 1+: 1 hit of 2 true, 3 found.
    np.testing.assert_allclose(found.per_class["f1"], [2 / 4, 2 / 5])
    assert figures["macro_f1"] == pytest.approx((2 / 4 + 2 / 5) / 2)
    assert found.confusion.to_numpy().tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0]]


def test_a_mismatch_counts_as_a_miss_of_one_class_and_a_false_alarm_of_the_other():
    point = np.zeros((1, 2))
    one = PointCounts.of(point, np.array([0]), point, np.array([1]), np.array([0.9]))
    found = report([one], NAMES)
    assert found.figures["f1"] == 1
    assert found.figures["cq"] == 0
    assert found.figures["pq"] == 0
    assert found.per_class["n_found"].tolist() == [0, 1]
    assert found.per_class.loc["0", "f1"] == 0


def test_the_sweep_finds_the_confidence_that_drops_the_false_alarm():
    table = sweep([planted()], NAMES, confidences=(0.1, 0.5, 0.75))
    assert best_confidence(table) == 0.5
    assert table.loc[0.5, "f1"] == pytest.approx(6 / 8)
    assert table.loc[0.75, "recall"] == pytest.approx(2 / 4)


def test_froc_counts_false_points_per_area():
    curve = froc([planted(), planted()], confidences=(0.1, 0.65))
    np.testing.assert_allclose(curve["false_per_mm2"], [4 / 1.0, 2 / 1.0])
    np.testing.assert_allclose(curve["recall"], [6 / 8, 4 / 8])
    without = PointCounts.of(*[np.zeros((0, 2)), np.zeros(0)] * 2, np.zeros(0))
    with pytest.raises(ValueError, match="area_mm2"):
        froc([without])


def test_kappa_falls_when_missed_points_count():
    rng = np.random.default_rng(0)
    xy = np.stack([np.arange(100) * 20.0, np.zeros(100)], axis=1)
    truth = rng.integers(0, 2, 100)
    half = PointCounts.of(xy, truth, xy[:50], truth[:50], np.ones(50))
    figures = report([half], NAMES).figures
    assert figures["kappa_matched"] == 1
    assert figures["kappa_all"] < 0.7


def test_nothing_at_all_is_no_number_and_no_error():
    empty = PointCounts.of(np.zeros((0, 2)), [], np.zeros((0, 2)), [], [])
    assert np.isnan(report([empty], NAMES).figures["f1"])


def test_points_without_classes_are_refused():
    with pytest.raises(ValueError, match="found: 1 points"):
        PointCounts.of(np.zeros((0, 2)), [], np.zeros((1, 2)), [], [])
