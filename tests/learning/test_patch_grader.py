"""Grades of tiles from two stains: forms of input, imbalance, cards that come back, bad input."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import DatasetError, WeightsError
from her2kit.learning import patch_grader, tissue_classifier
from her2kit.learning.augment import NONE, Augmentation
from her2kit.learning.datasets.bci import load as load_bci
from her2kit.learning.datasets.fixtures import write_bci
from her2kit.learning.imbalance import resampled_rows
from her2kit.learning.pairs import Form, Pairs, read_pairs
from her2kit.learning.patch_grader import CLASSES, PairSamples
from her2kit.learning.pictures import write_picture
from her2kit.learning.train_settings import TrainSettings

torch = pytest.importorskip("torch", reason="the train extra is not installed")

SETTINGS = TrainSettings(
    epochs=6, batch_size=8, lr=4e-3, optimizer="adam", weight_decay=0, accelerator="cpu", progress=False
)
SMALL = {"architecture": "test_resnet", "size_px": 32, "settings": SETTINGS}
BROWN = np.array([0, 50, 100, 150])


def pairs_of(n, seed):
    """Return pairs whose IHC says the class by its brown, and whose H&E says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    mean = np.stack([220 - BROWN[labels] // 4, 210 - BROWN[labels], 220 - BROWN[labels]], axis=1)
    ihc = np.clip(rng.normal(mean[:, None, None], 12, (n, 32, 32, 3)), 0, 255).astype(np.uint8)
    he = np.clip(rng.normal(180, 30, (n, 32, 32, 3)), 0, 255).astype(np.uint8)
    return Pairs(ihc, he), labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    x, y = pairs_of(64, 0)
    return patch_grader.train(
        x, np.array(CLASSES)[y], *pairs_of(40, 1), folder=tmp_path_factory.mktemp("grader"),
        imbalance="class_weights", augmentation=Augmentation(jitter=0), **SMALL,
    )  # fmt: skip


def test_it_learns_and_comes_back_with_its_card(trained):
    x, y = pairs_of(40, 2)
    p = trained.probabilities(x)
    assert (p.argmax(axis=1) == y).mean() > 0.85
    again = patch_grader.load(trained.trained.weights, class_names=CLASSES)
    np.testing.assert_array_equal(again.probabilities(x), p)
    assert again.form == Form("both", "side_by_side")
    assert again.card.details["imbalance"] == "class_weights"
    assert again.card.settings["optimizer"] == "adam"
    assert again.inputs(x.rows([0, 1])).shape == (2, 3, 32, 32)
    assert trained.probabilities(x.rows([])).shape == (0, 4)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    x, y = pairs_of(24, 0)
    short = SMALL | {"settings": replace(SETTINGS, epochs=1)}
    files = []
    for name in ("a", "b"):
        done = patch_grader.train(x, y, x, y, folder=tmp_path / name, modality="ihc", **short)
        files.append(done.trained.weights.read_bytes())
    assert files[0] == files[1]


def test_one_stain_takes_its_pictures_alone(tmp_path):
    x, y = pairs_of(24, 0)
    short = SMALL | {"settings": replace(SETTINGS, epochs=1)}
    grader = patch_grader.train(x.ihc, y, x, y, folder=tmp_path, modality="ihc", gray=True, **short)
    assert grader.card.channels == 1
    np.testing.assert_array_equal(grader.probabilities(x.ihc), grader.probabilities(x))
    with pytest.raises(ValueError, match="needs the IHC of every place; it is not given"):
        grader.probabilities(Pairs(None, x.he))


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        (Form("both"), (32, 32, 3)),
        (Form("both", wide=True), (32, 64, 3)),
        (Form("both", wide=True, gray=True), (32, 64, 1)),
        (Form("both", gray=True), (32, 32, 1)),
        (Form("both", "channels"), (32, 32, 6)),
        (Form("both", "channels", gray=True), (32, 32, 2)),
        (Form("he"), (32, 32, 3)),
        (Form("ihc", gray=True), (32, 32, 1)),
    ],
)
def test_forms_keep_both_stains_in_their_places(form, shape):
    ihc, he = np.full((1, 32, 32, 3), 50, np.uint8), np.full((1, 32, 32, 3), 200, np.uint8)
    picture = form.picture(form.stack(Pairs(ihc, he))[0])
    assert picture.shape == shape
    assert picture.shape[2] == form.channels
    if form.modality != "both":
        assert (picture == {"ihc": 50, "he": 200}[form.modality]).all()
    elif form.join == "channels":
        half = form.channels // 2
        assert (picture[..., :half] == 50).all()
        assert (picture[..., half:] == 200).all()
    else:
        half = shape[1] // 2
        assert (picture[:, :half] == 50).all()
        assert (picture[:, half:] == 200).all()


def test_both_halves_are_turned_alike():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    samples = PairSamples(
        Pairs(x, x), [0], CLASSES, form=Form(wide=True), size_px=16, augmentation=Augmentation(jitter=0.3)
    )
    seen = set()
    for seed in range(12):
        torch.manual_seed(seed)
        picture = samples[0][0].numpy()
        np.testing.assert_array_equal(picture[:, :, :16], picture[:, :, 16:])
        seen.add(picture.tobytes())
    assert len(seen) > 4


