"""What R4 reads off a slide's tumour map: the longest diameter, and 28 numbers, seven at each of four scales.

A probability map is averaged over blocks of 4, 16, 64 and 256 pixels. Coarse maps forget small false alarms,
fine ones keep the border sharp; a model that sees all four can weigh them. Nothing is learned here.

References
----------
The HeLP 2019 challenge and its winner's description (breast-cancer metastasis in frozen sections of lymph
nodes): major axis and share of tumour at 0.5 and 0.9, maximum, mean and standard deviation, at each scale.
"""

from dataclasses import dataclass

import numpy as np

SCALES = (4, 16, 64, 256)
"""Side of the blocks, in pixels of the map."""
THRESHOLDS = (0.5, 0.9)
FEATURES = tuple(
    f"{name}_{scale}"
    for scale in SCALES
    for name in (
        *(f"major_axis_um_at_{t:g}" for t in THRESHOLDS),
        *(f"tumour_ratio_at_{t:g}" for t in THRESHOLDS),
        "max",
        "mean",
        "std",
    )
)
"""Names of the 28 features, in order."""


@dataclass(frozen=True, slots=True)
class MajorAxis:
    """The longest straight line inside the outline of the largest tumour."""

    length_um: float
    """0 where there is no tumour above the threshold."""
    ends_px: tuple[tuple[float, float], tuple[float, float]] | None
    """(x, y) of both ends in pixels of the map; None without tumour."""
    area_um2: float
    """Area of that tumour."""
    touches_border: bool
    """Whether it reaches the border of the map: it may go on outside, so the length is a lower bound."""


def major_axis(tumour_map: np.ndarray, *, um_per_px: float, threshold: float = 0.5) -> MajorAxis:
    """Return the longest diameter of the largest connected tumour of a map.

    Parameters
    ----------
    tumour_map
        Probability of tumour, float (h, w), 0..1; or bool.
    um_per_px
        Side of its pixels in micrometres.
    threshold
        Tumour is where the map is above it; pixels that touch at a corner belong together.

    Notes
    -----
    The maximum Feret diameter: the longest distance between pixel centres, plus one pixel's side.
    scikit-image's ``feret_diameter_max`` gives the same to a pixel, without the ends.

    Raises
    ------
    ValueError
        If the map is not 2-D, holds NaN, or ``um_per_px`` is not positive.
    """
    from skimage.measure import label, regionprops

    _check(tumour_map, um_per_px)
    areas = label(tumour_map > threshold, connectivity=2)
    found = regionprops(areas)
    if not found:
        return MajorAxis(0.0, None, 0.0, False)
    largest = max(found, key=lambda r: r.area)
    hull = _hull(largest.coords[:, ::-1] + 0.5)
    apart = np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1))
    first, last = np.unravel_index(np.argmax(apart), apart.shape)
    top, left, bottom, right = largest.bbox
    height, width = tumour_map.shape
    return MajorAxis(
        length_um=(float(apart[first, last]) + 1) * um_per_px,
        ends_px=(tuple(hull[first].tolist()), tuple(hull[last].tolist())),
        area_um2=float(largest.area) * um_per_px**2,
        touches_border=bool(top == 0 or left == 0 or bottom == height or right == width),
    )


def map_features(
    tumour_map: np.ndarray, *, um_per_px: float, tissue: np.ndarray | None = None
) -> dict[str, float]:
    """Return the 28 features of a slide's tumour map, by the names in `FEATURES`.

    Parameters
    ----------
    tumour_map
        Probability of tumour, float (h, w), 0..1.
    um_per_px
        Side of its pixels in micrometres; lengths come out in micrometres.
    tissue
        bool (h, w): the ratio, mean and s.d. are taken over it; None takes the whole map.

    Raises
    ------
    ValueError
        If the map is not 2-D or holds NaN, or ``tissue`` has another shape.
    """
    _check(tumour_map, um_per_px)
    if tissue is not None and tissue.shape != tumour_map.shape:
        raise ValueError(f"tissue is {tissue.shape}, tumour_map {tumour_map.shape}; give one shape")
    inside = np.ones(tumour_map.shape, np.float32) if tissue is None else tissue.astype(np.float32)
    out = {}
    for scale in SCALES:
        weight = _block_sum(inside, scale)
        mean = _block_sum(tumour_map * inside, scale) / np.maximum(weight, 1e-9)
        total = max(float(weight.sum()), 1e-9)
        for t in THRESHOLDS:
            length = major_axis(mean, um_per_px=um_per_px * scale, threshold=t).length_um
            out[f"major_axis_um_at_{t:g}_{scale}"] = length
        for t in THRESHOLDS:
            out[f"tumour_ratio_at_{t:g}_{scale}"] = float((weight * (mean > t)).sum()) / total
        average = float((weight * mean).sum()) / total
        out[f"max_{scale}"] = float(mean.max())
        out[f"mean_{scale}"] = average
        out[f"std_{scale}"] = float(np.sqrt((weight * (mean - average) ** 2).sum() / total))
    return out


def _check(tumour_map: np.ndarray, um_per_px: float) -> None:
    if tumour_map.ndim != 2 or 0 in tumour_map.shape:
        raise ValueError(f"tumour_map has shape {tumour_map.shape}; pass (h, w)")
    if not np.isfinite(tumour_map).all():
        raise ValueError("tumour_map holds NaN or infinity; pass probabilities, 0..1")
    if not um_per_px > 0:
        raise ValueError(f"um_per_px={um_per_px!r}; pass micrometres per pixel, > 0")


def _block_sum(values: np.ndarray, side: int) -> np.ndarray:
    """Sum blocks of ``side`` x ``side`` pixels; what is missing at the border counts as 0."""
    height, width = values.shape
    padded = np.pad(values.astype(np.float64), ((0, -height % side), (0, -width % side)))
    return padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side).sum(axis=(1, 3))


def _hull(xy: np.ndarray) -> np.ndarray:
    """Return the corners of the convex hull; of points on one line, its ends."""
    from scipy.spatial import ConvexHull, QhullError

    if len(xy) < 3:
        return xy
    try:
        return xy[ConvexHull(xy).vertices]
    except QhullError:
        along = xy @ (xy.max(0) - xy.min(0))
        return xy[[int(along.argmin()), int(along.argmax())]]
