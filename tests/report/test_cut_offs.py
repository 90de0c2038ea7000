import numpy as np
import pytest
from planted_slide import planted_cells

from her2kit.cells import grade
from her2kit.report.cut_offs import cut_offs, nearest_cells


@pytest.fixture(scope="module")
def cells():
    return planted_cells(2000)


def everyone(cells):
    return np.ones(len(cells), dtype=bool)


@pytest.mark.parametrize("organ", ["breast", "gastric"])
def test_crossing_the_cut_off_changes_the_class_of_every_cell_shown(organ):
    cells = planted_cells(2000, scheme=organ)
    for line in cut_offs(organ):
        rows = nearest_cells(cells, everyone(cells), line, organ=organ)
        assert len(rows) == 10
        value = cells[line.column].to_numpy(np.float64)[rows]
        assert (np.diff(value) >= 0).all()
        mirrored = cells.iloc[rows].assign(**{line.column: (2 * line.value - value).astype(np.float32)})
        assert (
            grade.grade_cells(mirrored, scheme=organ)["cell_class"] != cells["cell_class"].iloc[rows]
        ).all()


def test_no_cell_left_out_is_nearer(cells):
    line = cut_offs("breast")[3]
    rows = nearest_cells(cells, everyone(cells), line, organ="breast")
    complete = cells[(cells["completeness"] >= grade.COMPLETE_AT) & cells["evaluable"]]
    distance = np.sort(np.abs(complete["dab_od"].to_numpy(np.float64) - grade.INTENSE_OD))
    found = np.abs(cells["dab_od"].to_numpy(np.float64)[rows] - line.value)
    np.testing.assert_allclose(np.sort(found), distance[:10])


def test_only_counted_and_evaluable_cells_are_shown(cells):
    counted = (cells["cell_type"] == "tumour").to_numpy(bool)
    for line in cut_offs("breast"):
        rows = nearest_cells(cells, counted, line, organ="breast")
        assert counted[rows].all()
        assert cells["evaluable"].to_numpy(bool)[rows].all()
    assert len(nearest_cells(cells, ~everyone(cells), line, organ="breast")) == 0


def test_the_choice_does_not_depend_on_the_order_of_the_table(cells):
    turned = cells.iloc[::-1].reset_index(drop=True)
    for line in cut_offs("breast"):
        rows = [nearest_cells(c, everyone(c), line, organ="breast") for c in (cells, turned)]
        assert cells["cell_id"].iloc[rows[0]].tolist() == turned["cell_id"].iloc[rows[1]].tolist()


def test_the_policy_moves_the_line_of_completeness(cells):
    line = cut_offs("breast", complete_at=0.9)[-1]
    assert line.value == 0.9
    rows = nearest_cells(cells, everyone(cells), line, organ="breast", policies={"complete_at": 0.9})
    assert cells["completeness"].iloc[rows].between(0.85, 0.95).all()


def test_an_unknown_organ_is_refused():
    with pytest.raises(ValueError, match="organ='lung' is not known; use breast or gastric"):
        cut_offs("lung")
