"""Fields of phantoms with a box around each nucleus: what the detector that ships is trained on.

HER2, PD-L1 and a nuclear marker; tissue, growth, sizes of nuclei, staining and laboratories vary more widely
than in a cohort of `her2kit phantom`. Each field is drawn, written and read back as any slide is.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from her2kit.exchange.whole import whole_file
from her2kit.learning.datasets.phantom_overviews import jittered_site
from her2kit.learning.point_boxes import LabelledPicture, labelled
from her2kit.phantom.plan import PATTERNS, Mix, Plan
from her2kit.phantom.ready import COHORT, ready_case
from her2kit.phantom.site import SITES
from her2kit.phantom.slide import make_slide
from her2kit.slides.slide import open_slide

STAINS = ("her2", "ki67", "her2", "pdl1", "ki67")
NUCLEUS = ("nucleus",)


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled field and its two stain vectors."""

    picture: LabelledPicture
    vectors: np.ndarray
    """float32 (2, 3): hematoxylin and DAB."""


def field_plans(fields: int, *, seed: int, sites: Sequence[str], side_um: float = 256.0) -> list[Plan]:
    """Return plans of fields that differ in all that a detector of nuclei must see past.

    Parameters
    ----------
    fields
        How many.
    seed
        The same seed gives the same plans.
    sites
        Names of ready-made sites, taken in turn; each field's laboratory lies near one of them.
    side_um
        Side of a field.
    """
    plans = []
    for index in range(fields):
        rng = np.random.default_rng([seed, index])
        case = ready_case(COHORT[int(rng.integers(len(COHORT)))])
        site = jittered_site(SITES[sites[index % len(sites)]], rng, 1.0)
        mpp = float(rng.choice([0.25, 0.32, 0.4]))
        spacing = float(rng.uniform(7.5, 13.0))
        largest = min(150.0, 0.72 * spacing**2)
        kinds = rng.dirichlet([3.0, 0.6, 0.6, 1.2, 0.15, 0.25])
        kinds = kinds / kinds.sum() * 0.97
        drawn = dict(
            slide_id=f"field_{seed}_{index:04d}",
            size_px=(round(side_um / mpp),) * 2,
            mpp=mpp,
            site=site,
            seed=int(rng.integers(1 << 31)),
            stain=STAINS[index % len(STAINS)],
            patterns=tuple(PATTERNS[i] for i in rng.choice(len(PATTERNS), 2, replace=False)),
            mix=_mix(kinds.tolist()),
            dab_gain=float(np.exp(rng.normal(0, 0.25))),
            hematoxylin_gain=float(np.exp(rng.normal(0, 0.3))),
            cell_spacing_um=spacing,
            nucleus_um2=float(rng.uniform(0.4 * largest, largest)),
            heterogeneity_um=float(rng.uniform(60, 260)),
            clustering=float(rng.uniform(0.3, 0.95)),
            positive=(float(rng.uniform(0, 1)), float(rng.uniform(0, 0.6))),
        )
        plans.append(Plan(**case | drawn))
    return plans


def _mix(shares: list[float]) -> Mix:
    """Return shares of tissue, in the order of `Mix`; vessels as usual."""
    invasive, in_situ, normal, immune, necrosis, fat = shares
    return Mix(invasive, in_situ, normal, immune, necrosis, fat)


def drawn_fields(plans: Sequence[Plan], folder: Path, *, mpp: float) -> list[Field]:
    """Return the fields at ``mpp``; those that ``folder`` holds are not drawn again."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for plan in plans:
        path = folder / f"{plan.slide_id}.npz"
        if not path.is_file():
            field = draw_field(plan, mpp=mpp)
            coded = cv2.imencode(".png", field.picture.pixels[..., ::-1])[1]
            with whole_file(path) as file, file.open("wb") as stream:
                np.savez(stream, png=coded, boxes=field.picture.boxes, vectors=field.vectors)
        with np.load(path) as held:
            pixels = np.ascontiguousarray(np.asarray(cv2.imdecode(held["png"], cv2.IMREAD_COLOR))[..., ::-1])
            out.append(Field(LabelledPicture(pixels, held["boxes"], mpp), held["vectors"]))
    return out


def draw_field(plan: Plan, *, mpp: float) -> Field:
    """Draw a field, write it as a slide, read it at ``mpp``, and box its nuclei."""
    pixels, cells = draw_cells(plan, mpp=mpp)
    picture = labelled(pixels, cells, mpp=mpp, class_names=NUCLEUS, box_um="nucleus_outline")
    return Field(picture, plan.site.vectors()[:2])


def draw_cells(plan: Plan, *, mpp: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Return a field at ``mpp``, uint8 (h, w, 3), and its planted cells.

    The cells' ``x_px``, ``y_px`` and ``nucleus_outline`` are in pixels of the picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        make_slide(plan, Path(folder))
        cells = pd.read_parquet(f"{folder}/truth/{plan.slide_id}/cells.parquet")
        with open_slide(f"{folder}/slides/{plan.slide_id}.tif") as slide:
            scale = slide.scale_at(mpp)
            side = int(plan.size_px[0] / scale)
            pixels = slide.read(0, 0, side, side, mpp=mpp).pixels
    cells = cells[(cells["x_px0"] < side * scale) & (cells["y_px0"] < side * scale)].reset_index(drop=True)
    outlines = [np.stack(list(o)).astype(np.float32) / scale for o in cells["nucleus_outline"]]
    placed = {
        "x_px": cells["x_px0"] / scale,
        "y_px": cells["y_px0"] / scale,
        "nucleus_outline": pd.Series(outlines, dtype=object),
    }
    return pixels, cells.assign(**placed)
