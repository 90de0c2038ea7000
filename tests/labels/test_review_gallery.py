"""The gallery as a person uses it: JupyterLab in Chromium, keys pressed, the kernel killed, nothing lost.

HER2KIT_SHOTS names a folder in which the test leaves a picture of each step.
"""

import base64
import io
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from jupyter_page import Page, chromium, jupyter, kill_kernel
from PIL import Image

from her2kit.errors import MppError, ReviewError
from her2kit.labels.crops import Crops, jpeg, mark_of
from her2kit.labels.gallery import KEYS, Gallery
from her2kit.labels.reading import Reading
from her2kit.labels.review_log import CANNOT_LABEL, LABELS, NOT_TUMOUR, ReviewLog
from her2kit.labels.rounds import load_review, open_round

MPP = 0.5
EVIL = "<img src=x onerror=\"document.title='broken'\">"


def make_review(folder, *, cells=14, blind=False):
    """Make a picture with a disc for each cell and open a round of them; the first cell's id is markup."""
    pixels = np.full((360, 480, 3), 244, np.uint8)
    xy = [(60 + 60 * (i % 7), 80 + 90 * (i // 7)) for i in range(cells)]
    for i, place in enumerate(xy):
        cv2.circle(pixels, place, 12, (120 - 8 * (i % 10), 110, 170), -1)
        cv2.circle(pixels, place, 14, (150, 100, 60), 2)
    Image.fromarray(pixels).save(folder / "s1.png")
    ring = 14 * np.stack([np.cos(np.arange(0, 6.2, 0.4)), np.sin(np.arange(0, 6.2, 0.4))], axis=1)
    table = pd.DataFrame(
        {
            "slide_id": "s1",
            "cell_id": [EVIL, *(f"c{i}" for i in range(1, cells))],
            "x_px0": [float(x) for x, _ in xy],
            "y_px0": [float(y) for _, y in xy],
            "cell_class": ["0", "1+", "2+", "3+", "1+", "0", "2+"] * (cells // 7),
            "order": range(cells, 0, -1),
        }
    )
    table["outline"] = pd.Series([(ring + p).astype(np.float32) for p in xy], dtype=object)
    open_round(folder / "r", ["A"], cells=table, order="order", blind=blind, mpp={"s1": MPP})
    return folder / "r", {"s1": str(folder / "s1.png")}


@pytest.fixture
def made(tmp_path):
    return make_review(tmp_path)


# Without a browser


def test_a_picture_stands_in_where_nobody_can_press_keys(made, monkeypatch):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    folder, slides = made
    with Reading(folder, "A") as reading:
        reading.decide(*reading.keys[0], "3+")
        bundle, _ = Gallery(reading, slides)._repr_mimebundle_()
        assert set(bundle) == {"image/png", "text/plain"}
        assert bundle["text/plain"] == "A, first round: 14 cells"
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).convert("RGB"))
        assert picture.shape[1] > 700
        red = (np.abs(picture.astype(int) - [0xC2, 0x18, 0x2B]).max(axis=2) < 8).sum()
        assert red > 300  # the decided 3+ has its colour
        monkeypatch.setenv("JPY_SESSION_NAME", "n.ipynb")
        bundle, _ = Gallery(reading, slides)._repr_mimebundle_()
        assert "application/vnd.jupyter.widget-view+json" in bundle


def answers(gallery, *messages):
    """Hand messages of a front end to the gallery; return what it sends back."""
    sent = []
    gallery.send = lambda content, buffers=None: sent.append((content, buffers))
    for message in messages:
        gallery._heard(gallery, message, [])
    return sent


def test_an_answer_comes_after_the_log_has_it(made):
    folder, slides = made
    with Reading(folder, "A") as reading:
        gallery = Gallery(reading, slides)
        seen = []
        gallery.send = lambda content, buffers=None: seen.append(
            (content["kind"], len(ReviewLog.open(reading.log.path).entries()))
        )
        gallery._heard(gallery, {"kind": "decide", "id": "1", "place": 4, "label": "2+", "reason": "r"}, [])
        gallery._heard(gallery, {"kind": "undo", "id": "2"}, [])
        assert seen == [("saved", 1), ("saved", 2)]


def test_what_cannot_be_done_is_refused_in_words(made):
    folder, slides = made
    with Reading(folder, "A") as reading:
        gallery = Gallery(reading, slides)
        bad = [
            {"kind": "decide", "id": "1", "place": 4, "label": "4+"},
            {"kind": "decide", "id": "2", "place": 99, "label": "0"},
            {"kind": "decide", "id": "3"},
            {"kind": "decide", "id": "4", "place": 0, "label": "0", "reason": "x" * 501},
        ]
        found = answers(gallery, *bad)
        assert [c["kind"] for c, _ in found] == ["refused"] * 4
        assert [c["id"] for c, _ in found] == ["1", "2", "3", "4"]
        assert reading.log.entries().empty
        reading.log.close_round("first")
        ((content, _),) = answers(gallery, {"kind": "decide", "id": "5", "place": 0, "label": "0"})
        assert "the first round is closed" in content["words"]


def test_pictures_are_the_cell_and_its_surroundings(made):
    folder, slides = made
    with Reading(folder, "A") as reading:
        gallery = Gallery(reading, slides, near_um=40, far_um=160)
        ((content, buffers),) = answers(gallery, {"kind": "pictures", "places": [3]})
        near, far = (np.asarray(Image.open(io.BytesIO(b))) for b in buffers)
        assert near.shape == (80, 80, 3)
        assert far.shape == (320, 320, 3)
        assert np.abs(near[40, 40].astype(int) - [120 - 8 * 3, 110, 170]).max() < 16
        assert content["mark"] == pytest.approx([0.275, 0.275, 0.725, 0.725], abs=0.01)  # 7 + 2 um each way


def test_a_blind_gallery_does_not_hold_the_given_labels(tmp_path):
    folder, slides = make_review(tmp_path, blind=True)
    with Reading(folder, "A") as reading:
        gallery = Gallery(reading, slides)
        assert {given for *_, given in gallery.cells} == {None}


def test_slides_that_cannot_be_shown_are_named_at_once(made, tmp_path):
    folder, slides = made
    with Reading(folder, "A") as reading, pytest.raises(ReviewError, match="slides has no file for slide s1"):
        Gallery(reading, {"s2": slides["s1"]})
    with Crops(slides) as crops, pytest.raises(MppError, match="slide has no mpp"):
        crops.mpp_of("s1")


def test_every_label_has_a_key_and_the_mark_leaves_the_cell_free():
    assert {label for label, _ in KEYS.values()} == set(LABELS)
    assert mark_of(None, 5, 5, mpp=0.25, side_um=40) == pytest.approx((0.35, 0.35, 0.65, 0.65))
    wide = np.array([[-500, 0], [500, 0], [0, 9]], np.float32)
    assert mark_of(wide, 0, 0, mpp=0.25, side_um=40)[::2] == (0.01, 0.99)
    assert jpeg(np.zeros((4, 4, 3), np.uint8))[:2] == b"\xff\xd8"


# In a browser


@pytest.fixture
def lab(tmp_path):
    """Start JupyterLab on a notebook with the gallery; yield the round's folder, address and server."""
    folder, slides = make_review(tmp_path)
    source = (
        "from her2kit.labels.gallery import Gallery\nfrom her2kit.labels.reading import Reading\n"
        f"Gallery(Reading({str(folder)!r}, 'A'), {slides!r})"
    )
    with jupyter(tmp_path, source) as (address, server):
        yield folder, address, server


@pytest.fixture
def page(lab, tmp_path):
    with chromium(tmp_path) as browser:
        yield GalleryPage(browser, lab[1])


class GalleryPage(Page):
    """A page with the gallery on it."""

    def gallery(self):
        """Return the gallery on the page once the kernel has answered it and its picture is there."""
        self.wait("the gallery", lambda: self.all(".her2kit-gallery[data-ready='yes'] .close img[src]"))
        return self.all(".her2kit-gallery")[0]

    def saved(self):
        self.wait("the log", lambda: self.all(".her2kit-gallery[data-pending='0']"))


def log_of(folder):
    with ReviewLog.open(load_review(folder).log_path("A")) as log:
        return log.entries()


def test_a_reader_at_work(lab, page):
    from selenium.webdriver.common.keys import Keys

    folder, _, server = lab
    page.open()
    page.run_first_cell()
    gallery = page.gallery()
    page.shot("opened")
    assert page.browser.title != "broken"
    assert EVIL in gallery.text  # an id is text, whatever it holds
    assert page.all(".her2kit-gallery .about img") == []

    # Keys label, and belong to the gallery alone: in JupyterLab x would cut the cell, 0 0 restart the kernel.
    page.all(".her2kit-gallery header .who")[0].click()
    page.press("0", "0", "1", "2", "3", "n", "x")
    page.saved()
    page.shot("seven")
    entries = log_of(folder)
    assert entries["after"].tolist() == ["0", "0", "1+", "2+", "3+", NOT_TUMOUR, CANNOT_LABEL]
    assert entries["before"].tolist() == ["0", "1+", "2+", "3+", "1+", "0", "2+"]
    assert entries["cell_id"].tolist() == [EVIL, *(f"c{i}" for i in range(1, 7))]
    assert len(page.all(".jp-Notebook .jp-CodeCell")) == 2
    assert (gallery.get_attribute("data-done"), gallery.get_attribute("data-place")) == ("7", "7")

    # Undo is a new entry, and leads back to the cell; a reason is typed, not read as keys.
    page.press("u")
    page.saved()
    assert gallery.get_attribute("data-place") == "6"
    page.press("r")
    page.press("fold 0x <b>", Keys.ENTER, "x")
    page.saved()
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, "2")
    page.saved()
    entries = log_of(folder)
    assert entries["action"].tolist()[7:] == ["undo", "decide", "decide"]
    assert entries["reason"].tolist()[8] == "fold 0x <b>"
    assert entries.iloc[9][["cell_id", "before", "after"]].tolist() == ["c5", NOT_TUMOUR, "2+"]
    page.shot("reason")

    # The mouse does the same, and the keys go on after it.
    page.all(".her2kit-gallery .answer[data-label='3+']")[0].click()
    page.saved()
    page.press("1")
    page.saved()
    assert log_of(folder)["after"].tolist()[10:] == ["3+", "1+"]

    # Keys of JupyterLab's (b: a new cell, d d: delete one) do nothing here; with Ctrl they work. The page is
    # loaded again: it goes on with the same kernel.
    page.press("b", "d", "d")
    assert len(page.all(".jp-Notebook .jp-CodeCell")) == 2
    page.press(Keys.CONTROL, "s", together=True)
    kept = Path(lab[0]).parent / "nb" / "read.ipynb"
    page.wait("the saved notebook", lambda: "image/png" in kept.read_text())
    page.browser.refresh()
    gallery = page.gallery()
    assert gallery.get_attribute("data-done") == "9"
    page.all(".her2kit-gallery header .who")[0].click()

    # The kernel dies: what was saved is there, what was not is said so, and no key is taken any more.
    before = log_of(folder)
    kill_kernel(server)
    page.wait("JupyterLab to say so", lambda: page.all(".jp-Dialog .jp-mod-accept"))[0].click()
    page.all(".her2kit-gallery header .who")[0].click()
    page.press("2", "3")
    page.wait("the warning", lambda: gallery.get_attribute("data-alarm") == "yes")
    assert re.match("[12] not saved: the kernel does not answer", page.all(".her2kit-gallery .alarm")[0].text)
    assert not page.all(".her2kit-gallery .answer:enabled")
    page.shot("dead")
    assert log_of(folder).equals(before)

    # The page is opened anew, the cell run again: it goes on from the last saved decision.
    page.open()
    page.run_first_cell()
    gallery = page.gallery()
    page.wait("what was saved", lambda: gallery.get_attribute("data-done") == "9")
    assert gallery.get_attribute("data-place") == "9"
    page.all(".her2kit-gallery header .who")[0].click()
    page.press(*"00000")
    page.saved()
    page.wait("the end", lambda: "All cells are decided" in page.all(".her2kit-gallery .saved")[0].text)
    page.shot("done")
    after = log_of(folder)
    assert after.head(len(before)).equals(before)
    with Reading(folder, "A") as reading:
        assert reading.next_place is None
