"""Cells located by a network: boxes from a raw answer, one cell a place, windows without seams, mpp held to.

In the place of a trained model stands one that answers with the dark discs of a picture: what is tested is
all that is done around a model.
"""

import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from her2kit.cells.boxes import boxes_of, suppressed
from her2kit.cells.detect import find_cells, fit_cells
from her2kit.cells.network import CellNetwork, load_cell_network, locate_cells
from her2kit.errors import MppError, WeightsError
from her2kit.exchange.card import Card, file_sha256, write_card
from her2kit.settings import ScoreSettings
from her2kit.slides.slide import open_slide
from her2kit.slides.tissue import Tissue
from her2kit.slides.white_point import find_white_point

CARD = Card("cell_detector", "yolo11n", ("nucleus",), mpp=0.5, details={"confidence": 0.3})


class DarkDiscs:
    """Answers as a detector would whose cells are dark discs; each twice, slightly apart, as YOLO does."""

    def run(self, names, given):
        answers = []
        for pixels in given["pixels"]:
            dark = (pixels[..., 0] < 120).astype(np.uint8)
            n, _, stats, centres = cv2.connectedComponentsWithStats(dark, connectivity=8)
            x, y = centres[1:].T + 0.5 if n > 1 else np.zeros((2, 0))
            sides = stats[1:, 2:4].T
            whole = np.stack([x, y, *sides, np.full(n - 1, 0.9)])
            twin = np.stack([x + 0.8, y, *sides, np.full(n - 1, 0.6)])
            answers.append(np.concatenate([whole, twin], axis=1))
        return [np.stack(answers).astype(np.float32)]


NETWORK = CellNetwork(CARD, 0.5, 0.3, DarkDiscs())


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """A slide of some 900 dark discs at 0.25 um/px: more than ultralytics would return of one picture."""
    side = 1600
    pixels = np.full((side, side, 3), 200, np.uint8)
    grid = np.arange(28, side - 20, 50)
    rng = np.random.default_rng(0)
    centres = np.array([(x, y) for y in grid for x in grid]) + rng.integers(-6, 7, (len(grid) ** 2, 2))
    for x, y in centres:
        cv2.circle(pixels, (int(x), int(y)), 10, (80, 70, 130), -1)
    path = tmp_path_factory.mktemp("discs") / "discs.tif"
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(256, 256), resolution=(40_000, 40_000), resolutionunit=3
    )
    with open_slide(path, mpp=0.25) as slide:
        yield slide, Tissue(np.ones((50, 50), bool), mpp=8.0, scale=32.0), centres + 0.5


def test_every_cell_is_found_once_across_windows_and_there_is_no_upper_number(discs):
    slide, tissue, centres = discs
    found = locate_cells(slide, tissue, NETWORK)
    inside = tissue.contains(*centres.T.astype(float))
    assert inside.sum() > 600
    assert len(found) == pytest.approx(inside.sum(), abs=2)
    xy = found[["x_px0", "y_px0"]].to_numpy()
    nearest = np.sqrt(((xy[:, None] - centres[None]) ** 2).sum(axis=2)).min(axis=1)
    assert nearest.max() < 1.5


def test_threads_change_nothing_and_the_order_is_reading_order(discs):
    slide, tissue, _ = discs
    one, two = (locate_cells(slide, tissue, NETWORK, threads=n) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert one["y_px0"].is_monotonic_increasing


def test_located_nuclei_are_measured_like_any_others_and_tiling_changes_nothing(discs):
    slide, tissue, _ = discs
    fit = fit_cells(slide, tissue, find_white_point(slide), mpp=0.25, network=NETWORK)
    whole = find_cells(slide, tissue, fit, tile_px=1600, threads=1)
    parts = find_cells(slide, tissue, fit, tile_px=700, threads=1)
    assert len(whole) > 600
    assert whole["area_um2"].median() == pytest.approx(np.pi * (10.5 * 0.25) ** 2, rel=0.25)
    assert {"outline", "completeness", "dab_od", "cell_type"} <= set(whole.columns)
    for name in ("x_px0", "y_px0", "area_um2", "completeness", "dab_od"):
        np.testing.assert_array_equal(whole[name].to_numpy(), parts[name].to_numpy())


def test_a_coarser_slide_and_a_picture_of_another_mpp_are_refused(discs):
    slide, tissue, _ = discs
    coarse = replace(NETWORK, mpp=0.2)
    with pytest.raises(MppError, match=r"coarser than the 0\.2"):
        locate_cells(slide, tissue, coarse)
    picture = np.full((40, 50, 3), 200, np.uint8)
    with pytest.raises(MppError, match=r"trained at 0\.5"):
        NETWORK.boxes(picture, mpp=0.25)
    with pytest.raises(MppError, match="mpp=None"):
        NETWORK.boxes(picture, mpp=None)
    assert len(NETWORK.boxes(picture, mpp=0.5)) == 0


def test_boxes_keep_the_best_of_those_that_overlap_whatever_their_class():
    answer = np.array(
        [[10, 11, 40], [10, 10, 10], [8, 8, 8], [8, 8, 8], [0.9, 0.2, 0.1], [0.1, 0.8, 0.6]], np.float32
    )
    found = boxes_of(answer, confidence=0.3, overlap=0.3)
    assert found.xywh[:, 0].tolist() == [10, 40]
    assert found.label.tolist() == [0, 1]
    assert len(boxes_of(answer, confidence=0.95, overlap=0.3)) == 0


def test_of_equal_boxes_the_first_stays():
    xywh = np.array([[5, 5, 4, 4]] * 3, np.float32)
    assert suppressed(xywh, np.full(3, 0.5, np.float32), overlap=0.5).tolist() == [0]


@pytest.mark.parametrize(("shape", "confidence"), [((3, 5), 0.2), ((6,), 0.2), ((5, 4), 0.0), ((5, 4), 1.5)])
def test_what_is_no_answer_is_refused(shape, confidence):
    with pytest.raises(ValueError, match=r"answer has shape|confidence="):
        boxes_of(np.zeros(shape, np.float32), confidence=confidence)


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (replace(CARD, task="tissue_segmenter"), "is a tissue_segmenter"),
        (replace(CARD, mpp=None), "gives no mpp"),
        (CARD, "onnxruntime cannot run it"),
    ],
)
def test_weights_that_are_no_detector_are_refused(tmp_path, card, words):
    path = tmp_path / "cells.onnx"
    path.write_bytes(b"no model")
    write_card(path.with_suffix(".json"), replace(card, sha256=file_sha256(path)))
    with pytest.raises(WeightsError, match=words):
        load_cell_network(path)


def test_a_pickle_and_a_missing_or_foreign_card_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="pickle"):
        load_cell_network(tmp_path / "best.pt")
    path = tmp_path / "cells.onnx"
    path.write_bytes(b"model")
    with pytest.raises(WeightsError, match="no card"):
        load_cell_network(path)
    write_card(path.with_suffix(".json"), CARD)
    assert json.loads(path.with_suffix(".json").read_text())["mpp"] == 0.5
    with pytest.raises(WeightsError, match="sha256"):
        load_cell_network(path)


def test_the_settings_name_detectors():
    assert ScoreSettings(detector="classical").weights is None
    assert ScoreSettings(detector="network").weights == ""
    assert ScoreSettings(detector="mine/cells.onnx").weights == "mine/cells.onnx"
    with pytest.raises(ValueError, match=r"detector='best\.pt'"):
        ScoreSettings(detector="best.pt")
