"""Every chapter, found by glob: how it is written, and that it runs, clean and within twice its budget."""

from __future__ import annotations

import os
import re
import statistics
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode

import emolab.course.checkers  # noqa: F401  registers them
from emolab.course.chapters import NOTEBOOKS, parameters_of, run_chapter
from emolab.course.exercises import CHECKERS
from emolab.storage import CHECKOUT
from pages import badge, setup_cell
from tests.solutions import exercises_of, with_solutions

CHAPTERS = sorted(NOTEBOOKS.glob("*.ipynb"))
GLOSSARY = CHECKOUT / "docs" / "glossary.md"
MAX_MB = 2_000  # twice the budget, since machines differ; seconds are measured by `make bench`
CUDA_MB = 450  # more for each process of a chapter where torch was built for CUDA, GPU or not; chapter 21 has several
MAX_CELL_LINES, MAX_MEDIAN_LINES = 20, 6
MIN_CELLS, MAX_CELLS = 20, 35  # of code
MIN_WORDS, MAX_WORDS = 1_500, 2_700  # of prose, hints and solutions apart
TOOLS = {  # the field's libraries that a chapter imports by name, see "the tools in sight" in CONTRIBUTING.md
    **{
        "01": ["seaborn"],
        "02": ["sklearn"],
        "03": ["librosa", "sklearn"],
        "04": ["torch"],
        "05": ["torch", "transformers"],
    },
    **{
        "06": ["sklearn", "torch"],
        "07": ["torch", "transformers"],
        "08": ["av", "skimage", "torch"],
        "09": ["numpy", "sklearn"],
    },
    **{"10": ["numpy"], "11": ["torch"], "12": ["torch"], "13": ["pandas"], "14": ["shap"], "15": ["captum", "shap"]},
    **{"16": ["captum", "shap", "transformers"], "17": ["shap"], "18": ["captum"]},
    "19": ["av", "librosa", "numpy", "scipy", "sklearn"],
    "20": ["pandas", "pocketsphinx", "pysubs2", "silero_vad", "sklearn"],
    "21": ["accelerate", "dask", "joblib", "sklearn"],
    "22": ["pandas", "sklearn", "torch"],
}
MAY_FOLLOW = {"parameters", "check"}  # code cells that need no prose before them

# words of a private language that the chapters once spoke, see CONTRIBUTING.md
PRIVATE = re.compile(
    r"\b(senses?|judges?|by lot|anew|heaviest|flatterers?|shrugs?|blind ones?|sharpness|one clock|sound vectors?|"
    r"runs of characters|filling gaps|impostors?|top hits?|mass inside|listenable|layer head|real steps|frontier|"
    r"ignorant|strangers?|whoever|the former|the latter)\b",
    re.IGNORECASE,
)
FIELD = (
    *(
        "modality",
        "classifier",
        "feature extractor",
        "functionals",
        "low-level descriptors",
        "utterance",
        "speaker-independent",
    ),
    *("training set", "validation set", "test set", "cross-validation", "hyperparameter", "regularisation strength"),
    *(
        "confidence interval",
        "bootstrap",
        "permutation test",
        "chance level",
        "unweighted average recall",
        "weighted f1",
    ),
    *(
        "fundamental frequency",
        "prosody",
        "voicing",
        "mel spectrogram",
        "tf-idf",
        "n-gram",
        "subword token",
        "embedding matrix",
    ),
    *(
        "masked language modelling",
        "self-supervised pretraining",
        "hidden states",
        "padding mask",
        "fine-tuning",
        "dialogue context",
    ),
    *("early fusion", "late fusion", "hybrid fusion", "ensemble member", "meta-classifier", "temperature scaling"),
    *(
        "negative log-likelihood",
        "calibrated",
        "attribution",
        "baseline",
        "masker",
        "perturbation",
        "convergence delta",
    ),
    *("pointing game", "relevance mass accuracy", "sensitivity", "infidelity", "randomisation test", "sonification"),
    *("ground truth", "planted cue", "random baseline", "pareto front", "shapley value", "integrated gradients"),
)

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def read(chapter: Path) -> NotebookNode:
    return nbformat.read(chapter, as_version=4)


@lru_cache
def glossary() -> dict[str, str]:
    """Return the terms of docs/glossary.md, in lower case, and the number of the chapter that explains each."""
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| \[(\d\d)\]", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return {term.lower(): number for term, number in rows}


def code_of(chapter: Path) -> list[NotebookNode]:
    return [cell for cell in read(chapter).cells if cell.cell_type == "code"]


def prose_of(chapter: Path) -> str:
    return "\n\n".join(cell.source for cell in read(chapter).cells if cell.cell_type == "markdown")


def tagged(chapter: Path, tag: str) -> list[NotebookNode]:
    return [cell for cell in read(chapter).cells if tag in cell.metadata.get("tags", [])]


