"""Tiles to classes: samples, the network by name, the reference's faults as switches, ONNX beside torch."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.learning import tissue_classifier
from her2kit.learning.augment import Augmentation
from her2kit.learning.classification import Classification, TileSamples, balanced_weights, predict
from her2kit.learning.datasets.mihic import black_to_white
from her2kit.learning.export import export_onnx, session
from her2kit.learning.model import build, from_card, to_input
from her2kit.learning.tissue_classifier import CLASSES
from her2kit.learning.train_settings import TrainSettings

torch = pytest.importorskip("torch", reason="the train extra is not installed")

SETTINGS = TrainSettings(epochs=8, batch_size=8, lr=4e-3, accelerator="cpu", progress=False)
SMALL = {"architecture": "test_efficientnet", "size_px": 32, "settings": SETTINGS}


def tiles(n, seed, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    mean = np.array([[200, 200, 200], [150, 90, 60], [90, 90, 170]])[labels][:, None, None]
    return np.clip(rng.normal(mean, 30, (n, 32, 32, 3)), 1, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    x, y = tiles(60, 0)
    return tissue_classifier.train(
        x, np.array(CLASSES)[y], *tiles(40, 1), folder=tmp_path_factory.mktemp("tissue"),
        augmentation=Augmentation(mix="cutmix", small=0.5), **SMALL,
    )  # fmt: skip


def test_it_learns_says_its_limits_and_comes_back(trained):
    assert trained.card.figures["macro_f1"] > 0.9
    assert trained.card.class_names == CLASSES
    assert "Trained without a tile of: immune, necrosis, alveoli, other." in trained.card.limits
    x, y = tiles(40, 2)
    p = trained.probabilities(x)
    assert p.shape == (40, 7)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p.argmax(axis=1) == y).mean() > 0.9
    again = tissue_classifier.load(trained.trained.weights, class_names=CLASSES)
    np.testing.assert_array_equal(again.probabilities(x), p)
    assert trained.probabilities(x[:0]).shape == (0, 7)


def test_weights_for_other_classes_are_refused(trained):
    with pytest.raises(WeightsError, match="has 7 classes, not 2"):
        tissue_classifier.load(trained.trained.weights, class_names=("a", "b"))


def test_files_are_as_good_as_arrays(trained, tmp_path):
    x, _ = tiles(6, 3)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, tile in zip(paths, x, strict=True):
        cv2.imwrite(str(path), tile[..., ::-1])
    np.testing.assert_array_equal(trained.probabilities(paths), trained.probabilities(x))


def test_how_a_tile_lies_changes_nothing(trained):
    x, _ = tiles(8, 5)
    p = trained.probabilities(x)
    for turned in (np.rot90(x, 1, (1, 2)), x[:, ::-1], np.rot90(x, 3, (1, 2))[:, :, ::-1]):
        np.testing.assert_allclose(trained.probabilities(np.ascontiguousarray(turned)), p, atol=1e-5)
    once = predict(trained.net, trained.card, x, prepare=black_to_white)
    assert np.abs(once - p).max() > 1e-4


def test_onnx_gives_what_torch_gives(trained, tmp_path):
    card = export_onnx(trained.net, trained.card, tmp_path / "tissue.onnx")
    assert read_card(tmp_path / "tissue.onnx") == card
    x, _ = tiles(5, 4)
    run = session(tmp_path / "tissue.onnx", threads=1)
    for some in (x, x[:1]):
        np.testing.assert_allclose(run(some), predict(trained.net, trained.card, some), atol=1e-5)
    with pytest.raises(ValueError, match=r"give a name that ends in \.onnx"):
        export_onnx(trained.net, trained.card, tmp_path / "tissue.pt")


def test_a_network_that_onnx_gets_wrong_is_not_written(tmp_path):
    """Noise in the network makes any comparison fail."""

    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 2)

        def forward(self, x):
            return self.layer(x.mean((1, 2, 3), keepdim=True)[:, :, 0, 0] + torch.rand(1))

    with pytest.raises(WeightsError, match=r"ONNX differs from torch by .*nothing is written"):
        export_onnx(Noisy(), Card("t", "noisy", ("a", "b"), input_px=4), tmp_path / "n.onnx")
    assert list(tmp_path.iterdir()) == []


def test_black_is_missing_and_becomes_white():
    tile = np.full((2, 2, 3), 7, np.uint8)
    tile[0, 0], tile[0, 1] = 0, (0, 0, 1)
    fixed = black_to_white(tile)
    assert fixed[0, 0].tolist() == [255, 255, 255]
    assert fixed[0, 1].tolist() == [0, 0, 1]
    assert fixed[1, 1].tolist() == [7, 7, 7]
    assert tile[0, 0].tolist() == [0, 0, 0]
    samples = TileSamples(
        tile.repeat(4, 0).repeat(4, 1)[None], [0], ("a", "b"), size_px=8, prepare=black_to_white
    )
    assert samples[0][0][:, 0, 0].tolist() == [255, 255, 255]


def test_softmax_before_the_loss_is_the_fault_it_is_named_for():
    """Probabilities as logits: the loss of a perfect answer cannot fall below log(e + 1) - 1."""
    net, card = torch.nn.Identity(), Card("t", "none", ("a", "b"), input_px=1, mean=0, sd=1 / 255)
    sure = torch.tensor([[100, 0], [100, 0]], dtype=torch.uint8)[:, :, None, None]
    flat = torch.nn.Sequential(net, torch.nn.Flatten())
    batch = (sure, torch.tensor([0, 0]))
    right = Classification(flat, card).loss(flat, batch)
    wrong = Classification(flat, card, softmax_first=True).loss(flat, batch)
    assert float(right) < 1e-6
    assert float(wrong) == pytest.approx(np.log(np.e + 1) - 1, abs=1e-6)


def test_class_weights_make_classes_count_alike():
    labels = np.array([0] * 6 + [2] * 2)
    factors = balanced_weights(labels, 3)
    assert factors.tolist() == pytest.approx([8 / 12, 0, 2])
    assert factors[labels].mean() == pytest.approx(1)
    half = balanced_weights(labels, 3, power=0.5)
    assert half[2] / half[0] == pytest.approx(3**0.5)
    assert half[labels].mean() == pytest.approx(1)
    assert balanced_weights(labels, 3, power=0)[labels].tolist() == [1] * 8
    with pytest.raises(ValueError, match="power=2; use 0 to 1"):
        balanced_weights(labels, 3, power=2)
    with pytest.raises(ValueError, match="class_weights has 2 numbers; give 3, one a class"):
        Classification(None, Card("t", "n", ("a", "b", "c")), class_weights=np.ones(2))


def test_samples_of_pairs_and_of_other_sizes():
    x = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 6), dtype=np.uint8)
    samples = TileSamples(x, ["b", "a", "b", "a"], ("a", "b"), size_px=32, augmentation=Augmentation())
    picture, label = samples[0]
    assert (picture.shape, picture.dtype, label) == ((6, 32, 32), torch.uint8, 1)
    plain = TileSamples(x, [0, 1, 0, 1], ("a", "b"), size_px=20)
    np.testing.assert_array_equal(plain[2][0].permute(1, 2, 0), x[2])
    assert plain.fingerprint() != TileSamples(x, [0, 1, 0, 0], ("a", "b"), size_px=20).fingerprint()
    wide = TileSamples(x[:, :10], [0, 1, 0, 1], ("a", "b"), size_px=32, augmentation=Augmentation())
    assert {wide[i][0].shape for i in range(4)} == {(6, 32, 64)}
    net = build("test_efficientnet", 2, channels=6)
    assert predict(net, Card("t", "x", ("a", "b"), input_px=32, channels=6), x).shape == (4, 2)
    with pytest.raises(ValueError, match="pixels has 3 channels, the network takes 6"):
        predict(net, Card("t", "x", ("a", "b"), input_px=32, channels=6), x[..., :3])
    with pytest.raises(ValueError, match="size_px=0; use 8 or more"):
        TileSamples(x, [0, 1, 0, 1], ("a", "b"), size_px=0)


def test_networks_come_by_name_and_seed():
    one, same, other = (build("test_efficientnet", 3, seed=s) for s in (0, 0, 1))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    card = Card("t", "test_efficientnet", ("a", "b", "c"))
    assert {n: p.shape for n, p in from_card(card).named_parameters()} == {
        n: p.shape for n, p in one.named_parameters()
    }
    x = to_input(torch.tensor([[0, 255]]).reshape(1, 2, 1, 1), mean=(0.0, 0.5), sd=(1.0, 0.5))
    assert x.flatten().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("name", [tissue_classifier.FAST, tissue_classifier.FULL])
def test_the_named_networks_exist(name):
    import timm

    assert name in timm.list_models()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tf_efficientnetv2_q", "not known to timm; near: tf_efficientnetv2_"),
        ("segfrmer:mit_b0", "architecture='segfrmer:mit_b0': Wrong architecture"),
        ("segformer:mitb0", "no such encoder; near: mit_b0"),
    ],
)
def test_a_name_that_is_not_known_names_near_ones(name, words):
    with pytest.raises(ValueError, match=words):
        build(name, 3)


def test_pretrained_weights_without_a_network(monkeypatch):
    import huggingface_hub.constants
    import timm.models._builder as builder

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def no_network(*_args, **_kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(builder, "load_state_dict_from_hf", no_network)
    monkeypatch.setattr(builder, "load_state_dict_from_url", no_network)
    with pytest.raises(WeightsError, match=r"cannot be had \(OSError\); pass pretrained=False"):
        build("resnet18", 3, pretrained=True)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["tumour"], "2 tiles and 1 labels"),
        (["tumour", "tumor"], "label 'tumor' is no class; use background, tumour"),
        ([0, 7], "label 7 is no class"),
        ([None, "tumour"], "label None is no class"),
    ],
)
def test_labels_are_checked(labels, words):
    with pytest.raises(ValueError, match=words):
        TileSamples(np.zeros((2, 4, 4, 3), np.uint8), labels, CLASSES)


def test_parameters_reach_the_card(tmp_path):
    done = tissue_classifier.train(
        *tiles(10, 0), *tiles(6, 1), folder=tmp_path, mpp=1.0, class_names=("a", "b", "c"),
        softmax_first=True, balance=0, **(SMALL | {"settings": replace(SETTINGS, epochs=1)}),
    )  # fmt: skip
    card = json.loads((tmp_path / "best.json").read_text())
    assert (card["mpp"], card["input_px"], card["architecture"]) == (1.0, 32, "test_efficientnet")
    assert done.trained.best_epoch == 1
