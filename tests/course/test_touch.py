"""The sliders: what each step says is so, what stands where nobody slides, and sliding without a kernel."""

import base64
import io
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from jupyter_page import Page, chromium, jupyter, kill_kernel
from PIL import Image

from her2kit.cells.boxes import Boxes
from her2kit.course import touch
from her2kit.course.data import densest_field, slide_or_phantom
from her2kit.course.touch_pixels import turned
from her2kit.course.touch_widget import Step, Touch
from her2kit.learning.point_boxes import LabelledPicture
from her2kit.measure import measure_slide
from her2kit.phantom.rule import planted_score
from her2kit.pipeline import grade_slide
from her2kit.settings import ScoreSettings
from her2kit.slides.slide import open_slide
from her2kit.stain.separation import RUIFROK_JOHNSTON, angle_deg, separate

GLASS = (240.0, 240.0, 240.0)
STILL_BYTES = 27_000
ALIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")


@pytest.fixture
def nobody(monkeypatch):
    for name in ALIVE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Return phantoms of the same tissue by class, and the corner of a field with 1+ cells."""
    folder = tmp_path_factory.mktemp("phantoms")
    made = {c: slide_or_phantom(case=c, size_px=768, seed=1, folder=folder) for c in ("1+", "2+", "3+")}
    cells = made["1+"].planted_cells()
    return made, densest_field(cells[cells["cell_class"] == "1+"], side_px0=128)


def picture_of(bundle):
    return Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).convert("RGB")


def number(words, pattern):
    return float(re.search(pattern, words)[1])


# What stands where nobody slides, and what is sent where somebody may


def coloured(colour):
    def draw(axes):
        axes[0].set_facecolor(colour)
        axes[0].set_title("same", loc="left")

    return draw


def small():
    colours = ("#ff0000", "#00ff00", "#0000ff", "#ffff00")
    steps = [Step(f"{i} um", f"colour {i}", coloured(c)) for i, c in enumerate(colours)]
    return Touch("a number", steps, panels=[(2, 2)], first=1, still=[0, 1, 3])


def test_three_pictures_stand_in_where_nobody_can_slide(nobody):
    slider = small()
    bundle, _ = slider._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == "a number: 0 um to 3 um, 4 steps"
    assert slider.pictures == []  # nobody waits for those that nobody sees
    pixels = np.asarray(picture_of(bundle)).astype(int)
    row = pixels[pixels.shape[0] // 2]
    found = [int((np.abs(row - colour).max(axis=1) < 40).sum()) for colour in
             ([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0])]  # fmt: skip
    assert found[2] == 0
    assert min(found[0], found[1], found[3]) > 80


def test_a_front_end_gets_one_picture_a_step(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "n.ipynb")
    slider = small()
    bundle, _ = slider._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(bundle)
    assert len(slider.pictures) == len(slider.about["labels"]) == 4
    shown = [np.asarray(Image.open(io.BytesIO(p)))[100, 150].tolist() for p in slider.pictures]
    assert np.abs(np.array(shown) - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]).max() < 12
    assert slider.place == 1


# What the five say


def test_pixels_grow_and_the_words_count_them(slides, nobody):
    made, corner = slides
    slider = touch.mpp({c: made[c].path for c in ("1+", "3+")}, corner, side_px0=128, sizes=(0.25, 0.5, 1.0))
    assert slider.about["labels"] == ["0.25 µm per px", "0.5 µm per px", "1 µm per px"]
    assert slider.about["words"][1] == "A membrane is so many pixels wide: 1+ 1.3, 3+ 4.3."
    bundle, _ = slider._repr_mimebundle_()
    assert len(base64.b64decode(bundle["image/png"])) <= STILL_BYTES
    fine, coarse = (slider.picture(place).astype(float) for place in (0, 2))
    assert fine.shape == coarse.shape  # the same field, however many pixels it has

    def steps_of(pixels):  # colours change in fewer places where pixels are large
        return (np.abs(np.diff(pixels[150:350, 40:400].mean(axis=2), axis=1)) > 4).mean()

    assert steps_of(coarse) < steps_of(fine) / 2


def test_a_turned_vector_stays_in_its_plane():
    assert turned(RUIFROK_JOHNSTON, 0).dab == pytest.approx(RUIFROK_JOHNSTON.dab)
    apart = angle_deg(RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab)
    normal = np.cross(RUIFROK_JOHNSTON.hematoxylin, RUIFROK_JOHNSTON.dab)
    for degrees in (-15, 7.5, 15):
        vectors = turned(RUIFROK_JOHNSTON, degrees)
        assert angle_deg(vectors.dab, RUIFROK_JOHNSTON.dab) == pytest.approx(abs(degrees), abs=1e-6)
        assert angle_deg(vectors.dab, vectors.hematoxylin) == pytest.approx(apart - degrees, abs=1e-6)
        assert normal @ vectors.dab == pytest.approx(0, abs=1e-9)


def test_brown_grows_as_its_vector_turns_to_blue_and_blue_alone_stays_blue(slides, nobody):
    made, corner = slides
    with open_slide(made["1+"].path) as slide:
        slider = touch.stain_basis(slide.read(*corner, 160, 160).pixels, white=GLASS)
    assert slider.about["labels"][slider.place] == "0°, as published"
    brown = [number(words, r"^(\d+) % of the pixels") for words in slider.about["words"]]
    assert brown == sorted(brown)
    assert brown[-1] > 2 * brown[slider.place] > 0
    assert len(slider.still()[0]) <= STILL_BYTES
    od = 0.4 * np.array(RUIFROK_JOHNSTON.hematoxylin)
    blue = np.round(240 * 10**-od).astype(np.uint8).reshape(1, 1, 3)
    for degrees in (-15, 0, 15):
        assert abs(separate(blue, GLASS, turned(RUIFROK_JOHNSTON, degrees)).dab).max() < 0.01


@dataclass
class Sure:
    """A detector that knows three cells, surer of each than of the one before, and one that is none."""

    confidence: float = 0.5

    def boxes(self, picture, *, mpp):
        xy = np.array([[30, 30], [60, 30], [30, 60], [90, 90]], np.float32)
        found = Boxes(
            np.c_[xy, np.full((4, 2), 16, np.float32)], np.array([0.3, 0.6, 0.9, 0.45]), np.zeros(4, int)
        )
        return found.at_least(self.confidence)


def test_more_confidence_finds_fewer_and_invents_fewer():
    boxes = np.array([[0, x, y, 16, 16] for x, y in ((31, 30), (60, 31), (30, 60), (100, 20))], np.float32)
    picture = LabelledPicture(np.full((128, 128, 3), 220, np.uint8), boxes, 0.5)
    swept = pd.DataFrame({"precision": 1.0, "recall": 1.0, "f1": [0.6, 0.7, 0.8]}, index=[0.2, 0.5, 0.8])
    slider = touch.confidence(picture, Sure(), swept, chosen=0.5, side_px=128)
    assert slider.about["labels"] == ["confidence 0.20", "confidence 0.50", "confidence 0.80"]
    said = [re.findall(r"\d+(?:\.\d+)?", words)[:4] for words in slider.about["words"]]
    assert said == [["3", "4", "1", "1"], ["2", "4", "2", "0"], ["1", "4", "3", "0"]]
    assert [number(w, r"judge: ([\d.]+\d)") for w in slider.about["words"]] == [0.6, 0.7, 0.8]
    assert slider.place == 1


def test_one_cell_crosses_the_line():
    slider = touch.ten_percent_line(400)
    scores = {}
    for label, words in zip(slider.about["labels"], slider.about["words"], strict=True):
        intense = int(label.split()[0])
        pairs = {("complete", "intense"): intense, ("none", "none"): 400 - intense}
        breast, stomach = re.match(r"Breast, .*?: (\S+); Stomach, .*?: (\S+)\. ", words).groups()
        scores[intense] = (breast, stomach)
        # The phantom's rule is written a second time, and pure: one such cell is 2+, as from ten on here.
        assert breast == planted_score(pairs, "breast-asco-cap-2018")["score"]
        assert stomach == planted_score(pairs, "gastric-resection")["score"]
    assert (scores[39], scores[40], scores[41]) == (("2+", "0"), ("2+", "3+"), ("3+", "3+"))
    assert (min(scores), max(scores)) == (20, 60)
    assert len(slider.still()[0]) < 12_000


@pytest.mark.parametrize("n", [30, 395, 1241])
def test_the_line_is_exact_for_any_number_of_cells(n):
    slider = touch.ten_percent_line(n)
    for label, words in zip(slider.about["labels"], slider.about["words"], strict=True):
        intense = int(label.split()[0].replace(",", ""))
        assert ("ASCO/CAP 2018: 3+" in words) == (10 * intense > n)
    assert slider.picture(slider.place).shape[2] == 3


def test_cut_offs_move_cells_and_the_score(slides, nobody):
    made, _ = slides
    case = made["2+"]
    settings = ScoreSettings(tumour=case.tumour)
    with measure_slide(case.path, settings) as measured:
        report = grade_slide(measured, settings)
        x, y = densest_field(report.cells, side_px0=320)
        field = measured.slide.read(x, y, 320, 320).pixels
    given = {"guideline": settings.guideline, "mpp": 0.25, "tumour_known": True}
    before = report.cells.copy()
    slider = touch.membrane_threshold(field, report.cells, (x, y), **given)
    pd.testing.assert_frame_equal(report.cells, before)
    scores = [re.match(r"Score of the slide: (\S+)\. ", words)[1] for words in slider.about["words"]]
    assert slider.about["labels"][slider.place] == "intense from OD 0.50"
    assert scores[slider.place] == report.record["score"]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    assert len(slider.still()[0]) <= STILL_BYTES


def test_too_few_cells_have_no_score(slides):
    made, _ = slides
    cells = grade_cells_of(made["2+"]).head(5)
    grey = np.full((64, 64, 3), 230, np.uint8)
    given = {"guideline": "breast-asco-cap-2018", "mpp": 0.25, "tumour_known": False}
    slider = touch.membrane_threshold(grey, cells, (0, 0), **given)
    assert slider.about["words"][0].startswith("Score of the slide: none.")
    assert slider.picture(0).shape[2] == 3


def grade_cells_of(case):
    with measure_slide(case.path) as measured:
        return grade_slide(measured).cells


# In a browser


def test_a_person_slides_with_the_keys_and_needs_no_kernel(tmp_path):
    from selenium.webdriver.common.keys import Keys

    with (
        jupyter(tmp_path, "from her2kit.course import touch\ntouch.ten_percent_line()") as (address, server),
        chromium(tmp_path) as browser,
    ):
        page = Page(browser, address)

        def slider(state="[data-ready='yes']"):
            page.wait("the slider", lambda: page.all(f".her2kit-touch{state} figure img"))
            return page.all(".her2kit-touch input")[0]

        def shown():
            return page.all(".her2kit-touch figure img")[0].get_attribute("src")

        page.open()
        page.run_first_cell()
        handle = slider()
        assert page.all(".her2kit-touch .value")[0].text == "40 of 400: 10.00 %"
        assert handle.get_attribute("aria-valuetext").startswith("40 of 400: 10.00 %. Breast, ")
        page.shot("opened")

        # Arrow keys move the handle, not JupyterLab's selection; b, d d and 0 0 do nothing to the notebook.
        before, active = shown(), page.all(".jp-Notebook .jp-mod-active .cm-content")[0].text
        page.all(".her2kit-touch figure")[0].click()
        page.press(Keys.ARROW_RIGHT)
        slider("[data-place='7']")
        assert page.all(".her2kit-touch .value")[0].text == "41 of 400: 10.25 %"
        assert shown() != before
        page.press(Keys.ARROW_DOWN, Keys.ARROW_UP, "b", "d", "d", "0", "0")
        slider("[data-place='7']")
        assert len(page.all(".jp-Notebook .jp-CodeCell")) == 2
        assert page.all(".jp-Notebook .jp-mod-active .cm-content")[0].text == active
        page.shot("moved")
        page.press(Keys.HOME)
        slider("[data-place='0']")
        page.all(".her2kit-touch button[aria-label='Step on']")[0].click()
        slider("[data-place='1']")

        # Nothing is fetched, and nothing asked of the kernel: it may die.
        far = browser.execute_script(
            "return performance.getEntriesByType('resource').map((e) => e.name)"
            ".filter((n) => n.startsWith('http') && !n.startsWith(location.origin))"
        )
        assert far == []
        kill_kernel(server)
        page.wait("JupyterLab to say so", lambda: page.all(".jp-Dialog .jp-mod-accept"))[0].click()
        slider().click()
        page.press(Keys.END)
        slider("[data-place='13']")
        assert page.all(".her2kit-touch .value")[0].text == "60 of 400: 15.00 %"
        page.shot("dead")
