"""What several pages repeat, kept in step with where it is defined: address, badge, set-up cell, tables, figures.

`python docs/pages.py refresh` writes it into notebooks, README.md, CITATION.cff and docs/results/ (make tables),
`record` measures what each chapter takes and keeps it in the ledger, `figures` takes docs/figures from build/.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from page_tables import MAKERS
from PIL import Image

from emolab.course.chapters import BUILD, ChapterRun, find_chapters, read_notebook, run_chapters, runs_table
from emolab.results import device, versions
from emolab.storage import CHECKOUT, atomic_write, results_root

BRANCH = "main"
COLAB = "https://colab.research.google.com"
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)")
PAGES = ("README.md", "CITATION.cff", "docs/results/*.md")  # besides the notebooks
ADDRESS = re.compile(r"(git clone |git\+|repository-code: \"?)https://github\.com/[\w.-]+/[\w.-]+")
COLAB_PAGE = re.compile(rf"{re.escape(COLAB)}/github/[\w.-]+/[\w.-]+/blob/[\w.-]+/")
MEASURED = re.compile(r"(?<=sample corpus, quick preset: )\S+ s, \S+ MB")
MEASURED_FILE = "chapters.json"  # in the results folder, beside the ledger
TABLES = re.compile(
    rf"(<!-- (chapters|{'|'.join(MAKERS)})(?: ([^<>]+?))? -->\n)(?:(?!<!--).)*(<!-- end -->)", re.DOTALL
)
FIGURE_TAG = "figure-"
FIGURE_WIDTH = 900  # pixels, as wide as a README is shown
FIGURE_COLORS = 128
SETUP = """\
# Set-up: nothing happens on your own computer; Colab gets emolab, and keeps the versions of all it brings along.
import subprocess
import sys

if "google.colab" in sys.modules:

    class SetUpFailed(Exception):
        def _render_traceback_(self):  # what IPython shows: the sentence alone
            return [str(self)]

    source, how = "git+{repository}", {{"capture_output": True, "text": True}}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "list", "--format=freeze"], **how)
    with open("/tmp/constraints.txt", "w") as file:
        file.writelines(brought := [line for line in done.stdout.splitlines(True) if not line.startswith("emolab==")])
    if brought:
        done = subprocess.run([*pip, "install", "-c", "/tmp/constraints.txt", "emolab @ " + source], **how)
    if done.returncode:
        said = map(str.strip, done.stderr.splitlines())
        why = next((line for line in said if line.lower().startswith(("error", "fatal"))), "pip failed")
        remedy = "check the network and run this again; if that does not help, tell those who gave you this notebook"
        raise SetUpFailed(f"emolab cannot be installed from {{source}} ({{why}}): {{remedy}}.")
import emolab

