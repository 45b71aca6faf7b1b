"""Where emolab keeps its files, how it reads tables and writes files (whole, or not at all), and the progress bar."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[1]
DELAY_S = 2.0  # work that is done sooner shows no bar
CLOCK_S = 2.0  # when a process began is known so well
PROBE = 1 << 20  # bytes that a disk must take before long work
# What is not whole yet has its process and computer in its name, since several computers may share a disk
HOST = re.sub(r"\W", "", platform.node())
LEFT = re.compile(rf"\.(?P<target>.+)\.(?P<pid>\d+)\.{HOST}\.[0-9a-f]{{8}}\.(?P<kind>part|old)")
FULL = "no space left while writing {}; nothing was kept of it. Free some disk space"
REFUSED = "no permission to write {}; nothing was kept of it. Make its folder writable"
WRONG = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), REFUSED)}


def _named(variable: str) -> Path | None:
    """Return the folder that an environment variable names, None if it is not set."""
    folder = os.environ.get(variable)
    return Path(folder).expanduser().resolve() if folder else None


def toml_beside(module: str, name: str) -> dict[str, Any]:
    """Return the table of numbers and names that lies, as a TOML file, beside a module (its `__file__`)."""
    return tomllib.loads(Path(module).with_name(name).read_text(encoding="utf-8"))


def settings_beside(module: str, name: str, part: str = "") -> SimpleNamespace:
    """Return what `toml_beside` does, or one table in it, as attributes."""
    table = toml_beside(module, name)
    return SimpleNamespace(**(table[part] if part else table))


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
    nothing half-written stays behind. Processes may write the same target at once; the last one wins. What killed
    ones left in the same folder is put right first, see `tidy`.

    Raises:
        OSError: If the disk is full or read-only; the message says where and what to do.
    """
    part = _own_name(target)
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _tidy_once(target.parent)
        try:
            yield part
            if part.is_dir() and not target.is_file():
                _swap_folders(part, target)
            else:
                part.replace(target)
        except RuntimeError:  # torch does not tell a full disk from a broken one, nor do processes: the disk does
            require_writable(target.parent)
            raise
        finally:
            _delete(part)


@contextmanager
def scratch(kind: str, parent: str | None = None) -> Iterator[Path]:
    """Give a new folder for temporary files and delete it in the end; those of killed processes are deleted first."""
    folder = _own_name(Path(parent or tempfile.gettempdir(), f"emolab-{kind}"))
    tidy(folder.parent)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _delete(folder)


@contextmanager
def temporary_cache(kind: str, parent: str | None = None) -> Iterator[None]:
    """Keep what is computed in a cache that is new and deleted in the end, see `scratch`."""
    with scratch(kind, parent) as folder:
        before = os.environ.get("EMOLAB_CACHE")
        os.environ["EMOLAB_CACHE"] = str(folder)
        try:
            yield
        finally:
            os.environ.pop("EMOLAB_CACHE") if before is None else os.environ.update(EMOLAB_CACHE=before)


def require_writable(*folders: Path | None) -> None:
    """Raise unless files can be written to folders, which need not exist yet; so long work does not end in vain.

    Raises:
        OSError: If one is read-only or full; the message says where and what to do.
    """
    for folder in filter(None, folders):
        at = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        with _explained(folder), tempfile.TemporaryFile(dir=at) as file:
            file.write(bytes(PROBE))


def recovered(path: Path) -> Path:
    """Return a path that is about to be read; what a killed process had moved away from it is moved back."""
    if not path.exists():
        tidy(path.parent)
    return path


def tidy(folder: Path) -> None:
    """Put right what killed processes of this computer left in a folder.

    What they had begun to write is deleted, after the processes that still write there on their behalf have been ended.
    A folder that had left its name for a new one, which did not come, gets the name back.
    """
    import psutil

    for left in filter(None, map(LEFT.fullmatch, os.listdir(folder) if folder.is_dir() else [])):
        path, target = folder / left[0], folder / left["target"]
        with suppress(OSError, psutil.Error):  # another process was first
            if _is_running(int(left["pid"]), path.lstat().st_ctime):
                continue
            if left["kind"] == "old" and not target.exists():
                path.replace(target)
            for process in psutil.process_iter(["cmdline"]):
                if str(path) in (process.info["cmdline"] or ()):
                    process.kill()
            _delete(path)


_tidy_once = lru_cache(tidy)  # a cache has thousands of files


def _is_running(pid: int, since: float) -> bool:
    """Tell whether a process is running, and not another that has got its number since a time."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + CLOCK_S
    return False


def _own_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{HOST}.{os.urandom(4).hex()}.part")


def _delete(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # it was a folder, or is not there
        path.unlink()


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Say of a disk that is full or read-only where that is, and what helps there."""
    try:
        yield
    except OSError as error:
        if not (told := WRONG.get(error.errno or 0)) or isinstance(error.__cause__, OSError):
            raise
        roots = {"CACHE": cache_root(), "LOCAL": local_root(), "WEIGHTS": weights_root(), "DATA": data_root()}
        own = [name for name, root in roots.items() if target.resolve().is_relative_to(root.resolve())]
        other = f"set EMOLAB_{own[0]} to" if own else "take a clone or"
        raise OSError(error.errno, f"{told.format(target)}, or {other} a folder of another disk") from error


def write_json(file: Path, facts: Mapping[str, Any]) -> Path:
    """Write facts, whole or not at all, with a checksum by which `read_json` notices every change; return the file."""
    facts = {name: fact for name, fact in facts.items() if name != "checksum"}  # of a file that was read by other means
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
        last = str([*facts.values()][-1]) if facts else ""  # the checksum, even if its name is damaged
        digest = last if re.fullmatch("[0-9a-f]{64}", last) else None
        if (told := facts.pop("checksum", digest)) is not None and told != _checksum(facts):
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
