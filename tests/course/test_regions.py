"""Regions of notebook 05: cut where the mask says, dealt by patient, gaps where planted; inside SegFormer."""

import numpy as np
import pytest

from her2kit.course import look_inside
from her2kit.course.regions import (
    UNANNOTATED,
    class_shares,
    ignite_regions,
    painted,
    phantom_regions,
    with_gaps,
)
from her2kit.exchange.card import Card
from her2kit.learning.datasets.fixture_ignite import write_ignite
from her2kit.learning.model import build
from her2kit.manifest import read_manifest
from her2kit.phantom.cohort import make_cohort

torch = pytest.importorskip("torch", reason="the train extra is not installed")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions") / "cohort"
    return read_manifest(make_cohort(folder, slides=8, size_px=320, mpp=1.0, sites=4, stain="he"))


def test_new_site_and_patients_stand_apart(cohort):
    regions = phantom_regions(cohort, mpp=4.0, new_site="dogwood", sides_um=(100, 200))
    table = regions.table
    assert set(table["part"]) == {"train", "val", "test", "site"}
    assert table.groupby("patient_id")["part"].nunique().max() == 1
    assert (table.loc[table["part"] == "site", "site"] == "dogwood").all()
    assert (table.loc[table["part"] != "site", "site"] != "dogwood").all()


def test_gaps_hide_and_change_nothing_else(cohort):
    regions = phantom_regions(cohort, mpp=4.0, new_site="dogwood", sides_um=(200, 300), gaps=0.2)
    for part, mask, whole, picture in zip(
        regions.table["part"], regions.masks, regions.whole, regions.pictures, strict=True
    ):
        gap = mask == UNANNOTATED
        assert picture.shape == (*mask.shape, 3)
        assert (mask[~gap] == whole[~gap]).all()
        assert (whole > 0).all()
        assert gap.mean() == pytest.approx(0.2 if part in ("train", "val") else 0, abs=0.02)


def test_background_of_the_mask_is_glass(cohort):
    regions = phantom_regions(cohort, mpp=4.0)
    glass = np.concatenate([p[m == 1] for p, m in zip(regions.pictures, regions.whole, strict=True)])
    tumour = np.concatenate([p[m == 2] for p, m in zip(regions.pictures, regions.whole, strict=True)])
    assert glass.mean() > tumour.mean() + 30


def test_ignite_in_both_encodings(tmp_path):
    regions = ignite_regions(write_ignite(tmp_path / "ignite", regions=24))
    assert set(regions.table["part"]) == {"train", "val", "test"}
    assert class_shares(regions.masks, regions.names, regions.read_mask).sum() == pytest.approx(1)
    assert regions.whole is None


def test_share_of_gaps_is_checked():
    with pytest.raises(ValueError, match="share=1"):
        with_gaps(np.ones((4, 4), np.uint8), share=1, rng=np.random.default_rng(0))


def test_colours():
    mask = np.array([[0, 1]], np.uint8)
    assert painted(mask, ["#000000", "#FF0000"]).tolist() == [[[0, 0, 0], [255, 0, 0]]]
    over = painted(mask, ["#000000", "#FF0000"], over=np.full((1, 2, 3), 100, np.uint8), strength=0.5)
    assert over.tolist() == [[[50, 50, 50], [178, 50, 50]]]


@pytest.fixture(scope="module")
def segformer():
    names = ("a", "b", "c")
    return build("segformer:mit_b0", 3).eval(), Card("tissue_segmenter", "segformer:mit_b0", names)


def test_stages_count_what_the_encoder_does(segformer):
    table = look_inside.stages(segformer[0], 128, mpp=2.0)
    features = segformer[0].encoder(torch.zeros(1, 3, 128, 128))[-4:]
    assert table["tokens"].tolist() == [f.shape[2] * f.shape[3] for f in features]
    assert table["channels"].tolist() == [f.shape[1] for f in features]
    assert table["token_um"].tolist() == [8, 16, 32, 64]
    assert (table["pairs"] <= table["pairs_if_full"]).all()


def test_attention_is_what_the_block_uses(segformer):
    """Weights times values, projected, are what the block itself returns for that token."""
    net, card = segformer
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    weights = look_inside.attention(net, card, picture, stage=1, at=(0.3, 0.6))
    assert weights.shape == (2, 2)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    block, seen = net.encoder.block1[-1].attn, {}
    hook = block.register_forward_hook(lambda _, given, out: seen.update(x=given[0], out=out))
    look_inside.scales(net, card, picture)
    hook.remove()
    x = seen["x"]
    with torch.inference_mode():
        keys = block.norm(block.sr(x.transpose(1, 2).reshape(1, -1, 16, 16)).flatten(2).transpose(1, 2))
        value = block.kv(keys)[0, :, x.shape[2] :]
        token = int(0.3 * 16) * 16 + int(0.6 * 16)
        mixed = block.proj(torch.from_numpy(weights.ravel()) @ value)  # stage 1 of mit_b0 has one head
    assert torch.allclose(mixed, seen["out"][0, token], atol=1e-5)


def test_patches_over_a_pixel():
    assert (look_inside.patches_over(16, patch_px=4, step_px=4) == 1).all()
    wide = look_inside.patches_over(16, patch_px=7, step_px=4)
    assert wide.max() == 4
    ones = torch.nn.functional.conv_transpose2d(
        torch.ones(1, 1, 4, 4), torch.ones(1, 1, 7, 7), stride=4, padding=3
    )
    assert (wide[:13, :13] == ones[0, 0].numpy()).all()


def test_a_planted_seam_is_measured():
    smooth = np.cumsum(np.full((1, 64, 64), 0.01), axis=2)
    assert look_inside.jump_at_seams(
        smooth + np.cumsum(np.full((1, 64, 64), 0.01), axis=1), 32
    ) == pytest.approx(1)
    seamed = smooth + np.cumsum(np.full((1, 64, 64), 0.01), axis=1)
    seamed[:, :, 32:] += 0.09
    seamed[:, 32:] += 0.09
    assert look_inside.jump_at_seams(seamed, 32) == pytest.approx(10)
    with pytest.raises(ValueError, match="no seam"):
        look_inside.jump_at_seams(seamed, 64)
