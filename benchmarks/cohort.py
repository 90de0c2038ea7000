"""What holds of many slides: do the intervals cover? Prints tables, writes ``reports/bench/cohort.json``."""

import numpy as np
import pandas as pd

from benchmarks.claims import Claim, write_claims
from benchmarks.simulated_slides import KINDS, nests
from her2kit.scoring.spatial_error import lay_blocks, share_error

PLANTED = (0.02, 0.09, 0.10, 0.11, 0.30)
SLIDES = 400
"""A kind and planted share: five shares make 2,000 slides a kind."""
SIZES = ((500, 1500.0), (2_000, 2000.0), (8_000, 3000.0))
"""Cells, and side of the square in um, in turn. Clustered slides begin at 2 mm, some 15 patches across."""


def coverage(slides: int = SLIDES) -> list[Claim]:
    """Count how often the 95 % interval holds the planted share."""
    rows = []
    for number, (kind, stain) in enumerate(KINDS.items()):
        for share in PLANTED:
            covered, low, width = [], [], []
            for slide in range(slides):
                rng = np.random.default_rng([2026, number, round(1000 * share), slide])
                n, side_um = SIZES[slide % len(SIZES)] if kind == "scattered" else SIZES[1 + slide % 2]
                xy = nests(rng, n, side_um)
                ends = share_error(stain(rng, xy, share, side_um), lay_blocks(xy)).interval()
                covered.append(ends[0] <= share <= ends[1])
                low.append(ends[1] < share)
                width.append(100 * (ends[1] - ends[0]))
            rows.append(
                {
                    "kind": kind, "planted %": 100 * share, "slides": slides,
                    "covered %": 100 * np.mean(covered), "too low %": 100 * np.mean(low),
                    "median width, points": np.median(width),
                }
            )  # fmt: skip
            print(f"  {kind:10} {100 * share:4.0f} %: covered {rows[-1]['covered %']:.1f} %", flush=True)
    table = pd.DataFrame(rows)
    print(table.round(1).to_string(index=False))
    one = table[table["kind"] == "scattered"]["covered %"]
    many = table[table["kind"] != "scattered"]["covered %"]
    return [
        Claim(f"95 % interval covers, {5 * slides:,} homogeneous slides", one.mean(), "%", ">= 93.5"),
        Claim("95 % interval covers, homogeneous, not too often", one.mean(), "%", "<= 96.5"),
        Claim(f"95 % interval covers, {20 * slides:,} clustered slides", many.mean(), "%", ">= 91"),
        Claim("95 % interval covers, clustered, not too often", many.mean(), "%", "<= 98"),
        Claim("least coverage of any kind and planted share", table["covered %"].min(), "%", ">= 88"),
    ]


def main() -> None:
    """Run all parts."""
    write_claims("cohort", coverage())


if __name__ == "__main__":
    main()
