"""Cell kinds: planted sheets, strands and lymphocytes are told apart, by hematoxylin shape alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.cells.kind import NEIGHBOURS_UM, cell_types
from her2kit.cells.table import CellType


def planted(rng, n=200):
    """A gland, a strand of stroma and a follicle of lymphocytes, far apart from each other."""
    kinds = {
        "tumour": {"area": (35, 60), "ratio": (0.65, 0.95), "od": (0.08, 0.11), "at": (0, 0)},
        "stromal": {"area": (22, 34), "ratio": (0.25, 0.5), "od": (0.09, 0.12), "at": (500, 0)},
        "lymphocyte": {"area": (24, 34), "ratio": (0.8, 0.98), "od": (0.2, 0.3), "at": (0, 500)},
    }
    tables, places = [], []
    for kind, k in kinds.items():
        tables.append(
            pd.DataFrame(
                {
                    "area_um2": rng.uniform(*k["area"], n),
                    "axis_ratio": rng.uniform(*k["ratio"], n),
                    "hematoxylin_od": rng.uniform(*k["od"], n),
                    "dab_od": rng.uniform(0, 1, n),
                    "true": kind,
                }
            )
        )
        places.append(rng.uniform(0, 120, (n, 2)) + k["at"])
    return pd.concat(tables, ignore_index=True), np.concatenate(places)


def test_planted_kinds_come_back():
    cells, xy = planted(np.random.default_rng(1))
    found = cell_types(cells, xy)
    agree = pd.Series(found == cells["true"]).groupby(cells["true"]).mean()
    assert agree["tumour"] > 0.95
    assert agree["stromal"] > 0.95
    assert agree["lymphocyte"] > 0.95
    assert set(found) <= {str(k) for k in CellType}


def test_small_fragments_are_other():
    cells, xy = planted(np.random.default_rng(2))
    cells.loc[::10, "area_um2"] = 13.0
    found = cell_types(cells, xy)
    assert np.all(found[::10] == "other")
    assert np.all(np.delete(found, np.s_[::10]) != "other")


def test_dab_is_not_looked_at():
    cells, xy = planted(np.random.default_rng(3))
    other = cells.assign(dab_od=5.0, ring_dab_od=np.nan, blue_over_red=9.0)
    np.testing.assert_array_equal(cell_types(cells, xy), cell_types(other, xy))


@given(st.permutations(range(60)))
def test_order_does_not_matter(order):
    cells, xy = planted(np.random.default_rng(4), n=20)
    found = cell_types(cells, xy)
    moved = cell_types(cells.iloc[order], xy[order])
    np.testing.assert_array_equal(moved, found[order])


def test_a_neighbourhood_outvotes_a_single_nucleus():
    rng = np.random.default_rng(5)
    cells, xy = planted(rng)
    odd = cells.index[cells["true"] == "tumour"][0]
    cells.loc[odd, ["area_um2", "axis_ratio"]] = (25.0, 0.4)
    assert cell_types(cells, xy)[odd] == "tumour"
    assert cell_types(cells)[odd] == "stromal"
    alone = xy.copy()
    alone[odd] = (2000.0, 2000.0)
    assert NEIGHBOURS_UM < 1000
    assert cell_types(cells, alone)[odd] == "stromal"


def test_empty_and_wrong_tables():
    cells, xy = planted(np.random.default_rng(6), n=5)
    assert cell_types(cells.iloc[:0], xy[:0]).shape == (0,)
    with pytest.raises(ValueError, match="cells has no column axis_ratio"):
        cell_types(cells.drop(columns="axis_ratio"), xy)
    with pytest.raises(ValueError, match="xy_um has shape"):
        cell_types(cells, xy[:3])
