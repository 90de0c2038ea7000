"""Label files of cells: every format gives back exactly what another held; bad files are named."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from her2kit.errors import LabelError
from her2kit.exchange.asap import R1_COLOURS, read_asap, write_asap
from her2kit.exchange.coco import Coco, coco_of_points, points_of_coco, read_coco, write_coco
from her2kit.exchange.frame import HER2_CLASSES, Frame, points_table
from her2kit.exchange.geojson import read_cells_geojson, write_cells_geojson
from her2kit.exchange.r1_json import read_detections, read_reviewed, write_detections, write_reviewed
from her2kit.exchange.yolo import read_yolo, write_yolo

HALF = Frame(512, 512, 0.5, 0.25, 20480.0, 4096.0)
"""R1's tile: 512 px at mpp 0.5, cut from a slide at 0.25."""
MORE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def planted(frame: Frame, n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Return points anywhere in the tile, corners included, on the lattice of 0.01 level-0 px."""
    rng = np.random.default_rng(seed)
    size = np.array([frame.width_px, frame.height_px])
    xy = np.concatenate([rng.random((n, 2)), [[0, 0], [1, 1], [0, 1]]]) * size
    classes = [HER2_CLASSES[i] for i in rng.integers(0, 4, len(xy))]
    return points_table(frame.to_level_0(xy), classes, rng.random(len(xy)).astype(np.float32))


def by_yolo(folder, points, frame):
    return read_yolo(write_yolo(folder / "t.txt", points, frame), frame)


def by_asap(folder, points, frame):
    return read_asap(write_asap(folder / "t.xml", points))


def by_detections(folder, points, frame):
    return read_detections(write_detections(folder / "t.json", points, frame), frame)


def by_reviewed(folder, points, frame):
    path = write_reviewed(folder / "r.json", {"a.png": points}, {"a.png": frame})
    return read_reviewed(path, {"a.png": frame})["a.png"]


def by_coco(folder, points, frame):
    frames = {"a.png": frame}
    path = write_coco(folder / "c.json", coco_of_points({"a.png": points}, frames, box_um=8))
    return points_of_coco(read_coco(path), frames)["a.png"]


def by_geojson(folder, points, frame):
    cells = points.assign(cell_id=[str(k) for k in range(len(points))], outline=None, nucleus_outline=None)
    write_cells_geojson(folder / "g.geojson", cells, slide_id="s")
    return read_cells_geojson(folder / "g.geojson")


WAYS = (by_yolo, by_asap, by_detections, by_reviewed, by_coco, by_geojson)


def same(found: pd.DataFrame, points: pd.DataFrame) -> None:
    """Check places and classes bit for bit, in order."""
    for name in ("x_px0", "y_px0", "cell_class"):
        assert found[name].tolist() == points[name].tolist()


@pytest.mark.parametrize(
    "frame", [HALF, Frame(1024, 1024, 0.25, 0.25), Frame(331, 200, 0.5, 0.389, 77.31, 5.6)]
)
@pytest.mark.parametrize(("first", "second"), list(itertools.product(WAYS, WAYS)))
def test_every_pair_of_formats_gives_the_points_back(tmp_path, first, second, frame):
    points = planted(frame)
    same(second(tmp_path, first(tmp_path, points, frame), frame), points)


@MORE
@given(
    frame=st.builds(
        Frame,
        width_px=st.integers(80, 4096),
        height_px=st.integers(80, 4096),
        mpp=st.floats(0.1, 8),
        slide_mpp=st.floats(0.1, 1),
        x_px0=st.floats(0, 2e5),
        y_px0=st.floats(0, 2e5),
    ),
    seed=st.integers(0, 99),
)
def test_every_format_gives_the_points_back_at_any_mpp(tmp_path, frame, seed):
    points = planted(frame, 5, seed)
    for way in WAYS:
        same(way(tmp_path, points, frame), points)


@pytest.mark.parametrize("way", [by_yolo, by_detections, by_coco])
def test_confidence_comes_back(tmp_path, way):
    points = planted(HALF)
    assert way(tmp_path, points, HALF)["confidence"].tolist() == points["confidence"].tolist()
    without = way(tmp_path, points.drop(columns="confidence"), HALF)
    assert without["confidence"].isna().all()


@pytest.mark.parametrize("way", WAYS)
def test_a_tile_without_cells(tmp_path, way):
    assert len(way(tmp_path, planted(HALF).head(0), HALF)) == 0


def test_r1s_factor_of_two(tmp_path):
    """R1 took pixels of a tile at mpp 0.5 for level-0 pixels at 0.25: all cells moved to one quarter."""
    cell = points_table(np.array([[20480 + 2 * 300, 4096 + 2 * 500]]), ["2+"])
    path = write_detections(tmp_path / "t.json", cell, HALF)
    assert json.loads(path.read_text()) == [{"x": 300.0, "y": 500.0, "cls_id": 2}]
    same(read_detections(path, HALF), cell)
    slip = read_detections(path, Frame(1024, 1024, 0.25, 0.25, 20480, 4096))
    assert slip[["x_px0", "y_px0"]].to_numpy().tolist() == [[20480 + 300, 4096 + 500]]
    # The slip the other way round cannot pass unseen: level-0 places do not fit in the tile.
    path.write_text(json.dumps([{"x": 600, "y": 1000, "cls_id": 2, "confidence": 0.4}]))
    with pytest.raises(LabelError, match=r"cell 1 lies at \(600, 1000\), outside .* another mpp"):
        read_detections(path, HALF)


def test_yolo_boxes_keep_their_size_in_micrometres(tmp_path):
    for frame in (HALF, Frame(1024, 768, 0.25, 0.25)):
        found = read_yolo(write_yolo(tmp_path / "t.txt", planted(frame), frame, box_um=8), frame)
        assert (found["box_width_um"] == 8).all()
        assert (found["box_height_um"] == 8).all()
    line = write_yolo(tmp_path / "t.txt", points_table(np.array([[512.0, 512.0]]), ["3+"]), frame)
    assert [float(word) for word in line.read_text().split()] == pytest.approx(
        [3, 0.5, 512 / 768, 32 / 1024, 32 / 768]
    )
    sizes = np.linspace(4, 12, 43)
    found = read_yolo(write_yolo(tmp_path / "t.txt", planted(HALF), HALF, box_um=sizes), HALF)
    np.testing.assert_allclose(found["box_width_um"], sizes, atol=1e-4)


def test_asap_as_r1_wrote_it(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<?xml version="1.0"?>\n<ASAP_Annotations>\n<Annotations>\n'
        '<Annotation Name="Annotation 0" Type="Dot" PartOfGroup="class_2+" Color="#0000FF"><Coordinates>'
        '<Coordinate Order="0" X="1500.5" Y="77" /></Coordinates></Annotation>\n'
        '<Annotation Name="cell &lt;7&gt;" Type="Dot" PartOfGroup="class_0" Color="#123456"><Coordinates>'
        '<Coordinate Order="0" X="1" Y="2" /></Coordinates></Annotation>\n'
        "</Annotations><AnnotationGroups/></ASAP_Annotations>"
    )
    found = read_asap(tmp_path / "a.xml")
    assert found["cell_class"].tolist() == ["2+", "0"]
    assert found["x_px0"].tolist() == [1500.5, 1.0]
    assert found["cell_id"].tolist() == [None, "cell <7>"]
    text = write_asap(tmp_path / "b.xml", found).read_text()
    for name, colour in R1_COLOURS.items():
        assert f'<Group Name="class_{name}" PartOfGroup="None" Color="{colour}">' in text
    assert 'PartOfGroup="class_2+" Color="#0000FF"' in text
    pd.testing.assert_frame_equal(read_asap(tmp_path / "b.xml"), found)


def test_reviewed_labels_of_several_tiles_in_r1s_spelling(tmp_path):
    held = [
        {"filename": "a.png", "objects": [{"label": "class_3+", "coordinate": [[10, 20]]}]},
        {"filename": "b.png", "objects": [{"label": "0", "coordinate": [[1.5, 2], [3, 4]]}]},
    ]
    (tmp_path / "r.json").write_text(json.dumps(held))
    frames = {"a.png": HALF, "b.png": Frame(64, 64, 0.25, 0.25)}
    found = read_reviewed(tmp_path / "r.json", frames)
    assert found["a.png"][["x_px0", "y_px0", "cell_class"]].to_numpy().tolist() == [[20500, 4136, "3+"]]
    assert found["b.png"]["x_px0"].tolist() == [1.5, 3]
    again = read_reviewed(write_reviewed(tmp_path / "s.json", found, frames), frames)
    for name, points in found.items():
        pd.testing.assert_frame_equal(again[name], points)


CELL = {"x": 1, "y": 2, "cls_id": 0}


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"filename": "a", "objects": []}, "is no list of cells"),
        ([CELL, {"x": 1}], "cell 2 is not"),
        ([CELL | {"cls_id": 4}], "cls_id 4 is unknown; use 0 to 3"),
        ([CELL | {"cls_id": 1.9}], "cell 1 is not"),
        ([CELL | {"x": 513}], r"cell 1 lies at \(513, 2\)"),
        ([CELL | {"x": float("nan")}], r"cell 1 lies at \(nan, 2\)"),
        ([7], "cell 1 is not"),
    ],
)
def test_bad_detections(tmp_path, held, message):
    (tmp_path / "t.json").write_text(json.dumps(held))
    with pytest.raises(LabelError, match=message) as caught:
        read_detections(tmp_path / "t.json", HALF)
    one_line(caught, "t.json")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([CELL], "not {filename, objects}"),
        ({"filename": "b", "objects": []}, "tile 'b' has no frame"),
        ([{"filename": "a", "objects": []}] * 2, "tile 'a' stands there twice"),
        ({"filename": "a", "objects": [{"label": "4+", "coordinate": [[1, 1]]}]}, "object 1: label '4\\+'"),
        ({"filename": "a", "objects": [{"label": "0", "coordinate": [[1, 600]]}]}, "object 1 lies at"),
        ({"filename": "a", "objects": [{"label": "0", "coordinate": [1, 2]}]}, "object 1 is not"),
    ],
)
def test_bad_reviews(tmp_path, held, message):
    (tmp_path / "r.json").write_text(json.dumps(held))
    with pytest.raises(LabelError, match=message) as caught:
        read_reviewed(tmp_path / "r.json", {"a": HALF})
    one_line(caught, "r.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 .5 .5 .1 .1\n4 .5 .5 .1 .1\n", "line 2: class 4 is unknown"),
        ("0.5 .5 .5 .1 .1\n", "line 1: class 0.5 is unknown"),
        ("0 .5 .5 .1\n", "line 1: 4 numbers"),
        ("0 1.2 .5 .1 .1\n", "line 1: box .* does not lie in the picture"),
        ("0 nan .5 .1 .1\n", "line 1: box .* does not lie in the picture"),
        ("0 .5 .5 0 .1\n", "line 1: box"),
        ("0 .5 .5 .1 1.1\n", "line 1: box"),
        ("\n<html>\n", "line 2: '<html>' is not"),
    ],
)
def test_bad_yolo(tmp_path, text, message):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(LabelError, match=message) as caught:
        read_yolo(tmp_path / "t.txt", HALF)
    one_line(caught, "t.txt")


def dots(inner: str) -> str:
    return f"<ASAP_Annotations><Annotations>\n{inner}\n</Annotations></ASAP_Annotations>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable as XML"),
        ("<html></html>", "holds <html>, not ASAP_Annotations"),
        (dots("<Annotation"), "not readable as XML"),
        (dots('<Annotation Type="Polygon" PartOfGroup="class_0"/>'), "line 2: annotation 1 is a Polygon"),
        (
            dots('<Annotation Type="Dot" PartOfGroup="Tumor"/>'),
            "annotation 1 is in group 'Tumor'; use one of",
        ),
        (dots('<Annotation Type="Dot" PartOfGroup="class_0"><Coordinate X="1"/></Annotation>'), "no X and Y"),
        (
            dots('<Annotation Type="Dot" PartOfGroup="class_0"><Coordinate X="inf" Y="1"/></Annotation>'),
            r"lies at \(inf, 1.0\)",
        ),
        ('<!DOCTYPE a [<!ENTITY x "y">]>' + dots("&x;"), "has a DOCTYPE"),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + dots("<b>&x;</b>"),
            "has a DOCTYPE",
        ),
    ],
)
def test_bad_asap(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(LabelError, match=message) as caught:
        read_asap(tmp_path / "a.xml")
    one_line(caught, "a.xml")


def coco() -> dict:
    return {
        "info": {"year": 2025},
        "images": [
            {"id": 0, "file_name": "a.png", "width": 64, "height": 32, "annotated_xyxy": [1, 2, 60, 30]},
            {"id": 3, "file_name": "b.png", "width": 64, "height": 32},
        ],
        "categories": [{"id": 1, "name": "nucleus", "supercategory": "reader R1"}],
        "annotations": [
            {"id": 5, "image_id": 3, "category_id": 1, "bbox": [1, 2, 10, 10], "area": 100, "iscrowd": 0},
            {
                **{"id": 6, "image_id": 0, "category_id": 1, "bbox": [1.5, 2, 10, 9], "area": 90},
                **{"iscrowd": 0, "segmentation": [[1, 2, 3, 4]]},
            },
        ],
    }


def test_coco_comes_back_with_what_else_it_holds(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(coco()))
    held = read_coco(tmp_path / "c.json")
    assert held.centres().tolist() == [[6, 7], [6.5, 6.5]]
    assert held.images["annotated_xyxy"].tolist()[0] == [1, 2, 60, 30]
    assert json.loads(write_coco(tmp_path / "d.json", held).read_text()) == {
        key: value for key, value in coco().items() if key != "info"
    }


def test_coco_of_several_tiles(tmp_path):
    frames = {"a": HALF, "empty": HALF, "b": Frame(1024, 1024, 0.25, 0.25)}
    tiles = {"a": planted(HALF, 9), "empty": planted(HALF).head(0), "b": planted(frames["b"], 4)}
    held = read_coco(write_coco(tmp_path / "c.json", coco_of_points(tiles, frames, box_um=8)))
    assert held.annotations.groupby("image_id")["box_width_px"].unique().map(list).to_dict() == {
        1: [16],
        3: [32],
    }
    found = points_of_coco(held, frames)
    for name, points in tiles.items():
        same(found[name], points)


def change(**parts) -> dict:
    held = coco()
    for key, value in parts.items():
        held[key][0] |= value
    return held


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([], "has no list 'images'"),
        ({"images": [], "categories": []}, "has no list 'annotations'"),
        (change(annotations={"image_id": 99}), "annotation 5 names image_id 99, which no picture has"),
        (change(annotations={"category_id": 9}), "annotation 5 names category_id 9, which no category has"),
        (change(annotations={"id": 6}), "annotations has the id 6 twice"),
        (change(images={"id": 3}), "images has the id 3 twice"),
        (change(annotations={"image_id": [1]}), r"annotations has image_id \[1\], which is no id"),
        (change(annotations={"bbox": [1, 2, 3]}), r"annotation 5 has bbox \[1, 2, 3\]"),
        (change(annotations={"bbox": [1, 2, 0, 3]}), "annotation 5 has bbox"),
        (change(annotations={"bbox": [1, 2, "x", 3]}), "annotation 5 has bbox"),
        (change(annotations={"bbox": [1, 2, float("nan"), 3]}), "annotation 5 has bbox"),
        ({**coco(), "images": [{"id": 0}]}, r"images\[0\] has no 'file_name'"),
    ],
)
def test_bad_coco(tmp_path, held, message):
    (tmp_path / "c.json").write_text(json.dumps(held))
    with pytest.raises(LabelError, match=message) as caught:
        read_coco(tmp_path / "c.json")
    one_line(caught, "c.json")


def test_coco_at_another_mpp_is_seen(tmp_path):
    held = coco_of_points({"a": planted(HALF)}, {"a": HALF}, box_um=8)
    with pytest.raises(LabelError, match=r"has its middle outside a .* another mpp"):
        points_of_coco(held, {"a": Frame(256, 256, 1.0, 0.25)})
    with pytest.raises(LabelError, match="picture a has no frame"):
        points_of_coco(held, {})


READERS = (
    lambda path: read_yolo(path, HALF),
    read_asap,
    lambda path: read_detections(path, HALF),
    lambda path: read_reviewed(path, {}),
    read_coco,
)


@pytest.mark.parametrize("reader", READERS)
def test_missing_and_binary_files(tmp_path, reader):
    with pytest.raises(LabelError, match="no such file"):
        reader(tmp_path / "absent")
    (tmp_path / "b").write_bytes(bytes(range(256)))
    with pytest.raises(LabelError) as caught:
        reader(tmp_path / "b")
    one_line(caught, "b")
    with pytest.raises(LabelError, match=r"cannot be read|not readable"):
        reader(tmp_path)


@pytest.mark.parametrize("way", WAYS[:-1])
def test_what_is_written_is_checked(tmp_path, way):
    points = planted(HALF)
    points.loc[3, "cell_class"] = None
    with pytest.raises(ValueError, match="point 3 has cell_class=None; use one of 0, 1"):
        way(tmp_path, points, HALF)
    if way is not by_asap:
        points = planted(HALF).assign(x_px0=0.0)
        with pytest.raises(ValueError, match=r"point 0 lies at \(-10240, .* outside the tile of 512 x 512"):
            way(tmp_path, points, HALF)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Frame(0, 5, 0.5, 0.5), "a frame of 0 x 5 px"),
        (lambda: Frame(5, 5, float("nan"), 0.5), "mpp=nan is not micrometres"),
        (lambda: Frame(5, 5, 0.5, 0), "slide_mpp=0 is not micrometres"),
        (lambda: write_yolo("t.txt", planted(HALF), HALF, box_um=0), "box_um=0"),
        (
            lambda: write_yolo("t.txt", planted(HALF), HALF, box_um=300),
            "box_um=300 is more than the tile's side",
        ),
        (lambda: coco_of_points({}, {}, box_um=0), "box_um=0"),
        (lambda: coco_of_points({"a": planted(HALF)}, {}, box_um=8), "frames has no tile 'a'"),
        (lambda: write_reviewed("r.json", {"a": planted(HALF)}, {}), "frames has no tile 'a'"),
        (lambda: Coco(*[pd.DataFrame()] * 3), "images lacks the column 'image_id'"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def one_line(caught, name: str) -> None:
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
