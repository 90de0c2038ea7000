import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from planted_slide import MPP, pictures, planted_cells, record, refused_record
from shapely.geometry import box

from her2kit.cells.table import empty_cells
from her2kit.report import slide_report
from her2kit.report.slide_report import write_slide_report

VOID = {"meta", "link", "img", "input", "br", "path"}


class Page(HTMLParser):
    """Collects the text in order, the attributes that load something, and checks that tags close."""

    def __init__(self, text):
        super().__init__()
        self.text, self.loads, self.open, self.scripts = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "poster", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


def words(page):
    return re.sub(r"\s+", " ", " ".join(page.text))


@pytest.fixture(scope="module")
def cells():
    return planted_cells(1600)


@pytest.fixture(scope="module")
def report(cells, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    gates = [{"name": "control", "level": "caution", "value": "unknown", "words": "control not documented"}]
    write_slide_report(path, record(cells, gates=gates), cells, pictures())
    return path


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(report):
    text = report.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert page.loads
    assert all(v.startswith("data:") for v in page.loads)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(|//cdn", text)


def test_what_a_pathologist_asks_for_is_there(report, cells):
    page = Page(report.read_text("utf-8"))
    text, planted = words(page), record(cells)
    assert text.index("Research and teaching only. Never for diagnosis.") < text.index("HER2 category")
    assert planted["score"] in text
    for rule in planted["trace"]:
        assert rule["words"] in text
    for count in planted["counts"].values():
        assert f"{count:,}" in text
    for h in ("h_score_membrane_class", "h_score_intensity"):
        assert f" {planted[h]:.0f} " in text
    for needed in (
        "All cells, of whatever kind", "No tumour region was given", "Control not documented.",
        "Hot spot", "her2kit score s.tif --mpp 0.25", "0" * 64, "No breast case yet", "fired: ",
    ):  # fmt: skip
        assert needed in text
    assert text.count(" OD ") >= 30  # the cells nearest each cut-off


def test_the_same_input_gives_the_same_bytes(report, cells, tmp_path):
    gates = [{"name": "control", "level": "caution", "value": "unknown", "words": "control not documented"}]
    again = write_slide_report(tmp_path / "again.html", record(cells, gates=gates), cells.copy(), pictures())
    assert again.read_bytes() == report.read_bytes()


def test_nothing_is_written_to_the_input(cells, tmp_path):
    before = cells.copy(deep=True)
    write_slide_report(tmp_path / "r.html", record(cells), cells, pictures())
    assert cells.equals(before)


def test_names_cannot_become_markup(cells, tmp_path):
    nasty = "<script>alert(1)</script>&\"'"
    gates = [{"name": "a", "level": "caution", "value": nasty, "words": nasty}]
    evil = record(cells, gates=gates, slide_id=nasty)
    evil["provenance"]["command"] = evil["provenance"]["slide"] = nasty
    path = write_slide_report(tmp_path / "r.html", evil, cells, pictures())
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.scripts == 2  # the data and the viewer
    assert "alert(1)" in words(page)
    assert "<script>alert" not in text


def test_a_refused_slide_shows_its_gate_and_picture_first(tmp_path):
    refused = refused_record()
    path = write_slide_report(tmp_path / "r.html", refused, empty_cells(), pictures(sharp=False))
    page = Page(path.read_text("utf-8"))
    text = words(page)
    assert page.scripts == 0
    assert any(v.startswith("data:image/jpeg") for v in page.loads)
    first = text.index(refused["gates"][1]["words"][1:])
    assert text.index("Not evaluable") < first < text.index("Why there is no score")
    assert "Refused by: wrong stain" in text
    assert "H-score, membrane class" not in text


def test_cells_that_a_gate_refuses_are_shown_but_called_no_score(cells, tmp_path):
    block = {"name": "nuclear_pattern", "level": "block", "value": 0.9, "words": "the stain is nuclear"}
    refused = record(cells, gates=[block]) | {"status": "not_evaluable", "score": None, "category": None}
    text = words(Page(write_slide_report(tmp_path / "r.html", refused, cells, pictures()).read_text("utf-8")))
    assert text.index("The stain is nuclear.") < text.index("they are no score") < text.index("Look at")
    assert "fired: " not in text


def test_a_slide_without_mpp_gets_its_report(tmp_path):
    refused = refused_record()
    refused["slide"]["mpp"] = None
    path = write_slide_report(tmp_path / "r.html", refused, empty_cells(), pictures(mpp=None, sharp=False))
    assert "Its file holds no resolution" in words(Page(path.read_text("utf-8")))


def test_a_tumour_region_puts_the_ungated_score_beside(cells, tmp_path):
    region = box(0, 0, 2000, 4000)
    inside = cells.assign(compartment=np.where(cells["x_px0"] < 2000, "invasive", "unknown"))
    gated = record(inside, tumour="file")
    ungated = record(cells)
    gated["tumour"]["ungated"] = ungated
    path = write_slide_report(tmp_path / "r.html", gated, inside, pictures(tumour=[region]))
    text = words(Page(path.read_text("utf-8")))
    assert "Scored: tumour cells in the tumour regions" in text
    assert "Without the tumour region: epithelium-like cells of the whole slide" in text
    assert f"{ungated['n_cells']:,}" in text
    assert "tumour region that was scored" in text


def test_a_large_slide_is_shown_in_part_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(slide_report, "MAX_CELLS", 200)
    cells = planted_cells(1500)
    path = write_slide_report(tmp_path / "r.html", record(cells), cells, pictures())
    text = words(Page(path.read_text("utf-8")))
    shown = re.search(r"(\d+) of 1,500 cells are shown one by one, in \d+ of \d+ fields of 256 µm", text)
    assert 0 < int(shown[1]) <= 200


def test_the_file_stays_small_with_300_000_cells_and_noisy_pictures(tmp_path):
    few = planted_cells(5000, side_px0=40_000)
    cells = few.loc[np.repeat(few.index, 60)].reset_index(drop=True)
    cells["x_px0"] += np.tile(np.arange(60.0), 5000)
    rng = np.random.default_rng(0)

    def noise(x_px0, y_px0, width_px, height_px, mpp):
        return rng.integers(0, 255, (height_px, width_px, 3), dtype=np.uint8)

    shown = pictures(side_px0=40_000)
    noisy = type(shown)(noise(0, 0, 1500, 1500, 1), 40_000 / 1500, MPP, shown.tissue, (), noise)
    path = write_slide_report(tmp_path / "r.html", record(cells), cells, noisy)
    assert path.stat().st_size <= 15e6
    shown_cells = re.search(r"([\d,]+) of 300,000 cells are shown", path.read_text("utf-8"))
    assert 0 < int(shown_cells[1].replace(",", "")) <= 20_000


def test_a_failure_leaves_no_half_file(cells, tmp_path):
    def broken(x_px0, y_px0, width_px, height_px, mpp):
        raise OSError("the slide has gone")

    shown = pictures()
    gone = type(shown)(shown.overview, shown.px0_per_px, MPP, (), (), broken)
    with pytest.raises(OSError, match="the slide has gone"):
        write_slide_report(tmp_path / "r.html", record(cells), cells, gone)
    assert list(tmp_path.iterdir()) == []


def test_the_viewer_starts_in_a_browser(report, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here; install it to test the report in a browser")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    flags += " --disable-background-networking --disable-component-update"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path}", "--dump-dom", report.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert 'data-ready="yes"' in found
    assert "most cells near a cut-off" in found
    assert re.search(r'<canvas[^>]* width="\d{3,}"', found)
