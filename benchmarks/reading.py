"""How cells are misread: found cells against planted ones. ``--write`` makes the card that scoring reads.

``python -m benchmarks.reading [--keep FOLDER] [--slides N] [--write]``. Each slide of the card is judged with
the card of the others: does the interval of the slide hold the planted percentages? Slides of another seed
are judged by ``benchmarks.cohort rendered``. Writes ``reports/bench/reading.json``.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claims import ROOT, Claim, write_claims
from benchmarks.rendered import Read, graded, plans_of, read_all
from her2kit import __version__
from her2kit.cells.matching import match_points
from her2kit.cells.table import CLASSES
from her2kit.exchange.whole import whole_file
from her2kit.phantom.rule import cell_class
from her2kit.scoring.counts import chain_levels, counted, evaluable
from her2kit.scoring.reading_error import CARD, COARSE_MPP, measure_reading

MATCH_UM = 4.0
GUIDELINES = {"breast": "breast-asco-cap-2018", "gastric": "gastric-resection"}
LEVELS = {"breast": 5, "gastric": 4}
CLASS_OF_LEVEL = {"breast": np.array([0, 1, 2, 2, 3]), "gastric": np.arange(4)}
SEED, SLIDES = 730301, 60
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
    return all(g["level"] == "ok" or g["name"] in UNHEEDED for g in read.record()["gates"])


def tables_of(reads: list[Read]) -> dict[str, list[np.ndarray]]:
    """Return the tables of clean slides by organ and resolution, as the card names them."""
    clean = [r for r in reads if is_clean(r)]
    return {
        f"{organ}, {name}": [table_of(r, organ) for r in clean if (r.facts["mpp"] > COARSE_MPP) == coarse]
        for organ in GUIDELINES
        for name, coarse in (("fine", False), ("coarse", True))
    }


def write_card(tables: dict[str, list[np.ndarray]]) -> Path:
    """Write the card into the package."""
    path = ROOT / "her2kit/weights" / CARD
    card = {
        "name": CARD.removesuffix(".json"),
        "what": "a table a slide: planted level (rows) by found level; last row made up, last column missed",
        "levels": {
            "breast": [
                "none", "faint or incomplete weak", "incomplete moderate or intense", "complete",
                "complete intense",
            ],
            "gastric": list(CLASSES),
        },
        "measured_on": f"{SLIDES} synthetic slides (benchmarks/rendered.py, seed {SEED}), no real one",
        "detector": "classical",
        "made_by": f"python -m benchmarks.reading --write, her2kit {__version__}",
        "tables": {name: measure_reading(found).record() for name, found in tables.items()},
    }  # fmt: skip
    with whole_file(path) as part:
        part.write_text(json.dumps(card) + "\n", encoding="utf-8")
    return path


def left_out(tables: dict[str, list[np.ndarray]]) -> pd.DataFrame:
    """Correct each slide by the others; say whether its planted percentages are held, and how far off."""
    rows = []
    for name, group in tables.items():
        of_class = CLASS_OF_LEVEL[name.split(",")[0]]
        for number, table in enumerate(group):
            reading = measure_reading([t for i, t in enumerate(group) if i != number])
            found, true = table[:, :-1].sum(axis=0), table[:-1].sum(axis=1)
            rng = np.random.default_rng(number)
            draws = rng.multinomial(found.sum(), found / found.sum(), DRAWS) / found.sum()
            planted, seen, plain, corrected = (
                100 * np.stack([v[..., of_class == c].sum(axis=-1) for c in range(4)], axis=-1)
                for v in (true / true.sum(), found / found.sum(), draws, reading.corrected(draws, rng))
            )
            for c, label in enumerate(CLASSES):
                one = {"card": name, "class": label, "off": abs(seen[c] - planted[c])}
                one["corrected off"] = abs(np.median(corrected[:, c]) - planted[c])
                for way, values in (("corrected", corrected), ("sampling", plain)):
                    low, high = np.quantile(values[:, c], [0.025, 0.975])
                    one |= {f"{way} holds": low <= planted[c] <= high, f"{way} width": high - low}
                rows.append(one)
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, judge, and with ``--write`` make the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the card into her2kit/weights")
    parser.add_argument("--keep", type=Path, help="folder of the slides' cells, to go on later")
    parser.add_argument("--slides", type=int, default=SLIDES)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tables = tables_of(read_all(plans_of(args.slides, seed=SEED), args.keep or Path(name)))
    if args.write:
        print(write_card(tables))
    table = left_out(tables)
    print(table.groupby(["card", "class"]).mean(numeric_only=False).round(2).to_string())
    mean = table.drop(columns=["card", "class"]).mean()
    write_claims(
        "reading",
        [
            Claim(
                "interval holds planted percentages, each slide by the others",
                100 * mean["corrected holds"], "%", ">= 91",
            ),
            Claim("as if no cell were misread", 100 * mean["sampling holds"], "%", None),
            Claim("median width of the interval", table["corrected width"].median(), "points", None),
            Claim("mean distance from the planted percent, found", mean["off"], "points", None),
            Claim("mean distance from the planted percent, corrected", mean["corrected off"], "points", None),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
