"""Tumour maps: planted networks and sections give back what was planted; no network maps its own patients."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from her2kit.errors import ManifestError, MppError
from her2kit.exchange.card import Card, read_card
from her2kit.learning.model import build
from her2kit.learning.train_settings import TrainSettings, plateau_share
from her2kit.learning.tumour_folds import cross_validate, feature_table
from her2kit.learning.tumour_map import (
    FAST,
    INPUTS,
    SETTINGS,
    TASK,
    TumourMapper,
    TumourSegmentation,
    load,
    train,
    tumour_logit,
    tumour_loss,
)
from her2kit.learning.tumour_sections import (
    LABELS,
    Section,
    cut_tiles,
    one_to_one,
    read_section,
    section_of,
    true_axis_um,
    tumour_mask,
    tumour_regions,
)
from her2kit.manifest import read_manifest
from her2kit.phantom.frozen import make_frozen_cohort
from her2kit.regions.map_features import FEATURES
from her2kit.regions.tumour_map import load_map
from her2kit.slides.pyramid import write_pyramid
from her2kit.stain.basis import StainBasis

torch = pytest.importorskip("torch")

MPP = 14.144
"""Four times as coarse as the finer site's level."""
QUICK = replace(SETTINGS, epochs=1, batch_size=8, accelerator="cpu", progress=False)
HE = StainBasis(
    "macenko", (240, 240, 240), vectors=((0.651, 0.701, 0.291), (0.160, 0.879, 0.449)), amounts=(0.6, 0.5)
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("frozen") / "cohort"
    return read_manifest(make_frozen_cohort(folder, slides=12, seed=2, size_um=(2000, 1700)))


@pytest.fixture(scope="module")
def mapped(cohort, tmp_path_factory) -> tuple[pd.DataFrame, dict]:
    options = {"folder": tmp_path_factory.mktemp("folds"), "k": 3, "tile_px": 32, "mpp": MPP, "per_slide": 4}
    options |= {"settings": QUICK, "architecture": FAST}
    return cross_validate(cohort, **options), options


def redness_net(seen: list[int] | None = None):
    """Return a network that calls red pixels tumour: a plan that needs no training."""

    class Redness(torch.nn.Module):
        def forward(self, pictures):
            if seen is not None:
                seen.append(len(pictures))
            red = 20 * (pictures[:, :1] - pictures[:, 2:])
            return torch.cat([-red, red], dim=1)

    return Redness()


def mapper(net, *, px: int = 32, mpp: float = 10.0) -> TumourMapper:
    return TumourMapper(net, Card(TASK, "planted", LABELS, mpp=mpp, input_px=px, sha256="abc"))


def section(*, side: int = 128) -> Section:
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[:, : side // 2] = 120, 60, 200
    pixels[20:40, 10:50] = 220, 60, 120
    return Section("planted", pixels, (pixels < 255).any(axis=2), 10.0, 3.0)


def test_both_sites_are_brought_to_one_mpp_and_never_magnified(cohort):
    for row in cohort.drop_duplicates("site").to_dict("records"):
        read = section_of(row, mpp=MPP)
        assert read.mpp == pytest.approx(MPP, rel=1e-3)
        assert read.scale == pytest.approx(MPP / row["mpp"], rel=1e-3)
        assert read.pixels.shape == (*read.tissue.shape, 3)
        assert 0.1 < read.tissue.mean() < 0.9
        with pytest.raises(ValueError, match="finer than the slide's own"):
            section_of(row, mpp=row["mpp"] / 2)


def test_a_slide_without_mpp_is_refused_unless_it_is_given(tmp_path):
    path = tmp_path / "bare.png"
    cv2.imwrite(str(path), np.full((300, 300, 3), 230, np.uint8))
    with pytest.raises(MppError, match="has no mpp; pass mpp="):
        read_section(path)
    assert read_section(path, own_mpp=1.0, mpp=10.0).mpp == pytest.approx(10)


def test_a_stain_that_cannot_be_fitted_leaves_raw_pixels_and_says_so(tmp_path, cohort):
    path = write_pyramid(tmp_path / "glass.tif", np.full((600, 600, 3), 235, np.uint8), mpp=3.5)
    empty = read_section(path, mpp=MPP, target=HE)
    assert empty.status.startswith("raw: ")
    assert (empty.pixels == 255).all()
    assert not empty.tissue.any()
    row = cohort.to_dict("records")[0]
    raw, normalised = section_of(row, mpp=MPP), section_of(row, mpp=MPP, target=HE)
    assert (raw.status, normalised.status) == ("raw", "normalised")
    assert np.abs(raw.pixels.astype(int) - normalised.pixels).max() > 10
    assert normalised.pixels[normalised.tissue].mean() > 60  # nothing turned black


def test_outlines_come_back_as_mask_and_axis(cohort):
    for row in cohort[cohort["label"] == "tumour"].to_dict("records"):
        regions, read = tumour_regions(row), section_of(row, mpp=MPP)
        truth = cv2.imread(row["mask_path"], cv2.IMREAD_UNCHANGED) > 0
        area = tumour_mask(regions, read).sum() * read.scale**2
        assert area == pytest.approx(truth.sum(), rel=0.05)
        planted = json.loads((Path(row["mask_path"]).parent / "score.json").read_text())["major_axis_um"]
        assert true_axis_um(regions, mpp=row["mpp"]) == pytest.approx(planted, rel=0.02)
    assert true_axis_um([], mpp=1.0) == 0


def test_tiles_are_tumour_or_clear_of_it_and_one_to_one(cohort):
    tiles = cut_tiles(cohort, tile_px=32, mpp=MPP, seed=1)
    assert tiles.pixels.shape[1:] == (32, 32, 3)
    share = tiles.masks.mean(axis=(1, 2))
    assert np.allclose(share, tiles.table["tumour"])
    assert ((share == 0) | (share >= 0.05)).all()
    assert list(tiles.table["label"]) == ["tumour" if s else "normal" for s in share]
    both = tiles.table.iloc[one_to_one(tiles.table)]["label"].value_counts()
    assert both["tumour"] == both["normal"] == (tiles.table["label"] == "tumour").sum()
    few = cut_tiles(cohort, tile_px=32, mpp=MPP, per_slide=2)
    assert few.table.groupby(["slide_id", "label"]).size().max() == 2
    alone = cut_tiles(cohort.iloc[3:4], tile_px=32, mpp=MPP, per_slide=2)
    same = few.table[few.table["slide_id"] == alone.table["slide_id"].iloc[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.table, same)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "metastasis"}, "label is 'metastasis'; write tumour or normal"),
        ({"label": "normal"}, "is normal and has a tumour_path; remove it"),
        ({"tumour_path": None}, "is tumour and has no tumour_path; outline it"),
    ],
)
def test_labels_and_outlines_must_agree(cohort, tmp_path, change, words):
    table = cohort.copy()
    for name, value in change.items():
        table.loc[table.index[0], name] = value
    with pytest.raises(ManifestError, match=words):
        cross_validate(table, folder=tmp_path, settings=QUICK)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_cross_validated_is_refused_before_anything_is_read(cohort, tmp_path):
    few = cohort[cohort["label"] == "normal"]
    with pytest.raises(ManifestError, match="fold 0: the slides that teach are all normal"):
        cross_validate(few, folder=tmp_path, k=2, settings=QUICK)
    with pytest.raises(ManifestError, match="slide_id 'frozen_2_000' stands in two rows"):
        cross_validate(pd.concat([cohort, cohort]), folder=tmp_path, settings=QUICK)
    with pytest.raises(ValueError, match="window_px=100; use a multiple of 32"):
        cross_validate(cohort, folder=tmp_path, tile_px=100, settings=QUICK)
    with pytest.raises(ManifestError, match="no column map_path; map the slides"):
        feature_table(cohort)
    tiles = pd.DataFrame({"label": ["normal"] * 3})
    with pytest.raises(ManifestError, match="none of them tumour"):
        one_to_one(tiles)


