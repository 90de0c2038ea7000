import json
import uuid

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from her2kit.cells.table import CLASS_COLOURS, NOT_EVALUABLE_COLOUR, conform_cells, empty_cells
from her2kit.errors import RegionError
from her2kit.exchange import cell_text, features, geojson
from her2kit.exchange.digits import json_rings, surely_simple
from her2kit.exchange.geojson import (
    Region,
    feature_id,
    read_cells_geojson,
    read_regions,
    write_cells_geojson,
    write_regions,
)


def ring(x, y, radius, n=24):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)]).astype(np.float32)


def planted(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-50, 90_000, (2, n))
    return conform_cells(
        pd.DataFrame(
            {
                "cell_id": [f"c{i}" for i in range(n)],
                "slide_id": "s",
                "x_px0": x,
                "y_px0": y,
                "outline": [ring(a, b, 20) for a, b in zip(x, y, strict=True)],
                "nucleus_outline": [ring(a, b, 11, 12) for a, b in zip(x, y, strict=True)],
                "dab_od": rng.random(n),
                "completeness": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
                "cell_class": rng.choice(["0", "1+", "2+", "3+"], n),
            }
        )
    )


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(*[st.integers(-(10**9), 10**10)] * 2), min_size=0, max_size=5), max_size=5)
)
def test_rings_are_json_of_the_same_numbers(rings):
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rings])]).astype(np.int64)
    points = np.array([p for r in rings for p in r], dtype=np.int64).reshape(-1, 2)
    texts = json_rings(points, offsets)
    for text, wanted in zip(texts, rings, strict=True):
        if wanted:
            assert json.loads(text) == [[x / 100, y / 100] for x, y in [*wanted, wanted[0]]]
        else:
            assert text == b""


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=3, max_size=7))
def test_a_ring_called_simple_is_valid(points):
    ring_points = np.array(points) * 100
    if surely_simple(ring_points, np.array([0, len(points)]))[0]:
        assert Polygon(points).is_valid


def test_round_and_wavy_outlines_are_called_simple_and_a_double_turn_is_not():
    once = ring(500, 300, 20, 30)
    wavy = once + 3 * np.sin(np.arange(30))[:, None].astype("f4") * (once - [500, 300]).astype("f4") / 20
    twice = ring(500, 300, 20, 30)[[*range(0, 30, 2), *range(0, 30, 2)]]
    stacked = np.rint(np.concatenate([once, once[::-1], wavy, twice]) * 100).astype(np.int64)
    assert surely_simple(stacked, np.arange(5) * 30).tolist() == [True, True, True, False]


def test_cells_come_back(tmp_path):
    cells = planted()
    written = write_cells_geojson(tmp_path / "cells.geojson", cells, slide_id="s")
    assert (written.cells, written.repaired, written.points) == (40, 0, 0)
    found = read_cells_geojson(tmp_path / "cells.geojson")
    assert found["id"].tolist() == [feature_id("s", c) for c in cells["cell_id"]]
    assert found["cell_class"].tolist() == cells["cell_class"].tolist()
    np.testing.assert_allclose(found["dab_od"], cells["dab_od"], rtol=1e-5)
    np.testing.assert_allclose(found["completeness"], cells["completeness"], rtol=1e-5)
    np.testing.assert_allclose(found[["x_px0", "y_px0"]], cells[["x_px0", "y_px0"]], atol=0.0051)
    for name in ("outline", "nucleus_outline"):
        for f, p in zip(found[name], cells[name], strict=True):
            np.testing.assert_allclose(f, p, atol=0.0151)  # 0.01 px, and float32 near 90,000


