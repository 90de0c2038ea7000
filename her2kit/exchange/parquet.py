"""Tables as Parquet files, outlines included, with an exact round trip.

Outline columns (object columns whose values are (n, 2) arrays) are stored as
``list<fixed_size_list<float>[2]>``, which any Arrow program reads. Nothing here knows what the columns mean.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from her2kit.errors import ManifestError
from her2kit.exchange.whole import whole_file

OUTLINE_TYPE = pa.list_(pa.list_(pa.float32(), 2))
_OUTLINE_NAMES = ("outline", "nucleus_outline")  # also typed as outlines where every value is null
_ROWS = 50_000  # rows converted at a time, so that the memory used does not grow with the table


def write_table(path: str | os.PathLike, table: pd.DataFrame) -> Path:
    """Write a table as one Parquet file (zstd) and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write.
    table : DataFrame
        Any columns that Arrow knows; object columns may hold (n, 2) float arrays or None. The index is not
        kept.

    Raises
    ------
    ValueError
        If an outline is not of shape (n, 2); the message names the column.
    """
    path = Path(path)
    outlines = [name for name in table.columns if _holds_outlines(name, table[name])]
    plain = pa.Schema.from_pandas(table.drop(columns=outlines), preserve_index=False)
    fields = [pa.field(n, OUTLINE_TYPE) if n in outlines else plain.field(n) for n in table.columns]
    schema = pa.schema(fields, metadata=plain.metadata)
    with whole_file(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for start in range(0, max(len(table), 1), _ROWS):
            rows = table.iloc[start : start + _ROWS]
            arrays = [
                _outline_array(f.name, rows[f.name])
                if f.name in outlines
                else pa.Array.from_pandas(rows[f.name], type=f.type)
                for f in schema
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return path


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table that `write_table` wrote; outlines come back as float32 (n, 2) arrays.

    Parameters
    ----------
    path : path
        A Parquet file.
    columns : list of str, optional
        Read only these.

    Raises
    ------
    ManifestError
        If the file is missing, is not Parquet, or lacks a column that was asked for.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; score the slide first, or correct the path")
    try:
        arrow = pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise ManifestError(
            f"{path}: not a Parquet table ({str(error).splitlines()[0]}); write it again"
        ) from error
    missing = [name for name in columns or [] if name not in arrow.column_names]
    if missing:
        raise ManifestError(f"{path}: no column {missing[0]!r}; it holds {', '.join(arrow.column_names)}")
    outlines = [f.name for f in arrow.schema if f.type == OUTLINE_TYPE]
    table = arrow.drop_columns(outlines).to_pandas()
    for name in outlines:
        values: list[np.ndarray | None] = []
        for chunk in arrow.column(name).chunks:
            values += _outline_list(chunk)
        table[name] = pd.Series(values, index=table.index, dtype=object)
    return table[arrow.column_names]


def _holds_outlines(name: str, column: pd.Series) -> bool:
    if column.dtype != object:
        return False
    first = next((v for v in column if v is not None), None)
    return name in _OUTLINE_NAMES if first is None else isinstance(first, np.ndarray)


def _outline_array(name: str, column: pd.Series) -> pa.ListArray:
    """Return the outlines of one column as an Arrow list array; None stays null."""
    values = column.tolist()
    for value in values:
        if value is not None and (value.ndim != 2 or value.shape[1] != 2):
            raise ValueError(
                f"{name} holds an array of shape {value.shape}; an outline is (n, 2), x and y in px"
            )
    null = np.array([v is None for v in values], dtype=bool)
    lengths = np.array([0 if v is None else len(v) for v in values], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    points = np.concatenate([v for v in values if v is not None] or [np.empty((0, 2))]).astype(np.float32)
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), 2)
    return pa.ListArray.from_arrays(pa.array(offsets), pairs, type=OUTLINE_TYPE, mask=pa.array(null))


def _outline_list(chunk: pa.ListArray) -> list[np.ndarray | None]:
    points = chunk.flatten().flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
    valid = chunk.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.where(valid, chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), 0)
    ends = np.cumsum(lengths)
    return [
        points[end - n : end].copy() if ok else None
        for end, n, ok in zip(ends.tolist(), lengths.tolist(), valid.tolist(), strict=True)
    ]
