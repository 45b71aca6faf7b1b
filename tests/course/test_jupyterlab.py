"""Chapter 00 in JupyterLab itself, in Debian's Chromium, driven by Playwright; both are optional.

apt install chromium; pip install playwright
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

from emolab import load_corpus
from emolab.course.chapters import NOTEBOOKS

api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium: apt install chromium", allow_module_level=True)
if find_spec("jupyterlab") is None:
    pytest.skip("no JupyterLab: pip install jupyterlab", allow_module_level=True)
CHAPTER = "00_start_here.ipynb"
START_S, RUN_S = 60, 180  # at most
WIDGET = "window.jupyterapp?.shell.currentWidget"
N_RUN = "[...widget.content.widgets].filter((cell) => cell.model.type === 'code' && cell.model.executionCount).length"
SHOT = os.environ.get("EMOLAB_SHOTS")  # a folder for pictures of what the test saw


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Start JupyterLab in a folder that holds chapter 00 and return its address."""
    load_corpus("sample")  # built once for all tests
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(NOTEBOOKS / CHAPTER, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
    options += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    options += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log)
        try:
            until, address = time.monotonic() + START_S, f"http://127.0.0.1:{port}"
            while not answers(address):
                running = server.poll() is None and time.monotonic() < until
                assert running, (tmp_path / "log").read_text()
                time.sleep(0.2)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=START_S)


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"{address}/api", timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture
def page() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def shoot(page: Any, name: str) -> None:
    if SHOT:
        page.screenshot(path=Path(SHOT) / f"{name}.png")


def test_run_all_gives_no_error_and_the_play_button_plays(lab: str, page: Any, tmp_path: Path) -> None:
    bare = nbformat.read(NOTEBOOKS / CHAPTER, as_version=4)
    n_code = sum(cell.cell_type == "code" for cell in bare.cells)
    page.goto(f"{lab}/lab/tree/{CHAPTER}")
    page.wait_for_function(f"{WIDGET}?.sessionContext?.session?.kernel?.status === 'idle'", timeout=START_S * 1000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    ran = f"(() => {{ const widget = {WIDGET}; return {N_RUN} }})()"
    idle = f"{WIDGET}.sessionContext.session.kernel.status === 'idle'"
    page.wait_for_function(f"{ran} === {n_code} && {idle}", timeout=RUN_S * 1000)

    page.evaluate(f"{WIDGET}.context.save()")
    notebook = nbformat.read(tmp_path / "notebooks" / CHAPTER, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [each for each in outputs if each.output_type == "error" or each.get("name") == "stderr"] == []
    (first, *_) = (n for n, cell in enumerate(notebook.cells) if "<audio" in str(cell.get("outputs")))

    page.evaluate(f"{WIDGET}.content.scrollToItem({first}, 'start')")
    audio = page.locator(".jp-Cell audio").first
    audio.scroll_into_view_if_needed()
    shoot(page, "jupyterlab-before")
    box = audio.bounding_box()
    audio.click(position={"x": box["height"] / 2, "y": box["height"] / 2})  # the button, left in the player
    handle = audio.element_handle()
    page.wait_for_function("(audio) => audio.currentTime > 0.3", arg=handle)
    assert audio.evaluate("(audio) => audio.duration") > 1
    shoot(page, "jupyterlab-playing")
