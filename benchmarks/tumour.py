"""Tumour call and major axis on frozen sections: a site never seen, the cost of a slide, R4's ablation.

``python -m benchmarks.tumour held_out speed ablation`` runs parts by name. Everything is kept below
``reports/bench/tumour``, and a part that was stopped goes on from there. Sections are phantoms; R4's figures
are of real ones, and stand beside ours to be read, not to be beaten. Networks are small and read twice as
coarse as R4's, so that a core of a laptop trains them.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.claims import ROOT, Claim, write_claims
from benchmarks.preprocessing import r4_seconds
from her2kit.exchange.whole import whole_file
from her2kit.learning import tumour_model_file
from her2kit.learning.augment import Augmentation
from her2kit.learning.tumour_folds import cross_validate, feature_table
from her2kit.learning.tumour_map import FAST, FAST_SETTINGS, TumourMapper, load
from her2kit.learning.tumour_scores import WITHIN, by_size, figures, scores
from her2kit.learning.tumour_sections import LOW_MPP
from her2kit.manifest import read_manifest
from her2kit.phantom.frozen import FROZEN_SITES, make_frozen_cohort
from her2kit.regions.tumour_map import load_map
from her2kit.slides.slide import open_slide
from her2kit.slides.tiles import tile_grid
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point
from her2kit.stain.basis import StainBasis
from her2kit.stain.normalise import fit_slide
from her2kit.statistics import wilson

PARTS = ["held_out", "speed", "ablation"]
FOLDER = ROOT / "reports/bench/tumour"
"""Delete it to measure anew after a change of the code."""
BATCH, SIZE_UM = 20, (3600.0, 3000.0)
"""Sections of one cohort, and their size."""
TAUGHT, TESTED = 80, 200
"""Sections of the site that teaches, and of the one that is kept for the end; half of each hold tumour."""
MPP, TILE_PX, PER_SLIDE, FOLDS = 2 * LOW_MPP, 96, 8, 3
HOW: dict[str, Any] = {"architecture": FAST, "augmentation": Augmentation(jitter=0.1)}
UNET_FAST = "unet:tu-test_resnet"
ABLATED = 40
"""Sections of both sites for the ablation."""
R4 = {
    "U-Net": 0.5507, "FPN": 0.5867, "FPN, whitened": 0.6087, "+ stain normalisation": 0.6357,
    "+ features": 0.6512, "+ models": 0.6752, "+ rescaled": 0.7079,
}  # fmt: skip
"""The total that R4 published for each step, on real sections."""
COARSER = 2 * FROZEN_SITES[1].mpp / FROZEN_SITES[0].mpp
"""How much coarser the second site's level 4 is than the first's."""


def main() -> None:
    """Measure, print and write the claims."""
    parts = sys.argv[1:] or PARTS
    if strange := [part for part in parts if part not in PARTS]:
        raise SystemExit(f"{strange[0]!r} is no part of this benchmark; use {', '.join(PARTS)}")
    known = {"held_out": held_out, "speed": speed, "ablation": ablation}
    name = "tumour" + ("" if parts == PARTS else "_" + "_".join(parts))
    write_claims(name, [claim for part in parts for claim in known[part]()])


def held_out() -> list[Claim]:
    """Learn both stages at one site, test at the other, once."""
    taught = cohort("taught", slides=TAUGHT, seed=100, sites=FROZEN_SITES[:1])
    learned = learn(taught, FOLDER / "held_out", target=colours(taught.iloc[1]["path"]))
    test = cohort("tested", slides=TESTED, seed=200, sites=FROZEN_SITES[1:])
    mapper = load(FOLDER / "held_out/fold_0/best.safetensors")
    features = feature_table(mapped(test, mapper, FOLDER / "held_out/test"))
    model = tumour_model_file.fit(feature_table(learned), mpp=MPP)
    said = model.predict(features, mpp=MPP)
    known = features[["slide_id", "patient_id", "true_axis_um"]]
    both = pd.concat(
        [
            known.assign(model="both stages", probability=said["probability"], axis_um=said["axis_um"]),
            known.assign(model="map alone", probability=features["max_16"], axis_um=features["axis_um"]),
        ]
    )
    table = scores(both)
    print(f"\nthe site kept for the end; {model.card.architecture}")
    print(table.round(4).T.to_string())
    sizes = {name: by_size(both, name, map_mpp=MPP) for name in table.index}
    for name, rows in sizes.items():
        print(f"\n{name}, axes within 5 % by size\n{rows.round(2).to_string()}")
    found, tumours = table.loc["both stages"], features["label"] == "tumour"
    hits = int(((said["axis_um"] / features["true_axis_um"] - 1).abs()[tumours] <= WITHIN).sum())
    n = int(tumours.sum())
    words = f"held-out site, {n} tumour and {len(tumours) - n} normal sections"
    return [
        Claim(f"{words}: AUC", found["auc"], "", ">= 0.97"),
        Claim(f"{words}: axes within 5 %", found["within"], "", None),
        Claim(f"{words}: axes within 5 %, lower 95 % bound", wilson(hits, n).low, "", ">= 0.55"),
        Claim(f"{words}: total", found["total"], "", None),
        Claim(f"{words}: total, lower 95 % bound", found["total_low"], "", None),
        Claim(f"{words}: total, upper 95 % bound", found["total_high"], "", None),
        Claim("the map alone, no second stage: AUC", table.loc["map alone", "auc"], "", None),
        Claim("the map alone, no second stage: axes within 5 %", table.loc["map alone", "within"], "", None),
        *(
            Claim(f"axes within 5 %, {size}, {int(row.n)} sections", row.within, "", None)
            for size, row in sizes["both stages"].iterrows()
        ),
    ]


def speed() -> list[Claim]:
    """Time whole sections, tissue to prediction, against what R4's recipe takes to prepare their tiles.

    Each section is timed once, after another one: what is kept of a section's colours helps nobody.
    """
    rows = cohort("large", slides=4, seed=300, size_um=(9000.0, 7000.0)).to_dict("records")
    mapper = load(FOLDER / "held_out/fold_0/best.safetensors")
    model = tumour_model_file.fit(feature_table(pd.read_csv(FOLDER / "held_out/learned.csv")), mpp=MPP)
    times = []
    for number, row in enumerate(rows):
        began = time.perf_counter()
        found = mapper.map(mapper.read(row))
        model.predict(pd.DataFrame([found.features()]), mpp=MPP)
        ours = time.perf_counter() - began
        if not number:  # libraries load, kernels compile
            continue
        with open_slide(row["path"]) as slide:
            grid = tile_grid(slide, find_tissue(slide, find_white_point(slide)), tile_px=256, mpp=LOW_MPP)
        theirs = r4_seconds(Path(row["path"]), grid)
        print(f"{len(grid.table)} tiles: R4's preprocessing {theirs:.1f} s, ours whole {ours:.2f} s")
        times.append(theirs / ours)
    words = "whole section, tissue to prediction, times R4's preprocessing (12 tiles timed)"
    return [Claim(words, float(np.median(times)), "x", ">= 60")]


def ablation() -> list[Claim]:
    """Take R4's steps one after the other, cross-validated on both sites; its order is reported as found."""
    both = cohort("ablated", slides=ABLATED, seed=400, sites=FROZEN_SITES)
    target = colours(both.iloc[1]["path"])
    second = both["site"] == FROZEN_SITES[1].name
    unscaled = both.assign(mpp=both["mpp"] / np.where(second, COARSER, 1.0))
    maps: dict[str, tuple[pd.DataFrame, dict[str, Any]]] = {
        "U-Net": (unscaled, {"architecture": UNET_FAST}),
        "FPN": (unscaled, {}),
        "FPN, instance norm": (unscaled, {"scaling": "instance"}),
        "FPN, min-max": (unscaled, {"scaling": "min-max"}),
        "FPN, whitened": (unscaled, {"scaling": "whitened"}),
        "+ stain normalisation": (unscaled, {"scaling": "whitened", "target": target}),
        "+ rescaled": (both, {"scaling": "whitened", "target": target}),
    }
    total: dict[str, float] = {}
    features: dict[str, pd.DataFrame] = {}
    for name, (table, options) in maps.items():
        place = FOLDER / "ablation" / "".join(c if c.isalnum() else "_" for c in name)
        features[name] = true_lengths(feature_table(learn(table, place, k=2, **options)), table, both)
        total[name] = total_of(features[name], "max_16", "axis_um")
        print(f"{name}: {total[name]:.4f}", flush=True)
    stained, rescaled = features["+ stain normalisation"], features.pop("+ rescaled")
    total["+ features"] = nested_total(stained, ("linear",))
    total["+ models"] = nested_total(stained, tumour_model_file.KEPT)
    total["+ rescaled"] = nested_total(rescaled, tumour_model_file.KEPT)
    order = [
        *(n for n in total if n not in ("+ features", "+ models", "+ rescaled")),
        "+ features",
        "+ models",
    ]
    claims = []
    for name in [*order, "+ rescaled"]:
        beside = f" (R4, real sections: {R4[name]:.4f})" if name in R4 else ""
        claims.append(Claim(f"ablation, phantoms, total: {name}{beside}", total[name], "", None))
    return claims


