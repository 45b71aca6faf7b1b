"""The doctor: what is installed, what is found where, what is missing, and what to do about it.

It imports none of the heavy packages, so it works where they are broken.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from emolab.storage import CHECKOUT, corpus_places, sample_root, settings_beside, toml_beside, weights_root

SET = settings_beside(__file__, "doctor.toml")
# Those that are told by the names of their files
NAMED = {*toml_beside(str(Path(__file__).parents[1] / "corpora" / "x.py"), "named.toml")} - {*SET.corpora}


class Finding(NamedTuple):
    """One thing looked at: its state, what was found, and what to do if anything."""

    name: str
    state: Literal["ok", "missing", "note"]
    found: str
    remedy: str = ""


class Diagnosis(tuple[Finding, ...]):
    """All findings; shows itself as a table, in a terminal and in a notebook."""

    @property
    def healthy(self) -> bool:
        """Return whether all that every chapter needs is there."""
        return not any(each.state == "missing" for each in self)

    def __repr__(self) -> str:
        width, lines = max(len(each.name) for each in self), []
        for each in self:
            lines.append(f"{f'[{each.state}]':9} {each.name:{width}}  {each.found}")
            lines += [f"{'':9} {'':{width}}  -> {each.remedy}"] if each.remedy else []
        return "\n".join(lines)


def doctor() -> Diagnosis:
    """Look at Python, packages, GPU, sample, corpora and pretrained weights."""
    return Diagnosis([*_python(), *_packages(), *_gpu(), *corpora_found(), *_weights()])


def _python() -> Iterator[Finding]:
    oldest, newest = (".".join(map(str, each)) for each in SET.pythons)
    fits = SET.pythons[0] <= [*sys.version_info[:2]] <= SET.pythons[1]
    remedy = "" if fits else f"expected {oldest} to {newest}; make a new environment with one of these"
    yield Finding("Python", "ok" if fits else "note", f"{platform.python_version()} in {_place(sys.prefix)}", remedy)


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with what emolab requires and, where there is a lock, with what it names."""
    try:
        needed = [re.split(r"[<>=!~;\[ ]", line)[0] for line in requires("emolab") or [] if ";" not in line]
    except PackageNotFoundError:
        yield Finding("emolab", "missing", "not installed here", "pip install --no-deps -e .")
        return
    locked, installed = locked_versions(), {}
    for name in needed:
        with suppress(PackageNotFoundError):
            installed[name] = version(name).partition("+")[0]
    if missing := [name for name in needed if name not in installed]:
        yield Finding("packages", "missing", ", ".join(missing), "pip install -r requirements.lock")
    moved = {name: has for name, has in installed.items() if locked and has not in locked.get(name, [])}
    if moved:
        named = [f"{name} {has} (lock: {' or '.join(locked.get(name, ['none']))})" for name, has in moved.items()]
        yield Finding("versions", "note", ", ".join(named), "fine in Colab; else: pip install -r requirements.lock")
    same = f"{len(installed) - len(moved)} of them as in the lock" if locked else "no requirements.lock to compare with"
    yield Finding("packages", "ok", f"{len(installed)} installed, {same}")


def locked_versions() -> dict[str, list[str]]:
    """Return the versions of each package that requirements.lock names; nothing where there is no checkout.

    There are several where a package has left an older Python behind.
    """
    lock = CHECKOUT / "requirements.lock"
    pins: dict[str, list[str]] = {}
    for name, pin in re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text() if lock.is_file() else "", re.MULTILINE):
        pins.setdefault(name, []).append(pin)
    return pins


def _gpu() -> Iterator[Finding]:
    """Ask the driver rather than torch, which takes seconds to import."""
    command, cards = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"], ""
    with suppress(OSError, subprocess.SubprocessError):
        cards = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    yield _optional("GPU", cards.replace("\n", "; "), "no NVIDIA GPU found", "none is needed for the quick preset")


def corpora_found() -> Iterator[Finding]:
    """Look for the files that a corpus is made of, a folder alone is none, and ask its reader what is there."""
    built = (sample_root() / "stamp.json").is_file() and any(sample_root().rglob(SET.corpora["iemocap"][0]))
    remedy = "emolab sample; or wait half a minute at the first use"
    yield _optional("sample", f"in {_place(sample_root())}" * built, "not built yet", remedy)
    for name, (pattern, terms) in (SET.corpora | dict.fromkeys(NAMED, ("*.*", "on its makers' terms"))).items():
        folders = [place for place in corpus_places(name) if place.is_dir()]
        if name in NAMED and not folders:
            continue
        filled = [place for place in folders if any(path.stat().st_size for path in place.rglob(pattern))]
        found, why = _read(name, filled[0]) if filled else ("", "")
        absent = f"nothing of it in {', '.join(map(_place, folders))}" if folders else "not found"
        remedy = f"optional, {terms}; data/README.md says how to get it. Put it in {_place(corpus_places(name)[0])}"
        yield _optional(name, found, f"not readable: {why}" if why else absent, remedy)


def what_is_in(name: str, folder: str) -> str:
    """Say what the reader of a corpus finds in a folder."""
    from emolab.corpora import load_corpus

    corpus = load_corpus(name, root=Path(folder))
    left_out = f"; {len(corpus.dropped)} remarks in corpus.dropped" * bool(len(corpus.dropped))
    speakers = corpus.table["speaker"].nunique()
    return f"{len(corpus):,} utterances, {speakers} speakers, {' + '.join(corpus.modalities)}{left_out}"


def _read(name: str, folder: Path) -> tuple[str, str]:
    """Return what is in a folder, and else why its reader cannot read it; asked in a process of its own."""
    code = "import sys; from emolab.course.doctor import what_is_in; print(what_is_in(*sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, name, str(folder)], capture_output=True, text=True)
    if done.returncode == 0:
        return f"in {_place(folder)}: {done.stdout.strip()}", ""
    said = [line for line in done.stderr.splitlines() if re.match(r"\w+: ", line)]
    return "", (said or ["it ended without a word"])[-1].partition(": ")[2][: SET.n_letters]


def _weights() -> Iterator[Finding]:
    """List pretrained models: those in the folder of weights, and what the Hugging Face cache holds."""
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    root = weights_root()
    folders = {path.parent: str(path.parent.relative_to(root)) for path in root.rglob("config.json")}
    for path in sorted(hub.glob("models--*/snapshots/*/config.json")):
        folders[path.parent] = path.parents[2].name.removeprefix("models--").replace("--", "/")
    whole = [name for folder, name in folders.items() if any(any(folder.glob(each)) for each in SET.weights)]
    whole += [path.name for path in root.glob("*.*") if path.suffix in SET.single]
    remedy = "only preset full needs any: they are downloaded then, or taken from the folder EMOLAB_WEIGHTS"
    where = f" (looked in {_place(root)} and the hub's cache)"
    yield _optional("weights", ", ".join(sorted({*whole})), f"no pretrained models found{where}", remedy)


def _optional(name: str, found: str, absent: str, remedy: str) -> Finding:
    """Report what is fine to be without."""
    return Finding(name, "ok", found) if found else Finding(name, "note", absent, remedy)


def _place(path: Path | str) -> str:
    """Write a path as seen from the project, or from home: what is shown may be published."""
    bases = {CHECKOUT: "", Path.home(): "~", CHECKOUT.parent: ".."}
    near = [Path(name, Path(path).relative_to(base)) for base, name in bases.items() if Path(path).is_relative_to(base)]
    return str(near[0] if near else path)
