"""How cells are misread: found cells against planted ones. ``--write`` makes the card that scoring reads.

The card is measured on one cohort and judged on another, made of other seeds: does the interval of the slide
hold the planted percentages? Writes ``reports/bench/reading.json``.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claims import ROOT, Claim, write_claims
from her2kit import __version__
from her2kit.cells.grade import grade_cells
from her2kit.cells.matching import match_points
from her2kit.cells.table import CLASSES
from her2kit.exchange.parquet import read_table
from her2kit.exchange.whole import whole_file
from her2kit.measure import measure_slide
from her2kit.phantom.cohort import make_cohort
from her2kit.phantom.rule import cell_class
from her2kit.phantom.site import SITES
from her2kit.pipeline import grade_slide
from her2kit.scoring.counts import chain_levels, counted, evaluable
from her2kit.scoring.guideline import slide_score
from her2kit.scoring.reading_error import CARD, COARSE_MPP, ReadingError, measure_reading
from her2kit.scoring.uncertainty import uncertainty
from her2kit.settings import ScoreSettings

MATCH_UM = 4.0
GUIDELINES = {"breast": "breast-asco-cap-2018", "gastric": "gastric-resection"}
LEVELS = {"breast": 5, "gastric": 4}
SLIDES = 20
"""A cohort and site: every ready-made case once."""
UNHEEDED = ("control", "mpp", "white_point")
"""Gates whose caution leaves a slide in: coarse slides have rates of their own."""
SEEDS = {"measured": 8101, "judged": 8202}


@dataclass(frozen=True, slots=True)
class Read:
    """One phantom: its cells as found, and as planted."""

    slide_id: str
    mpp: float
    found: pd.DataFrame
    truth: pd.DataFrame
    clean: bool
    """No gate but those of `UNHEEDED` has anything to say."""


def cohort(folder: Path, seed: int, *, slides: int = SLIDES, size_px: int = 2048) -> list[Read]:
    """Make and read phantoms of every ready-made case, at each site."""
    out = []
    for number, site in enumerate(SITES.values()):
        made = make_cohort(
            folder / f"{seed}-{number}",
            slides=slides,
            seed=seed + number,
            size_px=size_px,
            sites=[site],
            workers=2,
        )
        for row in pd.read_csv(made).to_dict("records"):
            settings = ScoreSettings(tumour=str(made.parent / row["tumour_path"]), control="valid")
            with measure_slide(made.parent / row["path"], settings) as measured:
                report = grade_slide(measured, settings)
            clean = all(g["level"] == "ok" or g["name"] in UNHEEDED for g in report.record["gates"])
            truth = read_table(made.parent / f"truth/{row['slide_id']}/cells.parquet")
            truth = truth[truth["compartment"] == "invasive"]
            found = report.cells.drop(columns=["outline", "nucleus_outline"])
            out.append(Read(row["slide_id"], row["mpp"], found, truth, clean))
        print(f"  {site.name}: {len(out)} slides read", flush=True)
    return out


def planted_levels(truth: pd.DataFrame, organ: str) -> np.ndarray:
    """Return the level of each planted cell in the chain that the rules count, from its planted words."""
    words = list(zip(truth["completeness_word"], truth["intensity"], strict=True))
    rank = np.array([CLASSES.index(cell_class(*w, guideline=GUIDELINES[organ])) for w in words], int)
    if organ == "gastric":
        return rank
    incomplete = (truth["completeness_word"] != "complete").to_numpy(bool)
    return np.where(rank == 3, 4, np.where(rank == 2, np.where(incomplete, 2, 3), rank))


def graded(read: Read, organ: str) -> pd.DataFrame:
    """Return the found cells with the classes of an organ's scheme."""
    new = grade_cells(read.found, scheme=organ)
    return read.found.assign(intensity=new["intensity"], cell_class=new["cell_class"])


def table_of(read: Read, organ: str) -> np.ndarray:
    """Return planted level against found level of one slide, int (l + 1, l + 1)."""
    cells, k = graded(read, organ), LEVELS[organ]
    which = counted(cells, tumour_known=True)
    level = chain_levels(cells, which, organ=organ, complete_at=0.8)
    found_xy, true_xy = (
        t[["x_px0", "y_px0"]].to_numpy() * read.mpp for t in (cells[which & evaluable(cells)], read.truth)
    )
    pairs = match_points(true_xy, found_xy, max_distance=MATCH_UM)
    rows, columns = np.full(len(true_xy), k), np.full(len(found_xy), k)
    rows[pairs.truth_index] = level[pairs.found_index]
    columns[pairs.found_index] = planted_levels(read.truth, organ)[pairs.truth_index]
    table = np.zeros((k + 1, k + 1), int)
    np.add.at(table, (planted_levels(read.truth, organ), rows), 1)
    np.add.at(table, (np.full(np.sum(columns == k), k), level[columns == k]), 1)
    return table


def rates(reads: list[Read]) -> dict[str, ReadingError]:
    """Return the reading error by organ and resolution."""
    out = {}
    for organ in GUIDELINES:
        for name, coarse in (("fine", False), ("coarse", True)):
            tables = [table_of(r, organ) for r in reads if r.clean and (r.mpp > COARSE_MPP) == coarse]
            out[f"{organ}, {name}"] = measure_reading(tables)
    return out