def cohort(
    name: str, *, slides: int, seed: int, size_um: tuple[float, float] = SIZE_UM, **options: Any
) -> pd.DataFrame:
    """Return the manifest of sections, made in batches that are not made twice."""
    parts = []
    for number, first in enumerate(range(0, slides, BATCH)):
        place = FOLDER / f"cohorts/{name}_{number}"
        if not (place / "manifest.csv").is_file():
            n = min(BATCH, slides - first)
            make_frozen_cohort(place, slides=n, seed=seed + number, size_um=size_um, **options)
        parts.append(read_manifest(place / "manifest.csv"))
    return pd.concat(parts, ignore_index=True)


def learn(table: pd.DataFrame, place: Path, *, k: int = FOLDS, **options: Any) -> pd.DataFrame:
    """Return the out-of-fold maps of sections, going on where an earlier run stopped."""
    settings = replace(FAST_SETTINGS, accelerator="cpu", progress=False)
    learned = cross_validate(
        table, folder=place, k=k, tile_px=TILE_PX, mpp=MPP, per_slide=PER_SLIDE, settings=settings,
        resume=True, progress=lambda words: print(f"{place.name}: {words}", flush=True), **HOW | options,
    )  # fmt: skip
    with whole_file(place / "learned.csv") as part:
        learned.to_csv(part, index=False)
    return learned


