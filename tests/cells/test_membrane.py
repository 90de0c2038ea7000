"""Membranes with a known width, OD and completeness are drawn, blurred and measured."""

from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from her2kit.cells.classical import find_nuclei, fit_nuclei
from her2kit.cells.grade import grade_cells
from her2kit.cells.membrane import COLUMNS, HALO_UM, measure_membranes
from her2kit.cells.rays import REACH_UM
from her2kit.stain.separation import RUIFROK_JOHNSTON, StainMaps, fit_stain_vectors, separate

FINE = 4  # drawn so many times finer, then averaged over pixels as a camera does
GREY = (1.0, 1.0, 1.0)


class Scene:
    """Cells drawn in micrometres, seen at `mpp` through a Gaussian blur."""

    def __init__(self, size_um: float, mpp: float):
        self.mpp, self.n = mpp, round(size_um / mpp)
        fine = np.arange(self.n * FINE) + 0.5
        self.x, self.y = np.meshgrid(fine * mpp / FINE, fine * mpp / FINE)
        self.hematoxylin = np.zeros_like(self.x)
        self.dab = np.zeros_like(self.x)
        self.grey = np.zeros_like(self.x)
        self.labels = np.zeros((self.n, self.n), np.int32)

    def polar(self, x, y):
        return np.hypot(self.x - x, self.y - y), np.arctan2(self.y - y, self.x - x) % (2 * np.pi)

    def nucleus(self, x, y, radius=3.5, h=0.2):
        r, _ = self.polar(x, y)
        self.hematoxylin = np.where(r < radius, h, self.hematoxylin)
        centre = (np.arange(self.n) + 0.5) * self.mpp
        inside = np.hypot(centre[None, :] - x, centre[:, None] - y) < radius
        self.labels[inside] = self.labels.max() + 1

    def ring(self, x, y, radius=5.5, width=1.0, od=0.4, share=1.0, start=0.0, stain="dab"):
        r, angle = self.polar(x, y)
        on = (np.abs(r - radius) < width / 2) & ((angle - start) % (2 * np.pi) < 2 * np.pi * share)
        plane = getattr(self, stain)
        setattr(self, stain, np.where(on, np.maximum(plane, od), plane))

    def disc(self, x, y, radius, od, inner=0.0):
        r, _ = self.polar(x, y)
        self.dab = np.where((r < radius) & (r >= inner), od, self.dab)

    def seen(self, blur_um=0.3, noise=0.0, seed=0):
        """Return maps, nuclei and the DAB after blur: light is averaged, not OD."""
        od = np.stack(
            [
                self.hematoxylin * h + self.dab * d + self.grey * g
                for h, d, g in zip(RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab, GREY, strict=True)
            ],
            axis=-1,
        )
        light = cv2.GaussianBlur(10.0**-od, (0, 0), blur_um / self.mpp * FINE)
        light = light.reshape(self.n, FINE, self.n, FINE, 3).mean(axis=(1, 3))
        light += np.random.default_rng(seed).normal(0, noise, light.shape)
        od = -np.log10(np.maximum(light, 1 / 255))
        basis = np.array([RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab]).T
        h, d = np.moveaxis(od @ np.linalg.pinv(basis).T, -1, 0)
        maps = StainMaps(*(np.ascontiguousarray(p, np.float32) for p in (h, d, od[..., 0], od[..., 2])))
        return maps, nuclei_of(self.labels, self.mpp)


def nuclei_of(labels, mpp):
    return SimpleNamespace(labels=labels, mpp=mpp, table=pd.DataFrame(index=range(labels.max())))


def measure_one(mpp=0.25, blur_um=0.3, noise=0.0, **ring):
    scene = Scene(30, mpp)
    scene.nucleus(15, 15)
    scene.ring(15, 15, **ring)
    maps, nuclei = scene.seen(blur_um, noise)
    return measure_membranes(maps, nuclei, mpp=mpp).iloc[0], maps


