"""Where emolab keeps its files, how it reads tables and writes files (whole, or not at all), and the progress bar."""

import errno
import hashlib
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[1]
DELAY_S = 2.0  # work that is done sooner shows no bar


def _named(variable: str) -> Path | None:
    """Return the folder that an environment variable names, None if it is not set."""
    folder = os.environ.get(variable)
    return Path(folder).expanduser().resolve() if folder else None


def toml_beside(module: str, name: str) -> dict[str, Any]:
    """Return the table of numbers and names that lies, as a TOML file, beside a module (its `__file__`)."""
    return tomllib.loads(Path(module).with_name(name).read_text(encoding="utf-8"))


def data_root() -> Path:
    """Return the folder of corpora, cache and results.

    It is `EMOLAB_DATA` where that is set, else `data/` of the checkout, else `~/.emolab` for an installed package.
    """
    checkout = (CHECKOUT / "pyproject.toml").is_file()
    return _named("EMOLAB_DATA") or (CHECKOUT / "data" if checkout else Path.home() / ".emolab")


def cache_root() -> Path:
    """Return the folder of what can be computed again: features and trained recognizers (`EMOLAB_CACHE` moves it)."""
    return _named("EMOLAB_CACHE") or data_root() / "cache"


def local_root() -> Path:
    """Return the folder of what concerns this user alone, such as the exercises solved (`EMOLAB_LOCAL` moves it)."""
    return _named("EMOLAB_LOCAL") or data_root() / "local"


def sample_root() -> Path:
    """Return the folder that holds the synthetic sample corpora."""
    return data_root() / "sample"


def weights_root() -> Path:
    """Return the folder of published weights, in ORG/NAME each as on the hub (`EMOLAB_WEIGHTS` moves it)."""
    return _named("EMOLAB_WEIGHTS") or data_root() / "weights"


def results_root() -> Path:
    """Return the folder of the ledger, one JSON file a measured run."""
    return data_root() / "results"


def results_roots() -> list[Path]:
    """Return the folders in which the ledger is read: one's own first, then the one that comes with the package."""
    return [results_root(), Path(__file__).parent / "ledger"]


def corpus_places(name: str) -> list[Path]:
    """Return the folders in which the corpus `name` is looked for, first choice first.

    `EMOLAB_CORPORA` comes first, then the data folder, then `../shared/data` beside the checkout, where several
    checkouts can keep one copy of a large corpus.
    """
    parents = [_named("EMOLAB_CORPORA"), data_root(), CHECKOUT.parent / "shared" / "data"]
    return [parent / name for parent in parents if parent]


def progress(items: Iterable[T], label: str, *, total: int | None = None, show: bool = True) -> Iterator[T]:
    """Iterate over `items` with a bar named `label` on standard output; `EMOLAB_PROGRESS=0` switches all bars off."""
    from tqdm import tqdm

    hidden = not show or os.environ.get("EMOLAB_PROGRESS") == "0"
    yield from tqdm(items, desc=label, total=total, delay=DELAY_S, leave=False, file=sys.stdout, disable=hidden)


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write a file or folder to; it takes `target`'s place only when all went well.

    A reader finds the old content or the whole new one (of a folder that is replaced, for a moment neither), and
    nothing half-written stays behind. Processes may write the same target at once; the last one wins.

    Raises:
        OSError: If the disk is full; the message says where and what to do.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        yield part
        if part.is_dir() and not target.is_file():
            _swap_folders(part, target)
        else:
            part.replace(target)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        why = f"no space left while writing {target}; nothing was kept of it. Free some disk space, such as that of the"
        raise OSError(errno.ENOSPC, f"{why} cache {cache_root()}, or set EMOLAB_CACHE to a larger disk") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write_json(file: Path, facts: Mapping[str, Any]) -> Path:
    """Write facts, whole or not at all, with a checksum by which `read_json` notices every change; return the file."""
    text = json.dumps({**facts, "checksum": _checksum(facts)}, indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(file) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return file


def read_json(file: Path, *, remedy: str) -> dict[str, Any]:
    """Read the facts of a JSON file; files that were written without a checksum are taken as they are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no JSON, no object, or not what was written; it names the file, the place and the remedy.
    """
    try:
        facts = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(facts, dict):
            raise ValueError(f"it holds a {type(facts).__name__}, no object in braces")
        if (told := facts.pop("checksum", None)) is not None and told != _checksum(facts):
            raise ValueError("its contents do not fit its checksum, so they were changed")
    except (ValueError, RecursionError) as error:  # of broken text and of deep nesting too
        raise ValueError(f"{file} is damaged: {error}. Expected what emolab writes. {remedy}") from error
    return facts


def _checksum(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _swap_folders(part: Path, target: Path) -> None:
    """Put the folder `part` in the place of `target`; a folder cannot be renamed over a full one."""
    old = part.with_suffix(".old")
    while part.is_dir():
        with suppress(FileNotFoundError):  # there is none yet, or another process has just moved it away
            target.replace(old)
        try:
            part.replace(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # else another process has put its own there
                if old.is_dir() and not target.is_dir():
                    old.replace(target)
                raise
        shutil.rmtree(old, ignore_errors=True)