def mapped(table: pd.DataFrame, mapper: TumourMapper, place: Path) -> pd.DataFrame:
    """Return the manifest with ``map_path``; maps that these weights drew before are kept."""
    paths = []
    for row in table.to_dict("records"):
        path = place / f"{row['slide_id']}.npz"
        if not path.is_file() or load_map(path).model_sha256 != mapper.card.sha256:
            mapper.map(mapper.read(row)).save(path)
        paths.append(str(path))
    return table.assign(map_path=paths)


def colours(path: str) -> StainBasis:
    """Return the colours of a section, for the others to take."""
    with open_slide(path) as slide:
        white = find_white_point(slide)
        return fit_slide(slide, find_tissue(slide, white), white.rgb, method="macenko", mpp=MPP)


def true_lengths(features: pd.DataFrame, said: pd.DataFrame, true: pd.DataFrame) -> pd.DataFrame:
    """Return features whose lengths are um again where the manifest was made to name another mpp."""
    times = (true["mpp"] / said["mpp"]).to_numpy()
    lengths = [name for name in features if name.endswith("axis_um") or name.startswith("major_axis_um")]
    return features.assign(**{name: features[name].to_numpy() * times for name in lengths})


def total_of(features: pd.DataFrame, probability: str, axis: str) -> float:
    """Return R4's total of two columns."""
    truth = features["true_axis_um"].to_numpy(float)
    return float(figures(truth, *(features[name].to_numpy(float) for name in (probability, axis)))["total"])


def nested_total(features: pd.DataFrame, models: tuple[str, ...]) -> float:
    """Return R4's total of the second stage, by nested cross-validation."""
    from her2kit.learning.tumour_models import compare

    predictions = compare(features, models=models).predictions
    return float(scores(predictions).loc["chosen", "total"])


if __name__ == "__main__":
    main()
