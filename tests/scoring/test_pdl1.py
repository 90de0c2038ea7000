"""TPS, CPS and TAP from planted cells and planted tissue."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.cells.table import TissueClass, conform_cells
from her2kit.scoring.pdl1 import FIELD_RADIUS_UM, pdl1_score, tumour_area

MPP = 0.5


def square(x_px0: float, y_px0: float, side_px0: float) -> np.ndarray:
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    return corners * side_px0 / 2 + np.array([x_px0, y_px0], np.float32)


def cells_of(
    *groups: tuple[int, str, str | None, str], at: tuple[float, float] = (100.0, 100.0)
) -> pd.DataFrame:
    rows = [
        {"cell_type": kind, "cell_class": cell_class, "compartment": place, "x_px0": at[0], "y_px0": at[1]}
        for n, kind, cell_class, place in groups
        for _ in range(n)
    ]
    table = conform_cells(pd.DataFrame(rows))
    table["outline"] = [square(x, y, 20) for x, y in zip(table["x_px0"], table["y_px0"], strict=True)]
    return table


def test_tps_and_cps_of_planted_cells():
    cells = cells_of(
        (150, "tumour", "0", "invasive"),
        (30, "tumour", "1+", "invasive"),
        (20, "tumour", "3+", "invasive"),
        (40, "lymphocyte", "2+", "immune"),
        (7, "macrophage", "1+", "stroma"),
        (60, "lymphocyte", "0", "immune"),
        (25, "tumour", "3+", "in_situ"),  # not invasive
        (9, "macrophage", "3+", "necrosis"),  # dead tissue
        (11, "other", "3+", "normal"),
        (5, "tumour", None, "invasive"),  # cut by the edge
    )
    score = pdl1_score(cells, stain="pdl1", mpp=MPP)
    assert (score.n_tumour, score.n_positive_tumour, score.n_positive_immune) == (200, 50, 47)
    assert score.tps == 25.0
    assert score.cps == 48.5
    assert score.n_missing == 5
    assert score.tap is None


def test_an_immune_cell_in_another_field_does_not_count():
    tumour = cells_of((100, "tumour", "0", "invasive"))
    for beyond, counted in ((-1, 1), (1, 0)):
        far = cells_of((1, "lymphocyte", "1+", "immune"), at=(100 + (FIELD_RADIUS_UM + beyond) / MPP, 100.0))
        score = pdl1_score(pd.concat([tumour, far], ignore_index=True), stain="pdl1", mpp=MPP)
        assert score.n_positive_immune == counted


def test_cps_ends_at_100_and_tap_covers_each_place_once():
    cells = cells_of((100, "tumour", "1+", "invasive"), (300, "lymphocyte", "1+", "immune"))
    tissue = np.full((100, 100), TissueClass.TUMOUR, np.uint8)
    score = pdl1_score(cells, stain="PD-L1", mpp=MPP, tissue_map=tissue)
    assert score.cps == 100.0
    assert score.tap == pytest.approx(100 * 10 * 10 / 100**2)  # all cells lie on one square of 10 um


def test_tap_divides_by_nests_and_the_stroma_beside_them():
    tissue = np.full((60, 400), TissueClass.STROMA, np.uint8)
    tissue[:, :50] = TissueClass.TUMOUR
    tissue[30:, 50:] = TissueClass.NECROSIS
    cells = cells_of((100, "tumour", "0", "invasive"), (4, "tumour", "2+", "invasive"), at=(50.0, 50.0))
    score = pdl1_score(cells, stain="pdl1", mpp=MPP, tissue_map=tissue, stroma_um=100)
    planted_um2 = 60 * 50 + 30 * 100
    assert score.tumour_area_um2 == planted_um2
    assert score.tap == pytest.approx(100 * 100 / planted_um2)


@given(
    share=st.lists(st.integers(0, 300), min_size=4, max_size=4),
    kind=st.sampled_from(["lymphocyte", "macrophage"]),
)
def test_cps_is_never_below_tps_and_both_are_percentages(share, kind):
    negative, positive, immune_negative, immune_positive = share
    cells = cells_of(
        (negative + 100, "tumour", "0", "invasive"),
        (positive, "tumour", "2+", "invasive"),
        (immune_negative, kind, "0", "immune"),
        (immune_positive, kind, "1+", "immune"),
    )
    score = pdl1_score(cells, stain="pdl1", mpp=MPP)
    assert 0 <= score.tps <= score.cps <= 100


def test_too_few_tumour_cells_give_no_score():
    score = pdl1_score(cells_of((99, "tumour", "3+", "invasive")), stain="pdl1", mpp=MPP)
    assert (score.status, score.tps, score.cps) == ("not_evaluable", None, None)
    assert "99 viable tumour cells, 100 are needed" in score.words[0]


def test_a_her2_slide_is_refused():
    with pytest.raises(ValueError, match="stain='her2'; TPS, CPS and TAP are defined for PD-L1 alone"):
        pdl1_score(cells_of((100, "tumour", "0", "invasive")), stain="her2", mpp=MPP)


def test_untyped_cells_are_refused():
    with pytest.raises(ValueError, match="cell_type is unknown for every cell"):
        pdl1_score(cells_of((100, "unknown", "0", "invasive")), stain="pdl1", mpp=MPP)


def test_a_map_without_tumour_has_no_tumour_area():
    assert not tumour_area(np.full((5, 5), TissueClass.STROMA, np.uint8), map_um=1.0).any()
