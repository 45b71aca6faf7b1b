"""The doctor: what is installed, what is found where, what is missing, and what to do about it.

It imports none of the heavy packages, so it works where they are broken.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from emolab.storage import CHECKOUT, corpus_places, sample_root

PYTHONS = ((3, 11), (3, 13))  # oldest and newest that the lock was made for
CORPORA = {"ravdess": "free to download", "iemocap": "licensed: ask its makers", "meld": "free to download"}


@dataclass(frozen=True)
class Finding:
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

    def __str__(self) -> str:
        width = max(len(each.name) for each in self)
        lines = []
        for each in self:
            lines.append(f"{f'[{each.state}]':9} {each.name:{width}}  {each.found}")
            lines += [f"{'':9} {'':{width}}  -> {each.remedy}"] if each.remedy else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import pandas as pd

        with pd.option_context("display.max_colwidth", None):
            return pd.DataFrame(list(self)).to_html(index=False, justify="left")


def doctor() -> Diagnosis:
    """Look at Python, packages, GPU, sample, corpora and pretrained weights."""
    looks = (_python, _packages, _gpu, _corpora, _weights)
    return Diagnosis(finding for look in looks for finding in look())


def _python() -> Iterator[Finding]:
    oldest, newest = (".".join(map(str, each)) for each in PYTHONS)
    fits = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    found = f"{platform.python_version()} in {_place(sys.prefix)}"
    remedy = "" if fits else f"expected {oldest} to {newest}; make a new environment with one of these"
    yield Finding("Python", "ok" if fits else "note", found, remedy)


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with what emolab requires and what the lock names."""
    try:
        needed = [line for line in requires("emolab") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding("emolab", "missing", "not installed here", "pip install --no-deps -e .")
        return
    locked, installed, missing = locked_versions(), {}, []
    for name in (re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0] for line in needed):
        try:
            installed[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "missing", ", ".join(missing), "pip install -r requirements.lock")
    moved = [
        f"{name} {has} (lock: {' or '.join(locked[name])})"
        for name, has in installed.items()
        if has not in locked.get(name, [has])
    ]
    if moved:
        yield Finding("versions", "note", ", ".join(moved), "fine in Colab; else: pip install -r requirements.lock")
    yield Finding("packages", "ok", f"{len(installed)} installed, {len(installed) - len(moved)} of them as in the lock")


def locked_versions() -> dict[str, list[str]]:
    """Return the versions of each package that requirements.lock names; nothing where there is no checkout.

    There are several where a package has left an older Python behind.
    """
    lock = CHECKOUT / "requirements.lock"
    lines = lock.read_text().splitlines() if lock.is_file() else []
    pins: dict[str, list[str]] = {}
    for line in lines:
        name, _, pinned = line.partition(";")[0].strip().partition("==")
        if pinned and not line.startswith("#"):
            pins.setdefault(name, []).append(pinned)
    return pins


def _gpu() -> Iterator[Finding]:
    """Ask the driver rather than torch, which takes seconds to import."""
    command, cards = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"], ""
    with suppress(OSError, subprocess.SubprocessError):
        cards = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    yield _optional("GPU", cards.replace("\n", "; "), "no NVIDIA GPU found", "none is needed for the quick preset")


def _corpora() -> Iterator[Finding]:
    built = f"in {_place(sample_root())}" if (sample_root() / "stamp.json").is_file() else ""
    yield _optional("sample", built, "not built yet", "emolab sample; or wait half a minute at the first use")
    for name, terms in CORPORA.items():
        places = corpus_places(name)
        found = next((f"in {_place(place)}" for place in places if place.is_dir()), "")
        remedy = f"optional, {terms}; data/README.md says how to get it. Put it in {_place(places[0])}"
        yield _optional(name, found, "not found", remedy)


def _weights() -> Iterator[Finding]:
    """List pretrained models: folders of EMOLAB_WEIGHTS, and what the Hugging Face cache holds."""
    names = []
    if folder := os.environ.get("EMOLAB_WEIGHTS"):
        names = sorted(str(path.parent.relative_to(folder)) for path in Path(folder).rglob("config.json"))
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    names += sorted(path.name.removeprefix("models--").replace("--", "/") for path in hub.glob("models--*"))
    remedy = "only preset full needs any: they are downloaded then, or taken from the folder EMOLAB_WEIGHTS"
    yield _optional("weights", ", ".join(names), "no pretrained models found", remedy)


def _optional(name: str, found: str, absent: str, remedy: str) -> Finding:
    """Report what is fine to be without."""
    return Finding(name, "ok", found) if found else Finding(name, "note", absent, remedy)


def _place(path: Path | str) -> str:
    """Write a path as seen from the project, or from home: what is shown may be published."""
    bases = {CHECKOUT: "", Path.home(): "~", CHECKOUT.parent: ".."}
    names = (
        Path(name, Path(path).relative_to(base)) for base, name in bases.items() if Path(path).is_relative_to(base)
    )
    return str(next(names, path))
