"""The longest diameter and the 28 features, from maps whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk, ellipse
from skimage.measure import label, regionprops

from her2kit.regions.map_features import FEATURES, major_axis, map_features


def blob(shape=(300, 400), *, centre=(150, 200), radii=(40, 120), rotation=0.0) -> np.ndarray:
    out = np.zeros(shape)
    out[ellipse(*centre, *radii, shape=shape, rotation=rotation)] = 1.0
    return out


@pytest.mark.parametrize("rotation", [0.0, 0.4, 1.1, 2.5])
def test_the_axis_of_a_planted_ellipse(rotation):
    axis = major_axis(blob(rotation=rotation), um_per_px=3.5)
    assert axis.length_um == pytest.approx(240 * 3.5, rel=0.01)
    (x0, y0), (x1, y1) = axis.ends_px
    assert (np.hypot(x1 - x0, y1 - y0) + 1) * 3.5 == pytest.approx(axis.length_um)
    assert axis.area_um2 == pytest.approx(np.pi * 40 * 120 * 3.5**2, rel=0.02)
    assert not axis.touches_border


def test_the_largest_of_two_counts_and_dust_does_not_lengthen_it():
    two = blob(radii=(40, 60))
    two[disk((20, 20), 10)] = 1
    two[280, 390] = 1
    assert major_axis(two, um_per_px=1).length_um == pytest.approx(120, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(
    radii=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    rotation=st.floats(0, np.pi),
)
def test_it_agrees_with_scikit_image(radii, rotation):
    mask = blob((100, 100), centre=(50, 50), radii=radii, rotation=rotation) > 0
    theirs = max(regionprops(label(mask)), key=lambda r: r.area).feret_diameter_max
    # Theirs runs between corners and sides of pixels, ours between centres, plus one: the same to a pixel.
    assert major_axis(mask, um_per_px=1).length_um == pytest.approx(theirs, abs=1.0)


def test_no_tumour_is_an_axis_of_zero_and_no_error():
    axis = major_axis(np.full((50, 50), 0.3), um_per_px=1)
    assert (axis.length_um, axis.ends_px, axis.touches_border) == (0.0, None, False)
    assert map_features(np.zeros((50, 50)), um_per_px=1)["major_axis_um_at_0.5_4"] == 0


def test_a_tumour_at_the_border_is_told():
    assert major_axis(blob(centre=(0, 200)), um_per_px=1).touches_border


def test_a_line_and_a_single_pixel_have_a_length():
    line = np.zeros((9, 60))
    line[4, 10:40] = 1
    assert major_axis(line, um_per_px=2).length_um == 60
    line[:] = 0
    line[3, 3] = 1
    assert major_axis(line, um_per_px=2).length_um == 2


def test_28_features_of_a_map_with_a_known_answer():
    tumour = np.zeros((512, 512))
    tumour[:256, :256] = 0.6
    tumour[256:, 256:] = 1.0
    got = map_features(tumour, um_per_px=2)
    assert tuple(got) == FEATURES
    assert len(FEATURES) == 28
    for scale in (4, 16, 64, 256):
        assert got[f"tumour_ratio_at_0.5_{scale}"] == pytest.approx(0.5)
        assert got[f"tumour_ratio_at_0.9_{scale}"] == pytest.approx(0.25)
        assert got[f"max_{scale}"] == pytest.approx(1.0)
        assert got[f"mean_{scale}"] == pytest.approx(0.4)
        assert got[f"std_{scale}"] == pytest.approx(np.std([0.6, 0, 0, 1.0]))
    assert got["major_axis_um_at_0.9_4"] == pytest.approx(256 * 2 * np.sqrt(2), rel=0.01)


def test_only_tissue_is_averaged():
    tumour, tissue = np.zeros((256, 256)), np.zeros((256, 256), bool)
    tumour[:, :64] = tissue[:, :128] = True
    got = map_features(tumour.astype(float), um_per_px=1, tissue=tissue)
    assert got["mean_64"] == pytest.approx(0.5)
    assert got["tumour_ratio_at_0.5_16"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "um", "words"),
    [
        (np.full((4, 4), np.nan), 1.0, "holds NaN or infinity"),
        (np.zeros((4, 4, 2)), 1.0, r"shape \(4, 4, 2\); pass \(h, w\)"),
        (np.zeros((4, 4)), 0.0, "um_per_px=0.0; pass micrometres"),
    ],
)
def test_bad_maps_are_refused(values, um, words):
    with pytest.raises(ValueError, match=words):
        map_features(values, um_per_px=um)
