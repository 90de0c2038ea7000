import io

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import MultiPolygon, Polygon, box

from her2kit.report.pictures import Pictures, jpeg, shrunk, svg_path

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def test_shrinking_keeps_the_shape_and_the_mean_and_never_enlarges():
    small = shrunk(PIXELS, 45)
    assert small.shape == (30, 45, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), PIXELS.mean(axis=(0, 1)), atol=0.6)
    assert shrunk(PIXELS, 500) is PIXELS


def test_a_jpeg_is_the_picture_and_the_same_bytes_each_time():
    flat = np.full((16, 16, 3), (200, 90, 40), np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(jpeg(flat))))
    assert np.abs(decoded.astype(int) - flat).max() <= 3
    assert jpeg(PIXELS) == jpeg(PIXELS[:, ::-1][:, ::-1])


def test_an_svg_path_has_one_ring_a_line_scaled():
    holed = Polygon(box(0, 0, 100, 100).exterior, [box(20, 20, 40, 40).exterior])
    assert svg_path([holed], scale=0.5).count("M") == 2
    both = svg_path([MultiPolygon([box(0, 0, 10, 10), box(50, 50, 70, 70)])], scale=0.5)
    assert both.count("Z") == 2
    assert "35.0 25.0" in both
    assert svg_path([], scale=1) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overview": PIXELS.astype(float)}, "overview is float64"),
        ({"overview": PIXELS[..., 0]}, r"overview is uint8 \(60, 90\)"),
        ({"px0_per_px": 0}, "px0_per_px=0"),
        ({"mpp": -1.0}, "mpp=-1.0"),
    ],
)
def test_wrong_pictures_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Pictures(**({"overview": PIXELS, "px0_per_px": 4.0} | change))


def test_the_size_of_the_slide():
    assert Pictures(PIXELS, 4.0).size_px0 == (360, 240)
