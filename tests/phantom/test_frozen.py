"""Frozen sections: every other one holds a metastasis whose mask, polygon and length agree."""

import json

import cv2
import numpy as np
import openslide
import pandas as pd
import pytest
from skimage.measure import label, regionprops

from her2kit.errors import PlanError
from her2kit.exchange.geojson import read_regions
from her2kit.phantom.frozen import FROZEN_SITES, make_frozen_cohort


def test_frozen_cohort(tmp_path):
    manifest = pd.read_csv(
        make_frozen_cohort(tmp_path / "f", slides=4, seed=1, size_um=(3000, 2400)), keep_default_na=False
    )
    assert list(manifest["label"]) == ["tumour", "normal", "tumour", "normal"]
    assert manifest["mpp"].nunique() == 2
    satellites = 0
    for row in manifest.itertuples():
        mask = cv2.imread(str(tmp_path / "f" / row.mask_path), cv2.IMREAD_UNCHANGED) > 0
        score = json.loads((tmp_path / "f/truth" / row.slide_id / "score.json").read_text())
        with openslide.OpenSlide(tmp_path / "f" / row.path) as slide:
            assert slide.dimensions == mask.shape[::-1]
            pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")).astype(int)
        if row.label == "normal":
            assert not mask.any()
            assert score["major_axis_um"] is None
            continue
        deposits = regionprops(label(mask, connectivity=2))
        largest = max(deposits, key=lambda d: d.area)
        assert score["major_axis_um"] == pytest.approx(largest.feret_diameter_max * row.mpp, rel=0.02)
        satellites += len(deposits) > 1
        area = sum(r.geometry.area for r in read_regions(tmp_path / "f" / row.tumour_path))
        assert area == pytest.approx(mask.sum(), rel=0.1)
        tissue = pixels.min(axis=-1) < 200
        redness = (
            (pixels[..., 0] - pixels[..., 2])[mask & tissue].mean(),
            (pixels[..., 0] - pixels[..., 2])[~mask & tissue].mean(),
        )
        assert redness[0] > redness[1] + 1
    assert satellites


def test_redness_alone_does_not_tell_a_metastasis(tmp_path):
    manifest = pd.read_csv(
        make_frozen_cohort(tmp_path / "f", slides=12, seed=4, size_um=(3000, 2400), sites=FROZEN_SITES[1:]),
        keep_default_na=False,
    )
    assert set(manifest["site"]) == {FROZEN_SITES[1].name}
    reddest = {"tumour": [], "normal": []}
    for row in manifest.itertuples():
        with openslide.OpenSlide(tmp_path / "f" / row.path) as slide:
            pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")).astype(float)
        redness = cv2.blur(pixels[..., 0] - pixels[..., 2], (41, 41))
        reddest[row.label].append(redness.max())
    assert max(reddest["normal"]) > np.median(reddest["tumour"])


def test_the_same_seed_paints_the_same_section(tmp_path):
    one, two, other = (
        make_frozen_cohort(tmp_path / str(i), slides=1, seed=seed, size_um=(1600, 1500)).parent
        for i, seed in enumerate((3, 3, 4))
    )
    first, same, differs = (next((f / "slides").glob("*.tif")).read_bytes() for f in (one, two, other))
    assert first == same != differs


def test_impossible_frozen_cohorts_are_refused(tmp_path):
    with pytest.raises(PlanError, match="slides=0"):
        make_frozen_cohort(tmp_path / "f", slides=0)
    with pytest.raises(PlanError, match="0 sites"):
        make_frozen_cohort(tmp_path / "f", slides=1, sites=())
    with pytest.raises(PlanError, match="size_um"):
        make_frozen_cohort(tmp_path / "f", slides=1, size_um=(10, 10))
    (tmp_path / "g").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        make_frozen_cohort(tmp_path / "g", slides=1)
    assert [p.name for p in tmp_path.iterdir()] == ["g"]