def write_card(found: dict[str, ReadingError]) -> Path:
    """Write the card into the package."""
    path = ROOT / "her2kit/weights" / CARD
    card = {
        "name": CARD.removesuffix(".json"),
        "what": "read_as: for each slide, of the cells of each planted level, the share found at each level; "
        "last: missed. made_up: of the found cells, the share that was not planted, by level",
        "levels": {
            "breast": [
                "none",
                "faint or incomplete weak",
                "incomplete moderate or intense",
                "complete",
                "complete intense",
            ],
            "gastric": list(CLASSES),
        },
        "measured_on": f"synthetic slides (her2kit phantom, seed {SEEDS['measured']}), no real one",
        "detector": "classical",
        "made_by": f"python -m benchmarks.reading --write, her2kit {__version__}",
        "rates": {name: rate.record() for name, rate in found.items()},
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(card) + "\n", encoding="utf-8")
    return path


def judged(reads: list[Read], found: dict[str, ReadingError]) -> pd.DataFrame:
    """Score other slides with the card: are the planted percentages covered, is the score right?"""
    rows = []
    for read in reads:
        for organ, guideline in GUIDELINES.items():
            cells, planted = graded(read, organ), planted_levels(read.truth, organ)
            same = {"mpp": read.mpp, "tumour_known": True}
            score = slide_score(cells, guideline, **same)
            if score.score is None or not read.clean:
                continue
            error = found[f"{organ}, {'coarse' if read.mpp > COARSE_MPP else 'fine'}"]
            sure = uncertainty(cells, guideline, score=score.score, reading=error, **same)
            step = np.cumsum([0, 1, 1, 0, 1] if organ == "breast" else [0, 1, 1, 1])
            percent = 100 * np.bincount(step[planted], minlength=4) / len(planted)
            above = 100 * np.array([np.mean(planted >= level) for level in range(1, LEVELS[organ])])
            row = {
                "slide": read.slide_id, "organ": organ, "mpp": read.mpp, "score": score.score,
                "planted": _planted_score(read.truth, organ), "borderline": sure["borderline"],
                "inside": bool(np.any((above >= 7) & (above <= 13))),
            }  # fmt: skip
            for name, value in zip(CLASSES, percent, strict=True):
                ends = sure["percent"][name]
                row |= {f"{k} {name}": ends[k][0] <= value <= ends[k][1] for k in ("slide", "sampling")}
                row[f"off {name}"] = score.percent[name] - value
                row[f"corrected off {name}"] = ends["corrected"] - value
            rows.append(row)
    return pd.DataFrame(rows)


def _planted_score(truth: pd.DataFrame, organ: str) -> str:
    """Return the score of the planted cells, with the floor on complete intense cells that scoring has."""
    from her2kit.scoring.counts import Counts
    from her2kit.scoring.guideline import Policies, guideline_of
    from her2kit.scoring.rules import decide

    n = np.bincount(planted_levels(truth, organ), minlength=LEVELS[organ]).tolist()
    counts = (
        Counts(n[0], n[1], n[2] + n[3], n[4], ci=n[4], cw=n[3], im=n[2])
        if organ == "breast"
        else Counts(*n, ci=n[3], cw=n[2], im=0)
    )
    return decide(counts, guideline_of(GUIDELINES[organ]).rules, Policies()).score


def main() -> None:
    """Measure, judge, and with ``--write`` make the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the card into her2kit/weights")
    parser.add_argument("--slides", type=int, default=SLIDES)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        reads = {k: cohort(Path(name), seed, slides=args.slides) for k, seed in SEEDS.items()}
    found = rates(reads["measured"])
    if args.write:
        print(write_card(found))
    table = judged(reads["judged"], found)
    columns = [f"slide {c}" for c in CLASSES]
    print(table.groupby(["organ", "mpp"])[columns].mean().round(2).to_string())
    off = [[table[f"{k} {c}"].abs().mean() for c in CLASSES] for k in ("off", "corrected off")]
    print(f"mean distance from the planted percent: found {np.round(off[0], 1)},", end=" ")
    print(f"corrected {np.round(off[1], 1)}")
    right = table["score"] == table["planted"]
    near = table["inside"]
    print(f"right {right.mean():.0%}; inside the band right {right[near].mean():.0%}, borderline "
          f"{table['borderline'][near].mean():.0%}; outside right {right[~near].mean():.0%}, borderline "
          f"{table['borderline'][~near].mean():.0%}")  # fmt: skip
    held = 100 * table[columns].to_numpy(bool).mean()
    write_claims(
        "reading",
        [
            Claim("slide's interval holds the planted percentages of other phantoms", held, "%", ">= 91"),
            Claim("mean distance from the planted percent, found", float(np.mean(off[0])), "points", None),
            Claim(
                "mean distance from the planted percent, corrected", float(np.mean(off[1])), "points", None
            ),
        ],
    )


if __name__ == "__main__":
    main()
