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

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import colab
from emolab import load_corpus
from emolab.course.doctor import SET
from emolab.storage import sample_root

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = SET.pythons  # oldest and newest
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = {"cv2", "opensmile", "pynvml"}  # used where they are installed; the lock has none of them
UNLOCKED = ("book", "egemaps")  # extras; tests/test_book.py has the pins of the first, the second is for other licences
PYTHON_VERSIONS = ("3.11.9", "3.12.4", "3.13.1")
CALLED = {  # what each workflow runs
    "book.yml": ["make course book", ".venv/bin/python -m pytest tests/test_book.py"],
    "drift.yml": ["make setup NEWEST=yes", ".venv-newest/bin/emolab doctor", "make test NEWEST=yes"],
    "test.yml": [".ci/run"],
}


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


def meant_for(lines: list[Requirement], python: str, platform: str) -> list[Requirement]:
    """Return the lines that count with a Python on a platform."""
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    facts = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": platform}
    facts |= {"platform_system": names[platform], "os_name": "nt" if platform == "win32" else "posix"}
    return [line for line in lines if line.marker is None or line.marker.evaluate(facts)]


def pins(python: str, platform: str) -> dict[str, Version]:
    """Return the version of each package that the lock installs with a Python on a platform."""
    chosen = meant_for(locked(), python, platform)
    assert len({line.name for line in chosen}) == len(chosen), "a package is locked twice"
    return {canonicalize_name(line.name): Version(str(line.specifier).removeprefix("==")) for line in chosen}


def test_lock_fits_every_dependency_on_every_python_and_platform() -> None:
    for python in PYTHON_VERSIONS:
        for platform in ("linux", "darwin", "win32"):
            chosen = pins(python, platform)
            for line in meant_for(wanted(), python, platform):
                assert line.specifier.contains(chosen[canonicalize_name(line.name)]), f"{line} on {python} {platform}"


def test_lock_takes_a_pocketsphinx_with_a_wheel_for_every_python() -> None:
    """5.1.1 has none for Python 3.12, on any platform: it would be compiled."""
    taken = {python: str(pins(python, "win32")["pocketsphinx"]) for python in PYTHON_VERSIONS}
    assert taken == dict(zip(PYTHON_VERSIONS, ("5.1.1", "5.0.4", "5.1.1"), strict=True))


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
        assert run == CALLED[path.name]


def test_drift_job_tests_newest_versions_on_every_python_by_the_clock() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "drift.yml").read_text())
    assert set(workflow[True]) == {"schedule", "workflow_dispatch"}  # YAML reads the key "on" as true
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == [version.rpartition(".")[0] for version in PYTHON_VERSIONS]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not re.match("PYTHON|VENV|NEWEST|MAKE", name)}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=variables, capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no make")
@pytest.mark.parametrize(
    ("given", "venv", "installs"),
    [
        ([], ".venv", "--requirement requirements.lock"),
        ([f"PYTHON={sys.executable}"], ".venv-{}.{}".format(*sys.version_info), "--requirement requirements.lock"),
        (["NEWEST=yes"], ".venv-newest", '--upgrade --upgrade-strategy eager ".[app,lab,scale,dev]" setuptools'),
    ],
)
def test_make_test_has_an_environment_for_each_python_and_for_newest_versions(
    given: list[str], venv: str, installs: str
) -> None:
    said = make("--dry-run", "test", *given).stdout
    assert set(re.findall(r"(?<![/\w])\.venv[\w.-]*", said)) == {venv}
    assert installs in said
    assert f"\n{venv}/bin/python -m pytest" in said
    wanted = {name for name in PROJECT["optional-dependencies"] if name not in UNLOCKED}
    assert wanted == set(re.findall(r"^ALL = \"\.\[(.+)\]\"", (ROOT / "Makefile").read_text(), re.M)[0].split(","))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no make")
