"""The tissue network that ships: it belongs to its card, is small, finds tumour on a slide it never saw."""

from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from her2kit.cells.table import TISSUES, TissueClass
from her2kit.exchange.card import file_sha256, read_card
from her2kit.phantom.plan import Mix, Plan
from her2kit.phantom.ready import ready_case
from her2kit.phantom.slide import make_slide
from her2kit.regions.network import SHIPPED, shipped_network
from her2kit.regions.tissue_map import TissueMap, map_tissue
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import find_tissue
from her2kit.slides.white_point import find_white_point

PATH = Path(str(files("her2kit"))) / "weights" / SHIPPED
SEED = 31_415
"""Not among the seeds of its training."""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory) -> tuple[TissueMap, np.ndarray]:
    """Map a 3+ slide with unstained carcinoma in situ and glands; return the map and the planted classes."""
    folder = tmp_path_factory.mktemp("shipped")
    mix = Mix(invasive=0.4, in_situ=0.15, normal=0.06, immune=0.03, fat=0.1)
    plan = ready_case("3+") | {"slide_id": "unseen", "seed": SEED, "size_px": (3072, 3072), "mpp": 0.5}
    make_slide(Plan(**plan, mix=mix, in_situ_fractions={("none", "none"): 1.0}), folder)
    with open_slide(folder / "slides/unseen.tif") as slide:
        tissue = find_tissue(slide, find_white_point(slide))
        found = map_tissue(slide, tissue, shipped_network(threads=1))
    raster = cv2.imread(str(folder / "truth/unseen/regions.png"), cv2.IMREAD_GRAYSCALE)
    height, width = found.classes.shape
    return found, cv2.resize(np.asarray(raster), (width, height), interpolation=cv2.INTER_NEAREST)


def dice(found: np.ndarray, planted: np.ndarray) -> float:
    return 2 * (found & planted).sum() / (found.sum() + planted.sum())


def test_it_belongs_to_its_card_and_is_small():
    card = read_card(PATH)
    assert card.sha256 == file_sha256(PATH)
    assert PATH.stat().st_size <= 10_000_000
    assert card.class_names == TISSUES
    assert card.mpp == 2.0
    assert any("synthetic" in words for words in card.limits)
    assert any("diagnosis" in words for words in card.limits)
    assert {"site_dice_tumour", "test_mean_dice", "site_mean_dice"} <= card.figures.keys()


@pytest.mark.parametrize(("name", "least"), [("tumour", 0.6), ("other", 0.4), ("stroma", 0.75)])
def test_it_finds_planted_tissue(mapped, name, least):
    found, planted = mapped
    number = TISSUES.index(name)
    assert dice(found.classes == number, planted == number) > least


def test_most_of_the_tumour_area_is_tumour(mapped):
    found, planted = mapped
    said = found.classes == TissueClass.TUMOUR
    assert (planted[said] == TissueClass.TUMOUR).mean() > 0.6
    assert (planted[said] == TissueClass.OTHER).mean() < 0.1


def test_the_map_says_which_network_drew_it(mapped):
    found, _ = mapped
    assert found.model_sha256 == read_card(PATH).sha256
    assert 0 < found.confidence[found.classes > 0].mean() <= 255
