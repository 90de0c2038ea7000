"""Labels made here, through every pair of formats and back at any mpp; damaged files lose nothing."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from her2kit.cells.table import conform_cells
from her2kit.errors import LabelError, RegionError
from her2kit.exchange.asap import read_asap, write_asap
from her2kit.exchange.coco import coco_of_points, points_of_coco, read_coco, write_coco
from her2kit.exchange.corrections import read_corrections
from her2kit.exchange.frame import Frame
from her2kit.exchange.geojson import read_cells_geojson, write_cells_geojson
from her2kit.exchange.r1_json import read_detections, read_reviewed, write_detections, write_reviewed
from her2kit.exchange.yolo import read_yolo, write_yolo
from her2kit.labels.autolabel import autolabel
from her2kit.labels.cell_model import class_codes

FRAMES = [
    Frame(512, 512, 0.5, 0.25),
    Frame(1024, 1024, 0.25, 0.25, 4096, 8192),
    Frame(700, 400, 0.46, 0.23, 11.5),
    Frame(331, 200, 0.5, 0.389, 77.31, 5.6),
]


def labels(frame: Frame, n: int = 60) -> pd.DataFrame:
    """Return labels of cells anywhere in a tile, made from a patch of class 2+ or by the membranes."""
    rng = np.random.default_rng(0)
    size = np.array([frame.width_px, frame.height_px])
    xy = frame.to_level_0(rng.random((n, 2)) * size)
    cells = pd.DataFrame(
        {
            "cell_id": [f"c{k:07d}" for k in range(n)],
            "slide_id": "s",
            "x_px0": xy[:, 0],
            "y_px0": xy[:, 1],
            "cell_type": "tumour",
            "dab_od": rng.random(n).astype(np.float32),
            "completeness": rng.random(n).astype(np.float32),
            "membrane_ratio": np.float32(3),
            "cell_class": rng.choice(["0", "1+", "2+", "3+"], n),
            "evaluable": True,
        }
    )
    return autolabel(cells, pd.Series("2+", index=cells.index), rule="membrane")


def yolo(folder, points, frame):
    return read_yolo(write_yolo(folder / "t.txt", points, frame), frame)


def asap(folder, points, frame):
    return read_asap(write_asap(folder / "t.xml", points))


def r1(folder, points, frame):
    return read_detections(write_detections(folder / "t.json", points, frame), frame)


def r1_reviewed(folder, points, frame):
    return read_reviewed(write_reviewed(folder / "r.json", {"a": points}, {"a": frame}), {"a": frame})["a"]


def coco(folder, points, frame):
    path = write_coco(folder / "c.json", coco_of_points({"a": points}, {"a": frame}, box_um=8))
    return points_of_coco(read_coco(path), {"a": frame})["a"]


def geojson(folder, points, frame):
    named = points.assign(cell_id=[str(k) for k in range(len(points))])
    cells = conform_cells(named[["cell_id", "x_px0", "y_px0", "cell_class"]])
    write_cells_geojson(folder / "g.geojson", cells, slide_id="s")
    return read_cells_geojson(folder / "g.geojson")


WAYS = (yolo, asap, r1, r1_reviewed, coco, geojson)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("first", "second"), list(itertools.product(WAYS, WAYS)))
def test_labels_come_back_from_every_pair_of_formats(tmp_path, first, second, frame):
    made = labels(frame)
    found = second(tmp_path, first(tmp_path, made, frame), frame)
    for name in ("x_px0", "y_px0", "cell_class"):
        assert found[name].tolist() == made[name].tolist()


def test_r1s_slip_of_a_factor_of_two_is_seen_or_undone(tmp_path):
    """R1 kept pixels of tiles at mpp 0.5 as if they were level-0 pixels at 0.25."""
    frame = FRAMES[0]
    made = labels(frame)
    path = write_detections(tmp_path / "t.json", made, frame)
    kept = pd.DataFrame(json.loads(path.read_text()))
    np.testing.assert_allclose(2 * kept[["x", "y"]], made[["x_px0", "y_px0"]], atol=0.005)
    same = read_detections(path, frame)
    assert same["x_px0"].tolist() == made["x_px0"].tolist()
    slipped = [{"x": x, "y": y, "cls_id": 0} for x, y in made[["x_px0", "y_px0"]].to_numpy()]
    path.write_text(json.dumps(slipped))
    with pytest.raises(LabelError, match=r"outside .* another mpp"):
        read_detections(path, frame)


@pytest.mark.parametrize("name", ["mpp", "slide_mpp"])
@pytest.mark.parametrize("value", [None, 0, float("nan"), "0.25"])
def test_a_missing_mpp_is_asked_for(name, value):
    values = {"mpp": 0.5, "slide_mpp": 0.25} | {name: value}
    with pytest.raises(ValueError, match=f"{name}=.* is not micrometres per pixel; 0.25 is usual"):
        Frame(512, 512, **values)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text[: len(text) // 2], "not readable as GeoJSON"),
        (lambda text: text.replace('"geometry"', '"geometry",,', 1), "not readable as GeoJSON"),
        (lambda text: text.replace('"name":"3+"', '"name":"4+"', 1), "has the class '4\\+'; use one of 0"),
    ],
)
def test_a_label_file_edited_to_be_wrong_is_refused_and_left_alone(tmp_path, edit, message):
    made = conform_cells(labels(FRAMES[0])[["cell_id", "x_px0", "y_px0", "cell_class"]])
    write_cells_geojson(tmp_path / "g.geojson", made, slide_id="s")
    text = edit((tmp_path / "g.geojson").read_text())
    path = tmp_path / "edited.geojson"
    path.write_text(text)
    with pytest.raises(RegionError, match=message) as caught:
        read_corrections(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text
    assert len(read_cells_geojson(tmp_path / "g.geojson")) == len(made)


def test_a_class_that_nobody_knows_is_no_label_but_is_not_lost(tmp_path):
    made = conform_cells(labels(FRAMES[0])[["cell_id", "x_px0", "y_px0", "cell_class"]])
    write_cells_geojson(tmp_path / "g.geojson", made, slide_id="s")
    path = tmp_path / "edited.geojson"
    path.write_text((tmp_path / "g.geojson").read_text().replace('"name":"3+"', '"name":"4+"', 1))
    found = read_cells_geojson(path)
    (row,) = np.flatnonzero(found["classification"] == "4+")
    assert found["cell_class"].isna().tolist() == [k == row for k in range(len(made))]
    with pytest.raises(ValueError, match=f"labels holds .* in row {row}; use one of 0"):
        class_codes(found["cell_class"])
