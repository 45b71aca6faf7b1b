"""Puts together what Sphinx reads, and checks what it wrote; `make book` calls it before and after.

`python docs/book/stage.py` copies the executed chapters and the pages of docs/ into build/book/source, in the folders
that they have in the repository: links from one to the other hold as they stand. Links to files that are not in the
book lead to the repository. `python docs/book/stage.py check` reads the built pages.
"""

from __future__ import annotations

import argparse
import ast
import base64
import copy
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote

import nbformat
from nbformat import NotebookNode

from emolab.course.chapters import read_notebook

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parents[1]
PAGES = ("docs/*.md", "docs/results/*.md", "data/README.md")
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")
LINK = re.compile(r"(?<=\]\()([^()\s:#]+)(?=[)#])")  # within the repository: no scheme, not only an anchor
TERM = re.compile(r"^\| (.+?) \| (.+?) \| \[(\d\d)\]\((.+?)\) \|$", re.MULTILINE)
TABLE = re.compile(r"^\|.*\|\n(^\|.*\|\n?)*", re.MULTILINE)
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
SHOWN = {"image/png", "text/html", "text/markdown", "text/plain"}
LOADS = {"script", "link", "img", "source", "audio", "video", "iframe"}  # tags by which a page fetches something


def stage(root: Path, target: Path, *, draft: bool = False) -> list[str]:
    """Write the book's sources below `target`, which is emptied first.

    Args:
        root: The repository: `notebooks/`, `build/` with the executed chapters, `docs/`, `data/README.md`.
        target: Folder for Sphinx to read.
        draft: Take each chapter as it is in `build/`, or without outputs where it is not there.

    Returns:
        What is wrong with executed chapters, one sentence each; without `draft` nothing is written if there is any.
    """
    chapters = sorted((root / "notebooks").glob("*.ipynb"))
    ready = {path: _executed(path, root / "build" / path.name) for path in chapters}
    wrong = [f"{path.stem} {fault}; run: emolab run {path.name[:2]}" for path, (_, fault) in ready.items() if fault]
    if wrong and not draft:
        return wrong
    shutil.rmtree(target, ignore_errors=True)
    pages = [path for pattern in PAGES for path in sorted(root.glob(pattern))]
    inside = {path.relative_to(root).as_posix() for path in [*chapters, *pages]}
    for folder in ("notebooks", "downloads", "docs/results", "data"):
        (target / folder).mkdir(parents=True)
    for name in ("index.md", "colab.svg"):
        shutil.copy(BOOK / name, target / name)
    for path in pages:
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        text = _glossary(text) if name == "docs/glossary.md" else text
        (target / name).write_text(_linked(text, name, root, inside), encoding="utf-8")
    for path, (notebook, _) in ready.items():
        shutil.copy(path, target / "downloads" / path.name)
        nbformat.write(notebook, target / "downloads" / f"{path.stem}_executed.ipynb")
        page = _page(notebook, path.stem, target)
        for cell in page.cells:
            if cell.cell_type == "markdown":
                cell.source = _linked(cell.source, f"notebooks/{path.name}", root, inside)
        nbformat.write(page, target / "notebooks" / path.name)
    return wrong


def _executed(chapter: Path, path: Path) -> tuple[NotebookNode, str]:
    """Return the executed notebook and what is wrong with it: missing, failed, another text, other parameters."""
    bare = read_notebook(chapter)
    if not path.is_file():
        return bare, "was not executed"
    notebook = read_notebook(path)
    notebook.metadata.pop("papermill", None)
    notebook.cells = [cell for cell in notebook.cells if not _has(cell, "papermill-error-cell-tag")]
    cells = [cell for cell in notebook.cells if not _has(cell, "injected-parameters")]
    injected = [_values(cell) for cell in notebook.cells if _has(cell, "injected-parameters")]
    defaults = next((_values(cell) for cell in cells if _has(cell, "parameters")), {})
    if any(output.output_type == "error" for cell in cells for output in cell.get("outputs", [])):
        return notebook, "failed"
    if [cell.source for cell in cells] != [cell.source for cell in bare.cells]:
        return notebook, "was executed from another text than that of the repository"
    if any(not values.items() <= defaults.items() for values in injected):
        return notebook, "was executed with other parameters than its own"
    notebook.cells = cells  # the injected cell repeats what the one above it says
    return notebook, ""


