"""Cells as ASAP XML: one dot a cell in level-0 pixels, grouped and coloured by class as R1 does it.

ASAP (https://computationalpathologygroup.github.io/ASAP) is a slide viewer for annotation. ``Name`` holds
the cell's id; the format has no place for a confidence. XML with a DOCTYPE is refused: entities in it could
fill the memory or read other files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from her2kit.errors import LabelError
from her2kit.exchange.frame import DECIMALS, class_numbers, points_table
from her2kit.exchange.whole import whole_file

R1_COLOURS = {"0": "#00FF00", "1+": "#FFFF00", "2+": "#0000FF", "3+": "#FF0000"}
"""Class to colour, as in R1. The group is ``class_`` and the class."""
_PREFIX = "class_"


def write_asap(
    path: str | os.PathLike, points: pd.DataFrame, *, colours: Mapping[str, str] = R1_COLOURS
) -> Path:
    """Write points as dots; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Where to write.
    points : DataFrame
        ``x_px0``, ``y_px0``, ``cell_class``, and ``cell_id`` if it is known.
    colours
        Class to colour; classes that no point has become groups, too.
    """
    class_numbers(points, list(colours))
    ids = points["cell_id"].tolist() if "cell_id" in points else [None] * len(points)
    xy = points[["x_px0", "y_px0"]].to_numpy(float).round(DECIMALS).tolist()
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<ASAP_Annotations>", "\t<Annotations>"]
    for number, ((x, y), name, cell_id) in enumerate(zip(xy, points["cell_class"], ids, strict=True)):
        label = quoteattr(f"Annotation {number}" if cell_id is None or pd.isna(cell_id) else str(cell_id))
        lines.append(
            f'\t\t<Annotation Name={label} Type="Dot" PartOfGroup={quoteattr(_PREFIX + name)} '
            f'Color={quoteattr(colours[name])}><Coordinates><Coordinate Order="0" X="{x!r}" Y="{y!r}" />'
            "</Coordinates></Annotation>"
        )
    lines += ["\t</Annotations>", "\t<AnnotationGroups>"]
    lines += [
        f'\t\t<Group Name={quoteattr(_PREFIX + name)} PartOfGroup="None" Color={quoteattr(colour)}>'
        "<Attributes /></Group>"
        for name, colour in colours.items()
    ]
    lines += ["\t</AnnotationGroups>", "</ASAP_Annotations>", ""]
    with whole_file(path) as part:
        part.write_text("\n".join(lines), encoding="utf-8")
    return Path(path)


def read_asap(path: str | os.PathLike, *, colours: Mapping[str, str] = R1_COLOURS) -> pd.DataFrame:
    """Read the dots of a file that ``write_asap``, R1 or ASAP wrote.

    Parameters
    ----------
    path : path
        An ASAP XML.
    colours
        Its keys are the classes that may occur; the colours in the file do not matter.

    Returns
    -------
    DataFrame
        `POINT_COLUMNS`, in the file's order. A name that ASAP gave ("Annotation 7") is no ``cell_id``.

    Raises
    ------
    LabelError
        If the file is missing or no ASAP XML, has a DOCTYPE, or an annotation is no dot or of another class.
    """
    path = Path(path)
    reader = _Reader(path, list(colours))
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except expat.ExpatError as error:
        raise LabelError(f"{path}: not readable as XML ({error}); export it from ASAP again") from error
    except FileNotFoundError:
        raise LabelError(f"{path}: no such file; correct the path") from None
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); check the file") from error
    if reader.root != "ASAP_Annotations":
        raise LabelError(f"{path}: holds <{reader.root}>, not ASAP_Annotations; export it from ASAP")
    return points_table(np.array(reader.xy), reader.classes, cell_id=reader.ids)


class _Reader:
    """Collect the dots while expat walks the file."""

    def __init__(self, path: Path, classes: list[str]) -> None:
        self.path, self.known = path, classes
        self.root: str | None = None
        self.xy: list[tuple[float, float]] = []
        self.classes: list[str] = []
        self.ids: list[str | None] = []
        self._count = 0
        self._now: tuple[str, str | None] | None = None
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _refuse(self, *_: object) -> None:
        raise LabelError(f"{self.path}: has a DOCTYPE, which ASAP never writes; it is not read")

    def _where(self) -> str:
        return f"{self.path}, line {self.parser.CurrentLineNumber}: annotation {self._count}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.root = self.root or tag
        if tag == "Annotation":
            self._count += 1
            kind, group = attributes.get("Type"), attributes.get("PartOfGroup", "")
            if kind not in ("Dot", "PointSet"):
                raise LabelError(
                    f"{self._where()} is a {kind}, not a Dot; keep regions in a file of their own"
                )
            name = group.removeprefix(_PREFIX)
            if name not in self.known:
                groups = ", ".join(_PREFIX + known for known in self.known)
                raise LabelError(f"{self._where()} is in group {group!r}; use one of {groups}")
            label = attributes.get("Name", "")
            self._now = name, None if not label or label.startswith("Annotation ") else label
        elif tag == "Coordinate" and self._now:
            try:
                x, y = float(attributes["X"]), float(attributes["Y"])
            except (KeyError, ValueError):
                raise LabelError(f"{self._where()} has no X and Y in numbers; mark it again") from None
            if not np.isfinite([x, y]).all():
                raise LabelError(f"{self._where()} lies at ({x}, {y}); mark it again")
            self.xy.append((round(x, DECIMALS), round(y, DECIMALS)))
            self.classes.append(self._now[0])
            self.ids.append(self._now[1])

    def _end(self, tag: str) -> None:
        if tag == "Annotation":
            self._now = None
