"""Maps of networks whose answer is known; layers, methods, kinds of network; what cannot be explained."""

import os
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from explained import CARD, SPOT, SpotNet, spot_tiles  # noqa: E402

from her2kit.exchange.card import Card  # noqa: E402
from her2kit.learning.explain import METHODS, explain  # noqa: E402
from her2kit.learning.explain_detector import explain_detector, inner_module  # noqa: E402
from her2kit.learning.explain_layers import default_layer, find_layer, layer_table  # noqa: E402
from her2kit.learning.model import build  # noqa: E402

CLASSES = ("0", "1+", "2+", "3+")


def noise(n=3, side=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def card(architecture, side=64):
    return Card("test", architecture, CLASSES, input_px=side)


@pytest.fixture(scope="module")
def net():
    return build("test_resnet", 4, zero_init_last=False).eval()


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "hirescam", "layercam"])
def test_the_map_lies_where_the_class_lies(method):
    pixels, masks = spot_tiles()
    maps = explain(SpotNet(), CARD, pixels, method=method, layer="act")
    assert (maps.classes == 1).all()
    found = maps.scaled()
    assert found.shape == masks.shape
    assert found[~masks].max() == 0
    assert found[masks].min() > 0.99


@pytest.mark.filterwarnings("ignore:.*all zero")
def test_hirescam_adds_up_to_what_the_class_got_and_a_contrast_to_the_difference():
    pixels, _ = spot_tiles()
    net = SpotNet()
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    logits = (net(x) - net.head.bias).detach().numpy()
    maps = explain(net, CARD, pixels, method="hirescam", layer="act", of="spot")
    np.testing.assert_allclose(maps.raw.sum(axis=(1, 2)), logits[:, 1], rtol=1e-4)
    one, other = (
        explain(net, CARD, pixels, method="hirescam", layer="act", of=a, against=b)
        for a, b in ((1, 0), (0, 1))
    )
    np.testing.assert_allclose(one.raw, -other.raw, atol=1e-6)
    np.testing.assert_allclose(one.raw.sum(axis=(1, 2)), logits[:, 1] - logits[:, 0], rtol=1e-4)
    assert one.signed().max() > 0


def test_eigencam_is_high_where_the_layer_is_active():
    pixels, masks = spot_tiles()
    found = explain(SpotNet(), CARD, pixels, method="eigencam", layer="act").scaled()
    assert found[masks].min() > found[~masks].max()


@pytest.mark.parametrize("method", METHODS)
def test_batches_do_not_matter_and_the_network_stays_as_it_was(net, method):
    before = {k: v.clone() for k, v in net.state_dict().items()}
    x = noise()
    whole = explain(net, card("test_resnet"), x, method=method)
    single = explain(net, card("test_resnet"), x, method=method, batch_size=1)
    np.testing.assert_allclose(whole.raw, single.raw, rtol=1e-3, atol=1e-6)
    assert whole.raw.shape == (3, 2, 2)
    assert whole.evidence().shape == (3, 64, 64)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())
    assert len(explain(net, card("test_resnet"), x[:0], method=method)) == 0


def test_grad_cam_is_hirescam_before_a_mean_over_places(net):
    a, b = (explain(net, card("test_resnet"), noise(), method=m).raw for m in ("grad-cam", "hirescam"))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_what_writes_over_a_layers_output_does_not_change_its_map(net):
    layer = "layer1.0.bn1"
    _, act = find_layer(net, "layer1.0.act1")
    found = {}
    for inplace in (True, False):
        act.inplace = inplace
        found[inplace] = explain(net, card("test_resnet"), noise(), method="hirescam", layer=layer).raw
    act.inplace = True
    np.testing.assert_allclose(found[True], found[False], rtol=1e-5, atol=1e-9)
    assert found[True].min() < 0


@pytest.mark.parametrize(
    ("architecture", "side", "layer"),
    [
        ("test_resnet", 64, "layer4"),
        ("test_efficientnet", 64, "blocks.4"),
        ("test_vit", 160, "blocks.5.norm1"),
    ],
)
def test_the_default_layer_of_other_networks_has_places(architecture, side, layer):
    other = build(architecture, 4)
    assert default_layer(other) == layer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maps = explain(other, card(architecture, side), noise(2, side), method="layercam")
    assert maps.raw.shape[1] > 1
    assert maps.layer == layer


