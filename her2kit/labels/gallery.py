"""The gallery in which a reader labels cells in JupyterLab: a cell, what lies around it, a key a label.

Keys: 0, 1, 2, 3 for the classes, n not a tumour cell, x cannot be labelled, u undo, arrows to look around,
r to give a reason. A decision is shown as saved once the log has it on disk (`labels.review_log`), never
before: a dying kernel loses nothing that was shown as saved, and running the cell again goes on from there.
The script (gallery.js) comes from the kernel; nothing is fetched. Where nobody can press keys (papermill, a
rendered notebook) a picture of the first cells stands in its place.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from her2kit.errors import Her2Error
from her2kit.labels.contact_sheet import contact_sheet
from her2kit.labels.crops import Crops, jpeg, mark_of
from her2kit.labels.reading import Reading
from her2kit.labels.reading_widget import ReadingWidget, with_shared
from her2kit.labels.review_log import CANNOT_LABEL, LABEL_COLOURS, NOT_TUMOUR

NEAR_UM, FAR_UM = 40.0, 160.0
"""Sides of the two pictures: the cell with its neighbours, and the tissue it belongs to."""
KEYS = {
    "0": ("0", "no membrane stain"),
    "1": ("1+", "faint, or weak and incomplete"),
    "2": ("2+", "weak to moderate and complete, or stronger but incomplete"),
    "3": ("3+", "intense and complete"),
    "n": (NOT_TUMOUR, "stroma, immune, normal, debris"),
    "x": (CANNOT_LABEL, "out of focus, cut, folded, overlapping"),
}
"""Key to label and what it means, as `cells.grade` grades a cell."""


class Gallery(ReadingWidget):
    """The widget of one reader's part of the open round.

    Parameters
    ----------
    reading
        The reader's part; its log stays open with the gallery.
    slides
        slide_id to the slide's file.
    near_um, far_um
        Sides of the two pictures in micrometres.

    Raises
    ------
    Her2Error
        If a slide is missing, cannot be opened, or has no mpp.
    """

    _esm = with_shared(Path(__file__).with_suffix(".js"))
    _css = with_shared(Path(__file__).with_suffix(".css"))
    about = traitlets.Dict().tag(sync=True)
    """What does not change: round, reader, keys, colours, sides."""
    cells: traitlets.List = traitlets.List().tag(sync=True)
    """One entry a cell in reading order: slide_id, cell_id, given."""

    def __init__(
        self,
        reading: Reading,
        slides: Mapping[str, str | os.PathLike],
        *,
        near_um: float = NEAR_UM,
        far_um: float = FAR_UM,
    ) -> None:
        self._reading, self._near_um, self._far_um = reading, near_um, far_um
        self._crops = Crops(slides, mpp=reading.review.mpp)
        for slide_id in reading.cells["slide_id"].unique():
            self._crops.mpp_of(slide_id)
        given = [None] * len(reading.keys) if reading.blind else reading.cells["given"].tolist()
        super().__init__(
            about={
                "round": reading.round,
                "reader": reading.reader,
                "blind": reading.blind,
                "near_um": near_um,
                "far_um": far_um,
                "keys": [
                    {"key": k, "label": label, "means": means, "colour": LABEL_COLOURS[label]}
                    for k, (label, means) in KEYS.items()
                ],
            },
            cells=[[*key, label] for key, label in zip(reading.keys, given, strict=True)],
        )
        self.on_msg(self._heard)

    def still(self) -> tuple[bytes, str]:
        """Return a sheet of the first cells, a PNG, and words."""
        words = f"{self._reading.reader}, {self._reading.round} round: {len(self._reading.keys):,} cells"
        return contact_sheet(self._reading, self._crops, near_um=self._near_um), words

    def _heard(self, _: object, content: Mapping[str, Any], __: object) -> None:
        """Answer the front end; every answer to a decision is sent after the log has it on disk."""
        kind = content.get("kind")
        try:
            if kind == "ready":
                self._send_all()
            elif kind == "pictures":
                self._send_pictures(content["places"])
            elif kind == "decide":
                slide_id, cell_id = self._reading.keys[int(content["place"])]
                self._reading.decide(slide_id, cell_id, content["label"], reason=content.get("reason", ""))
                self.send({"kind": "saved", "id": content["id"], "place": content["place"],
                           "label": content["label"]})  # fmt: skip
            elif kind == "undo":
                entry = self._reading.undo()
                place = None if entry is None else self._reading.place_of(entry.slide_id, entry.cell_id)
                self.send({"kind": "saved", "id": content["id"], "place": place,
                           "label": entry and entry.after})  # fmt: skip
        except (Her2Error, ValueError, KeyError, IndexError, TypeError) as error:
            self.send({"kind": "refused", "id": content.get("id"), "words": str(error)})

    def _send_all(self) -> None:
        labels = self._reading.labels
        order = [self._reading.place_of(*key) for key in labels]
        self.send(
            {
                "kind": "all",
                "labels": [labels.get(key) for key in self._reading.keys],
                "order": order,
                "next": self._reading.next_place,
            }
        )

    def _send_pictures(self, places: Iterable[int]) -> None:
        for place in places:
            cell = self._reading.cells.iloc[int(place)]
            near, far = (
                self._crops.around(cell["slide_id"], cell["x_px0"], cell["y_px0"], side_um=side)
                for side in (self._near_um, self._far_um)
            )
            mark = mark_of(cell.get("outline"), cell["x_px0"], cell["y_px0"],
                           mpp=self._crops.mpp_of(cell["slide_id"]), side_um=self._near_um)  # fmt: skip
            self.send({"kind": "picture", "place": int(place), "mark": mark}, buffers=[jpeg(near), jpeg(far)])
