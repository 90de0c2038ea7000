"""The training loop: it learns, its result depends on the seed alone, and nothing that was good is lost."""

import json
import logging
import math
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from her2kit.errors import TrainingError
from her2kit.exchange.card import Card, read_card
from her2kit.learning.augment import Augmentation
from her2kit.learning.classification import Classification, TileSamples
from her2kit.learning.train_settings import TrainSettings, learning_rate
from her2kit.learning.training import fit

torch = pytest.importorskip("torch", reason="the train extra is not installed")

CARD = Card("test", "tiny", ("a", "b", "c"), input_px=16)
SETTINGS = TrainSettings(epochs=4, batch_size=8, lr=5e-3, accelerator="cpu", progress=False, sam_rho=0.05)
CHANGES = Augmentation(mix="both", small=0.5, randaugment=1)


def tiles(n, seed):
    """Return tiles whose colour tells their class, for the most part."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    mean = np.array([[150, 110, 110], [110, 150, 110], [110, 110, 150]])[labels][:, None, None]
    return np.clip(rng.normal(mean, 50, (n, 16, 16, 3)), 0, 255).astype(np.uint8), labels


def samples(n, seed, **options):
    return TileSamples(*tiles(n, seed), CARD.class_names, size_px=16, **options)


def task(**options):
    torch.manual_seed(1)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Dropout(0.2),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3),
    )  # fmt: skip
    return Classification(net, CARD, **options)


def train(folder, *, settings=SETTINGS, what=None, data=None, resume=False):
    data = samples(40, 0, augmentation=CHANGES) if data is None else data
    what = task(augmentation=CHANGES) if what is None else what
    return fit(what, data, samples(30, 1), settings=settings, card=CARD, folder=folder, resume=resume)


def untimed(curves):
    return curves.drop(columns="seconds")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"))


def test_it_learns(tmp_path):
    done = train(
        tmp_path, settings=replace(SETTINGS, epochs=12, lr=2e-2, sam_rho=0), what=task(), data=samples(60, 0)
    )
    assert done.card.figures["macro_f1"] > 0.9
    assert done.curves["train_loss"].iloc[-1] < 0.5 * done.curves["train_loss"].iloc[0]


def test_what_it_leaves(run):
    assert run.curves["epoch"].tolist() == [1, 2, 3, 4]
    best = run.curves.loc[run.curves["epoch"] == run.best_epoch].iloc[0]
    assert best["val_macro_f1"] == run.curves["val_macro_f1"].max() == run.card.figures["macro_f1"]
    assert run.stopped == "all 4 epochs done"
    assert math.isnan(run.peak_gpu_mb)
    pd.testing.assert_frame_equal(pd.read_csv(run.weights.with_name("curves.csv")), run.curves)
    card = json.loads(run.weights.with_suffix(".json").read_text())
    assert card["settings"]["precision"] == "32-true"
    assert card["settings"]["sam_rho"] == 0.05
    assert {"workers", "progress"}.isdisjoint(card["settings"])
    assert len(card["data_sha256"]) == 64


def test_the_network_ends_as_the_best_weights(tmp_path):
    what = task()
    done = train(tmp_path, what=what)
    assert not what.net.training
    with torch.no_grad():
        figures = what.judge(what.net, torch.utils.data.DataLoader(samples(30, 1), 30))
    assert figures["macro_f1"] == pytest.approx(done.card.figures["macro_f1"])


def test_same_seed_same_bytes_whatever_the_workers_another_seed_others(run, tmp_path):
    what = task(augmentation=CHANGES)
    state = torch.get_rng_state()
    again = train(tmp_path / "a", settings=replace(SETTINGS, workers=2), what=what)
    assert torch.equal(state, torch.get_rng_state()), "the caller's own draws are disturbed"
    assert again.weights.read_bytes() == run.weights.read_bytes()
    pd.testing.assert_frame_equal(untimed(again.curves), untimed(run.curves))
    other = train(tmp_path / "b", settings=replace(SETTINGS, seed=1))
    assert other.weights.read_bytes() != run.weights.read_bytes()


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import test_training as t
data = t.samples(40, 0, augmentation=t.CHANGES)
class Deadly(t.TileSamples):
    seen = 0
    def __getitem__(self, index):
        self.seen += 1
        if self.seen == 95:  # in the third epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)
data.__class__ = Deadly
t.train({folder!r}, data=data)
"""


def test_a_killed_run_goes_on_to_the_same_bytes(run, tmp_path):
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(pd.read_csv(tmp_path / "curves.csv")) == 2
    done = train(tmp_path, resume=True)
    assert done.weights.read_bytes() == run.weights.read_bytes()
    pd.testing.assert_frame_equal(untimed(done.curves), untimed(run.curves))


def test_samples_reach_processes_that_are_not_forked():
    data = samples(4, 0, augmentation=CHANGES)
    again = pickle.loads(pickle.dumps(data))
    for each in (data, again):
        torch.manual_seed(0)
        each.seen = each[1][0]
    assert torch.equal(data.seen, again.seen)


def test_resuming_what_had_ended_trains_nothing(run):
    class Untouchable(TileSamples):
        def __getitem__(self, index):
            raise AssertionError("trained again")

    data = samples(40, 0, augmentation=CHANGES)
    data.__class__ = Untouchable
    done = train(run.weights.parent, data=data, resume=True)
    assert (done.best_epoch, done.stopped) == (run.best_epoch, run.stopped)


