"""A review is a folder: the cells, the rounds in which people read them, and a log a reader.

    review.json             what is read, at which mpp, which rounds were opened and closed
    cells.parquet           the cells as they were when the review began
    <round>.parquet         who reads what in this round, in which order, with the label it came with
    logs/<reader>.sqlite    what each reader decided (`labels.review_log`)
    <round>_labels.parquet  the labels when the round was closed (`labels.merge`)

Rounds are ``first``, ``second`` and ``final``; one is open at a time. The second is read by others than the
first where there are others. The final round gets what the first two left disputed, and its word stands.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from her2kit.errors import ReviewError
from her2kit.exchange.parquet import read_table, write_table
from her2kit.exchange.whole import whole_file
from her2kit.labels.assignment import KEY, assign
from her2kit.labels.log_file import SUFFIX
from her2kit.labels.merge import ROUNDS, merge_labels, read_logs, readings_of
from her2kit.labels.review_log import CANNOT_LABEL, LABELS, ReviewLog, check_reader

VERSION = 1
ONLY = ("all", "disputed")


@dataclass(frozen=True, slots=True)
class Review:
    """An opened review."""

    folder: Path
    review_id: str
    """SHA-256 of its cells: a log of other cells does not belong to it."""
    mpp: dict[str, float]
    """Micrometres per level-0 pixel of each slide; slides without one are left out."""
    rounds: list[dict[str, Any]]
    """What is known of each round, in order; ``closed`` is null while it is open."""

    @property
    def open_round(self) -> str | None:
        """Name of the round that is open."""
        return next((r["name"] for r in self.rounds if r["closed"] is None), None)

    def cells(self) -> pd.DataFrame:
        """Return the cells of the review."""
        return read_table(self.folder / "cells.parquet")

    def assignment(self, round_name: str) -> pd.DataFrame:
        """Return who reads what: ``slide_id, cell_id, reader, place, given``."""
        if round_name not in [r["name"] for r in self.rounds]:
            raise ReviewError(f"{self.folder}: has no {round_name} round; open it: her2kit review open")
        table = read_table(self.folder / f"{round_name}.parquet")
        given = table["given"].astype(object)
        return table.assign(given=given.where(given.notna(), None))

    def log_path(self, reader: str) -> Path:
        """Return where a reader's log is, or will be."""
        return self.folder / "logs" / f"{reader}{SUFFIX}"

    def logs(self) -> list[Path]:
        """Return the logs that are there."""
        return sorted((self.folder / "logs").glob(f"*{SUFFIX}"))

    def entries(self) -> pd.DataFrame:
        """Return the entries of all logs (`merge.read_logs`); empty where nobody has begun."""
        if not self.logs():
            return pd.DataFrame(columns=["number", "action", "undoes", "log_id", "after", *READING])
        return read_logs(self.logs(), review_id=self.review_id)

    def labels(self, *, rule: str = "adjudicated", rounds: Sequence[str] = ROUNDS) -> pd.DataFrame:
        """Return one label a cell as the logs stand now (`merge.merge_labels`)."""
        return merge_labels(readings_of(self.entries()), self.cells(), rule=rule, rounds=rounds)


READING = (*KEY, "round", "reader", "reason", "time", "before")


