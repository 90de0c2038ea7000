"""1 : 1 sampling: equal numbers, clean labels, the same draw whatever order the rows come in."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.learning.sampling import balanced_sample

SHARES = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), max_size=60)
MORE = settings(deadline=None)


def tiles(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"slide_id": [f"s{i % 3}" for i in range(n)], "tile_id": [f"t{i:03d}" for i in range(n)]}
    )


@MORE
@given(SHARES, st.integers(0, 5), st.one_of(st.none(), st.integers(1, 10)))
def test_as_many_tumour_as_normal_and_nothing_between(shares, seed, per_label):
    drawn = balanced_sample(tiles(len(shares)), np.array(shares), per_label=per_label, seed=seed)
    count = drawn["label"].value_counts()
    possible = min(sum(s >= 0.5 for s in shares), sum(s == 0 for s in shares))
    wanted = possible if per_label is None else min(possible, per_label)
    assert count.get("tumour", 0) == count.get("normal", 0) == wanted
    assert (drawn.loc[drawn["label"] == "tumour", "tumour_share"] >= 0.5).all()
    assert (drawn.loc[drawn["label"] == "normal", "tumour_share"] == 0).all()
    assert not drawn.duplicated(["slide_id", "tile_id"]).any()
    assert drawn.index.is_monotonic_increasing


@MORE
@given(SHARES, st.integers(0, 5), st.randoms())
def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows(shares, seed, random):
    table, shares = tiles(len(shares)), np.array(shares)
    order = np.array(random.sample(range(len(shares)), len(shares)), int)
    drawn = balanced_sample(table, shares, seed=seed)
    again = balanced_sample(table.iloc[order], shares[order], seed=seed)
    pd.testing.assert_frame_equal(again.sort_index(), drawn)


def test_another_seed_draws_others_and_all_get_their_turn():
    table, shares = tiles(200), np.repeat([0.0, 1.0], [180, 20])
    draws = [frozenset(balanced_sample(table, shares, seed=seed).index) for seed in range(60)]
    assert len(set(draws)) == 60
    assert len(frozenset.union(*draws)) == 200


@pytest.mark.parametrize(
    ("shares", "options", "words"),
    [
        ([0.5], {}, r"tumour_share has shape \(1,\); give 2 shares"),
        ([0.5, np.nan], {}, "give 2 shares from 0 to 1"),
        ([0.5, 1.5], {}, "give 2 shares from 0 to 1"),
        ([0.5, 0.5], {"normal_to": 0.5}, "normal_to=0.5, tumour_from=0.5"),
        ([0.5, 0.5], {"per_label": 0}, "per_label=0; use 1 or more"),
    ],
)
def test_wrong_arguments_are_named(shares, options, words):
    with pytest.raises(ValueError, match=words):
        balanced_sample(tiles(2), np.array(shares), **options)


def test_a_table_of_other_things_is_named():
    with pytest.raises(ValueError, match="table lacks the column 'tile_id'"):
        balanced_sample(tiles(2).drop(columns="tile_id"), np.zeros(2))
