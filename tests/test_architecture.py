"""The rules of the whole package: which way imports point, size, what an import costs, no path of anybody's machine."""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import sys
import threading
import time
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import soundfile

from emolab.corpora import Corpus
from emolab.evaluation import evaluate
from emolab.recipes import recipe

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "emolab").rglob("*.py"))
LAYERS = (  # a module may import from layers above its own in this list, never from below
    ("storage",),
    ("media",),
    ("corpora", "splits"),
    ("sample",),
    ("features",),
    ("models",),
    ("training", "augmentation"),
    ("saved",),
    ("recognizer",),
    ("late_fusion",),
    ("recipes",),
    ("cost", "evaluation", "results"),
    ("explain",),
    ("plots",),
    ("annotate",),
    ("course", "app"),
    ("cli",),
)
BLIND = {"media": ("corpora", "splits"), "models": ("corpora", "splits", "media"), "training": ("corpora", "splits")}
SCREENS = {"IPython", "papermill", "nbformat", "nbclient"}  # only course and app know notebooks
OF_SAMPLE = ("emolab.corpora", "emolab.cli")  # load_corpus("sample") and the command line alone make it
BESIDE_CORE = ("sample", "annotate", "app", "course")
PRODUCT = ("annotate", "app")  # a recording becomes a table, and the web page: nothing else may need them
NOT_ON_THE_PATH = ("corpora", "sample", "splits", "storage")  # data and places, not what is computed
# The limits below only ever go down: what does not fit is cut elsewhere.
MAX_LINES, MAX_MEDIAN = 40, 12  # of a function
MAX_CODE, MAX_CORE = 8_443, 6_836  # lines without blanks, comments and docstrings; MAX_CODE: without PRODUCT
MAX_PRODUCT = 1_846
MAX_PATH = 8  # files that run from a recipe to its report
MAX_README, MAX_BYTES = 12_288, 1_000_000
IMPORT_S = 1.0


def rank(name: str) -> int:
    ranks = [number for number, names in enumerate(LAYERS) if name in names]
    assert ranks, f"emolab.{name} has no place in LAYERS yet"
    return ranks[0]


@lru_cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """Return the name by which a file is imported, such as emolab.corpora for emolab/corpora/__init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the modules that a module imports, and whether only type checkers see it."""
    tree = tree_of(path)
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    unseen = {id(node) for guard in guards for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if name in NAMES else node.module or "", id(node) in unseen) for name in inner)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in unseen) for alias in node.names)


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT / "emolab").parts[0].removesuffix(".py")


def test_imports_point_one_way() -> None:
    wrong = []
    for path in (path for path in MODULES if layer_of(path) != "__init__"):
        here = layer_of(path)
        for name, only_types in imports(path):
            top, *rest = name.split(".")
            there = rest[0] if top == "emolab" and rest else None
            up = there and rank(there) > rank(here) and (there != "sample" or name_of(path) not in OF_SAMPLE)
            if not only_types and (up or there in BLIND.get(here, ())):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
            if top in SCREENS and here not in ("course", "app"):
                wrong.append(f"{path.relative_to(ROOT)} imports {top}, which only course and app know")
    assert wrong == []


def test_nobody_but_load_corpus_and_the_command_line_makes_the_sample() -> None:
    users = {name_of(path) for path in MODULES for name, _ in imports(path) if name.startswith("emolab.sample")}
    assert {user for user in users if not user.startswith("emolab.sample")} <= set(OF_SAMPLE)


def test_imports_form_no_circle() -> None:
    """Imports inside functions count too: a circle is none the better for being hidden in one."""
    graph = {name_of(path): {name for name, types in imports(path) if name in NAMES and not types} for path in MODULES}
    reached = {name: set(found) for name, found in graph.items()}
    for through in NAMES:
        for name in NAMES:
            if through in reached[name]:
                reached[name] |= reached[through]
    assert sorted(name for name in NAMES if name in reached[name]) == []


def test_nothing_is_imported_by_string() -> None:
    wrong = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom | ast.Import) else []
            called = [node.id] if isinstance(node, ast.Name) else [node.attr] if isinstance(node, ast.Attribute) else []
            if {"import_module", "__import__", "importlib", "run_module", "pkgutil"} & {*names, *called}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_import_of_emolab_is_quick_and_light() -> None:
    took = []
    for _ in range(3):
        code = "import sys, emolab; print({'torch', 'librosa', 'transformers', 'pandas'} & set(sys.modules))"
        began = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
        assert run.stdout == "set()\n"
    assert min(took) < IMPORT_S


