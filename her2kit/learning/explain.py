"""Where a classifier looks: class activation maps of any network of timm, by the name of a layer.

Maps come from the grad-cam library and are kept as it computes them, before its scaling: that turns a map
without any evidence and a map with much into the same picture, and hides which of the two it was. A map says
what moved one class's output at one layer. It does not say that the network is right, nor that the map is
faithful: that is for `explain_checks` and `explain_curves`. Drawing is for `her2kit.report.explain_plots`.

References
----------
Selvaraju RR et al. Grad-CAM. ICCV 2017. Chattopadhay A et al. Grad-CAM++. WACV 2018.
Draelos RL, Carin L. Use HiResCAM instead of Grad-CAM. arXiv 2011.08891 (2020).
Jiang PT et al. LayerCAM. IEEE Trans Image Process 2021;30:5875-5888.
Muhammad MB, Yeasin M. Eigen-CAM. IJCNN 2020.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from her2kit.exchange.card import Card
from her2kit.learning.classification import TileSamples, label_numbers
from her2kit.learning.explain_layers import default_layer, find_layer, placed
from her2kit.learning.model import to_input
from her2kit.learning.task import ordered_batches
from her2kit.learning.torchvision_ops import ensure_torchvision

METHODS = {
    "grad-cam": "GradCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
}
"""Our names, and the library's. EigenCAM asks for no class: it shows what stands out at the layer."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps of some tiles, as the layer has them."""

    raw: np.ndarray
    """float32 (n, rows, columns), one number a place of the layer; what is negative speaks against."""
    size_px: tuple[int, int]
    """Height and width of the tiles."""
    method: str
    layer: str
    classes: np.ndarray
    """int64 (n,), the class that each map speaks for; -1 for EigenCAM and for all classes of a detector."""
    against: np.ndarray | None = None
    """int64 (n,), the class that it is held against; None where it is not."""

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def empty(self) -> np.ndarray:
        """Whether a map holds nothing in favour of its class, bool (n,)."""
        return np.asarray((self.raw <= 0).all(axis=(1, 2)))

    def evidence(self) -> np.ndarray:
        """Return what speaks for the class, float32 (n, h, w) of 0 or more, as large as the tiles."""
        return self._magnified(np.maximum(self.raw, 0))

    def signed(self) -> np.ndarray:
        """Return what speaks for and against, float32 (n, h, w), as large as the tiles."""
        return self._magnified(self.raw)

    def scaled(self) -> np.ndarray:
        """Return the evidence over its highest value, float32 (n, h, w) of 0 to 1; an empty map stays 0."""
        found = self.evidence()
        highest = found.max(axis=(1, 2), keepdims=True)
        return np.divide(found, highest, out=np.zeros_like(found), where=highest > 0)

    def of(self, classes: np.ndarray) -> "Maps":
        """Return the same maps under other classes: for EigenCAM, whose maps belong to none."""
        return replace(self, classes=np.asarray(classes, np.int64))

    def rows(self, which: Any) -> "Maps":
        """Return some of the maps, by number or by truth values."""
        against = None if self.against is None else self.against[which]
        return Maps(self.raw[which], self.size_px, self.method, self.layer, self.classes[which], against)

    def _magnified(self, values: np.ndarray) -> np.ndarray:
        height, width = self.size_px
        out = [cv2.resize(v, (width, height), interpolation=cv2.INTER_LINEAR) for v in values]
        return np.stack(out) if out else np.empty((0, height, width), np.float32)


def explain(
    net: Any,
    card: Card,
    pixels: np.ndarray | Sequence[str | Path],
    *,
    method: str = "grad-cam",
    layer: str | None = None,
    of: Any = None,
    against: Any = None,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    batch_size: int = 32,
    device: str = "cpu",
) -> Maps:
    """Return a map for each tile. The network is left on ``device`` in evaluation mode, else unchanged.

    Parameters
    ----------
    pixels, prepare
        As `her2kit.learning.classification.predict` takes them.
    method
        One of `METHODS`.
    layer
        Name of a layer, ``layer4.1.conv2`` or ``layer4[1].conv2``; None takes the last one that still has
        places, see `her2kit.learning.explain_layers.layer_table` for the others.
    of
        Class to explain, a name or number, for all tiles or one a tile; None takes what each was called.
    against
        Class to hold it against: the map then shows what speaks for ``of`` rather than for this one.

    Returns
    -------
    Maps
        Those that are all zero are counted in a warning, and told by ``empty``.

    Raises
    ------
    ValueError
        If method, layer or class are not known (near layers are named), the layer has no places, or the
        method knows no classes and one is given.
    """
    ensure_torchvision()
    import torch

    _check(method, of, against)
    layer = default_layer(net) if layer is None else layer
    name, module = find_layer(net, layer)
    net = net.to(device).eval()
    n = len(pixels)
    classes, rivals = (_class_of_each(value, n, card) for value in (of, against))
    samples = TileSamples(pixels, np.zeros(n, int), card.class_names, size_px=card.input_px, prepare=prepare)
    found, called, size = [], [], (card.input_px, card.input_px)
    for start, (batch, _) in zip(range(0, n, batch_size), ordered_batches(samples, batch_size), strict=True):
        x, here = to_input(batch.to(device), mean=card.mean, sd=card.sd), slice(start, start + len(batch))
        size = (x.shape[2], x.shape[3])

        def score(out: Any, here: slice = here) -> Any:
            rows = torch.arange(len(out), device=out.device)
            wanted = out.detach().argmax(1) if classes is None else torch.from_numpy(classes[here])
            called.append(wanted.cpu().numpy())
            value = out[rows, wanted.to(out.device)]
            return (
                value if rivals is None else value - out[rows, torch.from_numpy(rivals[here]).to(out.device)]
            )

        found.append(layer_maps(net, module, x, method=method, score=score, name=name))
    if isinstance(pixels, np.ndarray):
        size = (pixels.shape[1], pixels.shape[2])
    nothing = np.full(n, -1)
    maps = Maps(
        np.concatenate(found) if found else np.empty((0, 1, 1), np.float32),
        size,
        method,
        name,
        nothing if method == "eigencam" or not called else np.concatenate(called),
        rivals,
    )
    tell_empty(maps)
    return maps


