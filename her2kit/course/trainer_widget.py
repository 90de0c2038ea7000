"""The reader trainer in JupyterLab: a field, four keys, the reason at once, kappa as it grows.

Keys: 0, 1, 2, 3 answer; space or enter goes on; o takes the outlines of the planted cells off and on; arrows
look at answered fields again. The page holds no answer before it was given: truth, reason and outlines come
from the kernel after the file has the answer (`trainer.Training`). Nothing is fetched. Where nobody can
press keys (papermill, a rendered notebook) a picture of the first fields stands in its place.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import traitlets

from her2kit.cells.table import CLASS_COLOURS
from her2kit.course.eye import shares
from her2kit.course.trainer import FIRST_KAPPA, SIDE_UM, Answer, Field, Training
from her2kit.errors import Her2Error, ReviewError
from her2kit.labels.crops import jpeg
from her2kit.labels.reading_widget import ReadingWidget, with_shared
from her2kit.scoring.published import PUBLISHED

KEYS = {
    "0": ("0", "no stain, or faint and incomplete in 10\u00a0% or fewer"),
    "1": ("1+", "faint, incomplete, in more than 10\u00a0%"),
    "2": ("2+", "complete, weak to moderate, in more than 10\u00a0%"),
    "3": ("3+", "complete and intense, in more than 10\u00a0%"),
}
"""Key to score and its criterion (her2-rules section 1)."""
SHOWN_PX = 880
"""Side of a picture on the page, so that outlines are fine."""
_INSIDE = 0.72
"""Size of a mark against its cell."""


class Trainer(ReadingWidget):
    """The widget of one session.

    Parameters
    ----------
    training
        The session; answers go into its file.
    side_um
        Side of its fields in micrometres, for the scale bar.
    """

    _esm = with_shared(Path(__file__).with_suffix(".js"))
    _css = with_shared(Path(__file__).with_suffix(".css"))
    about = traitlets.Dict().tag(sync=True)
    """What does not change, and tells nothing of the answers: reader, number of fields, keys, published."""

    def __init__(self, training: Training, *, side_um: float = SIDE_UM) -> None:
        self._training = training
        super().__init__(
            about={
                "reader": training.reader,
                "fields": len(training.fields),
                "side_um": side_um,
                "first_kappa": FIRST_KAPPA,
                "keys": [
                    {"key": k, "score": score, "means": means, "colour": CLASS_COLOURS[score]}
                    for k, (score, means) in KEYS.items()
                ],
                "published": [
                    {"who": study.who.split(",")[0], "low": study.kappa[0], "high": study.kappa[1],
                     "source": study.source, "kind": study.kappa_words}
                    for study in PUBLISHED if study.kind == "people" and study.kappa
                ],
            }
        )  # fmt: skip
        self.on_msg(self._heard)

    def still(self) -> tuple[bytes, str]:
        """Return the first fields, a PNG, and words."""
        session = self._training
        words = f"{session.reader}: {len(session.answers)} of {len(session.fields)} fields read"
        return first_fields(session), words

    def _heard(self, _: object, content: Mapping[str, Any], __: object) -> None:
        """Answer the front end; what is true of a field is sent after the file has its answer."""
        session = self._training
        try:
            if content.get("kind") == "ready":
                self.send({"kind": "all", "answers": self._by_place(), "next": session.next_place,
                           "kappas": session.kappas()})  # fmt: skip
            elif content.get("kind") == "picture":
                place = int(content["place"])
                if not 0 <= place < len(session.fields):
                    raise ReviewError(f"field {place + 1} is not there; run the cell again")
                picture = _picture(session.fields[place].pixels)
                self.send({"kind": "picture", "place": place}, buffers=[picture])
                for given in session.answers:
                    if given.place == place:
                        self._tell(given)
            elif content.get("kind") == "answer":
                given = session.answer(int(content["place"]), str(content["score"]))
                self._tell(given, id=content["id"])
        except (Her2Error, ValueError, KeyError, TypeError) as error:
            self.send({"kind": "refused", "id": content.get("id"), "words": str(error)})

    def _by_place(self) -> list[str | None]:
        by_place = {a.place: a.answer for a in self._training.answers}
        return [by_place.get(i) for i in range(len(self._training.fields))]

    def _tell(self, given: Answer, **more: Any) -> None:
        """Send what is true of an answered field."""
        one = self._training.fields[given.place]
        told = {
            "place": given.place, "answer": given.answer, "truth": given.truth, "near": one.near,
            "words": one.reason(given.answer), "cells": sum(one.pairs.values()),
            "shares": [[name, round(100 * share, 1)] for name, share in shares(one.pairs).items()],
        }  # fmt: skip
        content = {"kind": "truth", **told, **more, "kappas": self._training.kappas()}
        self.send(content, buffers=[_picture(one.pixels, one)])


def outlined(one: Field, *, side_px: int = SHOWN_PX) -> np.ndarray:
    """Return a field with its planted cells marked in the colours of their classes, uint8 RGB.

    The lines run inside the cells, so that the membranes stay to be looked at.
    """
    canvas = _enlarged(one.pixels, side_px)
    scale = side_px / one.pixels.shape[0]
    for outline, name in zip(one.outlines, one.classes, strict=True):
        middle = outline.mean(axis=0)
        inner = (middle + _INSIDE * (outline - middle)) * scale * 16
        ring = [np.round(inner).astype(np.int32).reshape(-1, 1, 2)]
        colour = tuple(int(v) for v in bytes.fromhex(CLASS_COLOURS[name][1:]))
        for tone, width in (((255, 255, 255), 5), (colour, 3)):
            cv2.polylines(canvas, ring, True, tone, width, cv2.LINE_AA, shift=4)
    return canvas


def first_fields(session: Training, *, fields: int = 4) -> bytes:
    """Return a PNG of the first fields of a session, answered ones with answer and truth below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    from her2kit.report.split_plots import pictures_in_rows

    shown = session.fields[:fields]
    by_place = {a.place: a for a in session.answers}
    words = [
        f"{i + 1}: {by_place[i].answer}, is {by_place[i].truth}" if i in by_place else f"field {i + 1}"
        for i in range(len(shown))
    ]
    columns = min(4, len(shown))
    figure = Figure(figsize=(7.6, 2.1 * -(-len(shown) // columns)), dpi=72, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    pictures = [_enlarged(one.pixels, 220) for one in shown]
    pictures_in_rows(pictures, words, figure.subplots(), columns=columns)
    canvas.draw()
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    buffer = io.BytesIO()
    small = picture.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _enlarged(pixels: np.ndarray, side_px: int) -> np.ndarray:
    way = cv2.INTER_CUBIC if side_px > pixels.shape[0] else cv2.INTER_AREA
    return cv2.resize(pixels, (side_px, side_px), interpolation=way)


def _picture(pixels: np.ndarray, one: Field | None = None) -> bytes:
    return jpeg(_enlarged(pixels, SHOWN_PX) if one is None else outlined(one))