@pytest.fixture(scope="session")
def course_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all chapters, as when they run one after the other: later ones find what earlier ones trained."""
    base = tmp_path_factory.getbasetemp()  # of several processes each has its own, in the same folder
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "course-cache"


def group_of(chapter: Path) -> pytest.MarkDecorator:
    """Let parts of the course run side by side, each in the order of its numbers."""
    part = "00 to 08" if chapter.name < "09" else "09 to 18" if chapter.name < "19" else "19 to 22"
    return pytest.mark.xdist_group(f"chapters {part}")


def verdicts(notebook: NotebookNode, tag: str) -> list[str]:
    """Return what the checkers said in the cells with a tag."""
    cells = [cell for cell in notebook.cells if cell.metadata.get("tags") == [tag]]
    said = ["".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs) for cell in cells]
    return [re.sub(r"^Exercise \S+: (correct|not attempted)\b.*", r"\1", each) for each in said]


@pytest.mark.parametrize("chapter", [pytest.param(path, marks=group_of(path), id=path.stem) for path in CHAPTERS])
def test_chapter_runs_clean_on_the_sample(
    chapter: Path, tmp_path: Path, course_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_CACHE", str(course_cache))
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))
    solved = tmp_path / "solved" / chapter.name  # as a learner gets it, and each exercise solved right after it
    solved.parent.mkdir()
    nbformat.write(with_solutions(read(chapter)), solved)
    run = run_chapter(solved, parameters={"corpus": "sample", "preset": "quick"}, build=tmp_path)
    assert run.error is None
    assert verdicts(run.notebook, "check") == ["not attempted"] * 3
    assert verdicts(run.notebook, "solved") == ["correct"] * 3
    assert run.warnings == []
    assert run.figures, "expected at least one call of emolab.course.record"
    assert run.peak_mb < MAX_MB + (3 * CUDA_MB if torch.version.cuda else 0)
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
def test_chapter_has_the_length_of_a_lesson_and_says_why_before_each_step(chapter: Path) -> None:
    cells = read(chapter).cells
    assert MIN_CELLS <= len(code_of(chapter)) <= MAX_CELLS
    words = len(re.sub(r"<details>.*?</details>", "", prose_of(chapter), flags=re.DOTALL).split())
    assert MIN_WORDS <= words <= MAX_WORDS
    bare = []
    for before, cell in pairwise(cells):
        tags = {*before.metadata.get("tags", []), *cell.metadata.get("tags", [])}
        if before.cell_type == cell.cell_type == "code" and not tags & MAY_FOLLOW:
            bare.append(cell.source)
    assert bare == [], "a code cell directly after another"


@every_chapter
def test_chapter_imports_the_tools_that_it_teaches(chapter: Path) -> None:
    code = "\n".join(cell.source for cell in code_of(chapter))
    missing = [
        tool for tool in TOOLS.get(chapter.name[:2], []) if not re.search(rf"^(import|from) {tool}\b", code, re.M)
    ]
    assert missing == []


@every_chapter
def test_chapter_has_exercises_whose_stub_holds_no_solution(chapter: Path) -> None:
    notebook, number = read(chapter), chapter.name[:2]
    found = exercises_of(notebook)
    assert len(found) == 3, "two exercises and a number to beat"
    for count, (place, checker, _) in enumerate(found, 1):
        stub, check = notebook.cells[place].source, notebook.cells[checker].source
        assert re.fullmatch(r"answer = \.\.\.|(?:.*\n)+ +return \.\.\.", stub), stub
        assert check.startswith(f'check("{number}.{count}", '), check
        assert f"{number}.{count}" in CHECKERS
    assert sorted(name for name in CHECKERS if name.startswith(number)) == [f"{number}.{n}" for n in (1, 2, 3)]


@every_chapter
def test_chapter_speaks_the_language_of_the_field(chapter: Path) -> None:
    prose = re.sub(r'"[^"\n]*"|`[^`\n]*`|```.*?```', "", prose_of(chapter), flags=re.DOTALL)
    prose = prose.partition("## Further reading")[0]
    assert sorted({word.lower() for word in PRIVATE.findall(prose)}) == []


@every_chapter
def test_terms_of_a_chapter_are_in_the_glossary(chapter: Path) -> None:
    listed = re.compile(r"^\s*(\d+\.|[-|]).*$", re.MULTILINE)  # objectives, recap, tables
    prose = listed.sub("", prose_of(chapter).partition("## Further reading")[0])
    bold = {term.strip(".:, ").lower() for term in re.findall(r"\*\*([^*\n]+)\*\*", prose)}
    bold = {term for term in bold if not re.match(r"(exercise|predict|number to beat)\b", term)}
    assert sorted(bold - glossary().keys()) == []


def test_each_term_of_the_glossary_is_explained_where_the_glossary_says() -> None:
    wrong = []
    for term, number in glossary().items():
        (chapter,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
        if f"**{term}**" not in prose_of(chapter).lower():
            wrong.append((term, number))
    assert wrong == []


def test_the_fields_words_occur_in_the_course() -> None:
    course = "\n".join(map(prose_of, CHAPTERS)).lower()
    assert [term for term in FIELD if term not in course] == []
    assert [term for term in FIELD if term not in glossary()] == []


@every_chapter
def test_chapter_shows_the_same_everywhere(chapter: Path) -> None:
    prose, code = prose_of(chapter), "\n".join(cell.source for cell in code_of(chapter))
    assert not re.search(r"^(:::|```\{)", prose, re.MULTILINE), "MyST directives show raw in Colab"
    assert [each for each in re.findall(r"!\[(.*?)\]\(", prose) if not each.strip()] == [], "an image without alt text"
    assert [each for each in re.findall(r"<img[^>]*>", prose) if not re.search(r'alt="[^"]+"', each)] == []
    assert not re.search(r"pip install", code.replace(setup_cell(), "")), "only the set-up cell installs"
    assert not re.search(r"^\s*warnings\.(filterwarnings|simplefilter)", code, re.MULTILINE), "a hidden warning"


def test_chapters_that_put_scores_on_one_scale_share_its_cell() -> None:
    """Chapters 13 and 18 compare the same degree of explainability."""
    chapters = [path for path in CHAPTERS if path.name[:2] in ("13", "18")]
    cells = [cell.source for path in chapters for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    scales = [source.partition("\n\n\nbaseline")[0] for source in cells if "def scaled(" in source]
    assert len(scales) == 2
    assert scales[0].strip() == scales[1].strip()
