"""The book has every chapter and page, refuses what is broken, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import yaml
from book import stage
from nbformat import NotebookNode, v4
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="  # one pixel
COLAB = "https://colab.research.google.com"
GLOSSARY = """# Glossary

Terms.

| term | meaning | chapter |
|---|---|---|
| mel spectrogram | The power in each mel band. | [00](../notebooks/00_sound.ipynb) |
"""
SPHINX = pytest.mark.skipif(
    find_spec("myst_nb") is None or find_spec("furo") is None,
    reason="Sphinx, MyST-NB and furo are not installed; make book installs them",
)


def chapter(title: str, prose: str) -> NotebookNode:
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/github/a/b/blob/main/notebooks/x.ipynb)"
    cells = [
        v4.new_markdown_cell(f"# {title}\n\n{badge}\n\n{prose}"),
        v4.new_code_cell("import emolab", metadata={"tags": ["setup"]}),
        v4.new_code_cell('corpus = "sample"\nseed = 7', metadata={"tags": ["parameters"]}),
        v4.new_code_cell("draw()"),
    ]
    return v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def executed(bare: NotebookNode, *, corpus: str = "sample", alt: str = "A curve [in dB], 2 * 3 < 7.") -> NotebookNode:
    notebook = nbformat.from_dict(bare)
    source = f'# Parameters\ncorpus = "{corpus}"\n'
    notebook.cells.insert(3, v4.new_code_cell(source, metadata={"tags": ["injected-parameters"]}))
    picture = v4.new_output("display_data", {"image/png": DOT}, metadata={"image/png": {"alt": alt}})
    figures = v4.new_output("display_data", {"application/vnd.emolab.result+json": {"ua": 0.5}})
    notebook.cells[4].outputs = [picture, figures]
    notebook.metadata.papermill = {"input_path": "x.ipynb"}
    return notebook


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A repository of two chapters with a glossary and a page."""
    for folder in ("notebooks", "build", "docs/results", "data/results"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nurls = {Repository = "https://github.com/a/b"}\n')
    (tmp_path / "docs" / "glossary.md").write_text(GLOSSARY)
    (tmp_path / "docs" / "commands.md").write_text("# Commands\n")
    (tmp_path / "docs" / "results" / "sample.md").write_text("# Sample\n\n[ledger](../../data/results)\n")
    (tmp_path / "data" / "README.md").write_text("# Data\n\n[Terms](../docs/glossary.md)\n")
    first = chapter("00 · Sound", "This is a **mel spectrogram**: $x^2$.")
    second = chapter("01 · Words", "After [chapter 00](00_sound.ipynb).")
    for name, bare in (("00_sound", first), ("01_words", second)):
        nbformat.write(bare, tmp_path / "notebooks" / f"{name}.ipynb")
        bare = nbformat.read(tmp_path / "notebooks" / f"{name}.ipynb", as_version=4)
        nbformat.write(executed(bare), tmp_path / "build" / f"{name}.ipynb")
    return tmp_path


def test_the_book_lists_every_chapter_and_every_page() -> None:
    contents = re.findall(r"```\{toctree\}\n(.*?)```", (stage.BOOK / "index.md").read_text(), re.DOTALL)
    entries = [line for part in contents for line in part.splitlines() if line and not re.match(r":|.*genindex", line)]
    listed = {path for entry in entries for path in ROOT.glob(f"{entry}.*")}
    pages = {path for pattern in ("notebooks/*.ipynb", "docs/*.md", "docs/results/*.md") for path in ROOT.glob(pattern)}
    assert len(pages) > 28
    assert pages <= listed
    assert {path for pattern in stage.PAGES for path in ROOT.glob(pattern)} <= listed


def test_every_term_of_the_glossary_comes_into_the_index() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| (?!term \|)", line)]
    assert len(stage.TERM.findall(text)) == len(rows) > 100
    assert "|" not in stage._glossary(text)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda book, _: book.unlink(), "was not executed"),
        (lambda book, bare: nbformat.write(executed(bare, corpus="ravdess"), book), "with other parameters"),
        (lambda book, bare: nbformat.write(executed(chapter("00", "Old.")), book), "from another text"),
    ],
    ids=["missing", "parameters", "stale"],
)
def test_a_chapter_that_is_not_what_it_should_be_is_refused(course: Path, change, fault: str) -> None:  # type: ignore[no-untyped-def]
    bare = nbformat.read(course / "notebooks" / "00_sound.ipynb", as_version=4)
    change(course / "build" / "00_sound.ipynb", bare)
    (wrong,) = stage.stage(course, course / "source")
    assert fault in wrong
    assert wrong.endswith("run: emolab run 00")
    assert not (course / "source").exists()


