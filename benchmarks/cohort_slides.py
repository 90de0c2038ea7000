"""Parts of `benchmarks.cohort` that look at slides: rendered phantoms, adversarial and turned pictures."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from benchmarks.claims import Claim, real_folder
from benchmarks.reading import planted_of
from benchmarks.rendered import SIDE_UM, Read, plans_of, read_all
from her2kit.cells.table import CLASSES
from her2kit.measure import measure_slide
from her2kit.phantom.adversarial import pixels_of, write_changes, write_pack
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.site import SITES
from her2kit.phantom.slide import make_slide
from her2kit.pipeline import grade_slide
from her2kit.settings import ScoreSettings
from her2kit.slides.pyramid import write_pyramid

SLIDES, SEED = 200, 910402
SPOILED, SPOILED_SEED = 60, 550607
SPOILS = (
    *("blur=0.3", "blur=0.6", "blur=1", "pen=0.6", "fold=0.6", "faded=0.3", "faded=0.6", "faded=0.9"),
    *("bubbles=0.6", "dust=0.6", "wrong_stain=0.6", "wrong_stain=1"),
)
UNHEEDED = ("control", "mpp", "white_point")
"""Cautions that flag no score here: they speak of the laboratory and the scanner."""
TURNS = {"90": (1, False), "180": (2, False), "270": (3, False), "mirrored": (0, True)}


def outcome(read: Read) -> dict[str, Any]:
    """Return one row: scored how, planted what, near a line or not, what was said, which intervals hold."""
    record, planted = read.record(), planted_of(read)
    row = {
        "slide": read.slide_id, "case": read.facts["case"], "site": read.facts["site"],
        "spoiled": " ".join(name for name, _ in read.facts["degrade"]),
        "score": record["score"], "planted": planted["planted"], "inside": planted["inside"],
        "said": _said(record),
        "borderline": bool(record["uncertainty"] and record["uncertainty"]["borderline"]),
    }  # fmt: skip
    if record["uncertainty"]:
        for name, value in planted["percent"].items():
            low, high = record["uncertainty"]["percent"][name]["slide"]
            row[f"holds {name}"] = low <= value <= high
    return row


def rendered(keep: Path | None = None, *, slides: int = SLIDES, most: int | None = None) -> list[Claim]:
    """Hold scores and intervals of rendered phantoms against what was planted, clean and spoiled."""
    with tempfile.TemporaryDirectory() as name:
        folder = keep or Path(name)
        clean = read_all(plans_of(slides, seed=SEED), folder / str(SEED), most=most)
        spoiled = read_all(
            plans_of(SPOILED, seed=SPOILED_SEED, degrade=SPOILS), folder / str(SPOILED_SEED), most=most
        )
    table = pd.DataFrame([outcome(r) for r in clean])
    right, near, unsure = table["score"] == table["planted"], table["inside"], table["borderline"]
    held = table[[f"holds {c}" for c in CLASSES]]
    print(table.assign(right=right).groupby(["inside", "site"])[["right", "borderline"]].mean().round(2))
    print(
        table[~right & ~near][["slide", "case", "site", "planted", "score", "borderline", "said"]].to_string()
    )
    claims = [
        Claim(f"rendered phantoms, of {slides} planned", len(table), "slides", f">= {slides}"),
        Claim("rendered: 95 % intervals hold the planted percentages", _share(held.stack()), "%", ">= 91"),
        Claim("rendered: intervals hold, not too often", _share(held.stack()), "%", "<= 98"),
        Claim("rendered: slides within 7-13 % of a line", _share(near), "%", ">= 25"),
        Claim("rendered: right outside the band", _share(right[~near]), "%", ">= 97"),
        Claim("rendered: borderline outside the band", _share(unsure[~near]), "%", "<= 10"),
        Claim("rendered: right or borderline inside", _share((right | unsure)[near]), "%", ">= 95"),
        Claim("rendered: right or borderline outside", _share((right | unsure)[~near]), "%", None),
    ]
    if spoiled:
        bad = pd.DataFrame([outcome(r) for r in spoiled])
        fine = (bad["score"] == bad["planted"]) | (bad["said"] != "") | bad["borderline"]
        print(bad.assign(fine=fine).groupby("spoiled")["fine"].agg(["mean", "size"]).round(2).to_string())
        print(bad[~fine][["slide", "case", "site", "spoiled", "planted", "score"]].to_string())
        claims.append(Claim("spoiled phantoms: right or flagged", _share(fine), "%", ">= 95"))
    return claims


def adversarial() -> list[Claim]:
    """Ask the pack, changed phantoms and changed real cores, for a score that no gate doubts."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for number, (case, site) in enumerate((("3+", "alder"), ("0-null", "dogwood"), ("2+", "cedar"))):
            (plan,) = plan_cohort(
                slides=1, seed=4711 + number, cases=[case], sites=[SITES[site]],
                size_px=round(400 / SITES[site].mpp),
            )  # fmt: skip
            pack = write_pack(Path(name, str(number)), plan)
            rows += [{"slide": f"{case} {site}", "member": k, **_asked(path)} for k, path in pack.items()]
        real, blocked = real_folder(), 0
        if real is not None:
            for core in sorted(real.glob("her2_tma/*.jpg")):
                pixels = cv2.cvtColor(cv2.imread(str(core)), cv2.COLOR_BGR2RGB)
                changed = write_changes(Path(name), pixels, mpp=0.25, name=core.stem[:10])
                rows += [{"slide": core.stem[:10], "member": k, **_asked(p)} for k, p in changed.items()]
                blocked += _asked(core, mpp=0.25)["status"] != "scored"
            others = pd.read_csv(real / "manifest.csv")
            for file in others[others["stain"].isin(["H&E", "Ki67 IHC"])]["file"]:
                rows.append({"slide": file, "member": "as it is", **_asked(real / file, mpp=0.25)})
    table = pd.DataFrame(rows)
    print(table.to_string())
    silent = (table["status"] == "scored") & (table["said"] == "")
    claims = [
        Claim(
            f"{len(table)} adversarial pictures: scored without a block or a caution but control's",
            int((silent & (table["also"] == "")).sum()), "", "<= 0",
        ),
        Claim("of them flagged by their mpp or white point alone", int(silent.sum()), "", None),
    ]  # fmt: skip
    return claims + ([Claim("real HER2 cores blocked, of 7", blocked, "cores", "<= 0")] if real else [])