def test_resuming_another_training_is_refused(run):
    folder = run.weights.parent
    with pytest.raises(TrainingError, match=r"trained with settings\.lr=0\.005, not 0\.1; give resume=False"):
        train(folder, settings=replace(SETTINGS, lr=0.1), resume=True)
    with pytest.raises(TrainingError, match="trained with data_sha256="):
        train(folder, data=samples(41, 0), resume=True)


def test_a_state_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match=r"last\.ckpt: cannot be read .* give resume=False"):
        train(tmp_path, resume=True)


class Breaks(Classification):
    """Its loss is nan from the given pass on."""

    def __init__(self, net, card, *, at, **options):
        super().__init__(net, card, **options)
        self.at, self.passes = at, 0

    def loss(self, net, batch):
        self.passes += 1
        return super().loss(net, batch) * (math.nan if self.passes > self.at else 1)


def test_a_loss_that_is_not_finite_ends_it_with_the_last_good_weights(tmp_path):
    plain = replace(SETTINGS, sam_rho=0)
    what = Breaks(task().net, CARD, at=12)
    with pytest.warns(UserWarning, match=r"not finite at step 3 of epoch 3; kept the weights of epoch [12]"):
        done = train(tmp_path / "broken", settings=plain, what=what)
    good = train(tmp_path / "good", settings=plain, what=task()).curves
    pd.testing.assert_frame_equal(untimed(done.curves), untimed(good.iloc[:2]))
    assert all(torch.isfinite(p).all() for p in what.net.parameters())
    with pytest.raises(TrainingError, match=r"step 1 of epoch 1, before any good weights; lower lr=0\.005"):
        train(tmp_path / "lost", settings=plain, what=Breaks(task().net, CARD, at=0))


def test_early_stopping_and_monitoring_the_loss(tmp_path):
    class Worse(Classification):
        """Judged worse after each epoch but the second."""

        def judge(self, net, batches):
            self.epoch = getattr(self, "epoch", 0) + 1
            return super().judge(net, batches) | {"loss": 0.1 if self.epoch == 2 else float(self.epoch)}

    settings = replace(SETTINGS, epochs=50, patience=3, monitor="loss")
    done = train(tmp_path, settings=settings, what=Worse(task().net, CARD))
    assert (done.best_epoch, len(done.curves)) == (2, 5)
    assert done.stopped == "no better loss in 3 epochs"
    assert done.card.figures["loss"] == 0.1


def test_mixed_precision_learns_the_same_thing(tmp_path):
    settings = replace(SETTINGS, sam_rho=0)
    full = train(tmp_path / "a", settings=settings, what=task()).curves
    mixed = train(tmp_path / "b", settings=replace(settings, precision="bf16-mixed"), what=task()).curves
    assert (full["train_loss"] != mixed["train_loss"]).all()
    np.testing.assert_allclose(full["train_loss"], mixed["train_loss"], rtol=0.02)


TWO = """
import sys
sys.path.insert(0, {here!r})
import test_training as t
settings = t.replace(t.SETTINGS, devices=2, batch_size=4, epochs=12, lr=2e-2)
done = t.train({folder!r}, settings=settings, what=t.task(), data=t.samples(60, 0))
print(done.card.figures["macro_f1"], len(done.curves))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="several devices are started by forking")
def test_two_processes_train_one_network_without_a_word(tmp_path):
    code = TWO.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    f1, epochs = done.stdout.split()
    assert float(f1) > 0.9
    assert int(epochs) == 12


def test_it_is_quiet_and_leaves_logging_alone(tmp_path, capfd):
    level = logging.getLogger("lightning.fabric").level
    train(tmp_path, settings=replace(SETTINGS, epochs=1))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lightning.fabric").level == level
    train(tmp_path, settings=replace(SETTINGS, epochs=1, progress=True))
    assert "training" in capfd.readouterr().err


def test_the_learning_rate_rises_and_falls():
    plain = TrainSettings(lr=1.0, warmup=0.2)
    rates = [learning_rate(step, 100, plain) for step in range(100)]
    assert np.argmax(rates) == 20
    assert rates[20] == 1.0
    assert (np.diff(rates[:21]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
    flat = [learning_rate(step, 10, replace(plain, warmup=0.0, cosine=False)) for step in range(10)]
    assert flat == [1.0] * 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs=0; use 1 or more"),
        ({"optimizer": "adagrad"}, "optimizer='adagrad'; use one of adamw"),
        ({"lr": math.nan}, "lr=nan; use a positive"),
        ({"sam_rho": -1}, "sam_rho=-1; use 0"),
        ({"warmup": 1}, "warmup=1; use a share"),
        ({"patience": 0}, "patience=0; use 1 epoch"),
        ({"precision": "8"}, "precision='8'; use one of auto"),
    ],
)
def test_settings_are_checked(change, words):
    with pytest.raises(ValueError, match=words):
        TrainSettings(**change)


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="monitor='dice'; use one of loss, accuracy"):
        train(tmp_path, settings=replace(SETTINGS, monitor="dice"))
    with pytest.raises(ValueError, match="1 samples to train and 30 to validate on; give at least 2 and 1"):
        train(tmp_path, data=samples(1, 0))
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match="accelerator='gpu', and there is none"):
            train(tmp_path, settings=replace(SETTINGS, accelerator="gpu"))


def test_a_failed_start_keeps_what_was_there(run, tmp_path):
    """The weights of an earlier training go when the new one has begun, not when its call is wrong."""
    before = run.weights.read_bytes()
    with pytest.raises(ValueError, match="monitor"):
        train(run.weights.parent, settings=replace(SETTINGS, monitor="dice"))
    assert run.weights.read_bytes() == before
    assert read_card(run.weights) == run.card
