"""Labels of notebook 09's slides before and after a review, and points judged; no training here."""

import numpy as np
import pytest

from her2kit.course import detect_lab as lab


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    return lab.lesson_slides(seed=1, size_px=512, each=9, folder=folder).held_out[2]


def test_boxes_and_cells_are_the_same_rows_at_half_a_micrometre(slide):
    assert slide.score == "2+"
    assert slide.picture.pixels.shape == (256, 256, 3)
    assert len(slide.cells) == len(slide.truth) > 60
    np.testing.assert_allclose(slide.picture.boxes[:, 1], slide.cells["x_px0"] / 2, rtol=1e-5)
    assert set(slide.truth[slide.cells["cell_type"] == "tumour"]) <= {0, 1, 2, 3}
    assert set(slide.truth[slide.cells["cell_type"] != "tumour"]) == {4}


def test_r1s_rule_gives_positive_cells_the_slides_class(slide):
    labels = lab.before_review(slide)
    tumour = slide.truth < 4
    assert set(labels[tumour]) <= {0, 2}
    assert (labels[~tumour] == 4).all()


def test_a_review_mends_labels_and_a_full_one_by_a_perfect_reader_all(slide):
    labels, tumour = lab.before_review(slide), slide.truth < 4
    right = [(labels == slide.truth)[tumour].mean()]
    for share in (0.5, 1.0):
        read = lab.after_review(slide, labels, share=share, right=1.0, seed=2)
        right.append((read == slide.truth)[tumour].mean())
        assert (read[~tumour] == 4).all()
    assert right[0] < right[1] < right[2] == 1


def test_squares_hold_each_cell_once(slide):
    pieces = lab.squares(slide.picture, 128)
    assert len(pieces) == 4
    assert sum(len(p.boxes) for p in pieces) == len(slide.truth)


def test_the_fullest_square_has_most_tumour_cells(slide):
    def tumour_cells(piece):
        return int((piece.boxes[:, 0] < 4).sum())

    most = tumour_cells(lab.fullest(slide.picture, 64))
    assert most == max(map(tumour_cells, lab.squares(slide.picture, 64))) > 0


def test_macro_f1_is_over_the_grades_alone(slide):
    from her2kit.cells.boxes import Boxes

    perfect = Boxes(slide.picture.boxes[:, 1:], np.ones(len(slide.truth)), slide.truth)
    found = lab.graded_report([lab.points_of(slide, perfect)])
    assert found.figures["macro_f1"] == 1
    as_other = Boxes(perfect.xywh, perfect.score, np.where(slide.truth == 4, 0, slide.truth))
    assert lab.graded_report([lab.points_of(slide, as_other)]).figures["macro_f1"] < 1
    assert lab.numbers({"a": float("nan"), "b": 0.5}) == {"a": None, "b": 0.5}