def load_review(folder: str | os.PathLike) -> Review:
    """Open a review.

    Raises
    ------
    ReviewError
        If the folder holds none, or one of another version.
    """
    path = Path(folder) / "review.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["version"] != VERSION:
            raise ReviewError(f"{path}: has version {held['version']}; use the her2kit that wrote it")
        return Review(Path(folder), held["review_id"], held["mpp"], held["rounds"])
    except FileNotFoundError:
        raise ReviewError(f"{folder}: holds no review; her2kit review open {folder} begins one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReviewError(f"{path}: cannot be read ({error!r}); restore it from a copy") from error


def open_round(
    folder: str | os.PathLike,
    readers: Sequence[str],
    *,
    cells: pd.DataFrame | None = None,
    name: str = "first",
    overlap: float = 0.0,
    unit: str = "cell",
    seed: int = 0,
    order: str | None = None,
    label: str = "cell_class",
    blind: bool = False,
    only: str | None = None,
    mpp: dict[str, float] | None = None,
) -> Review:
    """Open a round, and with the first one the review.

    Parameters
    ----------
    folder
        Of the review; made by the first round.
    readers, overlap, unit, seed, order
        See `assignment.assign`.
    cells
        For the first round: a cell table. Later rounds read the same cells.
    name
        One of `ROUNDS`; each follows the one before it once that is closed. The second may be left out.
    label
        The column that the first round shows as given label; null: none.
    blind
        Hide the given label from the readers.
    only
        ``all`` cells or the ``disputed`` ones (those that have no label after the rounds before, or that
        cannot be labelled); default: all, in the final round the disputed.
    mpp
        Micrometres per level-0 pixel of each slide.

    Raises
    ------
    ReviewError
        If the round cannot be opened now, or the cells cannot be read so.
    ValueError
        If an argument is not usable.
    """
    folder, readers = Path(folder), [check_reader(r) for r in readers]
    if name not in ROUNDS:
        raise ValueError(f"round {name!r} is not known; use one of {', '.join(ROUNDS)}")
    if only not in (None, *ONLY):
        raise ValueError(f"only={only!r}; use one of {', '.join(ONLY)}")
    if name == ROUNDS[0]:
        review, table, given = _begin(folder, cells, label, mpp or {})
        read_by: dict[tuple[str, str], set[str]] = {}
    else:
        if cells is not None:
            raise ValueError(f"cells: the {name} round reads the cells of the first; leave them out")
        review = load_review(folder)
        _check_next(review, name)
        table = review.cells()
        labels = review.labels()
        if (only or ("disputed" if name == ROUNDS[-1] else "all")) == "disputed":
            wanted = labels["label"].isna() | (labels["label"] == CANNOT_LABEL)
            table, labels = table[wanted.to_numpy()], labels[wanted]
        given = labels["label"]
        read_by = {}
        for key, reader in _who_read(review):
            read_by.setdefault(key, set()).add(reader)
    if table.empty:
        raise ReviewError(
            f"{folder}: no cell is left for the {name} round; close the review here, or --only all"
        )
    dealt = assign(table, readers, overlap=overlap, unit=unit, seed=seed, order=order, read_by=read_by)
    of = pd.Series(given.to_numpy(object), index=pd.MultiIndex.from_frame(table[KEY]))
    dealt["given"] = of.reindex(pd.MultiIndex.from_frame(dealt[KEY])).to_numpy()
    review.rounds.append(
        {"name": name, "readers": readers, "overlap": overlap, "unit": unit, "seed": seed, "order": order,
         "blind": blind, "cells": len(table), "opened": _stamp(), "closed": None}
    )  # fmt: skip
    try:
        if name == ROUNDS[0]:
            write_table(folder / "cells.parquet", table)
        write_table(folder / f"{name}.parquet", dealt.astype({"given": "str"}))
        (folder / "logs").mkdir(exist_ok=True)
        _save(review)
    except OSError as error:
        raise ReviewError(
            f"{error.filename or folder}: {error.strerror}; put the review where you may write"
        ) from error
    return review


def close_round(folder: str | os.PathLike, *, incomplete: bool = False) -> pd.DataFrame:
    """Close the open round: its logs take no further entry, its labels are written. Return the labels.

    Parameters
    ----------
    incomplete
        Close although some assigned cells are undecided; they stay unread.

    Raises
    ------
    ReviewError
        If no round is open, cells are undecided, or a log cannot be used.
    """
    review = load_review(folder)
    name = review.open_round
    if name is None:
        raise ReviewError(f"{folder}: no round is open; her2kit review open {folder} --round ... opens one")
    state = progress(review, name)
    left = state[state["left"] > 0]
    if len(left) and not incomplete:
        words = ", ".join(f"{r.left:,} of {r.reader}" for r in left.itertuples())
        raise ReviewError(
            f"{folder}: the {name} round is not done: undecided are {words}; read them, or --incomplete"
        )
    for path in review.logs():
        with ReviewLog.open(path, review_id=review.review_id) as log:
            log.close_round(name)
    labels = review.labels()
    write_table(review.folder / f"{name}_labels.parquet", labels)
    review.rounds[-1]["closed"] = _stamp()
    _save(review)
    return labels


def progress(review: Review, round_name: str) -> pd.DataFrame:
    """Return how far each reader of a round is: ``reader, cells, decided, left``."""
    readings = readings_of(review.entries())
    readings = readings[readings["round"] == round_name]
    assigned = review.assignment(round_name)
    done = assigned.merge(readings[[*KEY, "reader"]], on=[*KEY, "reader"]).groupby("reader").size()
    table = assigned.groupby("reader", sort=True).size().rename("cells").reset_index()
    table["decided"] = table["reader"].map(done).fillna(0).astype(int)
    return table.assign(left=table["cells"] - table["decided"])


def _begin(
    folder: Path, cells: pd.DataFrame | None, label: str, mpp: dict[str, float]
) -> tuple[Review, pd.DataFrame, pd.Series]:
    """Return a new review, its cells and their given labels."""
    if (folder / "review.json").exists():
        raise ReviewError(f"{folder}: holds a review already; name the next round, or give another folder")
    if cells is None:
        raise ValueError("cells is missing; the first round needs a cell table (--cells CELLS.parquet)")
    missing = [n for n in (*KEY, "x_px0", "y_px0", label) if n not in cells]
    if missing:
        raise ReviewError(f"cells: no column {missing[0]!r}; it holds {', '.join(cells.columns)}")
    table = cells.reset_index(drop=True)
    if table[KEY].isna().any(axis=None):
        raise ReviewError("cells: a slide_id or cell_id is empty; give each cell both")
    twice = table[table.duplicated(KEY)]
    if len(twice):
        raise ReviewError(
            f"cells: cell {twice.iloc[0]['cell_id']} of slide {twice.iloc[0]['slide_id']} is there twice"
        )
    given = table[label].astype(object).where(table[label].notna(), None)
    strange = [g for g in given.unique() if g is not None and g not in LABELS]
    if strange:
        raise ReviewError(f"cells: {label} holds {strange[0]!r}; use one of {', '.join(LABELS)}, or null")
    text = json.dumps([table[n].tolist() for n in (*KEY, "x_px0", "y_px0")])
    review_id = hashlib.sha256(text.encode()).hexdigest()
    return Review(folder, review_id, {str(k): float(v) for k, v in mpp.items()}, []), table, given


def _check_next(review: Review, name: str) -> None:
    done = [r["name"] for r in review.rounds]
    if review.open_round is not None:
        raise ReviewError(f"{review.folder}: the {review.open_round} round is still open; close it first")
    if ROUNDS.index(name) <= max(ROUNDS.index(d) for d in done):
        raise ReviewError(f"{review.folder}: had its {', '.join(done)} round already; open a later one")


def _who_read(review: Review) -> list[tuple[tuple[str, str], str]]:
    readings = readings_of(review.entries())
    return list(
        zip(zip(readings["slide_id"], readings["cell_id"], strict=True), readings["reader"], strict=True)
    )


def _save(review: Review) -> None:
    held = {"version": VERSION, "review_id": review.review_id, "mpp": review.mpp, "rounds": review.rounds}
    with whole_file(review.folder / "review.json") as part:
        part.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