def test_the_layout_is_the_contract(tmp_path):
    cells = planted(3)
    cells.loc[1, "cell_class"] = None
    cells.loc[1, "evaluable"] = False
    write_cells_geojson(tmp_path / "cells.geojson", cells, slide_id="s")
    document = json.loads((tmp_path / "cells.geojson").read_text())
    assert document["type"] == "FeatureCollection"
    for feature, cell in zip(document["features"], cells.itertuples(), strict=True):
        assert list(feature) == ["type", "id", "geometry", "nucleusGeometry", "properties"]
        assert uuid.UUID(feature["id"]).version == 5
        assert list(feature["properties"]) == ["objectType", "classification", "measurements"]
        assert feature["properties"]["objectType"] == "cell"
        known = cell.Index != 1
        colour = CLASS_COLOURS[cell.cell_class] if known else NOT_EVALUABLE_COLOUR
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        name = cell.cell_class if known else "not evaluable"
        assert feature["properties"]["classification"] == {"name": name, "color": rgb}
        assert all(isinstance(v, int | float) for v in feature["properties"]["measurements"].values())
        assert feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1]
    assert document["features"][1]["properties"]["measurements"]["evaluable"] == 0


def test_every_class_has_the_colour_of_the_cell_table():
    as_hex = {name: "#{:02X}{:02X}{:02X}".format(*rgb) for name, rgb in cell_text.CLASS_RGB.items()}
    assert as_hex == CLASS_COLOURS
    assert "#{:02X}{:02X}{:02X}".format(*cell_text.NOT_EVALUABLE[1]) == NOT_EVALUABLE_COLOUR


def test_crossing_outlines_are_mended_and_missing_ones_become_points(tmp_path):
    cells = planted(5)
    bow = np.array([[0, 0], [10, 10], [10, 0], [0, 9]], dtype=np.float32)
    cells["outline"] = pd.Series(
        [bow, None, bow[:2], np.full((5, 2), np.nan, "f4"), ring(5, 5, 2)], dtype=object
    )
    cells["nucleus_outline"] = pd.Series([None] * 5, dtype=object)
    written = write_cells_geojson(tmp_path / "cells.geojson", cells, slide_id="s")
    assert (written.cells, written.repaired, written.points) == (5, 1, 3)
    shapes = [
        shapely.geometry.shape(f["geometry"])
        for f in json.loads((tmp_path / "cells.geojson").read_text())["features"]
    ]
    assert all(s.is_valid for s in shapes)
    assert [s.geom_type for s in shapes] == ["Polygon", "Point", "Point", "Point", "Polygon"]
    assert shapes[1].distance(Point(cells["x_px0"][1], cells["y_px0"][1])) < 0.01
    found = read_cells_geojson(tmp_path / "cells.geojson")
    assert [o is None for o in found["outline"]] == [False, True, True, True, False]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e3, 1e5, width=32)] * 2), min_size=3, max_size=9))
def test_whatever_the_outline_the_geometry_is_valid(tmp_path_factory, points):
    cells = planted(1)
    cells["outline"] = pd.Series([np.array(points, dtype=np.float32)], dtype=object)
    path = tmp_path_factory.mktemp("any") / "cells.geojson"
    write_cells_geojson(path, cells, slide_id="s")
    shape = shapely.geometry.shape(json.loads(path.read_text())["features"][0]["geometry"])
    assert shape.is_valid
    assert not shape.is_empty


def test_rows_beyond_one_block_and_no_rows_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(geojson, "_ROWS", 7)
    monkeypatch.setattr(features, "_CHARACTERS", 300)
    write_cells_geojson(tmp_path / "many.geojson", planted(30), slide_id="s")
    json.loads((tmp_path / "many.geojson").read_text())
    assert len(read_cells_geojson(tmp_path / "many.geojson")) == 30
    write_cells_geojson(tmp_path / "none.geojson", empty_cells(), slide_id="s")
    found = read_cells_geojson(tmp_path / "none.geojson")
    assert len(found) == 0
    assert "cell_class" in found


def test_ids_depend_on_slide_and_cell():
    assert feature_id("s", "c") == feature_id("s", "c")
    assert len({feature_id("s", "c"), feature_id("t", "c"), feature_id("s", "d")}) == 3


