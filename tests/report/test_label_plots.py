"""Figures about labels show what they are given."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from her2kit.report.label_plots import errors_found, noise_matrices, review_gains

mpl.use("agg")


def test_matrices_show_per_cents_row_by_row():
    matrix = np.array([[0.9, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.25, 0.75]])
    figure = noise_matrices({"one": matrix, "two": np.eye(4)})
    first, second = figure.axes
    assert [t.get_text() for t in first.texts][:2] == ["90", "10"]
    assert first.texts[-2].get_text() == "25"
    assert second.get_title(loc="left") == "two"
    assert matrix[0, 0] == 0.9  # nothing is written to what was given


def test_errors_found_ends_at_all_of_them():
    wrong = np.array([True, False, False, True])
    ax = errors_found({"good": np.array([0, 3, 1, 2]), "bad": np.array([1, 2, 0, 3])}, wrong)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["good"] == [0, 0.5, 1, 1, 1]
    assert lines["bad"] == [0, 0, 0, 0.5, 1]


def test_gains_draw_a_line_an_order():
    curve = pd.DataFrame(
        {"order": ["a", "a", "b", "b"], "reviewed": [0, 9, 0, 9], "model": [0.5, 0.8, 0.5, 0.6]}
    )
    (ax,) = review_gains(curve, {"model": "the model"}).axes
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.8]
