"""pyproject.toml is the one list of dependencies; requirements.lock and environment.yml agree with it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from emolab.course.doctor import SET

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = SET.pythons  # oldest and newest
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = {"cv2", "opensmile", "pynvml"}  # used where they are installed; the lock has none of them
UNLOCKED = ("book", "egemaps")  # extras; tests/test_book.py has the pins of the first, the second is for other licences
PYTHON_VERSIONS = ("3.11.9", "3.12.4", "3.13.1")


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def wanted() -> list[Requirement]:
    extras = [lines for name, lines in PROJECT["optional-dependencies"].items() if name not in UNLOCKED]
    return [Requirement(line) for lines in (PROJECT["dependencies"], *extras) for line in lines]


def test_dependencies_are_what_the_package_imports() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "emolab").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    tops = {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "emolab", *OPTIONAL}
    distributions = packages_distributions()
    homes = {canonicalize_name(home) for top in tops for home in distributions[top]}
    brought = {"ipython": "ipykernel"}  # by which dependency, where it is not one itself
    extras = [line for name in ("app", "scale") for line in PROJECT["optional-dependencies"][name]]
    assert {brought.get(home, home) for home in homes} == {
        Requirement(line).name for line in [*PROJECT["dependencies"], *extras]
    }


def pins(python: str, platform: str) -> dict[str, Version]:
    """Return the version of each package that the lock installs with a Python on a platform."""
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    facts = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": platform}
    facts |= {"platform_system": names[platform], "os_name": "nt" if platform == "win32" else "posix"}
    chosen = [line for line in locked() if line.marker is None or line.marker.evaluate(facts)]
    assert len({line.name for line in chosen}) == len(chosen), "a package is locked twice"
    return {canonicalize_name(line.name): Version(str(line.specifier).removeprefix("==")) for line in chosen}


def test_lock_fits_every_dependency_on_every_python_and_platform() -> None:
    for python in PYTHON_VERSIONS:
        for platform in ("linux", "darwin", "win32"):
            chosen = pins(python, platform)
            for line in wanted():
                assert line.specifier.contains(chosen[canonicalize_name(line.name)]), f"{line} on {python} {platform}"


def test_lock_has_exact_versions_and_nothing_else() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"--hash|--index|--find|://", text)
    assert all(re.fullmatch(r"==[\w.]+", str(line.specifier)) for line in locked())
    assert [line.name for line in locked() if re.match(r"nvidia|cuda|triton", line.name)] == []
    assert "\ntorch==2.13.0\n" in text


def test_environment_yml_takes_the_lock_and_a_python_that_fits() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.removeprefix("python="))
    assert (pip, packages["pip"]) == ("pip", ["-r requirements.lock", "-e ."])


def test_every_page_names_the_same_pythons() -> None:
    oldest, newest = (".".join(map(str, each)) for each in PYTHONS)
    assert PROJECT["requires-python"] == f">={oldest}"
    assert f"Python {oldest} to {newest}" in (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert (
        f"({PYTHONS[0][0]}, {PYTHONS[0][1]}) <= sys.version_info[:2] <= ({PYTHONS[1][0]}, {PYTHONS[1][1]})" in makefile
    )


def test_libraries_that_colab_brings_have_no_upper_bound() -> None:
    bounds = {line.name: str(line.specifier) for line in wanted()}
    assert all("<" not in bounds[name] and "==" not in bounds[name] for name in ("numpy", "torch", "pandas", "scipy"))


def test_hosted_checks_only_call_the_one_command() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"]
        run = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
        book = ["make course book", ".venv/bin/python -m pytest tests/test_book.py"]
        assert run == (book if path.name == "book.yml" else [".ci/run"])


def test_every_package_is_listed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "emolab").rglob("*.py")}
    assert sorted(listed) == sorted([".".join(folder.parts) for folder in folders] + ["emolab.ledger"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel as pip does and install it into a folder of its own; return that folder."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-prose"):
        shutil.copy(ROOT / name, folder)
    for name in ("emolab", "data/results"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").iterdir()
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


def in_empty_folder(installed: Path, folder: Path, code: str) -> str:
    """Run code with the installed emolab, far from any checkout, and return what it prints."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("EMOLAB_")}
    variables |= {"PYTHONPATH": str(installed), "HOME": str(folder)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, text=True).stdout


def test_installed_wheel_brings_ledger_and_public_names(installed: Path, tmp_path: Path) -> None:
    code = "import json, emolab; from emolab.results import read_ledger; entries = read_ledger()"
    code += "; print(json.dumps([emolab.__file__, len(entries), sorted(entries['corpus'].unique()), emolab.__all__]))"
    code += "; import emolab.storage; assert emolab.load_corpus.__module__ == 'emolab.corpora'"
    place, n_entries, corpora, names = json.loads(in_empty_folder(installed, tmp_path, code))
    assert place == str(installed / "emolab" / "__init__.py")
    recorded = [path for path in (ROOT / "data" / "results").glob("*/*.json") if not path.name.startswith("explain-")]
    assert n_entries == len(recorded) > 0
    assert corpora == sorted({path.parent.name for path in recorded})
    assert {"load_corpus", "recipe", "evaluate"} <= set(names)


def test_doctor_of_an_installed_wheel_counts_no_lock(installed: Path, tmp_path: Path) -> None:
    shown = in_empty_folder(installed, tmp_path, "from emolab.course import doctor; print(doctor())")
    assert re.search(r"\[ok\] +packages +\d+ installed, no requirements.lock to compare with", shown)
    assert "as in the lock" not in shown


def test_package_and_project_name_one_version() -> None:
    (version,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "emolab" / "__init__.py").read_text(), re.MULTILINE)
    assert version == PROJECT["version"]
