"""Figures of a classifier against scikit-learn, against definitions, and on planted confusions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.learning.evaluate import (
    calibration,
    confusion_counts,
    evaluate,
    kappa,
    mistakes,
    of_classes,
    of_counts,
    precision_recall_curves,
    roc_curves,
)

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="the train extra is not installed")
NAMES = ("0", "1+", "2+", "3+")


def drawn(n=400, seed=0, classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    p = rng.dirichlet(np.ones(classes), n) + 0.8 * np.eye(classes)[labels] * rng.random((n, 1))
    return p / p.sum(axis=1, keepdims=True), labels


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 60))
def test_figures_are_scikit_learns_where_all_classes_occur(seed, classes, n):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])
    said = rng.integers(0, classes, len(truth))
    counts = confusion_counts(truth, said, classes)
    np.testing.assert_array_equal(counts, sklearn_metrics.confusion_matrix(truth, said))
    ours, by_class = of_counts(counts), of_classes(counts)
    p, r, f, _ = sklearn_metrics.precision_recall_fscore_support(truth, said, zero_division=0)
    for name, theirs in (("precision", p), ("recall", r), ("f1", f)):
        np.testing.assert_allclose(by_class[name], theirs, atol=1e-12)
        assert ours[f"macro_{name}"] == pytest.approx(theirs.mean())
        expected = (theirs * np.bincount(truth) / len(truth)).sum()
        assert ours[f"weighted_{name}"] == pytest.approx(expected)
    np.testing.assert_allclose(by_class["iou"], sklearn_metrics.jaccard_score(truth, said, average=None))
    assert ours["accuracy"] == pytest.approx((truth == said).mean())
    for power, words in ((0, None), (1, "linear"), (2, "quadratic")):
        theirs = sklearn_metrics.cohen_kappa_score(truth, said, weights=words)
        assert kappa(counts, power=power) == pytest.approx(theirs)


def test_a_class_without_samples_is_left_out_of_means():
    counts = np.array([[8, 0, 2], [0, 0, 0], [0, 0, 10]])
    by_class, figures = of_classes(counts), of_counts(counts)
    assert np.isnan(by_class["f1"][1])
    assert figures["macro_f1"] == pytest.approx((16 / 18 + 20 / 22) / 2)
    assert figures["macro_recall"] == pytest.approx(0.9)
    assert all(np.isnan(value) for value in of_counts(np.zeros((3, 3), int)).values())
    assert np.isnan(kappa(np.array([[5, 0], [0, 0]])))


def test_report():
    p, labels = drawn()
    report = evaluate(p, labels, NAMES, clusters=np.arange(400) // 20, draws=200)
    assert report.confusion.to_numpy().sum() == 400
    assert (report.per_class["n"] == np.bincount(labels)).all()
    value, low, high = report.overall.to_numpy().T
    assert (low <= value).all()
    assert (value <= high).all()
    assert ((high - low) > 0).all()
    between = report.per_class
    assert ((between["f1_low"] < between["f1"]) & (between["f1"] < between["f1_high"])).all()
    again = evaluate(p, labels, NAMES, clusters=np.arange(400) // 20, draws=200)
    assert again.overall.equals(report.overall)
    alone = evaluate(p, labels, NAMES)
    assert alone.overall["low"].isna().all()
    assert alone.figures() == report.figures()


def test_tiles_of_few_slides_give_wide_intervals():
    """Slides that are right or wrong as a whole: the interval must be that of slides, not of tiles."""
    labels = np.zeros(400, int)
    slide = np.repeat(np.arange(10), 40)
    right = slide < 7
    p = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
    by_slide, by_tile = (
        evaluate(p, labels, ("a", "b"), clusters=c, draws=500).overall.loc["accuracy"]
        for c in (slide, np.arange(400))
    )
    assert by_slide["value"] == pytest.approx(0.7)
    expected = 2 * 1.96 * np.sqrt(0.7 * 0.3 / 10)
    assert by_slide["high"] - by_slide["low"] == pytest.approx(expected, rel=0.2)
    assert by_slide["high"] - by_slide["low"] > 4 * (by_tile["high"] - by_tile["low"])


def test_calibration_finds_how_much_too_sure_a_model_is():
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.75, 0.95, 20_000)
    right = rng.random(20_000) < sure - 0.2
    p = np.stack([sure, 1 - sure], axis=1)
    labels = np.where(right, 0, 1)
    table = calibration(p, labels, bins=10)
    assert table["n"].sum() == 20_000
    np.testing.assert_allclose(table["confidence"] - table["accuracy"], 0.2, atol=0.03)
    assert evaluate(p, labels, ("a", "b")).figures()["ece"] == pytest.approx(0.2, abs=0.01)
    honest = np.where(rng.random(20_000) < sure, 0, 1)
    assert evaluate(p, honest, ("a", "b")).figures()["ece"] < 0.02


def test_curves():
    p, labels = drawn()
    roc, pr = roc_curves(p, labels, NAMES), precision_recall_curves(p, labels, NAMES)
    for i, name in enumerate(NAMES):
        mine = roc[roc["class"] == name]
        assert mine["auc"].iloc[0] == pytest.approx(sklearn_metrics.roc_auc_score(labels == i, p[:, i]))
        assert (mine["recall"].iloc[0], mine["recall"].iloc[-1]) == (0, 1)
        assert pr[pr["class"] == name]["average_precision"].between(0, 1).all()
    missing = np.insert(p, 2, 0, axis=1)
    labels = np.where(labels > 1, labels + 1, labels)
    names = (*NAMES[:2], "absent", *NAMES[2:])
    assert "absent" not in set(roc_curves(missing, labels, names)["class"])
    assert "absent" not in set(precision_recall_curves(missing, labels, names)["class"])
    assert roc_curves(np.array([[1.0, 0.0]]), np.array([0]), ("a", "b")).empty


def test_mistakes_come_surest_first():
    p, labels = drawn(50)
    found = mistakes(p, labels, NAMES)
    assert len(found) == (p.argmax(axis=1) != labels).sum()
    assert found["probability"].is_monotonic_decreasing
    first = found.iloc[0]
    assert p[first["sample"], NAMES.index(first["predicted"])] == first["probability"]
    assert NAMES[labels[first["sample"]]] == first["truth"] != first["predicted"]


@pytest.mark.parametrize(
    ("p", "labels", "words"),
    [
        ([[0.5, 0.5]], [0, 1], r"probabilities is \(1, 2\) for 2 labels and 2 classes"),
        ([[3.0, -2.0]], [0], "rows that do not sum to 1; give softmax"),
        ([[np.nan, 0.5]], [0], "rows that do not sum to 1"),
        ([[0.5, 0.5]], [2], "up to 2; give class numbers 0 to 1"),
        ([[0.5, 0.5]], [0.0], "labels is float64"),
        (np.empty((0, 2)), np.empty(0, int), "for 0 labels"),
    ],
)
def test_bad_input(p, labels, words):
    with pytest.raises(ValueError, match=words):
        evaluate(np.array(p), np.array(labels), ("a", "b"))


def test_clusters_are_checked():
    with pytest.raises(ValueError, match="clusters has 1 rows, labels 2"):
        evaluate(np.full((2, 2), 0.5), np.array([0, 1]), ("a", "b"), clusters=np.array([0]))