def wall_after_blur(width, od, blur_um):
    """DAB OD in the middle of a straight wall and its width at half of that, its light blurred."""
    x = np.linspace(0, 4, 4001)
    inside = 0.5 * (erf((x + width / 2) / np.sqrt(2) / blur_um) - erf((x - width / 2) / np.sqrt(2) / blur_um))
    dab = np.array(RUIFROK_JOHNSTON.dab)
    light = 1 - (1 - 10.0 ** (-od * dab)) * inside[:, None]
    basis = np.array([RUIFROK_JOHNSTON.hematoxylin, dab]).T
    seen = np.linalg.lstsq(basis, -np.log10(light).T, rcond=None)[0][1]
    return seen[0], 2 * x[np.argmin(seen > seen[0] / 2)]


@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.4, 0.5])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(("width", "od"), [(0.64, 0.45), (1.0, 0.4), (2.14, 0.9)])
def test_completeness_od_and_width_come_back(mpp, share, width, od):
    cell, _ = measure_one(mpp, width=width, od=od, share=share, start=0.3)
    assert cell.completeness == pytest.approx(share, abs=0.1)
    planted, planted_width = wall_after_blur(width, od, 0.3)
    assert cell.dab_od == pytest.approx(planted, abs=0.03 if mpp <= 0.25 else 0.06)
    assert cell.width_um == pytest.approx(planted_width, abs=0.1 if mpp <= 0.25 else 0.25)
    assert cell.evaluable
    assert cell.reason is None or pd.isna(cell.reason)


def test_noise_of_a_camera_changes_little():
    still, _ = measure_one(od=0.4, share=0.5)
    noisy, _ = measure_one(od=0.4, share=0.5, noise=3 / 235)
    assert noisy.completeness == pytest.approx(still.completeness, abs=0.1)
    assert noisy.dab_od == pytest.approx(still.dab_od, abs=0.03)


def test_no_stain_is_complete_nowhere():
    cell, _ = measure_one(od=0.0, noise=3 / 235)
    assert cell.completeness == 0
    assert cell.dab_od == pytest.approx(0, abs=0.02)
    assert np.isnan(cell.width_um)


def test_grey_ring_is_no_membrane():
    cell, _ = measure_one(od=0.5, stain="grey")
    assert cell.completeness == 0


@pytest.mark.parametrize("rim_um", [3, 5, 8])
@pytest.mark.parametrize("scheme", ["breast", "gastric"])
def test_cytoplasm_alone_has_a_low_ratio_and_no_class(rim_um, scheme):
    scene = Scene(40, 0.25)
    scene.nucleus(20, 20)
    scene.disc(20, 20, 3.5 + rim_um, 0.3, inner=3.5)
    cells = measure_membranes(*scene.seen(noise=2 / 235), mpp=0.25)
    assert cells.membrane_ratio[0] < 1.5
    assert cells.cytoplasm_dab_od[0] == pytest.approx(0.3 if rim_um > 5 else 0.25, abs=0.06)
    assert grade_cells(cells, scheme=scheme).cell_class[0] == "0"


def test_ratio_is_membrane_over_cytoplasm():
    scene = Scene(30, 0.25)
    scene.nucleus(15, 15)
    scene.disc(15, 15, 5.5, 0.15, inner=3.5)
    scene.ring(15, 15, width=1.4, od=0.45)
    cell = measure_membranes(*scene.seen(0.2), mpp=0.25).iloc[0]
    assert cell.cytoplasm_dab_od == pytest.approx(0.15, abs=0.04)
    assert cell.membrane_ratio == pytest.approx(3, abs=0.7)


def pair(shift=0.0, stain_left=True, stain_right=True):
    """Two cells whose walls meet at x = 20 + shift; their nuclei's border is at 20."""
    scene = Scene(40, 0.25)
    scene.nucleus(15, 20)
    scene.nucleus(25, 20)
    wall = np.abs(scene.x - (20 + shift)) < 0.5
    left = np.hypot(scene.x - 15, scene.y - 20)
    right = np.hypot(scene.x - 25, scene.y - 20)
    ring = np.zeros_like(wall)
    if stain_left:
        ring |= (np.abs(left - 5.3) < 0.5) & (scene.x < 20)
    if stain_right:
        ring |= (np.abs(right - 5.3) < 0.5) & (scene.x > 20)
    near = np.abs(scene.y - 20) < 3
    scene.dab = np.where(ring | (wall & near), 0.45, 0.0)
    return measure_membranes(*scene.seen(), mpp=0.25)


