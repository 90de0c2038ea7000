"""Fields that the shipped detector learns from: boxes lie on nuclei, and a kept field is not drawn again."""

import numpy as np

from her2kit.learning.datasets.phantom_cells import STAINS, drawn_fields, field_plans


def test_boxes_lie_on_nuclei_and_kept_fields_are_the_same(tmp_path):
    plans = field_plans(2, seed=4, sites=("alder", "birch"), side_um=120.0)
    assert [p.stain for p in plans] == list(STAINS[:2])
    fields = drawn_fields(plans, tmp_path, mpp=0.5)
    for field in fields:
        pixels, boxes = field.picture.pixels, field.picture.boxes
        assert len(boxes) > 20
        inside = np.zeros(pixels.shape[:2], bool)
        for _, x, y, w, h in boxes:
            inside[int(y - h / 4) : int(y + h / 4) + 1, int(x - w / 4) : int(x + w / 4) + 1] = True
        red = pixels[..., 0].astype(float)
        assert red[inside].mean() < red[~inside].mean() - 5
        assert 3 < np.median(boxes[:, 3:]) * 0.5 < 15
    again = drawn_fields(plans, tmp_path, mpp=0.5)
    np.testing.assert_array_equal(again[0].picture.pixels, fields[0].picture.pixels)
    np.testing.assert_array_equal(again[1].picture.boxes, fields[1].picture.boxes)


def test_the_same_seed_gives_the_same_plans_and_another_others():
    one, two, three = (field_plans(3, seed=s, sites=("alder",)) for s in (1, 1, 2))
    assert one == two
    assert one != three
