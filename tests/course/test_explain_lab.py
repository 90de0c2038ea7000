"""Slides for the lesson on maps: what lies where agrees with the pixels, marks lie where they are said to."""

import numpy as np
import pytest

from her2kit.course.explain_lab import (
    CASES,
    PARTS,
    graded_cohort,
    what_lies_where,
    with_jpeg_border,
    with_pen,
)
from her2kit.learning.tiles import cut_tiles


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    table = graded_cohort(slides=4, size_px=384, folder=tmp_path_factory.mktemp("slides"))
    assert table["label"].tolist() == [case.removesuffix("-null") for case in CASES]
    return cut_tiles(table, size_px=112, mpp=0.5, label="slide", at_least={"tumour": 0.4}, per_label=3)


def test_every_pixel_is_one_thing_and_membranes_are_brown(tiles):
    parts = what_lies_where(tiles.table, size_px=112)
    assert tuple(parts) == PARTS
    assert (np.sum(list(parts.values()), axis=0) == 1).all()
    label = tiles.table["label"].to_numpy()
    assert not parts["membrane"][label == "0"].any()
    strong = label == "3+"
    share = parts["membrane"][strong].mean()
    assert 0.1 < share < 0.6
    blue = tiles.pixels[strong][..., 2].astype(float)
    assert blue[parts["membrane"][strong]].mean() < blue[parts["stroma"][strong]].mean() - 40
    red = tiles.pixels[label == "0"][..., 0].astype(float)
    nuclei = parts["nucleus"][label == "0"]
    assert red[nuclei].mean() < red[~nuclei].mean() - 10


@pytest.mark.parametrize("spoil", [with_pen, with_jpeg_border])
def test_a_mark_changes_what_its_mask_holds_and_leaves_the_rest(tiles, spoil):
    before = tiles.pixels.copy()
    marked, masks = spoil(tiles.pixels)
    np.testing.assert_array_equal(tiles.pixels, before)
    changed = np.abs(marked.astype(int) - before).max(axis=3)
    assert 0.04 < masks.mean() < 0.5
    assert changed[masks].mean() > 10 * max(changed[~masks].mean(), 0.1)
    np.testing.assert_array_equal(spoil(tiles.pixels)[0], marked)
