"""How cells are misread: found cells against planted ones. ``--write`` makes the card that scoring reads.

``python -m benchmarks.reading [--keep FOLDER] [--slides N] [--write]``. Each slide is judged with the card of
the others: does its interval hold the planted percentages, and is it called borderline where it should be?
Of the models that were tried, that one is taken which keeps the four bounds below and has the greatest mean
log P(planted score) here. Slides of another seed are judged by ``benchmarks.cohort rendered``. Writes
``reports/bench/reading.json``.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.claims import ROOT, Claim, write_claims
from benchmarks.rendered import BAND, Read, graded, plans_of, read_all
from her2kit import __version__
from her2kit.cells.matching import match_points
from her2kit.cells.table import CLASSES
from her2kit.exchange.whole import whole_file
from her2kit.phantom.rule import cell_class
from her2kit.scoring.cell_gates import cell_gates
from her2kit.scoring.counts import Counts, chain_levels, counted, evaluable
from her2kit.scoring.guideline import GUIDELINES as RULES
from her2kit.scoring.guideline import Policies, slide_score
from her2kit.scoring.reading_error import (
    CARD,
    COARSE_MPP,
    LOOK_OD,
    LOOK_SHARE,
    ReadingError,
    look_of,
    measure_reading,
)
from her2kit.scoring.rules import decide
from her2kit.scoring.uncertainty import uncertainty

MATCH_UM = 4.0
GUIDELINES = {"breast": "breast-asco-cap-2018", "gastric": "gastric-resection"}
LEVELS = {"breast": 5, "gastric": 4}
CLASS_OF_LEVEL = {"breast": np.array([0, 1, 2, 2, 3]), "gastric": np.arange(4)}
SEED, SLIDES = 730301, 108
UNHEEDED = ("control", "mpp", "white_point")
"""Gates whose caution leaves a slide in: coarse slides have errors of their own."""
DRAWS = 1000


def planted_levels(truth: pd.DataFrame, organ: str) -> np.ndarray:
    """Return the level of each planted cell in the chain that the rules count, from its planted words."""
    words = list(zip(truth["completeness_word"], truth["intensity"], strict=True))
    rank = np.array([CLASSES.index(cell_class(*w, guideline=GUIDELINES[organ])) for w in words], int)
    if organ == "gastric":
        return rank
    incomplete = (truth["completeness_word"] != "complete").to_numpy(bool)
    return np.where(rank == 3, 4, np.where(rank == 2, np.where(incomplete, 2, 3), rank))


def table_of(read: Read, organ: str) -> np.ndarray:
    """Return planted level against found level of one slide, int (l + 1, l + 1)."""
    cells, k, mpp = graded(read.found, organ), LEVELS[organ], read.facts["mpp"]
    which = counted(cells, tumour_known=True)
    level = chain_levels(cells, which, organ=organ, complete_at=0.8)
    found_xy, true_xy = (
        t[["x_px0", "y_px0"]].to_numpy() * mpp for t in (cells[which & evaluable(cells)], read.truth)
    )
    planted = planted_levels(read.truth, organ)
    pairs = match_points(true_xy, found_xy, max_distance=MATCH_UM)
    rows, columns = np.full(len(true_xy), k), np.full(len(found_xy), k)
    rows[pairs.truth_index] = level[pairs.found_index]
    columns[pairs.found_index] = planted[pairs.truth_index]
    table = np.zeros((k + 1, k + 1), int)
    np.add.at(table, (planted, rows), 1)
    np.add.at(table, (np.full(np.sum(columns == k), k), level[columns == k]), 1)
    return table


def is_clean(read: Read) -> bool:
    """Say whether no gate but those of `UNHEEDED` has anything to say."""
    guideline = RULES[read.facts["guideline"]]
    cells = graded(read.found, guideline.scheme)
    of_cells = cell_gates(cells, guideline, control="valid", mpp=read.facts["mpp"], tumour_known=True)
    said = [(g["name"], g["level"]) for g in [*read.facts["gates"], *(g.record() for g in of_cells)]]
    return all(level == "ok" or name in UNHEEDED for name, level in said)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the card keeps of a slide."""

    slide_id: str
    coarse: bool
    look: np.ndarray
    tables: dict[str, np.ndarray]
    """By organ."""


def sheet_of(read: Read) -> Sheet | None:
    """Return what the card keeps of a slide; None where a gate but those of `UNHEEDED` speaks."""
    if not is_clean(read):
        return None
    cells = graded(read.found, "breast")
    look = look_of(cells[counted(cells, tumour_known=True) & evaluable(cells)])
    if look is None:
        return None
    tables = {organ: table_of(read, organ) for organ in GUIDELINES}
    return Sheet(read.slide_id, read.facts["mpp"] > COARSE_MPP, look, tables)


def measured(sheets: Sequence[Sheet], organ: str) -> ReadingError:
    """Return the reading error that slides show."""
    return measure_reading(
        [s.tables[organ] for s in sheets], [s.look for s in sheets], [s.coarse for s in sheets]
    )