def test_a_chapter_that_failed_is_refused(course: Path) -> None:
    path = course / "build" / "01_words.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].outputs = [v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]
    nbformat.write(notebook, path)
    assert stage.stage(course, course / "source") == ["01_words failed; run: emolab run 01"]


def test_the_executed_notebook_is_offered_without_what_the_runner_left_in_it(course: Path) -> None:
    assert stage.stage(course, course / "source") == []
    offered = course / "source" / "downloads"
    assert (offered / "00_sound.ipynb").read_bytes() == (course / "notebooks" / "00_sound.ipynb").read_bytes()
    notebook = nbformat.read(offered / "00_sound_executed.ipynb", as_version=4)
    assert "papermill" not in notebook.metadata
    assert len(notebook.cells) == 4, "the injected cell repeats the parameters"
    assert "image/png" in notebook.cells[-1].outputs[0].data


def test_links_to_what_the_book_lacks_lead_to_the_repository(course: Path) -> None:
    stage.stage(course, course / "source")
    text = (course / "source" / "docs" / "results" / "sample.md").read_text()
    assert "[ledger](https://github.com/a/b/tree/main/data/results)" in text
    assert "[Terms](../docs/glossary.md)" in (course / "source" / "data" / "README.md").read_text()


def test_what_a_reader_would_miss_in_the_pages_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="a.html#top">x</a><a href="https://elsewhere.org">x</a><img src="a.css" alt="A">'
        '<a href="b.html">x</a><a href="#none">x</a><img src="a.css"><script src="https://cdn.org/x.js"></script>'
    )
    (tmp_path / "a.css").write_text('@import "//fonts.org/x.css"; p { background: url(data:image/png;base64,AA) }')
    assert list(stage.faults(tmp_path)) == [
        "a.html: a picture without a description: a.css",
        "a.html loads https://cdn.org/x.js; expected a file of the book",
        "a.html links to b.html, which does not exist",
        "a.html links to #none; that page has no such place",
        "a.css loads //fonts.org/x.css; expected a file of the book",
    ]


def test_pins_of_the_book_are_exact_and_fit_its_extra_and_move_no_locked_version() -> None:
    read = [(ROOT / name).read_text().splitlines() for name in ("docs/book/requirements.txt", "requirements.lock")]
    own, locked = ([Requirement(line) for line in lines if line and line[0] != "#"] for lines in read)
    pins = {canonicalize_name(each.name): str(each.specifier) for each in own}
    assert all(re.fullmatch(r"==[\w.]+", pin) for pin in pins.values())
    assert pins.keys() & {canonicalize_name(each.name) for each in locked} == set()
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["book"]:
        assert Requirement(line).specifier.contains(pins[canonicalize_name(Requirement(line).name)][2:])


def test_a_push_to_main_publishes_what_make_book_built() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())
    assert workflow[True]["push"] == {"branches": ["main"]}  # YAML reads the key "on" as true
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert "make course book" in [step.get("run") for step in steps]
    assert {"path": "build/book/html"} in [step.get("with") for step in steps]
    assert "\nbook: setup" in (ROOT / "Makefile").read_text()
    assert "build/" in (ROOT / ".gitignore").read_text().splitlines()


@SPHINX
def test_a_book_of_two_chapters_is_built_strictly(course: Path) -> None:
    stage.stage(course, course / "source")
    how = ["-q", "-W", "-n", "--keep-going", "-c", str(stage.BOOK), str(course / "source"), str(course / "html")]
    done = subprocess.run([sys.executable, "-m", "sphinx", *how], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(stage.faults(course / "html")) == []
    page = (course / "html" / "notebooks" / "00_sound.html").read_text(encoding="utf-8")
    assert 'alt="A curve [in dB], 2 * 3 &lt; 7."' in page
    assert f'href="{COLAB}/github/a/b/blob/main/notebooks/x.ipynb"' in page
    assert "/00_sound.ipynb" in page
    assert "/00_sound_executed.ipynb" in page
    assert 'href="../docs/glossary.html#term-mel-spectrogram"' in page
    index = (course / "html" / "genindex.html").read_text(encoding="utf-8")
    assert 'href="notebooks/00_sound.html#term-mel-spectrogram-explained">chapter 00' in index
    assert (course / "html" / "_static" / "mathjax" / "tex-chtml.js").is_file()
    (course / "source" / "data" / "README.md").write_text("# Data\n\n[nothing](../docs/none.md)\n")
    done = subprocess.run([sys.executable, "-m", "sphinx", *how], capture_output=True, text=True)
    assert done.returncode != 0
    assert "docs/none.md" in done.stderr
