"""Tiles of the lesson on grading: the rule, clear tiles, both kinds of label, splits by patient."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.data import phantom_cohort
from her2kit.course.grading_lab import LEAST_CELLS, bci_tiles, dealt, grade, phantom_tiles, restained
from her2kit.learning.datasets.fixtures import write_bci
from her2kit.learning.leakage import check_split


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    cases = ["3+", "0-null", "2+", "1+"]
    cohort = phantom_cohort(slides=12, size_px=256, mpp=0.5, cases=cases, with_he=True, folder=folder)
    return phantom_tiles(cohort, tile_um=64, tile_px=48)


@pytest.mark.parametrize(
    ("shares", "said"),
    [((0.11, 0, 0, 0.2), "3+"), ((0.10, 0.01, 0, 0.2), "2+"), ((0, 0, 0.11, 0.2), "2+"),
     ((0, 0.05, 0.05, 0.11), "1+"), ((0, 0, 0, 0.1), "0")],
)  # fmt: skip
def test_the_rule_asks_for_more_than_its_threshold(shares, said):
    names = ("complete_intense", "complete_weaker", "incomplete_strong", "stained")
    assert grade(dict(zip(names, shares, strict=True))) == said


def test_labels_follow_the_planted_cells(tiles):
    table = tiles.table
    assert len(table) == len(tiles.pairs) > 20
    assert (table["n_cells"] >= LEAST_CELLS).all()
    agree = (table["label"] == table["slide_label"])[table["clear"]].mean()
    assert 0.5 < agree <= 1
    # brown rises with the class of the tile, and H&E holds no brown at all
    brown = 255.0 - tiles.pairs.ihc[..., 2].mean(axis=(1, 2))
    mean = [brown[(table["label"] == name).to_numpy()].mean() for name in ("0", "2+", "3+")]
    assert mean == sorted(mean)
    assert tiles.pairs.he.shape == tiles.pairs.ihc.shape == (len(table), 48, 48, 3)
    assert tiles.mpp == pytest.approx(64 / 48)


def test_patients_are_kept_together_and_parts_fit(tiles):
    parts = dealt(tiles, seed=1)
    check_split(parts.table)
    pairs, labels = parts.of("test", label="slide_label")
    assert len(pairs) == len(labels) == (parts.table["split"] == "test").sum()
    assert dealt(parts, seed=2).table.equals(parts.table)
    by_tile = dealt(tiles, unit="row", seed=1).table
    assert by_tile.groupby("slide_id")["split"].nunique().max() > 1


def test_bci_brings_its_own_test_part(tmp_path):
    tiles = bci_tiles(write_bci(tmp_path / "bci", per_class=4), tile_px=32)
    assert set(tiles.table["split"]) == {"train", "val", "test"}
    np.testing.assert_array_equal(tiles.table["label"], tiles.table["slide_label"])
    assert tiles.pairs.ihc.shape[1:] == (32, 32, 3)
    assert dealt(tiles).table.equals(tiles.table)


def test_a_slide_keeps_its_own_pink():
    rng = np.random.default_rng(0)
    pixels = np.repeat(rng.integers(40, 250, (1, 8, 8, 3), dtype=np.uint8), 4, axis=0)
    out = restained(pixels, pd.Series(["a", "a", "b", "b"]))
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[2], out[3])
    assert np.abs(out[0].astype(int) - out[2]).mean() > 2
    order = np.argsort(pixels[0, ..., 0], axis=None)
    assert (np.diff(out[0, ..., 0].ravel()[order].astype(int)) >= 0).all()  # darker stays darker
    np.testing.assert_array_equal(restained(pixels[:2], pd.Series(["a", "b"]))[0], out[0])
