"""The detector's training, its weights as files, what is refused. Pictures are tiny: nothing is learned."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from her2kit.cells.boxes import Boxes
from her2kit.cells.network import load_cell_network
from her2kit.errors import WeightsError
from her2kit.exchange.card import file_sha256, read_card
from her2kit.learning.box_map import box_map
from her2kit.learning.cell_detector import BACKBONE, GRADES, R1, DetectorSettings, load, train
from her2kit.learning.detection import CellSamples, Detection, answers, check_side, sides_between
from her2kit.learning.detection_change import Change
from her2kit.learning.detector_export import export_detector, tensors_of
from her2kit.learning.foreign import take_over
from her2kit.learning.point_boxes import LabelledPicture
from her2kit.learning.train_settings import TrainSettings
from her2kit.learning.yolo_offline import detection_network, offline

SETTINGS = TrainSettings(epochs=1, batch_size=2, lr=1e-3, monitor="loss", seed=3, progress=False)
SMALL = DetectorSettings(side_px=64, multi_scale=(32, 64), change=Change(scale=1.2))


def picture(seed: int, n_classes: int = 1, mpp: float = 0.5) -> LabelledPicture:
    rng = np.random.default_rng(seed)
    pixels = np.full((64, 64, 3), 220, np.uint8)
    boxes = np.zeros((4, 5), np.float32)
    for row, (x, y) in enumerate(rng.integers(8, 56, (4, 2))):
        pixels[y - 4 : y + 4, x - 4 : x + 4] = (90, 80, 140)
        boxes[row] = rng.integers(n_classes), x, y, 8, 8
    return LabelledPicture(pixels, boxes, mpp)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    found = train(
        [picture(i) for i in range(4)], [picture(9)], ("nucleus",), folder=folder, settings=SETTINGS,
        detector=SMALL,
    )  # fmt: skip
    return found, export_detector(found.net, found.card, folder / "cells.onnx"), folder / "cells.onnx"


def test_the_card_states_mpp_classes_boxes_and_confidence(trained):
    found, _, path = trained
    card = read_card(path)
    assert (card.task, card.mpp, card.class_names) == ("cell_detector", 0.5, ("nucleus",))
    assert card.details["box_um"] == 8.0
    assert card.details["confidence"] == found.confidence
    assert card.settings["seed"] == 3
    assert path.stat().st_size < 12e6


def test_the_same_seed_gives_the_same_weights(trained, tmp_path):
    found, _, _ = trained
    again = train(
        [picture(i) for i in range(4)], [picture(9)], ("nucleus",), folder=tmp_path, settings=SETTINGS,
        detector=SMALL,
    )  # fmt: skip
    assert again.card.sha256 == found.card.sha256


def test_onnx_answers_as_torch_does_at_any_size(trained):
    found, _, path = trained
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), dtype=np.uint8)
    theirs, ours = answers(found.net, pixels), load_cell_network(path).answer(pixels)
    np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=0.02)
    np.testing.assert_allclose(ours[:, 4:], theirs[:, 4:], atol=1e-3)


def test_an_onnx_file_is_a_start_for_other_classes(trained, tmp_path):
    _, card, path = trained
    names = ("0", "1+", "2+", "3+")
    found = train(
        [picture(i, 4) for i in range(2)], [picture(9, 4)], names, folder=tmp_path, settings=SETTINGS,
        detector=replace(SMALL, frozen=BACKBONE), start=path,
    )  # fmt: skip
    begun, kept = tensors_of(path), found.net.state_dict()
    torch.testing.assert_close(kept["model.0.conv.weight"], begun["model.0.conv.weight"])
    assert found.card.details["start_sha256"] == card.sha256
    assert load(tmp_path / "best.safetensors", class_names=names).card.class_names == names


def test_a_start_of_another_mpp_or_architecture_is_refused(trained, tmp_path):
    _, _, path = trained
    given = {"folder": tmp_path, "settings": SETTINGS, "start": path}
    pictures = [picture(1, mpp=0.25), picture(2, mpp=0.25)]
    with pytest.raises(WeightsError, match=r"mpp 0\.5, not 0\.25"):
        train(pictures, pictures, ("nucleus",), detector=replace(SMALL, mpp=0.25), **given)
    detector = replace(SMALL, architecture="yolo11s")
    with pytest.raises(WeightsError, match="yolo11s"):
        train([picture(1), picture(2)], [picture(3)], ("nucleus",), detector=detector, **given)


def test_pictures_of_another_mpp_and_strange_classes_are_refused():
    with pytest.raises(ValueError, match=r"mpp=0\.25, not 0\.5"):
        CellSamples([picture(0, mpp=0.25)], ("a",), side_px=64, mpp=0.5)
    strange = picture(0)
    strange.boxes[0, 0] = 2
    with pytest.raises(ValueError, match="2 class names"):
        CellSamples([strange], ("a", "b"), side_px=64, mpp=0.5)


def test_sides_are_multiples_of_the_stride():
    assert sides_between(256, 512) == list(range(256, 513, 32))
    for side in (0, 100, 250):
        with pytest.raises(ValueError, match="multiple of 32"):
            check_side(side)
    with pytest.raises(ValueError, match="lower side first"):
        sides_between(128, 64)


def test_a_frozen_backbone_keeps_weights_and_statistics():
    net = detection_network("yolo11n", 1)
    task = Detection(net, ("a",), mpp=0.5, frozen=BACKBONE)
    samples = CellSamples([picture(0), picture(1)], ("a",), side_px=64, mpp=0.5)
    batch = [torch.stack(parts) for parts in zip(samples[0], samples[1], strict=True)]
    before = {k: v.clone() for k, v in net.state_dict().items() if int(k.split(".")[1]) < BACKBONE}
    net.train()
    task.loss(net, batch).backward()
    for name, value in before.items():
        torch.testing.assert_close(net.state_dict()[name], value)
    assert net.model[0].conv.weight.grad is None
    assert net.model[-1].cv3[0][2].weight.grad is not None


def test_ultralytics_is_told_to_stay_offline(tmp_path):
    offline(tmp_path)
    assert os.environ["YOLO_OFFLINE"] == "True"
    assert os.environ["YOLO_AUTOINSTALL"] == "False"
    assert (tmp_path / "Ultralytics" / "Arial.ttf").is_file()
    with pytest.raises(ValueError, match=r"architecture='yolo11n\.pt'"):
        detection_network("yolo11n.pt", 1)


def test_r1s_card_is_a_setting_and_its_colours_are_not_the_default():
    assert R1.architecture == "yolo11m"
    assert R1.multi_scale == (256, 512)
    assert R1.change.hsv == (0.015, 0.7, 0.4)
    assert GRADES.change.hsv == (0, 0, 0)


class Trap:
    """What a hostile pickle does: something, on being opened."""

    def __reduce__(self):
        return (os.mkdir, (os.environ["HER2KIT_TRAP"],))


def test_a_foreign_pickle_is_not_opened_without_its_sha256(tmp_path, monkeypatch):
    monkeypatch.setenv("HER2KIT_TRAP", str(tmp_path / "sprung"))
    path = tmp_path / "best.pt"
    path.write_bytes(pickle.dumps(Trap()))
    given = {"architecture": "yolo11n", "class_names": ("a",), "mpp": 0.5}
    for sha256, words in ((None, "can run code"), ("0" * 64, "is not the 000000000000")):
        with pytest.raises(WeightsError, match=words):
            take_over(path, tmp_path / "out.safetensors", sha256=sha256, **given)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(WeightsError, match="pickle"):
        load_cell_network(tmp_path / "cells.pt")


def test_a_foreign_pickle_with_its_sha256_becomes_safetensors(tmp_path):
    net = detection_network("yolo11n", 2, seed=5)
    path = tmp_path / "best.pt"
    torch.save({"model": net.state_dict()}, path)
    given = {"sha256": file_sha256(path), "architecture": "yolo11n"}
    out = tmp_path / "mine.safetensors"
    with pytest.raises(WeightsError, match="mpp=None"):
        take_over(path, out, class_names=("a", "b"), mpp=None, **given)
    with pytest.raises(WeightsError, match="the file has"):
        take_over(path, out, class_names=("a",), mpp=0.5, **given)
    take_over(path, out, class_names=("a", "b"), mpp=0.5, **given)
    again = load(out)
    torch.testing.assert_close(again.net.state_dict()["model.0.conv.weight"], net.model[0].conv.weight)
    assert again.card.mpp == 0.5


def test_mean_average_precision_of_perfect_and_of_no_boxes():
    truth = [picture(0, 2), picture(1, 2)]
    right = [Boxes(p.boxes[:, 1:], np.ones(4, np.float32), p.boxes[:, 0].astype(int)) for p in truth]
    none = [Boxes(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, int))] * 2
    assert box_map(truth, right, ("a", "b"))["map"] == pytest.approx(1.0)
    assert box_map(truth, none, ("a", "b"))["map50"] == 0
    moved = [Boxes(b.xywh + np.array([3, 0, 0, 0], np.float32), b.score, b.label) for b in right]
    assert box_map(truth, moved, ("a", "b"))["map75"] < 0.2


def test_the_detectors_library_leaves_no_trace_in_other_libraries():
    code = (
        "import os, cv2, torch, PIL.Image;"
        "before = (PIL.Image.open, cv2.imread, torch.save, cv2.getNumThreads());"
        "os.environ.pop('OMP_NUM_THREADS', None);"
        "from her2kit.learning.yolo_offline import detection_network; detection_network('yolo11n', 1);"
        "assert before == (PIL.Image.open, cv2.imread, torch.save, cv2.getNumThreads()), 'replaced';"
        "assert 'OMP_NUM_THREADS' not in os.environ, 'threads'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