def test_layers_are_found_by_either_notation_and_near_ones_are_named(net):
    assert find_layer(net, "layer4[0].conv2")[0] == "layer4.0.conv2"
    with pytest.raises(ValueError, match=r"layer='layer5' does not exist; near: layer"):
        find_layer(net, "layer5")
    with pytest.raises(ValueError, match="near: conv1, bn1, act1, maxpool, layer1"):
        find_layer(net, "qqqq")
    table = layer_table(net, side_px=64)
    assert table.loc["layer4", ["rows", "columns"]].tolist() == [2, 2]
    assert table["rows"].is_monotonic_decreasing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "gradcam"}, "method='gradcam'; use one of grad-cam"),
        ({"of": "4+"}, "label '4\\+' is no class"),
        ({"of": ["0", "1+"]}, "3 tiles and 2 classes"),
        ({"method": "eigencam", "of": "0"}, "eigencam' knows no classes"),
        ({"layer": "fc"}, "layer='fc' gives .*no map of places"),
        ({"layer": "global_pool"}, "no map of places; use an earlier layer"),
    ],
)
def test_what_cannot_be_explained_is_said(net, options, words):
    with pytest.raises(ValueError, match=words):
        explain(net, card("test_resnet"), noise(), **options)


def test_a_map_that_is_all_zero_is_said_and_stays_zero():
    # A residual branch starts at zero, so nothing flows back to its last convolution.
    net = build("resnet18", 4)
    with pytest.warns(UserWarning, match=r"3 of 3 maps \(grad-cam at layer4.1.conv2\) are all zero"):
        maps = explain(net, card("resnet18"), noise(), layer="layer4[1].conv2")
    assert maps.empty.all()
    assert (maps.scaled() == 0).all()


def test_two_pictures_of_a_place_are_explained_together():
    net = build("test_resnet", 4, channels=6, zero_init_last=False)
    six = Card("test", "test_resnet", CLASSES, input_px=64, channels=6)
    pixels = np.concatenate([noise(2), noise(2, seed=1)], axis=3)
    assert explain(net, six, pixels, method="layercam", layer="layer2").raw.shape == (2, 8, 8)


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    pytest.importorskip("ultralytics")
    os.environ |= {"YOLO_OFFLINE": "True", "YOLO_AUTOINSTALL": "False"}
    os.environ["YOLO_CONFIG_DIR"] = str(tmp_path_factory.mktemp("yolo"))
    from her2kit.learning.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from her2kit.learning.yolo_offline import patches_undone

    with patches_undone():
        from ultralytics import YOLO

    return YOLO("yolo11n.yaml")


def test_a_detector_is_explained_and_never_trained(yolo, monkeypatch):
    def train(*_, **__):
        raise AssertionError("a training began")

    monkeypatch.setattr(type(yolo), "train", train)
    pixels = noise(2, 96)
    maps = explain_detector(yolo, pixels)
    assert maps.layer == "model.16"
    assert maps.raw.shape == (2, 12, 12)
    for parameter in yolo.model.parameters():
        parameter.requires_grad_(False)
    one = explain_detector(yolo, pixels, method="hirescam", of=0)
    assert one.classes.tolist() == [0, 0]
    assert not one.empty.any()
    assert inner_module(yolo.model) is yolo.model


def test_what_a_detector_cannot_take_is_said(yolo, net):
    with pytest.raises(ValueError, match="multiples of 32"):
        explain_detector(yolo, noise(1, 100))
    with pytest.raises(ValueError, match=r"near: model\.16"):
        explain_detector(yolo, noise(1, 96), layer="modl.16")
    with pytest.raises(ValueError, match="classes 0 to 79"):
        explain_detector(yolo, noise(1, 96), method="grad-cam", of=80)
    with pytest.raises(ValueError, match="without a detection head"):
        explain_detector(net, noise(1, 96))


def test_the_spot_is_where_the_tests_say():
    pixels, masks = spot_tiles(1)
    assert (pixels[0][SPOT][..., 0] == 230).all()
    assert masks.sum() == 96