def layer_maps(
    net: Any, module: Any, x: Any, *, method: str, score: Callable[[Any], Any], name: str
) -> np.ndarray:
    """Return the maps of one batch at one layer, float32 (n, rows, columns), negative parts and all.

    Parameters
    ----------
    net, module
        Torch module in evaluation mode, and the part of it whose output is mapped.
    x
        Input of the network, float tensor (n, channels, h, w).
    score
        Takes what the network gives and returns one number a tile, tensor (n,).
    name
        Of the layer, for messages.
    """
    import pytorch_grad_cam
    import torch

    mapper = getattr(pytorch_grad_cam, METHODS[method])(model=net, target_layers=[module])
    # What comes after a layer may write over its output; a copy keeps what the library has noted.
    copied = module.register_forward_hook(lambda *call: _copy_of(call[2], name))
    try:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            out = mapper.activations_and_grads(x)
            total = score(out).sum()
            if mapper.uses_gradients:
                torch.autograd.grad(total, x, allow_unused=True)
        noted = mapper.activations_and_grads
        if len(noted.activations) != 1:
            raise ValueError(
                f"layer={name!r} runs {len(noted.activations)} times a tile; use one that runs once"
            )
        activations = placed(noted.activations[0].numpy(), net, name)
        gradients = np.zeros_like(activations)
        if noted.gradients:
            gradients = placed(noted.gradients[0].numpy(), net, name)
        elif mapper.uses_gradients:
            raise ValueError(f"layer={name!r} has no part in the class's output; use a layer before the head")
        raw = mapper.get_cam_image(x, module, None, activations, gradients, False)
    finally:
        copied.remove()
        mapper.activations_and_grads.release()
    if method == "eigencam":
        raw = _upright(raw, activations)
    raw = np.asarray(raw, np.float32)
    if not np.isfinite(raw).all():
        raise ValueError(f"method={method!r} gives numbers that are not finite at {name}; check the weights")
    return raw


def tell_empty(maps: Maps) -> None:
    """Warn of maps that hold nothing in favour of their class."""
    n = int(maps.empty.sum())
    if n:
        warnings.warn(
            f"{n} of {len(maps)} maps ({maps.method} at {maps.layer}) are all zero: nothing there speaks for "
            "the class; they have no shares and no ranks",
            stacklevel=3,
        )


def _check(method: str, of: Any, against: Any) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r}; use one of {', '.join(METHODS)}")
    if method == "eigencam" and (of is not None or against is not None):
        raise ValueError("method='eigencam' knows no classes; leave of and against out, or use hirescam")


def _class_of_each(value: Any, n: int, card: Card) -> np.ndarray | None:
    """Return a class number for each tile, or None where none was given."""
    if value is None:
        return None
    if isinstance(value, str | int | np.integer):
        value = [value] * n
    if len(value) != n:
        raise ValueError(f"{n} tiles and {len(value)} classes to explain; give one for all, or one a tile")
    return label_numbers(value, card.class_names)


def _copy_of(out: Any, name: str) -> Any:
    if not hasattr(out, "clone"):
        raise ValueError(f"layer={name!r} gives a {type(out).__name__}, no map; use one of its parts")
    return out.clone()


def _upright(raw: np.ndarray, activations: np.ndarray) -> np.ndarray:
    """Return EigenCAM's maps high where the layer is active: the sign that the library gives is chance."""
    active = np.abs(activations).mean(axis=1)
    lean = ((raw - raw.mean(axis=(1, 2), keepdims=True)) * active).sum(axis=(1, 2), keepdims=True)
    return np.where(lean < 0, -raw, raw)
