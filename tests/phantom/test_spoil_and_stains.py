"""Degradations do what their name says and grow with their strength; other stains show the same tissue."""

from dataclasses import replace

import numpy as np
import pytest

from her2kit.phantom.degrade import DEGRADATIONS, spoiled_at
from her2kit.phantom.plan import Mix, Plan
from her2kit.phantom.ready import ready_case
from her2kit.phantom.render import render
from her2kit.phantom.site import SITES
from her2kit.phantom.slide import build_scene
from her2kit.phantom.truth import Truth

PLAN = Plan(**ready_case("2+"), seed=5, size_px=(768, 768), mix=Mix(0.8, 0, 0.05, 0.05, 0, 0, 0))


def draw(plan):
    """Return pixels as int and the truth."""
    truth = Truth(build_scene(plan))
    return np.concatenate(list(render(truth.scene, workers=2, sink=truth))).astype(int), truth


@pytest.fixture(scope="module")
def clean():
    return draw(PLAN)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_degradation_changes_more_with_more_strength(clean, name):
    weak, strong = (draw(replace(PLAN, degrade=((name, s),)))[0] for s in (0.3, 0.9))
    change = [np.abs(p - clean[0]).mean() for p in (weak, strong)]
    assert 0 < change[0] < change[1]
    assert np.array_equal(draw(replace(PLAN, degrade=((name, 0.0),)))[0], clean[0])


def sharpness(pixels):
    return np.abs(np.diff(pixels[..., 1], axis=1)).mean()


def test_blur_softens_faded_brightens_pen_is_green_wrong_stain_is_pink(clean):
    pixels = {n: draw(replace(PLAN, degrade=((n, 0.8),)))[0] for n in ("blur", "faded", "pen", "wrong_stain")}
    assert sharpness(pixels["blur"]) < 0.6 * sharpness(clean[0])
    assert pixels["faded"].mean() > clean[0].mean() + 2
    inked = (pixels["pen"][..., 1] - pixels["pen"][..., 0]) > 40
    assert inked.any(axis=1).any()
    assert inked.mean() > 0.02
    assert not ((clean[0][..., 1] - clean[0][..., 0]) > 40).any()
    pink = pixels["wrong_stain"]
    assert (pink[..., 2] - pink[..., 1]).mean() > (clean[0][..., 2] - clean[0][..., 1]).mean() + 8


def test_truth_says_where_cells_cannot_be_read(clean):
    assert clean[1].cells()["evaluable"].all()
    cells = draw(replace(PLAN, degrade=(("pen", 0.9), ("blur", 0.9))))[1].cells()
    assert set(cells.loc[~cells["evaluable"], "reason"]) == {"overlap", "blur"}
    assert cells.loc[cells["evaluable"], "reason"].isna().all()
    assert (cells["cell_class"] == clean[1].cells()["cell_class"]).all()
    none = spoiled_at(PLAN, np.array([10.0]), np.array([10.0]))
    assert none.tolist() == [None]


def test_stains_share_tissue_and_cells(clean):
    truths = {s: draw(replace(PLAN, stain=s)) for s in ("pdl1", "ki67", "he")}
    where = clean[1].cells()[["x_px0", "y_px0"]].to_numpy()
    for _, truth in truths.values():
        assert np.array_equal(truth.cells()[["x_px0", "y_px0"]].to_numpy(), where)
    pdl1 = truths["pdl1"][1].cells()
    positive = pdl1["positive"].astype(bool)
    assert set(pdl1.loc[positive, "cell_type"]) <= {"tumour", "lymphocyte", "macrophage"}
    tumour = pdl1["compartment"] == "invasive"
    assert positive[tumour].mean() == pytest.approx(PLAN.positive[0], abs=0.5 / tumour.sum() + 1e-9)
    assert pdl1.loc[positive, "dab_od"].median() > 4 * pdl1.loc[~positive & tumour, "dab_od"].median()
    ki67 = truths["ki67"][1].cells()
    lit = ki67["positive"].astype(bool)
    assert ki67.loc[lit, "nuclear_dab_od"].min() > 0.2 > ki67.loc[~lit, "nuclear_dab_od"].max()
    assert (truths["he"][1].cells()["cell_class"] == "0").all()


@pytest.mark.parametrize("site", ["alder", "birch"])
def test_planted_words_and_densities_agree_at_every_site(site):
    side = 1024 if site == "alder" else 658
    plan = replace(PLAN, site=SITES[site], size_px=(side, side), clustering=1.0)
    cells = draw(plan)[1].cells()
    cells = cells[cells["compartment"] == "invasive"]
    middles = cells.groupby("intensity")["dab_od"].median()
    assert middles["none"] < middles["faint"] < middles["weak"] < middles["moderate"]
    complete = cells["completeness_word"] == "complete"
    assert cells.loc[complete, "completeness"].min() >= 0.8
    assert cells.loc[~complete, "completeness"].max() < 0.8


def test_blocks_meet_without_a_seam(monkeypatch, clean):
    from her2kit.phantom import render as module

    monkeypatch.setattr(module, "BLOCK_PX", 160)
    other, truth = draw(PLAN)
    assert np.abs(other - clean[0]).max() <= 1
    assert np.array_equal(truth.membranes, clean[1].membranes)


def test_overshoot_beside_dark_edges_exceeds_white(clean):
    white = np.array(SITES["alder"].white)
    above = (clean[0] > white + 6).all(axis=-1).mean()
    assert 0.01 < above < 0.15
