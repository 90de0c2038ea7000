"""The course as a person does it: make lab opens on 01; 01, 08 and 10 run in JupyterLab, and are touched.

HER2KIT_SHOTS names a folder in which the tests leave pictures of each step.
"""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from jupyter_page import Page, chromium, kill_all, need_browser, own_settings, serving

from her2kit.course.data import slide_or_phantom
from her2kit.course.yaml_file import read_yaml
from her2kit.exchange.parquet import read_table
from her2kit.labels.review_log import ReviewLog
from her2kit.labels.rounds import load_review

ROOT = Path(__file__).parents[2]
LOOK, LABEL, SCORE = "01_look_at_a_slide", "08_label_cells", "10_score_a_slide"
RUNS_WITHIN = 600
"""Seconds for one notebook, on a busy machine."""


class Notebook(Page):
    """A notebook of the course on the page."""

    def __init__(self, browser, address, path):
        super().__init__(browser, address)
        self.path = path
        self.open(path.name)

    def saved(self):
        """Save by the keyboard, and return the notebook as it is on disk."""
        from selenium.webdriver.common.keys import Keys

        before = self.path.stat().st_mtime_ns

        def read():
            if self.path.stat().st_mtime_ns == before:
                return None
            with contextlib.suppress(ValueError):  # half written
                return nbformat.read(self.path, as_version=4)

        self.press(Keys.CONTROL, "s", together=True)
        return self.wait("the saved notebook", read, 60)

    def done(self):
        """Wait until the last cell has run, and return the notebook; the first error ends the wait."""
        for _ in range(RUNS_WITHIN // 4):
            time.sleep(4)
            busy = self.all(".jp-Notebook-ExecutionIndicator:not([data-status='idle'])")
            notebook = self.saved()
            code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
            said = [out for cell in code for out in cell.outputs]
            errors = [out for out in said if out.output_type == "error"]
            assert not errors, "\n".join(f"{e.ename}: {e.evalue}" for e in errors)
            if not busy and code[-1].execution_count:
                assert all(cell.execution_count for cell in code)
                assert [out.text for out in said if out.get("name") == "stderr"] == []
                return notebook
        self.shot("failed")
        raise AssertionError(f"{self.path.name} has not ended after {RUNS_WITHIN} s")

    def pictures(self):
        """Return how many pictures are seen on the way from the first cell to the last."""
        seen = set()
        there = (
            "return [...document.querySelectorAll('.jp-OutputArea img')]"
            ".filter((i) => i.complete && i.naturalWidth > 50).map((i) => i.src.slice(-200))"
        )
        for _ in self.walk():
            seen |= set(self.browser.execute_script(there))
        assert not self.all(".jp-OutputArea [data-mime-type='application/vnd.jupyter.error']")
        return len(seen)

    def slide(self, call):
        """Move the slider that the cell with ``call`` shows, by the keyboard; its picture changes."""
        from selenium.webdriver.common.keys import Keys

        slider = self.scroll_to(f".her2kit-touch[aria-label='{call}'][data-ready='yes'] figure img")
        root = self.all(f".her2kit-touch[aria-label='{call}']")[0]
        before, place = slider.get_attribute("src"), int(root.get_attribute("data-place"))
        root.find_element("css selector", ".value").click()
        self.press(Keys.ARROW_RIGHT)

        def shown():
            return root.find_element("css selector", "figure img")

        self.wait("another picture", lambda: shown().get_attribute("src") != before, 10)
        assert int(root.get_attribute("data-place")) == place + 1
        wide = self.browser.execute_script("return arguments[0].naturalWidth", shown())
        assert wide > 600
        self.shot(call.split()[0])

    def type_after(self, line, text):
        """Click into the line of code that begins with ``line``, and type ``text`` after that."""
        from selenium.webdriver.common.keys import Keys

        def click():
            found = self.item(".jp-CodeCell .cm-line", line)
            if found:
                self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
                found.click()
            return found

        for _ in self.walk():
            if self.item(".jp-CodeCell .cm-line", line):
                break
        self.wait(line, click, 20)
        self.press(Keys.HOME, *[Keys.ARROW_RIGHT] * len(line), text)


def copy_of(name, folder, **values):
    """Copy a notebook without its outputs into ``folder``, with values written into its parameters cell."""
    notebook = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        for key, value in values.items() if "parameters" in cell.metadata.get("tags", []) else ():
            pattern = rf"^{key} = [^#\n]*?(?=\s+#|$)"
            assert re.search(pattern, cell.source, re.MULTILINE), key
            cell.source = re.sub(pattern, f"{key} = {value!r}", cell.source, flags=re.MULTILINE)
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def smoke(name):
    return read_yaml(ROOT / "notebooks/params/smoke.yaml")[name]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with copies of 01, 08 and 10, and a slide of the reader's own."""
    need_browser()
    folder = tmp_path_factory.mktemp("course")
    for name in (LOOK, LABEL):
        copy_of(name, folder / "notebooks", **smoke(name))
    copy_of(SCORE, folder / "notebooks")
    made = slide_or_phantom(case="3+", size_px=1024, seed=5, folder=folder / "made")
    (folder / "my slides").mkdir()
    shutil.copy(made.path, folder / "my slides" / "S-17 HER2.tif")
    return folder


@pytest.fixture(scope="module")
def lab(place):
    with serving(place, place / "notebooks") as (address, _), chromium(place) as browser:
        yield lambda name: Notebook(browser, address, place / f"notebooks/{name}.ipynb")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_01_runs_and_its_slider_moves(lab, place):
    page = lab(LOOK)
    page.run_all()
    page.done()
    assert page.pictures() >= 7
    page.slide("size of a pixel")
    assert json.loads((place / f"reports/notebooks/{LOOK}/results.json").read_text())["score"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_08_runs_and_a_cell_is_answered_in_the_gallery(lab, place):
    from selenium.webdriver.common.keys import Keys

    page = lab(LABEL)
    page.run_all()
    page.done()
    assert page.pictures() >= 6

    # A round of one's own, in a cell below the last, as the notebook's end proposes.
    lines = (
        "from her2kit.labels.gallery import Gallery",
        'mine = "../reports/mine"',
        'open_round(mine, ["me"], cells=to_read, order="gain", blind=True, mpp=dict.fromkeys(paths, 0.25))',
        'Gallery(Reading(mine, "me"), paths)',
    )
    for _ in page.walk():
        pass
    page.all(".jp-Notebook .jp-Cell")[-1].click()
    page.press(Keys.ESCAPE, "b", Keys.ENTER)
    for line in lines:
        page.press(line, Keys.ENTER)
    page.press(Keys.CONTROL, Keys.ENTER, together=True)
    shown = ".her2kit-gallery[data-ready='yes'] .close img[src]"
    page.wait("the gallery", lambda: page.all(shown))
    page.scroll_to(shown)
    page.all(".her2kit-gallery header .who")[0].click()
    page.press("2")
    page.wait("the answer", lambda: page.all(".her2kit-gallery[data-done='1'][data-pending='0']"))
    page.shot("answered")
    with ReviewLog.open(load_review(place / "reports/mine").log_path("me")) as log:
        assert log.entries()["after"].tolist() == ["2+"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_10_scores_a_slide_whose_path_is_typed(lab, place):
    own = place / "my slides" / "S-17 HER2.tif"
    page = lab(SCORE)
    page.type_after('slide_path = "', str(own))
    page.shot("typed")
    page.run_all()
    notebook = page.done()
    assert f'slide_path = "{own}"' in next(
        cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])
    )
    folder = place / f"reports/notebooks/{SCORE}/{own.stem}"
    assert own.stem in (folder / "report.html").read_text(encoding="utf-8")
    record = json.loads((folder / "score.json").read_text())
    assert record["status"] == "scored"
    assert len(read_table(folder / "cells.parquet")) >= record["n_cells"] > 30
    assert page.pictures() >= 6
    page.slide("complete and intense cells")
    page.slide("cut-offs of membrane stain")


# make lab


def test_make_lab_opens_on_01_and_says_so_when_its_port_is_taken(tmp_path):
    """What the browser is told to open is written down; the port that is asked for is taken."""
    asked, note = tmp_path / "asked", tmp_path / "browser"
    note.write_text(f'#!/bin/sh\nprintf %s "$1" > "{asked}"\n')
    note.chmod(0o755)
    own = own_settings(tmp_path)
    (tmp_path / "lab/config").mkdir()
    config = {"ServerApp": {"allow_root": True}}
    (tmp_path / "lab/config/jupyter_server_config.json").write_text(json.dumps(config))
    log = tmp_path / "lab.log"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own |= {"JUPYTER_PORT": str(port), "BROWSER": f"{note} %s"}
        command = ["make", "--old-file=.venv/.installed", "lab", f"BIN={Path(sys.executable).parent}"]
        with log.open("w") as out:
            server = subprocess.Popen(command, cwd=ROOT, env=own, stdout=out, stderr=out)
            try:
                end = time.monotonic() + 90
                while not asked.exists() or not asked.read_text():
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.1)
                page = Path(asked.read_text().removeprefix("file://")).read_text()
                (url,) = set(re.findall(r'href="(http://[^"]+)"', page))
                with urllib.request.urlopen(url, timeout=30) as answer:
                    assert answer.status == 200
            finally:
                kill_all(server)
    assert re.match(rf"http://(localhost|127\.0\.0\.1):\d+/lab/tree/{LOOK}\.ipynb", url), url
    assert f":{port}/" not in url
    assert f"The port {port} is already in use, trying another port." in log.read_text()