@pytest.mark.parametrize(("how", "counts"), [("undersample", [3, 3, 3]), ("oversample", [10, 10, 10])])
def test_classes_are_evened_out(how, counts):
    labels = np.repeat([0, 1, 2], [10, 3, 6])
    rows = resampled_rows(labels, how, seed=1)
    assert np.bincount(labels[rows]).tolist() == counts
    np.testing.assert_array_equal(rows, resampled_rows(labels, how, seed=1))
    times = np.bincount(rows, minlength=len(labels))
    for k in range(3):
        assert np.ptp(times[labels == k]) <= 1
    if how == "oversample":
        assert times.min() == 1
    np.testing.assert_array_equal(resampled_rows(labels, "class_weights"), np.arange(19))
    with pytest.raises(ValueError, match="imbalance='smote'; use one of none, undersample"):
        resampled_rows(labels, "smote")


def test_sampling_changes_what_is_trained_on(tmp_path):
    x, y = pairs_of(40, 0)
    keep = np.flatnonzero((y != 3) | (np.arange(40) < 20))
    short = SMALL | {"settings": replace(SETTINGS, epochs=1), "augmentation": NONE}
    hashes = {
        how: patch_grader.train(
            x.rows(keep), y[keep], x, y, folder=tmp_path / how, imbalance=how, **short
        ).card.data_sha256
        for how in ("none", "undersample", "oversample")
    }
    assert len(set(hashes.values())) == 3


def test_bad_input_gets_one_clear_line(tmp_path):
    x, y = pairs_of(24, 0)
    call = {"folder": tmp_path / "t", **SMALL}
    with pytest.raises(ValueError, match="23 pictures of IHC and 24 of H&E: H&E without its IHC partner"):
        Pairs(x.ihc[1:], x.he)
    with pytest.raises(ValueError, match="IHC is 32 x 32 px, the H&E 16 x 32 px; bring both to one size"):
        Pairs(x.ihc, x.he[:, :, :16])
    with pytest.raises(ValueError, match=r"no training sample of class 3\+; give some, or leave it out"):
        patch_grader.train(x.rows(y < 3), y[y < 3], x, y, **call)
    with pytest.raises(ValueError, match="label '4' is no class"):
        patch_grader.train(x, ["4"] * 24, x, y, **call)
    with pytest.raises(ValueError, match="modality='rgb'; use one of ihc, he, both"):
        patch_grader.train(x, y, x, y, modality="rgb", **call)
    with pytest.raises(ValueError, match="modality='both' needs pairs"):
        patch_grader.train(x.ihc, y, x, y, **call)
    with pytest.raises(ValueError, match="neither ihc nor he"):
        Pairs(None, None)


def test_another_kind_of_model_is_refused(tmp_path):
    x, y = pairs_of(24, 0)
    other = tissue_classifier.train(
        x.ihc, y, x.ihc, y, folder=tmp_path, class_names=CLASSES,
        architecture="test_efficientnet", size_px=32, settings=replace(SETTINGS, epochs=1),
    )  # fmt: skip
    with pytest.raises(WeightsError, match="is a tissue_classifier, no patch_grader"):
        patch_grader.load(other.trained.weights)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_pairs_of_bci_are_read(tmp_path, side_by_side):
    table = load_bci(write_bci(tmp_path / "bci", side_by_side=side_by_side)).table
    pairs = read_pairs(table, size_px=32)
    assert pairs.ihc.shape == pairs.he.shape == (len(table), 32, 32, 3)
    assert np.abs(pairs.ihc.astype(int) - pairs.he).mean() > 5
    assert pairs.he[..., 1].mean() < pairs.he[..., 0].mean()  # pink


def test_pairs_that_do_not_fit_are_refused_by_name(tmp_path):
    for name, side in (("a", 64), ("b", 64), ("small", 32)):
        write_picture(tmp_path / f"{name}.png", np.full((side, side, 3), 99, np.uint8))

    def table(*rows):
        paths = [[n and str(tmp_path / f"{n}.png") for n in row] for row in rows]
        return pd.DataFrame(paths, columns=["path", "pair_path"])

    with pytest.raises(DatasetError, match=r"b.png: H&E without its IHC partner"):
        read_pairs(table(("a", "b"), (None, "b")))
    with pytest.raises(DatasetError, match=r"a.png: IHC without its H&E partner"):
        read_pairs(table(("a", None)))
    with pytest.raises(DatasetError, match=r"a.png: 64 x 64 px, its H&E 32 x 32 px"):
        read_pairs(table(("a", "small")))
    with pytest.raises(DatasetError, match="pictures of 32 x 32 and 64 x 64 px in one table"):
        read_pairs(table(("a", "b"), ("small", "small")))
    with pytest.raises(DatasetError, match="has no rows"):
        read_pairs(table())
