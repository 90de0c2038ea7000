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
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium or no chromedriver here; apt install chromium-driver to test in it")
    pytest.importorskip("selenium")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("kept = 'this cell'")]
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    (folder / "nb").mkdir()
    nbformat.write(notebook, folder / "nb" / "read.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = folder / "lab" / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    own = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    own = {name: str(folder / "lab" / place) for name, place in own.items()}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder / 'nb'}",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}", server
        finally:
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

    def open(self):
        self.wait("JupyterLab", self._answers)
        self.browser.get(self.address + "/doc/tree/read.ipynb")
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
