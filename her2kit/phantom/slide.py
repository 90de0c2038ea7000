"""Make one phantom slide with its truth: plan, layout, cells, stain, pixels, in that order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from her2kit.phantom.cells import place_cells
from her2kit.phantom.layout import lay_out
from her2kit.phantom.plan import Plan
from her2kit.phantom.render import Scene, render
from her2kit.phantom.stain import stain_cells
from her2kit.phantom.truth import Truth
from her2kit.slides.pyramid import write_pyramid

Progress = Callable[[float], None]


def build_scene(plan: Plan) -> Scene:
    """Return everything that the slide of ``plan`` is painted from; the same plan gives the same scene."""
    # One stream a purpose: another stain or site leaves the tissue where it is.
    tissue, stain, look = np.random.default_rng(plan.seed).spawn(3)
    layout = lay_out(plan, tissue)
    seed = int(tissue.integers(1 << 30))
    cells = place_cells(plan, layout, seed=seed)
    planted = stain_cells(plan, layout, cells, stain)
    body, nuclear, dull = look.uniform(0.035, 0.055), look.uniform(0.095, 0.135), look.uniform(0.15, 0.5)
    if plan.stain == "he":
        body, nuclear, dull = 0.09, 0.40, 0.0
    return Scene(plan, layout, cells, planted, seed, body, nuclear, dull)


def make_slide(
    plan: Plan,
    out: Path,
    *,
    with_he: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict:
    """Write the slide and its truth below ``out`` and return the planted score.

    Parameters
    ----------
    out
        Folder that gets ``slides/<slide_id>.tif`` and ``truth/<slide_id>/``.
    with_he
        Also write ``slides/<slide_id>_he.tif``, the same tissue in H&E.
    workers
        Threads that paint; the bytes do not depend on it.
    progress
        Called with the share that is done, 0 to 1.
    """
    out = Path(out)
    scene = build_scene(plan)
    truth = Truth(scene)
    passes = 2 if with_he else 1
    _paint(scene, out / "slides" / f"{plan.slide_id}.tif", truth, workers, _part(progress, 0, passes))
    if with_he:
        he = build_scene(replace(plan, stain="he"))
        _paint(he, out / "slides" / f"{plan.slide_id}_he.tif", _ignore, workers, _part(progress, 1, passes))
    return truth.write(out / "truth" / plan.slide_id)


def _paint(scene: Scene, path: Path, sink, workers: int, progress: Progress | None) -> None:
    plan = scene.plan
    width, height = plan.size_px

    def strips():
        done = 0
        for strip in render(scene, workers=workers, sink=sink):
            yield strip
            done += len(strip)
            if progress is not None:
                progress(done / height)

    write_pyramid(
        path,
        (height, width, strips()),
        mpp=plan.pixel_um,
        quality=plan.site.quality,
        subsampling=plan.site.subsampling,
    )


def _part(progress: Progress | None, number: int, passes: int) -> Progress | None:
    if progress is None:
        return None
    return lambda share: progress((number + share) / passes)


def _ignore(block) -> None:
    """Take no truth from the H&E: the truth is that of the paired slide."""
