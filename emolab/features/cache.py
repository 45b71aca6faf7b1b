"""Features of files, each computed once, kept on disk and, as far as they fit, in memory."""

from __future__ import annotations

import hashlib
import threading
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from emolab.corpora.layout import some
from emolab.media import InMemoryMedia
from emolab.progress import progress as progress_bar
from emolab.storage import atomic_write, cache_root

MAGIC = b"emolab feature 1\n"  # an entry: magic, checksum of the rest, one line of dtype and shape, the numbers
N_CHECKSUM = 4  # bytes
MEMORY_BYTES = 256_000_000  # features kept in memory; more are read from disk again

Array = NDArray[Any]


class Segment(NamedTuple):
    """A part of a file, such as an utterance in the film of a dialogue; None where there is nothing to cut off."""

    path: Any  # a path, or Held
    start: float | None = None  # seconds into the file
    end: float | None = None
    side: str | None = None  # left or right: half of the picture


Source = TypeVar("Source", Path, InMemoryMedia, Segment)


class Memory:
    """The features read last, as many as fit in `n_bytes`; threads may share it."""

    def __init__(self, n_bytes: int) -> None:
        self.n_free = n_bytes
        self._arrays: OrderedDict[Path, Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, entry: Path) -> Array | None:
        """Return the array of an entry, None if it is not here (any more)."""
        with self._lock:
            if entry in self._arrays:
                self._arrays.move_to_end(entry)
            return self._arrays.get(entry)

    def keep(self, entry: Path, array: Array) -> None:
        """Remember an array; what was not used for longest makes room."""
        with self._lock:
            if entry not in self._arrays:
                self._arrays[entry] = array
                self.n_free -= array.nbytes
            while self.n_free < 0:
                self.n_free += self._arrays.popitem(last=False)[1].nbytes

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self.n_free += sum(array.nbytes for array in self._arrays.values())
            self._arrays.clear()


MEMORY = Memory(MEMORY_BYTES)


def cached_features(
    kind: str,
    sources: Sequence[Source],
    compute: Callable[[Source], Array],
    *,
    version: str = "1",
    progress: str | None = None,
) -> list[Array]:
    """Return `compute(source)` for every file or part of one, from memory or disk where it is there already.

    An entry belongs to a kind, a version, a part and a file of a certain size and time of change: a changed file is
    computed again, and so is an entry that is broken. What is held in memory is computed each time. Several are
    computed at once by threads, since decoding, Fourier transforms and matrix products leave the interpreter free. A
    cache that cannot be written costs time, not results: one warning says so.

    Args:
        kind: What is computed; a folder of the cache.
        sources: The files, or parts of files; one that is there twice is computed once.
        compute: Turns a source into an array.
        version: Anything that tells apart what `compute` made under the same kind.
        progress: What to write before the progress bar of work that takes long; None shows none.

    Returns:
        One array a source, in their order; not to be written to, since later calls return them again.

    Raises:
        FileNotFoundError: If files are missing; they are named.
        ValueError: If `compute` fails on files; they are named, and what the others gave is kept.
    """
    if any(isinstance(_file(source), InMemoryMedia) for source in sources):
        with threadpool_limits(1), ThreadPoolExecutor(joblib.cpu_count()) as threads:
            return list(threads.map(compute, sources))
    folder = cache_root() / "features" / kind
    entries = {source: folder / _entry_name(kind, version, source) for source in _all_there(sources)}
    found: dict[Source, Array] = {}
    failed: dict[Source, Exception] = {}

    def collect(source: Source) -> None:
        try:
            found[source] = _one(entries[source], partial(compute, source))
        except Exception as error:  # whatever went wrong with this file, the others are worth keeping
            failed[source] = error

    missing = [source for source, entry in entries.items() if _from_memory(found, source, entry) is None]
    if missing:
        # one thread a file: matrix products with threads of their own would get in each other's way
        with threadpool_limits(1), ThreadPoolExecutor(joblib.cpu_count()) as threads:
            done = threads.map(collect, missing) if len(missing) > 1 else map(collect, missing)
            for _ in progress_bar(done, progress or kind, total=len(missing), show=progress is not None):
                pass
    if failed:
        _raise_failures(kind, [*map(_file, failed)], next(iter(failed.values())), len(entries))
    return [found[source] for source in sources]


def cached_array(kind: str, key: str, compute: Callable[[], Array]) -> Array:
    """Return `compute()`, from memory or disk where it is there already under a key that says all it depends on."""
    digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]
    return _one(cache_root() / "features" / kind / digest, compute)


@lru_cache
def source_digest(*files: str) -> str:
    """Return a digest of source files: a version that changes whenever the code does.

    It is taken once: a process that goes on with older code while the files are edited does not sign with the new one.
    """
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:16]


def _file(source: Path | InMemoryMedia | Segment) -> Any:
    return source.path if isinstance(source, Segment) else source


def _all_there(sources: Sequence[Source]) -> list[Source]:
    """Return the sources without repetitions, or raise and name those whose files are not there."""
    unique = list(dict.fromkeys(sources))
    files = dict.fromkeys(map(_file, unique))
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(files)} files are missing: {some(missing)}. Expected every file that the corpus "
            "lists. Check its root folder, or leave those utterances out by their ids."
        )
    return unique


def _entry_name(kind: str, version: str, source: Path | InMemoryMedia | Segment) -> str:
    path: Any
    path, *part = source if isinstance(source, Segment) else (source,)
    facts = path.stat()
    key = "\0".join([kind, version, str(path.resolve()), *map(str, part), str(facts.st_size), str(facts.st_mtime_ns)])
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]


def _from_memory(found: dict[Source, Array], source: Source, entry: Path) -> Array | None:
    array = MEMORY.get(entry)
    if array is not None:
        found[source] = array
    return array


def _one(entry: Path, compute: Callable[[], Array]) -> Array:
    """Read an entry, or compute and write it; remember it either way."""
    array = _read(entry)
    if array is None:
        array = np.array(compute(), order="C")
        array.flags.writeable = False
        _write(entry, array)
    MEMORY.keep(entry, array)
    return array


def _read(entry: Path) -> Array | None:
    """Return the array of an entry, None where there is none or where it is not whole."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + N_CHECKSUM
    if content[: len(MAGIC)] != MAGIC or _checksum(content[start:]) != content[len(MAGIC) : start]:
        return None
    end = content.index(b"\n", start)
    dtype, *shape = content[start:end].decode().split()
    return np.frombuffer(content, dtype, offset=end + 1).reshape([int(n) for n in shape])


def _write(entry: Path, array: Array) -> None:
    """Write an entry whole or not at all; where that fails, say so once and go on without."""
    body = " ".join([array.dtype.str, *map(str, array.shape)]).encode() + b"\n" + array.tobytes()
    try:
        with atomic_write(entry) as part:
            part.write_bytes(MAGIC + _checksum(body) + body)
    except OSError as error:
        _warn_uncached(str(error))


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(N_CHECKSUM, "big")


_warned = threading.Event()


def _warn_uncached(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        warnings.warn(
            f"features are computed but not cached: {reason}. The results are right; only the next run is slow.",
            RuntimeWarning,
            stacklevel=2,
        )


def _raise_failures(kind: str, failed: Sequence[Path], first: Exception, n_files: int) -> None:
    """Raise one error that names all files that failed and why the first did."""
    raise ValueError(
        f"{kind} failed for {len(failed)} of {n_files} files: {some(dict.fromkeys(failed))}. The first: {first} "
        "Expected sound or pictures that can be decoded. Mend those files or leave their utterances out by id; the "
        "others are cached."
    ) from first
