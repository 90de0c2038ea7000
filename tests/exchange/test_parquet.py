import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.cells.table import conform_cells, empty_cells
from her2kit.errors import ManifestError
from her2kit.exchange import parquet
from her2kit.exchange.parquet import read_table, write_table

outlines = st.lists(
    st.none()
    | st.lists(
        st.tuples(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False)), max_size=6
    ).map(lambda points: np.array(points, dtype=np.float32).reshape(-1, 2)),
    max_size=12,
)


def same(found, planted):
    return (found is None and planted is None) or (
        found.dtype == np.float32 and np.array_equal(found, planted)
    )


@settings(deadline=None, max_examples=50)
@given(outlines)
def test_outlines_come_back_bit_by_bit(tmp_path_factory, planted):
    path = tmp_path_factory.mktemp("table") / "cells.parquet"
    table = pd.DataFrame(
        {"cell_id": [f"c{i}" for i in range(len(planted))], "outline": pd.Series(planted, dtype=object)}
    )
    write_table(path, table)
    found = read_table(path)
    assert list(found.columns) == ["cell_id", "outline"]
    assert len(found) == len(planted)
    assert all(same(f, p) for f, p in zip(found["outline"], planted, strict=True))


def test_a_cell_table_keeps_columns_dtypes_nulls_and_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_ROWS", 3)
    cells = conform_cells(
        pd.DataFrame(
            {
                "cell_id": list("abcdefg"),
                "x_px0": np.arange(7) / 3,
                "dab_od": [0.1, np.nan, 0.3, 0.4, 0.5, 0.6, 0.7],
                "cell_class": ["0", "1+", None, "3+", "0", "0", None],
                "outline": [
                    None,
                    *[np.random.default_rng(i).random((i + 3, 2)).astype("f4") for i in range(6)],
                ],
            }
        )
    )
    found = read_table(write_table(tmp_path / "cells.parquet", cells))
    pd.testing.assert_frame_equal(found.drop(columns="outline"), cells.drop(columns="outline"))
    assert all(same(f, p) for f, p in zip(found["outline"], cells["outline"], strict=True))
    assert pq.ParquetFile(tmp_path / "cells.parquet").num_row_groups == 3


def test_an_empty_cell_table_keeps_its_columns(tmp_path):
    found = read_table(write_table(tmp_path / "cells.parquet", empty_cells()))
    pd.testing.assert_frame_equal(found, empty_cells())


def test_one_column_alone_can_be_read(tmp_path):
    write_table(tmp_path / "t.parquet", pd.DataFrame({"a": [1, 2], "b": [3.0, 4.0]}))
    assert list(read_table(tmp_path / "t.parquet", columns=["b"]).columns) == ["b"]


def test_wrong_files_and_outlines_say_what_to_do(tmp_path):
    with pytest.raises(ManifestError, match="no such file"):
        read_table(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(ManifestError, match="not a Parquet table"):
        read_table(tmp_path / "text.parquet")
    bad = pd.DataFrame({"outline": pd.Series([np.zeros((3, 3))], dtype=object)})
    with pytest.raises(ValueError, match=r"outline holds an array of shape \(3, 3\)"):
        write_table(tmp_path / "bad.parquet", bad)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.parquet"]
