"""Colour filter: keeps what looks like its examples, rejects other colours, and says by how much."""

import dataclasses

import cv2
import numpy as np
import pytest

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
    """Return tiles of two blue and two brown slides, and the names of their slides."""
    tiles = [tiles_of(colour, 10, seed=k) for k, colour in enumerate((BLUE, BLUE, BROWN, BROWN))]
    return np.concatenate(tiles), np.repeat(["blue 1", "blue 2", "brown 1", "brown 2"], 10)


def test_what_is_like_the_examples_is_kept_and_named_by_its_nearest():
    found = judge(np.concatenate([tiles_of(BLUE, seed=5), tiles_of(BROWN, seed=6)]), fit_filter(*examples()))
    assert (found["verdict"] == TUMOUR_LIKE).mean() > 0.8
    assert [name.split()[0] for name in found["like"]] == ["blue"] * 20 + ["brown"] * 20


@pytest.mark.parametrize("colour", [GREEN, GLASS, (20, 20, 20), (200, 40, 40)])
def test_ink_glass_black_and_blood_are_artefacts(colour):
    found = judge(tiles_of(colour, share=1.0, seed=9), fit_filter(*examples()))
    assert (found["verdict"] == ARTEFACT).all()


def test_ink_over_half_a_tile_correlates_less_than_none():
    colours = fit_filter(*examples())
    half = tiles_of(BLUE, seed=3)
    half[:, :32] = tiles_of(GREEN, share=1.0)[:, :32]
    assert (judge(half, colours)["correlation"] < judge(tiles_of(BLUE, seed=3), colours)["correlation"]).all()


def test_the_threshold_promises_what_new_slides_deliver():
    """Slides with a mark of their own: held against its own slide, a tile would promise too much."""
    new, own = [], []
    for seed in range(6):
        marks = np.random.default_rng(seed).normal(0, 8, (24, 3))
        tiles = np.concatenate([tiles_of(np.array(BROWN) + m, 10, seed=k) for k, m in enumerate(marks)])
        known = np.arange(240) < 160
        colours = fit_filter(tiles[known], np.repeat(np.arange(16), 10), kept=0.8)
        like = (judge(tiles, colours)["verdict"] == TUMOUR_LIKE).to_numpy()
        new.append(like[~known].mean())
        own.append(like[known].mean())
    assert np.mean(new) == pytest.approx(0.8, abs=0.08)
    assert np.mean(own) > 0.9


def test_a_stricter_threshold_keeps_less_and_never_other_tiles():
    tiles, slides = examples()
    loose = fit_filter(tiles, slides, kept=1.0)
    strict = dataclasses.replace(loose, threshold=0.99999)
    kept = [set(np.flatnonzero(judge(tiles, c)["verdict"] == TUMOUR_LIKE)) for c in (loose, strict)]
    assert kept[1] < kept[0]


def test_slides_apart_keep_what_their_mean_would_lose():
    """The mean of blue and brown is like neither: the correlation falls where slides are not told apart."""
    tiles, slides = examples()
    apart = judge(tiles, fit_filter(tiles, slides))["correlation"]
    together = judge(tiles, fit_filter(tiles, np.arange(40) % 2))["correlation"]
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
    tiles, slides = examples()
    with pytest.raises(ValueError, match="slides names 39 tiles of 40"):
        fit_filter(tiles, slides[1:])
    with pytest.raises(ValueError, match="slides names 0 slides"):
        fit_filter(tiles[:0], [])
    with pytest.raises(ValueError, match="slides names 1 slides; give tiles of two or more"):
        fit_filter(tiles, ["one"] * 40)
    with pytest.raises(ValueError, match="kept=0"):
        fit_filter(tiles, slides, kept=0)
    colours = fit_filter(tiles, slides)
    with pytest.raises(ValueError, match=r"threshold=1\.5"):
        dataclasses.replace(colours, threshold=1.5)
    with pytest.raises(ValueError, match=rf"give \(1, {BINS}\)"):
        dataclasses.replace(colours, names=("tumour",))
