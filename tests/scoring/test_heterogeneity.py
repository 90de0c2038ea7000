"""Regional scores: what is planted in halves, patches and checkers comes back."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.cells.table import conform_cells, empty_cells
from her2kit.scoring.clusters import cluster_sizes
from her2kit.scoring.guideline import slide_score
from her2kit.scoring.heterogeneity import COLUMNS, heterogeneity

BREAST = "breast-asco-cap-2018"
KINDS = {"0": (0.0, "none"), "1+": (0.5, "faint"), "2+": (0.9, "weak"), "3+": (0.95, "intense")}
MPP = 0.25


def cells_of(classes, xy_um):
    table = pd.DataFrame([KINDS[c] for c in classes], columns=["completeness", "intensity"])
    table["x_px0"], table["y_px0"] = (np.asarray(xy_um) / MPP).T
    return conform_cells(table.assign(cell_type="tumour", cell_class=list(classes)))


def lattice(side_um=2000.0, step=20.0):
    x, y = np.meshgrid(np.arange(step / 2, side_um, step), np.arange(step / 2, side_um, step))
    return np.column_stack([x.ravel(), y.ravel()])


def asked(classes, xy, **more):
    return heterogeneity(cells_of(classes, xy), BREAST, mpp=MPP, tumour_known=False, **more)


def test_two_halves_come_back_as_two_scores():
    xy = lattice()
    found = asked(np.where(xy[:, 0] < 1000, "0", "3+"), xy)
    record = found.record
    assert record["squares"] == {"n": 16, "0": 8, "1+": 0, "2+": 0, "3+": 8}
    assert (record["hot_spot"]["score"], record["cold_spot"]["score"]) == ("3+", "0")
    assert record["hot_spot"]["h_score_membrane_class"] == 300
    assert record["entropy_bits"] == pytest.approx(1)
    assert record["entropy_between"] == pytest.approx(1)
    assert record["morans_i"] > 0.4
    assert record["morans_p"] < 0.05
    assert record["components"]["n"] == 1
    assert len(found.regions) == 17
    assert tuple(found.regions.columns) == COLUMNS
    left = found.regions[(found.regions["kind"] == "square") & (found.regions["x_px0"] < 4000)]
    assert set(left["score"]) == {"0"}


def test_the_same_everywhere_is_no_heterogeneity():
    xy = lattice(2000, 10)
    classes = np.random.default_rng(0).choice(["0", "1+", "2+", "3+"], len(xy))
    record = asked(classes, xy).record
    assert record["entropy_bits"] == pytest.approx(2, abs=0.01)
    assert record["entropy_between"] < 0.01
    assert record["morans_p"] > 0.05
    assert record["h_score_range"][1] - record["h_score_range"][0] < 15


def test_a_checkerboard_is_anything_but_clustered():
    xy = lattice(3000, 25)
    board = (xy // 500).astype(int).sum(axis=1) % 2
    record = asked(np.where(board == 0, "0", "3+"), xy).record
    assert record["morans_i"] < 0.1
    assert record["entropy_between"] == pytest.approx(1)


def test_components_are_islands_of_tumour():
    block = lattice(400, 20)
    xy = np.concatenate([block, block + np.array([1000, 0]), block[:200] + np.array([0, 3000])])
    classes = ["0"] * 400 + ["3+"] * 400 + ["1+"] * 200
    parts = asked(classes, xy).regions.query("kind == 'component'")
    assert parts["n_cells"].tolist() == [400, 400, 200]
    assert parts["score"].tolist() == ["0", "3+", "1+"]


def test_squares_are_smaller_on_a_small_slide_unless_they_are_asked_for():
    xy = lattice(1000, 10)
    classes = ["0"] * len(xy)
    assert asked(classes, xy).record["square_um"] == 250
    assert asked(classes, xy).record["squares"]["n"] == 16
    assert asked(classes, xy, square_um=500).record["squares"]["n"] == 4


def test_regions_add_up_to_the_slide():
    xy = np.random.default_rng(1).uniform(0, 1500, (5000, 2))
    classes = np.random.default_rng(2).choice(["0", "1+", "2+", "3+"], 5000, p=[0.5, 0.3, 0.15, 0.05])
    cells = cells_of(classes, xy)
    squares = heterogeneity(cells, BREAST, mpp=MPP, tumour_known=False, square_um=500).regions.query(
        "kind == 'square'"
    )
    score = slide_score(cells, BREAST, mpp=MPP, tumour_known=False)
    assert squares["n_cells"].sum() == score.n_cells
    for name, n in score.counts.items():
        assert (squares[f"percent_{name}"] * squares["n_cells"]).sum() / 100 == pytest.approx(n)


def test_contiguity_tells_a_sheet_from_a_sprinkling():
    xy = lattice(1000, 10)
    sheet = asked(np.where(xy[:, 0] < 100, "3+", "0"), xy).record["contiguity"]
    sprinkled = asked(np.where((xy // 10).sum(axis=1) % 10 == 0, "3+", "0"), xy).record["contiguity"]
    assert (sheet["cells"], sheet["largest_group"], sheet["in_largest"], sheet["alone"]) == (1000, 1000, 1, 0)
    assert sprinkled["in_largest"] < 0.2
    none = asked(["0"] * len(xy), xy).record["contiguity"]
    assert (none["cells"], none["largest_group"], none["in_largest"]) == (0, 0, None)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 400), st.integers(0, 1000))
def test_the_entry_is_whole_whatever_the_slide(n, seed):
    rng = np.random.default_rng(seed)
    found = asked(rng.choice(list(KINDS), n), rng.uniform(0, 900, (n, 2)))
    assert json.loads(json.dumps(found.record, allow_nan=False)) == found.record
    assert found.record["words"]
    again = asked(rng.choice(list(KINDS), n), rng.uniform(0, 900, (n, 2)))
    assert set(again.record) == set(found.record)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    cells = cells_of(rng.choice(list(KINDS), 2000), rng.uniform(0, 1500, (2000, 2)))
    one, two = (
        heterogeneity(c, BREAST, mpp=MPP, tumour_known=False)
        for c in (cells, cells.sample(frac=1, random_state=3).reset_index(drop=True))
    )
    assert one.record == two.record
    pd.testing.assert_frame_equal(one.regions, two.regions)


def test_gastric_squares_are_scored_by_their_own_rules_and_biopsies_by_none():
    xy = lattice(1000, 20)
    cells = cells_of(np.where(np.arange(len(xy)) % 7 == 0, "3+", "0"), xy)
    gastric = heterogeneity(cells, "gastric-resection", mpp=MPP, tumour_known=False, square_um=500)
    assert set(gastric.regions["score"]) == {"3+"}
    biopsy = heterogeneity(cells, "gastric-biopsy", mpp=MPP, tumour_known=False)
    assert biopsy.regions["score"].isna().all()
    assert biopsy.record["squares"] == {"n": len(biopsy.regions) - 1}


def test_no_cells_are_no_regions():
    found = heterogeneity(empty_cells(), BREAST, mpp=MPP, tumour_known=False)
    assert found.regions.empty
    assert tuple(found.regions.columns) == COLUMNS
    assert found.record["hot_spot"] is None
    assert "too few" in found.record["words"][0]


def test_sizes_of_groups():
    xy = np.array([[0, 0], [10, 0], [20, 0], [100, 0], [200, 0], [205, 0]])
    assert sorted(cluster_sizes(xy, neighbour_um=15)) == [1, 2, 3]


def test_a_large_slide_takes_little():
    rng = np.random.default_rng(0)
    few = cells_of(rng.choice(list(KINDS), 2000), rng.uniform(0, 9000, (2000, 2)))
    cells = few.loc[np.tile(np.arange(2000), 100)].reset_index(drop=True)
    cells[["x_px0", "y_px0"]] = rng.uniform(0, 36_000, (200_000, 2))
    start = time.process_time()
    heterogeneity(cells, BREAST, mpp=MPP, tumour_known=False)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("more", [{"mpp": 0.0}, {"square_um": -1.0}])
def test_messages(more):
    with pytest.raises(ValueError, match="pass micrometres > 0"):
        heterogeneity(empty_cells(), BREAST, **({"mpp": MPP, "tumour_known": False} | more))
