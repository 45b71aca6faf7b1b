"""Where emolab keeps its files, and how it writes them: whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def data_root() -> Path:
    """Return the folder of corpora, cache and results.

    It is `EMOLAB_DATA` where that is set, else `data/` of the checkout, else `~/.emolab` for an installed package.
    """
    if folder := os.environ.get("EMOLAB_DATA"):
        return Path(folder).expanduser().resolve()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / "data"
    return Path.home() / ".emolab"


def cache_root() -> Path:
    """Return the folder of what can be computed again: features and trained recognizers (`EMOLAB_CACHE` moves it)."""
    folder = os.environ.get("EMOLAB_CACHE")
    return Path(folder).expanduser().resolve() if folder else data_root() / "cache"


def sample_root() -> Path:
    """Return the folder that holds the synthetic sample corpora."""
    return data_root() / "sample"


def weights_root() -> Path:
    """Return the folder of published weights, in ORG/NAME each as on the hub (`EMOLAB_WEIGHTS` moves it)."""
    folder = os.environ.get("EMOLAB_WEIGHTS")
    return Path(folder).expanduser().resolve() if folder else data_root() / "weights"


def results_root() -> Path:
    """Return the folder of the ledger, one JSON file a measured run."""
    return data_root() / "results"


def corpus_places(name: str) -> list[Path]:
    """Return the folders in which the corpus `name` is looked for, first choice first.

    `EMOLAB_CORPORA` comes first, then the data folder, then `../shared/data` beside the checkout, where several
    checkouts can keep one copy of a large corpus.
    """
    parents = [data_root(), CHECKOUT.parent / "shared" / "data"]
    if folder := os.environ.get("EMOLAB_CORPORA"):
        parents.insert(0, Path(folder).expanduser().resolve())
    return [parent / name for parent in parents]


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write a file or folder to; it takes `target`'s place only when all went well.

    Whatever happens, a reader finds the old content or the whole new one (of a folder that is replaced, for a moment
    neither), and no litter stays behind. Processes that write the same target side by side do not disturb each other;
    the last one wins.

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
        if error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC,
                f"no space left while writing {target}; nothing was kept of it. Free some disk space "
                f"(the cache, {cache_root()}, may be deleted at any time) or set EMOLAB_CACHE to a larger disk",
            ) from error
        raise
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


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
