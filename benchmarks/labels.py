"""Labels of cells: noise, suspects, what to review first, gains. Writes ``reports/bench/labels.json``.

Phantoms of seeds that nothing was tuned on. ``python -m benchmarks.labels noise ranking`` runs parts.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.claims import Claim, write_claims
from her2kit.cells.matching import match_points
from her2kit.cells.table import CLASSES
from her2kit.course.label_lab import LABEL_MPP, WITHIN_UM, known_truth, measured_cells, patches
from her2kit.exchange.parquet import read_table
from her2kit.labels.autolabel import autolabel
from her2kit.labels.cell_model import cell_features, out_of_fold
from her2kit.labels.certainty import class_probabilities
from her2kit.labels.noise import confident_learning, from_anchors, noise_matrix, plant_noise, with_review
from her2kit.labels.ranking import expected_gain, lift, random_order, review_order
from her2kit.labels.simulated_readers import label_f1, model_f1, neighbour_reader, review_curve
from her2kit.labels.suspects import judge_signals, suspects

SLIDES, SIZE_PX, SEED, TEST_SEED = 32, 2048, 831, 832
PLANTED = {
    "mild": [[94, 5, 1, 0], [5, 88, 6, 1], [1, 6, 86, 7], [0, 1, 7, 92]],
    "strong": [[85, 10, 4, 1], [15, 70, 12, 3], [5, 15, 65, 15], [2, 5, 20, 73]],
    "to anywhere": [[70, 10, 10, 10], [10, 70, 10, 10], [10, 10, 70, 10], [10, 10, 10, 70]],
}  # fmt: skip
"""Planted noise by class, per cent: rows the true class, columns the label."""
SEEDS, DRAWS, READ, TREES = 2, 50, 1500, 60
READER = neighbour_reader("reader", 0.95)
BOUND = "<= 0.05"


@dataclass(frozen=True)
class Made:
    """Cells of known class with both kinds of label."""

    manifest: pd.DataFrame
    cells: pd.DataFrame
    truth: np.ndarray
    patch: np.ndarray
    """R1's labels as codes."""
    membrane: np.ndarray
    labels: pd.DataFrame
    features: np.ndarray
    chance: np.ndarray
    slides: np.ndarray


def made(folder: str, *, slides: int, seed: int) -> Made:
    """Return measured cells of new phantoms, one of each score in turn."""
    manifest = patches(slides=slides, seed=seed, size_px=SIZE_PX, folder=folder)
    cells = measured_cells(manifest)
    labels, truth, patch = known_truth(autolabel(cells, cells["patch_class"]), cells)
    _, _, membrane = known_truth(autolabel(cells, cells["patch_class"], rule="membrane"), cells)
    known = cells.loc[labels.index]
    print(f"  {len(known)} cells of {slides} slides, by class {np.bincount(truth)}", flush=True)
    return Made(manifest, known, truth, patch, membrane, labels, cell_features(known),
                class_probabilities(known), known["slide_id"].to_numpy())  # fmt: skip


def rules(m: Made) -> list[Claim]:
    """Say how wrong both rules' labels are, and what the signals find."""
    wrong = m.patch != m.truth
    claims = [
        Claim("R1's rule: wrong labels", float(wrong.mean()), "share", None),
        Claim("the membrane's rule: wrong labels", float((m.membrane != m.truth).mean()), "share", None),
    ]
    guess = out_of_fold(m.features, m.patch, m.slides, trees=TREES)
    signals = suspects(
        m.labels,
        measured=m.cells["cell_class"],
        brown_share=m.cells["brown_share"].to_numpy(),
        probabilities=guess,
    )
    judged = judge_signals(signals, wrong)
    print(judged.round(3).to_string())
    for name, row in judged.iterrows():
        claims += [
            Claim(f"signal {name}: doubted labels that are wrong", row["right"], "share", None),
            Claim(f"signal {name}: wrong labels that it finds", row["found"], "share", None),
        ]
    return claims + _errors(m)