@pytest.mark.parametrize("shift", [-0.6, 0.0, 0.6])
def test_neighbours_share_their_wall(shift):
    cells = pair(shift)
    assert (cells.completeness > 0.9).all()


def test_unstained_cell_takes_no_ridge_past_its_border():
    cells = pair(-0.6, stain_right=False)
    assert cells.completeness[0] > 0.9
    assert cells.completeness[1] < 0.05


@pytest.mark.parametrize("cytoplasm", [0.0, 0.15])
def test_wall_with_stained_cytoplasm_behind_it_is_not_the_blank_cells(cytoplasm):
    scene = Scene(40, 0.25)
    scene.nucleus(14, 20, radius=3)  # a stroma cell, nearer to the wall than the gland cell is
    scene.nucleus(26, 20, radius=3)
    wall = (scene.x > 18.7) & (scene.x < 19.7) & (np.abs(scene.y - 20) < 8)
    scene.dab = np.where(scene.x >= 19.7, cytoplasm * (scene.hematoxylin == 0), 0.0) + 0.45 * wall
    stroma = measure_membranes(*scene.seen(), mpp=0.25).iloc[0]
    assert (stroma.completeness > 0.15) == (cytoplasm == 0)


def test_ray_ends_at_the_next_nucleus():
    scene = Scene(40, 0.25)
    scene.nucleus(15, 20, radius=3)
    scene.nucleus(21.2, 20, radius=3)
    scene.ring(21.2, 20, radius=4.5, od=0.5, start=-1.0, share=1 / np.pi)  # beyond the right nucleus
    cells = measure_membranes(*scene.seen(), mpp=0.25)
    assert cells.completeness[0] == 0
    assert cells.completeness[1] > 0.25


def test_cell_at_the_slides_edge_is_missing():
    scene = Scene(30, 0.25)
    scene.nucleus(4, 15)
    scene.nucleus(18, 15)
    maps, nuclei = scene.seen()
    cells = measure_membranes(maps, nuclei, mpp=0.25)
    assert cells.evaluable.tolist() == [False, True]
    assert cells.reason[0] == "edge"
    assert measure_membranes(maps, nuclei, mpp=0.25, slide_box_px=(56, 0, 120, 120)).reason[1] == "edge"


def test_cell_hidden_by_others_is_missing():
    scene = Scene(40, 0.25)
    for angle in np.arange(6) * np.pi / 3:
        scene.nucleus(20 + 6.2 * np.cos(angle), 20 + 6.2 * np.sin(angle), radius=3.3)
    scene.nucleus(20, 20, radius=3.2)
    cells = measure_membranes(*scene.seen(), mpp=0.25)
    assert cells.reason.iloc[6] == "overlap"


def crowd(seed, n=60, size_um=80, mpp=0.25):
    """Many stained and unstained cells at random places."""
    rng = np.random.default_rng(seed)
    scene = Scene(size_um, mpp)
    for x, y in rng.uniform(4, size_um - 4, (n, 2)):
        if scene.labels[int(y / mpp), int(x / mpp)] == 0:
            scene.nucleus(x, y, radius=rng.uniform(2.2, 4))
            od = rng.choice([0.0, 0.2, 0.6])
            scene.ring(x, y, radius=5, od=od, share=rng.uniform(0.3, 1))
    labels = np.zeros_like(scene.labels)
    for new, old in enumerate(np.setdiff1d(np.unique(scene.labels), [0]), start=1):
        labels[scene.labels == old] = new
    scene.labels = labels
    return scene.seen(noise=3 / 235)


CROWD = crowd(1)


def test_outlines_are_valid_polygons():
    maps, nuclei = CROWD
    cells = measure_membranes(maps, nuclei, mpp=0.25)
    for name in ("outline", "nucleus_outline"):
        polygons = [shapely.Polygon(o) for o in cells[name]]
        assert all(p.is_valid and p.area > 0 for p in polygons)
        assert all(o.dtype == np.float32 for o in cells[name])
    areas = np.bincount(nuclei.labels.ravel())[1:]
    drawn = np.array([shapely.Polygon(o).area for o in cells["nucleus_outline"]])
    assert np.median(drawn / areas) == pytest.approx(1, abs=0.1)
    assert list(cells.columns) == list(COLUMNS)


