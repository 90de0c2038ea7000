"""Train a reader: blinded fields with planted cells, an answer, the reason at once, and what was learned.

Fields are squares of phantom slides, so what is right is counted, not judged: the guideline's rules on the
planted cells of the field. Each answer is on disk before its truth is told, so a session survives its kernel.
Shows nothing: that is `trainer_widget`. Says nothing about how somebody reads slides of people.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2kit.cells.table import CLASSES
from her2kit.course.eye import Pairs, shares
from her2kit.errors import ReviewError
from her2kit.exchange.parquet import read_table
from her2kit.phantom.plan import PAIRS
from her2kit.phantom.rule import cell_class
from her2kit.scoring.agreement import codes, confusion, kappa
from her2kit.scoring.counts import Counts
from her2kit.scoring.guideline import GUIDELINES, Policies
from her2kit.scoring.rules import decide
from her2kit.slides.slide import open_slide

GUIDELINE = "breast-asco-cap-2018"
SIDE_UM = 110.0
"""Side of a field: as much as a 40x objective shows at a glance of its centre, some 50 tumour cells."""
LEAST_CELLS = 30
"""Evaluable tumour cells of a field: the least that a slide may be scored on, too."""
NEAR = 0.04
"""A field is near a line if a share of its cells lies this close to 10 %."""
FIRST_KAPPA = 8
"""No kappa of fewer answers is shown: it would be chance."""
_LEAST_UM = 10.0  # a cell's width: less shows no field
_HEADER = "her2kit reader training"


@dataclass(frozen=True, slots=True)
class Field:
    """One field, with its answer."""

    slide_id: str
    pixels: np.ndarray = field(repr=False)
    """uint8 RGB (n, n, 3)."""
    outlines: list[np.ndarray] = field(repr=False)
    """Of its tumour cells, float (k, 2), pixels of the picture."""
    classes: list[str]
    """Of the same cells."""
    pairs: Pairs

    @property
    def truth(self) -> str:
        """The score that the guideline's rules give to the planted cells."""
        return str(_verdict(self.pairs).score)

    @property
    def near(self) -> bool:
        """Whether a share lies near its line."""
        return _near(self.pairs)

    def reason(self, answer: str) -> str:
        """Return why the truth is what it is, and where it is not the answer, why it is not that."""
        trace = {entry["rule"]: entry for entry in _verdict(self.pairs).trace}
        of_score = {rule.name: rule.score for rule in GUIDELINES[GUIDELINE].rules}
        why = next((e for e in trace.values() if e["fired"] and e["rule"] in of_score), None)
        words = [(why or trace["any stain > 10 %"])["words"]]
        if answer > self.truth:
            words += [e["words"] for name, e in trace.items() if of_score.get(name) == answer][:1]
        return " ".join(words)


