"""Networks by name: near names, decoders of a chosen width, the same weights from the same seed."""

import pytest

pytest.importorskip("torch")

from her2kit.exchange.card import Card
from her2kit.learning.model import build, from_card


def weights_of(net) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("arch", ["fpn", "segformer"])
def test_a_narrow_decoder_has_fewer_weights_and_the_same_answer_shape(arch):
    import torch

    narrow, usual = (build(f"{arch}{width}:tu-lcnet_050", 7) for width in ("-64", ""))
    assert weights_of(narrow) < 0.8 * weights_of(usual)
    with torch.inference_mode():
        assert narrow.eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 7, 64, 96)


def test_a_card_rebuilds_the_width_that_it_names():
    card = Card("tissue_segmenter", "fpn-64:tu-lcnet_050", ("a", "b"))
    assert weights_of(from_card(card)) == weights_of(build("fpn-64:tu-lcnet_050", 2))


@pytest.mark.parametrize("name", ["unet-64:tu-lcnet_050", "fpn-32:tu-lcnet_050", "fpn-wide:tu-lcnet_050"])
def test_a_width_that_cannot_be_made_is_refused(name):
    with pytest.raises(ValueError, match=f"architecture='{name}': use fpn or segformer, 64, 128"):
        build(name, 7)
