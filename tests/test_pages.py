from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import pages
from emolab.course.chapters import ChapterRun

PYPROJECT = '[project.urls]\nRepository = "{}"  # here\n'


def fork(root: Path, monkeypatch: pytest.MonkeyPatch, address: str = "https://github.com/someone/fork") -> None:
    (root / "pyproject.toml").write_text(PYPROJECT.format(address))
    monkeypatch.setattr(pages, "CHECKOUT", root)
    monkeypatch.setattr(pages, "results_root", lambda: root / "results")


def test_setup_cell_only_imports_emolab_outside_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started outside Colab")

    monkeypatch.setattr("subprocess.run", refuse)
    names: dict[str, object] = {}
    exec(pages.setup_cell(), names)
    assert set(names) - {"__builtins__"} == {"subprocess", "sys", "emolab"}


def write_wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """Write a package that pip can install: one module that tells its version."""
    about = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    files = {f"{name}.py": f'__version__ = "{version}"', f"{about}/METADATA": "\n".join(metadata)}
    files[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with the real pip that brings brought 1.0, while there is a brought 2.0 to be had."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder / "venv")
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (about,) = {Path(str(file.locate())).parent for file in distribution("pip").files or () if file.name == "METADATA"}
    for part in (about, about.parent / "pip"):
        (site / part.name).symlink_to(part)
    with zipfile.ZipFile(write_wheel(folder, "brought", "1.0")) as old:
        old.extractall(site)
    write_wheel(folder, "brought", "2.0")
    return folder


BACKEND = """
import glob, shutil
def build_wheel(folder, config_settings=None, metadata_directory=None):
    (wheel,) = glob.glob("*.whl")
    return shutil.copy(wheel, folder) and wheel
"""
BUILT_HERE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
SHELL = """
import sys, types
from IPython.core.interactiveshell import InteractiveShell
sys.executable = sys.argv[1]
InteractiveShell.instance().run_cell(sys.stdin.read())
"""
IN_COLAB = 'import sys, types\nsys.modules["google.colab"] = types.ModuleType("google.colab")\n'


def write_repository(folder: Path, version: str, *requires: str) -> None:
    """Write a git repository from which pip can install emolab, offline."""
    folder.mkdir()
    write_wheel(folder, "emolab", version, *requires)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(BUILT_HERE)
    git = ["git", "-C", str(folder), "-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "emolab"]):
        subprocess.run([*git, *command], check=True)


class Refusing(BaseHTTPRequestHandler):
    """Asks for a name and a password, as GitHub does for a repository that is private, or that there is not."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def secret_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run_setup_cell(colab: Path, repository: Path | str, *, shell: bool) -> str:
    """Run the set-up cell as it is with the environment's pip, in IPython or not; git takes a folder for GitHub."""
    python, cell = str(colab / "venv" / "bin" / "python"), IN_COLAB + pages.setup_cell()
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(colab), "PATH": os.environ["PATH"], "HOME": str(colab)}
    variables |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf"}
    variables |= {"GIT_CONFIG_VALUE_0": pages.repository()}
    command = [sys.executable, "-c", SHELL, python] if shell else [python, "-"]
    how: dict[str, Any] = {"cwd": colab, "env": variables, "capture_output": True, "text": True}
    run = subprocess.run(command, input=cell, start_new_session=True, **how)  # no terminal, as in Colab
    assert run.stderr == ""
    return run.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Colab is Linux")
def test_setup_cell_installs_emolab_and_moves_nothing_that_colab_brought(colab: Path) -> None:
    write_repository(colab / "fits", "9.0", "brought")
    assert re.fullmatch(r"Python 3\.\S+ · emolab 9\.0\n", run_setup_cell(colab, colab / "fits", shell=False))
    kept = Path("/tmp/constraints.txt").read_text().splitlines()
    assert sorted(kept) == ["brought==1.0", f"pip=={distribution('pip').version}"]


@pytest.mark.skipif(sys.platform == "win32", reason="Colab is Linux")
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("moves", "ERROR: Cannot install .*"),
        ("https://127.0.0.1:1", "fatal: unable to access '.*': Failed to connect to 127.0.0.1 port 1 .*"),
        ("private", "fatal: could not read Username for 'http://127.0.0.1:.*': .*"),
    ],
    ids=["moves a version", "no network", "private or gone"],
)
def test_setup_cell_that_cannot_install_says_so_in_one_sentence(colab: Path, folder: str, reason: str) -> None:
    if folder == "moves":
        write_repository(colab / folder, "9.1", "brought>=2")  # it would move what Colab brought
    with secret_server() as address:
        repository = {"private": address, "moves": colab / folder}.get(folder, folder)
        said = run_setup_cell(colab, repository, shell=True)
    remedy = "check the network and run this again; if that does not help, tell those who gave you this notebook"
    assert re.fullmatch(rf"emolab cannot be installed from \S+ \({reason}\): {remedy}\.\n", said)


def test_badge_and_setup_cell_follow_the_one_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch)
    assert pages.badge("03_audio.ipynb").endswith("/github/someone/fork/blob/main/notebooks/03_audio.ipynb)")
    assert "git+https://github.com/someone/fork" in pages.setup_cell()


def test_repository_must_be_on_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch, "https://example.org/emolab")
    with pytest.raises(ValueError, match=r"'https://example.org/emolab'; expected https://github.com/OWNER/NAME"):
        pages.repository()