def _asked(path: Path, *, mpp: float | None = None) -> dict[str, Any]:
    settings = ScoreSettings(mpp=mpp, control="valid")
    with measure_slide(path, settings) as measured:
        record = grade_slide(measured, settings).record
    also = " ".join(g["name"] for g in record["gates"] if g["level"] != "ok" and g["name"] in UNHEEDED[1:])
    return {"status": record["status"], "score": record["score"], "said": _said(record), "also": also}


def _said(record: Mapping[str, Any]) -> str:
    """Return the gates that block or caution, but for `UNHEEDED`."""
    names = [g["name"] for g in record["gates"] if g["level"] != "ok" and g["name"] not in UNHEEDED]
    return " ".join(names)


def turned() -> list[Claim]:
    """Score slides that were turned and mirrored: the same score, and nearly the same H-score."""
    gaps, same = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, case in enumerate(("2+", "gastric-3+")):
            (plan,) = plan_cohort(slides=1, seed=811 + number, cases=[case], size_px=round(SIDE_UM / 0.25))
            make_slide(plan, folder)
            pixels = pixels_of(folder / "slides" / f"{plan.slide_id}.tif")
            _turn(pixels, folder / str(number), plan.guideline, gaps, same)
        real = real_folder()
        for core in sorted(real.glob("her2_tma/[23]_*.jpg")) if real else []:
            pixels = cv2.cvtColor(cv2.imread(str(core)), cv2.COLOR_BGR2RGB)
            _turn(pixels, folder / core.stem, "gastric-resection", gaps, same)
    return [
        Claim(
            f"{len(same)} turned or mirrored slides have the score of their original",
            all(same),
            "",
            "is true",
        ),
        Claim("largest difference of their H-scores", max(gaps), "points", "<= 3"),
    ]


def _turn(pixels: np.ndarray, folder: Path, guideline: str, gaps: list[float], same: list[bool]) -> None:
    folder.mkdir()
    settings = ScoreSettings(guideline=guideline, control="valid")

    def scored(picture: np.ndarray) -> Mapping[str, Any]:
        path = write_pyramid(folder / "turned.tif", np.ascontiguousarray(picture), mpp=0.25)
        with measure_slide(path, settings) as measured:
            return grade_slide(measured, settings).record

    first = scored(pixels)
    for turns, mirror in TURNS.values():
        other = scored(np.rot90(pixels[:, ::-1] if mirror else pixels, turns))
        same.append(other["score"] == first["score"])
        gaps.append(abs(other["h_score_membrane_class"] - first["h_score_membrane_class"]))
    print(
        f"  {folder.name[:12]:12} {first['score']}: H-scores differ by {np.round(gaps[-4:], 2)}", flush=True
    )


def _share(which: pd.Series) -> float:
    return 100 * float(which.astype(float).mean()) if len(which) else float("nan")
