"""Leakage lab: finds a gap where slides have a mark of their own, and none where they have none."""

import numpy as np
import pandas as pd
import pytest

from her2kit.learning.leakage import check_split
from her2kit.learning.leakage_lab import many_deals, one_deal, what_it_buys


def planted(*, mark: float, signal: float, slides: int = 40, per_slide: int = 10, seed: int = 0):
    """Return tiles, and features: noise, what the slide has of its own, and what the label has."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), per_slide)
    label = np.arange(slides)[slide] % 4
    tiles = pd.DataFrame(
        {
            "path": [f"s{s}.tif" for s in slide],
            "tile_id": [f"t{i}" for i in range(len(slide))],
            "slide_id": [f"s{s}" for s in slide],
            "patient_id": [f"p{s}" for s in slide],
            "label": label.astype(str),
        }
    )
    noise = rng.normal(0, 1, (len(slide), 6))
    noise[:, :4] += mark * rng.normal(0, 1, (slides, 4))[slide]
    noise[:, 4] += signal * label
    return tiles, pd.DataFrame(noise, columns=list("abcdef"))


def test_a_mark_of_the_slide_flatters_the_split_by_tile_alone():
    found = what_it_buys(many_deals(*planted(mark=4, signal=1), seeds=range(2)), draws=200)
    assert found["tile promised"].estimate > 0.8
    assert found["tile gap"].low > 0.2
    assert found["slide gap"].low < 0.1
    assert found["slide promised"].estimate < found["tile promised"].estimate - 0.2


def test_without_a_mark_nothing_leaks_and_both_keep_their_promise():
    found = what_it_buys(many_deals(*planted(mark=0, signal=3), seeds=range(2)), draws=200)
    for way in ("tile", "slide"):
        assert abs(found[f"{way} gap"].estimate) < 0.08
        assert found[f"{way} gap"].low < 0 < found[f"{way} gap"].high
    assert found["tile delivered"].estimate > 0.7


def test_new_slides_are_new_and_both_ways_meet_the_same():
    tiles, features = planted(mark=1, signal=1)
    tiles["patient_id"] = [f"p{int(s[1:]) // 2}" for s in tiles["slide_id"]]
    found = one_deal(tiles, features, seed=4)
    asked = found.groupby(["way", "asked"])["patient_id"].agg(set)
    assert asked["tile", "delivered"] == asked["slide", "delivered"]
    for way in ("tile", "slide"):
        assert not asked[way, "promised"] & asked[way, "delivered"]
    roles = found[found["way"] == "slide"].rename(columns={"asked": "split"})
    check_split(roles[["split", "slide_id", "patient_id"]])


def test_the_same_seed_gives_the_same_predictions_for_any_order_of_rows():
    tiles, features = planted(mark=1, signal=1, slides=20)
    found = one_deal(tiles, features, seed=1)
    pd.testing.assert_frame_equal(found, one_deal(tiles, features, seed=1))
    turned = one_deal(tiles[::-1], features[::-1], seed=1)
    keys = ["way", "asked", "slide_id"]
    assert found.value_counts(keys).sort_index().equals(turned.value_counts(keys).sort_index())


def test_the_gap_is_promised_less_delivered():
    found = what_it_buys(many_deals(*planted(mark=2, signal=1, slides=20), seeds=[0]), draws=50)
    for way in ("tile", "slide"):
        promised, delivered = (found[f"{way} {asked}"].estimate for asked in ("promised", "delivered"))
        assert found[f"{way} gap"].estimate == pytest.approx(promised - delivered)


def test_features_of_other_tiles_are_refused():
    tiles, features = planted(mark=1, signal=1)
    with pytest.raises(ValueError, match="features has 399 rows for 400 tiles"):
        one_deal(tiles, features[1:])