def test_the_loss_is_cross_entropy_plus_jaccard_over_known_pixels():
    truth = torch.zeros(2, 8, 8, dtype=torch.long)
    truth[:, :4] = 1
    sure = torch.where(truth == 1, 20.0, -20.0)
    assert float(tumour_loss(sure, truth)) < 1e-3
    assert float(tumour_loss(-sure, truth)) > 20
    assert float(tumour_loss(torch.zeros(2, 8, 8), truth)) == pytest.approx(np.log(2) + 2 / 3, abs=0.01)
    unknown = truth.clone()
    unknown[0] = 255
    wrong = sure.clone()
    wrong[0] = -sure[0]
    assert float(tumour_loss(wrong, unknown)) < 1e-3


def test_figures_of_a_network_that_is_right_in_half_of_the_tumour():
    truth = torch.zeros(1, 32, 32, dtype=torch.long)
    truth[:, :, :16] = 1
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[:, 0, :, :8] = 255
    task = TumourSegmentation(redness_net(), mapper(None).card)
    found = task.judge(task.net, [(pixels, truth)])
    assert found["iou"] == pytest.approx(0.5)
    assert found["dice"] == pytest.approx(2 / 3)


def test_each_scaling_does_what_its_name_says():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(40, 200, (2, 3, 16, 16), dtype=np.uint8))
    seen = {}
    for name in INPUTS:
        card = Card(TASK, "x", LABELS, details={"input": name})
        net = lambda x, name=name: seen.__setitem__(name, x) or torch.zeros(len(x), 2, 16, 16)  # noqa: E731
        tumour_logit(net, pixels, card)
    assert seen["scaled"].min() >= -1
    assert (seen["min-max"].amin((1, 2, 3)) == 0).all()
    assert torch.allclose(seen["min-max"].amax((1, 2, 3)), torch.ones(2))
    assert torch.allclose(seen["whitened"].mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(seen["instance"].std((2, 3)), torch.ones(2, 3), atol=1e-4)


def test_a_planted_network_maps_what_is_red_and_looks_at_tissue_alone():
    seen: list[int] = []
    found = mapper(redness_net(seen)).map(section())
    red = np.zeros((128, 128), bool)
    red[20:40, 10:50] = True
    assert ((found.probability > 127) == red).all()
    assert found.axis().length_um == pytest.approx(10 * (np.hypot(39, 19) + 1), rel=0.01)
    assert found.model_sha256 == "abc"
    assert sum(seen) == 7 * 4  # of 7 x 7 windows, the right-hand three columns show glass
    nothing = replace(found, probability=np.zeros((128, 128), np.uint8))
    assert nothing.axis().length_um == 0
    assert nothing.features()["major_axis_um_at_0.5_4"] == 0


def test_a_section_at_another_mpp_is_refused():
    with pytest.raises(ValueError, match="is at 10 um/px, the network learned at 7"):
        mapper(redness_net(), mpp=7.0).map(section())


def test_a_network_is_shown_the_stain_that_it_learned(cohort):
    raw, row = mapper(redness_net(), mpp=MPP), cohort.to_dict("records")[0]
    details = {"stain": HE.to_json()}
    normalised = TumourMapper(raw.net, replace(raw.card, details=details))
    assert (raw.read(row).status, normalised.read(row).status) == ("raw", "normalised")
    with pytest.raises(ValueError, match="is raw, and the network learned normalised stain; read it with"):
        normalised.map(raw.read(row))
    with pytest.raises(ValueError, match="is normalised, and the network learned raw stain"):
        raw.map(normalised.read(row))
    unfitted = replace(normalised.read(row), status="raw: too little stain")
    assert normalised.map(unfitted).status == "raw: too little stain"


def test_no_map_comes_from_a_network_that_knew_the_patient(mapped):
    table, options = mapped
    shas = set()
    for fold, rows in table.groupby("fold"):
        card = read_card(options["folder"] / f"fold_{fold}" / "best.safetensors")
        shas.add(card.sha256)
        known = set(card.details["patients"])
        assert known
        assert not known & set(rows["patient_id"])
        for row in rows.itertuples():
            assert load_map(row.map_path).model_sha256 == card.sha256
    assert len(shas) == table["fold"].nunique() == 3  # fresh weights each
    assert table.groupby("patient_id")["fold"].nunique().max() == 1


def test_a_finished_run_is_resumed_without_work(mapped, cohort):
    table, options = mapped
    before = {path: load_map(path) for path in table["map_path"]}
    said: list[str] = []
    broken = table["map_path"].iloc[0]
    with open(broken, "wb") as file:
        file.write(b"cut off")
    again = cross_validate(cohort, **options, resume=True, progress=said.append)
    pd.testing.assert_frame_equal(again, table)
    assert np.array_equal(load_map(broken).probability, before[broken].probability)
    assert any("fold 3 of 3" in words for words in said)


def test_the_feature_table_is_what_the_second_stage_needs(mapped):
    table, _ = mapped
    features = feature_table(table)
    known = ["slide_id", "patient_id", "site", "label", "fold", "true_axis_um", "axis_um", "touches_border"]
    assert list(features) == [*known, *FEATURES]
    assert np.isfinite(features[list(FEATURES)].to_numpy(float)).all()
    assert ((features["true_axis_um"] > 0) == (features["label"] == "tumour")).all()
    unlabelled = feature_table(table.assign(label=None).head(1))
    assert np.isnan(unlabelled["true_axis_um"].iloc[0])


def test_a_mapper_learns_is_loaded_and_gives_the_same_map(cohort, tmp_path):
    tiles = cut_tiles(cohort, tile_px=32, mpp=MPP, per_slide=6)
    settings = replace(QUICK, epochs=4)
    learned = train(tiles, tiles, folder=tmp_path, mpp=MPP, settings=settings, architecture=FAST)
    losses = learned.trained.curves["val_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    read = section_of(cohort.to_dict("records")[0], mpp=MPP)
    first, again = learned.map(read), load(tmp_path / "best.safetensors").map(read)
    assert np.array_equal(first.probability, again.probability)
    with pytest.raises(ValueError, match="scaling='log'; use one of scaled"):
        train(tiles, tiles, folder=tmp_path, mpp=MPP, scaling="log")


@pytest.mark.parametrize("name", ["fpn:resnet34", "unet:resnet34"])
def test_r4s_networks_can_be_built_and_take_its_tiles(name):
    net = build(name, len(LABELS)).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 256, 256)).shape == (1, 2, 256, 256)


def test_the_rate_falls_where_the_loss_stalls():
    falling = [1.0, 0.9, 0.8, 0.7]
    assert plateau_share(falling, 1) == 1
    assert plateau_share([*falling, 0.7, 0.7], 1) == pytest.approx(0.1)
    assert plateau_share([*falling, 0.7, 0.7], None) == 1
    with pytest.raises(ValueError, match="plateau=-1; use 0 epochs or more"):
        TrainSettings(plateau=-1)


def test_a_stalled_training_lowers_its_rate(cohort, tmp_path):
    tiles = cut_tiles(cohort.head(4), tile_px=32, mpp=MPP, per_slide=2)
    settings = replace(QUICK, epochs=4, lr=1e-30, plateau=0)
    learned = train(tiles, tiles, folder=tmp_path, mpp=MPP, settings=settings, architecture=FAST)
    rates = learned.trained.curves["lr"].to_numpy()
    assert rates[-1] < 0.2 * rates[0]
