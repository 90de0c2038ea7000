"""Costs of a step: two passes against one, memory as it can be counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from her2kit.exchange.card import Card
from her2kit.learning.classification import Classification
from her2kit.learning.step_cost import step_costs
from her2kit.learning.train_settings import TrainSettings

torch = pytest.importorskip("torch", reason="the train extra is not installed")

SETTINGS = TrainSettings(accelerator="cpu", channels_last=False)
CARD = Card("t", "n", ("a", "b"), input_px=64)


class Counted(Classification):
    passes = 0

    def loss(self, net, batch):
        self.passes += 1
        return super().loss(net, batch)


def choice(side=64, **change):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Sigmoid(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(16, 2),
    )  # fmt: skip
    batch = [torch.zeros(8, 3, side, side, dtype=torch.uint8), torch.zeros(8, dtype=torch.long)]
    return Counted(net, CARD), batch, replace(SETTINGS, **change)


def test_costs():
    choices = {
        "plain": choice(), "sharpness-aware": choice(sam_rho=0.05), "half the side": choice(side=32),
        "bfloat16": choice(precision="bf16-mixed"),
    }  # fmt: skip
    table = step_costs(choices, rounds=3)
    assert choices["plain"][0].passes == 1 + 4
    assert choices["sharpness-aware"][0].passes == 1 + 8
    assert table.loc["plain", ["ratio", "saved_ratio"]].tolist() == [1, 1]
    assert (table["seconds"] > 0).all()
    # the picture as float and what the sigmoid gave, 4 bytes each
    assert table.loc["plain", "saved_mb"] == pytest.approx(8 * 64 * 64 * (3 + 16) * 4 / 2**20, rel=0.01)
    assert table.loc["half the side", "saved_ratio"] == pytest.approx(0.25, rel=0.01)
    assert table.loc["sharpness-aware", "saved_ratio"] == 1
    assert 0.4 < table.loc["bfloat16", "saved_ratio"] < 0.7
    assert np.isfinite(table).all(axis=None)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="0 choices and rounds=5"):
        step_costs({})
