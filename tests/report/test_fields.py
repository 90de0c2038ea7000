import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_slide import planted_cells

from her2kit.cells.table import CLASSES, empty_cells
from her2kit.report import fields as fields_module
from her2kit.report.fields import choose_fields, fields_of, hot_spot


@pytest.fixture(scope="module")
def cells():
    return planted_cells(900)


def everyone(cells):
    return np.ones(len(cells), dtype=bool)


@settings(deadline=None, max_examples=30)
@given(st.floats(20, 900), st.integers(0, 3))
def test_every_counted_cell_is_in_exactly_one_field(side, seed):
    cells = planted_cells(150, seed=seed)
    counted = (cells["cell_type"] == "tumour").to_numpy(bool)
    fields = fields_of(cells, counted, mpp=0.25, field_um=side)
    assert fields.table["n"].sum() == len(cells)
    evaluable = cells[counted & cells["evaluable"].to_numpy(bool)]
    assert fields.table[list(CLASSES)].sum().to_dict() == {
        c: (evaluable["cell_class"] == c).sum() for c in CLASSES
    }
    place = fields.table.iloc[fields.field_of]
    inside = cells["x_px0"].to_numpy() - place["column"].to_numpy() * fields.size_px0
    assert ((inside >= 0) & (inside < fields.size_px0)).all()


def test_fields_grow_until_they_are_few_enough(cells, monkeypatch):
    monkeypatch.setattr(fields_module, "MAX_FIELDS", 10)
    fields = fields_of(cells, everyone(cells), mpp=0.25, field_um=64)
    assert len(fields.table) <= 10
    assert fields.size_px0 in (256 * 2**k for k in range(8))


def test_an_empty_slide_has_no_field():
    fields = fields_of(empty_cells(), np.empty(0, bool), mpp=0.25)
    assert len(fields.table) == 0
    assert choose_fields(fields, np.empty(0, np.int64), max_cells=10) == {}
    assert hot_spot(fields) is None


def test_all_fields_are_chosen_where_they_fit(cells):
    fields = fields_of(cells, everyone(cells), mpp=0.25)
    assert set(choose_fields(fields, np.array([0]), max_cells=900)) == set(range(len(fields.table)))


@pytest.mark.parametrize("most", [0, 60, 200, 500])
def test_the_choice_never_exceeds_what_may_be_shown_and_takes_the_hottest_first(cells, most):
    fields = fields_of(cells, everyone(cells), mpp=0.25)
    chosen = choose_fields(fields, np.arange(30), max_cells=most)
    assert fields.table["n"].iloc[list(chosen)].sum() <= most
    assert bool(chosen) == (most > 0)
    if chosen:
        assert next(iter(chosen)) == hot_spot(fields)


def test_the_planted_hot_spot_is_found(cells):
    planted = cells.copy()
    hot = ((planted["x_px0"] < 1024) & (planted["y_px0"] > 2048) & (planted["y_px0"] < 3072)).to_numpy(bool)
    planted["cell_class"] = np.where(hot, "3+", "1+")
    planted["evaluable"] = True
    fields = fields_of(planted, everyone(planted), mpp=0.25)
    place = fields.table.iloc[hot_spot(fields)]
    assert (place["column"], place["row"]) == (0, 2)
    assert fields.h_score[hot_spot(fields)] == 300
