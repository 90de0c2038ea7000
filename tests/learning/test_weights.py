"""Weights and cards: an exact round trip, and a clear word where file, card and network do not fit."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card, read_card
from her2kit.learning import weights
from her2kit.learning.weights import content_sha256

torch = pytest.importorskip("torch", reason="the train extra is not installed")

CARD = Card(
    "tissue_classifier", "tiny", ("a", "b"), mpp=0.5, input_px=32, mean=(0.5, 0.4, 0.3), settings={"lr": 0.1},
    figures={"macro_f1": 0.5, "kappa_quadratic": None}, limits=("Knows nothing.",),
)  # fmt: skip


def net(classes=2):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, classes)
    ).to(memory_format=torch.channels_last)


@pytest.fixture
def saved(tmp_path):
    weights.save(tmp_path / "w.safetensors", net().state_dict(), CARD)
    return tmp_path / "w.safetensors"


def test_round_trip(tmp_path):
    one, other = net(), net()
    card = weights.save(tmp_path / "w.safetensors", one.state_dict(), CARD)
    assert weights.load(tmp_path / "w.safetensors", other) == card == replace(CARD, sha256=card.sha256)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert read_card(tmp_path / "w.json") == card


def test_figures_that_are_not_defined_are_valid_json(tmp_path):
    card = replace(CARD, figures={"f1": math.nan, "n": np.float32(2)})
    weights.save(tmp_path / "w.safetensors", net().state_dict(), card)
    assert json.loads((tmp_path / "w.json").read_text())["figures"] == {"f1": None, "n": 2.0}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"architecture": "big"}, "architecture is 'tiny', not 'big'; load other weights"),
        ({"task": "patch_grader"}, "task is 'tissue_classifier', not 'patch_grader'"),
        ({"class_names": ("a", "b", "c")}, "has 2 classes, not 3"),
        ({"class_names": ("b", "a")}, "has classes a, b; load other"),
    ],
)
def test_another_model_than_asked_for_is_refused(saved, asked, words):
    with pytest.raises(WeightsError, match=words):
        weights.load(saved, net(), **asked)


def test_weights_of_another_network_are_refused_and_change_nothing(saved):
    other = net(classes=3)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(WeightsError, match=r"2\.bias is \(2,\), in the network \(3,\)"):
        weights.load(saved, other)
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    with pytest.raises(WeightsError, match=r"tensors are in the file or the network alone \(0\.bias\)"):
        weights.load(saved, torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False)))


def test_a_card_that_does_not_match_is_refused(saved, tmp_path):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(WeightsError, match=r"sha256 .* is not the .* of its card"):
        read_card(saved)
    saved.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"has no card; put w\.json beside it"):
        read_card(saved)
    with pytest.raises(WeightsError, match="no such weights"):
        read_card(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card | {"version": 99}, "card of version 99, this her2kit reads 1"),
        (lambda card: {k: v for k, v in card.items() if k != "architecture"}, "is not a card .*architecture"),
        (lambda card: [card], "is not a card"),
        (lambda card: card | {"class_names": []}, "is not a card .*class_names"),
    ],
)
def test_a_broken_card_is_named(saved, change, words):
    path = saved.with_suffix(".json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(WeightsError, match=words):
        read_card(saved)


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code ran on opening",))

    path = tmp_path / "w.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match=r"only \.safetensors are opened"):
        weights.load(path, net())


def test_content_hash_sees_every_change(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"1")
    array, table = np.arange(4), pd.DataFrame({"a": [1, 2]})
    seen = {content_sha256(array, table, file, ["x"])}
    seen.add(content_sha256(array.reshape(2, 2), table, file, ["x"]))
    seen.add(content_sha256(array.astype(float), table, file, ["x"]))
    seen.add(content_sha256(array, table.assign(a=[2, 1]), file, ["x"]))
    seen.add(content_sha256(array, table, file, ["y"]))
    file.write_bytes(b"2")
    seen.add(content_sha256(array, table, file, ["x"]))
    assert len(seen) == 6
    assert content_sha256(array[::-1]) == content_sha256(array[::-1].copy())