@settings(max_examples=15, deadline=None)
@given(left=st.integers(0, 90), top=st.integers(0, 90), order=st.integers(0, 1000))
def test_cells_do_not_depend_on_the_cut_nor_on_label_numbers(left, top, order):
    maps, nuclei = CROWD
    mpp = 0.25
    whole = measure_membranes(maps, nuclei, mpp=mpp)
    cut = nuclei.labels[top:, left:]
    names = np.setdiff1d(np.unique(cut), [0])
    shuffled = np.random.default_rng(order).permutation(names)
    renamed = np.zeros(nuclei.labels.max() + 1, np.int32)
    renamed[shuffled] = np.arange(1, len(names) + 1)
    part = measure_membranes(
        maps.crop(slice(top, None), slice(left, None)),
        nuclei_of(renamed[cut], mpp),
        mpp=mpp,
        slide_box_px=(-left, -top, 320 - left, 320 - top),
    )
    halo = HALO_UM / mpp
    checked = 0
    for new, old in enumerate(shuffled):
        a, b = whole.iloc[old - 1], part.iloc[new]
        middle = a.nucleus_outline.mean(axis=0) - (left, top)
        if (middle < halo).any():
            continue
        checked += 1
        for name in COLUMNS:
            if name.endswith("outline"):
                np.testing.assert_array_equal(a[name], b[name] + np.float32((left, top)))
            else:
                assert a[name] == b[name] or (pd.isna(a[name]) and pd.isna(b[name])), name
    assert checked > 0


def test_no_nuclei_give_an_empty_table():
    maps, _ = CROWD
    cells = measure_membranes(maps, nuclei_of(np.zeros(maps.shape, np.int32), 0.25), mpp=0.25)
    assert len(cells) == 0
    assert list(cells.columns) == list(COLUMNS)


def test_wrong_arguments_are_named():
    maps, nuclei = CROWD
    with pytest.raises(ValueError, match="mpp is 0"):
        measure_membranes(maps, nuclei, mpp=0)
    small = nuclei_of(nuclei.labels[:-1], 0.25)
    with pytest.raises(ValueError, match="labels"):
        measure_membranes(maps, small, mpp=0.25)


def test_a_cell_reaches_no_further_than_its_territory():
    scene = Scene(40, 0.25)
    scene.nucleus(20, 20)
    cell = measure_membranes(*scene.seen(), mpp=0.25).iloc[0]
    radius = np.hypot(*(cell.outline - 80).T) * 0.25
    assert radius.max() == pytest.approx(3.5 + REACH_UM, abs=0.6)


@pytest.mark.parametrize(
    ("core", "least", "most", "at_least"),
    [
        ("0_9b0f", 0, 0.01, "1+"),
        ("0_a6d0", 0, 0.01, "1+"),
        ("2_0123", 0.1, 1, "2+"),
        ("3_a1f1", 0.5, 1, "3+"),
    ],
)
def test_real_cores_of_known_score(real, core, least, most, at_least):
    """A field of 0.2 mm2 from each core's middle, all cells, graded for stomach."""
    path = next((real / "her2_tma").glob(f"{core}*.jpg"))
    pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)[1800:3600, 1800:3600]
    white = (234.0, 233.0, 240.0)
    maps = separate(pixels, white, fit_stain_vectors(pixels[::4, ::4], white))
    nuclei = find_nuclei(maps, fit_nuclei([maps], mpp=0.25), mpp=0.25)
    cells = measure_membranes(maps, nuclei, mpp=0.25)
    graded = grade_cells(cells[cells.evaluable], scheme="gastric")
    assert len(graded) > 300
    share = (graded.cell_class >= at_least).mean()  # the words sort as the classes do
    assert least <= share <= most
    if core.startswith("2"):
        assert (graded.cell_class == "3+").mean() < 0.1
    assert all(shapely.Polygon(o).is_valid for o in cells.outline)
    assert all(shapely.Polygon(o).is_valid for o in cells.nucleus_outline)
