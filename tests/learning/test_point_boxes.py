"""Points to boxes in micrometres, and squares that are changed together with their boxes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.errors import LabelError
from her2kit.learning.detection_change import Change, StainChange, changed, restained
from her2kit.learning.point_boxes import LabelledPicture, labelled

PIXELS = np.full((64, 64, 3), 240, np.uint8)


def points(**columns):
    return pd.DataFrame({"x_px": [10.0, 40.0], "y_px": [20.0, 63.0], "cell_class": ["0", "3+"]} | columns)


@pytest.mark.parametrize(("mpp", "side"), [(0.25, 32), (0.5, 16), (0.389, 8 / 0.389)])
def test_a_box_of_8_um_has_the_pixels_of_its_mpp(mpp, side):
    found = labelled(PIXELS, points(), mpp=mpp, class_names=("0", "1+", "2+", "3+"))
    np.testing.assert_allclose(found.boxes[:, 3:], side, rtol=1e-6)
    assert found.boxes[:, 0].tolist() == [0, 3]


def test_boxes_of_outlines_enclose_them():
    ring = np.array([[10, 12], [20, 12], [20, 30], [10, 30]], np.float32)
    table = points(nucleus_outline=[ring, ring + 5])
    found = labelled(PIXELS, table, mpp=0.5, class_names=("cell",), box_um="nucleus_outline")
    np.testing.assert_allclose(found.boxes[0, 1:], [15, 21, 10, 18])


@pytest.mark.parametrize(
    ("columns", "mpp", "words"),
    [
        (
            {"x_px": [10.0, 65.0]},
            0.5,
            r"box 1 has its centre at \(65, 63\) px, outside the picture of 64 x 64",
        ),
        ({"x_px": [np.nan, 5.0]}, 0.5, "box 0"),
        ({"cell_class": ["0", "4+"]}, 0.5, "point 1 has cell_class='4\\+'"),
        ({}, None, "mpp=None"),
        ({}, 0.0, "mpp=0"),
    ],
)
def test_bad_labels_are_refused_in_one_line(columns, mpp, words):
    with pytest.raises(LabelError, match=words):
        labelled(PIXELS, points(**columns), mpp=mpp, class_names=("0", "1+", "2+", "3+"))


def test_a_box_without_size_is_refused():
    with pytest.raises(LabelError, match="positive"):
        LabelledPicture(PIXELS, np.array([[0, 5, 5, 0, 4]], np.float32), 0.5)


@given(st.integers(0, 2**31))
def test_boxes_follow_the_picture_through_turns_sizes_and_cuts(seed):
    rng = np.random.default_rng(seed)
    pixels = np.full((96, 96, 3), 255, np.uint8)
    x, y = rng.integers(10, 80, 2)
    pixels[y : y + 6, x : x + 10] = 0
    boxes = np.array([[0, x + 5, y + 3, 10, 6]], np.float32)
    shown, moved = changed(pixels, boxes, None, side_px=64, change=Change(scale=1.3), rng=rng)
    dark = np.argwhere(shown[..., 0] < 128)
    if len(moved) and dark.shape[0] > 30:
        _, cx, cy, w, h = moved[0]
        if min(cx - w / 2, cy - h / 2) > 1 and max(cx + w / 2, cy + h / 2) < 63:
            low, high = dark.min(axis=0), dark.max(axis=0) + 1
            np.testing.assert_allclose([cy, cx], (low + high) / 2, atol=1.0)
            np.testing.assert_allclose([h, w], high - low, atol=2.1)


def test_restaining_keeps_glass_pale_and_places_unchanged():
    rng = np.random.default_rng(1)
    pixels = np.full((32, 32, 3), 240, np.uint8)
    pixels[8:16, 8:16] = (110, 90, 150)
    out = restained(pixels, None, StainChange(), rng)
    assert out.dtype == np.uint8
    assert out.shape == pixels.shape
    assert out[0, 0].min() > out[10, 10].mean() + 10
    assert (out[0] == out[0, 0]).all()


def test_the_same_seed_gives_the_same_bytes():
    boxes = np.array([[0, 30, 30, 8, 8]], np.float32)
    change = Change(scale=1.2, stain=StainChange(), hsv=(0.01, 0.5, 0.3), blur_px=1, noise=3, jpeg=(50, 90))
    noise = np.random.default_rng(2).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    one, two = (
        changed(noise, boxes, None, side_px=64, change=change, rng=np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
