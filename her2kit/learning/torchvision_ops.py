"""Make ``import torchvision`` work beside a CPU build of torch. Does nothing where it works already.

The torchvision wheel of the package index is built for CUDA. Beside a CPU torch its compiled operators do not
load, and the import stops with ``operator torchvision::nms does not exist``; timm, grad-cam, torchmetrics,
segmentation-models-pytorch and ultralytics stop with it. ``ensure_torchvision`` defines the two missing
operators and gives non-maximum suppression a plain implementation. Transforms, nms, batched_nms and roi_align
(torchvision's own Python version) then work; ``torchvision.io`` codecs, deformable convolution and quantised
nms do not.

Call it before anything that imports torchvision.
"""

import importlib
import sys
from typing import Any

_MISSING = "operator torchvision::nms does not exist"
_library: Any = None
"""The operators live as long as this object does."""


def ensure_torchvision() -> bool:
    """Import torchvision; where only its compiled operators are missing, define them and import it again.

    Returns
    -------
    bool
        True if the operators were missing, False if torchvision loads by itself.

    Raises
    ------
    ImportError, RuntimeError
        Whatever importing torchvision raises for any other reason.
    """
    global _library
    if _library is not None:
        return True
    try:
        import torchvision  # noqa: F401

        return False
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
    import torch

    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.impl("nms", non_maximum_suppression, "CPU")
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]  # what the failed import left behind
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None
    return True


def non_maximum_suppression(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Keep the best-scored boxes of which no two overlap by more than ``iou_threshold``.

    Parameters
    ----------
    boxes
        float tensor (n, 4): x1, y1, x2, y2 with x1 <= x2, y1 <= y2.
    scores
        float tensor (n,).
    iou_threshold
        Intersection over union, 0..1, above which the worse box is dropped.

    Returns
    -------
    Tensor
        int64 (k,): indices of the kept boxes, best first; of equal scores the earlier box goes first, as in
        torchvision's own CPU operator.
    """
    import torch

    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise ValueError(
            f"boxes must have shape (n, 4) and scores (n,), "
            f"not {tuple(boxes.shape)} and {tuple(scores.shape)}"
        )
    order = torch.argsort(scores, descending=True, stable=True)
    dtype = boxes.dtype if boxes.dtype in (torch.float32, torch.float64) else torch.float32
    left, top, right, bottom = boxes[order].to(dtype).unbind(1)
    area = (right - left) * (bottom - top)
    alive = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        width = (torch.minimum(right[i], right[i + 1 :]) - torch.maximum(left[i], left[i + 1 :])).clamp(min=0)
        height = (torch.minimum(bottom[i], bottom[i + 1 :]) - torch.maximum(top[i], top[i + 1 :])).clamp(
            min=0
        )
        overlap = width * height
        alive[i + 1 :] &= ~(overlap / (area[i] + area[i + 1 :] - overlap) > iou_threshold)
    return order[torch.tensor(kept, dtype=torch.int64, device=boxes.device)]
