"""The auto-labelling detector's pictures, from phantoms and from IGNITE's layout; its words."""

import numpy as np

from her2kit.labels import autolabel
from her2kit.learning import pdl1_detector as pdl1
from her2kit.learning.datasets import ignite
from her2kit.learning.datasets.fixture_ignite import write_ignite


def test_its_classes_are_the_words_that_autolabel_takes():
    assert pdl1.CALLS == autolabel.CALLS


def test_ignites_cells_become_boxes_within_the_part_that_was_marked(tmp_path):
    data = ignite.load(write_ignite(tmp_path / "ignite"))
    (picture,) = pdl1.ignite_pictures(data, "test")
    own = data.cells[(data.cells["task"] == "pdl1") & (data.cells["reader"] == "")]
    assert len(picture.boxes) == len(own) > 3
    np.testing.assert_array_equal(picture.boxes[:, 0], own["class_id"])
    np.testing.assert_allclose(picture.boxes[:, 3:], 16)
    assert pdl1.ignite_pictures(data, "train") == []


def test_phantoms_have_all_three_calls():
    pictures = pdl1.phantom_pictures(1, seed=5)
    found = np.concatenate([p.boxes[:, 0] for p in pictures])
    assert set(found) <= {0, 1, 2}
    assert 2 in found
    assert {0, 1} & set(found)
    assert pictures[0].mpp == 0.5


def test_the_full_tier_is_r1s_network_and_size():
    full = pdl1.FULL_TIER.detector
    assert (full.architecture, full.side_px, full.mpp) == ("yolo11m", 512, 0.5)
