"""Staintools beside ours: the same pictures from the same matrices, and its traps closed."""

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from her2kit.errors import StainError
from her2kit.stain.normalise import normalise
from her2kit.stain.staintools_reference import StaintoolsNormaliser, standardise

pytest.importorskip("staintools")
PICTURE = immunohistochemistry()
SOURCE, TARGET = PICTURE[:256, :256], PICTURE[200:456, 256:]


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_with_its_matrices_ours_gives_its_picture(method):
    reference = StaintoolsNormaliser(method, iterations=300)
    reference.fit(TARGET)
    theirs = reference.transform(SOURCE)
    ours = normalise(SOURCE, reference.basis(SOURCE), reference.basis(TARGET))
    assert theirs.status == ours.status == "normalised"
    off = np.abs(theirs.pixels.astype(int) - ours.pixels)
    assert off.mean() <= 1
    assert off.max() <= 3


def test_vahadane_bounded_by_iterations_repeats_itself():
    one, two = (StaintoolsNormaliser("vahadane", iterations=200).vectors(SOURCE) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_glass_and_black_come_back_unchanged(method):
    reference = StaintoolsNormaliser(method, iterations=50)
    reference.fit(TARGET)
    for grey, status in ((255, "blank"), (235, "blank"), (0, "black")):
        pixels = np.full((32, 32, 3), grey, np.uint8)
        out = reference.transform(pixels)
        assert out.status == status
        assert (out.pixels == pixels).all()
    with pytest.raises(StainError, match="hold no tissue"):
        reference.fit(np.full((32, 32, 3), 250, np.uint8))


def test_it_neither_writes_to_its_input_nor_minds_its_layout():
    pixels = SOURCE.copy()
    pixels[:2] = 0
    before = pixels.copy()
    views = pixels, np.asfortranarray(pixels)
    reference = StaintoolsNormaliser("macenko")
    reference.fit(TARGET)
    one, two = (reference.transform(view).pixels for view in views)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(standardise(views[0]), standardise(views[1]))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="method is 'reinhard'"):
        StaintoolsNormaliser("reinhard")
    with pytest.raises(ValueError, match="pixels has dtype float64"):
        StaintoolsNormaliser("macenko").fit(TARGET / 255)
