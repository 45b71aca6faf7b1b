"""The rules of the whole package: which way imports point, size, what an import costs, no path of anybody's machine."""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import sys
import time
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "emolab").rglob("*.py"))
LAYERS = (  # a module may import from layers above its own in this list, never from below
    ("storage", "progress"),
    ("media",),
    ("corpora",),
    ("splits",),
    ("features",),
    ("models", "examples"),
    ("training",),
    ("recognizer",),
    ("late",),
    ("recipes",),
    ("cost", "evaluation"),
    ("ledger",),
    ("comparison",),
    ("explain",),
    ("plots",),
    ("heat",),
    ("course",),
    ("demo",),
    ("cli",),
)
BLIND = {"media": ("corpora", "splits"), "models": ("corpora", "splits", "media"), "training": ("corpora", "splits")}
SCREENS = {"IPython", "papermill", "nbformat", "nbclient"}  # only course and demo know notebooks
MAX_LINES, MAX_MEDIAN, MAX_CODE, MAX_BYTES = 40, 12, 11_000, 1_000_000
IMPORT_S = 1.0


def rank(name: str) -> int:
    ranks = [number for number, names in enumerate(LAYERS) if name in names]
    assert ranks, f"emolab.{name} has no place in LAYERS yet"
    return ranks[0]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports, and whether only type checkers see it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    unseen = {id(node) for guard in guards for node in ast.walk(guard)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", id(node) in unseen
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
            if there and not only_types and (rank(there) > rank(here) or there in BLIND.get(here, ())):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
            if top in SCREENS and here not in ("course", "demo"):
                wrong.append(f"{path.relative_to(ROOT)} imports {top}, which only course and demo know")
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    return len(lines.difference(*map(docstring_lines, ast.walk(ast.parse(text)))))


def test_package_is_thin() -> None:
    assert sum(map(code_lines, MODULES)) <= MAX_CODE


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
