"""The manifest: a CSV with one slide a row. Reads and checks it; opens no slide.

Only ``path`` is needed. Paths stand relative to the manifest's folder, so a cohort can be moved as a whole.
Whether the files exist is not asked here: a slide that is missing fails alone, and the others are scored.
"""

import csv
import functools
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from her2kit.errors import ManifestError

COLUMNS: dict[str, str] = {
    "path": "the slide; the one column that is needed",
    "dataset": "where it comes from",
    "patient_id": "slides of one patient never stand on both sides of a split",
    "slide_id": "names the results; default: the file's name without its ending",
    "label": "the known answer: 0, 1+, 2+ or 3+ in HER2, anything in other data sets",
    "split": "train, validation, test or a fold",
    "site": "laboratory and scanner",
    "mpp": "micrometres per pixel; default: what the file says",
    "stain": "her2, he, pdl1, ...",
    "pair_path": "the same tissue in another stain",
    "mask_path": "a raster of regions",
    "guideline": "a word of GUIDELINES",
    "specimen": "resection, biopsy, ...",
    "control_status": "a word of CONTROL",
    "ish": "a word of ISH",
    "tumour_path": "GeoJSON of the regions of invasive tumour",
}
"""Known columns, in order, and what they hold. Further columns are kept behind them."""
GUIDELINES = ("breast-asco-cap-2018", "gastric-resection", "gastric-biopsy")
CONTROL = ("valid", "failed", "unknown")
ISH = ("amplified", "not_amplified", "group1", "group2", "group3", "group4", "group5", "unknown")
"""The words of ``scoring``, repeated because a manifest knows no scoring; a test keeps them equal."""
MPP_RANGE = (0.05, 5.0)
"""Micrometres per pixel that a slide can be scored or read at."""

LONGEST_ID = 200
"""Bytes of a slide_id: it names a folder, and file systems end at 255."""

_PATHS = ("path", "pair_path", "mask_path", "tumour_path")
_WORDS = {"guideline": GUIDELINES, "control_status": CONTROL, "ish": ISH}


def read_manifest(path: str | os.PathLike, *, tiles: bool = False) -> pd.DataFrame:
    """Read a manifest.

    Parameters
    ----------
    path
        A CSV in UTF-8 with commas and a header.
    tiles
        Its rows are tiles: many may be of one slide, and ``slide_id`` stays empty where it is.

    Returns
    -------
    DataFrame
        One row a slide, in the file's order: `COLUMNS`, then further columns. Text as str, None where empty;
        ``mpp`` as float64, nan where empty; paths joined to the manifest's folder; ``slide_id`` always filled
        and unique, unless the rows are tiles: then ``path`` is unique.

    Raises
    ------
    ManifestError
        If the file cannot be read, lacks ``path``, or a row holds what is not allowed. The message names the
        file, the line and what to do.
    """
    path = Path(path)
    header, lines = read_lines(path)
    rows = [_checked(path, number, row) for number, row in lines]
    if not rows:
        raise ManifestError(f"{path} holds no slide; add a line for each, with at least its path")
    unique, remedy = "slide_id", "give each slide its own in a column slide_id"
    if tiles:
        unique, remedy = "path", "remove one of the lines"
        for (_, given), row in zip(lines, rows, strict=True):
            row["slide_id"] = given.get("slide_id") or None
    seen: dict[str, int] = {}
    for (number, _), row in zip(lines, rows, strict=True):
        name = str(row[unique])
        if name in seen:
            raise ManifestError(
                f"{path}, line {number}: {unique} {name!r} stands in line {seen[name]} too; {remedy}"
            )
        seen[name] = number
    names = [*COLUMNS, *(h for h in header if h not in COLUMNS)]
    held = {*header, "slide_id", "mpp"}
    columns = {n: [row[n] for row in rows] if n in held else [None] * len(rows) for n in names}
    mpp = pd.Series(columns.pop("mpp"), dtype="float64")
    table = pd.DataFrame({n: pd.Series(values, dtype=object) for n, values in columns.items()})
    table["mpp"] = mpp
    return table[names]