def training_fields(
    manifest: pd.DataFrame, *, fields: int = 24, seed: int = 0, side_um: float = SIDE_UM
) -> list[Field]:
    """Return fields in the order in which they are to be read.

    The four scores are there alike, half of them near a line where the slides have such fields, and the first
    half is as hard as the second: otherwise what is called learning is another mix.

    Parameters
    ----------
    manifest
        Of phantom breast slides, with ``path``, ``slide_id`` and ``tumour_path`` (the planted cells lie
        beside it).
    fields
        How many, a multiple of 8; fewer where the slides have no more of a score.
    seed
        Of choice and order.
    side_um
        Side of a field.

    Raises
    ------
    ValueError
        If `fields` or `side_um` is not usable, or no slide has a field with `LEAST_CELLS` tumour cells.
    """
    if fields < 8 or fields % 8 or not side_um >= _LEAST_UM:
        raise ValueError(
            f"fields={fields}, side_um={side_um:g}; pass a multiple of 8, and a side from {_LEAST_UM:g} um on"
        )
    rng = np.random.default_rng(seed)
    places = [place for row in manifest.to_dict("records") for place in _places(row, side_um)]
    if not places:
        raise ValueError(
            f"no slide has a field of {side_um:g} um with {LEAST_CELLS} tumour cells; use larger slides"
        )
    halves: list[list[_Place]] = [[], []]
    turn = 0
    for score in CLASSES:
        here = [places[i] for i in rng.permutation(len(places)) if places[i].truth == score]
        for place in _chosen(here, [*halves[0], *halves[1]], fields // 4):
            halves[turn].append(place)
            turn = 1 - turn
    ordered = [half[i] for half in halves for i in rng.permutation(len(half))]
    return [place.cut() for place in ordered]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader said of one field."""

    place: int
    answer: str
    truth: str
    when: str


class Training:
    """One reader's session: which fields were answered, kept in a file.

    Parameters
    ----------
    fields
        Of `training_fields`.
    path
        The file, one line an answer; made if it is not there, gone on with if it is.
    reader
        Whose session it is.

    Raises
    ------
    ReviewError
        If the file is of other fields or of another reader, or is no such file.
    """

    def __init__(self, fields: Sequence[Field], path: str | os.PathLike, *, reader: str = "me") -> None:
        if not fields:
            raise ValueError("fields is empty; pass those of training_fields")
        self.fields, self.path, self.reader = list(fields), Path(path), reader
        about = {"kind": _HEADER, "reader": reader, "fields": _mark(self.fields)}
        self.answers: list[Answer] = []
        try:
            if self.path.exists():
                self.answers = self._read(about)
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._append(about, size=0)
        except OSError as error:
            raise ReviewError(
                f"{self.path}: cannot be read or made ({error.strerror}); give another path"
            ) from error
        self._size = self.path.stat().st_size

    @property
    def next_place(self) -> int | None:
        """The first field that is not answered; None where all are."""
        done = {a.place for a in self.answers}
        return next((i for i in range(len(self.fields)) if i not in done), None)

    def answer(self, place: int, score: str) -> Answer:
        """Keep an answer; return it with its truth once the file has it.

        Raises
        ------
        ReviewError
            If the field is not there, was answered before, or the answer cannot be kept.
        """
        if score not in CLASSES:
            raise ReviewError(f"answer {score!r} is no score; use {', '.join(CLASSES)}")
        if not 0 <= place < len(self.fields):
            raise ReviewError(f"field {place + 1} is not there; there are {len(self.fields)}")
        if any(a.place == place for a in self.answers):
            raise ReviewError(f"field {place + 1} was answered before; the first answer counts")
        said = Answer(place, score, self.fields[place].truth, datetime.now(UTC).isoformat(timespec="seconds"))
        line = {"field": place, "answer": score, "truth": said.truth, "when": said.when}
        self._append(line, size=self._size)
        self._size = self.path.stat().st_size
        self.answers.append(said)
        return said

    def table(self) -> pd.DataFrame:
        """Return a row an answer, in the order they were given in: field, slide, answer, truth, near."""
        return pd.DataFrame(
            [(a.place, self.fields[a.place].slide_id, a.answer, a.truth, self.fields[a.place].near)
             for a in self.answers],
            columns=["field", "slide_id", "answer", "truth", "near"],
        )  # fmt: skip

    def kappas(self) -> list[float | None]:
        """Return the quadratic kappa of answers against truth after each; None while it says nothing."""
        said, true = (codes([getattr(a, n) for a in self.answers]) for n in ("answer", "truth"))
        values = [kappa(confusion(true[:n], said[:n]), weights="quadratic") for n in range(1, len(said) + 1)]
        return [
            None if n < FIRST_KAPPA or np.isnan(v) else round(float(v), 4) for n, v in enumerate(values, 1)
        ]

    def _read(self, about: Mapping[str, Any]) -> list[Answer]:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]  # a line that was cut off in the middle was never acknowledged
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            known, rows = lines[0], lines[1:]
            answers = [Answer(int(r["field"]), r["answer"], r["truth"], r["when"]) for r in rows]
            kind = known["kind"]
            places = [a.place for a in answers]
            if len(set(places)) < len(places) or not {a.answer for a in answers} <= set(CLASSES):
                raise ValueError("an answer is no score, or a field has two")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ReviewError(f"{self.path}: no file of a training ({error}); give another path") from error
        if kind != _HEADER or known.get("fields") != about["fields"]:
            raise ReviewError(
                f"{self.path}: holds answers to other fields; give another path, or the same slides and seed"
            )
        if any(not 0 <= place < len(self.fields) for place in places):
            raise ReviewError(f"{self.path}: answers a field that is not there; give another path")
        if known.get("reader") != about["reader"]:
            raise ReviewError(
                f"{self.path}: is the session of {known.get('reader')!r}, not of {self.reader!r}; "
                "give each reader a path"
            )
        if len(whole) < len(raw):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        return answers

    def _append(self, line: Mapping[str, Any], *, size: int) -> None:
        """Add a line and wait until the disk has it."""
        try:
            with self.path.open("ab") as file:
                if file.tell() != size:
                    raise ReviewError(
                        f"{self.path}: another window answers in it too; close one, and run the cell again"
                    )
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ReviewError(
                f"{self.path}: the answer could not be kept ({error.strerror}); free the disk, answer again"
            ) from error


def open_session(fields: Sequence[Field], folder: str | os.PathLike, *, reader: str = "me") -> Training:
    """Begin a reader's session in a folder, or go on with it; other fields are another session."""
    name = re.sub(r"\W+", "_", reader)
    return Training(fields, Path(folder) / f"training_{name}_{_mark(fields)}.jsonl", reader=reader)


@dataclass(frozen=True, slots=True)
class _Place:
    """A field that could be cut out."""

    path: str
    slide_id: str
    x_px0: int
    y_px0: int
    side_px0: int
    cells: pd.DataFrame
    pairs: Pairs
    truth: str
    near: bool

    def overlaps(self, other: "_Place") -> bool:
        """Return whether both show some of the same tissue."""
        apart = max(abs(self.x_px0 - other.x_px0), abs(self.y_px0 - other.y_px0))
        return self.slide_id == other.slide_id and apart < self.side_px0

    def cut(self) -> Field:
        """Return the field with its picture."""
        with open_slide(self.path) as slide:
            pixels = slide.read(self.x_px0, self.y_px0, self.side_px0, self.side_px0).pixels
        corner = np.array([self.x_px0, self.y_px0])
        outlines = [np.asarray(o, np.float32) - corner for o in self.cells["outline"]]
        return Field(self.slide_id, pixels, outlines, self.cells["cell_class"].tolist(), self.pairs)


def _chosen(here: Sequence[_Place], taken: Sequence[_Place], wanted: int) -> list[_Place]:
    """Return fields of one score that overlap none and no other: half of them near a line, if there are."""
    found: list[_Place] = []
    near, far = [p for p in here if p.near], [p for p in here if not p.near]
    for some, most in ((near, wanted // 2), (far, wanted), (near, wanted)):
        for place in some:
            if len(found) < most and not any(place.overlaps(other) for other in (*taken, *found)):
                found.append(place)
    return found


def _places(row: Mapping[Any, Any], side_um: float) -> list[_Place]:
    """Return the squares of one slide that hold enough tumour and little else of epithelium."""
    planted = Path(row.get("tumour_path") or "").parent / "cells.parquet"
    if not planted.is_file():
        raise ValueError(
            f"slide {row['slide_id']} has no planted cells; train on phantoms (cohort_lab.training_slides)"
        )
    with open_slide(row["path"]) as slide:
        mpp, width, height = float(slide.mpp or 0), slide.width_px0, slide.height_px0
    columns = ["x_px0", "y_px0", "outline", "completeness_word", "intensity", "compartment", "evaluable"]
    cells = read_table(planted, columns)
    side = min(round(side_um / mpp), width, height)
    found = []
    for x0 in range(width % side // 2, width - side + 1, side // 2):
        for y0 in range(height % side // 2, height - side + 1, side // 2):
            inside = cells["x_px0"].between(x0, x0 + side, "left") & cells["y_px0"].between(
                y0, y0 + side, "left"
            )
            here = cells[inside]
            tumour = here[(here["compartment"] == "invasive") & here["evaluable"]].reset_index(drop=True)
            others = int(here["compartment"].isin(["in_situ", "normal"]).sum())
            if len(tumour) < LEAST_CELLS or 20 * others > len(tumour):
                continue
            words = list(zip(tumour["completeness_word"], tumour["intensity"], strict=True))
            pairs = {pair: words.count(pair) for pair in PAIRS}
            tumour["cell_class"] = [cell_class(*pair, guideline=GUIDELINE) for pair in words]
            found.append(_Place(str(row["path"]), str(row["slide_id"]), x0, y0, side, tumour, pairs,
                                str(_verdict(pairs).score), _near(pairs)))  # fmt: skip
    return found


def _verdict(pairs: Pairs) -> Any:
    of_class = dict.fromkeys(CLASSES, 0)
    for pair, k in pairs.items():
        of_class[cell_class(*pair, guideline=GUIDELINE)] += k
    strong = {name: pairs.get(("incomplete", name), 0) for name in ("moderate", "intense")}
    n0, n1, n2, n3 = of_class.values()
    counts = Counts(
        n0, n1, n2, n3,
        ci=pairs.get(("complete", "intense"), 0),
        cw=pairs.get(("complete", "weak"), 0) + pairs.get(("complete", "moderate"), 0),
        im=sum(strong.values()),
    )  # fmt: skip
    return decide(counts, GUIDELINES[GUIDELINE].rules, Policies())


def _near(pairs: Pairs) -> bool:
    return any(abs(share - 0.1) <= NEAR for share in shares(pairs).values())


def _mark(fields: Sequence[Field]) -> str:
    """Return what tells one set of fields from another, and nothing about their answers."""
    mark = hashlib.sha256()
    for one in fields:
        mark.update(one.pixels.tobytes())
    return mark.hexdigest()[:16]
