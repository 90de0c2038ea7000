"""Compartments of cells: planted points, names, overlaps."""

import numpy as np
import pytest
import shapely

from her2kit.exchange.geojson import Region, read_regions, write_regions
from her2kit.regions.compartments import compartments_of, invasive_regions

TUMOUR = Region("Tumor", shapely.box(0, 0, 100, 100))
DCIS = Region("DCIS", shapely.box(20, 20, 40, 40))
X, Y = np.array([10.0, 30.0, 150.0]), np.array([10.0, 30.0, 150.0])


@pytest.mark.parametrize("regions", [[TUMOUR, DCIS], [DCIS, TUMOUR]])
def test_in_situ_is_cut_out_of_the_tumour_in_any_order(regions):
    assert compartments_of(X, Y, regions).tolist() == ["invasive", "in_situ", "unknown"]


def test_names_that_mean_nothing_here_change_nothing():
    assert compartments_of(X, Y, [Region("ruler", shapely.box(0, 0, 200, 200))]).tolist() == ["unknown"] * 3


def test_a_drawn_outline_without_a_name_means_score_this(tmp_path):
    path = tmp_path / "drawn.geojson"
    write_regions(path, [Region("x", shapely.box(0, 0, 50, 50))])
    path.write_text(path.read_text().replace('"name":"x"', '"name":""').replace('"name": "x"', '"name": ""'))
    regions = read_regions(path)
    assert len(invasive_regions(regions)) == 1
    assert compartments_of(X, Y, regions)[0] == "invasive"


def test_holes_belong_to_nobody():
    ring = shapely.Polygon(shapely.box(0, 0, 100, 100).exterior, [shapely.box(25, 25, 35, 35).exterior])
    assert compartments_of(X, Y, [Region("invasive", ring)]).tolist() == ["invasive", "unknown", "unknown"]


def test_derived_classes_of_qupath_are_their_base_class():
    regions = [
        Region("Tumor: Positive", shapely.box(0, 0, 50, 50)),
        Region("Stroma: X", shapely.box(0, 0, 9, 9)),
    ]
    assert invasive_regions(regions) == regions[:1]
