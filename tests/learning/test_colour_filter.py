"""Colour filter: keeps what looks like its examples, rejects other colours, and says by how much."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.learning.colour_filter import ARTEFACT, BINS, TUMOUR_LIKE, fit_filter, hue_histogram, judge

BLUE, BROWN, GREEN, GLASS = (130, 130, 185), (150, 100, 60), (30, 130, 80), (233, 233, 241)


def tiles_of(colour, n: int = 20, *, share: float = 0.6, seed: int = 0) -> np.ndarray:
    """Return tiles of spots of one colour on glass."""
    rng = np.random.default_rng(seed)
    field = np.array(
        [cv2.GaussianBlur(f, (0, 0), 3) for f in rng.standard_normal((n, 64, 64)).astype(np.float32)]
    )
    spots = (field < np.quantile(field, share))[..., None]
    noise = rng.normal(0, 4, (n, 64, 64, 3))
    return np.clip(np.where(spots, colour, GLASS) + noise, 0, 255).astype(np.uint8)


def examples():
    tiles = np.concatenate([tiles_of(BLUE), tiles_of(BROWN, seed=1)])
    return tiles, ["0"] * 20 + ["3+"] * 20


def test_what_is_like_the_examples_is_kept_and_named_by_its_nearest():
    colours = fit_filter(*examples(), kept=1.0)
    found = judge(np.concatenate([tiles_of(BLUE, seed=5), tiles_of(BROWN, seed=6)]), colours)
    assert (found["verdict"] == TUMOUR_LIKE).mean() > 0.9
    assert found["like"].tolist() == ["0"] * 20 + ["3+"] * 20


@pytest.mark.parametrize("colour", [GREEN, GLASS, (20, 20, 20), (200, 40, 40)])
def test_ink_glass_black_and_blood_are_artefacts(colour):
    found = judge(tiles_of(colour, share=1.0, seed=9), fit_filter(*examples()))
    assert (found["verdict"] == ARTEFACT).all()


def test_ink_over_half_a_tile_correlates_less_than_none():
    colours = fit_filter(*examples())
    half = tiles_of(BLUE, seed=3)
    half[:, :32] = tiles_of(GREEN, share=1.0)[:, :32]
    assert (judge(half, colours)["correlation"] < judge(tiles_of(BLUE, seed=3), colours)["correlation"]).all()


@settings(deadline=None, max_examples=20)
@given(kept=st.floats(0.5, 1.0), seed=st.integers(0, 99))
def test_the_threshold_keeps_the_share_of_examples_that_it_promises(kept, seed):
    rng = np.random.default_rng(seed)
    tiles = np.array([tiles_of(rng.integers(60, 200, 3), 1, seed=i)[0] for i in range(25)])
    found = judge(tiles, fit_filter(tiles, kept=kept))
    assert abs((found["verdict"] == TUMOUR_LIKE).mean() - kept) <= 1 / 25 + 1e-9


def test_a_stricter_threshold_keeps_less_and_never_other_tiles():
    tiles, groups = examples()
    loose = fit_filter(tiles, groups, kept=1.0)
    strict = dataclasses.replace(loose, threshold=0.999)
    kept = [set(np.flatnonzero(judge(tiles, c)["verdict"] == TUMOUR_LIKE)) for c in (loose, strict)]
    assert kept[1] < kept[0]


def test_groups_keep_what_their_mean_would_lose():
    """The mean of blue and brown is like neither: the correlation falls without groups."""
    tiles, groups = examples()
    apart = judge(tiles, fit_filter(tiles, groups))["correlation"]
    together = judge(tiles, fit_filter(tiles))["correlation"]
    assert (apart > together + 0.1).all()


def test_a_histogram_is_of_hues_alone():
    brown = hue_histogram(tiles_of(BROWN, 1)[0])
    assert brown.sum() == pytest.approx(1)
    assert brown[:6].sum() > 0.9  # 0 to 60 degrees: red to yellow
    half = (255 - (255 - tiles_of(BROWN, 1).astype(float)) * 0.7).astype(np.uint8)[0]
    assert np.corrcoef(brown, hue_histogram(half))[0, 1] > 0.9
    assert not hue_histogram(np.full((64, 64, 3), GLASS, np.uint8)).any()


def test_no_tiles_are_an_empty_table():
    found = judge(np.empty((0, 64, 64, 3), np.uint8), fit_filter(*examples()))
    assert list(found.columns) == ["correlation", "like", "verdict"]
    assert len(found) == 0


def test_wrong_arguments():
    tiles, groups = examples()
    with pytest.raises(ValueError, match="tiles is empty"):
        fit_filter(tiles[:0])
    with pytest.raises(ValueError, match="groups names 39 tiles of 40"):
        fit_filter(tiles, groups[1:])
    with pytest.raises(ValueError, match="kept=0"):
        fit_filter(tiles, groups, kept=0)
    colours = fit_filter(tiles, groups)
    with pytest.raises(ValueError, match=r"threshold=1\.5"):
        dataclasses.replace(colours, threshold=1.5)
    with pytest.raises(ValueError, match=rf"give \(1, {BINS}\)"):
        dataclasses.replace(colours, names=("tumour",))
