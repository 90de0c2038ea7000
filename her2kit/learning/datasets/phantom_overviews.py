"""Overviews of phantoms with the class of each pixel: what the tissue model that ships is trained on.

Cases, tissue, growth, staining and laboratories vary more widely here than in a cohort of `her2kit phantom`:
a slide may hold more carcinoma in situ than invasive one, or none of either. Each slide is drawn, written and
read back as any slide is, so that an overview shows optics, noise and compression.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from her2kit.cells.table import TissueClass
from her2kit.phantom.plan import PAIRS, PATTERNS, Fractions, Mix, Plan
from her2kit.phantom.ready import COHORT, ready_case
from her2kit.phantom.site import SITES, Site
from her2kit.phantom.slide import make_slide
from her2kit.slides.slide import open_slide

SIDE_UM = 1024.0
"""Side of a slide: ducts with carcinoma in situ reach their full size of 0.3 mm."""
SPECIMENS = ("resection", "resection", "core", "biopsy")
STAINS = ("her2", "her2", "her2", "her2", "pdl1")


def overview_plans(
    slides: int,
    *,
    seed: int,
    sites: Sequence[str],
    site_jitter: float = 1.0,
    mpp: float | None = 0.5,
    cases: Sequence[str] | None = None,
) -> list[Plan]:
    """Return plans of slides that differ in all that a tissue model must see past.

    Parameters
    ----------
    slides
        How many.
    seed
        The same seed gives the same plans.
    sites
        Names of ready-made sites, taken in turn.
    site_jitter
        How far each slide's laboratory may lie from its site: 0 is the site itself, 1 about the distance
        between two sites.
    mpp
        Micrometres per pixel that slides are drawn at; None takes each site's own, four times as slow. At
        2 um/px both look alike.
    cases
        Names of ready-made cases to draw from; None takes those of a phantom cohort.
    """
    plans, known = [], COHORT if cases is None else cases
    for index in range(slides):
        rng = np.random.default_rng([seed, index])
        case = ready_case(known[int(rng.integers(len(known)))])
        spacing = float(rng.uniform(8.2, 10.0))
        site = jittered_site(SITES[sites[index % len(sites)]], rng, site_jitter)
        side = round(SIDE_UM / (mpp or site.mpp))
        drawn = dict(
            slide_id=f"overview_{seed}_{index:03d}",
            size_px=(side, side),
            mpp=mpp,
            site=site,
            seed=int(rng.integers(1 << 31)),
            stain=STAINS[int(rng.integers(len(STAINS)))],
            specimen=SPECIMENS[int(rng.integers(len(SPECIMENS)))],
            patterns=tuple(PATTERNS[i] for i in rng.choice(len(PATTERNS), 2, replace=False)),
            mix=_mix(rng),
            in_situ_fractions=_any_stain(rng),
            normal_fractions=_any_stain(rng, weak=0.7),
            dab_gain=float(np.exp(rng.normal(0, 0.2))),
            hematoxylin_gain=float(np.exp(rng.normal(0, 0.25))),
            cell_spacing_um=spacing,
            nucleus_um2=float(rng.uniform(38, 0.72 * spacing**2)),
            heterogeneity_um=float(rng.uniform(60, 260)),
            clustering=float(rng.uniform(0.3, 0.95)),
            positive=(float(rng.uniform(0, 1)), float(rng.uniform(0, 0.6))),
        )
        plans.append(Plan(**case | drawn))
    return plans


def overviews(
    plans: Sequence[Plan], *, mpp: float = 2.0, zoom: float = 1.0, workers: int = 1, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each slide's overview, uint8 (h, w, 3), and the `TissueClass` of its pixels, uint8 (h, w).

    Parameters
    ----------
    mpp
        Micrometres per pixel of the overview.
    zoom
        Each slide is read at ``mpp`` times a factor drawn from 1/``zoom`` to ``zoom``, as if its tissue were
        smaller or larger.
    workers
        Threads that draw a slide.
    """
    rng = np.random.default_rng([seed, 77])
    for plan in plans:
        read_mpp = mpp * float(np.exp(rng.uniform(-1, 1) * np.log(zoom)))
        with tempfile.TemporaryDirectory() as folder:
            make_slide(plan, Path(folder), workers=workers)
            raster = cv2.imread(f"{folder}/truth/{plan.slide_id}/regions.png", cv2.IMREAD_GRAYSCALE)
            with open_slide(f"{folder}/slides/{plan.slide_id}.tif") as slide:
                scale = slide.scale_at(read_mpp)
                width, height = (int(side / scale) for side in plan.size_px)
                pixels = slide.read(0, 0, width, height, mpp=read_mpp).pixels
        yield pixels, class_at(np.asarray(raster, np.uint8), pixels.shape[:2], read_mpp)


def class_at(raster: np.ndarray, shape: tuple[int, int], mpp: float) -> np.ndarray:
    """Return a raster of 1 um at another mpp: the class under the centre of each pixel."""
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * mpp).astype(int), side - 1)
        for n, side in zip(shape, raster.shape, strict=True)
    )
    found = raster[np.ix_(rows, columns)]
    if found.max(initial=0) > max(TissueClass):
        raise ValueError(f"raster holds {found.max()}; give classes 0 to {max(TissueClass)}")
    return found


def jittered_site(site: Site, rng: np.random.Generator, amount: float) -> Site:
    """Return a laboratory near another one: other stain vectors, white, focus, noise."""
    if amount == 0:
        return site

    def near(
        values: tuple[float, ...], by: float, low: float = 0.05, high: float = 1.0
    ) -> tuple[float, float, float]:
        a, b, c = np.clip(np.array(values) + amount * rng.normal(0, by, 3), low, high).tolist()
        return a, b, c

    return replace(
        site,
        hematoxylin=near(site.hematoxylin, 0.03),
        dab=near(site.dab, 0.025),
        eosin=near(site.eosin, 0.02),
        white=near(site.white, 5, 200, 255),
        hematoxylin_gain=float(site.hematoxylin_gain * np.exp(amount * rng.normal(0, 0.15))),
        blur_um=float(site.blur_um * np.exp(amount * rng.normal(0, 0.4))),
        drift=float(site.drift * np.exp(amount * rng.normal(0, 0.4))),
        quality=int(rng.integers(60, 95)),
    )


def _mix(rng: np.random.Generator) -> Mix:
    """Return shares of tissue of which each may be large or nothing."""

    def some(most: float, absent: float) -> float:
        return 0.0 if rng.random() < absent else float(rng.uniform(0.1, 1) * most)

    rest = {
        "in_situ": some(0.28, 0.2),
        "normal": some(0.2, 0.25),
        "immune": some(0.12, 0.1),
        "necrosis": some(0.06, 0.3),
        "fat": some(0.3, 0.3),
    }
    return Mix(invasive=some(0.9 * (1 - sum(rest.values())), 0.08), vessels=0.006, **rest)


def _any_stain(rng: np.random.Generator, *, weak: float = 0.3) -> Fractions:
    """Return what tells nothing of the tissue: any stain, from none to intense."""
    if rng.random() < weak:
        faint = float(rng.uniform(0, 0.5))
        return {PAIRS[0]: 1 - faint, PAIRS[1]: faint}
    shares = rng.dirichlet(np.full(len(PAIRS), 0.4))
    shares /= shares.sum()
    return dict(zip(PAIRS, (float(s) for s in shares), strict=True))
