"""The tissue map: a network whose answer is known, on a slide whose tissue was painted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from onnx import TensorProto, checker, helper, numpy_helper, save

from her2kit.cells.table import TISSUE_COLOURS, TISSUES, TissueClass
from her2kit.errors import MppError, WeightsError
from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.exchange.geojson import read_regions, write_regions
from her2kit.regions.compartments import compartments_on
from her2kit.regions.network import load_network
from her2kit.regions.tissue_map import SMALLEST_UM2, map_tissue, without_islands
from her2kit.slides.pyramid import write_pyramid
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import Tissue

COLOURS = np.array([list(bytes.fromhex(c[1:])) for c in TISSUE_COLOURS], np.float32)


def nearest_colour_network(path: Path, *, tiles: bool = False, mpp: float | None = 2.0, **card) -> Path:
    """Write a network that calls each pixel (or each tile, by its mean) the tissue of the nearest colour."""
    weight = (2 * COLOURS / 255**2 * 200).reshape(7, 3, 1, 1)
    bias = -(COLOURS**2).sum(1) / 255**2 * 200
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        *([helper.make_node("GlobalAveragePool", ["planes"], ["seen"])] if tiles else []),
        helper.make_node("Conv", ["seen" if tiles else "planes", "w", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["soft" if tiles else "probabilities"], axis=1),
        *([helper.make_node("Flatten", ["soft"], ["probabilities"])] if tiles else []),
    ]
    graph = helper.make_graph(
        nodes,
        "nearest_colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", "h", "w", 3])],
        [
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, ["n", 7] if tiles else ["n", 7, "h", "w"]
            )
        ],
        [numpy_helper.from_array(weight.astype(np.float32), "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)
    names = card.pop("class_names", TISSUES)
    write_card(
        path.with_suffix(".json"),
        Card("test", "none", names, mpp=mpp, input_px=32, sha256=file_sha256(path), **card),
    )
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_network(nearest_colour_network(tmp_path_factory.mktemp("net") / "n.onnx"), threads=1)


def painted_slide(folder: Path, classes: np.ndarray, *, mpp: float = 0.5, fold: int = 4) -> Path:
    """Write a slide in the colours of its tissue, ``fold`` level-0 pixels to a pixel of ``classes``."""
    pixels = COLOURS.astype(np.uint8)[classes].repeat(fold, 0).repeat(fold, 1)
    path = folder / "painted.tif"
    return write_pyramid(path, pixels, mpp=mpp, quality=95)


@pytest.fixture(scope="module")
def planted() -> np.ndarray:
    """Return 7 kinds of tissue in blocks of 96 um and more, more than one tile wide."""
    rng = np.random.default_rng(4)
    return rng.integers(0, 7, (6, 10)).astype(np.uint8).repeat(60, 0).repeat(60, 1)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, network, planted):
    path = painted_slide(tmp_path_factory.mktemp("slide"), planted)
    with open_slide(path) as slide:
        whole = Tissue(np.ones((90, 150), bool), 8.0, 16.0)
        return map_tissue(slide, whole, network, tile_px=128, halo_px=32)


def test_what_was_painted_comes_back_in_its_place(mapped, planted):
    assert mapped.classes.shape == planted.shape
    assert (mapped.classes == planted).mean() > 0.99
    assert mapped.mpp == pytest.approx(2.0)
    assert mapped.scale == pytest.approx(4.0)


def test_areas_are_those_of_the_painting(mapped, planted):
    areas = mapped.areas_mm2()
    for number, name in enumerate(TISSUES):
        assert areas[name] == pytest.approx((planted == number).sum() * 4e-6, rel=0.02)
    assert sum(areas.values()) == pytest.approx(planted.size * 4e-6)


def test_areas_begin_anew_with_each_slide(tmp_path, network, mapped):
    before = mapped.areas_mm2()
    path = painted_slide(tmp_path, np.full((100, 100), TissueClass.STROMA, np.uint8))
    with open_slide(path) as slide:
        found = map_tissue(slide, Tissue(np.ones((25, 25), bool), 8.0, 16.0), network).areas_mm2()
    assert found["stroma"] == pytest.approx(100 * 100 * 4e-6)
    assert sum(found.values()) == pytest.approx(found["stroma"])
    assert mapped.areas_mm2() == before


def test_the_tiling_changes_nothing_of_a_network_that_sees_single_pixels(tmp_path, network, planted):
    path = painted_slide(tmp_path, planted)
    whole = Tissue(np.ones((90, 150), bool), 8.0, 16.0)
    with open_slide(path) as slide:
        one, other = (map_tissue(slide, whole, network, tile_px=t, halo_px=32) for t in (64, 320))
    assert (one.classes == other.classes).all()
    assert (one.confidence == other.confidence).all()


class Watched:
    """A session that keeps what it was shown."""

    def __init__(self, session):
        self.session, self.seen = session, []

    def get_outputs(self):
        return self.session.get_outputs()

    def run(self, names, given):
        self.seen.append(given["pixels"])
        return self.session.run(names, given)


@pytest.mark.parametrize("side", [20, 160, 200])
def test_the_network_is_not_shown_what_lies_outside_the_slide(tmp_path, network, side):
    watched = Watched(network.session)
    path = painted_slide(tmp_path, np.full((side, side), TissueClass.TUMOUR, np.uint8))
    with open_slide(path) as slide:
        whole = Tissue(np.ones((side, side), bool), 2.0, 4.0)
        found = map_tissue(slide, whole, replace(network, session=watched), tile_px=128, halo_px=32)
    assert (found.classes == TissueClass.TUMOUR).all()
    assert watched.seen
    assert all((pixels.min(axis=-1) < 250).all() for pixels in watched.seen)


def test_only_tissue_is_mapped(tmp_path, network):
    path = painted_slide(tmp_path, np.full((160, 160), TissueClass.TUMOUR, np.uint8))
    mask = np.zeros((40, 40), bool)
    mask[10:20, 5:35] = True
    with open_slide(path) as slide:
        found = map_tissue(slide, Tissue(mask, 8.0, 16.0), network, tile_px=64, halo_px=0)
        nothing = map_tissue(slide, Tissue(np.zeros((40, 40), bool), 8.0, 16.0), network)
    assert found.areas_mm2()["tumour"] == pytest.approx(mask.sum() * 64e-6)
    assert (found.confidence[found.classes == 0] == 0).all()
    assert not nothing.classes.any()
    assert nothing.regions() == []


def test_a_network_that_names_the_middle_of_tiles_gives_a_finer_map(tmp_path):
    network = load_network(nearest_colour_network(tmp_path / "tiles.onnx", tiles=True))
    planted = np.array([[1, 3], [1, 3]], np.uint8).repeat(64, 0).repeat(64, 1)
    with open_slide(painted_slide(tmp_path, planted)) as slide:
        whole = Tissue(np.ones((32, 32), bool), 8.0, 16.0)
        found = map_tissue(slide, whole, network, middle=0.5)
        assert found.classes.shape == (8, 8)
        assert (found.classes[1:-1, 1:3] == 1).all()
        assert (found.classes[1:-1, 5:7] == 3).all()
        with pytest.raises(ValueError, match="middle=0; use 1"):
            map_tissue(slide, whole, network, middle=0)


def test_a_network_that_judges_tiles_gives_a_pixel_a_tile(tmp_path):
    network = load_network(nearest_colour_network(tmp_path / "tiles.onnx", tiles=True))
    planted = np.array([[1, 2, 3], [4, 5, 6]], np.uint8).repeat(32, 0).repeat(32, 1)
    with open_slide(painted_slide(tmp_path, planted)) as slide:
        found = map_tissue(slide, Tissue(np.ones((16, 24), bool), 8.0, 16.0), network)
    assert found.classes.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.mpp == pytest.approx(64.0)
    assert found.areas_mm2()["necrosis"] == pytest.approx(32 * 32 * 4e-6)


def test_outlines_hold_the_area_and_go_through_a_file_with_their_colours(mapped, tmp_path):
    outlines = mapped.regions()
    um2 = {name: 0.0 for name in TISSUES}
    for region in outlines:
        um2["tumour" if region.name == "invasive" else region.name] += region.geometry.area * 0.25
    for name, area in mapped.areas_mm2().items():
        if name != "background":
            assert um2[name] / 1e6 == pytest.approx(area, rel=0.02)
    path = write_regions(tmp_path / "r.geojson", outlines, colours={"invasive": "#D7263D"})
    assert [r.name for r in read_regions(path)] == [r.name for r in outlines]
    first = json.loads(path.read_text())["features"][0]["properties"]["classification"]
    assert first == {"name": "invasive", "color": [215, 38, 61]}
    assert {r.name for r in mapped.regions("stroma")} == {"stroma"}
    with pytest.raises(ValueError, match="'bone' is no tissue"):
        mapped.regions("bone")


def test_points_get_the_tissue_they_lie_on_and_its_compartment(mapped, planted):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 2400, 400), rng.uniform(0, 1440, 400)
    at = mapped.at(x, y)
    assert (at == mapped.classes[(y / 4).astype(int), (x / 4).astype(int)]).all()
    tumour = shapely.union_all([r.geometry for r in mapped.regions("tumour")])
    inside = shapely.contains_xy(tumour, x, y)
    words = compartments_on(mapped, x, y)
    assert np.mean((words == "invasive") == inside) > 0.99
    assert set(words[at == TissueClass.OTHER]) == {"unknown"}
    assert mapped.at(np.array([-1.0, 1e9]), np.array([5.0, 5.0])).tolist() == [0, 0]


def test_islands_go_to_what_surrounds_them_and_large_areas_stay():
    classes = np.full((80, 80), TissueClass.STROMA, np.uint8)
    classes[10:14, 10:14] = TissueClass.TUMOUR
    classes[40:70, 40:70] = TissueClass.TUMOUR
    classes[50:53, 50:53] = TissueClass.NECROSIS
    found = without_islands(classes, least_px=SMALLEST_UM2 / 4)
    expected = np.full((80, 80), TissueClass.STROMA, np.uint8)
    expected[40:70, 40:70] = TissueClass.TUMOUR
    assert (found == expected).all()
    assert (without_islands(expected[:5, :5], least_px=1e9) == expected[:5, :5]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mpp": None}, "its card gives no mpp"),
        ({"class_names": ("bone", *TISSUES[1:])}, "class 'bone' is no tissue"),
        ({"class_names": TISSUES[:6]}, "card names 6 classes, the model has 7"),
    ],
)
def test_networks_that_cannot_map_are_refused(tmp_path, change, words):
    with pytest.raises(WeightsError, match=words):
        load_network(nearest_colour_network(tmp_path / "n.onnx", **change))


def test_files_that_are_no_network_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"is an \.onnx file with its card"):
        load_network(tmp_path / "best.safetensors")
    with pytest.raises(WeightsError, match="no such weights"):
        load_network(tmp_path / "none.onnx")
    path = nearest_colour_network(tmp_path / "n.onnx")
    path.write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="is not the"):
        load_network(path)
    write_card(path.with_suffix(".json"), Card("t", "n", TISSUES, mpp=2.0, sha256=file_sha256(path)))
    with pytest.raises(WeightsError, match="onnxruntime cannot run it"):
        load_network(path)


def test_a_slide_coarser_than_the_network_reads_is_refused(tmp_path, network):
    path = painted_slide(tmp_path, np.ones((64, 64), np.uint8), mpp=2.5, fold=1)
    with open_slide(path) as slide, pytest.raises(MppError, match="reads at 2, so pass a finer scan"):
        map_tissue(slide, Tissue(np.ones((8, 8), bool), 20.0, 8.0), network)


def test_mihics_words_are_understood(tmp_path):
    names = ("Background", "Tumor", "Stroma", "Immune cells", "Necrosis", "Alveoli", "Other")
    network = load_network(nearest_colour_network(tmp_path / "n.onnx", class_names=names))
    assert network.classes.tolist() == [0, 1, 2, 3, 4, 5, 6]
