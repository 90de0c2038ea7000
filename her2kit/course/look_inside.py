"""What happens inside a SegFormer: its tokens, where they look, its four scales, and the seams of windows.

For looking and counting; nothing here trains, and nothing of it is needed to predict. It reads encoders named
``mit_b0`` to ``mit_b5`` of segmentation-models-pytorch.
"""

from typing import Any

import numpy as np
import pandas as pd

from her2kit.learning.model import to_input


def stages(net: Any, side_px: int, *, mpp: float) -> pd.DataFrame:
    """Return one row a stage of the encoder, for a square picture.

    Returns
    -------
    DataFrame
        ``patch_px``, ``step_px`` (of the stage before), ``token_um`` (from one token to the next),
        ``tokens``, ``keys`` (what each token is compared with), ``pairs`` and ``pairs_if_full`` (all with
        all), ``channels``, ``parameters``.
    """
    rows, size, step = [], side_px, 1
    for k in range(1, 5):
        embed, blocks = (getattr(net.encoder, f"{name}{k}") for name in ("patch_embed", "block"))
        kernel, stride = embed.proj.kernel_size[0], embed.proj.stride[0]
        size = (size + 2 * embed.proj.padding[0] - kernel) // stride + 1
        step *= stride
        tokens, keys = size**2, (size // blocks[0].attn.sr_ratio) ** 2
        rows.append({
            "stage": k, "patch_px": kernel, "step_px": stride, "token_um": step * mpp, "tokens": tokens,
            "keys": keys, "pairs": tokens * keys, "pairs_if_full": tokens**2,
            "channels": embed.proj.out_channels,
            "parameters": sum(p.numel() for m in (embed, blocks) for p in m.parameters()),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("stage")


def patches_over(side_px: int, *, patch_px: int, step_px: int) -> np.ndarray:
    """Return how many patches each pixel lies in, int (side, side); patches reach half over the border."""
    along = np.zeros(side_px, int)
    for start in range(-(patch_px // 2) if patch_px > step_px else 0, side_px, step_px):
        along[max(0, start) : max(0, start + patch_px)] += 1
    return np.outer(along, along)


def attention(net: Any, card: Any, picture: np.ndarray, *, stage: int, at: tuple[float, float]) -> np.ndarray:
    """Return where one token of a stage's last block looks, mean over its heads.

    Parameters
    ----------
    picture
        uint8 (side, side, 3), the side a multiple of 32.
    at
        Place of the token, down and across, as shares of the side.

    Returns
    -------
    float (keys down, keys across); all sum to 1.
    """
    import torch

    block = getattr(net.encoder, f"block{stage}")[-1].attn
    seen: dict[str, Any] = {}
    hook = block.register_forward_pre_hook(lambda _, given: seen.update(x=given[0], h=given[1], w=given[2]))
    try:
        _forward(net, card, picture, net.encoder)
    finally:
        hook.remove()
    x, h, w = seen["x"], seen["h"], seen["w"]
    with torch.inference_mode():
        keys = x
        if block.sr_ratio > 1:
            keys = block.sr(x.transpose(1, 2).reshape(1, -1, h, w)).flatten(2).transpose(1, 2)
            keys = block.norm(keys)
        wide = x.shape[2] // block.num_heads
        token = int(at[0] * h) * w + int(at[1] * w)
        q = block.q(x)[0, token].reshape(block.num_heads, 1, wide)
        k = block.kv(keys)[0, :, : x.shape[2]].reshape(-1, block.num_heads, wide).transpose(0, 1)
        weights = ((q @ k.transpose(1, 2)) * block.scale).softmax(-1).mean(0)[0]
    return weights.reshape(h // block.sr_ratio, w // block.sr_ratio).numpy()


def scales(net: Any, card: Any, picture: np.ndarray) -> list[np.ndarray]:
    """Return the encoder's four feature maps as grey pictures: along their strongest direction, 0 to 1."""
    found = []
    for features in _forward(net, card, picture, net.encoder)[-4:]:
        flat = features[0].flatten(1).numpy()
        flat = flat - flat.mean(axis=1, keepdims=True)
        main = np.linalg.svd(flat @ flat.T)[0][:, 0] @ flat
        low, high = np.percentile(main, [1, 99])
        found.append(np.clip((main - low) / max(high - low, 1e-9), 0, 1).reshape(features.shape[2:]))
    return found


def jump_at_seams(probabilities: np.ndarray, window_px: int) -> float:
    """Return how much more neighbours differ across a window's border than elsewhere; 1 is no seam.

    Parameters
    ----------
    probabilities
        float (classes, h, w) of windows laid side by side from the top left.
    """
    ratios = []
    for axis in (1, 2):
        step = np.abs(np.diff(probabilities, axis=axis)).sum(axis=0).mean(axis=2 - axis)
        last = probabilities.shape[axis] - window_px
        seams = np.arange(window_px, last + 1, window_px) - 1
        if len(seams):
            ratios.append(step[seams].mean() / np.delete(step, seams).mean())
    if not ratios:
        raise ValueError(
            f"{probabilities.shape[1:]} holds no seam of windows of {window_px}; give a larger one"
        )
    return float(np.mean(ratios))


def _forward(net: Any, card: Any, picture: np.ndarray, module: Any) -> Any:
    """Return what a part of the network makes of a picture."""
    import torch

    net.eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
        return module(to_input(pixels, mean=card.mean, sd=card.sd))