def test_make_refuses_what_is_no_python_for_emolab() -> None:
    done = make("setup", "PYTHON=false", "VENV=build/none")
    assert done.returncode != 0
    assert "emolab needs Python 3.11, 3.12 or 3.13 and found none in false" in done.stderr
    assert not (ROOT / "build" / "none").exists()


def test_every_bound_admits_what_colab_brings() -> None:
    brought = colab.pins_of(colab.PINS.read_text(encoding="utf-8"))
    required = meant_for([Requirement(line) for line in PROJECT["dependencies"]], PYTHON_VERSIONS[-1], "linux")
    lines = {canonicalize_name(line.name): line for line in required}
    bound = lines.keys() & brought.keys()
    assert {"numpy", "pandas", "scikit-learn", "shap", "torch", "transformers"} <= bound
    refused = [f"{lines[name]} refuses {brought[name]}" for name in bound if brought[name] not in lines[name].specifier]
    assert refused == [], "Colab would have to move it; lower the bound, or take Colab's newer pins: bench/colab.py"


def test_what_moved_names_each_package_that_changed_or_went() -> None:
    before = colab.pins_of("# source\nTorch==2.11.0+cu128\nscikit_learn==1.6.1\nnumpy==2.1.3\n")
    after = colab.pins_of("torch==2.11.0\nnumpy==2.4.6\nnew==1\n")
    assert colab.moved(before, after) == ["scikit-learn 1.6.1 -> gone", "numpy 2.1.3 -> 2.4.6"]


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


def test_installed_wheel_has_every_file_of_the_package_and_of_the_ledger(installed: Path) -> None:
    """Tables, sentences, cast, texts and pages, explore.ipynb: all that chapters read beside code."""

    def files(root: Path, pattern: str) -> set[str]:
        found = {path.relative_to(root) for path in root.rglob(pattern) if path.is_file()}
        return {str(path) for path in found if not {"__pycache__", "ledger"} & {*path.parts}}

    assert files(installed / "emolab", "*") == files(ROOT / "emolab", "*")
    assert files(installed / "emolab" / "ledger", "*.json") == files(ROOT / "data" / "results", "*.json")


RUN = """
import json
from pathlib import Path
from emolab.course.chapters import run_chapter
(chapter,) = Path.cwd().glob("*.ipynb")
run = run_chapter(chapter, build=Path.cwd() / "build")
said = "".join(output["text"] for output in run.notebook.cells[-1].get("outputs", []))
print(json.dumps([run.error, run.warnings, said.splitlines()]))
"""
ASK = """
import emolab, emolab.results, emolab.storage
print(emolab.__file__)
print(len(emolab.results.read_ledger("ravdess")))
print([root for root in emolab.storage.results_roots() if (root / "leaks-ravdess.json").is_file()][0])
"""


def test_a_chapter_runs_from_an_empty_folder_with_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    chapter = nbformat.read(next((ROOT / "notebooks").glob("01_*.ipynb")), as_version=4)  # the fastest
    chapter.cells.append(new_code_cell(ASK))
    nbformat.write(chapter, tmp_path / "01_corpora.ipynb")
    load_corpus("sample")  # built once for all tests; an installed package has it in the home folder
    (tmp_path / ".emolab").mkdir()
    (tmp_path / ".emolab" / "sample").symlink_to(sample_root())
    error, warnings, said = json.loads(in_empty_folder(installed, tmp_path, RUN))
    assert (error, warnings) == (None, [])
    package = installed / "emolab"
    n_entries = sum(not path.name.startswith("explain-") for path in (package / "ledger" / "ravdess").glob("*.json"))
    assert said == [str(package / "__init__.py"), str(n_entries), str(package / "ledger")]
    assert n_entries > 30


def test_package_and_project_name_one_version() -> None:
    (version,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "emolab" / "__init__.py").read_text(), re.MULTILINE)
    assert version == PROJECT["version"]