def docstring_lines(node: ast.AST) -> set[int]:
    """Return the numbers of the lines that the docstring of a module, class or function takes."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or ast.get_docstring(node) is None:
        return set()
    return set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))


def function_lengths() -> dict[str, int]:
    """Count the lines of each function of the package, its docstring not among them."""
    lengths = {}
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                lengths[f"{path.relative_to(ROOT)}:{node.name}"] = size - len(docstring_lines(node))
    return lengths


def test_functions_are_short() -> None:
    lengths = function_lengths()
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN


def code_lines(path: Path) -> int:
    """Count the lines that hold anything but blanks, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in silent]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    return len(lines.difference(*map(docstring_lines, ast.walk(tree_of(path)))))


def test_package_is_thin() -> None:
    lines = {path: code_lines(path) for path in MODULES}
    assert sum(size for path, size in lines.items() if layer_of(path) not in PRODUCT) <= MAX_CODE
    assert sum(size for path, size in lines.items() if layer_of(path) in PRODUCT) <= MAX_PRODUCT
    assert sum(size for path, size in lines.items() if layer_of(path) not in BESIDE_CORE) <= MAX_CORE


def test_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= MAX_README


def files_that_run(work: Callable[[], object]) -> set[str]:
    """Return the files of the package of which a function is called while `work` is done, in any thread."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    package = ROOT / "emolab"
    return {str(Path(name).relative_to(package)) for name in seen if Path(name).is_relative_to(package)}


def noises(folder: Path, seed: int) -> Corpus:
    """Write a corpus of twelve noises and two emotions."""
    rng, rows = np.random.default_rng(seed), []
    folder.mkdir()
    for number in range(12):
        soundfile.write(folder / f"{number}.wav", rng.uniform(-0.5, 0.5, 8_000).astype(np.float32), 16_000)
        about = {"utterance_id": str(number), "speaker": "abcdef"[number % 6], "audio_path": f"{number}.wav"}
        rows.append({**about, "emotion": ("angry", "sad")[number // 6]})
    return Corpus.from_rows("noises", rows, emotions=("angry", "sad"), root=folder)


def test_path_from_a_recipe_to_its_report_is_read_in_few_files(tmp_path: Path) -> None:
    def work(corpus: Corpus) -> None:
        recognizer: Any = recipe("audio/cnn-bilstm")
        recognizer.config = replace(recognizer.config, n_epochs=1)
        recognizer.fit(corpus, corpus)
        assert evaluate(recognizer, corpus).n == len(corpus)

    work(noises(tmp_path / "first", 7))  # whatever is imported on the way is not counted
    run = files_that_run(partial(work, noises(tmp_path / "second", 8)))
    path = {name for name in run if name.split("/")[0].removesuffix(".py") not in NOT_ON_THE_PATH}
    assert {"recipes.py", "recognizer.py", "training.py", "evaluation.py"} <= path
    assert len(path) <= MAX_PATH, sorted(path)


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_committed_file_is_large() -> None:
    assert [path for path in committed() if path.stat().st_size > MAX_BYTES] == []


def test_nothing_names_a_folder_of_one_machine_or_a_package_registry() -> None:
    own = r"(?<![\w.])/(work|root|home/\w+|Users/\w+|opt)/|[A-Z]:\\\\?Users"
    registry = r"https?://[\w.-]*(pypi|pythonhosted|pytorch|anaconda|conda|npmjs)[\w.-]*/(simple|whl|packages|channels)"
    kinds = (".py", ".ipynb", ".md", ".toml", ".yml", ".cff", ".json", ".lock", "")
    texts = [path for path in committed() if path.suffix in kinds and path != Path(__file__)]
    wrong = [str(path) for path in texts if re.search(f"{own}|{registry}", path.read_text(encoding="utf-8"))]
    assert wrong == []


@pytest.mark.parametrize("command", ["ruff check --output-format concise .", "ruff format --check .", "mypy"])
def test_style_and_types(command: str) -> None:
    run = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[:2_000]
