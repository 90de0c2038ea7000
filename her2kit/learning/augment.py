"""Make a tile look as if it lay elsewhere, was stained or scanned otherwise, or was mixed with another one.

Tiles are turned and mirrored at no cost: tissue has no upright. Colour is jittered, RandAugment does whatever
it draws, Mixup and CutMix blend the pictures of a batch and their labels. Progressive learning begins with
small pictures and weak augmentation and ends with large and strong ones. All draws come from torch's default
generator. Two pictures of one place, six channels, are changed in the same way.

References
----------
Cubuk ED et al. RandAugment. NeurIPS 2020. Zhang H et al. mixup. ICLR 2018. Yun S et al. CutMix. ICCV 2019.
Tan M, Le QV. EfficientNetV2: smaller models and faster training. ICML 2021 (progressive learning).
"""

from dataclasses import dataclass
from typing import Any

from her2kit.learning.torchvision_ops import ensure_torchvision

MIXES = ("none", "mixup", "cutmix", "both")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to training samples; nothing of it is ever done to those that judge."""

    turn: bool = True
    """Quarter turns and mirror images, all eight alike; of what is not square only the four that fit."""
    jitter: float = 0.1
    """Most change of brightness, contrast and saturation, as a share; of hue a tenth of that."""
    randaugment: int = 0
    """Operations of RandAugment a tile; 0 leaves it out, 2 is usual. Its colours may turn brown to blue."""
    magnitude: int = 9
    """Of RandAugment, 0 to 30."""
    mix: str = "none"
    """``mixup``, ``cutmix``, or ``both``: one or the other, drawn for each batch."""
    mix_alpha: float = 0.4
    """Both parameters of the Beta distribution that the share of each picture is drawn from."""
    small: float = 1.0
    """Side of the pictures at the start, as a share of that at the end; below 1 is progressive learning."""
    weak: float = 1.0
    """Strength of jitter and RandAugment at the start, as a share of that at the end."""

    def __post_init__(self) -> None:
        if self.mix not in MIXES:
            raise ValueError(f"mix={self.mix!r}; use one of {', '.join(MIXES)}")
        for name, low, high in (
            ("jitter", 0, 1),
            ("randaugment", 0, 10),
            ("magnitude", 0, 30),
            ("small", 0.25, 1),
            ("weak", 0, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)}; use {low} to {high}")
        if not self.mix_alpha > 0:
            raise ValueError(f"mix_alpha={self.mix_alpha}; use a positive number (0.4 is usual)")


NONE = Augmentation(turn=False, jitter=0.0)
"""Leaves samples as they are."""


def size_at(augmentation: Augmentation, size_px: int, progress: float) -> int:
    """Return the side of training pictures: it grows in steps of 16 px, to ``size_px`` in the last third."""
    share = min(1.0, augmentation.small + (1 - augmentation.small) * progress * 1.5)
    return size_px if share >= 1 else min(size_px, max(16, round(size_px * share / 16) * 16))


class TileChange:
    """Changes tiles, uint8 tensors (3 or 6, h, w), as strongly as that point of the training wants it."""

    def __init__(self, augmentation: Augmentation, progress: float = 1.0) -> None:
        ensure_torchvision()
        from torchvision.transforms import v2

        strength = min(1.0, augmentation.weak + (1 - augmentation.weak) * progress * 1.5)
        self.turn = augmentation.turn
        self.steps: list[Any] = []
        if jitter := augmentation.jitter * strength:
            self.steps.append(v2.ColorJitter(jitter, jitter, jitter, min(0.5, jitter / 10)))
        if augmentation.randaugment and (magnitude := round(augmentation.magnitude * strength)):
            self.steps.append(v2.RandAugment(augmentation.randaugment, magnitude, fill=255))

    def __call__(self, tile: Any) -> Any:
        """Return the changed tile."""
        import torch

        if self.turn:
            turns, mirror = int(torch.randint(4, ())), bool(torch.randint(2, ()))
            if tile.shape[1] != tile.shape[2]:
                turns = 2 * (turns // 2)
            tile = torch.rot90(tile.flip(2) if mirror else tile, turns, (1, 2))
        if not self.steps:
            return tile
        drawn, parts = torch.get_rng_state(), []
        for part in tile.split(3):
            torch.set_rng_state(drawn)
            for step in self.steps:
                part = step(part)
            parts.append(part)
        return torch.cat(parts)


def mixed(pictures: Any, labels: Any, n_classes: int, augmentation: Augmentation) -> tuple[Any, Any]:
    """Return a batch mixed with itself: float pictures (n, c, h, w), and labels as shares (n, n_classes).

    With ``mix="none"`` both come back as they are.
    """
    if augmentation.mix == "none":
        return pictures, labels
    ensure_torchvision()
    import torch
    from torchvision.transforms import v2

    kinds = {"mixup": [v2.MixUp], "cutmix": [v2.CutMix], "both": [v2.MixUp, v2.CutMix]}[augmentation.mix]
    kind = kinds[int(torch.randint(len(kinds), ()))]
    return kind(alpha=augmentation.mix_alpha, num_classes=n_classes)(pictures, labels)