print("Python", sys.version.split()[0], "· emolab", emolab.__version__)"""


def repository() -> str:
    """Return the repository's address, which stands in pyproject.toml and nowhere else.

    Raises:
        ValueError: If it is not a GitHub address; Colab opens notebooks from there.
    """
    address = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["urls"]["Repository"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"pyproject.toml has Repository = {address!r}; expected https://github.com/OWNER/NAME, since Colab opens "
            "notebooks from GitHub. Correct that line and run: make links"
        )
    return address.removesuffix(".git")


def setup_cell() -> str:
    """Return the source of the set-up cell, the same in every chapter (tag: setup)."""
    return SETUP.format(repository=repository())


def badge(chapter_file: str) -> str:
    """Return the Markdown of the badge that opens notebooks/`chapter_file` in Colab."""
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({_colab_root()}notebooks/{Path(chapter_file).name})"


def _colab_root() -> str:
    return f"{COLAB}/github/{repository().removeprefix('https://github.com/')}/blob/{BRANCH}/"


def measured_chapters() -> dict[str, dict[str, Any]]:
    """Return what `record_chapters` kept of each chapter; {} if nothing yet."""
    path = results_root() / MEASURED_FILE
    return json.loads(path.read_text(encoding="utf-8"))["chapters"] if path.is_file() else {}


def record_chapters(runs: Sequence[ChapterRun]) -> None:
    """Keep what chapters took, beside those not run now; only clean runs on the sample, quick, are comparable.

    Raises:
        ValueError: If another run is among them; then nothing is kept.
    """
    for run in runs:
        setting = run.parameters.get("corpus"), run.parameters.get("preset")
        if setting != ("sample", "quick") or run.state != "ok":
            raise ValueError(
                f"{run.chapter} ran with {setting} and is {run.state}; expected clean runs with ('sample', 'quick'). "
                "Nothing was recorded: mend the chapter and run it again."
            )
    took = {run.chapter: {"seconds": run.seconds, "peak_mb": run.peak_mb, "figures": run.figures} for run in runs}
    about = {"device": device(), "versions": versions(), "command": "python docs/pages.py record"}
    known = {"about": about, "chapters": dict(sorted({**measured_chapters(), **took}.items()))}
    with atomic_write(results_root() / MEASURED_FILE) as part:
        part.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def refreshed_notebook(notebook: nbformat.NotebookNode, file_name: str) -> nbformat.NotebookNode:
    """Write badge, set-up cell and measured time into a notebook that has places for them."""
    head = notebook.cells[0]
    head.source = BADGE.sub(lambda _: badge(file_name), head.source)
    if measured := measured_chapters().get(Path(file_name).stem):
        head.source = MEASURED.sub(f"{measured['seconds']:.0f} s, {measured['peak_mb']} MB", head.source)
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = setup_cell()
    return notebook


def refresh(root: Path = CHECKOUT) -> list[Path]:
    """Bring all notebooks and pages of a checkout up to date; return those that changed."""
    changed = []
    for path in [path for pattern in ("notebooks/*.ipynb", *PAGES) for path in sorted(root.glob(pattern))]:
        old = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            new = nbformat.writes(refreshed_notebook(read_notebook(path), path.name)) + "\n"
        else:
            new = refreshed_page(old, root)
        if new != old:
            with atomic_write(path) as part:
                part.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def refreshed_page(text: str, root: Path = CHECKOUT) -> str:
    """Write address and tables into a page; these stand between `<!-- chapters -->` or the like and `<!-- end -->`.

    The like are the tables of `page_tables.MAKERS`, each with what it is about: `<!-- results ravdess -->`.
    """
    text = ADDRESS.sub(lambda match: match[1] + repository(), text)
    text = COLAB_PAGE.sub(lambda _: _colab_root(), text)

    def table(match: re.Match[str]) -> str:
        made = MAKERS[match[2]](match[3]) if match[3] else chapters_table(measured_chapters(), root)
        return f"{match[1]}{made}\n{match[4]}"

    return TABLES.sub(table, text)


def chapters_table(measured: Mapping[str, Mapping[str, Any]], root: Path = CHECKOUT) -> str:
    """Write the table of chapters in Markdown: title, measured seconds and memory; each notebook has its badge."""
    lines = ["| chapter | seconds | peak MB |", "|---|---:|---:|"]
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        title = read_notebook(path).cells[0].source.splitlines()[0].lstrip("# ")
        known = measured.get(path.stem)
        figures = f"{known['seconds']:.0f} | {known['peak_mb']:,}" if known else "not measured | "
        lines.append(f"| [{title}](notebooks/{path.name}) | {figures} |")
    return "\n".join(lines)


def export_figures(build: Path = BUILD, folder: Path = CHECKOUT / "docs" / "figures") -> list[Path]:
    """Write the pictures of executed cells tagged figure-NAME to `folder`/NAME.png, small enough for a README."""
    written = []
    for path in sorted(build.glob("[0-9][0-9]_*.ipynb")):
        for cell in read_notebook(path).cells:
            names = [tag[len(FIGURE_TAG) :] for tag in cell.metadata.get("tags", []) if tag.startswith(FIGURE_TAG)]
            shown = [output.get("data", {}) for output in cell.get("outputs", [])]
            pictures = [data["image/png"] for data in shown if "image/png" in data]
            for name, picture in zip(names, pictures, strict=False):
                image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
                image.thumbnail((FIGURE_WIDTH, FIGURE_WIDTH))
                with atomic_write(folder / f"{name}.png") as part:
                    image.quantize(FIGURE_COLORS).save(part, format="png", optimize=True)
                written.append(folder / f"{name}.png")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one of the three things that the module's first lines name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("refresh", "record", "figures"))
    parser.add_argument("chapters", nargs="*", help="record: number or beginning of the name; default all")
    options = parser.parse_args(arguments)
    if options.what == "record":
        runs = run_chapters(find_chapters(options.chapters), parameters={"corpus": "sample", "preset": "quick"})
        print(runs_table(runs))
        record_chapters(runs)
    paths = refresh() if options.what != "figures" else export_figures()
    print("\n".join(f"written: {path.relative_to(CHECKOUT)}" for path in paths) or "all pages are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
