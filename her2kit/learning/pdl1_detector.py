"""The auto-labelling detector: negative and positive tumour cells, and cells that are no tumour.

R1 trained such a network on IGNITE's PD-L1 regions (512 px, 0.5 um/px; macro-F1 .7148) and let it turn
labels of patches into labels of cells. Here it is the cell detector with three classes: at the fast tier on
phantom PD-L1, begun with the nucleus detector that ships; at the full tier on IGNITE. A membrane is a
membrane: what it has learned of PD-L1 is asked of HER2, and that is for `her2kit.labels.autolabel` to doubt.

``python -m her2kit.learning.pdl1_detector FOLDER [--ignite DATA]`` trains it.

References
----------
Spronck J et al. IGNITE. arXiv 2507.16855 (2025).
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from her2kit.exchange.card import Card
from her2kit.learning.cell_detector import FULL, DetectorSettings, train
from her2kit.learning.datasets import ignite
from her2kit.learning.datasets.dataset import Dataset
from her2kit.learning.datasets.phantom_cells import draw_cells, field_plans
from her2kit.learning.detection import answers, judged
from her2kit.learning.detection_change import Change
from her2kit.learning.detector_export import export_detector
from her2kit.learning.pictures import read_picture
from her2kit.learning.point_boxes import LabelledPicture, labelled
from her2kit.learning.point_evaluation import report
from her2kit.learning.train_settings import TrainSettings

NAME = "cells_pdl1.onnx"
CALLS = ("negative", "positive", "non-tumour")
"""R1's class numbers 0 to 2, in the words of `her2kit.labels.autolabel`."""
MPP = 0.5
SITES, HELD_OUT_SITE = ("alder", "birch", "cedar"), "dogwood"


@dataclass(frozen=True, slots=True)
class Tier:
    """How it is trained on one kind of computer."""

    detector: DetectorSettings
    settings: TrainSettings


FAST = Tier(
    DetectorSettings(side_px=256, crops=4, change=Change(scale=1.15)),
    TrainSettings(epochs=6, batch_size=8, lr=2e-3, weight_decay=5e-4, monitor="macro_f1"),
)
"""Minutes on a CPU."""
FULL_TIER = Tier(
    DetectorSettings(
        architecture=FULL, side_px=512, multi_scale=(448, 576), crops=8, change=Change(scale=1.2)
    ),
    TrainSettings(epochs=100, batch_size=16, lr=2e-4, weight_decay=5e-4, monitor="macro_f1", patience=20),
)
"""R1's network and size, for a GPU and IGNITE."""
LIMITS = (
    "Calls a tumour cell positive whose membrane shows DAB; knows no grades.",
    "Research and teaching only, never for diagnosis.",
)


def phantom_pictures(fields: int, *, seed: int, sites: Sequence[str] = SITES) -> list[LabelledPicture]:
    """Draw fields of PD-L1 phantoms with a call of each cell; immune cells are no tumour, stained or not."""
    out = []
    for plan in field_plans(fields, seed=seed, sites=sites):
        pixels, cells = draw_cells(replace(plan, stain="pdl1"), mpp=MPP)
        tumour = (cells["cell_type"] == "tumour").to_numpy()
        stained = cells["positive"].to_numpy(bool)
        call = np.where(tumour, np.where(stained, "positive", "negative"), "non-tumour")
        points = cells.assign(call=call)
        out.append(labelled(pixels, points, mpp=MPP, class_names=CALLS, column="call"))
    return out


def ignite_pictures(data: Dataset, split: str) -> list[LabelledPicture]:
    """Return IGNITE's PD-L1 regions of a split with the cells that readers agreed on.

    Only the part of a region whose cells were marked is taken: elsewhere cells without a box are no
    background.
    """
    table = data.table[(data.table["task"] == "pdl1") & (data.table["split"] == split)]
    cells = data.cells[data.cells["reader"] == ""] if data.cells is not None else pd.DataFrame()
    out = []
    for row in table.itertuples():
        pixels = read_picture(row.path)
        height, width = pixels.shape[:2]
        area = row.annotated_xyxy if isinstance(row.annotated_xyxy, list) else [0, 0, width, height]
        left, top, right, bottom = (round(v) for v in area)
        own = cells[cells["path"] == row.path]
        own = own[own["x_px"].between(left, right) & own["y_px"].between(top, bottom)]
        calls = np.array(CALLS, dtype=object)[own["class_id"].to_numpy(int)]
        points = own.assign(x_px=own["x_px"] - left, y_px=own["y_px"] - top, call=calls)
        piece = pixels[top:bottom, left:right]
        out.append(labelled(piece, points, mpp=ignite.MPP, class_names=CALLS, column="call"))
    return out


def train_calls(
    pictures: Sequence[LabelledPicture],
    val_pictures: Sequence[LabelledPicture],
    test_pictures: Sequence[LabelledPicture],
    folder: Path,
    *,
    tier: Tier = FAST,
    start: Path | None = None,
    say: Callable[[str], None] = print,
) -> Card:
    """Train, judge on pictures that nothing was chosen on, export; return the card.

    Parameters
    ----------
    start
        Weights to begin with; None begins at random.
    """
    found = train(
        pictures, val_pictures, CALLS, folder=folder / "training", settings=tier.settings,
        detector=tier.detector, start=start,
    )  # fmt: skip
    points = judged(lambda w: answers(found.net, w), test_pictures, confidence=found.confidence)
    judgement = report(list(points), CALLS)
    test: dict[str, float | None] = {
        f"test_{k}": judgement.figures[k] for k in ("f1", "macro_f1", "cq", "pq")
    }
    test |= {f"test_f1_{name}": float(v) for name, v in judgement.per_class["f1"].items()}
    say(", ".join(f"{k} {v:.3f}" for k, v in test.items() if v is not None))
    card = replace(
        found.card, limits=LIMITS, licence="AGPL-3.0-or-later", figures=dict(found.card.figures) | test
    )
    return export_detector(found.net, card, folder / NAME)


def main() -> None:
    """Train at the fast tier on phantoms, or at the full tier on IGNITE."""
    from her2kit.learning.yolo_offline import shipped_start

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for training and the model")
    parser.add_argument("--ignite", type=Path, help="folder of IGNITE; without it phantoms are drawn")
    given = parser.parse_args()
    if given.ignite:
        data = ignite.load(given.ignite)
        learned, chosen, judging = (ignite_pictures(data, split) for split in ("train", "val", "test"))
        train_calls(learned, chosen, judging, given.folder, tier=FULL_TIER)
        return
    learned, chosen = phantom_pictures(48, seed=401), phantom_pictures(8, seed=402)
    judging = phantom_pictures(8, seed=403, sites=(HELD_OUT_SITE,))
    train_calls(learned, chosen, judging, given.folder, start=shipped_start())


if __name__ == "__main__":
    main()
