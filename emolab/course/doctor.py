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

from emolab.storage import CHECKOUT, corpus_places, sample_root, weights_root

PYTHONS = ((3, 11), (3, 13))  # oldest and newest that the lock was made for
CORPORA = {  # what lies somewhere below a corpus's folder, and on what terms it is to be had
    "ravdess": ("0[123]-??-??-??-??-??-??.*", "free to download"),
    "iemocap": ("EmoEvaluation/*.txt", "licensed: ask its makers"),
    "meld": ("*_sent_emo.csv", "free to download"),
}


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
    return Diagnosis([*_python(), *_packages(), *_gpu(), *_corpora(), *_weights()])


def _python() -> Iterator[Finding]:
    oldest, newest = (".".join(map(str, each)) for each in PYTHONS)
    fits = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    remedy = "" if fits else f"expected {oldest} to {newest}; make a new environment with one of these"
    yield Finding("Python", "ok" if fits else "note", f"{platform.python_version()} in {_place(sys.prefix)}", remedy)


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with what emolab requires and, where there is a lock, with what it names."""
    try:
        needed = [re.split(r"[<>=!~;\[ ]", line)[0] for line in requires("emolab") or [] if "extra ==" not in line]
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


def _corpora() -> Iterator[Finding]:
    """Look for the files that a corpus is made of: a folder alone is none."""
    built = (sample_root() / "stamp.json").is_file() and any(sample_root().rglob(CORPORA["iemocap"][0]))
    remedy = "emolab sample; or wait half a minute at the first use"
    yield _optional("sample", f"in {_place(sample_root())}" * built, "not built yet", remedy)
    for name, (pattern, terms) in CORPORA.items():
        folders = [place for place in corpus_places(name) if place.is_dir()]
        filled = (place for place in folders if any(path.stat().st_size for path in place.rglob(pattern)))
        found = next((f"in {_place(place)}" for place in filled), "")
        absent = f"nothing of it in {', '.join(map(_place, folders))}" if folders else "not found"
        remedy = f"optional, {terms}; data/README.md says how to get it. Put it in {_place(corpus_places(name)[0])}"
        yield _optional(name, found, absent, remedy)


def _weights() -> Iterator[Finding]:
    """List pretrained models: those in the folder of weights, and what the Hugging Face cache holds."""
    names = sorted(str(path.parent.relative_to(weights_root())) for path in weights_root().rglob("config.json"))
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    folders = {path.parents[2].name for path in hub.glob("models--*/snapshots/*/config.json")}
    names += sorted(name.removeprefix("models--").replace("--", "/") for name in folders)
    remedy = "only preset full needs any: they are downloaded then, or taken from the folder EMOLAB_WEIGHTS"
    yield _optional("weights", ", ".join(names), "no pretrained models found", remedy)


def _optional(name: str, found: str, absent: str, remedy: str) -> Finding:
    """Report what is fine to be without."""
    return Finding(name, "ok", found) if found else Finding(name, "note", absent, remedy)


def _place(path: Path | str) -> str:
    """Write a path as seen from the project, or from home: what is shown may be published."""
    bases = {CHECKOUT: "", Path.home(): "~", CHECKOUT.parent: ".."}
    near = [Path(name, Path(path).relative_to(base)) for base, name in bases.items() if Path(path).is_relative_to(base)]
    return str(near[0] if near else path)
