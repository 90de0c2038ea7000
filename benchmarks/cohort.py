"""What holds of many slides: intervals cover, scores are right or doubted, tables and pages are quick.

``python -m benchmarks.cohort`` runs all; ``python -m benchmarks.cohort coverage page rendered adversarial
turned export`` runs the parts that are named, and keeps what the file says of the others. The slides of
``rendered`` take half an hour: with ``--keep FOLDER`` and ``--most N`` they are made in pieces, and a later
call goes on. Writes ``reports/bench/cohort.json``.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import cohort_slides
from benchmarks.claims import Claim, write_claims
from benchmarks.export import export
from benchmarks.simulated_slides import KINDS, nests
from her2kit.cells.table import CLASSES
from her2kit.report.cohort_report import PAGE, write_cohort_report
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


def page(slides: int = 1000) -> list[Claim]:
    """Time how long Chromium takes to open the page of a large cohort; nothing where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        print("  no chromium or no chromedriver here: the page was not opened")
        return []
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    rng = np.random.default_rng(2027)
    rows = []
    for number in range(slides):
        percent = 100 * rng.dirichlet([1.5, 1.5, 1, 0.7])
        rows.append(
            {
                "slide_id": f"case_{number:04d}", "status": "scored", "score": CLASSES[int(rng.integers(4))],
                "category": "low", "guideline": "breast-asco-cap-2018", "n_cells": int(rng.integers(9e4)),
                "h_score_membrane_class": percent @ range(4), "label": CLASSES[int(rng.integers(4))],
                "borderline": rng.random() < 0.1, "p_score": rng.beta(9, 1), "cautions": "control focus",
                **{f"percent_{name}": value for name, value in zip(CLASSES, percent, strict=True)},
            }
        )  # fmt: skip
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(word)
    script = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd - t.startTime"
    with tempfile.TemporaryDirectory() as folder:
        path = write_cohort_report(Path(folder, PAGE), pd.DataFrame(rows))
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        try:
            took = []
            for _ in range(5):
                chrome.get(path.as_uri())
                took.append(chrome.execute_script(script) / 1000)
        finally:
            chrome.quit()
    return [Claim(f"page of {slides:,} slides opens in Chromium, median of 5", np.median(took), "s", "<= 2")]


PARTS: dict[str, Callable[[], list[Claim]]] = {
    "coverage": coverage,
    "page": page,
    "rendered": cohort_slides.rendered,
    "adversarial": cohort_slides.adversarial,
    "turned": cohort_slides.turned,
    "export": export,
}


def main() -> None:
    """Run the parts that are named, or all; figures of the others are kept from the last run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; none: all")
    parser.add_argument("--keep", type=Path, help="folder of the rendered slides' cells")
    parser.add_argument("--most", type=int, help="rendered slides of a kind to make in this call")
    args = parser.parse_args()
    unknown = [name for name in args.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there is: {', '.join(PARTS)}")
    parts = PARTS | {"rendered": partial(cohort_slides.rendered, args.keep, most=args.most)}
    found = [claim for name in args.parts or PARTS for claim in parts[name]()]
    write_claims("cohort", found, part=bool(args.parts))


if __name__ == "__main__":
    main()
