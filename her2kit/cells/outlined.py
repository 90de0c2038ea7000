"""Outlines for nuclei that a detector has located: the classical growing, seeded by its boxes.

A nucleus is what the nuclear signal shows within the box's ellipse. Where it shows little (a pale or
overstained nucleus) the ellipse itself is taken: the detector has seen something there. What it says of a
nucleus's stain still counts: grey things and DAB-stained ones are set aside as the classical detector does.
"""

import numpy as np
import pandas as pd

from her2kit.cells import growing
from her2kit.cells.classical import AREA_UM2, COLUMNS, Nuclei, NucleusFit, nuclear_mask, reasons
from her2kit.cells.region_table import measure_regions
from her2kit.stain.separation import StainMaps

_WIDER = 1.2  # growth may leave the ellipse by a fifth: boxes of trained detectors are a pixel tight or wide
_LEAST_SHARE = 0.4  # of the ellipse that must be nuclear signal, else the ellipse is taken


def outline_nuclei(maps: StainMaps, boxes: pd.DataFrame, fit: NucleusFit, *, mpp: float) -> Nuclei:
    """Return located nuclei with their pixels and measurements.

    Parameters
    ----------
    maps
        Stain maps of the picture.
    boxes
        ``x_px``, ``y_px``, ``width_px``, ``height_px`` in pixels of the picture, and ``score``.
    fit
        The slide's.
    mpp
        Micrometres per pixel of the maps.

    Returns
    -------
    Nuclei
        As `her2kit.cells.classical.find_nuclei` gives; ``confidence`` is the detector's score.
    """
    height, width = maps.shape
    x, y = (np.floor(boxes[name].to_numpy()).astype(int) for name in ("x_px", "y_px"))
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    boxes, x, y = boxes[inside], x[inside], y[inside]
    order = np.lexsort((x, y))
    boxes, seeds = boxes.iloc[order], np.stack([y[order], x[order]], axis=1).astype(np.int32)
    first = np.r_[True, (np.diff(seeds, axis=0) != 0).any(axis=1)] if len(seeds) else np.zeros(0, bool)
    boxes, seeds = boxes[first], np.ascontiguousarray(seeds[first])
    levels, mask = nuclear_mask(maps, fit.marker, fit.settings, mpp=mpp)
    half = boxes[["width_px", "height_px"]].to_numpy() / 2
    allowed = _allowed(mask, boxes[["x_px", "y_px"]].to_numpy(), half)
    allowed[seeds[:, 0], seeds[:, 1]] = 1
    reach = int(min(255, max(8, np.ceil(_WIDER * half.max(initial=1) * growing.STEP))))
    labels = growing.grow(allowed, seeds, reach)
    table = measure_regions(maps, levels, labels, seeds, mpp=mpp)
    table["confidence"] = boxes["score"].to_numpy()
    sized = table["area_um2"].between(AREA_UM2[0] / 2, 2 * AREA_UM2[1]).to_numpy()
    sure = pd.Series(1.0, index=table.index)  # neither faint nor ragged: the detector has judged that
    reason = reasons(table.assign(fill=1.0), sure, fit.marker)
    keep, dropped = sized & (reason == ""), sized & (reason != "")
    number = np.zeros(len(table) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    table = table[list(COLUMNS)]
    rejected = table[dropped].reset_index(drop=True)
    rejected["reason"] = reason[dropped].astype(str)
    return Nuclei(number[labels], table[keep].reset_index(drop=True), rejected, mpp)


def _allowed(mask: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return where nuclei may grow, uint8 (h, w)."""
    height, width = mask.shape
    out = np.zeros_like(mask)
    for (x, y), (a, b) in zip(centre, np.maximum(half, 1.0), strict=True):
        x0, y0 = max(0, int(x - _WIDER * a)), max(0, int(y - _WIDER * b))
        x1, y1 = min(width, int(x + _WIDER * a) + 2), min(height, int(y + _WIDER * b) + 2)
        dx = (np.arange(x0, x1) + 0.5 - x)[None] / a
        dy = (np.arange(y0, y1) + 0.5 - y)[:, None] / b
        far = dx * dx + dy * dy
        here = mask[y0:y1, x0:x1]
        body = far <= 1
        shown = (here > 0) & (far <= _WIDER**2)
        enough = (here[body] > 0).mean() >= _LEAST_SHARE if body.any() else False
        out[y0:y1, x0:x1] |= (shown if enough else body).astype(out.dtype)
    return out
