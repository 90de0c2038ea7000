"""Regions to pixels: crops and windows, what nobody annotated, seams, SegFormer end to end."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2kit.errors import WeightsError
from her2kit.exchange.card import Card
from her2kit.learning import tissue_segmenter
from her2kit.learning.augment import NONE, Augmentation
from her2kit.learning.export import export_onnx, session
from her2kit.learning.segmentation import (
    IGNORE,
    RegionSamples,
    Segmentation,
    by_class,
    of_pixels,
    pixel_counts,
    segmentation_loss,
)
from her2kit.learning.train_settings import TrainSettings
from her2kit.slides.windows import blended

torch = pytest.importorskip("torch", reason="the train extra is not installed")

NAMES = ("nobody looked", "glass", "blue", "brown")
COLOURS = np.array([[0, 0, 0], [240, 240, 240], [90, 90, 170], [150, 90, 60]], float)
SETTINGS = TrainSettings(
    epochs=6, batch_size=4, lr=4e-3, accelerator="cpu", progress=False, monitor="mean_dice", warmup=0.0
)


def region(height, width, seed):
    """Return a picture whose left is glass, whose right is blue over brown, with a strip nobody annotated."""
    rng = np.random.default_rng(seed)
    truth = np.ones((height, width), np.uint8)
    truth[:, width // 3 :], truth[height // 2 :, width // 3 :] = 2, 3
    picture = np.clip(rng.normal(COLOURS[truth], 20), 0, 255).astype(np.uint8)
    annotated = truth.copy()
    annotated[:3] = 0
    return picture, annotated, truth


REGIONS = [region(*size, seed) for seed, size in enumerate([(70, 90), (40, 33), (20, 100), (96, 64)])]
PICTURES, MASKS, TRUTHS = zip(*REGIONS, strict=True)


def samples(**options):
    return RegionSamples(PICTURES, MASKS, NAMES, window_px=32, **({"unannotated": 0} | options))


def test_windows_cover_each_annotated_pixel_once():
    seen = np.zeros(256, int)
    held = samples()
    for i in range(len(held)):
        picture, truth = held[i]
        assert (picture.shape, truth.shape) == ((3, 32, 32), (32, 32))
        seen += np.bincount(truth.numpy().ravel(), minlength=256)
    true = np.bincount(np.concatenate([m.ravel() for m in MASKS]), minlength=256)
    assert seen[1:4].tolist() == true[1:4].tolist()
    assert seen[0] == 0


def test_crops_show_picture_and_mask_alike_and_white_beyond():
    crops = samples(crops=20, augmentation=Augmentation(jitter=0))
    torch.manual_seed(0)
    for i in range(len(crops)):
        picture, truth = crops[i]
        shown = picture.permute(1, 2, 0).numpy().astype(float)
        known = truth.numpy() != IGNORE
        assert known.any()
        apart = np.abs(shown[known] - COLOURS[truth.numpy()[known]]).mean()
        assert apart < 25, "the mask does not lie on what it names"
        if i // 20 == 2:  # this region is lower than a window
            assert (shown == 255).all(axis=2).sum() >= 12 * 32
    one, same = (torch.manual_seed(5), crops[3])[1], (torch.manual_seed(5), crops[3])[1]
    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[0], crops[3][0])


def test_what_nobody_annotated_counts_nowhere():
    logits = torch.randn(2, 4, 8, 8, requires_grad=True)
    truth = torch.randint(1, 4, (2, 8, 8))
    truth[:, :4] = IGNORE
    loss = segmentation_loss(logits, truth)
    loss.backward()
    assert (logits.grad[:, :, :4] == 0).all()
    assert (logits.grad[:, :, 4:] != 0).any()
    other = logits.detach().clone()
    other[:, :, :4] = 100 * torch.randn(2, 4, 4, 8)
    assert float(segmentation_loss(other, truth)) == pytest.approx(float(loss.detach()), abs=1e-6)
    assert float(segmentation_loss(logits.detach(), torch.full_like(truth, IGNORE))) == 0
    said = np.ones((2, 8, 8), int)
    assert pixel_counts(truth.numpy(), said, 4).sum() == 64


def test_the_loss_is_dice_and_cross_entropy_by_their_definitions():
    torch.manual_seed(1)
    logits, truth = torch.randn(2, 3, 6, 5).double(), torch.randint(0, 3, (2, 6, 5))
    p = logits.float().softmax(1).numpy()
    t = np.eye(3)[truth.numpy()].transpose(0, 3, 1, 2)
    entropy = -(np.log(p) * t).sum(1).mean()
    dice = 2 * (p * t).sum((0, 2, 3)) / (p.sum((0, 2, 3)) + t.sum((0, 2, 3)))
    assert float(segmentation_loss(logits, truth)) == pytest.approx(entropy + 1 - dice.mean(), abs=1e-5)


def test_figures_of_pixels():
    counts = pixel_counts(np.array([1, 1, 2, 2, IGNORE]), np.array([1, 2, 2, 2, 0]), 4)
    table = by_class(counts, NAMES)
    assert table.loc["glass", "dice"] == pytest.approx(2 / 3)
    assert table.loc["blue", "iou"] == pytest.approx(2 / 3)
    assert np.isnan(table.loc["brown", "dice"])
    assert table["n_px"].tolist() == [0, 2, 2, 0]
    found = of_pixels(counts)
    assert found["mean_dice"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["accuracy"] == 0.75
    assert all(np.isnan(v) for v in of_pixels(np.zeros((4, 4), int)).values())


@given(
    st.integers(1, 80), st.integers(1, 80), st.sampled_from([32, 64]), st.sampled_from([0.0, 0.3, 0.5, 0.9])
)
def test_windows_of_a_pixelwise_model_blend_into_the_whole(height, width, window_px, overlap):
    picture = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)

    def run(windows):
        red = windows[..., 0].astype(np.float32) / 255
        return np.stack([red, 1 - red], axis=1)

    found = blended(run, picture, window_px=window_px, overlap=overlap)
    np.testing.assert_allclose(found[0], picture[..., 0] / 255, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_no_seam_where_windows_disagree():
    """Windows that say 0 and 1 by turns: side by side they leave steps of 1, blended small ones."""

    def run(windows):
        value = np.arange(len(windows), dtype=np.float32) % 2
        return np.broadcast_to(np.stack([value, 1 - value], 1)[..., None, None], (len(windows), 2, 64, 64))

    picture = np.zeros((64, 320, 3), np.uint8)
    apart = blended(run, picture, window_px=64, overlap=0.0)[0]
    smooth = blended(run, picture, window_px=64, overlap=0.5)[0]
    assert np.abs(np.diff(apart, axis=1)).max() == 1
    assert np.abs(np.diff(smooth, axis=1))[32].max() < 0.04


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tissue_segmenter.train(
        PICTURES[:3], MASKS[:3], PICTURES[3:], MASKS[3:], NAMES, folder=tmp_path_factory.mktemp("segmenter"),
        settings=SETTINGS, architecture="segformer:tu-test_resnet", window_px=32, crops=8, mpp=0.5,
        unannotated=0, augmentation=Augmentation(jitter=0.05),
    )  # fmt: skip


def test_it_learns_regions_of_any_size_and_comes_back(trained):
    assert trained.card.figures["mean_dice"] > 0.8
    picture, _, truth = region(75, 41, 9)
    p = trained.probabilities(picture)
    assert p.shape == (4, 75, 41)
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-5)
    assert (p[0] == 0).all(), "the class that means nobody looked is predicted"
    assert (trained.classes(picture) == truth).mean() > 0.85
    again = tissue_segmenter.load(trained.trained.weights, class_names=NAMES)
    np.testing.assert_array_equal(again.probabilities(picture), p)
    with pytest.raises(WeightsError, match="has 4 classes, not 2"):
        tissue_segmenter.load(trained.trained.weights, class_names=("a", "b"))
    counts = trained.confusion(samples())
    assert counts.sum() == sum((m > 0).sum() for m in MASKS)
    assert of_pixels(counts)["mean_dice"] > 0.8


def test_onnx_takes_windows_of_other_sizes(trained, tmp_path):
    export_onnx(trained.net, trained.card, tmp_path / "s.onnx", any_size=True)
    picture = region(96, 64, 5)[0]
    whole = session(tmp_path / "s.onnx", threads=1)(picture[None])
    with torch.no_grad():
        pixels = torch.from_numpy(picture)[None].permute(0, 3, 1, 2)
        logits = trained.net((pixels.float() / 255 - 0.5) / 0.5)
    logits[:, 0] = -torch.inf
    np.testing.assert_allclose(whole, logits.softmax(1), atol=1e-5)


def test_the_real_segformer_takes_a_step(tmp_path):
    done = tissue_segmenter.train(
        PICTURES[:1], MASKS[:1], PICTURES[1:2], MASKS[1:2], NAMES, folder=tmp_path, window_px=32, crops=2,
        settings=replace(SETTINGS, epochs=1, batch_size=2), unannotated=0,
    )  # fmt: skip
    assert done.card.architecture == "segformer-64:mit_b0"
    assert done.trained.curves["train_loss"].notna().all()


def test_files_are_as_good_as_arrays(tmp_path):
    for i in range(2):
        cv2.imwrite(str(tmp_path / f"{i}.png"), PICTURES[i][..., ::-1])
        cv2.imwrite(str(tmp_path / f"{i}m.png"), MASKS[i])
    paths, masks = ([tmp_path / f"{i}{x}.png" for i in range(2)] for x in ("", "m"))
    files = RegionSamples(paths, masks, NAMES, window_px=32, unannotated=0)
    arrays = RegionSamples(PICTURES[:2], MASKS[:2], NAMES, window_px=32, unannotated=0)
    assert len(files) == len(arrays)
    for a, b in zip(files[4], arrays[4], strict=True):
        assert torch.equal(a, b)
    before = files.fingerprint()
    cv2.imwrite(str(masks[0]), np.ones_like(MASKS[0]))
    assert files.fingerprint() != before


def test_validation_is_never_augmented():
    held, again = samples(), samples()
    for i in range(len(held)):
        torch.manual_seed(i)
        assert all(torch.equal(a, b) for a, b in zip(held[i], again[i], strict=True))
    assert held.augmentation == NONE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pictures": PICTURES[:1]}, "1 pictures and 4 masks"),
        ({"window_px": 48}, "window_px=48; use a multiple of 32"),
        ({"augmentation": Augmentation(randaugment=2)}, "masks can follow turns alone; set randaugment=0"),
        ({"class_names": NAMES[:2]}, "region 0: its mask holds 2, and there are 2 class names"),
        ({"masks": [MASKS[0][:-1], *MASKS[1:]]}, r"region 0: picture \(70, 90, 3\), mask \(69, 90\)"),
    ],
)
def test_regions_are_checked(change, words):
    given_ = {"pictures": PICTURES, "masks": MASKS, "class_names": NAMES, "window_px": 32, "unannotated": 0}
    given_ |= change
    with pytest.raises(ValueError, match=words):
        RegionSamples(given_.pop("pictures"), given_.pop("masks"), given_.pop("class_names"), **given_)


def test_other_arguments_are_checked():
    flat = np.zeros((0, 5, 3), np.uint8)
    with pytest.raises(ValueError, match=r"picture is \(0, 5, 3\)"):
        blended(lambda w: w, flat, window_px=32)
    with pytest.raises(ValueError, match=r"overlap=1; use a share"):
        blended(lambda w: w, PICTURES[0], window_px=32, overlap=1)
    with pytest.raises(ValueError, match="unannotated='x' is no class"):
        Card("t", "n", NAMES, unannotated="x")
    with pytest.raises(ValueError, match="crops=0"):
        tissue_segmenter.train([], [], [], [], NAMES, folder="x", settings=SETTINGS, crops=0)
    assert Segmentation.figures[0] == "loss"
