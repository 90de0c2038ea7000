"""Nuclei: planted ones come back, none where there are none, the same wherever the picture is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2kit.cells.classical import (
    COLUMNS,
    HALO_UM,
    SETTINGS,
    NucleusFit,
    find_nuclei,
    fit_nuclei,
)
from her2kit.cells.matching import match_points
from her2kit.stain.separation import RUIFROK_JOHNSTON, StainMaps, separate

WHITE = (234.0, 233.0, 243.0)
MPP = 0.25


def paint(rng, size_um, *, mpp=MPP, dab_ring=0.0, dab_inside=0.0, vesicular=False, spacing_um=9.0):
    """Pixels with planted elliptic nuclei on a jittered grid, and their centres in um (x, y)."""
    n = round(size_um / mpp)
    y, x = (np.mgrid[:n, :n] + 0.5) * mpp
    hematoxylin = np.full((n, n), 0.03)
    dab = np.full((n, n), 0.01)
    centres = []
    for gy in np.arange(spacing_um, size_um - spacing_um / 2, spacing_um):
        for gx in np.arange(spacing_um, size_um - spacing_um / 2, spacing_um):
            cx, cy = gx + rng.uniform(-1, 1), gy + rng.uniform(-1, 1)
            a, b, turn = rng.uniform(3.0, 4.0), rng.uniform(2.4, 3.0), rng.uniform(0, np.pi)
            box = np.s_[
                max(0, int((cy - 6) / mpp)) : int((cy + 6) / mpp),
                max(0, int((cx - 6) / mpp)) : int((cx + 6) / mpp),
            ]
            u = (x[box] - cx) * np.cos(turn) + (y[box] - cy) * np.sin(turn)
            v = -(x[box] - cx) * np.sin(turn) + (y[box] - cy) * np.cos(turn)
            r = np.sqrt((u / a) ** 2 + (v / b) ** 2)
            density = rng.uniform(0.10, 0.2)
            inside = np.where(r < 0.45, 0.35 * density, density) if vesicular else density
            hematoxylin[box] = np.where(r < 1, inside, hematoxylin[box])
            dab[box] = np.where(r < 1, dab[box] + dab_inside, dab[box])
            dab[box] = np.where((r > 1.25) & (r < 1.5), dab_ring, dab[box])
            centres.append((cx, cy))
    od = np.multiply.outer(hematoxylin, RUIFROK_JOHNSTON.hematoxylin)
    od += np.multiply.outer(dab, RUIFROK_JOHNSTON.dab)
    grey = np.array(WHITE) * 10.0**-od + rng.normal(0, 2.0, od.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), np.array(centres)


def maps_of(pixels):
    return separate(pixels, WHITE, RUIFROK_JOHNSTON)


def f1(pixels, centres, *, mpp=MPP, marker="membrane"):
    maps = maps_of(pixels)
    found = find_nuclei(maps, fit_nuclei([maps], mpp=mpp, marker=marker), mpp=mpp)
    points = found.table[["x_px", "y_px"]].to_numpy() * mpp
    return match_points(centres, points, max_distance=2.0).f1, found


@pytest.mark.parametrize("mpp", [0.2, 0.25, 0.389, 0.5])
@pytest.mark.parametrize(
    ("marker", "look"),
    [
        ("membrane", {}),
        ("membrane", {"dab_ring": 0.7}),
        ("membrane", {"vesicular": True}),
        ("nuclear", {"dab_inside": 0.5}),
    ],
)
def test_planted_nuclei_come_back(mpp, marker, look):
    pixels, centres = paint(np.random.default_rng(4), 120.0, mpp=mpp, **look)
    score, found = f1(pixels, centres, mpp=mpp, marker=marker)
    assert score > 0.95
    assert found.table["area_um2"].median() == pytest.approx(np.pi * 3.5 * 2.7, rel=0.3)
    assert found.table["axis_ratio"].between(0.3, 1.0).all()


def test_table_describes_the_labels():
    pixels, _ = paint(np.random.default_rng(5), 90.0, dab_ring=0.5)
    maps = maps_of(pixels)
    found = find_nuclei(maps, fit_nuclei([maps], mpp=MPP), mpp=MPP)
    assert tuple(found.table.columns) == COLUMNS
    assert found.labels.max() == len(found.table)
    for i in range(0, len(found.table), 7):
        ys, xs = np.nonzero(found.labels == i + 1)
        row = found.table.iloc[i]
        assert row.area_um2 == pytest.approx(len(xs) * MPP**2)
        assert row.x_px == pytest.approx(xs.mean() + 0.5, abs=0.01)
        assert row.y_px == pytest.approx(ys.mean() + 0.5, abs=0.01)
        assert row.dab_od == pytest.approx(maps.dab[ys, xs].mean(), abs=1e-4)
        assert row.hematoxylin_od == pytest.approx(maps.hematoxylin[ys, xs].mean(), abs=1e-4)
        assert row.ring_dab_od > row.dab_od
        assert 0 <= row.confidence <= 1


def test_nothing_in_glass_noise_or_an_even_field():
    rng = np.random.default_rng(6)
    glass = np.clip(np.rint(np.array(WHITE) + rng.normal(0, 0.6, (400, 400, 3))), 0, 255).astype(np.uint8)
    tissue, _ = paint(np.random.default_rng(7), 90.0)
    fit = fit_nuclei([maps_of(tissue)], mpp=MPP)
    empty = find_nuclei(maps_of(glass), fit, mpp=MPP)
    assert len(empty.table) == 0
    assert tuple(empty.table.columns) == COLUMNS
    assert not empty.labels.any()
    even = np.full((300, 300, 3), 150, dtype=np.uint8)
    assert len(find_nuclei(maps_of(even), fit, mpp=MPP).table) == 0
    assert len(find_nuclei(maps_of(glass[:9, :11]), fit, mpp=MPP).table) == 0


def test_stained_nuclei_are_set_aside_for_a_membrane_marker():
    pixels, centres = paint(np.random.default_rng(8), 120.0, dab_inside=0.35)
    maps = maps_of(pixels)
    found = find_nuclei(maps, fit_nuclei([maps], mpp=MPP), mpp=MPP)
    assert len(found.table) < 0.1 * len(centres)
    assert (found.rejected["reason"] == "stained").sum() > 0.5 * len(centres)


def test_grey_specks_are_set_aside_for_a_membrane_marker():
    pixels, centres = paint(np.random.default_rng(10), 120.0)
    rng = np.random.default_rng(11)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    blood = np.array(WHITE) * 10.0 ** -np.array([0.30, 0.42, 0.31])  # red blood cells: OD_B / OD_R 1.02
    n_blood = 0
    for cx, cy in centres[::5] / MPP:
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < (3.4 / MPP) ** 2] = np.rint(blood)
        n_blood += 1
    pixels = np.clip(pixels + rng.normal(0, 1, pixels.shape), 0, 255).astype(np.uint8)
    maps = maps_of(pixels)
    found = find_nuclei(maps, fit_nuclei([maps], mpp=MPP), mpp=MPP)
    assert (found.rejected["reason"] == "grey").sum() >= 0.9 * n_blood
    kept = found.table[["x_px", "y_px"]].to_numpy() * MPP
    assert match_points(np.delete(centres, np.s_[::5], axis=0), kept, max_distance=2.0).f1 > 0.95


def test_two_touching_nuclei_are_split_and_a_thread_is_none():
    n = 200
    y, x = (np.mgrid[:n, :n] + 0.5) * MPP
    hematoxylin = np.full((n, n), 0.02, dtype=np.float32)
    hematoxylin[np.hypot(x - 15, y - 15) < 3.2] = 0.18
    hematoxylin[np.hypot(x - 20.5, y - 15) < 3.2] = 0.18
    hematoxylin[(np.abs(y - 35) < 0.4) & (x > 5) & (x < 45)] = 0.25
    flat = np.zeros((n, n), dtype=np.float32)
    maps = StainMaps(hematoxylin, flat, 0.67 * hematoxylin, 0.38 * hematoxylin)
    found = find_nuclei(maps, fit_nuclei([maps], mpp=MPP), mpp=MPP)
    points = found.table[["x_px", "y_px"]].to_numpy() * MPP
    assert len(points) == 2
    np.testing.assert_allclose(points, [[15, 15], [20.5, 15]], atol=0.7)


REACH = int(HALO_UM / MPP)
CUT_FIELD, _ = paint(np.random.default_rng(9), 205.0, dab_ring=0.4, vesicular=True, spacing_um=7.0)


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 150),
    st.integers(0, 150),
    st.integers(0, 101),
    st.integers(0, 101),
    st.sampled_from(sorted(SETTINGS)),
)
def test_nuclei_do_not_depend_on_the_cut(top, left, less_height, less_width, marker):
    maps = maps_of(CUT_FIELD)
    fit = NucleusFit(marker, 0.05, SETTINGS[marker])
    whole = find_nuclei(maps, fit, mpp=MPP)
    bottom, right = CUT_FIELD.shape[0] - less_height, CUT_FIELD.shape[1] - less_width
    part = find_nuclei(maps.crop(slice(top, bottom), slice(left, right)), fit, mpp=MPP)

    def core(table, dx, dy):
        moved = table.assign(x_px=table["x_px"] + dx, y_px=table["y_px"] + dy)
        inside = moved["x_px"].between(left + REACH, right - REACH) & moved["y_px"].between(
            top + REACH, bottom - REACH
        )
        return moved[inside].reset_index(drop=True)

    a, b = core(whole.table, 0, 0), core(part.table, left, top)
    assert len(a) > 0
    assert a.equals(b)
    assert core(whole.rejected, 0, 0).equals(core(part.rejected, left, top))
    box = np.s_[top + REACH : bottom - REACH, left + REACH : right - REACH]
    shifted = np.s_[REACH : bottom - top - REACH, REACH : right - left - REACH]
    np.testing.assert_array_equal(whole.labels[box] > 0, part.labels[shifted] > 0)


def test_wrong_values_are_named():
    plane = np.zeros((50, 50), dtype=np.float32)
    maps = StainMaps(plane, plane, plane, plane)
    with pytest.raises(ValueError, match="marker is 'nucleus'"):
        fit_nuclei([maps], mpp=MPP, marker="nucleus")
    with pytest.raises(ValueError, match="mpp is 40"):
        fit_nuclei([maps], mpp=40)
    with pytest.raises(ValueError, match="mpp is 0"):
        find_nuclei(maps, fit_nuclei([maps], mpp=MPP), mpp=0)
    with pytest.raises(ValueError, match="contrast_od is 0"):
        NucleusFit("membrane", 0.0, SETTINGS["membrane"])