def test_refresh_writes_all_pages_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork(tmp_path, monkeypatch)
    old_badge = "[![Open in Colab](x)](https://colab.research.google.com/github/a/b/blob/main/notebooks/03_audio.ipynb)"
    head = f"# 03 · Audio\n\n{old_badge} · sample corpus, quick preset: ? s, ? MB, no download"
    cells = [new_markdown_cell(head), new_code_cell("old", metadata={"tags": ["setup"]}), new_code_cell("x = 1")]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "03_audio.ipynb")
    cells = [new_markdown_cell(f"# 04 · New\n\n{old_badge}")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "04_new.ipynb")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "chapters.json").write_text('{"chapters": {"03_audio": {"seconds": 21.4, "peak_mb": 640}}}')
    (tmp_path / "CITATION.cff").write_text("repository-code: https://github.com/a/b\n")
    (tmp_path / "README.md").write_text("git clone https://github.com/a/b && cd b\n<!-- chapters -->\n<!-- end -->\n")
    assert [path.name for path in pages.refresh(tmp_path)] == [
        "03_audio.ipynb",
        "04_new.ipynb",
        "README.md",
        "CITATION.cff",
    ]
    assert pages.refresh(tmp_path) == []
    audio, new = (nbformat.read(path, as_version=4) for path in sorted((tmp_path / "notebooks").iterdir()))
    assert pages.badge("03_audio.ipynb") in audio.cells[0].source
    assert audio.cells[0].source.endswith("sample corpus, quick preset: 21 s, 640 MB, no download")
    assert audio.cells[1].source == pages.setup_cell()
    assert new.cells[0].source == f"# 04 · New\n\n{pages.badge('04_new.ipynb')}"
    readme = (tmp_path / "README.md").read_text()
    assert "git clone https://github.com/someone/fork && cd b" in readme
    assert "| [03 · Audio](notebooks/03_audio.ipynb) | 21 | 640 |" in readme
    assert "| [04 · New](notebooks/04_new.ipynb) | not measured |" in readme


@pytest.mark.parametrize("kind", list(pages.MAKERS))
def test_refreshed_page_fills_tables_of_a_corpus(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pages.MAKERS, kind, lambda corpus: f"| {kind} of {corpus} |")
    page = f"before\n<!-- {kind} my-corpus -->\nold\n\nold\n<!-- end -->\nafter <!-- a remark --> text\n"
    new = pages.refreshed_page(page)
    made = f"<!-- {kind} my-corpus -->\n| {kind} of my-corpus |\n<!-- end -->"
    assert new == f"before\n{made}\nafter <!-- a remark --> text\n"
    assert pages.refreshed_page(new) == new


def test_the_pairs_of_the_founding_projects_stand_in_the_page_of_the_sample() -> None:
    text = (pages.CHECKOUT / "docs" / "results" / "sample.md").read_text(encoding="utf-8")
    assert f"<!-- pairs sample -->\n{pages.MAKERS['pairs']('sample')}\n<!-- end -->" in text
    assert "docs/results/sample.md" in (pages.CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_pages_of_this_repository_are_up_to_date() -> None:
    names = [path for pattern in pages.PAGES for path in pages.CHECKOUT.glob(pattern)]
    assert len(names) >= 5, "README, CITATION and three pages of results"
    for path in names:
        text = path.read_text(encoding="utf-8")
        assert text == pages.refreshed_page(text), f"{path} is behind; run: make tables"


def test_page_names_what_a_table_is_about_in_several_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pages.MAKERS, "results", lambda chosen: f"| {chosen} |")
    page = "<!-- results meld:text/minilm ravdess:audio/svm -->\n<!-- end -->\n"
    made = "<!-- results meld:text/minilm ravdess:audio/svm -->\n| meld:text/minilm ravdess:audio/svm |\n<!-- end -->\n"
    assert pages.refreshed_page(page) == made


def test_record_chapters_keeps_clean_sample_runs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    quick = {"corpus": "sample", "preset": "quick"}
    for odd in (
        ChapterRun("03_audio", {**quick, "corpus": "ravdess"}),
        ChapterRun("03_audio", quick, warnings=["cell 3"]),
        ChapterRun("03_audio", quick, error="cell 4"),
    ):
        with pytest.raises(ValueError, match="expected clean runs with"):
            pages.record_chapters([odd])
    assert pages.measured_chapters() == {}
    pages.record_chapters([ChapterRun("03_audio", quick, 12.3, 456, {"ua": 0.5})])
    pages.record_chapters([ChapterRun("04_networks", quick, 2.5, 300)])
    kept = json.loads((tmp_path / "results" / "chapters.json").read_text())
    assert kept["chapters"]["03_audio"] == {"seconds": 12.3, "peak_mb": 456, "figures": {"ua": 0.5}}
    assert [*pages.measured_chapters()] == ["03_audio", "04_networks"]
    assert "python" in kept["about"]["versions"]


def test_export_figures_writes_tagged_pictures_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (400, 1400, 3), dtype=np.uint8)
    picture = io.BytesIO()
    Image.fromarray(noise).save(picture, format="png")
    png = base64.b64encode(picture.getvalue()).decode()
    shown = new_code_cell(metadata={"tags": ["figure-votes"]}, outputs=[new_output("display_data", {"image/png": png})])
    other = new_code_cell(outputs=[new_output("display_data", {"image/png": png})])
    nbformat.write(new_notebook(cells=[other, shown]), tmp_path / "01_corpora.ipynb")
    (written,) = pages.export_figures(tmp_path, tmp_path / "figures")
    assert written.name == "votes.png"
    assert Image.open(written).size == (900, 257)
    assert written.stat().st_size < len(picture.getvalue()) / 2