def _errors(m: Made) -> list[Claim]:
    """Return the errors of the membrane's measurement that `labels.certainty` counts with."""
    found = []
    for row in m.manifest.itertuples():
        cells = m.cells[m.cells["slide_id"] == row.slide_id]
        planted = read_table(str(row.tumour_path).replace("tumour.geojson", "cells.parquet"))
        planted = planted[planted["compartment"] == "invasive"]
        xy = [t[["x_px0", "y_px0"]].to_numpy() * LABEL_MPP for t in (planted, cells)]
        pairs = match_points(*xy, max_distance=WITHIN_UM)
        a, b = planted.iloc[pairs.truth_index], cells.iloc[pairs.found_index]
        off = {name: b[name].to_numpy() - a[name].to_numpy() for name in ("dab_od", "completeness")}
        found.append(pd.DataFrame({**off, "intensity": a["intensity"].to_numpy()})[b["evaluable"].to_numpy()])
    off = pd.concat(found)
    spread = off.groupby("intensity")[["dab_od", "completeness"]].std()
    return [
        Claim(f"error of {name} in {word} cells, standard deviation", spread.loc[word, name], unit, None)
        for name, unit in (("dab_od", "OD"), ("completeness", "share"))
        for word in ("faint", "weak", "moderate", "intense")
    ]


def noise(m: Made) -> list[Claim]:
    """Hold estimated noise matrices against the planted ones: the worst entry."""
    claims = [Claim("cells of the rarest class", float(np.bincount(m.truth).min()), "", ">= 2000")]
    for name, matrix in PLANTED.items():
        off: dict[str, list[float]] = {"anchors": [], "cleanlab": []}
        for seed in range(SEEDS):
            given = plant_noise(m.truth, np.array(matrix) / 100, seed=seed)
            planted = noise_matrix(m.truth, given)
            guess = out_of_fold(m.features, given, m.slides, seed=seed, trees=TREES)
            off["anchors"].append(_worst(from_anchors(given, guess).matrix, planted))
            off["cleanlab"].append(_worst(confident_learning(given, guess).matrix, planted))
        print(f"  {name}: " + ", ".join(f"{k} {np.round(v, 3)}" for k, v in off.items()), flush=True)
        claims += [
            Claim(f"noise by class, {name}: worst entry of {SEEDS} seeds, {words}", max(values), "", bound)
            for (words, values), bound in zip(off.items(), (BOUND, None), strict=True)
        ]
    planted = noise_matrix(m.truth, m.patch)
    guess = out_of_fold(m.features, m.patch, m.slides, trees=TREES)
    for words, estimate in (("anchors", from_anchors), ("cleanlab", confident_learning)):
        worst = _worst(estimate(m.patch, guess).matrix, planted)
        claims.append(Claim(f"noise of R1's rule: worst entry, {words}, nobody asked", worst, "", None))
    for words, right, known in (
        ("right always", 1.0, False),
        ("right in 95 %, error known", 0.95, True),
        ("right in 95 %, error not known", 0.95, False),
    ):
        reader = neighbour_reader("r", right)
        errors = reader.matrix if known else None
        off_by = []
        for seed in range(DRAWS):
            rows = random_order(len(m.truth), seed=seed)[:READ]
            read = reader.read(m.truth[rows], seed=seed)
            found = with_review(m.patch, m.chance, rows, read, reader=errors)
            off_by.append(_worst(found.matrix, planted))
        bound = BOUND if known or right == 1 else None
        head = f"noise of R1's rule, {READ} cells read at random by a reader {words}: worst entry"
        claims += [
            Claim(f"{head}, median of draws", float(np.median(off_by)), "", None),
            Claim(f"{head}, 95th percentile of draws", float(np.percentile(off_by, 95)), "", bound),
        ]
    return claims


