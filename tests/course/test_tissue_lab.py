"""Slides and tiles of notebook 04, and what it measures on a network: places, patients, steps, pulls."""

import numpy as np
import pandas as pd
import pytest

from her2kit.cells.table import TISSUES
from her2kit.course.tissue_lab import TissueTiles, dealt, purest_tiles, tissue_cohort, tissue_plans
from her2kit.exchange.card import Card
from her2kit.learning.leakage import find_leaks
from her2kit.learning.pictures import read_raster

torch = pytest.importorskip("torch", reason="the train extra is not installed")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return tissue_cohort(slides=2, size_px=640, sites=2, folder=tmp_path_factory.mktemp("tissue"))


def test_a_tile_lies_where_its_tissue_is(cohort):
    tiles = purest_tiles(cohort, size_px=64, per_class=3, purity=0.8)
    assert {"background", "stroma", "tumour"} <= set(tiles.table["label"])
    assert tiles.pixels.shape == (len(tiles.table), 64, 64, 3)
    masks = {row.slide_id: read_raster(row.mask_path) for row in cohort.itertuples()}
    for row in tiles.table[tiles.table["label"] != "other"].itertuples():
        mask = masks[row.slide_id]
        x, y = (round(v * mask.shape[1] / 640) for v in (row.x_px0, row.y_px0))
        seen = mask[y : y + 32, x : x + 32] == TISSUES.index(row.label)
        assert seen.mean() >= 0.8
        assert seen.mean() == pytest.approx(row.purity, abs=0.05)
        if row.label == "stroma":
            assert (mask[y : y + 32, x : x + 32] == TISSUES.index("other")).mean() < 0.15
    assert tiles.table.groupby(["slide_id", "label"]).size().max() <= 3


def test_context_shows_more_around_the_same_tile(cohort):
    alone, around = (purest_tiles(cohort, size_px=64, per_class=2, context=c) for c in (1, 2))
    pd.testing.assert_frame_equal(alone.table, around.table)
    assert around.pixels.shape[1:] == (128, 128, 3)
    np.testing.assert_array_equal(around.pixels[:, 32:96, 32:96], alone.pixels)
    with pytest.raises(ValueError, match=r"context=0\.5; use 1"):
        purest_tiles(cohort, context=0.5)


def test_carcinoma_in_situ_is_there_where_it_is_asked_for():
    without, some = (tissue_plans(slides=2, in_situ=share, stain="he") for share in (0.0, 0.1))
    assert [plan.mix.in_situ for plan in without] == [0, 0]
    assert all(0.08 < plan.mix.in_situ < 0.12 and plan.stain == "he" for plan in some)
    assert len({plan.patient_id for plan in some}) == 2


def test_tiles_are_dealt_by_patient_and_a_site_is_new():
    patient = np.repeat([f"p{i}" for i in range(12)], 4)
    site = np.where(np.isin(patient, ["p0", "p1"]), "new", "old")
    site[4 * 5] = site[4 * 6] = site[4 * 7] = site[4 * 8] = "new"
    table = pd.DataFrame({"slide_id": patient, "patient_id": patient, "site": site, "label": "stroma"})
    pixels = np.arange(48, dtype=np.uint8).repeat(12).reshape(48, 2, 2, 3)
    out = dealt(TissueTiles(table, pixels, TISSUES), new_site="new", seed=3)
    parts = out.table["split"]
    assert set(parts) == {"train", "val", "test", "site"}
    assert (parts[out.table["site"] == "new"] == "site").all()
    assert (parts[out.table["patient_id"].isin(["p0", "p1"])] == "site").all()
    learned = out.table[parts.isin(["train", "val"])]
    assert not set(learned["patient_id"]) & set(out.table.loc[parts == "site", "patient_id"])
    assert find_leaks(out.table[parts != "site"]).empty
    x, labels = out.of("val")
    assert len(x) == len(labels) == (parts == "val").sum()
    np.testing.assert_array_equal(x, out.pictures(np.flatnonzero(parts == "val")))


@pytest.fixture(scope="module")
def net():
    from her2kit.learning.model import build

    return build("test_efficientnet", 3).eval()


CARD = Card("tissue_classifier", "test_efficientnet", ("a", "b", "c"), input_px=32)


def test_blocks_are_counted(net):
    from her2kit.course.training_lab import blocks

    found = blocks(net, 64)
    assert found["kind"].tolist() == [*["convolution"] * 2, *["Fused-MBConv"] * 2, *["MBConv"] * 2]
    assert found["squeeze_excite"].tolist() == [False] * 4 + [True] * 2
    assert found["side_px"].tolist() == [32, 32, 16, 8, 4, 2]
    first = net.conv_stem
    assert found["multiplications"].iloc[0] == pytest.approx(first.weight.numel() * 32**2 / 1e6)


def test_gates_lie_between_closed_and_open(net):
    from her2kit.course.training_lab import gates

    seen = gates(net, CARD, np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8))
    assert seen.shape == (5, 192)
    assert ((seen > 0) & (seen < 1)).all()


def test_uphill_the_loss_climbs_and_the_weights_come_back(net):
    from her2kit.course.training_lab import loss_uphill

    before = {name: value.clone() for name, value in net.state_dict().items()}
    pixels = np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    hill = loss_uphill(net, CARD, pixels, np.arange(9) % 3, [0, 0.01, 0.05])
    assert hill.is_monotonic_increasing
    assert hill.iloc[0] < hill.iloc[-1]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_two_passes_of_a_bowl():
    from her2kit.course.training_lab import two_passes

    found = two_passes((3.0, 4.0), lambda w: (w**2).sum() / 2, rho=0.5)
    np.testing.assert_allclose(found["first"], [3, 4])
    np.testing.assert_allclose(found["uphill"], [3.3, 4.4])
    np.testing.assert_allclose(found["second"], [3.3, 4.4])


def test_softmax_before_the_loss_lets_sure_mistakes_go():
    from her2kit.course.training_lab import gradient_of_a_mistake

    pull = gradient_of_a_mistake([-10, 0, 3])
    assert pull.loc[-10, "logits"] == pytest.approx(1, abs=1e-3)
    assert pull.loc[-10, "softmax first"] < 1e-3
    assert pull.loc[0, "logits"] == pytest.approx(6 / 7)
    assert (pull["softmax first"] < pull["logits"]).all()
