"""Every chapter, found by glob: how it is written, and that it runs, clean and within twice its budget."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from emolab.course.chapters import NOTEBOOKS, parameters_of, run_chapter
from pages import badge, setup_cell

CHAPTERS = sorted(NOTEBOOKS.glob("*.ipynb"))
MAX_S, MAX_MB = 90, 3_000  # twice the budget, since machines differ
MAX_CELL_LINES, MAX_MEDIAN_LINES = 20, 6

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def read(chapter: Path) -> NotebookNode:
    return nbformat.read(chapter, as_version=4)


def code_of(chapter: Path) -> list[NotebookNode]:
    return [cell for cell in read(chapter).cells if cell.cell_type == "code"]


def prose_of(chapter: Path) -> str:
    return "\n\n".join(cell.source for cell in read(chapter).cells if cell.cell_type == "markdown")


def tagged(chapter: Path, tag: str) -> list[NotebookNode]:
    return [cell for cell in read(chapter).cells if tag in cell.metadata.get("tags", [])]


@pytest.fixture(scope="session")
def course_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all chapters, as when they run one after the other: later ones find what earlier ones trained."""
    return tmp_path_factory.mktemp("course") / "cache"


@pytest.mark.xdist_group("chapters")
@every_chapter
def test_chapter_runs_clean_on_the_sample(
    chapter: Path, tmp_path: Path, course_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_CACHE", str(course_cache))
    run = run_chapter(chapter, parameters={"corpus": "sample", "preset": "quick"}, build=tmp_path)
    assert run.error is None
    assert run.warnings == []
    assert run.figures, "expected at least one call of emolab.course.record"
    assert run.seconds < MAX_S
    assert run.peak_mb < MAX_MB
    outputs = [output for cell in run.notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures, "expected at least one figure"
    assert [each for each in pictures if not each.metadata.get("image/png", {}).get("alt")] == [], "no alt text"


@every_chapter
def test_chapter_is_stored_bare(chapter: Path) -> None:
    notebook = nbformat.read(chapter, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", chapter.name)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for number, cell in enumerate(notebook.cells, 1):
        assert set(cell.metadata) <= {"tags"}, f"cell {number}"
        assert not cell.get("outputs"), f"cell {number}"
        assert cell.get("execution_count") is None, f"cell {number}"
    assert chapter.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n", "run: make links"


@every_chapter
def test_chapter_opens_with_badge_objectives_set_up_and_parameters(chapter: Path) -> None:
    first, *others = read(chapter).cells
    number = chapter.name[:2]
    assert first.source.startswith(f"# {number} · ")
    assert badge(chapter.name) in first.source, "run: make links"
    assert re.search(r"sample corpus, quick preset: (about )?\d+ s, [\d,]+ MB", first.source)
    opening = "\n".join(cell.source for cell in [first, *others[:3]] if cell.cell_type == "markdown")
    objectives = re.findall(r"\d\. \*\*\w+", opening.partition("After this chapter you can")[2])
    assert 3 <= len(objectives) <= 5
    assert [cell.source for cell in tagged(chapter, "setup")] == [setup_cell()], "run: make links"
    defaults = parameters_of(chapter)
    assert {"corpus": "sample", "preset": "quick", "seed": 7}.items() <= defaults.items()


@every_chapter
def test_chapter_closes_with_recap_and_further_reading(chapter: Path) -> None:
    headings = re.findall(r"^## (.+)$", prose_of(chapter), re.MULTILINE)
    assert headings[-2:] == ["Recap", "Further reading"]


@every_chapter
def test_chapter_has_small_cells_that_a_reader_can_follow(chapter: Path) -> None:
    sizes = [len(cell.source.splitlines()) for cell in code_of(chapter) if cell.metadata.get("tags") != ["setup"]]
    assert max(sizes) <= MAX_CELL_LINES
    assert statistics.median(sizes) <= MAX_MEDIAN_LINES
    kinds = [cell.cell_type for cell in read(chapter).cells]
    assert kinds[0] == kinds[-1] == "markdown", "the first and the last word are prose"
    assert all(cell.source.strip() for cell in read(chapter).cells), "an empty cell"


@every_chapter
def test_chapter_shows_the_same_everywhere(chapter: Path) -> None:
    prose, code = prose_of(chapter), "\n".join(cell.source for cell in code_of(chapter))
    assert not re.search(r"^(:::|```\{)", prose, re.MULTILINE), "MyST directives show raw in Colab"
    assert [each for each in re.findall(r"!\[(.*?)\]\(", prose) if not each.strip()] == [], "an image without alt text"
    assert [each for each in re.findall(r"<img[^>]*>", prose) if not re.search(r'alt="[^"]+"', each)] == []
    assert not re.search(r"pip install", code.replace(setup_cell(), "")), "only the set-up cell installs"
    assert not re.search(r"^\s*warnings\.(filterwarnings|simplefilter)", code, re.MULTILINE), "a hidden warning"
