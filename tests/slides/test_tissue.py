"""Tissue: planted shapes are found with their area, also pale ones; glass, dust and smears are not."""

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from her2kit.errors import MppError
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import Tissue, find_tissue
from her2kit.slides.white_point import WhitePoint, find_white_point

WHITE = (234, 233, 243)
GLASS = WhitePoint(WHITE, "given", 0.5)


def paint(shape: np.ndarray, *, od: float, roughness: float, seed: int = 0) -> np.ndarray:
    """Return glass with rough tissue of a mean OD a channel where ``shape`` is true; cells of 8 px."""
    rng = np.random.default_rng(seed)
    h, w = shape.shape
    grain = rng.normal(od, roughness, (h // 8 + 1, w // 8 + 1)).repeat(8, 0).repeat(8, 1)[:h, :w]
    light = 10 ** -np.where(shape, np.maximum(grain, 0), 0)
    pixels = np.array(WHITE) * light[..., None] + rng.normal(0, 1.5, (h, w, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def ring(size: int, *, outer: int, inner: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size / 2
    distance = np.hypot(x, y)
    return (distance < outer) & (distance >= inner)


@pytest.fixture
def slide_of(tmp_path):
    def make(pixels: np.ndarray, mpp: float = 1.0):
        return open_slide(write_pyramid(tmp_path / "a.tif", pixels, mpp=mpp, quality=90))

    return make


@pytest.mark.parametrize(
    ("od", "roughness"), [(0.3, 0.1), (0.1, 0.04), (0.03, 0.02)], ids=["dark", "usual", "pale"]
)
def test_planted_ring_is_found_with_its_hole(slide_of, od, roughness):
    shape = ring(1600, outer=600, inner=250)
    with slide_of(paint(shape, od=od, roughness=roughness)) as slide:
        tissue = find_tissue(slide, GLASS)
        polygons = tissue.polygons()
        truth = (
            cv2.resize(shape.astype(np.float32), tissue.mask.shape[::-1], interpolation=cv2.INTER_AREA) >= 0.5
        )
        overlap = (truth & tissue.mask).sum() / (truth | tissue.mask).sum()
        assert overlap > 0.93
        assert tissue.area_mm2 == pytest.approx(shape.sum() / 1e6, rel=0.06)
        assert len(polygons) == 1
        assert len(polygons[0].interiors) == 1
        assert polygons[0].area == pytest.approx(shape.sum(), rel=0.06)
        centre = np.array([800.0]), np.array([800.0])
        assert not tissue.contains(*centre)[0]
        assert tissue.contains(centre[0] + 400, centre[1])[0]


def test_glass_is_no_tissue(slide_of):
    with slide_of(paint(np.zeros((1000, 1200), bool), od=0, roughness=0)) as slide:
        tissue = find_tissue(slide, GLASS)
    assert not tissue.mask.any()
    assert tissue.area_mm2 == 0
    assert tissue.polygons() == []


@pytest.mark.parametrize("od", [0.02, 0.1])
def test_a_smear_on_the_glass_is_no_tissue(slide_of, od):
    spot = np.zeros((10, 12), np.float32)
    spot[3:7, 3:7] = od
    soft = cv2.resize(spot, (1200, 1000), interpolation=cv2.INTER_LINEAR)
    noise = np.random.default_rng(0).normal(0, 1.5, (1000, 1200, 3))
    pixels = np.array(WHITE) * 10 ** -soft[..., None] + noise
    with slide_of(pixels.clip(0, 255).astype(np.uint8)) as slide:
        assert find_tissue(slide, GLASS).area_mm2 < 0.01 * soft.size / 1e6


def test_all_tissue_is_all_found(slide_of):
    pixels = paint(np.ones((901, 1103), bool), od=0.2, roughness=0.08)
    with slide_of(pixels) as slide:
        white = find_white_point(slide)
        tissue = find_tissue(slide, white)
        assert white.source == "default"
        assert tissue.mask.mean() > 0.99
        assert tissue.mask.shape == (113, 138)
        box = shapely.box(0, 0, 1103, 901)
        assert shapely.union_all(tissue.polygons()).intersection(box).area / box.area > 0.99


def test_dust_goes_and_small_holes_close(slide_of):
    shape = np.zeros((1200, 1200), bool)
    shape[300:900, 300:900] = True
    shape[560:600, 560:600] = False  # 1,600 um2
    shape[400:500, 700:800] = False  # 10,000 um2
    for x in range(60, 1200, 200):
        shape[100:130, x : x + 30] = True  # 900 um2 of dust
    with slide_of(paint(shape, od=0.15, roughness=0.06)) as slide:
        polygons = find_tissue(slide, GLASS).polygons()
    assert len(polygons) == 1
    (hole,) = polygons[0].interiors
    assert shapely.Polygon(hole).contains(shapely.Point(750, 450))


def test_bands_do_not_show(slide_of, monkeypatch):
    with slide_of(paint(ring(1500, outer=700, inner=100), od=0.1, roughness=0.04)) as slide:
        whole = find_tissue(slide, GLASS)
        monkeypatch.setattr("her2kit.slides.tissue._BAND_ROWS", 48)
        assert (find_tissue(slide, GLASS).mask != whole.mask).mean() < 1e-4


@pytest.mark.parametrize("mpp", [0.25, 0.389, 0.5, 4.5, 7.9])
def test_mask_lies_on_the_slide_at_any_mpp(slide_of, mpp):
    size = round(1000 / mpp) if mpp > 1 else 1600
    shape = np.zeros((size, size), bool)
    shape[: size // 2, size // 4 :] = True
    with slide_of(paint(shape, od=0.2, roughness=0.08), mpp=mpp) as slide:
        tissue = find_tissue(slide, GLASS)
        assert tissue.mpp == pytest.approx(8, rel=2e-3)
        assert tissue.scale == pytest.approx(tissue.mpp / mpp)
        x0, y0, x1, y1 = shapely.union_all(tissue.polygons()).bounds
        assert (x0, y0, y1) == pytest.approx((size // 4, 0, size // 2), abs=max(10 / mpp, 3))
        assert x1 >= size
        assert tissue.contains(np.array([size - 0.01]), np.array([size / 4]))[0]


def test_without_mpp_and_too_fine(slide_of, real, tmp_path):
    with (
        open_slide(real / "wsi/tcga-cr-7395-no-mpp.svs") as slide,
        pytest.raises(MppError, match="slide has no mpp; pass mpp="),
    ):
        find_tissue(slide, GLASS)
    with (
        slide_of(paint(np.ones((100, 100), bool), od=0.1, roughness=0), mpp=10.0) as slide,
        pytest.raises(ValueError, match="mpp=8 is finer than the slide's own 10"),
    ):
        find_tissue(slide, GLASS)


@given(
    mask=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    scale=st.sampled_from([1.0, 20.57, 32.0]),
)
@settings(deadline=None)
def test_outlines_cover_the_mask_exactly(mask, scale):
    tissue = Tissue(mask, 8.0, scale)
    polygons = tissue.polygons(tolerance_um=0)
    assert all(p.is_valid for p in polygons)
    assert sum(p.area for p in polygons) * (8.0 / scale) ** 2 / 1e6 == pytest.approx(
        tissue.area_mm2, rel=1e-9
    )
    y, x = (np.ravel(v) + 0.5 for v in np.mgrid[: mask.shape[0], : mask.shape[1]])
    inside = shapely.contains_xy(shapely.union_all(polygons), x * scale, y * scale)
    np.testing.assert_array_equal(inside, mask.ravel())
    np.testing.assert_array_equal(tissue.contains(x * scale, y * scale), mask.ravel())
    assert all(p.is_valid and p.geom_type == "Polygon" for p in tissue.polygons())


def test_contains_is_false_beyond_the_mask():
    tissue = Tissue(np.ones((4, 5), bool), 8.0, 2.0)
    x, y = np.array([-0.1, 0, 9.99, 10, 3]), np.array([1.0, 7.99, 0, 1, 8])
    np.testing.assert_array_equal(tissue.contains(x, y), [False, True, True, False, False])
    assert tissue.contains(np.array([]), np.array([])).shape == (0,)


def test_tissue_is_checked():
    with pytest.raises(ValueError, match="mask is uint8"):
        Tissue(np.ones((2, 2), np.uint8), 8.0, 1.0)
    with pytest.raises(ValueError, match="scale=0"):
        Tissue(np.ones((2, 2), bool), 8.0, 0)


def test_real_cores(real):
    """Round cores of about 1.1 mm: what is found is one core, and as much of it as the eye sees tissue."""
    areas = {"core_score0": (0.75, 0.9), "core_score2_ishpos": (1.15, 1.3), "core_score3": (0.95, 1.1)}
    for name, (low, high) in areas.items():
        with open_slide(real / f"her2_wsi/{name}.tif") as slide:
            tissue = find_tissue(slide, find_white_point(slide))
            polygons = tissue.polygons()
            assert low < tissue.area_mm2 < high
            assert polygons[0].area / sum(p.area for p in polygons) > 0.95
            y, x = np.mgrid[: tissue.mask.shape[0], : tissue.mask.shape[1]]
            corner = np.hypot(x / x.max() - 0.5, y / y.max() - 0.5) > 0.52
            assert not tissue.mask[corner].any()
