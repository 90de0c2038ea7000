"""The adversarial pack: none of it gets a score without a word of warning, and it is the same each time."""

from pathlib import Path

import numpy as np
import pytest

from her2kit.measure import measure_slide
from her2kit.phantom import adversarial
from her2kit.phantom.cohort import plan_cohort
from her2kit.settings import ScoreSettings

SILENT = ("control", "white_point", "mpp")
"""Cautions that do not count: they speak of the laboratory and the scanner."""


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> dict[str, Path]:
    (plan,) = plan_cohort(slides=1, seed=31, cases=["2+"], sites=1, size_px=900)
    return adversarial.write_pack(tmp_path_factory.mktemp("pack"), plan)


def spoken(path: Path) -> list[str]:
    with measure_slide(path, ScoreSettings(workers=1)) as measured:
        return [g.name for g in measured.gates if g.level != "ok" and g.name not in SILENT]


NAMED = {
    "blank_glass": "blank", "black_frame": "black", "noise": "noise", "photograph": "foreign_colour",
    "he": "wrong_stain", "ki67": "nuclear_stain", "enlarged_20x": "enlarged", "jpeg_10": "jpeg",
    "grey": "grey", "inverted": "black", "swapped_channels": "counterstain",
}  # fmt: skip


def test_the_pack_is_complete(pack):
    assert set(pack) == set(NAMED)
    assert all(path.is_file() for path in pack.values())


@pytest.mark.parametrize("member", NAMED)
def test_each_member_is_named_by_its_own_gate(pack, member):
    assert NAMED[member] in spoken(pack[member])


def test_the_slide_that_was_changed_passes_itself(pack):
    own = next((pack["he"].parent).glob("phantom_*.tif"))
    assert spoken(own) == []


@pytest.mark.parametrize("name", adversarial.PICTURES)
def test_pictures_depend_on_the_seed_alone(name):
    one, same, other = (adversarial.PICTURES[name](96, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (96, 96, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("name", adversarial.CHANGES)
def test_changes_keep_the_size_and_leave_their_picture_alone(name):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    before = pixels.copy()
    changed = adversarial.CHANGES[name](pixels)
    assert (changed.shape, changed.dtype) == (pixels.shape, np.uint8)
    assert (changed != pixels).any()
    np.testing.assert_array_equal(pixels, before)


def test_turning_back_gives_the_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for change in (adversarial.inverted, adversarial.swapped):
        np.testing.assert_array_equal(change(change(pixels)), pixels)
