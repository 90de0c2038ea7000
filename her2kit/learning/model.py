"""Networks by name, and how pixels become their input. No weights are fetched unless they are asked for.

A classifier is any model of timm; a segmenter is ``<architecture>:<encoder>`` of segmentation-models-pytorch,
such as ``segformer:mit_b0``. A number makes its decoder so many channels wide, ``fpn-64:tu-resnet18``: on a
CPU the usual 256 cost more than a small encoder. A card's ``architecture`` is such a name, so that ``build``
makes the network that the weights belong to.
"""

from typing import Any

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card
from her2kit.learning.torchvision_ops import ensure_torchvision


def build(
    architecture: str,
    n_classes: int,
    *,
    channels: int = 3,
    seed: int = 0,
    pretrained: bool = False,
    **options: Any,
) -> Any:
    """Return a torch module with weights drawn from ``seed``.

    Parameters
    ----------
    channels
        Of the input: 3 is RGB, 6 two pictures.
    pretrained
        Fetch the weights that the library offers (ImageNet); needs a network.
    options
        Handed on to timm or segmentation-models-pytorch, such as ``drop_path_rate=0.1``.

    Raises
    ------
    ValueError
        If the name is not known; near ones are named.
    WeightsError
        If pretrained weights cannot be had.
    """
    ensure_torchvision()
    import torch

    if n_classes < 2 or channels < 1:
        raise ValueError(f"n_classes={n_classes}, channels={channels}; use at least 2 classes and 1 channel")
    make = _segmenter if ":" in architecture else _classifier
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return make(architecture, n_classes, channels, pretrained, options)
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            raise WeightsError(
                f"pretrained weights of {architecture} cannot be had ({type(error).__name__}); pass "
                "pretrained=False, or fill the hub's cache (HF_HOME) where there is a network"
            ) from error


def from_card(card: Card) -> Any:
    """Return the untrained network that a card names."""
    return build(card.architecture, len(card.class_names), channels=card.channels)


def to_input(pixels: Any, *, mean: Any = 0.5, sd: Any = 0.5) -> Any:
    """Return what a network takes, float (n, c, h, w), of uint8 pixels (n, c, h, w).

    Parameters
    ----------
    mean, sd
        One number, or one a channel, for pixels of 0 to 1.
    """
    import torch

    shift, scale = (
        torch.as_tensor(v, dtype=torch.float32, device=pixels.device).reshape(-1, 1, 1) for v in (mean, sd)
    )
    return (pixels.float() / 255 - shift) / scale


def to_probabilities(logits: Any, card: Card) -> Any:
    """Return the softmax over classes (axis 1) of logits, 0 for the class that is never predicted."""
    import torch

    logits = logits.float()
    if card.unannotated:
        closed = torch.zeros(len(card.class_names), device=logits.device)
        closed[card.class_names.index(card.unannotated)] = -torch.inf
        logits = logits + closed.reshape(-1, *[1] * (logits.ndim - 2))
    return logits.softmax(1)


def _classifier(name: str, n_classes: int, channels: int, pretrained: bool, options: dict[str, Any]) -> Any:
    import timm
    import torch

    if not timm.is_model(name):
        raise ValueError(
            f"architecture={name!r} is not known to timm; near: {_near(name, timm.list_models())}"
        )
    net = timm.create_model(name, pretrained, num_classes=n_classes, in_chans=channels, **options)
    head = net.get_classifier()  # type: ignore[operator]
    if isinstance(head, torch.nn.Linear):  # timm's own start is wide for few classes: losses of 3 and more
        torch.nn.init.normal_(head.weight, std=0.01)
        torch.nn.init.zeros_(head.bias)
    return net


def _segmenter(name: str, n_classes: int, channels: int, pretrained: bool, options: dict[str, Any]) -> Any:
    import segmentation_models_pytorch as smp

    arch, _, encoder = name.partition(":")
    arch, _, width = arch.partition("-")
    if width:
        options = _decoder(name, arch, width) | options
    encoders = smp.encoders.get_encoder_names()
    if not encoder.startswith("tu-") and encoder not in encoders:
        raise ValueError(f"architecture={name!r}: no such encoder; near: {_near(encoder, encoders)}")
    given = "imagenet" if pretrained else None
    try:
        return smp.create_model(arch, encoder, given, in_channels=channels, classes=n_classes, **options)
    except KeyError as error:  # raised for the part before the colon, with the list of what there is
        raise ValueError(f"architecture={name!r}: {error.args[0]}") from error


def _decoder(name: str, arch: str, width: str) -> dict[str, int]:
    """Return what makes a decoder of ``width`` channels."""
    channels = int(width) if width.isdigit() else 0
    if arch not in ("fpn", "segformer") or channels % 64 or not 64 <= channels <= 1024:
        raise ValueError(f"architecture={name!r}: use fpn or segformer, 64, 128, ... 1024 channels wide")
    if arch == "segformer":
        return {"decoder_segmentation_channels": channels}
    return {"decoder_pyramid_channels": channels, "decoder_segmentation_channels": channels // 2}


def _near(name: str, known: list[str]) -> str:
    import difflib

    return ", ".join(difflib.get_close_matches(name, known, n=4, cutoff=0.4)) or "none"
