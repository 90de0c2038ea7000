"""JupyterLab with one notebook, in Chromium without a window: what a person does and sees. For tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import psutil
import pytest


@contextlib.contextmanager
def jupyter(folder, source):
    """Serve a notebook whose first cell is ``source``, with settings of its own; yield address and server."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("kept = 'this cell'")]
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    (folder / "nb").mkdir()
    nbformat.write(notebook, folder / "nb" / "read.ipynb")
    with serving(folder, folder / "nb") as found:
        yield found


def need_browser():
    """Skip the test where no Chromium can be driven."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium or no chromedriver here; apt install chromium-driver to test in it")
    pytest.importorskip("selenium")


def own_settings(folder):
    """Return the environment of a JupyterLab that asks for no news and has its settings below ``folder``."""
    quiet = folder / "lab" / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    return os.environ | {name: str(folder / "lab" / place) for name, place in own.items()}


@contextlib.contextmanager
def serving(folder, root):
    """Serve the notebooks below ``root``, with settings of its own; yield address and server."""
    need_browser()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={root}",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=own_settings(folder), stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}", server
        finally:
            kill_all(server)


def kill_all(server):
    """Kill a process with all that it started."""
    for process in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait(10)


@contextlib.contextmanager
def chromium(folder):
    """Open Chromium; yield its driver."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    words = "headless=new no-sandbox disable-dev-shm-usage disable-gpu window-size=1280,1100 no-first-run"
    for word in (*words.split(), "disable-background-networking", f"user-data-dir={folder / 'browser'}"):
        options.add_argument(f"--{word}")
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    browser.set_page_load_timeout(60)
    try:
        yield browser
    finally:
        browser.quit()


class Page:
    """One page of JupyterLab. HER2KIT_SHOTS names a folder that gets a picture of each step."""

    def __init__(self, browser, address):
        self.browser, self.address, self.shots = browser, address, 0

    def all(self, css):
        return self.browser.find_elements("css selector", css)

    def wait(self, what, test, seconds=120):
        from selenium.common.exceptions import WebDriverException

        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                found = test()
                if found:
                    return found
            except (OSError, WebDriverException) as error:  # the page is still being built
                last = error
            time.sleep(0.05)
        self.shot("failed")
        raise AssertionError(f"waited {seconds} s for {what} ({last})")

    def open(self, notebook="read.ipynb"):
        self.wait("JupyterLab", self._answers)
        self.browser.get(f"{self.address}/doc/tree/{notebook}")
        self.wait("the kernel", lambda: self.all(".jp-Notebook-ExecutionIndicator[data-status='idle']"))

    def _answers(self):
        with urllib.request.urlopen(self.address + "/api", timeout=5) as answer:
            return answer.status == 200

    def run_first_cell(self):
        """Run it as a person does: again, if JupyterLab was not ready to."""
        from selenium.webdriver.common.keys import Keys

        def prompt():
            return self.all(".jp-CodeCell .jp-InputPrompt")[0].text

        self.wait("the cell", lambda: self.all(".jp-CodeCell .cm-content")[0].click() is None)
        before = prompt()
        for _ in range(10):
            self.press(Keys.CONTROL, Keys.ENTER, together=True)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                if prompt() != before:
                    return
                time.sleep(0.05)
        raise AssertionError(f"the cell does not run ({before})")

    def run_all(self):
        """Run all cells by the menu; again, if JupyterLab had no kernel yet and asked for one."""

        def begun():
            return any(prompt.text.strip("[]: ") for prompt in self.all(".jp-CodeCell .jp-InputPrompt"))

        for _ in range(10):
            for css, words in ((".lm-MenuBar-item", "Run"), (".lm-Menu-item", "Run All Cells")):
                self.wait(words, lambda css=css, words=words: self.item(css, words)).click()
            end = time.monotonic() + 5
            while time.monotonic() < end:
                time.sleep(0.1)
                asked = self.all(".jp-Dialog .jp-mod-accept")
                if asked:
                    asked[0].click()
                    break
                if begun():
                    return
        raise AssertionError("the cells do not run")

    def item(self, css, words):
        """Return the visible element whose text begins with ``words``, or None."""
        return next((e for e in self.all(css) if e.is_displayed() and e.text.startswith(words)), None)

    def walk(self):
        """Scroll from the first cell to the last, screen by screen; yield at each stop."""
        down = (
            "const s = document.querySelector('.jp-WindowedPanel-outer');"
            "const before = s.scrollTop; s.scrollTop = arguments[0] < 0 ? 0 : before + arguments[0];"
            "return s.scrollTop !== before;"
        )
        self.browser.execute_script(down, -1)
        yield
        while self.browser.execute_script(down, 700):
            time.sleep(0.15)  # JupyterLab fills in the cells that come into sight
            yield

    def scroll_to(self, css):
        """Scroll until the first such element is in sight; return it."""
        for _ in self.walk():
            if self.all(css):
                break
        return self.wait(css, lambda: self.in_sight(css), 20)

    def in_sight(self, css):
        """Bring the first such element to the middle of the window; return it once it stays there."""
        found = self.all(css)
        if not found:
            return None
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found[0])
        time.sleep(0.3)  # cells above may grow as they come into sight
        return found[0] if found[0].is_displayed() else None

    def press(self, *keys, together=False):
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.browser)
        if together:
            chain.key_down(keys[0]).send_keys(keys[1]).key_up(keys[0])
        else:
            chain.send_keys(*keys)
        chain.perform()

    def shot(self, name):
        folder = os.environ.get("HER2KIT_SHOTS")
        if folder:
            self.shots += 1
            self.browser.save_screenshot(str(Path(folder) / f"{self.shots}_{name}.png"))


def kill_kernel(server):
    """Kill the one kernel below the server, as a crash would."""
    (kernel,) = [
        p for p in psutil.Process(server.pid).children(recursive=True) if "ipykernel_launcher" in p.cmdline()
    ]
    kernel.kill()
    kernel.wait(10)
