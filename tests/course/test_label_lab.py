"""The lesson's cells: measured, with the planted class beside; simulated readers in a real review."""

import numpy as np
import pandas as pd
import pytest

from her2kit.course.label_lab import (
    crops_of,
    frame_of,
    known_truth,
    let_read,
    measured_cells,
    patches,
    worst_entries,
)
from her2kit.labels.autolabel import autolabel
from her2kit.labels.rounds import close_round, open_round
from her2kit.labels.simulated_readers import neighbour_reader


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("lab")
    manifest = patches(slides=2, seed=3, size_px=512, folder=folder)
    return manifest, measured_cells(manifest)


def test_cells_lie_in_the_tumour_and_know_their_truth(made):
    manifest, cells = made
    assert set(cells["slide_id"]) == set(manifest["slide_id"])
    assert (cells["compartment"] == "invasive").all()
    of = cells.groupby("patch_class")
    assert set(of.groups) == {"3+", "0"}
    assert of["true_class"].agg(lambda c: c.notna().mean()).min() > 0.7
    assert set(cells.loc[cells["patch_class"] == "0", "true_class"].dropna()) == {"0"}
    assert cells["brown_share"].between(0, 1).all()
    brown = of["brown_share"].median()
    assert brown["3+"] > brown["0"]


def test_labels_and_truth_as_codes(made):
    _, cells = made
    labels = autolabel(cells, cells["patch_class"])
    known, truth, given = known_truth(labels, cells)
    assert len(known) == len(truth) == len(given) <= len(labels)
    assert (truth == given).mean() > 0.5
    assert worst_entries({"a": np.eye(2)}, np.full((2, 2), 0.5))["a"] == 0.5


def test_tiles_and_crops(made):
    manifest, cells = made
    mine = cells[cells["slide_id"] == cells["slide_id"].iloc[0]]
    frame, inside = frame_of(mine, size_px0=512, tile_px=128)
    assert frame.scale == 2
    assert 0 <= frame.x_px0 <= 256 >= frame.y_px0
    assert len(mine) / 4 <= len(inside) <= len(mine)  # four such tiles cover the slide
    assert frame.holds(frame.to_tile(inside)).all()
    (crop,) = crops_of(manifest, mine.head(1), side_um=24)
    assert crop.shape == (96, 96, 3)


def test_simulated_readers_read_what_was_dealt_to_them(made, tmp_path):
    _, cells = made
    some = cells.groupby("slide_id").head(20)
    open_round(tmp_path / "r", ["ann", "ben"], cells=some.drop(columns="true_class"), overlap=0.5)
    for name in ("ann", "ben"):
        let_read(tmp_path / "r", name, neighbour_reader(name, 1.0), cells, seed=1)
    labels = close_round(tmp_path / "r")
    truth = some.set_index(["slide_id", "cell_id"])["true_class"]
    said = labels.set_index(["slide_id", "cell_id"])["label"].loc[truth.index]
    assert said.tolist() == truth.fillna("not tumour").tolist()
