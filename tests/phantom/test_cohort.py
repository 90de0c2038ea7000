"""A cohort on disk: every file is there, agrees with the others, and does not depend on the workers."""

import hashlib
import json

import cv2
import numpy as np
import openslide
import pandas as pd
import pytest
import shapely

from her2kit.cells.table import COLUMNS
from her2kit.errors import PlanError
from her2kit.exchange.geojson import read_regions
from her2kit.exchange.parquet import read_table
from her2kit.phantom.cohort import MANIFEST, make_cohort
from her2kit.phantom.regions import CLASSES


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two slides, 3+ and 0, at two sites, with H&E."""
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    make_cohort(out, slides=2, seed=3, size_px=1024, with_he=True)
    return out


def truth(cohort, index):
    folder = sorted((cohort / "truth").iterdir())[index]
    return read_table(folder / "cells.parquet"), json.loads((folder / "score.json").read_text()), folder


def test_manifest_points_at_files_that_open_with_their_mpp(cohort):
    manifest = pd.read_csv(cohort / "manifest.csv", keep_default_na=False)
    assert tuple(manifest.columns) == MANIFEST
    assert list(manifest["label"]) == ["3+", "0"]
    assert list(manifest["mpp"]) == [0.25, 0.389]
    for row in manifest.itertuples():
        assert read_regions(cohort / row.tumour_path)
        for path in (row.path, row.pair_path):
            with openslide.OpenSlide(cohort / path) as slide:
                assert slide.dimensions == (1024, 1024)
                assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(row.mpp, rel=1e-4)


@pytest.mark.parametrize("index", [0, 1])
def test_cells_agree_with_score_and_regions(cohort, index):
    cells, score, folder = truth(cohort, index)
    assert list(cells.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert cells["cell_id"].is_unique
    invasive = cells[cells["compartment"] == "invasive"]
    assert len(invasive) == score["n_cells"] >= 30
    for name, count in score["counts"].items():
        assert (invasive["cell_class"] == name).sum() == count
    assert set(cells["compartment"]) <= {"invasive", "in_situ", "normal", "stroma", "immune"}
    tumour = shapely.union_all([r.geometry for r in read_regions(folder / "tumour.geojson")])
    inside = shapely.contains_xy(tumour, cells["x_px0"].to_numpy(), cells["y_px0"].to_numpy())
    assert inside[(cells["compartment"] == "invasive").to_numpy()].mean() > 0.98
    assert inside[(cells["compartment"] != "invasive").to_numpy()].mean() < 0.02


def test_outlines_are_simple_and_hold_their_nucleus(cohort):
    cells, _, _ = truth(cohort, 0)
    for cell in cells.itertuples():
        outer, inner = shapely.Polygon(cell.outline), shapely.Polygon(cell.nucleus_outline)
        assert outer.is_valid
        assert inner.is_valid
        if cell.compartment == "invasive":
            assert outer.buffer(1.5).contains(inner)
        assert inner.area * 0.25**2 == pytest.approx(cell.area_um2, rel=0.01)


def test_neighbours_share_their_membrane(cohort):
    cells, _, _ = truth(cohort, 0)
    shapes = [shapely.Polygon(o) for o in cells.loc[cells["compartment"] == "invasive", "outline"]]
    total, union = sum(s.area for s in shapes), shapely.union_all(shapes).area
    assert total - union < 0.04 * total


def test_planted_stain_is_seen_in_the_picture(cohort):
    strong, _, folder = truth(cohort, 0)
    blank, _, _ = truth(cohort, 1)
    is_intense = (strong["intensity"] == "intense") & (strong["compartment"] == "invasive")
    assert strong.loc[is_intense, "dab_od"].median() > 0.5
    assert blank.loc[blank["compartment"] == "invasive", "dab_od"].median() < 0.06
    membranes = cv2.imread(str(folder / "membranes.png"), cv2.IMREAD_UNCHANGED)
    assert membranes.shape == (256, 256)
    on_outline = np.concatenate(list(strong.loc[is_intense, "outline"])) * 0.25
    x, y = np.clip(on_outline.astype(int), 0, 255).T
    assert np.median(membranes[y, x]) > 4 * (np.median(membranes) + 1)


def test_rasters_tiles_and_polygons_tell_the_same(cohort):
    _, score, folder = truth(cohort, 0)
    raster = cv2.imread(str(folder / "regions.png"), cv2.IMREAD_UNCHANGED)
    assert raster.shape == (256, 256)
    tiles = read_table(folder / "tiles.parquet")
    shares = tiles[[f"share_{name}" for name in CLASSES]].to_numpy()
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(shares.mean(axis=0), [(raster == i).mean() for i in range(len(CLASSES))], atol=1e-9)
    tumour = sum(r.geometry.area for r in read_regions(folder / "regions.geojson") if r.name == "tumour")
    lumen_and_tumour = tumour * 0.25**2
    assert lumen_and_tumour >= 0.95 * (raster == CLASSES.index("tumour")).sum()
    assert 0 < score["major_axis_um"] <= 256 * 2**0.5


def digests(folder):
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.*")}


def test_same_seed_same_bytes_whatever_the_workers(cohort, tmp_path):
    make_cohort(tmp_path / "again", slides=2, seed=3, size_px=1024, with_he=True, workers=3)
    assert digests(tmp_path / "again") == digests(cohort)
    make_cohort(tmp_path / "other", slides=1, seed=4, size_px=512)
    other, first = (sorted((f / "slides").glob("*0.tif"))[0] for f in (tmp_path / "other", cohort))
    assert other.read_bytes() != first.read_bytes()


def test_h_and_e_shows_the_same_tissue(cohort):
    ihc, he = sorted((cohort / "slides").glob("*_000*.tif"))
    pictures = []
    for path in (ihc, he):
        with openslide.OpenSlide(path) as slide:
            pictures.append(
                np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")).astype(float)
            )
    tissue = [p.min(axis=-1) < 215 for p in pictures]
    overlap = (tissue[0] & tissue[1]).sum() / (tissue[0] | tissue[1]).sum()
    assert overlap > 0.6
    pink = pictures[1][tissue[1]].mean(axis=0)
    assert pink[0] > pink[1]
    assert pink[2] > pink[1]


def test_refuses_to_overwrite_and_leaves_nothing_half_written(cohort, tmp_path):
    with pytest.raises(ValueError, match="exists; give another folder"):
        make_cohort(cohort, slides=1)
    with pytest.raises(PlanError, match="unknown"):
        make_cohort(tmp_path / "a", slides=1, degrade="smoke")

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cohort(tmp_path / "a", slides=1, size_px=512, progress=stop)
    assert list(tmp_path.iterdir()) == []
    make_cohort(tmp_path / "a", slides=1, size_px=512)
    shares = []
    make_cohort(tmp_path / "a", slides=1, size_px=512, seed=9, overwrite=True, progress=shares.append)
    assert shares[-1] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