def read_lines(path: Path, *, needed: str = "path") -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header of a CSV, and (line in the file, row) of each line that holds something.

    Raises
    ------
    ManifestError
        If it is no CSV in UTF-8 with commas, or lacks the column `needed`.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header, needed)
        lines = []
        for fields in reader:
            if not any(f.strip() for f in fields):
                continue
            if len(fields) > len(header):
                raise ManifestError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields under {len(header)} column names; "
                    f"put "
                    "text that holds a comma in double quotes"
                )
            fields = [f.strip() for f in fields] + [""] * (len(header) - len(fields))
            lines.append((reader.line_num, dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        raise ManifestError(
            f"{path}, line {reader.line_num}: {error}; close every double quote, and save as CSV (UTF-8)"
        ) from error
    return header, lines


def _text(path: Path) -> str:
    if path.is_dir():
        raise ManifestError(f"{path} is a folder; name the CSV in it, such as {path / 'manifest.csv'}")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(f"{path} does not exist; check the name of the manifest") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read ({error.strerror}); check the file's rights") from error
    if raw.startswith(b"PK"):
        raise ManifestError(f"{path} is a spreadsheet or archive; save it as CSV (UTF-8)")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ManifestError(f"{path} is not in UTF-8; save it as CSV (UTF-8)") from None
    if "\0" in text:
        raise ManifestError(f"{path} is not text in UTF-8; save it as CSV (UTF-8)")
    return text


def _check_header(path: Path, header: list[str], needed: str) -> None:
    if not any(header):
        raise ManifestError(f"{path} is empty; its first line names the columns, with at least {needed}")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise ManifestError(f"{path}: the column {twice[0]} stands there twice; rename one")
    if needed in header:
        return
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise ManifestError(f"{path} separates its columns by semicolons or tabs; save it with commas")
    found = ", ".join(header[:8])
    raise ManifestError(f"{path} has no column {needed} (found: {found}); name the right one {needed}")


def _checked(path: Path, number: int, row: Mapping[str, str]) -> dict[str, str | float | None]:
    """Return a row with paths joined, numbers read and words checked."""
    where = f"{path}, line {number}"
    out: dict[str, str | float | None] = {name: value or None for name, value in row.items()}
    if not row["path"]:
        raise ManifestError(f"{where}: path is empty; name the slide or remove the line")
    for name in _PATHS:
        if row.get(name):
            out[name] = _joined(str(path.parent), row[name])
    for name, words in _WORDS.items():
        if row.get(name) and row[name] not in words:
            raise ManifestError(f"{where}: {name}={row[name]!r} is not known; use one of {', '.join(words)}")
    out["mpp"] = _mpp(where, row.get("mpp", ""))
    if "\\" in row["path"] and os.sep == "/":
        raise ManifestError(f"{where}: path={row['path']!r} has backslashes; write it with /")
    slide_id = row.get("slide_id") or Path(row["path"]).stem
    if not _names_a_folder(slide_id):
        raise ManifestError(
            f"{where}: slide_id={slide_id!r} cannot name a folder; use at most {LONGEST_ID} letters, "
            "digits, '-', '_' and '.'"
        )
    out["slide_id"] = slide_id
    return out


def _joined(folder: str, name: str) -> str:
    """Return ``str(Path(folder) / name)``, in a tenth of the time for a plain name: there may be 300,000."""
    if os.sep != "/" or name[0] == "/" or "//" in name or "./" in name or name[-1] in "/." or folder == ".":
        return str(Path(folder) / name)
    return f"{folder.rstrip('/')}/{name}"


@functools.lru_cache(maxsize=1024)
def _names_a_folder(slide_id: str) -> bool:
    return (
        not slide_id.startswith(".")
        and not any(mark in slide_id for mark in "/\\")
        and slide_id.isprintable()
        and len(slide_id.encode(errors="replace")) <= LONGEST_ID
    )


def _mpp(where: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    low, high = MPP_RANGE
    if not low <= value <= high:
        raise ManifestError(
            f"{where}: mpp={text!r} is not micrometres per pixel; use about 0.25 for 40x, 0.5 for 20x"
        )
    return value
