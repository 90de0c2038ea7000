"""A slide that lies turned or mirrored under the scanner is the same slide."""

import numpy as np
import pytest

from her2kit.measure import measure_slide
from her2kit.phantom.adversarial import pixels_of
from her2kit.phantom.cohort import plan_cohort
from her2kit.phantom.slide import make_slide
from her2kit.pipeline import grade_slide
from her2kit.settings import ScoreSettings
from her2kit.slides.pyramid import write_pyramid


@pytest.fixture(scope="module")
def pixels(tmp_path_factory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("turned")
    (plan,) = plan_cohort(slides=1, seed=77, cases=["2+"], sites=1, size_px=1000)
    make_slide(plan, folder)
    return pixels_of(folder / "slides" / f"{plan.slide_id}.tif")


def scored(pixels, folder):
    settings = ScoreSettings(control="valid", workers=1)
    path = write_pyramid(folder / "slide.tif", np.ascontiguousarray(pixels), mpp=0.25)
    with measure_slide(path, settings) as measured:
        return grade_slide(measured, settings).record


@pytest.fixture(scope="module")
def first(pixels, tmp_path_factory):
    return scored(pixels, tmp_path_factory.mktemp("first"))


@pytest.mark.parametrize(
    "turn",
    [
        lambda p: np.rot90(p, 1),
        lambda p: np.rot90(p, 2),
        lambda p: np.rot90(p, 3),
        lambda p: p[:, ::-1],
    ],
    ids=["90", "180", "270", "mirrored"],
)
def test_the_score_stays_and_the_h_score_nearly(pixels, first, turn, tmp_path):
    other = scored(turn(pixels), tmp_path)
    assert first["score"] is not None
    assert other["score"] == first["score"]
    assert other["h_score_membrane_class"] == pytest.approx(first["h_score_membrane_class"], abs=3)
    assert {g["name"]: g["level"] for g in other["gates"]} == {g["name"]: g["level"] for g in first["gates"]}
