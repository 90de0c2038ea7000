"""Checks of maps: what must change with the weights, what covers and shows, what lies on which part."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from explained import CARD, SpotNet, spot_tiles  # noqa: E402

from her2kit.exchange.card import Card  # noqa: E402
from her2kit.learning.attention_shares import against_chance, attention_shares  # noqa: E402
from her2kit.learning.explain import Maps, explain  # noqa: E402
from her2kit.learning.explain_checks import (  # noqa: E402
    parts_from_the_top,
    randomised,
    rank_correlations,
    weight_randomisation,
)
from her2kit.learning.explain_curves import deletion_insertion, noise_like  # noqa: E402
from her2kit.learning.model import build  # noqa: E402

RESNET = Card("test", "test_resnet", ("a", "b", "c"), input_px=64)


def maps_of(raw, side=32):
    raw = np.asarray(raw, np.float32)
    return Maps(raw, (side, side), "grad-cam", "layer", np.zeros(len(raw), np.int64))


def noise(n=6, side=64):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def test_correlation_goes_by_rank_and_has_none_for_an_empty_map():
    rng = np.random.default_rng(0)
    one = rng.uniform(0.1, 1, (3, 8, 8))
    other = np.stack([one[0] ** 5, -one[1], rng.uniform(0.1, 1, (8, 8))])
    found = rank_correlations(maps_of(one), maps_of(other))
    assert found[0] == pytest.approx(1)
    assert np.isnan(found[1])
    assert abs(found[2]) < 0.4
    with pytest.raises(ValueError, match="make both of one layer"):
        rank_correlations(maps_of(one), maps_of(one[:, :4]))


def test_only_the_named_parts_become_random_and_the_network_itself_does_not():
    net = build("test_resnet", 3).eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    names = parts_from_the_top(net)
    assert names == ("fc", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1")
    assert parts_from_the_top(build("test_efficientnet", 3))[1:3] == ("bn2", "conv_head")
    new = randomised(net, RESNET, noise(), parts=names[:2], seed=1)
    changed = {k.split(".")[0] for k, v in new.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"fc", "layer4"}
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    again, other = (randomised(net, RESNET, noise(), parts=names[:2], seed=s) for s in (1, 2))
    assert torch.equal(new.fc.weight, again.fc.weight)
    assert not torch.equal(new.fc.weight, other.fc.weight)


def test_a_method_that_never_asks_the_head_passes_until_its_own_layer_is_random():
    net = build("test_resnet", 3, zero_init_last=False).eval()
    table = weight_randomisation(
        net, RESNET, noise(), methods=("eigencam", "hirescam"), layer="layer2", seeds=(0,)
    )
    eigen = table[table["method"] == "eigencam"].set_index("part")["correlation"]
    assert eigen[["fc", "layer4", "layer3"]].min() == pytest.approx(1)
    assert eigen["conv1"] < 0.9
    assert table[table["method"] == "hirescam"].set_index("part")["correlation"]["fc"] < 0.9


@pytest.mark.parametrize("cover", ["glass", "blur"])
def test_the_right_order_takes_the_class_away_faster_than_noise(cover):
    pixels, _ = spot_tiles()
    net = SpotNet()
    maps = explain(net, CARD, pixels, layer="act")
    right, chance = (deletion_insertion(net, CARD, pixels, m, cover=cover) for m in (maps, noise_like(maps)))
    assert (right.deletion < chance.deletion).all()
    assert (right.insertion > chance.insertion).all()
    assert right.table["share"].iloc[[0, -1]].tolist() == [0, 1]
    assert right.table["deletion"].iloc[0] == pytest.approx(right.table["insertion"].iloc[-1], abs=1e-5)


def test_curves_of_an_empty_map_are_not_made_up():
    pixels, _ = spot_tiles(2)
    maps = explain(SpotNet(), CARD, pixels, layer="act")
    empty = replace(maps, raw=maps.raw * np.array([0, 1], np.float32)[:, None, None])
    found = deletion_insertion(SpotNet(), CARD, pixels, empty, steps=3)
    assert np.isnan(found.deletion[0])
    assert np.isfinite(found.deletion[1])
    assert np.isfinite(found.table.to_numpy()).all()
    for options, words in (({"cover": "black"}, "cover='black'"), ({"steps": 1}, "steps=1")):
        with pytest.raises(ValueError, match=words):
            deletion_insertion(SpotNet(), CARD, pixels, maps, **options)
    with pytest.raises(ValueError, match="names no class"):
        deletion_insertion(SpotNet(), CARD, pixels, maps.of(np.full(2, -1)))


def test_attention_everywhere_is_chance_and_attention_on_a_part_is_all_of_it():
    _, masks = spot_tiles(4)
    parts = {"spot": masks, "rest": ~masks}
    flat = attention_shares(maps_of(np.ones((4, 32, 32))), parts)
    np.testing.assert_allclose(flat["share"], flat["chance"], rtol=1e-6)
    on = attention_shares(maps_of(masks), parts)
    assert on.loc[on["part"] == "spot", "share"].tolist() == [1] * 4
    table = against_chance(on, np.array(list("aabb")), draws=50)
    assert table.loc["spot", "times"] == pytest.approx(32 * 32 / 96)
    assert table.loc["rest", "times"] == 0
    assert table.loc["spot", "tiles"] == 4


def test_within_the_tumour_a_map_of_the_tumour_is_chance():
    _, masks = spot_tiles(3)
    tumour = np.zeros_like(masks)
    tumour[:, 4:20] = True
    parts = {"spot": masks}
    wide, narrow = (attention_shares(maps_of(tumour), parts, within=w) for w in (None, tumour))
    assert (wide["share"] / wide["chance"]).tolist() == pytest.approx([2] * 3)
    assert (narrow["share"] / narrow["chance"]).tolist() == pytest.approx([1] * 3)


def test_empty_maps_have_no_share_and_absent_parts_no_ratio():
    _, masks = spot_tiles(3)
    raw = np.ones((3, 4, 4))
    raw[0] = -1
    shares = attention_shares(maps_of(raw), {"spot": masks, "nowhere": np.zeros_like(masks)})
    assert np.isnan(shares.loc[0, "share"])
    table = against_chance(shares, np.arange(3), draws=20)
    assert table["tiles"].tolist() == [2, 0]
    assert np.isnan(table.loc["nowhere", "times"])
    with pytest.raises(ValueError, match="part 'spot' is bool"):
        attention_shares(maps_of(raw), {"spot": masks[:2]})
