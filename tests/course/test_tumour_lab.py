"""What notebook 12 shows: sections made once, Dice of planted maps, a map that leaks, R4's steps."""

import json

import numpy as np
import pandas as pd
import pytest

from her2kit.course import tumour_lab as lab
from her2kit.exchange.card import Card
from her2kit.learning import weights
from her2kit.learning.model import build
from her2kit.learning.tumour_map import FAST, TASK
from her2kit.learning.tumour_sections import LABELS, section_of
from her2kit.regions.tumour_map import TumourMap, load_map

MPP = 14.144


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    return lab.frozen_sections(slides=8, size_um=(1500, 1500), folder=tmp_path_factory.mktemp("data"))


def test_sections_of_both_sites_and_labels_are_made_once(table, tmp_path, monkeypatch):
    assert len(table) == table["slide_id"].nunique() == 8
    assert (table.groupby(["site", "label"]).size() == 2).all()
    assert (table.groupby("patient_id")["label"].nunique() == 2).all()
    monkeypatch.setattr(lab, "kept_below", lambda folder: tmp_path)
    for number in (0, 1):
        (tmp_path / "frozen_8_0_1500_1500" / str(number)).mkdir(parents=True)
        rows = table[number * 4 : number * 4 + 4]
        rows.to_csv(tmp_path / "frozen_8_0_1500_1500" / str(number) / "manifest.csv", index=False)
    again = lab.frozen_sections(slides=8, size_um=(1500, 1500))
    assert again["slide_id"].tolist() == table["slide_id"].tolist()
    with pytest.raises(ValueError, match="slides=12; use a multiple of 8"):
        lab.frozen_sections(slides=12)


def planted_map(row, path, *, right: bool) -> str:
    section = section_of(row, mpp=MPP)
    empty = TumourMap(
        row["slide_id"], np.zeros(section.tissue.shape, np.uint8), section.tissue, MPP, section.scale
    )
    truth = lab.truth_mask(row, empty)
    found = TumourMap(
        row["slide_id"], np.uint8(255) * (truth if right else ~truth), section.tissue, MPP, section.scale
    )
    found.save(path)
    return str(path)


def test_dice_of_a_right_and_of_a_wrong_map(table, tmp_path):
    tumour = table[table["label"] == "tumour"]
    paths = [
        planted_map(row, tmp_path / f"{i}.npz", right=i > 0)
        for i, row in enumerate(tumour.to_dict("records"))
    ]
    found = lab.dice_of(tumour.assign(map_path=paths))
    assert found.tolist() == [0, 1, 1, 1]
    assert list(found.index) == list(tumour["slide_id"])


def test_a_square_at_the_border_holds_tumour_and_what_is_beside_it(table):
    row = table[table["label"] == "tumour"].iloc[0].to_dict()
    section = section_of(row, mpp=7.072)
    square = lab.at_the_border(row, section, 64)
    assert square.shape == (64, 64, 3)
    views = np.lib.stride_tricks.sliding_window_view(section.pixels, (64, 64, 3))[:, :, 0]
    y, x = np.argwhere((views == square).all(axis=(2, 3, 4)))[0]
    truth = lab.truth_mask(row, TumourMap("", truth_like(section), section.tissue, 7.072, section.scale))
    here = truth[y : y + 64, x : x + 64]
    assert 0 < here.sum() < here.size


def truth_like(section) -> np.ndarray:
    return np.zeros(section.tissue.shape, np.uint8)


def test_scales_keep_the_mean_and_forget_a_speck():
    chance = np.zeros((256, 256), np.uint8)
    chance[64:192, 32:224] = 255
    chance[10:12, 10:12] = 255
    found = TumourMap("a", chance, chance >= 0, 7.0, 2.0)
    views = lab.at_scales(found)
    assert [v.scale for v in views] == [4, 16, 64, 256]
    assert [v.mean.shape for v in views] == [(64, 64), (16, 16), (4, 4), (1, 1)]
    for view in views:
        assert view.mean.mean() == pytest.approx(chance.mean() / 255)
    assert views[0].axis.length_um == pytest.approx(found.axis().length_um, rel=0.05)
    assert views[3].axis.length_um == 0


def keep_network(folder, seed) -> Card:
    net = build(FAST, 2, seed=seed)
    card = Card(TASK, FAST, LABELS, mpp=MPP, input_px=64, details={"input": "scaled"})
    return weights.save(folder / "best.safetensors", net.state_dict(), card)


def test_a_carried_map_is_drawn_by_a_network_that_learned_from_the_slide(table, tmp_path):
    cards = [keep_network(tmp_path / f"fold_{i}", i) for i in (0, 1)]
    some = table[:4].assign(fold=[0, 0, 1, 1])
    carried = lab.maps_that_saw(some, tmp_path)
    drawn = [load_map(path).model_sha256 for path in carried["map_path"]]
    assert drawn == [cards[1].sha256] * 2 + [cards[0].sha256] * 2


def test_a_pyramid_has_four_levels_up_and_down():
    net = build(FAST, 2)
    card = Card(TASK, FAST, LABELS, mpp=MPP, input_px=64, details={"input": "scaled"})
    levels = lab.pyramid(net, card, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for name in ("encoder", "pyramid"):
        assert [a.shape for a in levels[name]] == [(16, 16), (8, 8), (4, 4), (2, 2)]
        assert all(a.min() == 0 and a.max() == 1 for a in levels[name])
    assert not net.encoder._forward_hooks


def test_steps_are_read_from_the_benchmark(tmp_path):
    assert lab.measured_steps(tmp_path) == {}
    rows = [
        {"claim": "ablation, phantoms, total: FPN (R4, real sections: 0.5867)", "value": 0.61},
        {"claim": "ablation, phantoms, total: FPN, min-max", "value": 0.6},
        {"claim": "the map alone, no second stage: AUC", "value": 0.99},
    ]
    (tmp_path / "tumour.json").write_text(json.dumps(rows))
    assert lab.measured_steps(tmp_path) == {"FPN": 0.61, "FPN, min-max": 0.6}
    assert lab.R4_RESULT["total"] == lab.R4_STEPS["+ rescaled"]
