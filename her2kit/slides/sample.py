"""An evenly spread sample of tissue fields: what is fitted once a slide is fitted on these.

The fields follow from the tissue mask alone, so a fit never depends on how the slide is tiled.
"""

from collections.abc import Iterator

import numpy as np

from her2kit.slides.slide import Slide, Tile
from her2kit.slides.tissue import Tissue


def sample_fields(
    slide: Slide, tissue: Tissue, *, mpp: float, n: int = 24, field_px: int = 512
) -> Iterator[Tile]:
    """Yield up to ``n`` square tiles centred on tissue, spread evenly over it, the same at every call.

    Parameters
    ----------
    tissue
        Where to look. An empty mask yields nothing.
    mpp
        Micrometres per pixel of the tiles.
    n, field_px
        How many fields, and their side in pixels at ``mpp``.
    """
    rows, columns = np.nonzero(tissue.mask)
    if not len(rows):
        return
    # Each field stands in the middle of an equal share of the tissue, block by block along the slide's
    # longer side, so that few fields still see all regions.
    order = (
        np.lexsort((rows, columns // 16))
        if slide.width_px0 >= slide.height_px0
        else np.lexsort((columns, rows // 16))
    )
    picks = np.unique(((np.arange(n) + 0.5) * len(rows) / n).astype(int))
    scale = tissue.mpp / slide.mpp if slide.mpp else 1.0
    side_px0 = field_px * mpp / slide.mpp if slide.mpp else field_px
    for i in order[picks]:
        x = (columns[i] + 0.5) * scale - side_px0 / 2
        y = (rows[i] + 0.5) * scale - side_px0 / 2
        x = min(max(x, 0), max(slide.width_px0 - side_px0, 0))
        y = min(max(y, 0), max(slide.height_px0 - side_px0, 0))
        yield slide.read(round(x), round(y), field_px, field_px, mpp=mpp)
