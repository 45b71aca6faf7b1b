"""Install emolab into what Colab has preinstalled, and run chapters there; nothing that Colab brings may be moved.

`make colab` makes an environment of Python 3.13 in build/colab from the pins of docs/colab.txt. It runs the set-up
cell in Colab's IPython twice: with a repository that cannot be reached, for what a learner reads then, and with the
last commit of this checkout in GitHub's place. It compares the versions before and after, and runs four chapters, each
from a folder that holds the notebook alone. `python3.13 bench/colab.py pins FILE` writes docs/colab.txt anew from a
list of all that Colab brings: those of it that emolab and its dependencies need. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "docs" / "colab.txt"
PLACE = ROOT / "build" / "colab"
VERSION = (3, 13)  # of Colab's Python
BESIDE = ("ipython", "pip", "setuptools", "wheel")  # of Colab's pins, those that no dependency asks for
OF_TORCH = re.compile(r"(nvidia|cuda|triton)\b")  # PyPI's torch is built for another CUDA than Colab's
CHAPTERS = ("00", "03", "15", "16")
NOWHERE = "https://127.0.0.1:1/"  # nothing listens there
PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)  # a local version such as +cu128 is not to be had elsewhere
SHELL = """
import sys, types
from IPython.core.interactiveshell import InteractiveShell
sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.exit(not InteractiveShell.instance().run_cell(sys.stdin.read()).success)
"""
RUN = """
import sys
from pathlib import Path
import emolab
from emolab.course.chapters import find_chapters, run_chapters, runs_table
assert Path(emolab.__file__).is_relative_to(sys.prefix), emolab.__file__
runs = run_chapters(find_chapters(folder=Path.cwd()), parameters={}, build=Path("build").resolve())
print(runs_table(runs))
sys.exit(any(run.state != "ok" for run in runs))
"""


def normal(name: str) -> str:
    """Return the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(text: str) -> dict[str, str]:
    """Return the version of each package that a list of pins names, under its normal name."""
    return {normal(name): version for name, version in PIN.findall(text)}


def environment(folder: Path) -> str:
    """Make an empty environment of this Python and return the path of its interpreter."""
    venv.create(folder, clear=True, with_pip=True)
    return str(folder / "bin" / "python")


def pip(python: str, *arguments: str) -> str:
    """Call an environment's pip and return what it prints."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def choose(everything: Path, source: str) -> None:
    """Write docs/colab.txt: of all that Colab brings, what installing emolab takes.

    Raises:
        subprocess.CalledProcessError: If emolab's dependencies do not resolve with all pins; pip says which.
    """
    every = pins_of(everything.read_text(encoding="utf-8"))
    every = {name: version for name, version in every.items() if not OF_TORCH.match(name)}
    python, constraints = environment(PLACE / "pins"), PLACE / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in every.items()))
    dry = ("install", "--dry-run", "--quiet", "--ignore-installed", "--report", "-", "--constraint", str(constraints))
    taken = json.loads(pip(python, *dry, str(ROOT)))["install"]
    names = {normal(one["metadata"]["name"]) for one in taken} | {*BESIDE}
    kept = [f"{name}=={every[name]}" for name in sorted(names & every.keys())]
    PINS.write_text("\n".join([f"# {source}", *kept]) + "\n", encoding="utf-8")
    missing = len(names - every.keys())
    print(f"{PINS.relative_to(ROOT)}: {len(kept)} of {len(every)} pins; {missing} packages are not in Colab")


def set_up(python: str, repository: str) -> tuple[bool, str]:
    """Run the set-up cell in IPython as in Colab, with another repository in GitHub's place; return its words."""
    notebook = json.loads(next((ROOT / "notebooks").glob("00_*.ipynb")).read_text(encoding="utf-8"))
    (cell,) = [cell for cell in notebook["cells"] if "setup" in cell["metadata"].get("tags", [])]
    source = "".join(cell["source"])
    address = re.findall(r"git\+(https://[\w./-]+)", source)[0]
    variables = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    how = {"input": source, "text": True, "stdout": subprocess.PIPE, "env": {**bare(), **variables}}
    run = subprocess.run([python, "-c", SHELL], cwd=PLACE, **how)  # type: ignore[call-overload]
    return run.returncode == 0, run.stdout.strip()


def bare() -> dict[str, str]:
    """Return the environment's variables without those that lead to this checkout, its data or its weights."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EMOLAB_", "PYTHON"))}
    return kept | {"HOME": str(PLACE / "home")}


def moved(brought: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which packages changed their version, or went."""
    return [
        f"{name} {version} -> {now.get(name, 'gone')}" for name, version in brought.items() if now.get(name) != version
    ]


def run_chapters(python: str) -> bool:
    """Run the chapters, each from a folder of its own, and tell whether all of them ran clean."""
    clean = True
    for number in CHAPTERS:
        folder = PLACE / f"chapter-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(next((ROOT / "notebooks").glob(f"{number}_*.ipynb")), folder)
        clean &= subprocess.run([python, "-c", RUN], cwd=folder, env=bare()).returncode == 0
    return clean


def check() -> bool:
    """Do what `make colab` promises and print what came of each step; tell whether all of it is as it should be."""
    shutil.rmtree(PLACE / "home", ignore_errors=True)
    (PLACE / "home").mkdir(parents=True)
    print(f"Installing the pins of {PINS.relative_to(ROOT)}: some minutes, torch has gigabytes", flush=True)
    python, wanted = environment(PLACE / "venv"), pins_of(PINS.read_text(encoding="utf-8"))
    pip(python, "install", "--quiet", *(f"{name}=={version}" for name, version in wanted.items()))
    brought = pins_of(pip(python, "list", "--format=freeze"))
    reached, said = set_up(python, NOWHERE)
    print(f"Repository out of reach: {said}", flush=True)
    one_sentence = not reached and len(said.splitlines()) == 1
    installed, said = set_up(python, f"file://{ROOT}")
    print(f"Set-up cell: {said}", flush=True)
    changes = moved(wanted, brought) + moved(brought, pins_of(pip(python, "list", "--format=freeze")))
    print("Moved:", ", ".join(changes) or f"none of {len(brought)} packages", flush=True)
    return run_chapters(python) and installed and one_sentence and not changes


def main() -> int:
    """Check, or choose the pins anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what")
    pins = commands.add_parser("pins", help="write docs/colab.txt anew")
    pins.add_argument("file", type=Path, help="all that Colab brings, one NAME==VERSION a line")
    pins.add_argument("--source", default="", help="where the list is from, and of which day: the first line")
    options = parser.parse_args()
    if sys.version_info[:2] != VERSION:
        found = f"this is Python {sys.version.split()[0]}; Colab has {'.'.join(map(str, VERSION))}"
        parser.error(f"{found}. Take that one: make colab PYTHON=python3.13, or its path.")
    PLACE.mkdir(parents=True, exist_ok=True)
    if options.what == "pins":
        choose(options.file, options.source)
        return 0
    return int(not check())


if __name__ == "__main__":
    sys.exit(main())