def test_regions_come_back_with_holes_and_names(tmp_path):
    holed = Polygon(box(0, 0, 100, 80).exterior, [box(20, 20, 40, 40).exterior])
    planted_regions = [
        Region("invasive", holed),
        Region("<in situ> Ä", MultiPolygon([box(200, 0, 210, 10), box(300, 0, 310, 10)])),
    ]
    found = read_regions(write_regions(tmp_path / "regions.geojson", planted_regions))
    assert [r.name for r in found] == ["invasive", "<in situ> Ä"]
    for f, p in zip(found, planted_regions, strict=True):
        assert f.geometry.equals(p.geometry)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}, "name": "A"}, "Tumor"),
        ({"name": "A", "class": "B"}, "A"),
        ({"class": "B"}, "B"),
        ({}, "unnamed"),
        (None, "unnamed"),
    ],
)
@pytest.mark.parametrize("layout", ["collection", "list", "feature", "indented"])
def test_the_layouts_of_other_programs(tmp_path, properties, name, layout):
    feature = {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(box(0, 0, 5, 5)),
        "properties": properties,
    }
    document = {
        "collection": {"type": "FeatureCollection", "crs": {"a": [1]}, "features": [feature]},
        "list": [feature],
        "feature": feature,
        "indented": {"type": "FeatureCollection", "features": [feature]},
    }[layout]
    (tmp_path / "r.geojson").write_text(
        json.dumps(document, indent=2 if layout == "indented" else None), encoding="utf-8-sig"
    )
    (region,) = read_regions(tmp_path / "r.geojson")
    assert region.name == name
    assert region.geometry.area == 25


GOOD = '{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,0]]]}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable as GeoJSON"),
        ("hello", "not readable as GeoJSON"),
        ('{"type":"FeatureCollection","features":[' + GOOD, "not readable as GeoJSON"),
        ('{"type":"FeatureCollection","features":[' + GOOD + "," + GOOD[:40], "not readable as GeoJSON"),
        ('{"type":"FeatureCollection","features":[]}', "no polygon"),
        ('{"type":"FeatureCollection","features":[1]}', "not objects"),
        ("7", "not objects"),
        ('{"a": 1}', "no polygon"),
        ('{"type":"Point","coordinates":[1,2]}', "no polygon"),
        ('{"type":"Polygon","coordinates":[[[0,0],[9,9],[9,0],[0,9],[0,0]]]}', "region 1 .* is invalid"),
        ('{"type":"Polygon","coordinates":[[[0,0],[9,9]]]}', "unreadable coordinates"),
        ('{"type":"Polygon","coordinates":"x"}', "unreadable coordinates"),
        ('{"type":"Polygon","coordinates":[]}', "no area"),
    ],
)
def test_bad_region_files_are_one_clear_line(tmp_path, text, message):
    path = tmp_path / "r.geojson"
    path.write_text(text)
    with pytest.raises(RegionError, match=message) as caught:
        read_regions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(RegionError, match="no such file"):
        read_regions(tmp_path / "absent.geojson")
    (tmp_path / "b.geojson").write_bytes(bytes(range(256)))
    with pytest.raises(RegionError, match="not readable as GeoJSON"):
        read_regions(tmp_path / "b.geojson")


def test_a_cell_file_without_geometry_is_refused(tmp_path):
    (tmp_path / "c.geojson").write_text('{"type":"FeatureCollection","features":[{"type":"Feature"}]}')
    with pytest.raises(RegionError, match="feature 1 is no cell"):
        read_cells_geojson(tmp_path / "c.geojson")


def test_a_region_must_be_a_valid_polygon():
    with pytest.raises(ValueError, match="geometry of region 'a' is Point"):
        Region("a", Point(0, 0))
    with pytest.raises(ValueError, match="empty or invalid"):
        Region("a", Polygon([(0, 0), (9, 9), (9, 0), (0, 9)]))
