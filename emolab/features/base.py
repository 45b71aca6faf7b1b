"""The base of all feature extractors, and the disk cache that computes the features of a file once."""

import hashlib
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus, is_strict, require_files, some
from emolab.media import InMemoryMedia, Segment
from emolab.storage import atomic_write, cache_root, progress, toml_beside

Array = NDArray[Any]

_SETTINGS_FILES = (Path(__file__).with_name("settings.toml"), Path(media.__file__).with_suffix(".toml"))
SETTINGS = toml_beside(__file__, "settings.toml")  # numbers and names of all extractors
LARGE, N_VECTORS = 16_384, 32_768  # bytes of a result that is not kept in memory; how many are kept, at most
NO_FILE = "no such file"
SMALLEST_DEVIATION = 1e-5  # a feature that hardly varies is centred, but not scaled up


class FeatureExtractor(ABC):
    """Turns utterances into the numbers that a model takes; whatever it learns comes from the training set.

    It is a plain object that can be pickled: attributes hold its options and what was fitted.
    """

    modality: ClassVar[str]
    maskable: ClassVar[bool] = True  # whether a changed copy of an utterance can be transformed
    n_parameters: int = 0  # of a frozen network that belongs to it
    pretrained: str | None = None  # name of the published weights that it brings
    feature_names: Sequence[str] = ()  # of the columns of a matrix

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that it takes."""
        return (self.modality,)

    def has(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where an utterance has the modality."""
        return corpus.has(self.modality)

    def fit(self, corpus: Corpus) -> None:  # noqa: B027
        """Learn means, deviations or a vocabulary from the training set; many extractors learn nothing."""

    @abstractmethod
    def transform(self, corpus: Corpus) -> Any:
        """Return one array an utterance (a list), or one row an utterance (a matrix)."""

    def training_copies(self, corpus: Corpus) -> list[Any]:
        """Return what training takes of its set: what `transform` gives, then changed copies of it if there are any."""
        return [self.transform(corpus)]

    def sizes(self) -> dict[str, Any]:
        """Return the keyword arguments that a network's config takes from here, such as {"n_features": 64}."""
        return {}

    def initialise(self, network: Any) -> None:  # noqa: B027
        """Give an untrained network pretrained weights, such as word vectors; most extractors have none."""


class Scaled(FeatureExtractor):
    """Features brought to mean 0 and deviation 1 over the training set, one by one."""

    is_matrix: ClassVar[bool] = False  # one row an utterance instead of one array
    mean: NDArray[np.float64] = np.zeros(1)
    deviation: NDArray[np.float64] = np.ones(1)

    def raw(self, corpus: Corpus) -> Any:
        """Return (…, n_features) for each utterance, before scaling."""
        raise NotImplementedError

    def fit(self, corpus: Corpus) -> None:
        """Learn mean and deviation of each feature."""
        self.fit_scale(self.raw(corpus))

    def fit_scale(self, arrays: Iterable[Array]) -> None:
        """Learn mean and deviation of each feature from arrays of (…, n_features)."""
        stacked = np.vstack([np.atleast_2d(array) for array in arrays])
        self.mean = stacked.mean(axis=0, dtype=np.float64)
        self.deviation = np.maximum(stacked.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)

    def scale(self, array: Array) -> NDArray[np.float32]:
        """Scale (…, n_features) by the training set's mean and deviation."""
        return ((array - self.mean) / self.deviation).astype(np.float32)

    def transform(self, corpus: Corpus) -> Any:
        """Return (…, n_features) float32 for each utterance, scaled; one matrix where there is one row an utterance."""
        arrays = [self.scale(array) for array in self.raw(corpus)]
        return np.reshape(arrays, (len(arrays), -1 if arrays else len(self.mean))) if self.is_matrix else arrays

    def sizes(self) -> dict[str, Any]:
        """Return the number of features, n_features."""
        return {"n_features": len(self.mean)}