def write_card(sheets: Sequence[Sheet]) -> Path:
    """Write the card into the package."""
    path = ROOT / "her2kit/weights" / CARD
    card = {
        "name": CARD.removesuffix(".json"),
        "what": "a table a slide: planted level (rows) by found level; last row made up, last column missed. "
        "looks: share of the cells above each cut-off of DAB OD (slow) and of the perimeter (fast)",
        "levels": {
            "breast": [
                "none", "faint or incomplete weak", "incomplete moderate or intense", "complete",
                "complete intense",
            ],
            "gastric": list(CLASSES),
        },
        "measured_on": f"{len(sheets)} synthetic slides (benchmarks/rendered.py, seed {SEED}), no real one",
        "detector": "classical",
        "made_by": f"python -m benchmarks.reading --write, her2kit {__version__}",
        "look_od": LOOK_OD, "look_share": LOOK_SHARE,
        "coarse": [bool(s.coarse) for s in sheets],
        "looks": [np.round(s.look, 4).tolist() for s in sheets],
        "tables": {organ: [s.tables[organ].tolist() for s in sheets] for organ in GUIDELINES},
    }  # fmt: skip
    with whole_file(path) as part:
        part.write_text(json.dumps(card) + "\n", encoding="utf-8")
    return path


def planted_of(read: Read) -> dict[str, Any]:
    """Return the planted score by the kit's own rules, the percent of each class, and whether near a line."""
    guideline = RULES[read.facts["guideline"]]
    organ, levels = guideline.organ, planted_levels(read.truth, guideline.organ)
    n = np.bincount(levels, minlength=LEVELS[organ]).tolist()
    counts = (
        Counts(n[0], n[1], n[2] + n[3], n[4], ci=n[4], cw=n[3], im=n[2])
        if organ == "breast"
        else Counts(*n, ci=n[3], cw=n[2], im=0)
    )
    above = np.array([np.mean(levels >= level) for level in range(1, LEVELS[organ])])
    share = np.bincount(CLASS_OF_LEVEL[organ][levels], minlength=4) / len(levels)
    return {
        "planted": decide(counts, guideline.rules, Policies()).score,
        "inside": bool(np.any((above >= BAND[0]) & (above <= BAND[1]))),
        "percent": dict(zip(CLASSES, 100 * share, strict=True)),
    }


def left_out(reads: Sequence[Read]) -> pd.DataFrame:
    """Score each clean slide, how sure by the others; hold both against what was planted."""
    sheets = {s.slide_id: s for s in map(sheet_of, reads) if s is not None}
    rows = []
    for read in reads:
        guideline = RULES[read.facts["guideline"]]
        cells = graded(read.found, guideline.scheme)
        asked: dict[str, Any] = {"mpp": read.facts["mpp"], "tumour_known": True}
        score = slide_score(cells, guideline, control="valid", **asked).score
        if score is None:
            continue
        others = measured([s for k, s in sheets.items() if k != read.slide_id], guideline.organ)
        found = uncertainty(cells, guideline, score=score, reading=others, draws=DRAWS, **asked)
        planted, p = planted_of(read), found["p_score"]
        row = {
            "slide": read.slide_id, "case": read.facts["case"], "site": read.facts["site"], "score": score,
            "planted": planted["planted"], "inside": planted["inside"], "borderline": found["borderline"],
            "log p": np.log(max(p[planted["planted"]], 1 / DRAWS)),
        }  # fmt: skip
        for name, value in planted["percent"].items():
            one = found["percent"][name]
            for way in ("slide", "sampling"):
                low, high = one[way]
                row[f"{way} holds {name}"] = low <= value <= high
            row[f"width {name}"] = np.ptp(one["slide"])
            row[f"corrected off {name}"] = abs(one["corrected"] - value)
            row[f"found off {name}"] = abs(
                100 * np.mean(cells.loc[_which(cells), "cell_class"] == name) - value
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _which(cells: pd.DataFrame) -> np.ndarray:
    return counted(cells, tumour_known=True) & evaluable(cells)


def _mean(table: pd.DataFrame, what: str) -> float:
    return float(table[[f"{what} {c}" for c in CLASSES]].to_numpy(np.float64).mean())


def main() -> None:
    """Measure, judge, and with ``--write`` make the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the card into her2kit/weights")
    parser.add_argument("--keep", type=Path, help="folder of the slides' cells, to go on later")
    parser.add_argument("--slides", type=int, default=SLIDES)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        reads = read_all(plans_of(args.slides, seed=SEED), args.keep or Path(name))
    if args.write:
        print(write_card([s for s in map(sheet_of, reads) if s is not None]))
    table = left_out(reads)
    right, near, unsure = table["score"] == table["planted"], table["inside"], table["borderline"]
    print(
        table[~right | (unsure & ~near)][
            ["slide", "case", "site", "planted", "score", "inside", "borderline"]
        ]
    )
    held = 100 * _mean(table, "slide holds")
    write_claims(
        "reading",
        [
            Claim("slides, each by the others", len(table), "slides", None),
            Claim("interval holds planted percentages", held, "%", ">= 91"),
            Claim("interval holds, not too often", held, "%", "<= 98"),
            Claim("sampling alone, in patches", 100 * _mean(table, "sampling holds"), "%", None),
            Claim("right outside the band", 100 * right[~near].mean(), "%", None),
            Claim("borderline outside the band", 100 * unsure[~near].mean(), "%", "<= 10"),
            Claim("right or borderline inside", 100 * (right | unsure)[near].mean(), "%", ">= 95"),
            Claim("right or borderline outside", 100 * (right | unsure)[~near].mean(), "%", None),
            Claim("mean log P(planted score)", table["log p"].mean(), "", None),
            Claim("mean width of the interval", _mean(table, "width"), "points", None),
            Claim("mean distance from the planted percent, found", _mean(table, "found off"), "points", None),
            Claim(
                "mean distance from the planted percent, corrected",
                _mean(table, "corrected off"), "points", None,
            ),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
