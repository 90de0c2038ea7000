"""Tiles with a planted spot, and a network that sees nothing else: the right map is known."""

import numpy as np
import torch

from her2kit.exchange.card import Card

CARD = Card("planted", "planted", ("plain", "spot"), input_px=32, mean=0.0, sd=1.0)
SPOT = (slice(8, 16), slice(16, 28))


class SpotNet(torch.nn.Module):
    """Red where there is no blue speaks for class 1, blue for class 0; a mean over the places decides."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 2, 1, bias=False)
        self.act = torch.nn.ReLU(inplace=True)
        self.head = torch.nn.Linear(2, 2)
        with torch.no_grad():
            self.features.weight.copy_(torch.tensor([[1.0, 0, -1], [-1, 0, 1]])[..., None, None])
            self.head.weight.copy_(torch.tensor([[0.0, 9.0], [9.0, 0.0]]))
            self.head.bias.copy_(torch.tensor([0.4, 0.0]))

    def forward(self, x):
        return self.head(self.act(self.features(x)).mean((2, 3)))


def spot_tiles(n=4, seed=0):
    """Return grey tiles with a red spot at `SPOT`, and its mask."""
    rng = np.random.default_rng(seed)
    pixels = np.repeat(rng.integers(60, 200, (n, 32, 32, 1), dtype=np.uint8), 3, axis=3)
    pixels[(slice(None), *SPOT)] = (230, 40, 20)
    masks = np.zeros((n, 32, 32), bool)
    masks[(slice(None), *SPOT)] = True
    return pixels, masks
