"""One reader at work in the open round: which cells are theirs, what they said so far, the next decision.

What the gallery and the import from QuPath stand on. Nothing is held here that is not in the log: a new
`Reading` after a crash goes on where the log ends.
"""

import os
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import pandas as pd

from her2kit.errors import ReviewError
from her2kit.labels.assignment import KEY
from her2kit.labels.review_log import Decision, Entry, ReviewLog
from her2kit.labels.rounds import Review, load_review

Key = tuple[str, str]
"""slide_id and cell_id."""


class Reading:
    """A reader's part of the open round.

    Parameters
    ----------
    folder
        Of the review.
    reader
        Whose part.

    Raises
    ------
    ReviewError
        If no round is open, the reader has no part in it, or the log cannot be used.
    """

    def __init__(self, folder: str | os.PathLike, reader: str) -> None:
        self.review: Review = load_review(folder)
        name = self.review.open_round
        if name is None:
            raise ReviewError(
                f"{folder}: no round is open; her2kit review open {folder} --round ... opens one"
            )
        self.round = name
        self.reader = reader
        self.blind: bool = self.review.rounds[-1]["blind"]
        part = self.review.assignment(name)
        part = part[part["reader"] == reader].sort_values("place")
        if part.empty:
            readers = ", ".join(self.review.rounds[-1]["readers"])
            raise ReviewError(
                f"{folder}: {reader} has no cells in the {name} round; its readers are {readers}"
            )
        cells = self.review.cells()
        row = pd.MultiIndex.from_frame(cells[KEY]).get_indexer(pd.MultiIndex.from_frame(part[KEY]))
        self.cells = cells.iloc[row].reset_index(drop=True)
        self.cells["given"] = pd.Series(part["given"].tolist(), dtype=object)
        """The cell table of this reader's cells in reading order, with ``given``."""
        self.keys: list[Key] = list(zip(self.cells["slide_id"], self.cells["cell_id"], strict=True))
        self._place = {key: i for i, key in enumerate(self.keys)}
        path = self.review.log_path(reader)
        if path.exists():
            self.log = ReviewLog.open(path, reader=reader, review_id=self.review.review_id)
        else:
            self.log = ReviewLog.create(path, reader=reader, review_id=self.review.review_id)
        self._labels = self.log.standing(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    @property
    def labels(self) -> Mapping[Key, str]:
        """Labels of the decided cells, the latest decided last."""
        return self._labels

    @property
    def next_place(self) -> int | None:
        """Place of the first undecided cell; None where all are decided."""
        return next((i for i, key in enumerate(self.keys) if key not in self._labels), None)

    def place_of(self, slide_id: str, cell_id: str) -> int:
        """Return a cell's place in the reading order.

        Raises
        ------
        ReviewError
            If this reader has no such cell.
        """
        place = self._place.get((slide_id, cell_id))
        if place is None:
            raise ReviewError(
                f"cell {cell_id!r} of slide {slide_id!r} is none of {self.reader}'s cells in the "
                f"{self.round} round; see her2kit review status"
            )
        return place

    def decide(self, slide_id: str, cell_id: str, label: str, *, reason: str = "") -> Entry:
        """Log a decision; it is on disk when this returns.

        Raises
        ------
        ReviewError
            If this reader has no such cell, the round was closed, or the log cannot be written to.
        ValueError
            If the label is unknown or the reason too long.
        """
        return self.decide_all([(slide_id, cell_id, label, reason)])[0]

    def decide_all(self, decisions: Iterable[tuple[str, str, str, str]]) -> list[Entry]:
        """Log decisions (slide_id, cell_id, label, reason), all or none of them."""
        given = self.cells["given"]
        checked = [
            Decision(slide_id, cell_id, label, given[self.place_of(slide_id, cell_id)], reason)
            for slide_id, cell_id, label, reason in decisions
        ]
        entries = self.log.decide_all(self.round, checked)
        self._labels = self.log.standing(self.round)
        return entries

    def undo(self) -> Entry | None:
        """Take back the last decision that stands, by a new entry; None where none stands."""
        entry = self.log.undo(self.round)
        self._labels = self.log.standing(self.round)
        return entry

    def table(self) -> pd.DataFrame:
        """Return this reader's cells with ``given`` and ``label`` (None: undecided)."""
        return self.cells.assign(label=pd.Series([self._labels.get(key) for key in self.keys], dtype=object))