def _has(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def _values(cell: NotebookNode) -> dict[str, str]:
    """Return the assignments of a parameters cell."""
    lines = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    return {ast.unparse(line.targets[0]): ast.unparse(line.value) for line in lines}


def _page(notebook: NotebookNode, stem: str, target: Path) -> NotebookNode:
    """Return a chapter as the book shows it: downloads beside the badge, set-up folded, pictures with descriptions."""
    page = copy.deepcopy(notebook)
    downloads = (
        f"{{download}}`without outputs <../downloads/{stem}.ipynb>`, "
        f"{{download}}`executed <../downloads/{stem}_executed.ipynb>`"
    )
    badge = rf"[![Open in Colab](../colab.svg)](\1) This chapter as a notebook: {downloads}."
    page.cells[0].source = BADGE.sub(badge, page.cells[0].source)
    for number, cell in enumerate(page.cells):
        if _has(cell, "setup"):
            cell.metadata.tags.append("hide-input")
        for count, output in enumerate(cell.get("outputs", [])):
            _describe(output, target / "notebooks" / f"{stem}-{number:02}-{count}.png")
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("data") != {}]
    return page


def _describe(output: NotebookNode, path: Path) -> None:
    """Turn a picture into Markdown that carries its description, which MyST-NB would drop; leave out unknown types."""
    if "data" not in output:
        return
    if picture := output.data.pop("image/png", None):
        path.write_bytes(base64.b64decode(picture))
        said = " ".join(output.metadata.get("image/png", {}).get("alt", "").split())
        alt = PUNCTUATION.sub(r"\\\1", said)  # of what Markdown may read as more than text
        output.data = nbformat.from_dict({"text/markdown": f"![{alt}]({path.name})"})
    output.data = nbformat.from_dict({kind: data for kind, data in output.data.items() if kind in SHOWN})


def _glossary(text: str) -> str:
    """Turn the table of docs/glossary.md into Sphinx's glossary, which makes the index and can be linked to."""
    terms = [f"{term}\n  {meaning} Chapter [{n}]({place})." for term, meaning, n, place in TERM.findall(text)]
    return TABLE.sub(lambda _: "```{glossary}\n" + "\n\n".join(terms) + "\n```\n", text, count=1)


def _linked(text: str, name: str, root: Path, inside: set[str]) -> str:
    """Let links to what the book lacks lead to the repository; those to nothing stay, and Sphinx reports them."""
    repository = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]

    def address(match: re.Match[str]) -> str:
        place = normpath(f"{Path(name).parent.as_posix()}/{unquote(match[1])}")
        if place in inside or place.startswith("..") or not (root / place).exists():
            return match[1]
        return f"{repository}/{'tree' if (root / place).is_dir() else 'blob'}/main/{place}"

    return LINK.sub(address, text)


class _Reader(HTMLParser):
    """Collects what a page has (ids), what it links to, and what it loads or shows without a description."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = {""}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.bare: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        has = {name: value or "" for name, value in attrs}
        self.ids |= {has.get("id", ""), has.get("name", "")}
        address = has.get("src") or has.get("href") or ""
        if tag == "a":
            self.links.append(address)
        elif tag in LOADS and address:
            self.loads.append(address)
        if tag == "img" and not has.get("alt", "").strip():
            self.bare.append(address[:80])


def faults(html: Path) -> Iterator[str]:
    """Yield what a reader without network, or without eyes, would miss in the built pages."""
    pages = {path: _Reader(path) for path in sorted(html.rglob("*.html"))}
    for path, page in pages.items():
        here = path.relative_to(html)
        yield from (f"{here}: a picture without a description: {each}" for each in page.bare)
        for address in page.loads:
            if re.match(r"(https?:)?//", address):
                yield f"{here} loads {address}; expected a file of the book"
        for address in [*page.links, *page.loads]:
            if not address or re.match(r"[a-z]+:|//", address):
                continue
            file, _, anchor = address.partition("?")[0].partition("#")
            place = (path.parent / unquote(file)).resolve() if file else path
            if not place.is_file():
                yield f"{here} links to {address}, which does not exist"
            elif place in pages and unquote(anchor) not in pages[place].ids:
                yield f"{here} links to {address}; that page has no such place"
    for path in sorted(html.rglob("*.css")):
        for address in re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""", path.read_text("utf-8")):
            yield f"{path.relative_to(html)} loads {address}; expected a file of the book"


def main() -> int:
    """Stage the book, or check it, and say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["stage", "check"], default="stage")
    parser.add_argument("--draft", action="store_true", help="take chapters as they are, executed or not")
    options = parser.parse_args()
    build = ROOT / "build" / "book"
    if options.what == "check":
        wrong = list(faults(build / "html"))
    else:
        wrong = stage(ROOT, build / "source", draft=options.draft)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong) and not options.draft)


if __name__ == "__main__":
    sys.exit(main())
