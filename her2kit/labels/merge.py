"""What several readers said, put together: logs to readings, readings to one label a cell.

Two rules. ``majority``: what more than half of a cell's readers say, each with the latest of their readings;
else the cell is disputed. ``adjudicated``: what the final round says where it read the cell, the majority
elsewhere. Nobody is weighted, and no tie is broken: a disputed cell has no label.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.errors import ReviewError
from her2kit.labels.assignment import KEY
from her2kit.labels.review_log import LABELS, ReviewLog

ROUNDS = ("first", "second", "final")
RULES = ("adjudicated", "majority")
STATUS = ("unread", "single", "agreed", "majority", "disputed", "adjudicated")
READING_COLUMNS = (*KEY, "round", "reader", "label", "reason", "time")


def read_logs(paths: Iterable[str | os.PathLike], *, review_id: str | None = None) -> pd.DataFrame:
    """Read the logs of several readers as one table of entries.

    Parameters
    ----------
    review_id
        The review that they must belong to; None: that of the first.

    Raises
    ------
    ReviewError
        If a log cannot be used, belongs to another review, or two are of one reader or are copies of one log.
    """
    tables: list[pd.DataFrame] = []
    ids: dict[str, Path] = {}
    readers: dict[str, Path] = {}
    for path in (Path(p) for p in paths):
        with ReviewLog.open(path, review_id=review_id) as log:
            review_id, who = log.review_id, log.reader.casefold()
            if log.log_id in ids:
                raise ReviewError(
                    f"{path} and {ids[log.log_id]} are copies of one log (reader {log.reader}); leave out "
                    "the one that is not up to date"
                )
            if who in readers:
                raise ReviewError(
                    f"{path} and {readers[who]} are both of the reader {log.reader}; if two people used one "
                    "id, open the round anew with an id for each"
                )
            ids[log.log_id], readers[who] = path, path
            tables.append(log.entries())
    if not tables:
        raise ReviewError("no log to read; name the .sqlite files of the readers")
    return pd.concat(tables, ignore_index=True)


def readings_of(entries: pd.DataFrame) -> pd.DataFrame:
    """Return the readings that stand: one row a cell, round and reader, `READING_COLUMNS`.

    Parameters
    ----------
    entries : DataFrame
        As `read_logs` returns them. Decisions that were taken back leave the one before them, if any.
    """
    undone = entries.loc[entries["action"] == "undo", ["log_id", "undoes"]]
    gone = set(zip(undone["log_id"], undone["undoes"], strict=True))
    key = pd.Series(list(zip(entries["log_id"], entries["number"], strict=True)), index=entries.index)
    stands = entries[(entries["action"] == "decide") & ~key.isin(gone)]
    last = stands.sort_values("number", kind="stable").drop_duplicates([*KEY, "round", "reader"], keep="last")
    out = last.rename(columns={"after": "label"})[list(READING_COLUMNS)]
    place = out["round"].map({name: i for i, name in enumerate(ROUNDS)})
    return (
        out.assign(_place=place)
        .sort_values(["_place", *KEY, "reader"], ignore_index=True)
        .drop(columns="_place")
    )


def merge_labels(
    readings: pd.DataFrame,
    cells: pd.DataFrame,
    *,
    rule: str = "adjudicated",
    rounds: Sequence[str] = ROUNDS,
) -> pd.DataFrame:
    """Return one label a cell.

    Parameters
    ----------
    readings : DataFrame
        `READING_COLUMNS`.
    cells : DataFrame
        ``slide_id``, ``cell_id`` of every cell that is to have a row.
    rule
        One of `RULES`.
    rounds
        Rounds that count.

    Returns
    -------
    DataFrame
        ``slide_id``, ``cell_id``, ``label`` (one of `LABELS`, None where unread or disputed), ``status`` (one
        of `STATUS`), ``n_readings``, ``support`` (share of the readings that counted which gave the label;
        nan without one), ``reasons`` (what readers wrote, joined).

    Raises
    ------
    ValueError
        If the rule is unknown, or a reading is of a cell that is not among ``cells`` or has an unknown label.
    """
    if rule not in RULES:
        raise ValueError(f"rule={rule!r}; use one of {', '.join(RULES)}")
    keys = pd.MultiIndex.from_frame(cells[KEY])
    used = readings[readings["round"].isin(rounds)]
    row = keys.get_indexer(pd.MultiIndex.from_frame(used[KEY]))
    if len(row) and row.min() < 0:
        lost = used.iloc[int(np.argmin(row))]
        raise ValueError(f"cell {lost['cell_id']} of slide {lost['slide_id']} is not among the cells")
    strange = set(used["label"]) - set(LABELS)
    if strange:
        raise ValueError(f"label {sorted(map(str, strange))[0]!r} is not known; use {', '.join(LABELS)}")
    final = np.zeros(len(cells), bool)
    if rule == "adjudicated":
        final[row[(used["round"] == ROUNDS[-1]).to_numpy()]] = True
        counts_here = ~final[row] | (used["round"] == ROUNDS[-1]).to_numpy()
        used, row = used[counts_here], row[counts_here]
    place = used["round"].map({name: i for i, name in enumerate(ROUNDS)})
    latest = (
        used.assign(_row=row, _place=place)
        .sort_values("_place", kind="stable")
        .drop_duplicates(["_row", "reader"], keep="last")
    )
    votes = np.zeros((len(cells), len(LABELS)), int)
    np.add.at(votes, (latest["_row"].to_numpy(int), latest["label"].map(LABELS.index).to_numpy(int)), 1)
    n, most = votes.sum(axis=1), votes.max(axis=1)
    won = 2 * most > n
    label = np.where(won, np.array(LABELS, object)[votes.argmax(axis=1)], None)
    status = np.select(
        [n == 0, ~won, final, n == 1, most == n],
        ["unread", "disputed", "adjudicated", "single", "agreed"],
        default="majority",
    )
    said = latest[latest["reason"] != ""].groupby("_row")["reason"].agg("; ".join).to_dict()
    return (
        cells[KEY]
        .reset_index(drop=True)
        .assign(
            label=pd.Series(label, dtype=object),
            status=status,
            n_readings=n,
            support=np.where(won, most / np.maximum(n, 1), np.nan),
            reasons=[said.get(i, "") for i in range(len(cells))],
        )
    )