def ranking(m: Made) -> list[Claim]:
    """Say how much of the attainable lift the first tenth of a ranked review finds."""
    claims = []
    planted = plant_noise(m.truth, np.array(PLANTED["strong"]) / 100)
    for words, given in (
        ("R1's rule", m.patch),
        ("noise by class", planted),
        ("the membrane's rule", m.membrane),
    ):
        wrong = given != m.truth
        guess = out_of_fold(m.features, given, m.slides, trees=TREES)
        for source, posterior in (("membrane", m.chance), ("model of other slides", guess)):
            found = lift(review_order(expected_gain(given, posterior)), wrong)
            judged = given is not m.membrane  # a measurement cannot doubt the labels that it gave itself
            claims.append(
                Claim(f"ranked by the {source}, {words}: share of the attainable lift in the first 10 %",
                      found.attained, f"of {found.attainable:.2f}", ">= 0.6" if judged else None)
            )  # fmt: skip
    return claims


def gains(m: Made, test: Made, *, seeds: int = 5) -> list[Claim]:
    """Train before and after a review by a simulated reader, ranked and at random, tested on other slides."""
    n = len(m.truth)
    portions = [0, round(0.1 * n), round(0.2 * n), n]
    order = review_order(expected_gain(m.patch, m.chance, reader=READER.matrix, value="classes"))
    tables = []
    for seed in range(seeds):
        scores = {
            "labels": label_f1(m.truth),
            "model": model_f1(m.features, test.features, test.truth, seed=seed, trees=TREES),
        }
        orders = {"ranked": order, "random": random_order(n, seed=seed)}
        curve = review_curve(m.patch, m.truth, orders, READER, portions=portions, scores=scores, seed=seed)
        tables.append(curve.assign(seed=seed))
    table = pd.concat(tables)
    mean = table.groupby(["order", "reviewed"])[
        ["labels", "model", "labels_per_1000", "model_per_1000"]
    ].mean()
    print(mean.round(4).to_string(), flush=True)
    part = table.set_index(["order", "reviewed", "seed"])["model"].sort_index()
    claims = [
        Claim(f"macro F1 of {what} before review", mean.loc[("ranked", 0), what], "", None)
        for what in ("labels", "model")
    ]
    for share, k in (("10 %", portions[1]), ("20 %", portions[2])):
        for name in ("ranked", "random"):
            row = mean.loc[(name, k)]
            claims += [
                Claim(f"macro F1 of labels after {share}, {name}", row["labels"], "", None),
                Claim(f"macro F1 of the model after {share}, {name}", row["model"], "", None),
                Claim(
                    f"gain of the model per 1,000 cells, {share}, {name}", row["model_per_1000"], "F1", None
                ),
            ]
        better = (part["ranked", k] > part["ranked", 0]).all()
        claims.append(
            Claim(f"model after {share} ranked above before, each of {seeds} seeds", better, "", "is true")
        )
        above = mean.loc[("ranked", k), "model"] >= mean.loc[("random", k), "model"]
        claims.append(Claim(f"model after {share}: ranked at or above random", bool(above), "", "is true"))
    claims.append(
        Claim("macro F1 of the model after all were read", mean.loc[("ranked", n), "model"], "", None)
    )
    return claims


def _worst(estimate: np.ndarray, planted: np.ndarray) -> float:
    return float(np.abs(estimate - planted).max())


PARTS: dict[str, Callable[[Made], list[Claim]]] = {"rules": rules, "noise": noise, "ranking": ranking}


def main(names: list[str]) -> None:
    """Run all parts, or those that are named."""
    unknown = [n for n in names if n not in (*PARTS, "gains")]
    if unknown:
        raise SystemExit(f"no part {unknown[0]!r}; there is: {', '.join((*PARTS, 'gains'))}")
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as folder:
        m = made(folder, slides=SLIDES, seed=SEED)
        for name, part in PARTS.items():
            if not names or name in names:
                print(name, flush=True)
                claims += part(m)
        if not names or "gains" in names:
            print("gains", flush=True)
            claims += gains(m, made(folder, slides=2 * len(CLASSES), seed=TEST_SEED))
    write_claims("labels", claims)


if __name__ == "__main__":
    main(sys.argv[1:])
