"""The page in a real browser: Debian's Chromium, driven by Playwright; both are optional, and so is axe-core.

apt install chromium; pip install playwright; npm install --prefix build axe-core
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from tests.app import jobs
from tests.app.conftest import Server

api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no Chromium: apt install chromium", allow_module_level=True)
AXE = Path(__file__).resolve().parents[2] / "build" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
READY = "document.querySelector('#em-ready').innerText.includes('is ready')"
PLAYED = "document.querySelector('#em-player').currentTime"
TABS = 60  # more than there are stops before the first segment
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser(voice: Path) -> Iterator[Any]:
    """Start Chromium with a microphone that plays `voice`, and a camera that shows a test picture."""
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    fake += [f"--use-file-for-fake-audio-capture={voice}", "--autoplay-policy=no-user-gesture-required"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *fake])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, server: Server) -> Iterator[Open]:
    """Open the page in a window of its own; fail if it asks another machine for anything, or fails inside."""
    contexts, wrong = [], []

    def open_page(**look: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **look)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: wrong.append(request.url) if outside(request.url) else None)
        page.on("pageerror", lambda problem: wrong.append(str(problem)))
        page.goto(server.url)
        page.wait_for_selector("#em-go")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def outside(url: str) -> bool:
    return urlparse(url).scheme in ("http", "https", "ws", "wss") and urlparse(url).hostname != "127.0.0.1"


def annotated(page: Any, file: Path) -> None:
    """Answer the questions, upload a recording and have it annotated."""
    page.get_by_label("My own voice or face").check()
    page.get_by_label("Everybody who is heard").check()
    page.set_input_files("#em-file input[type=file]", file)
    page.wait_for_function(READY)
    page.click("#em-go")
    page.wait_for_selector("#em-player")


def test_upload_play_radar_why_correct_and_download(opened: Open, voice: Path, server: Server, tmp_path: Path) -> None:
    page = opened()
    annotated(page, voice)
    assert page.locator(".em-part").count() == page.locator(".em-play").count() == 4
    page.locator(".em-part").nth(1).click()  # of the first speaker, from 3.0 s to 4.5 s
    page.wait_for_selector("text=Segment 3 of 4")
    page.wait_for_function(f"{PLAYED} > 3.1")
    page.wait_for_selector("#em-radar .js-plotly-plot")
    cues = "[...document.querySelector('#em-player').textTracks[0].activeCues].map((cue) => cue.text).join()"
    page.wait_for_function(f"{cues}.includes('listen')")
    page.wait_for_function(f"document.querySelector('#em-player').paused && {PLAYED} < 5")  # it stops at the end
    page.click("#em-why")
    page.wait_for_selector(".em-word")
    assert page.locator(".em-word").all_inner_texts() == ["you", "<b>never</b>", "listen"]
    assert page.locator(".em-tenth").count() == 15
    page.wait_for_selector("#em-radar :text('voice')")

    page.get_by_test_id("cell-1-4").dblclick()
    page.keyboard.press("Control+A")
    page.keyboard.type("sad")
    page.keyboard.press("Enter")
    page.click("#em-apply")
    page.wait_for_selector("text=1 of 4 segments corrected")
    with page.expect_download() as download:
        page.click("text=voice.csv")
    download.value.save_as(tmp_path / "voice.csv")
    with open(tmp_path / "voice.csv", encoding="utf-8", newline="") as file:
        assert [row["emotion"] for row in csv.DictReader(file)] == ["happy", "sad", "neutral", "neutral"]
    assert page.locator(".em-files a").count() == 11
    assert {"voice.wav", "voice.eaf", "voice.vtt"} <= set(server.files())
    page.context.close()
    page_is_gone(server)


def page_is_gone(server: Server) -> None:
    """Wait until nothing is left of closed pages."""
    import time

    for _ in range(100):
        if not server.files():
            return
        time.sleep(0.05)
    assert server.files() == []


def test_microphone(opened: Open, server: Server) -> None:
    page = opened(permissions=["microphone", "camera"])
    page.get_by_label("My own voice or face").check()
    page.get_by_label("Everybody who is heard").check()
    page.get_by_role("tab", name="Microphone").click()
    page.locator("#em-mic").get_by_role("button", name="Record").click()
    page.wait_for_timeout(3_500)
    page.locator("#em-mic").get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_function(READY)
    page.click("#em-go")
    page.wait_for_selector("#em-player")
    assert page.locator(".em-part").count() >= 1
    page.context.close()
    page_is_gone(server)


def test_webcam(opened: Open, server: Server) -> None:
    page = opened(permissions=["microphone", "camera"])
    page.get_by_label("My own voice or face").check()
    page.get_by_label("Everybody who is heard").check()
    page.get_by_role("tab", name="Webcam").click()
    camera = page.locator("#em-webcam")
    camera.get_by_text("Click to Access Webcam").click()
    camera.get_by_text("Record", exact=True).click()
    page.wait_for_timeout(3_000)
    camera.get_by_text("Stop", exact=True).click()
    page.wait_for_function(READY)
    page.click("#em-go")
    page.wait_for_selector("#em-player")
    page.wait_for_function("document.querySelector('#em-player').videoWidth > 0")
    page.locator(".em-part").first.click()
    page.wait_for_function(f"{PLAYED} > 0")


def test_others_wait_in_line_and_are_told_so(
    opened: Open, voice: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "annotate", jobs.held)
    pages = [opened(), opened()]
    for page in pages:
        page.get_by_label("My own voice or face").check()
        page.get_by_label("Everybody who is heard").check()
        page.set_input_files("#em-file input[type=file]", voice)
        page.wait_for_function(READY)
        page.click("#em-go")
        page.wait_for_selector("#em-status :text('processing'), #em-status :text('queue')")
    assert "queue: 1/1" in pages[1].inner_text("#em-status")
    (server.root / "go").write_text("go")
    for page in pages:
        page.wait_for_selector("#em-player")
    (server.root / "go").unlink()


def test_keyboard_alone(opened: Open, voice: Path) -> None:
    page = opened()

    def tab_to(selector: str) -> None:
        for _ in range(TABS):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.closest(selector) !== null", selector):
                return
        raise AssertionError(f"{selector} is not reached by the keyboard")

    tab_to("input[type=radio]")
    page.keyboard.press("Space")
    tab_to("input[type=checkbox]")
    page.keyboard.press("Space")
    tab_to("#em-file button")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(voice)
    page.wait_for_function(READY)
    tab_to("#em-go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#em-player")
    tab_to(".em-part")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{PLAYED} > 0")
    tab_to("#em-why")
    page.keyboard.press("Enter")
    page.wait_for_selector(".em-word")
    tab_to("[role=gridcell]")
    for key in ("ArrowRight",) * 4 + ("Enter", "Control+A"):
        page.keyboard.press(key)
    page.keyboard.type("angry")
    page.keyboard.press("Enter")
    tab_to("#em-apply")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=1 of 4 segments corrected")


@pytest.mark.parametrize("look", [{"viewport": PHONE, "color_scheme": "dark"}, {"color_scheme": "light"}])
def test_phone_and_dark_mode_without_serious_fault(opened: Open, voice: Path, look: dict[str, Any]) -> None:
    page = opened(**look)
    annotated(page, voice)
    page.click("#em-why")
    page.wait_for_selector(".em-word")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing to push sideways
    if not AXE.is_file():
        pytest.skip("no axe-core: npm install --prefix build axe-core")
    page.wait_for_timeout(500)  # what fades in is not yet as dark as it will be
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious] == []


def test_refusals_and_hostile_files_end_in_one_message(opened: Open, tmp_path: Path, voice: Path) -> None:
    page = opened()
    page.get_by_label("Education: pupils").check()
    page.wait_for_selector("#em-refusal :text('Art. 5(1)(f)')")
    (tmp_path / "words.mp4").write_text("no film")
    page.set_input_files("#em-file input[type=file]", tmp_path / "words.mp4")
    page.wait_for_function(READY)
    page.click("#em-go")
    page.wait_for_selector("text=This purpose is refused")
    page.get_by_label("My own voice or face").check()
    page.get_by_label("Everybody who is heard").check()
    page.click("#em-go")
    page.wait_for_selector("text=no recording that can be read")
    assert not page.locator("#em-player").is_visible()
    page.locator("#em-file").get_by_role("button").first.click()
    page.set_input_files("#em-file input[type=file]", voice)
    page.wait_for_function("document.querySelector('#em-ready').innerText.includes('voice.wav')")
    page.click("#em-go")
    page.wait_for_selector("#em-player")