class Published(FeatureExtractor):
    """Inputs of a network that starts from published weights, or of a tiny random one in its place.

    Args:
        weights: File of the state dict, see `emolab.models.pretrained.load_published`; None: the network has none.
        stand_in: Whether the tiny network takes the place of the published one.
        small: Sizes of the tiny one.
    """

    def __init__(self, weights: str | None = None, stand_in: bool = False, small: Any = ()) -> None:
        self.weights, self.stand_in, self.small = weights, stand_in, dict(small)

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """The name of the published weights."""
        return Path(self.weights).stem if self.weights and not self.stand_in else None

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the tiny network; those of the published one are the defaults of its class."""
        return self.small if self.stand_in else {}

    def initialise(self, network: Any) -> None:
        """Give an untrained network the published weights."""
        if self.pretrained:
            network.load_weights(self.weights)


def of_each(extractor: FeatureExtractor, corpus: Corpus, *, copies: bool = False) -> list[list[Array]]:
    """Return one array an utterance, empty where its modality is missing; with `copies`, all training copies."""
    there = extractor.has(corpus)
    if not there.any():
        return [[np.zeros(0, dtype=np.float32)] * len(corpus)]
    some = corpus if there.all() else corpus.select(there)
    made = [list(arrays) for arrays in (extractor.training_copies(some) if copies else [extractor.transform(some)])]
    return [[next(rest) if here else arrays[0][:0] for here in there] for arrays in made for rest in [iter(arrays)]]


def usable(
    corpus: Corpus, *modalities: str, covers: Callable[[Corpus], Array] | None = None, strict: bool | None = None
) -> Corpus:
    """Leave out the utterances whose sound or film is missing, broken or silent; a warning counts and names them.

    Every sound is decoded for this once, of every film the first picture; then the answers are cached.

    Args:
        corpus: Any.
        modalities: Those needed; all that the corpus has, if none is named.
        covers: Says which utterances have enough left, (n_utterances,), where that is not all of these modalities:
            the `covers` of a recognizer. What they lack is NA then.
        strict: Whether there must be nothing to leave out; None asks the environment variable EMOLAB_STRICT.

    Returns:
        The corpus; `dropped` has the reasons. It is as before where nothing would be left.

    Raises:
        ValueError: If `strict` and utterances would have to be left out.
    """
    needed = [modality for modality in modalities or corpus.modalities if modality in MODALITIES]
    names, left, faults = corpus.table["utterance_id"], corpus, dict[str, str]()
    for modality in needed:
        if found := _faults(corpus, modality):
            faults, column = faults | found, left.table[MODALITIES[modality]].mask(names.isin(found))
            left = replace(left, table=left.table.assign(**{MODALITIES[modality]: column}))
    there = covers(left) if covers else np.all([left.has(modality) for modality in needed], axis=0)
    strict = is_strict(strict)
    faults |= dict.fromkeys({*names[~there]} - {*faults}, "nothing there")
    if not faults or not (there.any() or strict):
        return corpus
    told = some(f"{name} ({faults[name]})" for name in names if name in faults)
    why = f"{len(faults):,} of {len(corpus):,} utterances of corpus {corpus.name!r} have no usable"
    why += f" {' or '.join(needed)}: {told}"
    if strict and not there.all():
        raise ValueError(f"{why}. Expected all to have it. Mend them, or leave these out: recognizer.usable(corpus).")
    warnings.warn(f"{why}; {(~there).sum():,} are left out.", stacklevel=3)
    gone = pd.DataFrame([(name, faults[name]) for name in names[~there]], columns=[*corpus.dropped])
    dropped = pd.concat([part for part in (corpus.dropped, gone) if len(part)] or [gone], ignore_index=True)
    return replace(left.select(there), dropped=dropped)


def _faults(corpus: Corpus, modality: str) -> dict[str, str]:
    """Say what is wrong with the sound or film of those utterances that have one that cannot be used."""
    there = corpus.select(corpus.has(modality) & (modality != "text"))
    sources = there.video_paths() if modality == "video" else there.audio_paths()
    known = [each for each in sources if not isinstance(each, InMemoryMedia) and os.path.isfile(_file(each))]
    version = f"{modality} {source_digest(media.__file__)}"
    found = cached_features("checks", known, lambda each: np.array(media.fault(each, modality)), version=version)
    faults = dict(zip(known, map(str, found), strict=True))  # as arrays, they are kept in memory
    # where there is not a single file, features come from elsewhere
    told = [faults.get(each, NO_FILE * bool(known and not isinstance(each, InMemoryMedia))) for each in sources]
    return {name: why for name, why in zip(there.table["utterance_id"], told, strict=True) if why}


def cached_features(kind: str, sources: Sequence[Any], compute: Callable[..., Any], *, version: str = "1") -> list[Any]:
    """Return `compute(source)` for every file or segment, from disk where it is there already.

    An entry belongs to a kind, a version, a segment and a file of a certain size and time of change; one that is
    damaged is computed again, and media in memory without a key each time. Several are computed at once by threads,
    since decoding and Fourier transforms release the interpreter.

    Args:
        kind: What is computed; a folder of the cache, and the label of the progress bar that long work shows.
        sources: Paths, `InMemoryMedia` or `Segment`s; one that occurs twice is computed once.
        compute: Turns a source into an array, or something else that can be pickled.
        version: Anything that tells apart what `compute` made under the same kind.

    Returns:
        One result a source, in their order.

    Raises:
        FileNotFoundError: If files are missing; they are named.
        ValueError: If `compute` fails on files; they are named, and the features of the others are cached.
    """
    require_files(map(_file, sources))
    keys = {source: cache_key(version, source) for source in dict.fromkeys(sources)}
    found: dict[Any, Any] = {}
    failed: dict[Any, Exception] = {}

    def collect(source: Any) -> None:
        try:
            found[source] = cached_array(kind, keys[source], partial(compute, source))
        except Exception as error:  # whatever went wrong with this file, the others are worth keeping
            failed[_file(source)] = error

    root = str(cache_root())
    found |= {source: _VECTORS[place] for source, key in keys.items() if (place := (root, kind, key)) in _VECTORS}
    if absent := [source for source in keys if source not in found]:
        Random().shuffle(absent)  # processes that fill one cache at once each begin elsewhere
        with threadpool_limits(1), futures.ThreadPoolExecutor(joblib.cpu_count()) as pool:  # matrices add no threads
            every = pool.map if len(absent) > 1 else map  # one file: in this thread, which counts it
            list(progress(every(collect, absent), kind, total=len(absent)))
    if failed:
        names = [file for file in dict.fromkeys(map(_file, keys)) if file in failed]
        first = failed[names[0]]
        cause = first.__cause__
        reason = f" cannot be read: {cause}." if isinstance(cause, media.DecodingError) else f": {first}"
        why = f"{kind} failed for {len(failed)} of {len(keys)} files: {some(names)}" + "; the first" * (len(names) > 1)
        remedy = "Mend them, or leave them out by id or by usable(corpus); others are cached."
        raise ValueError(f"{why}{reason} Expected files that can be decoded. {remedy}") from first
    return [found[source] for source in sources]


def cached_array(kind: str, key: str, compute: Callable[[], Any]) -> Any:
    """Return `compute()`, from disk where it is there under `key`, which says all that it depends on; "" caches not."""
    place = str(cache_root()), kind, key
    if place in _VECTORS:
        return _VECTORS[place]
    entry = cache_root() / "features" / kind / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32]
    try:
        digest, array = joblib.load(entry)
    except Exception:  # there is none, or a damaged pickle, which fails in many ways
        digest = array = None
    if array is None or joblib.hash(array) != digest:
        array = compute()
        try:
            if key:
                with atomic_write(entry) as part:
                    joblib.dump((joblib.hash(array), array), part)
        except OSError as error:
            if not _warned.is_set():
                why = f"features are computed but not cached: {error}. The results are right; the next run is slow."
                warnings.warn(why, RuntimeWarning, stacklevel=2)
            _warned.set()
    if key and getattr(array, "nbytes", LARGE) < LARGE and len(_VECTORS) < N_VECTORS:
        array.flags.writeable = False  # later calls return it again
        _VECTORS[place] = array
    return array


@lru_cache
def source_digest(*files: str) -> str:
    """Return a digest of source files and settings, taken once a process: a version that changes as the code does."""
    sources = b"".join(Path(file).read_bytes() for file in (*files, *map(str, _SETTINGS_FILES)))
    return hashlib.sha256(sources).hexdigest()[:16]


def _file(source: Any) -> Any:
    return source.path if isinstance(source, Segment) else source


def cache_key(version: str, source: Any) -> str:
    """Return all that a result depends on; nothing for media in memory without a key."""
    if isinstance(file := _file(source), InMemoryMedia):
        return file.key and f"{version}\0{file.key}"
    facts, segment = file.stat(), source[1:] if isinstance(source, Segment) else ()
    place = os.path.join(_resolved(os.path.abspath(file.parent)), file.name)
    return "\0".join(map(str, [version, place, *segment, facts.st_size, facts.st_mtime_ns]))


# small results, in memory, by the cache's folder, kind and key: each fit of a light model asks for them several times
_VECTORS: dict[tuple[str, str, str], Array] = {}
_warned = threading.Event()
_resolved = lru_cache(os.path.realpath)  # following the links of a folder takes longer than all else about its files
